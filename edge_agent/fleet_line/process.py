"""The line's process for its fleet: its first line of standard input is the settings, then how the agent stands.

It ends when that input ends, and says nothing to the agent. A server that is away or slow holds up a thread here.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import cv2
import structlog

from edge_agent.errors import EdgeAgentError
from edge_agent.feed.state import AgentState
from edge_agent.fleet_line.messages import Answer
from edge_agent.fleet_line.offers import Following
from edge_agent.fleet_line.rows import FleetRows
from edge_agent.fleet_line.secret import read_secret, secret_file
from edge_agent.fleet_line.server import FleetServer
from edge_agent.fleet_line.standing import Standing
from edge_agent.logs import configure_logs
from edge_agent.opcua.hello import Hello
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import send_until
from edge_agent.runtime.process import stand_back

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.settings import FleetSettings, Settings

__all__ = ["run_fleet_line", "send_rows", "tell_state"]

log = structlog.get_logger(__name__)

_STOP_WITHIN_S = 3.0
_TELL_EVERY_S = 1.0
_LOOK_AGAIN_S = 10.0
_RETRY_CAP_S = 15.0


def run_fleet_line() -> None:
    """Tell the server until standard input ends."""
    stand_back(None)
    cv2.setNumThreads(1)
    hello = Hello.model_validate_json(sys.stdin.readline())
    settings, fleet = hello.settings, hello.settings.fleet
    configure_logs(settings.log.level, settings.log.format)
    if fleet is None:
        return
    stop, standing = threading.Event(), Standing(hello)
    following = Following(settings, FleetServer(fleet))
    threads = [
        _thread("rows", lambda: send_rows(stop, settings, fleet)),
        _thread("state", lambda: tell_state(stop, settings, FleetServer(fleet), standing, following)),
        _thread("offers", lambda: following.run(stop)),
    ]
    while line := sys.stdin.readline():
        standing.hear(AgentState.model_validate_json(line))
    stop.set()
    for thread in threads:
        thread.join(_STOP_WITHIN_S)


def _thread(name: str, work: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except Exception:  # a bug: the process ends with it, is started again, and the journal still has everything
            log.exception("fleet_line_failed", what=name)
            os._exit(70)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def send_rows(stop: threading.Event, settings: Settings, fleet: FleetSettings) -> None:
    """Deliver the journal's rows until told to stop. Blocks."""
    said = ""
    while not stop.is_set():
        try:
            read_secret(secret_file(settings))
            receiver, outbox = (
                FleetRows(settings, fleet, secret_file(settings)),
                Outbox(settings.store.journal, "fleet"),
            )
        except EdgeAgentError as err:
            if str(err) != said:
                log.error("fleet_waits", why=str(err), hint=err.hint)  # noqa: TRY400 - no bug
            said = str(err)
            stop.wait(_LOOK_AGAIN_S)
            continue
        send_until(stop, outbox, receiver)


def tell_state(
    stop: threading.Event, settings: Settings, server: FleetServer, standing: Standing, following: Following
) -> None:
    """Say each second how the line stands, and look at what is offered. Blocks."""
    said, wait_s = "", _TELL_EVERY_S
    while not stop.wait(wait_s):
        try:
            secret = read_secret(secret_file(settings))
            answer = server.post("/line/state", standing.now(following.taken), Answer, secret=secret)
        except EdgeAgentError as err:
            if str(err) != said:
                log.warning("fleet_not_told", why=str(err), **({"hint": err.hint} if err.hint else {}))
            said, wait_s = str(err), min(_RETRY_CAP_S, wait_s * 2)
            continue
        if said:
            log.info("fleet_told_again")
        said, wait_s = "", _TELL_EVERY_S
        following.hear(answer.offers, secret)
