"""Whether this machine's clock stood still, told by the controller's: no clock of a paused virtual machine goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["ClockWitness"]

_CLOCK = "%y%m%d_%H%M%S"
_WHOLE_S = 1.0
"""What is told in whole seconds may be this much more than what went by."""


@dataclass(slots=True)
class ClockWitness:
    """Compares how far the controller's clock went on between two answers with how far ours did.

    The two clocks are never compared themselves: they may be of different zones, and drift apart as they like.
    """

    _told: datetime | None = None
    _asked_mono_s: float = 0.0

    def stood_still_s(self, clock: str, asked_mono_s: float, answered_mono_s: float) -> float:
        """How long ours stood still at least since the answer before; 0.0 where nothing says that it did.

        ``clock`` is the controller's as ``yymmdd_hhmmss``, anything else where it does not tell; the times are seconds
        of ``drivers.timing.monotonic_s`` when it was asked and when the answer came.
        """
        before, began_mono_s = self._told, self._asked_mono_s
        try:
            self._told = datetime.strptime(clock, _CLOCK)  # noqa: DTZ007 - of whatever zone the controller is set to
        except ValueError:
            self._told = None
        self._asked_mono_s = asked_mono_s
        if before is None or self._told is None:
            return 0.0
        theirs_s = (self._told - before).total_seconds() - _WHOLE_S
        return max(0.0, theirs_s - (answered_mono_s - began_mono_s))
