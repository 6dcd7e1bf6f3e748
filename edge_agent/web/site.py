"""The page's addresses. Every answer comes from the journal, the archive or what the agent last told."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from drivers.timing import monotonic_s
from edge_agent.domain import Verdict
from edge_agent.errors import ConfigError, DataError, EdgeAgentError
from edge_agent.report.heat import scale_png
from edge_agent.report.phrases import said
from edge_agent.store.search import JournalSearch, PartQuery
from edge_agent.web.feed import Review
from edge_agent.web.guard import BODY_MAX_BYTES, Guard, is_token
from edge_agent.web.language import Spoken, shell, words_script
from edge_agent.web.pictures import Busy
from edge_agent.web.reviews import limit_moved
from edge_agent.web.rows import camera_json, part_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from edge_agent.settings import Settings
    from edge_agent.store.rows import CameraRow, PartRow
    from edge_agent.web.live import Live
    from edge_agent.web.measured import Measured
    from edge_agent.web.pictures import Explainer
    from edge_agent.web.reviews import ReviewBook, ReviewDesk

__all__ = ["Site", "monitoring", "page"]

_VIEWERS_MAX = 128
_STILL_HERE_S = 10.0
_KINDS = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_OF_THIS_BROWSER = {"cache-control": "no-cache", "vary": "cookie, accept-language"}
_SEQ = re.compile(r"[1-9][0-9]{0,18}")
_Model = TypeVar("_Model", bound=BaseModel)
_PICTURES = ("image", "aligned", "reference", "reconstruction", "map", "heat")


class _Asked(BaseModel):
    """The filters of the history, as they stand in the address. Times are UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = None
    until: datetime | None = None
    verdict: Verdict | None = None
    program: Annotated[int | None, Field(ge=0, le=999)] = None
    score_min: Annotated[float | None, Field(allow_inf_nan=False)] = None
    score_max: Annotated[float | None, Field(allow_inf_nan=False)] = None
    before: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    most: Annotated[int, Field(ge=1, le=200)] = 50


