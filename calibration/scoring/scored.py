"""What every score definition gives a calibration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge_agent.inspection.scoring.condition import ConditionLimits

__all__ = ["LEARN", "Scored"]

LEARN = "check that all images show the same part, in focus and under one light, and add more good parts"
"""What to do where an autoencoder did not learn."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """``scores`` (n) float64: each good part as if it were new. ``method`` goes into the manifest.

    ``files`` are the score definition's own: backbone.onnx, bank.npz, and fine.onnx where the fine channel is used.
    ``notes`` are for the person who calibrates. ``condition`` is what is allowed of light and focus; None: they are not
    judged. ``measured`` is what else was measured of each good part, in their order, by the names of ``drift``.
    """

    files: dict[str, bytes]
    scores: NDArray[np.float64]
    method: dict[str, object]
    notes: tuple[str, ...] = ()
    condition: ConditionLimits | None = None
    measured: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
