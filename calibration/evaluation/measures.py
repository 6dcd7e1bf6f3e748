"""Measures of raw scores and of raw heat maps. Nothing is clipped or scaled before it is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PixelMeasure", "auc_and_ap", "good_passed_at_zero_misses"]

_BINS_BITS = 20
_PRO_FALSE_POSITIVES = 0.3


def auc_and_ap(defective: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Area under the ROC curve and average precision, in percent (paper, section 4.3)."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415 - a second of start-up

    return (
        100.0 * float(roc_auc_score(defective, scores)),
        100.0 * float(average_precision_score(defective, scores)),
    )


def good_passed_at_zero_misses(defective: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Share of good parts, in percent, that pass when the limit is so low that no defective one does.

    Both arrays have the shape (n,), one entry a test image, with good and defective ones among them. The limit lies at
    the lowest score of a defective part, which nobody knows in production.
    """
    return 100.0 * float((scores[~defective] < scores[defective].min()).mean())


class PixelMeasure:
    """Pixel AUROC and PRO of heat maps against masks, one image at a time.

    Values are counted in bins of the upper 20 bits of float32, 0.05 % wide: sorting all pixels of a data set would take
    gigabytes. Pixels of one bin count as ties.
    """

    def __init__(self) -> None:
        self._clear = np.zeros(1 << _BINS_BITS)
        self._marked = np.zeros(1 << _BINS_BITS)
        self._regions = np.zeros(1 << _BINS_BITS)
        self._region_count = 0

    def add(self, heat: NDArray[np.float32], marked: NDArray[np.bool_]) -> None:
        """Count one image: heat map and mask, both (H, W). Raises ValueError for other shapes or a value not finite."""
        if heat.shape != marked.shape or not np.isfinite(heat).all():
            raise ValueError(f"a heat map of {heat.shape} with finite values expected for a mask of {marked.shape}")
        bins = _bin_of(heat)
        self._clear += np.bincount(bins[~marked], minlength=self._clear.size)
        if not marked.any():
            return
        self._marked += np.bincount(bins[marked], minlength=self._marked.size)
        count, labels = cv2.connectedComponents(marked.astype(np.uint8), connectivity=8)
        sizes = np.bincount(labels.ravel(), minlength=count)
        weights = 1.0 / sizes[labels[marked]]
        self._regions += np.bincount(bins[marked], weights=weights, minlength=self._regions.size)
        self._region_count += count - 1

    @property
    def auroc(self) -> float | None:
        """Area under the ROC curve over all pixels, in percent; None without marked or clear pixels."""
        return self._area(self._marked, float(self._marked.sum()), 1.0)

    @property
    def pro(self) -> float | None:
        """Area under the per-region overlap up to 30 % false positives, normalised, in percent (Bergmann et al., 2021).

        The share found of each connected defect, the mean over defects, against the share of clear pixels marked.
        """
        return self._area(self._regions, float(self._region_count), _PRO_FALSE_POSITIVES)

    def _area(self, found: NDArray[np.float64], total: float, until: float) -> float | None:
        clear = float(self._clear.sum())
        if not total or not clear:
            return None
        used = np.flatnonzero((found > 0) | (self._clear > 0))[::-1]
        false_positives = np.concatenate([[0.0], np.cumsum(self._clear[used]) / clear])
        overlap = np.concatenate([[0.0], np.cumsum(found[used]) / total])
        inside = false_positives < until
        x = np.append(false_positives[inside], until)
        y = np.append(overlap[inside], np.interp(until, false_positives, overlap))
        return 100.0 * float(np.trapezoid(y, x)) / until


def _bin_of(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """The upper bits of each value, reordered so that bins rise as values do, below zero too."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> (32 - _BINS_BITS)).astype(np.int64)
