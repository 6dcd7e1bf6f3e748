"""From what each view says of good parts to one score: the mean of views, and beside it views with a small say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.limits.tail import top_excess
from edge_agent.inspection.networks.channels import CHANNELS, View
from edge_agent.inspection.scoring.local import Scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["Fusion", "beside_the_mean", "scale_beside"]

_HANDICAP: Final = 2.0
"""How much further out than the mean a view beside it has to be, in mean excesses of its own tail.

If the tail is exponential, the view then rejects exp(-2) times as many good parts as the mean does: one in seven of
them (docs/decisions/0060).
"""
_LEAST_SHARE, _LEAST_BASE = 0.02, 0.02
"""A tail is at least such a share of what it begins at, and that counts as so much at least."""


def beside_the_mean(views: Iterable[View]) -> frozenset[View]:
    """The views that stand beside the mean: those without a weight, and those whose place another one takes.

    None, where no view has a weight: then the mean is theirs.
    """
    every = frozenset(views)
    weighty = {view for view in every if CHANNELS[view].weight}
    in_mean = weighty - {CHANNELS[view].instead_of for view in weighty}
    return every - in_mean if in_mean else frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """``scores`` (n) float64 of good parts as if each were new, and the ``scales`` of the views."""

    scores: NDArray[np.float64]
    scales: dict[View, Scale]

    @classmethod
    def of(cls, held_out: Mapping[View, NDArray[np.float64]], beside: frozenset[View]) -> Fusion:
        """From each view's held-out scores (n,); ``beside`` are not in the mean, in which one view at least is.

        In the mean each part is scored on the scales that the others make. Beside it on the scale that the bundle has:
        of two odd parts each would else be judged as if the other were the only one, and the two would lift the limit
        of all views to what no part on the line ever scores.
        """
        scales = {view: Scale.to_upper_tenth(scores) for view, scores in held_out.items() if view not in beside}
        mean = np.mean([_by_others(held_out[view]) for view in scales], axis=0)
        fused = mean
        for view in sorted(beside):
            scales[view] = scale_beside(mean, held_out[view])
            fused = np.maximum(fused, [scales[view](score) for score in held_out[view]])
        return cls(fused, scales)


def _by_others(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each score on the scale that the other parts make."""
    # As a new part is judged: by a scale that has not seen it (docs/decisions/0028).
    return np.array([Scale.to_upper_tenth(np.delete(scores, i))(score) for i, score in enumerate(scores)])


def scale_beside(mean: NDArray[np.float64], own: NDArray[np.float64], *, handicap: float = _HANDICAP) -> Scale:
    """The scale on which a view, by its ``own`` scores (n,), may be compared with the ``mean`` (n,) of the others.

    How rare a score is tells how many mean excesses it lies above the base of its tail, the top quarter, which is taken
    for exponential. A score of the view counts as much as the score of the mean that is ``handicap`` mean excesses
    less far out. The mean's own scale stays as it is.
    """
    (base, excess), (own_base, own_excess) = (_tail(scores) for scores in (mean, own))
    one = own_excess / excess  # what 1 of the mean is worth in the view
    # So that own_base + (handicap + t) own_excess in the view is base + t excess in the mean (docs/decisions/0060).
    usual = own_base + own_excess * handicap - base * one
    return Scale(usual, usual + one)


def _tail(scores: NDArray[np.float64]) -> tuple[float, float]:
    base, excess = top_excess(scores)
    # A view in which good parts are all alike would otherwise call any new one far out.
    return base, max(excess, _LEAST_SHARE * max(abs(base), _LEAST_BASE))
