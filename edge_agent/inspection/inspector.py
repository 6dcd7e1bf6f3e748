"""The inspector: the bytes of one image in, its inspection out.

In two steps, for the next image may be prepared (decoded, laid on the reference) while the networks look at this one.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from drivers.base import ImageRefused
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.golden import check_golden
from edge_agent.inspection.containers.decode import check_shape, read_image
from edge_agent.inspection.networks.anomaly_map import Reconstructor, anomaly_map, to_working, upsize
from edge_agent.inspection.networks.extractor import Views
from edge_agent.inspection.registration.likeness import Likeness
from edge_agent.inspection.registration.register import Registration
from edge_agent.inspection.registration.seen_area import SeenArea, crop_of
from edge_agent.inspection.scoring.condition import measure_condition
from edge_agent.inspection.scoring.outcome import decide_outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_agent.domain import Alignment
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.inspection.containers.decode import DecodedImage
    from edge_agent.inspection.scoring.judge import Embedded, Judged

__all__ = ["Inspector", "Pictures", "Prepared"]


_HALF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What the method saw, in the crop's frame at full resolution.

    ``input`` and ``reconstruction`` are float32 (H, W, C), ``anomaly_map`` float32 (H, W). ``heat_map`` is over the
    whole received image, float32 of its height and width: 1.0 is the limit, in any image; None where the score
    definition knows no places.
    """

    input: NDArray[np.float32]
    reconstruction: NDArray[np.float32]
    anomaly_map: NDArray[np.float32]
    heat_map: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An image half on its way: decoded, and laid on the reference.

    ``picture`` holds its pixels, uint8 (H, W) or (H, W, 3), how the part lies, and what is looked at, float32 (h, w, C)
    in [0, 1]; None where the image was ``refused`` for that reason. ``note`` is what a person should know of the file.
    """

    digest: str
    timings_ms: dict[str, float]
    picture: tuple[NDArray[np.uint8], Alignment, NDArray[np.float32]] | None = None
    refused: Reason = Reason.INTERNAL
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one image became on its way, for those who ask for pictures."""

    pixels: NDArray[np.uint8]
    views: Views
    embedded: Embedded
    alignment: Alignment


