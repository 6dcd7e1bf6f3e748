"""What every request has to get past, and what every answer carries."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from edge_agent.errors import ConfigError
from edge_agent.files.bounded import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import ValidationError
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = [
    "BODY_MAX_BYTES",
    "REVIEW_MAX_BYTES",
    "Guard",
    "body_of",
    "check_token",
    "is_token",
    "read_token",
    "words_of",
]

BODY_MAX_BYTES = 4096
REVIEW_MAX_BYTES = 24 * 1024
"""A review may have a drawing: as many points as one may have, with room for how a program writes them."""
_REVIEW = re.compile(r"/api/parts/[0-9]{1,19}/review")
_TOKEN_LEAST = 16
_TOKEN_MOST_BYTES = 4096
_FOREIGN_ORIGIN = (
    "a page of another origin may not do this; behind a proxy: let it hand on the Host as the browser sent it, with "
    "its port (docs/behind-nginx.md)\n"
)
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


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses what no browser of this page sends: foreign names (DNS rebinding), foreign origins, large bodies."""

    app: ASGIApp
    names: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.update(_HEADERS)
                answer.setdefault("cache-control", "no-store")
            await send(message)

        if refusal is not None:
            await refusal(scope, receive, send_guarded)
            return
        await self.app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or _name(hosts[0]) not in self.names:
            return PlainTextResponse("this page is not known by that name; see web.names in line.toml\n", 421)
        if scope["method"] in ("GET", "HEAD"):
            return None
        # A browser names the origin of every request that writes; a script at a terminal names none.
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != hosts[0]:
            return PlainTextResponse(_FOREIGN_ORIGIN, 403)
        length = headers.get("content-length", "")
        most = REVIEW_MAX_BYTES if _REVIEW.fullmatch(scope["path"]) else BODY_MAX_BYTES
        if not (length.isdecimal() and len(length) < 8 and int(length) <= most):
            return PlainTextResponse(f"a body has a length, of at most {most} bytes\n", 413)
        return None


def _name(host: str) -> str:
    """The host without its port, in small letters: ``[::1]:8480`` is ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def read_token(path: Path) -> str:
    """The token on the only line of a file that nobody else can read. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        token = read_bounded(path, _TOKEN_MOST_BYTES).decode("utf-8").removesuffix("\n")
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: the token cannot be read: {err}") from err
    if mode & 0o077:
        raise ConfigError(f"{path}: others on this PC may read the token", hint=f"chmod 0600 {path}")
    if len(token) < _TOKEN_LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{path}: expected one line of {_TOKEN_LEAST} characters or more, without blanks",
            hint=f"python3 -c 'import secrets; print(secrets.token_urlsafe())' > {path}",
        )
    return token


def is_token(authorization: str | None, token: str) -> bool:
    """Whether an Authorization header carries the token; takes the same time for every wrong one."""
    given = (authorization or "").encode("utf-8", "replace")
    return hmac.compare_digest(given, f"Bearer {token}".encode())


def check_token(request: Request, token: str | None) -> None:
    """Raise HTTPException unless the request carries the token; None: nobody may write here."""
    if token is None:
        raise HTTPException(403, "this page is read-only: line.toml names no web.token_file")
    if not is_token(request.headers.get("authorization"), token):
        raise HTTPException(401, "the token is wrong or missing", {"WWW-Authenticate": "Bearer"})


async def body_of(request: Request, most: int = BODY_MAX_BYTES) -> bytes:
    """A request's body. Raises HTTPException where it is longer than one may be."""
    body = await request.body()
    if len(body) > most:
        raise HTTPException(413, "the body is too large")
    return body


def words_of(err: ValidationError) -> str:
    """What is wrong with a request, for the person who sent it."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in err.errors(include_url=False)[:5])[:500]
