"""Brightness and colour of each place of a part, relative to the part as a whole.

A network that was trained to name objects looks away from a change of colour without an edge: a stain, a tint, a faded
spot. So brightness and colour are looked at themselves (docs/decisions/0060).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CELL_PX", "Tone", "tone_shape"]

CELL_PX: Final = 16
"""Side of a place: that of the native view's places."""
# Some pixels of each place first: the blur below then reaches over the border by a part of a place, not by a whole one.
_PER_CELL: Final = 4
# A plane has three figures: a few places more than that would be fitted as they are, a stain among them.
_PLANE_FROM: Final = 12
"""Places."""
_DARK: Final = 0.1
"""Of full scale, added before the logarithm: what is darker is mostly noise."""


def tone_shape(height: int, width: int) -> tuple[int, int]:
    """Places (h, w) of an image of that size."""
    return -(-height // CELL_PX), -(-width // CELL_PX)


@dataclass(frozen=True, slots=True, eq=False)
class Tone:
    """Takes what light does to the whole part out: ``on_part`` (h, w) bool are the places that speak for it.

    Light that grows weaker or changes its colour multiplies all values, a lamp that leans to one side multiplies them
    by a slope: in the logarithm both are nearly a plane, which is taken away. Of a part that lies anywhere (not
    ``is_tied``) the mean alone, for a slope would say where it lies; of one with few places too, for a plane through
    few places follows a stain.
    """

    on_part: NDArray[np.bool_]
    is_tied: bool

    def features(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, 2 C) of an image (H, W, C) in [0, 1]: at each place alone, then with the places around it.

        Of colour C is 3: brightness, red against green, both against blue. Raises ValueError for another number of
        places than ``on_part`` has.
        """
        if tone_shape(*image.shape[:2]) != self.on_part.shape:
            raise ValueError(f"an image {image.shape} has places {tone_shape(*image.shape[:2])}: {self.on_part.shape}")
        height, width = self.on_part.shape
        small = cv2.resize(image, (_PER_CELL * width, _PER_CELL * height), interpolation=cv2.INTER_AREA)
        values = _opponents(np.log(small.reshape(*small.shape[:2], -1) + np.float32(_DARK)))
        # Blurred before it is made smaller, so that a place sees a little over its border.
        blurred = cv2.GaussianBlur(values, (0, 0), 1.0)
        means = np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        means = means.reshape(height, width, -1)
        each = means - self._of_the_whole(means)
        around = cv2.GaussianBlur(each, (0, 0), 1.0).reshape(each.shape)
        return np.concatenate([each, around], axis=2, dtype=np.float32)

    def _of_the_whole(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        """What all places (h, w, C) have in common: the plane, or the mean, that lies nearest to those on the part."""
        height, width, _ = means.shape
        rows, columns = np.mgrid[:height, :width]
        base = np.ones((height, width, 1))
        if self.is_tied and int(self.on_part.sum()) >= _PLANE_FROM:
            base = np.dstack([base, rows / height - 0.5, columns / width - 0.5])
        # By the part's places alone: the ground beside it has light and colours of its own.
        factors = np.linalg.lstsq(base[self.on_part], means[self.on_part].astype(np.float64), rcond=None)[0]
        return np.asarray(base @ factors, np.float32)


def _opponents(logs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of (H, W, 3) red, green, blue: the mean, red against green, and red and green against blue. Grey as it is."""
    if logs.shape[2] == 1:
        return logs
    red, green, blue = np.moveaxis(logs, 2, 0)
    return np.dstack([logs.mean(axis=2), red - green, (red + green) / 2 - blue])
