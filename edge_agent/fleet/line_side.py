"""The addresses that lines ask: enrolment, rows, state, and the files of a bundle that is offered to them.

Who asks is known by the secret alone. Bodies, rates and requests at a time have bounds for each line, so that one that
floods holds up itself.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from drivers.timing import monotonic_s
from edge_agent.errors import DataError, EdgeAgentError, NotPermitted, Unavailable
from edge_agent.files.strict_json import strict_json
from edge_agent.fleet.bundles import files_of, folder_of
from edge_agent.fleet.database import state
from edge_agent.fleet.lines import enrol, line_of
from edge_agent.fleet.promoting import offers_for
from edge_agent.fleet.rows import Rows, take
from edge_agent.fleet_line.messages import BODY_MAX_BYTES, Answer, BundleFiles, Enrolled, Enrolment, Known, State
from edge_agent.store.room import archive_reserve_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sqlalchemy import Connection, Engine
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from edge_agent.fleet.lines import KnownLine
    from edge_agent.fleet.wall import Wall
    from edge_agent.fleet.writing import Writer
    from edge_agent.fleet_line.messages import Offer

__all__ = ["LineSide"]

log = structlog.get_logger(__name__)

_STATE_MAX_BYTES = 128 * 1024
_ENROLMENT_MAX_BYTES = 1024
_BODY_WITHIN_S = 10.0
_KNOWN_FOR_S = 3.0
_A_SECOND, _AT_ONCE = 20.0, 40.0
_ENROLMENTS_A_SECOND, _ENROLMENTS_AT_ONCE = 1.0, 100.0
_BESIDE_EACH_OTHER = 4
_DROPPED_TIMES = 4
_AskedT = TypeVar("_AskedT", bound=BaseModel)


@dataclass(slots=True)
class _Rate:
    """So many requests a second over a while, and so many at once."""

    a_second: float = _A_SECOND
    at_once: float = _AT_ONCE
    left: float = _AT_ONCE
    looked_mono_s: float = field(default_factory=monotonic_s)
    open: int = 0

    def take(self) -> None:
        """Raises HTTPException where it is too many."""
        now = monotonic_s()
        self.left = min(self.at_once, self.left + (now - self.looked_mono_s) * self.a_second)
        self.looked_mono_s = now
        if self.left < 1.0 or self.open >= _BESIDE_EACH_OTHER:
            raise HTTPException(429, "too many requests", {"Retry-After": "2"})
        self.left -= 1.0


class LineSide:
    """What the lines' addresses share. Lives in one event loop."""

    def __init__(self, folder: Path, engine: Engine, writer: Writer, wall: Wall) -> None:
        self._folder = folder
        self._engine = engine
        self._writer = writer
        self._wall = wall
        self._known: dict[str, tuple[KnownLine, float]] = {}
        self._rates: dict[int, _Rate] = {}
        self._enrolments = _Rate(_ENROLMENTS_A_SECOND, _ENROLMENTS_AT_ONCE, _ENROLMENTS_AT_ONCE)
        self._offered: dict[int, tuple[Offer, ...]] = {}
        self._is_full = False

    def app(self) -> Starlette:
        """The addresses."""
        routes = [
            Route("/line/enrol", self._guarded(self.enrol), methods=["POST"]),
            Route("/line/rows", self._guarded(self.rows), methods=["POST"]),
            Route("/line/known", self._guarded(self.whom)),
            Route("/line/state", self._guarded(self.state), methods=["POST"]),
            Route("/line/bundles/{bundle_id}", self._guarded(self.files)),
            Route("/line/bundles/{bundle_id}/{name}", self._guarded(self.file)),
        ]
        return Starlette(routes=routes, exception_handlers={EdgeAgentError: _said})

    async def enrol(self, request: Request) -> Response:
        """An invitation against a secret: once."""
        self._enrolments.take()
        asked = await _message(request, Enrolment, _ENROLMENT_MAX_BYTES)
        name, secret = await self._writer.do(lambda connection: enrol(connection, asked.invitation))
        self._known.clear()
        return _json(Enrolled(line=name, secret=secret))

    async def rows(self, request: Request) -> Response:
        """Rows, confirmed when they are on the disk."""
        async with self._line(request) as line:
            said = await _message(request, Rows, BODY_MAX_BYTES)
            self._need_room()
            added = await self._writer.do(lambda connection: take(connection, line.line_id, said))
            self._wall.count(line.line_id, line.name, added)
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        """How the line stands; the answer has what is offered to it."""
        async with self._line(request) as line:
            said = await _message(request, State, _STATE_MAX_BYTES)
            offers = await self._writer.do(lambda connection: _heard(connection, line.line_id, said))
            self._wall.hear(line.line_id, line.name, said)
            self._offered[line.line_id] = offers
        return _json(Answer(offers=offers))

    async def whom(self, request: Request) -> Response:
        """Who asks, and the server's time: a line's doctor asks it, and nothing changes by it."""
        async with self._line(request) as line:
            return _json(Known(line=line.name, at_utc=datetime.now(UTC).isoformat(timespec="milliseconds")))

    async def files(self, request: Request) -> Response:
        """Which files a bundle has that is offered to this line. Raises HTTPException: 404 where it is not."""
        async with self._line(request) as line:
            bundle_id = self._offered_to(request, line)
            found = await run_in_threadpool(files_of, self._folder, bundle_id)
        if not found:
            raise HTTPException(404, "the fleet holds no such bundle")
        return _json(BundleFiles(files=found))

    async def file(self, request: Request) -> Response:
        """One of its files. Raises HTTPException: 404 where it has no such file, or is not offered."""
        async with self._line(request) as line:
            bundle_id, name = self._offered_to(request, line), request.path_params["name"]
            if name not in await run_in_threadpool(files_of, self._folder, bundle_id):
                raise HTTPException(404, "the bundle has no such file")
        return _CountedFile(self.rate(line), folder_of(self._folder, bundle_id) / name)

    def _need_room(self) -> None:
        """Raise Unavailable where rows would fill the disk: the lines keep them, and can still tell how they stand."""
        if self._engine.dialect.name != "sqlite":
            return
        disk = shutil.disk_usage(self._folder)
        is_full = disk.free < archive_reserve_bytes(disk.total, 0)
        if is_full != self._is_full:
            log.log(logging.ERROR if is_full else logging.INFO, "fleet_disk", is_full=is_full, free_mib=disk.free >> 20)
        self._is_full = is_full
        if is_full:
            raise Unavailable("the disk of the fleet is nearly full: rows wait on the lines")

    def _offered_to(self, request: Request, line: KnownLine) -> str:
        bundle_id = str(request.path_params["bundle_id"])
        offered = {one.bundle_id for one in self._offered.get(line.line_id, ()) if one.stage != "withdrawn"}
        if bundle_id not in offered:
            raise HTTPException(404, "no such bundle is offered to this line")
        return bundle_id

    def _line(self, request: Request) -> _OneLine:
        return _OneLine(self, request)

    async def known(self, request: Request) -> KnownLine:
        """The line that asks. Raises HTTPException: 401 for nobody."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        found, until_mono_s = self._known.get(secret, (None, 0.0))
        if kind == "Bearer" and 32 <= len(secret) <= 200 and (found is None or monotonic_s() > until_mono_s):
            found = await run_in_threadpool(self._looked_up, secret)
            self._known.pop(secret, None)
            if found is not None:
                self._known[secret] = found, monotonic_s() + _KNOWN_FOR_S
        if kind != "Bearer" or found is None:
            raise HTTPException(401, "the fleet knows no line by that secret", {"WWW-Authenticate": "Bearer"})
        return found

    def rate(self, line: KnownLine) -> _Rate:
        """That line's."""
        return self._rates.setdefault(line.line_id, _Rate())

    def _looked_up(self, secret: str) -> KnownLine | None:
        with self._engine.connect().execution_options(reads=True) as connection:
            return line_of(connection, secret)

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            response = await answer(request)
            response.headers["cache-control"] = "no-store"
            return response

        return guarded


