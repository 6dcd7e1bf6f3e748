"""A few of many good parts, spread evenly over them: what stands for all where looking at all takes too long."""

from __future__ import annotations

import numpy as np

__all__ = ["evenly"]


def evenly(count: int, most: int) -> list[int]:
    """Up to ``most`` of so many indices, ascending, the first and the last among them; none of none."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(count, most)).round()})
