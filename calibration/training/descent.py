"""Adam (Kingma & Ba 2015) on a one-cycle schedule (Smith 2018), as torch has them, without what torch.optim brings.

Its first step imports a compiler, which takes seconds that a short training does not last.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

__all__ = ["OneCycleAdam"]

_RISES: Final = 0.3
"""Of the steps; over the others the rate falls."""
_BEGIN, _END = 25.0, 1e4
"""The first rate is the largest divided by this, the last one the first divided by that."""
_LEAST_MOMENTUM, _MOST_MOMENTUM = 0.85, 0.95
_SQUARES: Final = 0.999
_EPSILON: Final = 1e-8


class OneCycleAdam:
    """Moves ``parameters`` against their gradients, ``total_steps`` times: the rate rises to ``max_rate`` and falls.

    The momentum falls while the rate rises. Gives torch's own numbers, bit for bit.
    """

    def __init__(self, parameters: Iterable[Tensor], max_rate: float, total_steps: int) -> None:
        import torch

        self._parameters = list(parameters)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._max_rate, self._total, self._done = max_rate, total_steps, 0

    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step; ``gradients`` are those of the parameters, in their order."""
        import torch

        rate, momentum = self._now()
        self._done += 1
        size = rate / (1.0 - momentum**self._done)
        correction = math.sqrt(1.0 - _SQUARES**self._done)
        with torch.no_grad():
            each = zip(self._parameters, gradients, self._means, self._squares, strict=True)
            for parameter, gradient, mean, square in each:
                mean.lerp_(gradient, 1.0 - momentum)
                square.mul_(_SQUARES).addcmul_(gradient, gradient, value=1.0 - _SQUARES)
                spread = (square.sqrt() / correction).add_(_EPSILON)
                parameter.addcdiv_(mean, spread, value=-size)

    def _now(self) -> tuple[float, float]:
        """Rate and momentum of the step to come."""
        top, end = _RISES * self._total - 1.0, self._total - 1.0
        first, last = self._max_rate / _BEGIN, self._max_rate / _BEGIN / _END
        if self._done <= top:
            way = self._done / top
            return _between(first, self._max_rate, way), _between(_MOST_MOMENTUM, _LEAST_MOMENTUM, way)
        way = (self._done - top) / (end - top)
        return _between(self._max_rate, last, way), _between(_LEAST_MOMENTUM, _MOST_MOMENTUM, way)


def _between(start: float, end: float, way: float) -> float:
    """Along half a cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * way) + 1)
