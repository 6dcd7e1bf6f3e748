"""How like the reference a registered part is, as a whole: whether it lies where it should at all.

Registration's own quality is taken on the finest edges. Where good parts differ in those (threads, brushed metal,
grain) a right pose has no more of it than a wrong one; the part's outline and its large areas tell them apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Likeness"]

_LEAST_VARIANCE = 1e-9


class Likeness:
    """Correlation with ``template`` (h, w, C) in [0, 1] over ``region`` (h, w); None: all of it."""

    def __init__(self, template: NDArray[np.float32], region: NDArray[np.bool_] | None = None) -> None:
        self._region = np.ones(template.shape[:2], bool) if region is None else region
        self._template = self._centred(template)

    def __call__(self, image: NDArray[np.float32]) -> float:
        """Of an image of the template's shape: 1 is the same but for brightness and contrast, 0 has nothing of it."""
        seen = self._centred(image)
        spread = float(np.sqrt((self._template**2).sum(dtype=np.float64) * (seen**2).sum(dtype=np.float64)))
        # A flat picture has no spread: its likeness is 0 and no division by nothing.
        return float((self._template * seen).sum(dtype=np.float64)) / max(spread, _LEAST_VARIANCE)

    def _centred(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        part = image[self._region]
        # Each channel's own mean: neither the brightness nor the tint of the light counts.
        return np.asarray(part - part.mean(axis=0), np.float32)
