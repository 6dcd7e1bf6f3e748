"""Who is signed in at the page: random numbers that only the browsers have, and here their hashes, in memory alone."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.people.users import User, Users

__all__ = ["LONGEST_S", "Sessions"]

LONGEST_S = 12 * 3600.0
"""The longest shift. After it a person signs in again, however busy the session was."""
_TOKEN_BYTES = 32
_MOST = 256


@dataclass(slots=True)
class _Session:
    name: str
    stamp: str
    began_mono_s: float
    used_mono_s: float


@dataclass(slots=True)
class Sessions:
    """The sessions of one page. They end with its process, after ``idle_s`` without a signature, and after LONGEST_S.

    Each is asked of the users of now: whoever was switched off, or has another role or password, is signed out.
    """

    idle_s: float
    clock: Callable[[], float] = monotonic_s
    _held: OrderedDict[str, _Session] = field(default_factory=OrderedDict)

    def begin(self, user: User) -> str:
        """What the browser is to show from now on: 256 random bits. Of more than 256 sessions the oldest ends."""
        token, now = secrets.token_urlsafe(_TOKEN_BYTES), self.clock()
        while len(self._held) >= _MOST:
            self._held.popitem(last=False)
        self._held[_hash(token)] = _Session(user.name, user.stamp, now, now)
        return token

    def of(self, token: str, users: Users, *, is_use: bool = False) -> User | None:
        """Who showed this; None where no session is, or it has ended. ``is_use`` keeps it from becoming idle."""
        key, now = _hash(token), self.clock()
        session = self._held.get(key)
        if session is None:
            return None
        user = users.find(session.name)
        is_over = now - session.used_mono_s >= self.idle_s or now - session.began_mono_s >= LONGEST_S
        if user is None or user.is_disabled or user.stamp != session.stamp or is_over:
            del self._held[key]
            return None
        if is_use:
            session.used_mono_s = now
        return user

    def end(self, token: str) -> None:
        """Sign out. Nothing where nobody was signed in."""
        self._held.pop(_hash(token), None)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
