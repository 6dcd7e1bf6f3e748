"""How far light and focus have moved, from the newest images of each camera: said before parts are rejected for it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from edge_agent.domain import Reason
from edge_agent.inspection.scoring.quantity import Quantity, is_focus, look_at, moved_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["WARN_FROM", "Drift", "drift_warnings", "drifts"]

_NEWEST = 20
_FEWEST = 5
"""Images before a person is told: one odd part is no drift."""
WARN_FROM = 0.7
"""Of the room between what is usual and what is refused."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The median of one quantity over the newest images of one camera: 0 is usual, -1 and 1 are refused."""

    camera: int
    quantity: str
    share: float
    images: int

    @property
    def words(self) -> str:
        """For a person; empty while there is nothing to look at."""
        if self.images < _FEWEST or abs(self.share) < WARN_FROM or self.quantity not in set(Quantity):
            return ""
        quantity = Quantity(self.quantity)
        moved, reason = (
            moved_words(quantity, is_less=self.share < 0),
            Reason.FOCUS if is_focus(quantity) else Reason.LIGHT,
        )
        return (
            f"camera {self.camera}: the images have become {moved}, {abs(self.share):.0%} of the way to where every "
            f"part is rejected ({reason}): {look_at(quantity)}"
        )


def drifts(rows: Iterable[PartRow]) -> list[Drift]:
    """Of these parts, oldest first, what the newest images of each camera say that its newest bundle judged.

    An image that was not laid on the reference says nothing: there the background was measured.
    """
    by_camera: dict[int, list[CameraRow]] = defaultdict(list)
    for row in rows:
        for camera in row.cameras:
            if camera.condition and camera.reason is not Reason.ALIGN:
                by_camera[camera.camera].append(camera)
    found = []
    for number, images in sorted(by_camera.items()):
        newest = [image.condition for image in images if image.bundle_id == images[-1].bundle_id][-_NEWEST:]
        for quantity in newest[-1]:
            shares = [shares[quantity] for shares in newest if quantity in shares]
            found.append(Drift(number, quantity, median(shares), len(shares)))
    return found


def drift_warnings(found: Iterable[Drift]) -> str:
    """All that a person should look at, the furthest first; empty where there is nothing."""
    return "; ".join(filter(None, (one.words for one in sorted(found, key=lambda one: -abs(one.share)))))
