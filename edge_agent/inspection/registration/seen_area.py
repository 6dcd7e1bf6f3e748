"""What is looked at of a part: its crop of the reference's frame, at the size that the line's time allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.domain import Alignment
    from edge_agent.inspection.registration.register import Registration

__all__ = ["SeenArea", "crop_of"]

_TO_ONE: Final = np.float32(1.0 / 255.0)
_ROUNDED: Final = 1e-9
"""Of a scale."""


@dataclass(frozen=True, slots=True)
class SeenArea:
    """The ``crop`` (x, y, width, height) in px of the reference image, and the ``height`` and ``width`` it is seen at.

    Never larger than the crop itself, and both sides are made smaller alike, but for what is rounded: squeezed to one
    side, pixels would go unseen. Everything that is looked at of a part is made from this one picture, at calibration
    and on the line alike. Raises ValueError for any other size.
    """

    crop: tuple[int, int, int, int]
    height: int
    width: int

    def __post_init__(self) -> None:
        _, _, width, height = self.crop
        scales = _scales(self.height, height), _scales(self.width, width)
        # Two whole numbers of px never give one scale exactly: it is enough that one scale would be rounded to both.
        is_alike = max(low for low, _ in scales) <= min(high for _, high in scales) + _ROUNDED
        if not (1 <= self.height <= height and 1 <= self.width <= width and is_alike):
            raise ValueError(
                f"a crop of {width} x {height} px cannot be looked at with {self.width} x {self.height} px"
            )

    @classmethod
    def whole(cls, crop: tuple[int, int, int, int]) -> SeenArea:
        """Every pixel of a crop."""
        return cls(crop, crop[3], crop[2])

    def of(self, registration: Registration, pixels: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.float32]:
        """A registered image (H, W) or (H, W, 3) as it is looked at: (height, width, C) in [0, 1]."""
        seen = registration.warp_to(pixels, alignment, self.crop, (self.height, self.width))
        return np.multiply(seen.reshape(self.height, self.width, -1), _TO_ONE, dtype=np.float32)


def _scales(seen: int, of: int) -> tuple[float, float]:
    """From which scale to which so many px are what is left of a side; one px is left of whatever is less."""
    return (0.0 if seen == 1 else (seen - 0.5) / of), (seen + 0.5) / of


def crop_of(image: NDArray[np.float32], crop: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The crop (x, y, width, height) of an image (H, W) or (H, W, C), always as (h, w, C), contiguous."""
    x, y, width, height = crop
    part = image[y : y + height, x : x + width]
    return np.ascontiguousarray(part if part.ndim == 3 else part[..., None])
