"""The page's addresses. Every answer comes from the journal, the archive or what the agent last told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from drivers.timing import monotonic_s
from edge_agent.errors import ConfigError, DataError, EdgeAgentError
from edge_agent.report.changed import change_json
from edge_agent.report.heat import scale_png
from edge_agent.report.phrases import said
from edge_agent.store.changes import changes_between
from edge_agent.store.study_asks import asked_now
from edge_agent.web.asking import checked, utc_text
from edge_agent.web.drift_view import DriftPages
from edge_agent.web.guard import Guard
from edge_agent.web.language import Spoken, shell, words_script
from edge_agent.web.learning import LearningPage
from edge_agent.web.limits import LimitPages
from edge_agent.web.looking_back import LookingBack
from edge_agent.web.pictures import Busy
from edge_agent.web.reviewing import Reviewing
from edge_agent.web.rows import part_json
from edge_agent.web.samples import SamplesPage
from edge_agent.web.shadow import ShadowPage
from edge_agent.web.shown_words import ShownWords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from edge_agent.drift.from_journal import DriftWatch
    from edge_agent.feed.current import Live
    from edge_agent.settings import Settings
    from edge_agent.store.reviewed import ReviewBook
    from edge_agent.web.access import Access
    from edge_agent.web.measured import Measured
    from edge_agent.web.pictures import Explainer
    from edge_agent.web.reviews import ReviewDesk
    from edge_agent.web.thumbnails import Thumbnails

__all__ = ["Site", "monitoring", "page"]

_VIEWERS_MAX = 128
_STILL_HERE_S = 10.0
_KINDS = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_AS_IT_COMES = {"x-accel-buffering": "no"}
"""nginx would collect a page full of events before it hands the first one on."""
_OF_THIS_BROWSER = {"cache-control": "no-cache", "vary": "cookie, accept-language"}


class _ChangesAsked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    since: datetime | None = None
    until: datetime | None = None
    most: Annotated[int, Field(ge=1, le=1000)] = 200


@dataclass(frozen=True, slots=True)
class Site:
    """What the addresses share."""

    settings: Settings
    live: Live
    measured: Measured
    explainer: Explainer
    thumbnails: Thumbnails
    desk: ReviewDesk
    book: ReviewBook
    access: Access
    watch: DriftWatch

    # --- now ------------------------------------------------------------------------------------------

    async def events(self, _: Request) -> Response:
        """The stream that a browser follows: ``hello``, ``state`` and ``part``, as they come."""
        if self.measured.viewers >= _VIEWERS_MAX:
            return PlainTextResponse("too many browsers follow this page\n", 503)
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers=_AS_IT_COMES)

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
            "can_review": self.access.is_open,
        }

    def _state(self) -> dict[str, Any]:
        live, agent = self.live, self.live.agent
        return {
            "line": agent.state if agent and live.is_heard else "SILENT",
            "line_for_s": round(monotonic_s() - agent.since_mono_s if agent and live.is_heard else live.heard_ago_s, 1),
            "journal_ago_s": round(live.looked_ago_s, 1),
            "newest": live.newest(),
            "simulated": bool(agent and agent.is_simulated),
            "dry_run": bool(agent and agent.is_dry_run),
            "degraded": {name: said(why) for name, why in self.measured.degraded().items()},
            "bypass": said(agent.bypass) if agent else "",
            "locked": said(agent.locked) if agent else "",
            "samples": said(agent.samples.words) if agent and agent.samples else "",
            "samples_soon": bool(agent and agent.samples and agent.samples.is_soon),
            "study": asdict(asked) if (asked := asked_now(self.settings.store.journal)) else None,
            "conditions": {} if agent is None else {name: _aged(c) for name, c in agent.conditions.items()},
            "not_ready": {name: said(why) for name, why in live.not_ready().items()},
            "counters": live.counters(),
            "archive": said(reach.words) if (reach := self.measured.reach()) else "",
            "utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }

    def changes(self, request: Request) -> Response:
        """Who changed what, the newest first. ``missing`` names a closed journal that is not here, for older ones."""
        asked = checked(lambda: _ChangesAsked.model_validate(dict(request.query_params)))
        found = changes_between(self.settings.store.journal, utc_text(asked.since), utc_text(asked.until))
        newest = [change_json(change) for change in reversed(found.found[-asked.most :])]
        facts = {"schema_version": 1, "changes": newest, "of": len(found.found), "missing": found.missing or None}
        return JSONResponse(facts)

    # --- for machines ---------------------------------------------------------------------------------

    def metrics(self, _: Request) -> Response:
        """The measured values, in the text format that Prometheus reads."""
        return Response(self.measured.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def healthz(self, _: Request) -> Response:
        """200 while the agent's own loop is heard."""
        is_heard = self.live.is_heard
        return JSONResponse({"schema_version": 1, "alive": is_heard}, 200 if is_heard else 503)

    async def readyz(self, _: Request) -> Response:
        """200 while parts can pass, 503 with the reasons otherwise."""
        reasons = self.live.not_ready()
        return JSONResponse({"schema_version": 1, "ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


def page(site: Site, names: frozenset[str]) -> ASGIApp:
    """The operator's page with everything on it."""
    shown = ShownWords(site.settings.review.read_twice_percent / 100)
    reviewing = Reviewing(site.settings, site.desk, site.book, site.access, shown)
    back = LookingBack(site.settings, site.explainer, site.thumbnails, site.book, reviewing)
    routes = [
        *_files(),
        Route("/heat-scale.png", _scale),
        Route("/events", site.events),
        *back.routes(),
        *LimitPages(site.settings, site.desk, site.access).routes(),
        *DriftPages(site.settings, site.watch).routes(),
        Route("/api/changes", site.changes),
        *SamplesPage(site.settings).routes(),
        *ShadowPage(site.settings).routes(),
        *LearningPage(site.settings).routes(),
        *site.access.routes(),
        *_machines(site),
    ]
    app = Starlette(routes=routes, exception_handlers={EdgeAgentError: _said, HTTPException: _refused})
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


async def _refused(_: Request, err: Exception) -> Response:
    """What a request may not, or does not say, in the reader's language."""
    assert isinstance(err, HTTPException)  # noqa: S101 - what it is registered for
    return PlainTextResponse(said(err.detail), err.status_code, err.headers)


def _aged(condition: Any) -> dict[str, Any]:
    return {"why_not": said(condition.why_not), "for_s": round(monotonic_s() - condition.since_mono_s, 1)}


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
