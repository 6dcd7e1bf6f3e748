"""Black at the end of an uncompressed file: part of the picture, or pixels that never came.

A file that lost its end on a disk or on the way may be filled with zeros, and zeros are black. So black at the end is
believed only where good parts are black as well (docs/decisions/0052).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.domain import Alignment
    from edge_agent.inspection.containers.decode import DecodedImage
    from edge_agent.inspection.registration.register import Registration

__all__ = ["DarkGround", "shown_in", "stray_share"]

# Fewer pixels together are noise of the sensor, not something of the part.
_GROUP_PX: Final = 4
# A soft edge is not black at once: half a per cent of the height is let through as well (docs/decisions/0052).
_EDGE_SHARE: Final = 0.005
_EDGE_PX: Final = 2
# Where twelve stray pixels are to be expected, the chance that there is not a single one is e to the power of -12.
_STRAYS_EXPECTED: Final = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class DarkGround:
    """Where good parts are black, in the reference's frame.

    ``shown`` (H, W) is not zero where they show something; ``stray_share`` is the share of single pixels that are not
    black on the rest, in the good part that has the fewest.
    """

    shown: NDArray[np.uint8]
    stray_share: float

    @classmethod
    def of(cls, reference: NDArray[np.uint8]) -> DarkGround:
        """What one image (H, W) or (H, W, 3) alone tells."""
        shown = shown_in(reference)
        return cls(shown, stray_share(reference, shown))

    def most_rows(self, image: DecodedImage, registration: Registration, alignment: Alignment) -> int:
        """How many rows at the end of an image's file may be zero for being black, the part lying like this.

        Those up to the first in which good parts show something, and a little more for a soft edge; no more than
        would hold a dozen stray pixels by their share. 0 where zeros are another colour than black.
        """
        end = image.pixels[0] if image.zero_tail.is_at_top else image.pixels[-1]
        # With a palette zeros may be another colour: only black is believed.
        if not image.zero_tail.rows or end[-1].any():
            return 0
        laid = registration.warp_back(self.shown.astype(np.float32), alignment, repeat_border=True)
        # Laid over the image an edge is spread over two rows: a quarter of it is still no picture.
        rows = (laid if image.zero_tail.is_at_top else laid[::-1]).max(axis=1) > 0.25 * 255
        height, width = (int(size) for size in self.shown.shape)
        black = int(rows.argmax()) if rows.any() else height
        edge = max(_EDGE_PX, round(_EDGE_SHARE * height))
        quiet = _STRAYS_EXPECTED / max(self.stray_share * width, 1e-9)
        return min(height, black + min(black, edge), int(min(quiet, height)))


def shown_in(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 where an image (H, W) or (H, W, 3) is not black, in groups of 4 pixels or more; else 0."""
    lit = (image if image.ndim == 2 else image.max(axis=2)) > 0
    if lit.all():
        return np.full(lit.shape, 255, np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lit.astype(np.uint8), connectivity=8)
    is_group = stats[:, cv2.CC_STAT_AREA] >= _GROUP_PX
    # Label 0 is the black ground itself.
    is_group[0] = False
    return np.where(is_group[labels], 255, 0).astype(np.uint8)


def stray_share(image: NDArray[np.uint8], shown: NDArray[np.uint8]) -> float:
    """Of the pixels where nothing is shown, the share that is not black; 1 where something is shown everywhere.

    Both (h, w), the image also (h, w, C), in grey levels.
    """
    lit = (image if image.ndim == 2 else image.max(axis=2)) > 0
    ground = shown == 0
    return float(lit[ground].mean()) if ground.any() else 1.0
