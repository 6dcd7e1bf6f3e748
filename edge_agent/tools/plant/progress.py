"""How far a long work is: images, the rate of late, and the time that is left. On stderr."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress", "duration_words"]

_EVERY_S = 10.0
_ON_A_TERMINAL_S = 0.5
_WINDOW = 40
"""Tellings that the rate is taken over: a rate since the beginning would hide that a worker has just gone."""


@dataclass(slots=True)
class Progress:
    """Says it on one line that is written over; where stderr is no terminal, a line every ten seconds."""

    total: int
    to: TextIO = field(default_factory=lambda: sys.stderr)
    now_s: Callable[[], float] = monotonic_s
    _told_s: float = -1e9
    _points: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    def tell(self, done: int, *, is_first: bool = False, is_last: bool = False) -> None:
        """``done`` of all images are judged, also those of before this command.

        ``is_first``: nothing was judged yet; the time that the workers take to get ready makes no rate.
        """
        now = self.now_s()
        if not is_first:
            self._points.append((now, done))
        is_terminal = self.to.isatty()
        if not is_last and now - self._told_s < (_ON_A_TERMINAL_S if is_terminal else _EVERY_S):
            return
        self._told_s = now
        end = "\n" if is_last or not is_terminal else ""
        begin = "\r\x1b[K" if is_terminal else ""
        self.to.write(f"{begin}{self.words(done)}{end}")
        self.to.flush()

    def words(self, done: int) -> str:
        """As it is told."""
        text = f"{done} of {self.total} images ({done / self.total:.1%})"
        if len(self._points) < 2:
            return text
        (first_s, first), (last_s, last) = self._points[0], self._points[-1]
        if last > first and last_s > first_s:
            rate = (last - first) / (last_s - first_s)
            text += f", {rate:.1f} a second, {duration_words((self.total - done) / rate)} left"
        return text


def duration_words(seconds: float) -> str:
    """A time as a person says it: 45 s, 12 min, 3 h 20 min, 5 days 2 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"