class Inspector:
    """Judges images by one bundle. ``prepare`` may run in any thread, ``judge`` in one at a time."""

    def __init__(self, bundle: Bundle, *, threads: int = 2) -> None:
        """Loads the networks. Raises BundleRejected if they do not fit each other."""
        self.bundle = bundle
        try:
            self._reconstructor = Reconstructor(bundle.cpcae_onnx, bundle.grid, bundle.channels, threads=threads)
            self._judge = bundle.judge(threads=threads)
            self._registration = Registration(bundle.reference, bundle.registration, bundle.mask)
            self._likeness = _likeness(bundle)
            self._seen_area = bundle.seen_area
        except Exception as err:  # ONNX Runtime raises bare exceptions of its own
            raise BundleRejected(f"{bundle.folder}: {err}", hint="calibrate again with this version") from err

    def warm_up(self) -> float:
        """Run the reference image through everything; returns the milliseconds that it takes once all is warm.

        Raises BundleRejected if the reference itself has no finite score, or if this machine computes something else
        than the one that calibrated.
        """
        try:
            reference = self._prove()
        except BundleRejected:
            raise
        except Exception as err:  # networks and banks of other sizes: each library has its own exceptions
            raise BundleRejected(
                f"{self.bundle.folder}: its own reference image cannot be judged: {err}",
                hint="calibrate again with this version",
            ) from err
        # Only now: the first inspection also allocates and compiles, and is no measure of the later ones.
        begin = time.perf_counter()
        self.inspect(reference)
        return (time.perf_counter() - begin) * 1000.0

    def _prove(self) -> bytes:
        """The reference image as a file, once it and the golden values were judged as they should be."""
        for kind in (".bmp", ".png"):  # a BMP of a dark part may end in more black than the good images' files did
            encoded = _encoded(kind, self.bundle.reference)
            found = self.inspect(encoded)
            if math.isfinite(found.score):
                break
        if not math.isfinite(found.score):
            raise BundleRejected(f"{self.bundle.folder}: the reference image has no score: {found.detail}")
        check_golden(self.bundle, self.inspect)
        return encoded

    def inspect(self, data: bytes, certain: Callable[[], None] | None = None) -> Inspection:
        """The inspection of one image file. A bad image is NG with its reason, never an exception.

        ``certain`` is called once, before the end, where nothing that is still to be found can make it OK.
        """
        return self.judge(self.prepare(data), certain)

    def explain(self, data: bytes) -> tuple[Inspection, Pictures | None]:
        """As ``inspect``, and the pictures that the score was made from; None where the image was refused."""
        inspection, seen = self._judged(self.prepare(data), None)
        return inspection, self._pictures(seen) if seen else None

    def prepare(self, data: bytes) -> Prepared:
        """The first half: decode the file, and find the part in it. Never raises for a bad image."""
        stages = _Stages()
        # Of the very bytes that are decoded below: whoever compares it knows that what was judged is what was proven
        # (docs/decisions/0006).
        digest = hashlib.sha256(data).hexdigest()
        try:
            file = read_image(data)
            check_shape(file.pixels, self.bundle.reference.shape)
            stages.end("decode")
            alignment = self._registration.register(file.pixels)
            # Behind registration: where a good part is black is known in the reference's frame (docs/decisions/0052).
            self._check_tail(file, alignment)
        except ImageRefused as err:
            stages.end("register" if stages.timings_ms else "decode")
            return Prepared(digest, stages.timings_ms, refused=err.reason, note=err.detail)
        seen = self._seen_area.of(self._registration, file.pixels, alignment)
        stages.end("register")
        return Prepared(digest, stages.timings_ms, (file.pixels, alignment, seen), note=file.note)

    def judge(self, prepared: Prepared, certain: Callable[[], None] | None = None) -> Inspection:
        """The second half: what the networks see in it, the score, the decision. ``certain`` as ``inspect`` has it."""
        return self._judged(prepared, certain)[0]

    def _judged(self, prepared: Prepared, certain: Callable[[], None] | None) -> tuple[Inspection, _Seen | None]:
        stages = _Stages(dict(prepared.timings_ms))
        if prepared.picture is None:
            return self._refused(prepared, stages), None
        pixels, alignment, seen = prepared.picture
        limits, early = self.bundle.condition, _Early(certain)
        measured = measure_condition(seen, self.bundle.places) if limits.allowed else {}
        settle = partial(
            decide_outcome,
            limit=self.bundle.limit,
            review_from=self.bundle.review_from,
            quality=alignment.quality,
            quality_min=self.bundle.quality_min,
            likeness=self._likeness(to_working(seen, self.bundle.grid)),
            likeness_min=self.bundle.likeness_min,
            unseen_fraction=self._registration.unseen_fraction(alignment, self.bundle.crop),
            unseen_max=self.bundle.unseen_max,
            pose_fault=self.bundle.pose.judge(alignment),
            condition_fault=limits.judge(measured),
        )
        stages.end("gate")
        # Where even the best score would not make it OK, no network has to be waited for (docs/decisions/0083).
        early.tell(settle(score=0.0)[0] is not Outcome.OK)
        views = Views.of_image(seen)
        if self._judge.hears_autoencoder:
            views = self._repaired(seen)
            stages.end("reconstruct")
        embedded, shares = {}, {}
        for name, features in self._judge.looks(views):
            stages.end("embed")
            embedded[name], shares[name] = features, self._judge.share(name, features)
            # From REVIEW on, not from the limit: on the line REVIEW is a reject (docs/decisions/0015).
            early.tell(self._judge.at_least(shares) >= self.bundle.review_from)
            stages.end("score")
        judged = self._judge.judged(shares)
        outcome, reason, detail = settle(score=judged.score, seen_in=judged.seen_in)
        detail = "; ".join(filter(None, (detail, prepared.note)))
        inspection = self._inspection(
            outcome, reason, prepared.digest, stages, judged=judged, alignment=alignment, detail=detail
        )
        inspection = replace(inspection, condition=limits.shares(measured))
        return inspection, _Seen(pixels, views, embedded, alignment)

    def _refused(self, prepared: Prepared, stages: _Stages) -> Inspection:
        """Of an image that was never looked at."""
        return self._inspection(Outcome.NG, prepared.refused, prepared.digest, stages, detail=prepared.note)

    def _repaired(self, crop: NDArray[np.float32]) -> Views:
        repaired = self._reconstructor.reconstruct(to_working(crop, self.bundle.grid))
        return Views(crop, repaired, anomaly_map(crop, upsize(repaired, *crop.shape[:2])))

    def _pictures(self, seen: _Seen) -> Pictures:
        x, y, width, height = self.bundle.crop
        heat, laid_back = self._judge.heat(seen.embedded, height, width, limit=self.bundle.limit), None
        if heat is not None:
            whole = np.zeros(self.bundle.reference.shape[:2], np.float32)
            whole[y : y + height, x : x + width] = heat
            laid_back = self._registration.warp_back(whole, seen.alignment)
        views = seen.views
        if not self._judge.hears_autoencoder:
            # No score hears the autoencoder: it is asked now, for the picture alone, and at full size.
            views = self._repaired(SeenArea.whole(self.bundle.crop).of(self._registration, seen.pixels, seen.alignment))
        upsized = upsize(views.reconstruction, height, width)
        return Pictures(views.crop, upsized, views.differences[..., 0], laid_back)

    def _check_tail(self, file: DecodedImage, alignment: Alignment) -> None:
        """Refuse a file whose end was filled with zeros. Black is believed where good parts are black."""
        rows, most = file.zero_tail.rows, self.bundle.zero_tail_rows
        if rows <= most:
            return
        dark = self.bundle.dark.most_rows(file, self._registration, alignment)
        if rows > dark:
            raise ImageRefused(
                Reason.IMAGE_BROKEN,
                f"the file ends in {rows} rows of zeros: good images end in at most {most}, and as the part lies good "
                f"parts are black in {dark}",
            )

    def _inspection(
        self,
        outcome: Outcome,
        reason: Reason,
        digest: str,
        stages: _Stages,
        *,
        judged: Judged | None = None,
        alignment: Alignment | None = None,
        detail: str = "",
    ) -> Inspection:
        return Inspection(
            outcome=outcome,
            reason=reason,
            score=judged.score if judged else math.nan,
            limit=self.bundle.limit,
            bundle_id=self.bundle.id,
            image_sha256=digest,
            alignment=None if self.bundle.registration.off else alignment,
            detail=detail,
            timings_ms=stages.timings_ms,
            shares=judged.shares if judged else {},
        )


