"""The fleet's page: every line on one screen, read and never written. Whoever has the key of the wall sees it."""

from __future__ import annotations

import asyncio
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from edge_agent.report.phrases import said
from edge_agent.web.language import Spoken
from edge_agent.wording import LANGUAGES, language, table, tag, tr

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edge_agent.fleet.wall import Wall

__all__ = ["FleetSite", "fleet_app"]

_COOKIE = "fleet_wall"
_VIEWERS_MAX = 32
_STILL_HERE_S = 2.0
_AT_MOST_EVERY_S = 0.2
_KINDS = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_OF_THE_PAGE = ("tr.js", "icon.svg")
"""Files that the line's own page has as well."""
_KEPT_S = 365 * 24 * 3600
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(slots=True)
class FleetSite:
    """What the page's addresses share. ``key`` is asked of every browser."""

    wall: Wall
    key: str
    viewers: int = 0

    def app(self) -> Starlette:
        """The addresses."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/words.js", self.words),
                Route("/events", self.events),
                Route("/api/lines", self.lines),
                *(Route(f"/{name}", _file(content, kind)) for name, content, kind in _static()),
            ]
        )

    async def page(self, request: Request) -> Response:
        """The page; with ``?key=`` the browser is let in from now on."""
        given = request.query_params.get("key")
        if given is not None and self._is_key(given):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(
                _COOKIE,
                given,
                max_age=_KEPT_S,
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
            return answer
        if not self.is_let_in(request):
            return PlainTextResponse(tr("Open this page once with ?key= and the key of the wall.") + "\n", 401)
        return Response(_shell_in(language()), media_type="text/html", headers={"vary": "cookie, accept-language"})

    async def words(self, _: Request) -> Response:
        """The spoken language's texts, as a module."""
        parts = {"LANGUAGE": language(), "TABLE": table(language())}
        script = "".join(
            f"export const {name} = {json.dumps(one, ensure_ascii=False)};\n" for name, one in parts.items()
        )
        return Response(script, media_type="text/javascript", headers={"vary": "cookie, accept-language"})

    async def lines(self, request: Request) -> Response:
        """All lines as they stand, and the newest promotions, as JSON."""
        if not self.is_let_in(request):
            return PlainTextResponse("the key of the wall is wrong or missing\n", 401)
        _, tiles, promotions, _ = self.wall.newer_than(-1)
        return JSONResponse({"schema_version": 1, "lines": _spoken(tiles), "promotions": promotions})

    async def events(self, request: Request) -> Response:
        """The stream that a browser follows."""
        if not self.is_let_in(request):
            return PlainTextResponse("the key of the wall is wrong or missing\n", 401)
        if self.viewers >= _VIEWERS_MAX:
            return PlainTextResponse("too many browsers follow this page\n", 503)
        return StreamingResponse(self._stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _stream(self) -> AsyncIterator[str]:
        self.viewers += 1
        try:
            version = -1
            while True:
                changed = self.wall.changed
                version, tiles, promotions, names = self.wall.newer_than(version)
                facts: dict[str, Any] = {"utc": datetime.now(UTC).isoformat(timespec="milliseconds"), "names": names}
                if tiles:
                    facts["lines"] = _spoken(tiles)
                if promotions is not None:
                    facts["promotions"] = promotions
                yield f"event: fleet\ndata: {json.dumps(facts, ensure_ascii=False)}\n\n"
                await asyncio.sleep(_AT_MOST_EVERY_S)
                try:
                    # Said again even if nothing changed: a silent stream and a dead fleet must look different.
                    async with asyncio.timeout(_STILL_HERE_S):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self.viewers -= 1

    def is_let_in(self, request: Request) -> bool:
        """Whether this browser was let in, or a script has the key as its bearer token."""
        _, _, bearer = request.headers.get("authorization", "").partition(" ")
        return self._is_key(request.cookies.get(_COOKIE) or bearer)

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.key.encode())


def fleet_app(line_side: ASGIApp, site: FleetSite, names: frozenset[str]) -> ASGIApp:
    """Lines at ``/line/``, people everywhere else. A browser has to call this server by one of its names."""
    page = Spoken(site.app(), None)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/line/"):
            await line_side(scope, receive, send)
            return
        if scope["path"] == "/healthz":
            await JSONResponse({"schema_version": 1, "alive": True})(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        refusal = None
        if len(hosts) != 1 or _name(hosts[0]) not in names:
            refusal = PlainTextResponse("this page is not known by that name: edge-agent fleet serve --name\n", 421)
        elif scope["method"] not in ("GET", "HEAD"):
            refusal = PlainTextResponse("this page is only read\n", 405)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(_HEADERS)
                answer.setdefault("cache-control", "no-store")
            await send(message)

        await (refusal or page)(scope, receive, guarded)

    return app


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _spoken(tiles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What lines say in their own words, in the reader's language."""
    return [
        one
        | {
            "drift": said(one["drift"]) if one["drift"] else "",
            "alerts": [alert | {"what": said(alert["what"])} for alert in one["alerts"]],
        }
        for one in tiles
    ]


def _static() -> list[tuple[str, bytes, str]]:
    own = list(files("edge_agent.fleet").joinpath("static").iterdir())
    shared = [files("edge_agent.web").joinpath("static").joinpath(name) for name in _OF_THE_PAGE]
    found = sorted([*own, *shared], key=lambda one: one.name)
    return [(one.name, one.read_bytes(), _KINDS[one.name.rpartition(".")[2]]) for one in found]


def _file(content: bytes, kind: str) -> Any:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return answer


@cache
def _shell_in(spoken: str) -> str:
    values = {"language": spoken, "tag": tag(), "languages": LANGUAGES, "tr": tr}
    return _TEMPLATES.get_template("fleet.html.j2").render(**values)
