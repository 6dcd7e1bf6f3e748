"""How small and how faint a defect is found: detection rate over size and contrast at each method's own limit.

Every method is calibrated once, from the same good parts; then fresh parts are judged without a defect and with one
of every size and contrast. All cells have the same parts, so that from cell to cell only the defect differs.

Run: ``python -m tests.benchmark.small_defects [--methods local,paper,patchcore]``. The full table takes tens of
minutes; a look takes a few: ``--methods local --sizes 6,24 --contrasts 5,20 --repeats 1 --good 20 --fresh 4``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.baselines import Setting, fit_all
from calibration.calibrate import finish, train
from calibration.evaluation.contenders import Baseline, RegisteredCrop
from calibration.gathering import gather
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from drivers.simulated.camera import Defect, DefectSpec, ZipperCamera, encode_bmp
from drivers.simulated.defects import draw_defect
from edge_agent.domain import Outcome
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from calibration.gathered import Gathered

SIZES_PX = (3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
CONTRASTS = (0.02, 0.05, 0.10, 0.20, 0.40)
KINDS = {"scratch": Defect.SCRATCH, "residue": Defect.RESIDUE, "bubble": Defect.BUBBLE, "blob": Defect.HALO}
"""In the place of the halo, which is wide by its nature, stands a plain soft blob."""

_OVERSAMPLING = 4
_OPTICS_BLUR_PX = 0.85
_LONGEST_THIN_SCRATCH_PX = 32.0
_GOOD, _FRESH, _DEFECTIVE = 1, 2, 3


class DefectCamera(ZipperCamera):
    """Pastes each defect at a place between pixels, with the asked contrast in the image rather than on the part.

    The size is a scratch's length, a blob's width at half its height, the diameter of the others; all in px of the
    frame. The part, its place and the sensor's noise do not depend on the defect.
    """

    def _add_defect(
        self,
        surface: npt.NDArray[np.float32],
        mask: npt.NDArray[np.uint8],
        defect: DefectSpec,
        rng: np.random.Generator,
    ) -> None:
        own = rng.spawn(1)[0]
        change = paste_of(defect, own)
        half = change.shape[0] // 2
        x, y = self._place(defect.size_px / 2, half, own)
        window = np.s_[y - half : y + half + 1, x - half : x + half + 1]
        surface[window] += change
        mask[window] = np.where(np.abs(change) > 0.5 * np.abs(change).max(), 255, 0)


def paste_of(defect: DefectSpec, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """What the defect adds to the part: (N, N) float32, N odd; its peak after the optics is ``defect.contrast``.

    Drawn at four times the camera's resolution and averaged: edges lie between pixels.
    """
    radius = _OVERSAMPLING * defect.size_px / 2
    if defect.kind is Defect.HALO:
        fine = _blob(radius, rng)
    else:
        thin = min(1.0, defect.size_px / _LONGEST_THIN_SCRATCH_PX)
        fine = draw_defect(defect.kind, radius, _OVERSAMPLING * thin, rng).change
    half = -(-(fine.shape[0] // 2) // _OVERSAMPLING) + 4  # room for the offset and for the blur
    side = _OVERSAMPLING * (2 * half + 1)
    room = (side - fine.shape[0]) // 2
    left, top = room + rng.integers(0, _OVERSAMPLING, 2)
    canvas = np.zeros((side, side), np.float32)
    canvas[top : top + fine.shape[0], left : left + fine.shape[1]] = fine
    change = cv2.resize(canvas, (2 * half + 1, 2 * half + 1), interpolation=cv2.INTER_AREA)
    seen = np.abs(cv2.GaussianBlur(change, (0, 0), _OPTICS_BLUR_PX)).max()
    return np.asarray(change * (defect.contrast / seen), np.float32)


def _blob(radius: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Brighter or darker, falling off like a bell; ``radius`` at half its height."""
    axis = np.arange(-round(2.5 * radius), round(2.5 * radius) + 1, dtype=np.float32)
    bell = 0.5 ** (np.hypot(*np.meshgrid(axis, axis)) / radius) ** 2
    return np.asarray(rng.choice([-1.0, 1.0]) * bell, np.float32)


@dataclass(frozen=True, slots=True)
class Trial:
    """A calibrated method: whether it rejects the image file with these bytes, and what it promises of good parts."""

    rejects: Callable[[bytes], bool]
    promise: str


def tool_trial(gathered: Gathered, method: str) -> Trial:
    """The tool's own road: calibration, bundle, inspector."""
    with tempfile.TemporaryDirectory() as folder:
        result = finish(train(gathered, METHODS[method].recipe), method, Path(folder) / "bundle")
        inspector = Inspector(Bundle.load(result.path))
    promise = f"expected {result.expected_false_rejects:.1%}, below {result.false_reject_bound_95:.1%} with 95 %"
    return Trial(lambda data: inspector.inspect(data).outcome is not Outcome.OK, promise)


def patchcore_trial(gathered: Gathered) -> Trial:
    """PatchCore on the same registered crops, its limit from its held-out scores by the tool's own rule."""
    registered, options = gathered.registered, gathered.options
    setting = Setting(registered, None, options.seed, options.threads, lambda _stage, _done, _total: None)
    contender = Baseline(fit_all(["patchcore"], setting)["patchcore"])
    if contender.limit is None:
        raise ValueError("PatchCore has held-out scores")

    def rejects(data: bytes) -> bool:
        seen = RegisteredCrop.of(decode(data), registered)
        return bool(contender.look(Path("part.bmp"), seen, with_heat=False).is_rejected)

    return Trial(rejects, f"expected {contender.limit.expected:.1%}, below {contender.limit.bound_95:.1%} with 95 %")


