"""What is looked at of a part: its crop of the reference's frame, at the size that the line's time allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.domain import Alignment
    from edge_agent.inspection.registration import Registration

__all__ = ["SeenArea", "crop_of"]

_TO_ONE: Final = np.float32(1.0 / 255.0)


@dataclass(frozen=True, slots=True)
class SeenArea:
    """The ``crop`` (x, y, width, height) in px of the reference image, and the ``height`` and ``width`` it is seen at.

    Never larger than the crop itself. Everything that is looked at of a part is made from this one picture, at
    calibration and on the line alike.
    """

    crop: tuple[int, int, int, int]
    height: int
    width: int

    @classmethod
    def whole(cls, crop: tuple[int, int, int, int]) -> SeenArea:
        """Every pixel of a crop."""
        return cls(crop, crop[3], crop[2])

    def of(self, registration: Registration, pixels: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.float32]:
        """A registered image (H, W) or (H, W, 3) as it is looked at: (height, width, C) in [0, 1]."""
        seen = registration.warp_to(pixels, alignment, self.crop, (self.height, self.width))
        return np.multiply(seen.reshape(self.height, self.width, -1), _TO_ONE, dtype=np.float32)


def crop_of(image: NDArray[np.float32], crop: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The crop (x, y, width, height) of an image (H, W) or (H, W, C), always as (h, w, C), contiguous."""
    x, y, width, height = crop
    part = image[y : y + height, x : x + width]
    return np.ascontiguousarray(part if part.ndim == 3 else part[..., None])
