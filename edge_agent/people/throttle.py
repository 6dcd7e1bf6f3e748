"""How fast somebody may try passwords: a few at once, then ever slower, for each name."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Throttle"]

_AT_ONCE = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 300.0
_NAMES_MOST = 4096
"""Whoever tries so many other names to have one forgotten has waited for each of those hashes."""


@dataclass(slots=True)
class _Tried:
    wrong: int = 0
    free_mono_s: float = 0.0


@dataclass(slots=True)
class Throttle:
    """Counts tries by name, whether a user has it or not: what is answered tells nobody which names there are."""

    clock: Callable[[], float] = monotonic_s
    _tried: OrderedDict[str, _Tried] = field(default_factory=OrderedDict)

    def take(self, name: str) -> float:
        """Take one try: 0.0, or for how many seconds there is none, not even for the right password.

        It counts as wrong until ``right`` says otherwise, so that tries that come at once are counted as well.
        """
        now = self.clock()
        tried = self._tried.setdefault(name, _Tried())
        self._tried.move_to_end(name)
        while len(self._tried) > _NAMES_MOST:
            self._tried.popitem(last=False)
        if now < tried.free_mono_s:
            return tried.free_mono_s - now
        tried.wrong += 1
        if tried.wrong >= _AT_ONCE:
            tried.free_mono_s = now + min(_FIRST_WAIT_S * 2 ** min(tried.wrong - _AT_ONCE, 16), _LONGEST_WAIT_S)
        return 0.0

    def right(self, name: str) -> None:
        """The last try was right: the name begins anew."""
        self._tried.pop(name, None)