TRIALS: Mapping[str, Callable[[Gathered], Trial]] = {
    "local": lambda gathered: tool_trial(gathered, "local"),
    "paper": lambda gathered: tool_trial(gathered, "paper"),
    "patchcore": patchcore_trial,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which defects, how many parts; ``repeats`` parts of each kind in every cell."""

    sizes_px: tuple[float, ...] = SIZES_PX
    contrasts: tuple[float, ...] = CONTRASTS
    repeats: int = 6
    good: int = 40
    fresh: int = 60
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """``found`` (kinds, sizes, contrasts, repeats) bool; ``without`` (kinds, repeats): the same parts, no defect."""

    found: npt.NDArray[np.bool_]
    without: npt.NDArray[np.bool_]
    fresh: npt.NDArray[np.bool_]


def good_parts(camera: ZipperCamera, plan: Plan, folder: Path) -> list[Path]:
    """Write the images that every method is calibrated on."""
    paths = [folder / f"{number:03}.bmp" for number in range(plan.good)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_bmp(camera.render(np.random.default_rng((plan.seed, _GOOD, number))).image))
    return paths


def judge(camera: ZipperCamera, plan: Plan, rejects: Callable[[bytes], bool], say: Callable[[str], None]) -> Found:
    """Judge every part of the plan. ``say`` gets a line a kind: it takes long."""

    def rejected(seed: tuple[int, ...], defect: DefectSpec | None = None) -> bool:
        part = camera.render(np.random.default_rng((plan.seed, *seed)), defect)
        return rejects(encode_bmp(part.image))

    fresh = np.array([rejected((_FRESH, number)) for number in range(plan.fresh)], bool)
    found = np.zeros((len(KINDS), len(plan.sizes_px), len(plan.contrasts), plan.repeats), bool)
    without = np.zeros((len(KINDS), plan.repeats), bool)
    for k, (name, kind) in enumerate(KINDS.items()):
        for r in range(plan.repeats):
            without[k, r] = rejected((_DEFECTIVE, k, r))
        for s, c, r in np.ndindex(*found.shape[1:]):
            found[k, s, c, r] = rejected((_DEFECTIVE, k, r), DefectSpec(kind, plan.sizes_px[s], plan.contrasts[c]))
        say(f"  {name}: {found[k].sum()} of {found[k].size} found")
    return Found(found, without, fresh)


def table(plan: Plan, found: Found) -> list[str]:
    """The rates as text: over size and contrast, all kinds together; then over kind and size."""
    n = found.found.shape[0] * plan.repeats
    rejected = f"good parts rejected: {found.fresh.sum()} of {found.fresh.size} fresh ones"
    lines = [
        f"{rejected}; of the {n} parts below, before they got a defect, {found.without.sum()}",
        f"defective parts rejected, %, {n} in a cell (size down, contrast across)",
        _row("", [f"{contrast:.0%}" for contrast in plan.contrasts]),
    ]
    rates = 100.0 * found.found.mean(axis=(0, 3))
    lines += [_row(f"{size:g} px", _percent(row)) for size, row in zip(plan.sizes_px, rates, strict=True)]
    lines += [
        f"the same, %, {plan.repeats * len(plan.contrasts)} in a cell (kind down, size across, all contrasts)",
        _row("", [f"{size:g} px" for size in plan.sizes_px]),
    ]
    by_kind = 100.0 * found.found.mean(axis=(2, 3))
    return lines + [_row(name, _percent(row)) for name, row in zip(KINDS, by_kind, strict=True)]


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<8}" + "".join(f"{cell:>7}" for cell in cells)


def _percent(rates: npt.NDArray[np.float64]) -> list[str]:
    return [f"{rate:.0f}" for rate in rates]


def main() -> int:
    """Print one table a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(TRIALS))
    parser.add_argument("--sizes", type=_numbers, default=SIZES_PX, help="px, with commas")
    parser.add_argument("--contrasts", type=_percents, default=CONTRASTS, help="%% of full scale, with commas")
    for name in ("repeats", "good", "fresh", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Plan(), name))
    args = parser.parse_args()
    if unknown := set(args.methods) - set(TRIALS):
        parser.error(f"no method {', '.join(sorted(unknown))}; methods: {', '.join(TRIALS)}")
    plan = Plan(args.sizes, args.contrasts, args.repeats, args.good, args.fresh, args.seed)
    camera = DefectCamera(seed=plan.seed)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        gathered = gather(good_parts(camera, plan, Path(folder)), CalibrationOptions(part="cursor", seed=plan.seed))
        _say(f"{plan.good} good parts registered in {time.perf_counter() - begin:.0f} s")
        trials = {method: TRIALS[method](gathered) for method in args.methods}
    for method, trial in trials.items():
        _say(f"\n{method}")
        found = judge(camera, plan, trial.rejects, _say)
        _say("\n".join([*table(plan, found), f"the limit promises of new good parts: {trial.promise}"]))
    return 0


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(","))


def _percents(text: str) -> tuple[float, ...]:
    return tuple(number / 100.0 for number in _numbers(text))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
