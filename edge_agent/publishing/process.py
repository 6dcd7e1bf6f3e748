"""The publishing process: its first line of standard input is the settings; it ends when that input ends."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from edge_agent.logs import configure_logs
from edge_agent.publishing.mqtt import MqttReceiver
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import send_until
from edge_agent.publishing.webhook import WebhookReceiver
from edge_agent.settings import Settings

if TYPE_CHECKING:
    from edge_agent.publishing.sender import Receiver

__all__ = ["publish", "receivers"]

log = structlog.get_logger(__name__)

_STOP_WITHIN_S = 3.0


def publish() -> None:
    """Send to every receiver of line.toml until standard input ends. Raises EdgeAgentError for what a person mends."""
    with suppress(PermissionError):  # a unit's seccomp filter: results are sent all the same
        os.nice(19)
    settings = Settings.model_validate_json(sys.stdin.readline())
    configure_logs(settings.log.level, settings.log.format)
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=_run,
            args=(stop, Outbox(settings.store.journal, receiver.name), receiver),
            name=receiver.name,
            daemon=True,
        )
        for receiver in receivers(settings)
    ]
    for thread in threads:
        thread.start()
    while sys.stdin.readline():
        pass
    stop.set()
    for thread in threads:
        thread.join(_STOP_WITHIN_S)


def receivers(settings: Settings) -> list[Receiver]:
    """Those that line.toml names. Raises Unavailable where a library is missing."""
    found: list[Receiver] = []
    if settings.mqtt is not None:
        found.append(MqttReceiver(settings.mqtt, settings.line.name))
    if settings.webhook is not None:
        found.append(WebhookReceiver(settings.webhook, settings.line.name))
    return found


def _run(stop: threading.Event, outbox: Outbox, receiver: Receiver) -> None:
    try:
        send_until(stop, outbox, receiver)
    except Exception:  # a bug: the process ends with it, is started again, and the journal still has everything
        log.exception("publishing_failed", receiver=receiver.name)
        os._exit(70)