def _likeness(bundle: Bundle) -> Likeness:
    """How like the reference a working image is, where the bundle says that the part is."""
    template = to_working(crop_of(bundle.reference * np.float32(1.0 / 255.0), bundle.crop), bundle.grid)
    if bundle.part_region is None:
        return Likeness(template)
    region = to_working(crop_of((bundle.part_region > 0).astype(np.float32), bundle.crop), bundle.grid)
    return Likeness(template, region[..., 0] > _HALF)


@dataclass(slots=True)
class _Early:
    """Who wants to know, and only once, that a part is rejected for certain."""

    certain: Callable[[], None] | None

    def tell(self, is_certain: bool) -> None:  # noqa: FBT001 - the answer itself
        if is_certain and self.certain is not None:
            self.certain()
            self.certain = None


@dataclass(slots=True)
class _Stages:
    """Milliseconds of each stage, since the end of the one before; of one that comes more than once, all of them."""

    timings_ms: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)

    def end(self, name: str) -> None:
        now = time.perf_counter()
        self.timings_ms[name] = self.timings_ms.get(name, 0.0) + (now - self._since) * 1000.0
        self._since = now


def _encoded(kind: str, image: NDArray[np.uint8]) -> bytes:
    """An image file's bytes; none where it does not encode."""
    ok, encoded = cv2.imencode(kind, _bgr(image))
    return encoded.tobytes() if ok else b""


def _bgr(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
