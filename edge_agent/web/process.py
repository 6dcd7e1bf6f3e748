"""The page's process from the inside: last in line for the processor and first to go when memory runs out."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import sys
from typing import TYPE_CHECKING

import structlog
import uvicorn
from prometheus_client import disable_created_metrics

from edge_agent.drift.from_journal import DriftWatch
from edge_agent.errors import DataError, Unavailable
from edge_agent.feed.current import Live
from edge_agent.feed.state import AgentState
from edge_agent.logs import configure_logs
from edge_agent.people.sessions import Sessions
from edge_agent.people.users import UsersFile, users_path
from edge_agent.runtime.holders import listener_at
from edge_agent.runtime.process import stand_back
from edge_agent.settings import Settings
from edge_agent.store.reviewed import ReviewBook
from edge_agent.web.access import Access
from edge_agent.web.feed import Answer, Request
from edge_agent.web.guard import read_token
from edge_agent.web.measured import Measured
from edge_agent.web.pictures import Explainer
from edge_agent.web.reviews import ReviewDesk
from edge_agent.web.site import Site, monitoring, page
from edge_agent.web.thumbnails import Thumbnails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp

__all__ = ["listening_socket", "make_site", "names_of", "run_page", "server"]

_LINE_MAX_BYTES = 4 << 20
_HEADERS_MAX_BYTES = 16 * 1024
_CONNECTIONS_MAX = 256
_UNREAD_MAX_MS = 20_000
_KEEP_ALIVE_S = 5
_DRIFT_EVERY_S = 2.0

log = structlog.get_logger(__name__)


async def run_page() -> None:
    """Serve until standard input ends. Raises ConfigError, DataError, Unavailable."""
    stand_back(None)
    told = asyncio.StreamReader(limit=_LINE_MAX_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    settings = Settings.model_validate_json(await told.readline())
    configure_logs(settings.log.level, settings.log.format)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    site = make_site(settings, _say)
    servers = _servers(settings, site)
    try:
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(site.live.follow()), tasks.create_task(follow_drift(site.watch))]
            work += [tasks.create_task(served.serve([sock])) for served, sock in servers]
            await _listen(told, site)
            for served, _ in servers:
                served.should_exit = served.force_exit = True
            for task in work:
                task.cancel()
    finally:
        site.explainer.close()
        site.thumbnails.close()
        site.access.close()


def make_site(settings: Settings, send: Callable[[Request], None]) -> Site:
    """Everything behind the addresses; ``send`` asks the agent to write a review, or to move a limit.

    Raises ConfigError.
    """
    web = settings.web
    live = Live(settings.store.journal, web.shift_starts if web else ("00:00",))
    book = ReviewBook()
    watch = DriftWatch(settings)
    measured = Measured(settings, live, book, watch)
    token = None if web is None or web.token_file is None else read_token(web.token_file)
    thumbnails = Thumbnails(settings.store.archive)
    users = UsersFile(users_path(settings.store.journal))
    desk = ReviewDesk(send)
    access = Access(web, token, users, Sessions(60.0 * (web.sign_out_after_min if web else 0)), desk)
    return Site(settings, live, measured, Explainer(settings), thumbnails, desk, book, access, watch)


async def follow_drift(watch: DriftWatch) -> None:
    """Look for changes every few seconds until cancelled: beside the parts' way, in a thread of this process."""
    while True:
        try:
            await asyncio.to_thread(watch.look)
        except DataError as err:  # the parts are followed all the same, and say so where the journal is gone
            log.warning("drift_not_seen", why=str(err))
        await asyncio.sleep(_DRIFT_EVERY_S)


def _servers(settings: Settings, site: Site) -> list[tuple[uvicorn.Server, socket.socket]]:
    found = []
    if (web := settings.web) is not None:
        app = page(site, names_of(web.host, web.names))
        found.append((server(app), listening_socket(web.host, web.port)))
    if (metrics := settings.metrics) is not None:
        app = monitoring(site, names_of(metrics.host, () if web is None else web.names))
        found.append((server(app), listening_socket(metrics.host, metrics.port)))
    return found


async def _listen(told: asyncio.StreamReader, site: Site) -> None:
    while line := await told.readline():
        if "answer" in json.loads(line):
            site.desk.answered(Answer.model_validate_json(line))
        else:
            site.live.hear(AgentState.model_validate_json(line))


def _say(request: Request) -> None:
    sys.stdout.write(request.model_dump_json() + "\n")
    sys.stdout.flush()


def server(app: ASGIApp) -> uvicorn.Server:
    """A server for one socket, with bounds on everything that a client decides."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_HEADERS_MAX_BYTES,
            limit_concurrency=_CONNECTIONS_MAX,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
    )


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket. A client that does not read for 20 s is dropped by the kernel. Raises Unavailable."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MAX_MS)
            sock.bind(address)
            sock.listen(128)
        except OSError:
            sock.close()
            raise
    except OSError as err:
        other = listener_at(str(address[0]), port) if err.errno == errno.EADDRINUSE else None
        raise Unavailable(
            f"{host}:{port} cannot be listened on: {err.strerror}{'' if other is None else f', by {other}'}",
            hint="another program has that port, or this PC has not that address: see [web] and [metrics]",
        ) from err
    return sock


def names_of(host: str, more: Iterable[str]) -> frozenset[str]:
    """The names that a browser may call a page by."""
    return frozenset({"127.0.0.1", "localhost", "::1", host.lower(), *(name.lower() for name in more)})
