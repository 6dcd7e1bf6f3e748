"""What light and lens may do before good parts are rejected by their score: tried on the finished bundle.

The condition (docs/decisions/0057) lets a part through to its score in any light that has to be borne. Whether the
score bears that light hangs on the parts: where good ones are nearly the same, a little more noise is further out than
any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.at_once import at_once
from calibration.disturbances import disturbances_for
from calibration.limits.shares import percent
from calibration.training.crossfit import as_seen
from edge_agent.inspection.networks.anomaly_map import Reconstructor
from edge_agent.inspection.networks.channels import Views
from edge_agent.inspection.scoring.judge import ViewsJudge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.inspection.scoring.judge import Embedded

__all__ = ["Bearing", "Borne", "bearing_of"]

_LEAST_ROOM: Final = 1e-3
"""Between a usual good part and the limit: less is none, and no share of it says anything."""
_TRIED: Final = 3
"""Good parts that are disturbed: what a disturbance does to a score hangs on the part type, little on the part."""


@dataclass(frozen=True, slots=True)
class Borne:
    """A disturbance by its ``title``, and how far it takes a usual good part: 0 is nowhere, 1 is to its rejection."""

    title: str
    way: float

    @property
    def is_borne(self) -> bool:
        """Whether a usual good part still passes."""
        return self.way < 1.0


@dataclass(frozen=True, slots=True)
class Bearing:
    """What each disturbance does to a usual good part of this type, the worst first."""

    rows: tuple[Borne, ...]

    @property
    def statement(self) -> str:
        """What holds and what to do, in one or two sentences."""
        worst, rejects = self.rows[0], [row for row in self.rows if not row.is_borne]
        if not rejects:
            passes = f"a usual good part passes in each of {len(self.rows)} disturbances of light and lens"
            if worst.way <= 0.0:
                return f"{passes}; none takes it nearer to the limit"
            return f"{passes}; the worst, {worst.title}, takes it {percent(worst.way)} of the way to the limit"
        named = ", ".join(f"{row.title} ({percent(row.way)} of the way to the limit)" for row in rejects)
        return (
            f"good parts would be rejected by their score in: {named}. These good parts are so much alike that this "
            "looks like a defect: keep light, focus and kind of image as constant as they were for these images, or "
            "add good images that were taken so"
        )

    def to_json(self) -> dict[str, object]:
        """For programs."""
        rows = [{"disturbance": row.title, "way_to_limit": round(row.way, 4)} for row in self.rows]
        return {"statement": self.statement, "rows": rows}


def bearing_of(
    bundle: Bundle,
    registered: RegisteredSet,
    scores: NDArray[np.float64],
    *,
    threads: int,
    progress: Callable[[int, int], None],
) -> Bearing | None:
    """What disturbances do to some of the good parts that this ``bundle`` of views was made of.

    Each part goes the line's way, registered anew, and is judged without itself, disturbed and as it is: by so much a
    usual good part's score, the median of the held-out ``scores`` of the shape (n,), is raised. A review band rejects
    as the limit does. None where a usual good part is rejected already. Raises TypeError for a bundle of another score.
    """
    judge, usual = bundle.judge(threads=threads), float(np.median(scores))
    if not isinstance(judge, ViewsJudge):
        raise TypeError("only the mean of views judges without a part")
    room = bundle.review_from - usual
    if room < _LEAST_ROOM:
        return None
    reconstructor = None
    if judge.hears_autoencoder:
        reconstructor = Reconstructor(bundle.cpcae_onnx, bundle.grid, bundle.channels, threads=threads)

    def laid(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = registered.registration.register(image)
        return registered.seen(image, found)

    def seen(crop: NDArray[np.float32]) -> Embedded:
        return judge.embed(as_seen(crop, registered, reconstructor) if reconstructor else Views.of_image(crop))

    disturbances = disturbances_for(registered.channels)
    raised: dict[str, list[float]] = {disturbance.title: [] for disturbance in disturbances}
    chosen = np.unique(np.linspace(0, len(registered.images) - 1, _TRIED).round().astype(int))
    for done, index in enumerate(chosen, start=1):
        pixels = registered.images[index].pixels()
        plain = seen(laid(pixels))
        others = judge.without(plain)
        before = others.score(plain).score
        crops = at_once(lambda one: laid(one.apply(pixels)), disturbances, threads=threads)  # noqa: B023 - used at once
        for disturbance, crop in zip(disturbances, crops, strict=True):
            raised[disturbance.title].append(others.score(seen(crop)).score - before)
        del others  # as large as the bundle's own memory, and the next one comes before it is gone
        progress(done, len(chosen))
    rows = [Borne(title, float(np.median(by)) / room) for title, by in raised.items()]
    return Bearing(tuple(sorted(rows, key=lambda row: -row.way)))
