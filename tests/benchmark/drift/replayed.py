"""Good images through the real inspection with a slow change laid over them, their rows through the line's charts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from calibration.calibrate import calibrate
from calibration.options import CalibrationOptions
from drivers.simulated.camera import ZipperCamera
from edge_agent.domain import Capture, Outcome
from edge_agent.drift.chart import RULES
from edge_agent.drift.charts import LineCharts
from edge_agent.drift.known import known_from
from edge_agent.drift.words import changes_words
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.inspector import Inspector
from edge_agent.store.rows import CameraRow
from tests.security.web_site import part_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_agent.store.rows import PartRow

    Image = NDArray[np.uint8]

__all__ = [
    "OVERLAYS",
    "Told",
    "bootstrapped",
    "calibrated",
    "charts_of",
    "judged",
    "real_parts",
    "rendered",
    "replayed",
]

_BEGIN: Final = datetime(2026, 11, 24, 6, tzinfo=UTC)
_DEADLINE_MS: Final = 700.0
_BEFORE: Final = 100
_LATENCY_S: Final = 0.1
"""Always the same: what else this machine does is no drift of the images."""


def _moved(image: Image, across: float) -> Image:
    height, width = image.shape[:2]
    # By whole pixels: between them a shift is a blur as well, which no fixture does.
    motion = np.array([[1, 0, round(across * width)], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(image, motion, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _scaled(image: Image, by: float, about: float = 0.0) -> Image:
    return np.asarray(np.clip(np.rint((image.astype(np.float32) - about) * by + about), 0, 255), np.uint8)


def _blurred(image: Image, sigma: float) -> Image:
    return image if sigma < 0.05 else np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


OVERLAYS: Final[dict[str, Callable[[Image, float], Image]]] = {
    "darker": lambda image, share: _scaled(image, 1 - 0.5 * share),
    "brighter": lambda image, share: _scaled(image, 1 + 0.5 * share),
    "less contrast": lambda image, share: _scaled(image, 1 - 0.5 * share, float(image.mean())),
    "out of focus": lambda image, share: _blurred(image, 3.0 * share),
    "shifted": lambda image, share: _moved(image, 0.10 * share),
}
"""Each from nothing at 0 to more than any bundle lets through at 1."""


def rendered(light: float = 0.01, seed: int = 11) -> Iterator[Image]:
    """Good parts of the simulated line, small, without end; the light differs from part to part by that share."""
    camera, rng = ZipperCamera(width=400, height=300, light_drift=light), np.random.default_rng(seed)
    while True:
        yield camera.render(rng).image


def real_parts(folder: Path, leave: int) -> Iterator[Image]:
    """Good images of a data set in MVTec's layout, without the first ``leave``, in the same order again and again."""
    files = sorted((folder / "train" / "good").iterdir())[leave:] + sorted((folder / "test" / "good").iterdir())
    images = [decode(file.read_bytes()) for file in files]
    while True:
        yield from images


def calibrated(images: Sequence[Image], folder: Path, threads: int = 2) -> Inspector:
    """An inspector by a bundle from these good images; ``folder`` is new."""
    good = folder / "good"
    good.mkdir(parents=True)
    for number, image in enumerate(images):
        (good / f"{number:04}.png").write_bytes(_png(image))
    found = calibrate(good, folder / "bundle", CalibrationOptions(threads=threads))
    return Inspector(Bundle.load(found.path), threads=threads)


def judged(inspector: Inspector, image: Image, seq: int) -> PartRow:
    """The row that the line would have of it."""
    found = inspector.inspect(_png(image))
    capture = Capture(seq, 1, "s", f"{seq}.png", None, found.image_sha256, 0.0)
    return _row(CameraRow.of(capture, found), seq)


def _row(camera: CameraRow, seq: int) -> PartRow:
    at_s = 2.0 * seq
    return replace(
        part_row(seq),
        cameras=(camera,),
        reason=camera.reason,
        score=camera.score,
        limit=camera.limit,
        bundle_id=camera.bundle_id,
        first_sign_mono_s=at_s - _LATENCY_S,
        decided_mono_s=at_s,
        decided_utc=(_BEGIN + timedelta(seconds=at_s)).isoformat(timespec="milliseconds"),
    )


def charts_of(inspector: Inspector) -> LineCharts:
    """The charts of a line with that bundle."""
    known = known_from(inspector.bundle.manifest, _DEADLINE_MS)
    return LineCharts(lambda _camera, _bundle: known)


@dataclass(frozen=True, slots=True)
class Told:
    """What a replay came to. ``told_at`` and ``since`` are parts after the change began, None where it was not told.

    ``share`` is how much of the overlay there was then. ``rejected_before`` is how many good parts were rejected from
    its beginning until it was told, ``expected`` how many of the very same parts are without it.
    """

    overlay: str
    told_at: int | None
    share: float
    since: int | None
    rejected_before: int
    expected: int
    words: str

    @property
    def excess(self) -> int:
        """Good parts rejected more than expected before the change was told."""
        return self.rejected_before - self.expected


def replayed(
    inspector: Inspector, parts: Iterator[Image], overlay: str, *, usual: Sequence[PartRow], over: int
) -> Told:
    """First parts drawn from ``usual``, which were inspected as they are; then the overlay from nothing to all of it.

    That takes ``over`` parts, each of them inspected with it and without; it ends once the change is told.
    """
    charts, rejected, expected = charts_of(inspector), 0, 0
    for row in bootstrapped(usual, RULES.refines + _BEFORE, 1):
        charts.take(row)
    begin = RULES.refines + _BEFORE
    for at in range(1, over + 1):
        part = next(parts)
        expected += judged(inspector, part, begin + at).cameras[0].outcome is not Outcome.OK
        row = judged(inspector, OVERLAYS[overlay](part, at / over), begin + at)
        rejected += row.cameras[0].outcome is not Outcome.OK
        charts.take(row)
        if words := changes_words(charts):
            change = next(one.change for one in charts.standing() if one.change is not None)
            since = change.since_seq - begin
            return Told(overlay, at, at / over, since, rejected, expected, words)
    return Told(overlay, None, 1.0, None, rejected, expected, "")


def bootstrapped(rows: Sequence[PartRow], number: int, seed: int) -> Iterator[PartRow]:
    """So many drift-free parts, each one of those that were really inspected, drawn with replacement."""
    rng = np.random.default_rng(seed)
    for seq, index in enumerate(rng.integers(0, len(rows), number), start=1):
        row = rows[int(index)]
        yield _row(row.cameras[0], seq)


def _png(image: Image) -> bytes:
    ok, data = cv2.imencode(".png", image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1]))
    if not ok:
        raise ValueError(f"an image of shape {image.shape} does not encode")
    return data.tobytes()