class _Moved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Annotated[str, Field(min_length=1, max_length=200)]
    limit: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    since: datetime


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    says: str
    by: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """What the addresses share. ``token`` is None where nobody may review."""

    settings: Settings
    live: Live
    measured: Measured
    explainer: Explainer
    desk: ReviewDesk
    book: ReviewBook
    token: str | None

    # --- now ------------------------------------------------------------------------------------------

    async def events(self, _: Request) -> Response:
        """The stream that a browser follows: ``hello``, ``state`` and ``part``, as they come."""
        if self.measured.viewers >= _VIEWERS_MAX:
            return PlainTextResponse("too many browsers follow this page\n", 503)
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        self.measured.viewers += 1
        try:
            version = 0
            yield _event("hello", self._hello())
            while True:
                changed = self.live.changed
                version, parts = self.live.newer_than(version)
                if parts:
                    yield _event("parts", [part_json(part.row, part.publication) for part in parts])
                # Said again even if nothing changed: a silent stream and a dead agent must look different.
                yield _event("state", self._state())
                try:
                    async with asyncio.timeout(1.0):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self.measured.viewers -= 1

    def _hello(self) -> dict[str, Any]:
        return {
            "line": self.settings.line.name,
            "deadline_ms": self.settings.line.deadline_ms,
            "programs": sorted({entry.program for entry in self.settings.bundle}),
            "can_review": self.token is not None,
        }

    def _state(self) -> dict[str, Any]:
        live, agent = self.live, self.live.agent
        return {
            "line": agent.state if agent and live.is_heard else "SILENT",
            "simulated": bool(agent and agent.is_simulated),
            "dry_run": bool(agent and agent.is_dry_run),
            "degraded": {name: said(why) for name, why in self.measured.degraded().items()},
            "bypass": said(agent.bypass) if agent else "",
            "conditions": {} if agent is None else {name: _aged(c) for name, c in agent.conditions.items()},
            "not_ready": {name: said(why) for name, why in live.not_ready().items()},
            "counters": live.counters(),
            "archive": said(reach.words) if (reach := self.measured.reach()) else "",
            "utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }

    # --- history --------------------------------------------------------------------------------------

    def parts(self, request: Request) -> Response:
        """Parts by time, verdict, program and score, the newest first."""
        asked = _read(_Asked, dict(request.query_params))
        query = PartQuery(
            since_utc=_utc(asked.since),
            until_utc=_utc(asked.until),
            verdict=asked.verdict,
            program=asked.program,
            score_min=asked.score_min,
            score_max=asked.score_max,
            before_seq=asked.before,
            most=asked.most,
        )
        with self._journal() as journal:
            found = journal.find(query)
            published = journal.publications_of([row.part_seq for row in found.parts])
            told = self.book.of(journal)
        rows = [
            part_json(row, published.get(row.part_seq))
            | {"review": told[row.part_seq][-1].to_json() if row.part_seq in told else None}
            for row in found.parts
        ]
        return JSONResponse({"schema_version": 1, "parts": rows, "before": found.before_seq})

    def part(self, request: Request) -> Response:
        """One part with all that the journal holds of it."""
        with self._journal() as journal:
            row = _row(journal, request)
            publication = journal.publications_of([row.part_seq]).get(row.part_seq)
            told = self.book.of(journal).get(row.part_seq, [])
        return JSONResponse(
            {
                "schema_version": 1,
                **part_json(row, publication),
                "cameras": [camera_json(camera) for camera in row.cameras],
                "reviews": [review.to_json() for review in told],
            }
        )

    async def explained(self, request: Request) -> Response:
        """What one camera saw: which pictures there are, and the share of each channel in the score."""
        row, camera = await run_in_threadpool(self._camera, request)
        return JSONResponse({"schema_version": 1, **(await self.explainer.explain(row, camera)).to_json()})

    async def picture(self, request: Request) -> Response:
        """One of these pictures."""
        name = request.path_params["picture"]
        if name not in _PICTURES:
            raise HTTPException(404, "there is no such picture")
        row, camera = await run_in_threadpool(self._camera, request)
        data = (await self.explainer.explain(row, camera)).pictures.get(name)
        if data is None:
            raise HTTPException(404, "this part has no such picture")
        kind = "image/png" if name == "heat" else "image/jpeg"
        return Response(data, media_type=kind, headers={"cache-control": "private, max-age=300"})

    # --- review ---------------------------------------------------------------------------------------

    async def review(self, request: Request) -> Response:
        """A person with the token confirms or overturns a reject. The verdict that was sent stays what it is."""
        if self.token is None:
            raise HTTPException(403, "this page is read-only: line.toml names no web.token_file")
        if not is_token(request.headers.get("authorization"), self.token):
            raise HTTPException(401, "the token is wrong or missing", {"WWW-Authenticate": "Bearer"})
        body = await request.body()
        if len(body) > BODY_MAX_BYTES:
            raise HTTPException(413, "the body is too large")
        try:
            said = _Said.model_validate_json(body)
        except ValidationError as err:
            raise HTTPException(400, _words(err)) from err
        row = await run_in_threadpool(self._any_row, request)
        if row.verdict is not Verdict.REJECT:
            raise HTTPException(409, f"part {row.part_seq} is {row.verdict}: only a REJECT is reviewed")
        wish = {"part_seq": row.part_seq, "says": said.says, "by": said.by.strip(), "note": said.note}
        await self.desk.ask(_read(Review, wish))
        return JSONResponse({"schema_version": 1, **wish})

    def reviewed(self, request: Request) -> Response:
        """From the reviewed parts: false rejects, and what another limit would have done."""
        asked = _read(_Moved, dict(request.query_params))
        since = _utc(asked.since) or ""
        with self._journal() as journal:
            moved = limit_moved(journal, self.book, asked.bundle, asked.limit, since)
        return JSONResponse({"schema_version": 1, **moved})

    # --- for machines ---------------------------------------------------------------------------------

    def metrics(self, _: Request) -> Response:
        """Prometheus' text format."""
        return Response(self.measured.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def healthz(self, _: Request) -> Response:
        """200 while the agent's own loop is heard."""
        is_heard = self.live.is_heard
        return JSONResponse({"schema_version": 1, "alive": is_heard}, 200 if is_heard else 503)

    async def readyz(self, _: Request) -> Response:
        """200 while parts can pass, 503 with the reasons otherwise."""
        reasons = self.live.not_ready()
        return JSONResponse({"schema_version": 1, "ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    # --- small things ---------------------------------------------------------------------------------

    def _journal(self) -> JournalSearch:
        return JournalSearch.open(self.settings.store.journal)

    def _any_row(self, request: Request) -> PartRow:
        with self._journal() as journal:
            return _row(journal, request)

    def _camera(self, request: Request) -> tuple[PartRow, CameraRow]:
        row = self._any_row(request)
        for camera in row.cameras:
            if str(camera.camera) == request.path_params["camera"]:
                return row, camera
        raise HTTPException(404, "this part has no image of that camera")


def page(site: Site, names: frozenset[str]) -> ASGIApp:
    """The operator's page with everything on it."""
    parts = "/api/parts/{seq}"
    routes = [
        *_files(),
        Route("/heat-scale.png", _scale),
        Route("/events", site.events),
        Route("/api/parts", site.parts),
        Route(parts, site.part),
        Route(parts + "/cameras/{camera}", site.explained),
        Route(parts + "/cameras/{camera}/{picture}", site.picture),
        Route(parts + "/review", site.review, methods=["POST"]),
        Route("/api/reviewed", site.reviewed),
        *_machines(site),
    ]
    app = Starlette(routes=routes, exception_handlers={EdgeAgentError: _said})
    return Guard(Spoken(app, site.settings.line.language), names)


def monitoring(site: Site, names: frozenset[str]) -> ASGIApp:
    """What a monitoring needs, and no picture."""
    return Guard(Starlette(routes=_machines(site)), names)


def _machines(site: Site) -> list[Route]:
    return [Route("/metrics", site.metrics), Route("/healthz", site.healthz), Route("/readyz", site.readyz)]


def _files() -> list[Route]:
    """The page's own files, read once: no address leads to the disk."""
    found = sorted(files("edge_agent.web").joinpath("static").iterdir(), key=lambda file: file.name)
    return [
        Route("/", _shell),
        Route("/words.js", _words_script),
        *(Route(f"/{one.name}", _file(one.read_bytes(), _KINDS[one.name.rpartition(".")[2]])) for one in found),
    ]


async def _shell(_: Request) -> Response:
    return Response(shell(), media_type="text/html", headers=_OF_THIS_BROWSER)


async def _words_script(_: Request) -> Response:
    return Response(words_script(), media_type="text/javascript", headers=_OF_THIS_BROWSER)


def _file(data: bytes, kind: str) -> Any:
    async def serve(_: Request) -> Response:
        return Response(data, media_type=kind, headers={"cache-control": "no-cache"})

    return serve


async def _scale(_: Request) -> Response:
    return Response(scale_png(), media_type="image/png", headers={"cache-control": "max-age=3600"})


async def _said(_: Request, err: Exception) -> Response:
    """An error that a person can read, under the code that a machine can."""
    status = 404 if isinstance(err, DataError) else 500 if isinstance(err, ConfigError) else 503
    return JSONResponse(
        {"error": said(str(err)), "hint": said(getattr(err, "hint", ""))},
        status,
        {"retry-after": "1"} if isinstance(err, Busy) else None,
    )


def _row(journal: JournalSearch, request: Request) -> PartRow:
    seq = request.path_params["seq"]
    if not _SEQ.fullmatch(seq) or int(seq) >= 2**63:
        raise HTTPException(404, "a part has a number from 1 on")
    row = journal.part(int(seq))
    if row is None:
        raise HTTPException(404, f"there is no part {seq} in the journal")
    return row


def _read(model: type[_Model], given: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(given)
    except ValidationError as err:
        raise HTTPException(400, _words(err)) from err


def _words(err: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors(include_url=False)[:5])[:500]


def _utc(at: datetime | None) -> str | None:
    """A time as the journal writes it; one without a zone is UTC."""
    if at is None:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds")


def _aged(condition: Any) -> dict[str, Any]:
    return {"why_not": said(condition.why_not), "for_s": round(monotonic_s() - condition.since_mono_s, 1)}


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