@dataclass(slots=True)
class _OneLine:
    """One request of a known line, within its rate."""

    side: LineSide
    request: Request
    rate: _Rate | None = None

    async def __aenter__(self) -> KnownLine:
        line = await self.side.known(self.request)
        rate = self.side.rate(line)
        rate.take()
        rate.open += 1
        self.rate = rate
        return line

    async def __aexit__(self, *_: object) -> None:
        if self.rate is not None:
            self.rate.open -= 1


class _CountedFile(FileResponse):
    """A file on its way counts among the requests that its line has open, or a line could hold every connection."""

    def __init__(self, rate: _Rate, path: Path) -> None:
        super().__init__(path)
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette calls it."""
        self._rate.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._rate.open -= 1


def _heard(connection: Connection, line_id: int, said: State) -> tuple[Offer, ...]:
    values = {"said": said.model_dump_json(), "got_s": time.time()}
    if connection.execute(update(state).where(state.c.line_id == line_id).values(**values)).rowcount == 0:
        connection.execute(state.insert().values(line_id=line_id, **values))
    return offers_for(connection, line_id, said)


async def _message(request: Request, kind: type[_AskedT], most_bytes: int) -> _AskedT:
    """The body as that message. Raises HTTPException: 413, 408, 422 with what is wrong in it."""
    body, size = b"", 0
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            async for piece in request.stream():
                size += len(piece)
                # What is somewhat too large is read to its end and dropped: a sender that still writes hears no answer.
                if size > _DROPPED_TIMES * most_bytes:
                    break
                body = body + piece if size <= most_bytes else b""
    except TimeoutError:
        raise HTTPException(408, "the body did not come in time") from None
    if size > most_bytes:
        raise HTTPException(413, f"a body has at most {most_bytes} bytes")
    try:
        strict_json(body, most_bytes=most_bytes)
        return kind.model_validate_json(body)
    except ValidationError as err:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors(include_url=False)[:3])
        raise HTTPException(422, wrong[:300]) from err
    except ValueError as err:
        raise HTTPException(422, str(err)[:300]) from err


def _json(said: BaseModel) -> Response:
    return Response(said.model_dump_json(), media_type="application/json")


async def _said(_: Request, err: Exception) -> Response:
    code = 403 if isinstance(err, NotPermitted) else 503 if isinstance(err, Unavailable) else 422
    if not isinstance(err, (NotPermitted, Unavailable, DataError)):
        raise err
    return PlainTextResponse(f"{err}\n", code, {"Retry-After": "2"} if code == 503 else None)
