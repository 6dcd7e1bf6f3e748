"""From an outbox to one receiver: in order, again until it is confirmed; said once when it fails and when it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import structlog

from edge_agent.errors import EdgeAgentError

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from edge_agent.publishing.outbox import Outbox, Record

__all__ = ["NotDelivered", "Receiver", "send_until"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.25
_RETRY_FIRST_S, _RETRY_CAP_S = 0.5, 30.0


class NotDelivered(EdgeAgentError):
    """The receiver did not confirm; the same records are sent again."""

    exit_code = 69


class Receiver(Protocol):
    """Where results go."""

    name: str
    most: int
    """The most records of one delivery."""

    def deliver(self, records: Sequence[Record]) -> None:
        """Return when all of them are confirmed. Raises NotDelivered."""
        ...

    def close(self) -> None:
        """Let go of the receiver."""
        ...


def send_until(stop: threading.Event, outbox: Outbox, receiver: Receiver) -> None:
    """Deliver until told to stop. Blocks: in a thread of its own."""
    retry_s, problem = _RETRY_FIRST_S, ""
    try:
        while not stop.is_set():
            try:
                records = outbox.next(receiver.most)
                if records:
                    receiver.deliver(records)
                    outbox.delivered(records[-1])
            except (EdgeAgentError, OSError) as err:
                if not problem:
                    log.warning("results_wait", receiver=receiver.name, why=str(err))
                problem = str(err)
                stop.wait(retry_s)
                retry_s = min(_RETRY_CAP_S, retry_s * 2)
                continue
            if problem and records:
                log.info("results_delivered_again", receiver=receiver.name, link=records[-1].link)
                problem = ""
            if records:
                retry_s = _RETRY_FIRST_S
            else:
                stop.wait(_LOOK_EVERY_S)
    finally:
        receiver.close()
        try:
            outbox.save()
        except OSError as err:  # the last deliveries come again after the next start
            log.warning("position_not_saved", receiver=receiver.name, why=str(err))
