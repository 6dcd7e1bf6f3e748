"""The publishing process: its first line of standard input is the settings; it ends when that input ends.

Each further line is how the agent stands.

What it says on standard output is what the agent shall write into the journal: each result that was set aside.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from edge_agent.errors import EdgeAgentError
from edge_agent.feed.state import AgentState
from edge_agent.logs import configure_logs
from edge_agent.publishing.mqtt import MqttReceiver
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import send_until
from edge_agent.publishing.sparkplug.receiver import SparkplugReceiver
from edge_agent.publishing.sparkplug.watch import AgentWatch
from edge_agent.publishing.told import ASIDE, Told
from edge_agent.publishing.webhook import WebhookReceiver
from edge_agent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.publishing.outbox import Record
    from edge_agent.publishing.sender import Receiver

__all__ = ["publish", "receivers"]

log = structlog.get_logger(__name__)

_STOP_WITHIN_S = 3.0
_LOOK_AGAIN_S = 10.0
_ONE_AT_A_TIME = threading.Lock()


def publish() -> None:
    """Send to every receiver of line.toml until standard input ends."""
    with suppress(PermissionError):  # a unit's seccomp filter: results are sent all the same
        os.nice(19)
    settings = Settings.model_validate_json(sys.stdin.readline())
    configure_logs(settings.log.level, settings.log.format)
    stop, agent = threading.Event(), AgentWatch()
    threads = [
        threading.Thread(target=_run, args=(stop, settings.store.journal, name, make), name=name, daemon=True)
        for name, make in receivers(settings, agent).items()
    ]
    for thread in threads:
        thread.start()
    while line := sys.stdin.readline():
        agent.hear(AgentState.model_validate_json(line))
    stop.set()
    for thread in threads:
        thread.join(_STOP_WITHIN_S)


def receivers(settings: Settings, agent: AgentWatch) -> dict[str, Callable[[], Receiver]]:
    """Those that line.toml names, and what makes each. Making one raises Unavailable where a library is missing."""
    found: dict[str, Callable[[], Receiver]] = {}
    if settings.mqtt is not None:
        found[MqttReceiver.name] = partial(MqttReceiver, settings.mqtt, settings.line.name)
    if settings.sparkplug is not None:
        found[SparkplugReceiver.name] = partial(
            SparkplugReceiver,
            settings.sparkplug,
            settings.line.name,
            settings.line.cameras,
            settings.store.journal,
            agent,
        )
    if settings.webhook is not None:
        found[WebhookReceiver.name] = partial(WebhookReceiver, settings.webhook, settings.line.name)
    return found


def _run(stop: threading.Event, journal: Path, name: str, make: Callable[[], Receiver]) -> None:
    try:
        said = ""
        while not stop.is_set():
            try:
                receiver, outbox = make(), Outbox(journal, name)
            except EdgeAgentError as err:  # this one alone waits for a person; the other receiver has its results
                if str(err) != said:
                    log.error("results_wait", receiver=name, why=str(err), hint=err.hint)  # noqa: TRY400 - no bug
                said = str(err)
                stop.wait(_LOOK_AGAIN_S)
                continue
            send_until(stop, outbox, receiver, partial(_tell, name))
    except Exception:  # a bug: the process ends with it, is started again, and the journal still has everything
        log.exception("publishing_failed", receiver=name)
        os._exit(70)


def _tell(receiver: str, record: Record, why: str) -> None:
    """Have the agent write down that a record is set aside. Of such an event itself nothing is told: no end of them."""
    number = record.content.get("part_seq", record.content.get("event_id"))
    if record.is_again or record.content.get("kind") == ASIDE:
        return
    said = Told(receiver=receiver, kind=record.kind, number=number, why=why[:500])
    with _ONE_AT_A_TIME, suppress(OSError):  # an agent that is gone writes nothing down
        sys.stdout.write(said.model_dump_json() + "\n")
        sys.stdout.flush()
