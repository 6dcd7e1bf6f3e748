"""Which of the good parts stand too far apart from all others to be believed: found, and left to a person to decide.

The one rule for it. It knows nothing of the limit: what it names hangs on no rank, and on no rate that was asked for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LEVEL", "far_out", "most_suspects"]

LEVEL = 0.02
"""The share of clean sets that are stopped by mistake, where oddities fall off exponentially; fewer, where faster."""
_LEVEL_UP_TO = 40
"""In sets of more parts than this the level is lowered in proportion: the more parts there are, the further out the
oddest clean one may lie, in ways that no exponential law foresees.
"""
# One part in eight may be suspect: what is usual has to be left to clearly more of them (docs/decisions/0056).
_SHARE = 8
_FEWEST, _MOST = 2, 10
# With fewer not even six make the upper half: no law is to be seen in them.
_FEWEST_PARTS = 12
# Some hundred of them lie beyond the level: enough for a stable quantile, in a fraction of a second.
_DRAWS = 20_000


def most_suspects(n: int) -> int:
    """How many of n parts may stand apart and still be told from the others: one in eight, 2 to 10."""
    return min(_MOST, max(_FEWEST, n // _SHARE))


def far_out(oddity: NDArray[np.float64]) -> tuple[int, ...]:
    """The parts whose oddity (n,) lies further out than the others make likely, the oddest first.

    As many of the oddest as may be suspects have no say in what is usual: only the others have. The test goes from the
    innermost suspect outwards: whoever lies beyond one that is too far out is named with it, so that none hides behind
    another. Of fewer than 12 parts none is named.
    """
    n = len(oddity)
    if n < _FEWEST_PARTS:
        return ()
    order = np.argsort(-oddity, kind="stable")
    most, half = most_suspects(n), n // 2
    # Times the rank: for an exponential tail these are then all of one size, and independent (Rényi). So their mean is
    # a scale that needs no model beyond that.
    spacings = -np.diff(oddity[order[: half + 1]]) * np.arange(1, half + 1)
    level = LEVEL * min(1.0, _LEVEL_UP_TO / n)
    # By either measure: the near one finds one part far out, the wide one several that stand together.
    beyond = np.flatnonzero((_reach(spacings[None], most)[0] > _critical(most, half, level)).any(axis=0))
    # All up to the innermost one that is too far out: it lies within those before it.
    return tuple(int(part) for part in order[: beyond[-1] + 1]) if len(beyond) else ()


def _reach(spacings: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """How far out the ``most`` oddest lie (draws, 2, most), by two measures, from spacings (draws, half).

    The j-th spacing is j times the distance from the j-th oddest to the next. By the near measure a part's distance to
    the oddest that is no suspect is taken in mean spacings of the upper quarter: that follows the tail, and finds one
    part far out. By the wide one the distance to the median is taken in mean spacings of the upper half: that is known
    better, and finds several. Where nothing differs, nothing is far out.
    """
    half = spacings.shape[1]
    steps = spacings / np.arange(1, half + 1)
    to_median = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    near = to_median[:, :most] - to_median[:, [most]]
    near_spread = spacings[:, most : most + half // 2].mean(axis=1, keepdims=True)
    wide_spread = spacings[:, most:].mean(axis=1, keepdims=True)
    # Where nothing differs the spread is 0, and 0 / tiny is 0: nothing is far out.
    least = np.finfo(np.float64).tiny
    return np.stack(
        [near / np.maximum(near_spread, least), to_median[:, :most] / np.maximum(wide_spread, least)], axis=1
    )


@cache
def _critical(most: int, half: int, level: float) -> NDArray[np.float64]:
    """How far each of the ``most`` oddest may lie by each measure (2, most): in ``level`` of clean sets one is further.

    Spacings of exponential order statistics are exponential themselves, and independent: so the law of what is measured
    is known, whatever the scale. Each place gets the same chance by each measure.
    """
    reach = _reach(np.random.default_rng(0).exponential(size=(_DRAWS, half)), most).reshape(_DRAWS, -1)
    # Each draw's rarest place and measure. Where this is quantiled, all places together are exceeded as often as the
    # level says: a test of many places at one level.
    rarest = (_DRAWS - reach.argsort(axis=0).argsort(axis=0)).min(axis=1)  # 1: no other draw reaches so far there
    found = np.quantile(reach, 1.0 - float(np.quantile(rarest, level)) / _DRAWS, axis=0)
    return np.asarray(found, np.float64).reshape(2, most)
