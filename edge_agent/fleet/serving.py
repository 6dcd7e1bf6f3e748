"""The fleet's process: the addresses, the one writer, and who looks at promotions, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
import uvicorn

from edge_agent.errors import ConfigError, EdgeAgentError, Unavailable, UsageError
from edge_agent.fleet.afterwards import watch
from edge_agent.fleet.database import open_database
from edge_agent.fleet.hurried import Hurried
from edge_agent.fleet.line_side import LineSide
from edge_agent.fleet.promoting import examine
from edge_agent.fleet.retention import forget_old
from edge_agent.fleet.site import FleetSite, fleet_app
from edge_agent.fleet.wall import Wall, snapshot
from edge_agent.fleet.writing import Writer
from edge_agent.runtime.notify import notify
from edge_agent.runtime.process import stop_on_signal
from edge_agent.web.guard import read_token

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

__all__ = ["FleetOptions", "serve_fleet", "wall_key"]

log = structlog.get_logger(__name__)

_EXAMINE_EVERY_S = 1.0
_RELOAD_EVERY_S = 60.0
_WATCH_EVERY_S = 30.0
_LOOK_EVERY_S = 1.0
_FORGET_EVERY_S = 600.0
_CONNECTIONS_MAX = 512
_HEADERS_MAX_BYTES = 16 * 1024
_UNREAD_MAX_MS = 20_000
_OF_THIS_PC = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """Where a fleet listens and what it keeps. ``keep_days``: rows of parts and events; counts are kept for good."""

    folder: Path
    host: str
    port: int
    names: tuple[str, ...]
    certificate: Path | None
    key: Path | None
    keep_days: int


async def serve_fleet(options: FleetOptions, *, sock: socket.socket | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises UsageError, ConfigError, DataError, Unavailable."""
    if options.certificate is None and options.host not in _OF_THIS_PC:
        raise UsageError(
            f"{options.host} is reached from other PCs, and without a certificate secrets would be read on the way",
            hint="--certificate FILE --key FILE, or --host 127.0.0.1 behind a proxy that has one",
        )
    engine = await asyncio.to_thread(open_database, options.folder)
    writer, wall = Writer(engine), Wall()
    site = FleetSite(wall, wall_key(options.folder))
    names = frozenset({*_OF_THIS_PC, options.host.lower(), *(name.lower() for name in options.names)})
    app = fleet_app(LineSide(options.folder, engine, writer, wall).app(), site, names)
    served = uvicorn.Server(_config(app, options))
    listening = sock or _listening(options.host, options.port)
    stopping = stop_on_signal()
    try:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(writer.run())
            await _reload(writer, wall)
            beside = [
                tasks.create_task(_examine(writer, wall)),
                tasks.create_task(_watch(writer, wall)),
                tasks.create_task(_look(wall)),
                tasks.create_task(_forget(writer, options.keep_days)),
            ]
            serving = tasks.create_task(served.serve([listening]))
            notify("READY=1")
            log.info("fleet_serves", at=f"{options.host}:{options.port}", database=engine.dialect.name)
            await stopping.wait()
            notify("STOPPING=1")
            served.should_exit = served.force_exit = True
            await serving
            for task in (*beside, writing):
                task.cancel()
    finally:
        listening.close()
        engine.dispose()


def wall_key(folder: Path) -> str:
    """The key that a browser is let in by: made at the first start, in a file of mode 0600. Raises ConfigError."""
    path = folder / "wall-key"
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return read_token(path)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=128)
    except OSError as err:
        raise Unavailable(
            f"{host}:{port} cannot be listened on: {err.strerror}",
            hint="another program has that port, or this PC has not that address: see --host and --port",
        ) from err
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # a client that takes nothing of an answer is dropped by the kernel
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MAX_MS)
    return sock


def _config(app: ASGIApp, options: FleetOptions) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=Hurried,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_HEADERS_MAX_BYTES,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=5,
        ssl_certfile=None if options.certificate is None else str(options.certificate),
        ssl_keyfile=None if options.key is None else str(options.key),
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as err:
        raise ConfigError(f"the certificate or its key cannot be used: {err}") from err
    return config


async def _reload(writer: Writer, wall: Wall) -> None:
    wall.apply(await writer.do(snapshot))


async def _examine(writer: Writer, wall: Wall) -> None:
    since_reload_s = 0.0
    while True:
        await asyncio.sleep(_EXAMINE_EVERY_S)
        since_reload_s += _EXAMINE_EVERY_S
        try:
            if await writer.do(examine) or since_reload_s >= _RELOAD_EVERY_S:
                await _reload(writer, wall)
                since_reload_s = 0.0
        except EdgeAgentError as err:
            log.warning("fleet_not_examined", why=str(err))
        # Also of a database that answers with an error: what a restart may mend is one that does not answer.
        notify("WATCHDOG=1")


async def _watch(writer: Writer, wall: Wall) -> None:
    while True:
        try:
            if await writer.do(lambda connection: watch(connection, datetime.now(UTC))):
                await _reload(writer, wall)
        except EdgeAgentError as err:
            log.warning("fleet_not_watched", why=str(err))
        await asyncio.sleep(_WATCH_EVERY_S)


async def _look(wall: Wall) -> None:
    while True:
        wall.look()
        await asyncio.sleep(_LOOK_EVERY_S)


async def _forget(writer: Writer, keep_days: int) -> None:
    while True:
        has_more = False
        try:
            has_more = await writer.do(lambda connection: forget_old(connection, keep_days))
        except EdgeAgentError as err:
            log.warning("fleet_not_pruned", why=str(err))
        await asyncio.sleep(_LOOK_EVERY_S if has_more else _FORGET_EVERY_S)
