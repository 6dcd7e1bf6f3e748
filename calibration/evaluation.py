"""How well a method tells good from defective on a labelled data set, and what its own limit would have done.

The road is the product's: a calibration of the good training images, the written bundle loaded again, the inspector
on every test image. Measures are of raw scores (Saeedi & Giusti, section 4.3).
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

import numpy as np

from calibration.calibrate import METHODS, CalibrationOptions, CalibrationResult, calibrate
from calibration.images import MIN_IMAGES, list_images
from drivers.base import ImageRefused
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.decode import prove_complete
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge_agent.domain import Inspection

__all__ = ["Evaluation", "SeedResult", "evaluate"]

_LAYOUT = "expected are train/good/, test/good/ and test/<kind of defect>/ with PNG, BMP or JPEG images"


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One calibration and its test. ``auc`` and ``ap`` in percent; the rest is what the bundle's own limit did."""

    seed: int
    auc: float
    ap: float
    limit: float
    expected_false_rejects: float
    false_reject_bound_95: float
    good: int
    good_rejected: int
    defective: int
    defective_passed: int
    good_align_rejected: int
    defective_align_rejected: int

    @property
    def line(self) -> str:
        """For a person."""
        return (
            f"seed {self.seed}: AUC {self.auc:.2f} %, AP {self.ap:.2f} %; at its own limit {self.good_rejected} of "
            f"{self.good} good parts rejected (expected {self.expected_false_rejects:.1%}), {self.defective_passed} of "
            f"{self.defective} defective ones passed; not registered: {self.good_align_rejected} good, "
            f"{self.defective_align_rejected} defective"
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All seeds of one method on one data set. ``auc``, ``ap`` (means), ``*_sd`` and ``chance_ap`` in percent."""

    dataset: str
    method: str
    auc: float
    auc_sd: float
    ap: float
    ap_sd: float
    chance_ap: float
    seeds: tuple[SeedResult, ...]

    def to_json(self) -> dict[str, object]:
        """One versioned object."""
        return {"schema_version": 1, **asdict(self), "seeds": [asdict(seed) for seed in self.seeds]}

    def summary(self) -> list[str]:
        """Lines for a person."""
        auc, ap = f"AUC {self.auc:.2f} % (sd {self.auc_sd:.2f})", f"AP {self.ap:.2f} % (sd {self.ap_sd:.2f})"
        return [
            f"{self.dataset}, method {self.method}, {len(self.seeds)} seed(s)",
            f"{auc}, {ap}; a coin toss has AUC 50 %, AP {self.chance_ap:.1f} %",
            *(seed.line for seed in self.seeds),
        ]


def evaluate(
    dataset: Path,
    *,
    method: str = "paper",
    seeds: int | Sequence[int] = 3,
    threads: int = 2,
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> Evaluation:
    """Calibrate on ``dataset/train/good`` and judge ``dataset/test/*/``, once a seed (a number counts from 0).

    Raises DataError for a folder that is not such a data set, UsageError, CalibrationRefused, Unavailable.
    """
    if method not in METHODS:
        raise UsageError(f"no method {method!r}", hint=f"methods: {', '.join(METHODS)}")
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen:
        raise UsageError("no seed to evaluate", hint="ask for at least one")
    tests = _tests(dataset)
    for path, _ in tests:
        _check_readable(path)
    results = []
    for number, seed in enumerate(chosen, start=1):
        prefix = f"seed {number}/{len(chosen)}: " if len(chosen) > 1 else ""
        options = CalibrationOptions(part=dataset.name, seed=seed, method=method, threads=threads)
        results.append(_one_seed(dataset, tests, options, _prefixed(progress, prefix)))
    aucs, aps = [r.auc for r in results], [r.ap for r in results]
    return Evaluation(
        dataset=dataset.name,
        method=method,
        auc=mean(aucs),
        auc_sd=stdev(aucs) if len(aucs) > 1 else 0.0,
        ap=mean(aps),
        ap_sd=stdev(aps) if len(aps) > 1 else 0.0,
        chance_ap=100.0 * results[0].defective / (results[0].good + results[0].defective),
        seeds=tuple(results),
    )


def _tests(dataset: Path) -> list[tuple[Path, bool]]:
    """Test images and whether each is defective."""
    if not dataset.is_dir():
        raise DataError(f"{dataset} is not a folder", hint=_LAYOUT)
    for folder in (dataset / "train" / "good", dataset / "test" / "good"):
        if not folder.is_dir() or not list_images(folder):
            raise DataError(f"{folder} holds no images", hint=_LAYOUT)
    if len(list_images(dataset / "train" / "good")) < MIN_IMAGES:
        raise DataError(f"{dataset / 'train' / 'good'} holds fewer than {MIN_IMAGES} images", hint=_LAYOUT)
    kinds = sorted(p for p in (dataset / "test").iterdir() if p.is_dir())
    tests = [(path, kind.name != "good") for kind in kinds for path in list_images(kind)]
    if not any(is_defective for _, is_defective in tests):
        raise DataError(f"{dataset / 'test'} holds good images only: there is nothing to tell apart", hint=_LAYOUT)
    return tests


def _check_readable(path: Path) -> None:
    """An evaluation of minutes does not end at its last image."""
    try:
        prove_complete(path.read_bytes())
    except (OSError, ImageRefused) as err:
        raise DataError(f"{path} cannot be read: {err}", hint="remove it or copy it again") from err


def _one_seed(
    dataset: Path,
    tests: Sequence[tuple[Path, bool]],
    options: CalibrationOptions,
    progress: Callable[[str, int, int], None],
) -> SeedResult:
    with tempfile.TemporaryDirectory(prefix="edge-agent-evaluate-") as folder:
        result = calibrate(dataset / "train" / "good", Path(folder) / "bundle", options, progress)
        inspector = Inspector(Bundle.load(result.path), threads=options.threads)
    inspections = []
    for number, (path, _) in enumerate(tests, start=1):
        inspections.append(_inspected(inspector, path))
        progress("test", number, len(tests))
    return _measured(options.seed, result, np.array([is_defective for _, is_defective in tests]), inspections)


def _inspected(inspector: Inspector, path: Path) -> Inspection:
    inspection = inspector.inspect(path.read_bytes())
    if not np.isfinite(inspection.score):
        raise DataError(f"{path} has no score: {inspection.detail}", hint="remove it or copy it again")
    return inspection


def _measured(
    seed: int, result: CalibrationResult, defective: NDArray[np.bool_], inspections: Sequence[Inspection]
) -> SeedResult:
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415 - a second of start-up

    scores = np.array([inspection.score for inspection in inspections])
    passed = np.array([inspection.outcome is Outcome.OK for inspection in inspections])
    align = np.array([inspection.reason is Reason.ALIGN for inspection in inspections])
    return SeedResult(
        seed=seed,
        auc=100.0 * float(roc_auc_score(defective, scores)),
        ap=100.0 * float(average_precision_score(defective, scores)),
        limit=result.limit,
        expected_false_rejects=result.expected_false_rejects,
        false_reject_bound_95=result.false_reject_bound_95,
        good=int((~defective).sum()),
        good_rejected=int((~passed & ~defective).sum()),
        defective=int(defective.sum()),
        defective_passed=int((passed & defective).sum()),
        good_align_rejected=int((align & ~defective).sum()),
        defective_align_rejected=int((align & defective).sum()),
    )


def _prefixed(progress: Callable[[str, int, int], None], prefix: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: progress(prefix + stage, done, total)
