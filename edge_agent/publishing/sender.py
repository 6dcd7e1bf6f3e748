"""From an outbox to one receiver: in order, again until it is confirmed; said when it fails and when it works.

Two things can be wrong, and they are told apart. The receiver is away, overloaded, or does not let us in: the same
records wait for it, for as long as it takes. The receiver takes others and not this one: the batch is halved until the
one is alone, it is set aside, and the others go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from edge_agent.errors import EdgeAgentError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from edge_agent.publishing.outbox import Outbox, Record
    from edge_agent.store.position import Position

__all__ = ["NotDelivered", "Receiver", "Refused", "send_until"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.25
_RETRY_FIRST_S, _RETRY_CAP_S = 0.5, 30.0
_ASIDE_AT_ONCE = 3
"""So many in a row are set aside on their first refusal. A receiver that goes on refusing may refuse everything: from
then on each one waits, and is refused a second time, before it is set aside."""


class NotDelivered(EdgeAgentError):
    """The receiver did not confirm; the same records are sent again.

    ``confirmed`` of them, from the first on, it did. ``at_most``: so many the next time. ``after_s``: not earlier.
    ``looks_every_s``: the link stands and waits for somebody, so it is looked at so often, however long that takes.
    ``back_to``: what was delivered after this place may not have arrived after all, and is sent again.
    """

    exit_code = 69

    def __init__(
        self,
        what: str,
        *,
        confirmed: int = 0,
        at_most: int | None = None,
        after_s: float = 0.0,
        looks_every_s: float | None = None,
        back_to: Position | None = None,
    ) -> None:
        super().__init__(what)
        self.back_to = back_to
        self.looks_every_s = looks_every_s
        self.confirmed = confirmed
        self.at_most = at_most
        self.after_s = after_s


class Refused(EdgeAgentError):
    """The receiver works, and will not take what it was sent, however often it is sent.

    ``which`` names the places in the batch and why; the others were confirmed then. Empty: the receiver does not say
    which, and none was confirmed.
    """

    exit_code = 69

    def __init__(self, what: str, which: Mapping[int, str] | None = None) -> None:
        super().__init__(what)
        self.which = dict(which or {})


class Receiver(Protocol):
    """A place that results are delivered to: a broker, or an HTTP address."""

    name: str
    most: int
    """The most records of one delivery."""

    def deliver(self, records: Sequence[Record]) -> None:
        """Return when all of them are confirmed. Raises NotDelivered, Refused, ConfigError, OSError."""
        ...

    def keep(self) -> None:
        """Nothing is to be delivered now: look after the link. Raises as ``deliver`` does."""
        ...

    def close(self) -> None:
        """Let go of the receiver."""
        ...


def send_until(
    stop: threading.Event,
    outbox: Outbox,
    receiver: Receiver,
    tell: Callable[[Record, str], None] = lambda _record, _why: None,
) -> None:
    """Deliver until told to stop. Blocks: in a thread of its own. ``tell`` hears of each record that is set aside."""
    sender = _Sender(outbox, receiver, tell)
    try:
        while not stop.is_set():
            stop.wait(sender.turn())
    finally:
        receiver.close()
        try:
            outbox.save()
        except OSError as err:  # the last deliveries come again after the next start
            outbox.say_not_saved(err)


class _Sender:
    def __init__(self, outbox: Outbox, receiver: Receiver, tell: Callable[[Record, str], None]) -> None:
        self._outbox = outbox
        self._receiver = receiver
        self._tell = tell
        self._window = receiver.most
        self._retry_s = _RETRY_FIRST_S
        self._problem = ""
        self._refused_in_a_row = 0
        self._suspect: tuple[str, int] | None = None

    def turn(self) -> float:
        """Do one thing; how long to wait before the next, in seconds."""
        records: list[Record] = []
        try:
            records = self._outbox.next(self._window)
            if not records:
                self._receiver.keep()
                self._works()
                return _LOOK_EVERY_S
            if records[0].problem:
                self._set_aside(records[0], records[0].problem)
                return 0.0
            records = _sendable(records)
            self._receiver.deliver(records)
        except Refused as err:
            return self._refused(records, err)
        except (EdgeAgentError, OSError) as err:
            return self._failed(records, err)
        self._taken(records[-1])
        return 0.0

    def _taken(self, last: Record) -> None:
        self._outbox.delivered(last)
        self._refused_in_a_row, self._suspect = 0, None
        self._window = min(self._receiver.most, self._window + max(1, self._window // 4))
        self._works(last)

    def _works(self, last: Record | None = None) -> None:
        self._retry_s = _RETRY_FIRST_S
        if self._problem:
            said = {} if last is None else {"link": last.link}
            log.info("results_delivered_again" if last else "receiver_is_back", receiver=self._receiver.name, **said)
            self._problem = ""

    def _failed(self, records: Sequence[Record], err: Exception) -> float:
        """Say why, once a reason; the same records come again after a while."""
        wait_s = self._retry_s
        if records and records[0].is_again:
            self._outbox.again_failed()
        if isinstance(err, NotDelivered):
            if err.confirmed:
                self._outbox.delivered(records[err.confirmed - 1])
            if err.back_to is not None:
                self._outbox.back_to(err.back_to)
            self._window = max(1, min(self._window, err.at_most or self._window))
            wait_s = max(wait_s, err.after_s)
        if str(err) != self._problem:
            hint = getattr(err, "hint", "")
            log.warning("results_wait", receiver=self._receiver.name, why=str(err), **({"hint": hint} if hint else {}))
        self._problem = str(err)
        if isinstance(err, NotDelivered) and err.looks_every_s is not None:
            return err.looks_every_s
        self._retry_s = min(_RETRY_CAP_S, self._retry_s * 2)
        return wait_s

    def _refused(self, records: Sequence[Record], err: Refused) -> float:
        """Halve until one is alone; it is set aside where there is reason to believe that it is at fault."""
        try:
            if err.which and len(err.which) < len(records):
                return self._aside_among(records, err.which)
            if len(records) > 1:
                self._window = max(1, len(records) // 2)
                return 0.0
            record, why = records[0], err.which.get(0, str(err))
            place = record.origin, record.link
            if not record.is_again and self._refused_in_a_row >= _ASIDE_AT_ONCE and self._suspect != place:
                self._suspect = place
                return self._failed(records, Refused(f"{why}; it has refused everything since the last one it took"))
            self._set_aside(record, why)
        except OSError as problem:  # the disk did not take it: it still stands first
            return self._failed(records, problem)
        self._refused_in_a_row += not record.is_again
        return 0.0

    def _aside_among(self, records: Sequence[Record], which: Mapping[int, str]) -> float:
        for at in sorted(which):
            self._outbox.set_aside(records[at], which[at])
            self._tell(records[at], which[at])
        self._taken(records[-1])
        return 0.0

    def _set_aside(self, record: Record, why: str) -> None:
        self._outbox.set_aside(record, why)
        self._tell(record, why)
        self._outbox.delivered(record)


def _sendable(records: list[Record]) -> list[Record]:
    """Those before the first that cannot be sent at all."""
    end = next((at for at, record in enumerate(records) if record.problem), len(records))
    return records[:end]
