"""What is wrong with a peer, and since when: said loudly once an outage, and never so often that it fills the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from drivers.base import DriverError

__all__ = ["Outage"]

_log = structlog.get_logger(__name__)
_SAY_AGAIN_AFTER_S = 5.0
"""A peer that comes and goes is said once in this time, or it would fill the log."""


class Outage:
    """The time for which a peer is not confirmed. ``problem`` is what is wrong with it, in words."""

    def __init__(self) -> None:
        self.problem = "not connected yet"
        self._down_since_mono_s: float | None = None
        self._tries = 0
        self._is_said = False
        self._was_ever_up = False
        self._quiet_until_mono_s = 0.0

    def begins(self) -> None:
        """The peer is looked for from now on."""
        self._down_since_mono_s = monotonic_s()

    def goes_on(self, err: DriverError, *, is_loud: bool) -> None:
        """The peer was lost, or was not found. ``is_loud``: somebody relies on it."""
        self.problem = str(err)
        if self._down_since_mono_s is None:
            self._down_since_mono_s = monotonic_s()
        self._tries += 1
        say = _log.debug
        if is_loud and not self._is_said and monotonic_s() >= self._quiet_until_mono_s:
            say = _log.warning
            self._is_said = True
            self._quiet_until_mono_s = monotonic_s() + _SAY_AGAIN_AFTER_S
        say("output_lost", problem=self.problem, error=type(err).__name__, tries=self._tries)

    def ends(self, peer: str) -> None:
        """The peer is confirmed."""
        down_s = 0.0 if self._down_since_mono_s is None else monotonic_s() - self._down_since_mono_s
        # As loud as the beginning was: an end without a beginning would be a riddle in the log.
        say = _log.info if self._is_said or not self._was_ever_up else _log.debug
        say("output_confirmed", peer=peer, outage_s=round(down_s, 3), tries=self._tries)
        self._down_since_mono_s = None
        self._is_said = False
        self._was_ever_up = True
        self._tries = 0
