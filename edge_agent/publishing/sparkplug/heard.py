"""What comes in: a host's wish for a birth, whether the primary host is there, and our own messages from the broker.

Nothing else has any effect.

Called in the MQTT library's thread, asked in the receiver's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from edge_agent.files.strict_json import strict_json
from edge_agent.publishing.sparkplug.payload import decoded
from edge_agent.publishing.sparkplug.tags import REBIRTH, now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.publishing.mqtt_link import Message
    from edge_agent.publishing.sparkplug.payload import Read
    from edge_agent.publishing.sparkplug.topics import Topics

__all__ = ["Heard"]

log = structlog.get_logger(__name__)

_MOST_BYTES = 64 * 1024
_MOST_NAMES, _MOST_LETTERS = 8, 100


class Heard:
    """One connection's."""

    def __init__(self, topics: Topics, newest_ms: int | None = None) -> None:
        """``newest_ms``: the newest time that the host has said over earlier connections; None: it has said none."""
        self._topics = topics
        self._lock = threading.Condition()
        self._own = frozenset(topics.own)
        self._expected: frozenset[tuple[str, str | bytes]] = frozenset()
        self._came_back: set[tuple[str, str | bytes]] = set()
        self._wants_birth = False
        self._is_online = False
        self._newest_ms = newest_ms
        self._online_ms = 0

    @property
    def host_session(self) -> int | None:
        """Since when the primary host says that it is online, in its own milliseconds; None: it does not say so.

        A host that has connected anew says a newer time.
        """
        with self._lock:
            return self._online_ms if self._is_online else None

    @property
    def newest_ms(self) -> int | None:
        """The newest time that the primary host has said, no later than this PC's own; None: it has said none."""
        with self._lock:
            return self._newest_ms

    def wants_birth(self) -> bool:
        """Whether a host has asked for a birth since the last time that this was asked."""
        with self._lock:
            wanted, self._wants_birth = self._wants_birth, False
            return wanted

    def expect(self, messages: Sequence[Message]) -> None:
        """These are sent now. Of what comes on our own topics nothing else is kept: anybody may write there."""
        with self._lock:
            self._expected = frozenset((message.topic, message.payload) for message in messages)
            self._came_back.clear()

    def came_back(self, messages: Sequence[Message], within_s: float) -> list[Message]:
        """Wait until the broker has handed back these messages, which were expected; those that it has not."""
        with self._lock:
            self._lock.wait_for(lambda: self._expected <= self._came_back, within_s)
            missing = [one for one in messages if (one.topic, one.payload) not in self._came_back]
            self._expected = frozenset()
            self._came_back.clear()
        return missing

    def hear(self, topic: str, payload: bytes) -> None:
        """A message. Raises nothing: whatever somebody sends, the line goes on."""
        if topic in self._own:
            with self._lock:
                if (topic, payload) in self._expected:
                    self._came_back.add((topic, payload))
                    self._lock.notify_all()
        elif topic == self._topics.state:
            self._state(payload)
        else:
            self._command(topic, payload)

    def _command(self, topic: str, payload: bytes) -> None:
        """A birth when it is asked for; everything else is written into the log, and that is all."""
        try:
            metrics = _bounded(payload).metrics
        except ValueError as err:
            log.warning("sparkplug_command_unreadable", topic=_shown(topic), why=str(err))
            return
        # True == 1: only a boolean asks for a birth.
        others = [name for name, value in metrics if not (self._is_node(topic) and name == REBIRTH and value is True)]
        if len(others) < len(metrics):
            log.info("sparkplug_birth_asked_for")
            with self._lock:
                self._wants_birth = True
        if others or not metrics:
            names = ", ".join(map(_shown, others[:_MOST_NAMES]))
            log.warning("sparkplug_command_ignored", topic=_shown(topic), metrics=names, number=len(others))

    def _is_node(self, topic: str) -> bool:
        return topic == self._topics.ncmd

    def _state(self, payload: bytes) -> None:
        """STATE of Sparkplug 3: JSON with ``online`` and ``timestamp``. One older than the newest is passed over.

        A time of the future counts as now: a host whose clock ran a year ahead for once would not be heard for a year.
        """
        try:
            is_online, at_ms = _said(payload)
        except (ValueError, KeyError, TypeError) as err:
            log.warning("sparkplug_state_unreadable", topic=_shown(self._topics.state or ""), why=repr(err)[:200])
            return
        with self._lock:
            if self._newest_ms is not None and at_ms < self._newest_ms:
                return
            self._newest_ms = max(self._newest_ms or 0, min(at_ms, now_ms()))
            self._is_online, self._online_ms = is_online, at_ms
        log.info("sparkplug_host", online=is_online)


def _bounded(payload: bytes) -> Read:
    if len(payload) > _MOST_BYTES:
        raise ValueError(f"{len(payload)} bytes, at most {_MOST_BYTES} are read")
    return decoded(payload)


def _said(payload: bytes) -> tuple[bool, int]:
    """What STATE says. Raises ValueError, KeyError, TypeError."""
    said = strict_json(payload, most_bytes=_MOST_BYTES)
    is_online, at_ms = said["online"], said["timestamp"]
    if type(is_online) is not bool or type(at_ms) is not int:
        raise TypeError("online is a boolean and timestamp a whole number")
    return is_online, at_ms


def _shown(text: str) -> str:
    """Somebody else's text for the log: short, and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_MOST_LETTERS])
