"""Whether the controller's link is healthy: up, and its clock showed another second than that in which it came up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s, shown_time

if TYPE_CHECKING:
    from datetime import datetime

    from edge_agent.runtime.counter import ControllerCounter
    from edge_agent.runtime.interlock import Health

__all__ = ["LinkHealth"]

_FIRST_SECOND = (
    "its link is up, and the line waits until its clock shows the next second: an image of this second may have been "
    "taken before the link was up"
)
# The controller's clock has whole seconds and is asked about once a second: five without a change are no accident.
_STANDS_STILL_S = 5.0
_STANDS_STILL = (
    "its clock stands still at {}: nothing tells an old image from a new one. Set it, or restart the controller"
)


@dataclass(slots=True)
class LinkHealth:
    """The condition ``controller`` of the line's health."""

    _health: Health
    _counter: ControllerCounter
    _up_mono_s: float | None = None
    """Since when the link is up and its clock has not shown another second yet; None else."""

    def came_up(self, clock: datetime | None, at_mono_s: float) -> None:
        """The link is up, and the controller's clock says this: healthy only once it shows another second."""
        self._up_mono_s = at_mono_s
        self.look(clock)

    def fails(self, why: str) -> None:
        """The link is down or has to begin anew, whatever the clock says until it came up again."""
        self._up_mono_s = None
        self._health.fails("controller", why)

    def look(self, clock: datetime | None) -> None:
        """The clock was told, to the counter as well. A link that failed stays so until it came up again."""
        if self._up_mono_s is None:
            return
        if self._counter.is_settled:
            self._up_mono_s = None
            self._health.holds("controller")
        elif monotonic_s() - self._up_mono_s < _STANDS_STILL_S:
            self._health.fails("controller", _FIRST_SECOND)
        else:
            self._health.fails("controller", _STANDS_STILL.format(shown_time(clock)))
