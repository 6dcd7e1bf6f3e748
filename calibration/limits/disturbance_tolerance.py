"""How much change of light and lens good parts tolerate before their score rejects them: tried on the finished bundle.

The limits of light and focus (docs/decisions/0057) let a part through to its score in every light that the line has to
tolerate. Whether the score tolerates that light too depends on the part type: where good parts are nearly the same, a
little more noise than usual makes a part more unlike them than any good part is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.disturbances import disturbances_for
from calibration.good_parts.spread import evenly
from calibration.limits.shares import percent
from calibration.training.crossfit import as_seen
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.networks.anomaly_map import Reconstructor
from edge_agent.inspection.networks.extractor import Views
from edge_agent.inspection.scoring.judge import ViewsJudge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.inspection.scoring.judge import Embedded

__all__ = ["DisturbanceEffect", "DisturbanceTolerance", "disturbance_tolerance_of"]

_LEAST_ROOM: Final = 1e-3
"""Between a usual good part and the limit: less is none, and no share of it says anything."""
_TRIED: Final = 3
"""Good parts that are disturbed: what a disturbance does to a score hangs on the part type, little on the part."""


@dataclass(frozen=True, slots=True)
class DisturbanceEffect:
    """What one disturbance, by its ``title``, does to a usual good part.

    ``way_to_limit`` is how much of the distance from its score to the limit it uses up: 0 is nothing, 1 rejects it.
    """

    title: str
    way_to_limit: float

    @property
    def is_tolerated(self) -> bool:
        """Whether a usual good part still passes."""
        return self.way_to_limit < 1.0


@dataclass(frozen=True, slots=True)
class DisturbanceTolerance:
    """What each disturbance does to a usual good part of this type, the worst first."""

    rows: tuple[DisturbanceEffect, ...]

    @property
    def statement(self) -> str:
        """What holds and what to do, in one or two sentences."""
        worst, rejects = self.rows[0], [row for row in self.rows if not row.is_tolerated]
        if not rejects:
            passes = f"a usual good part passes in each of {len(self.rows)} disturbances of light and lens"
            if worst.way_to_limit <= 0.0:
                return f"{passes}; none takes it nearer to the limit"
            return f"{passes}; the worst, {worst.title}, takes it {percent(worst.way_to_limit)} of the way to the limit"
        named = ", ".join(f"{row.title} ({percent(row.way_to_limit)} of the way to the limit)" for row in rejects)
        return (
            f"good parts would be rejected by their score in: {named}. These good parts are so much alike that this "
            "looks like a defect: keep light, focus and kind of image as constant as they were for these images, or "
            "add good images that were taken so"
        )

    def to_json(self) -> dict[str, object]:
        """The object that stands under ``light_and_lens`` in ``--json``."""
        rows = [{"disturbance": row.title, "way_to_limit": round(row.way_to_limit, 4)} for row in self.rows]
        return {"statement": self.statement, "rows": rows}


def disturbance_tolerance_of(
    bundle: Bundle,
    registered: RegisteredSet,
    scores: NDArray[np.float64],
    *,
    threads: int,
    progress: Callable[[int, int], None],
    workers: Workers = ONE_THREAD,
) -> DisturbanceTolerance | None:
    """What disturbances do to some of the good parts that this ``bundle`` of views was made of.

    Each part goes the line's way, registered anew, and is judged without itself, disturbed and as it is: by so much a
    usual good part's score, the median of the held-out ``scores`` of the shape (n,), is raised. A review band rejects
    as the limit does. None where a usual good part is rejected already. Raises TypeError for a bundle of another score.
    """
    judge, usual = bundle.judge(threads=threads), float(np.median(scores))
    if not isinstance(judge, ViewsJudge):
        raise TypeError("only the mean of views judges without a part")
    # To where REVIEW begins: on the line it is a reject (docs/decisions/0015).
    room = bundle.review_from - usual
    if room < _LEAST_ROOM:
        return None
    reconstructor = None
    if judge.hears_autoencoder:
        reconstructor = Reconstructor(bundle.cpcae_onnx, bundle.grid, bundle.channels, threads=threads)

    def seen(crop: NDArray[np.float32]) -> Embedded:
        return judge.embed(as_seen(crop, registered, reconstructor) if reconstructor else Views.of_image(crop))

    disturbances = disturbances_for(registered.channels)
    raised: dict[str, list[float]] = {disturbance.title: [] for disturbance in disturbances}
    chosen = evenly(len(registered.images), _TRIED)
    shown = [(index, way) for index in chosen for way in (None, *range(len(disturbances)))]
    crops = workers.each(Work(_laid, (registered,)), shown)
    for done in range(1, len(chosen) + 1):
        plain = seen(next(crops))
        # The bundle knows these parts: compared with itself a part would be at distance 0, and only the disturbance
        # would count.
        others = judge.without(plain)
        before = others.score(plain).score
        for disturbance, crop in zip(disturbances, islice(crops, len(disturbances)), strict=True):
            raised[disturbance.title].append(others.score(seen(crop)).score - before)
        del others  # as large as the bundle's own memory, and the next one comes before it is gone
        progress(done, len(chosen))
    rows = [DisturbanceEffect(title, float(np.median(by)) / room) for title, by in raised.items()]
    return DisturbanceTolerance(tuple(sorted(rows, key=lambda row: -row.way_to_limit)))


def _laid(registered: RegisteredSet, shown: tuple[int, int | None]) -> NDArray[np.float32]:
    """What is looked at of a good part in this disturbance, or as it is: registered anew, for it may lie elsewhere."""
    index, way = shown
    pixels = registered.images[index].pixels()
    if way is not None:
        pixels = disturbances_for(registered.channels)[way].apply(pixels)
    return registered.seen(pixels, registered.registration.register(pixels))
