"""Asking the fleet's server: bounded in time and in what is read, and never led to another address."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from drivers.timing import monotonic_s
from edge_agent.errors import EdgeAgentError
from edge_agent.files.strict_json import strict_json
from edge_agent.publishing.tls import TlsFiles, client_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse
    from typing import Any

    from edge_agent.settings import FleetSettings

__all__ = ["FleetServer", "NotAnswered", "NotTrusted"]

_WITHIN_S = 10.0
_ANSWER_MOST_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_SaidT = TypeVar("_SaidT", bound=BaseModel)


class NotAnswered(EdgeAgentError):
    """The server is away, slow, refuses, or answers what no fleet answers. ``code`` is its HTTP status; 0: none."""

    exit_code = 69

    def __init__(self, what: str, *, code: int = 0, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.code = code


class NotTrusted(NotAnswered):
    """The server does not prove that it is the one that line.toml names."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another address than line.toml names is told nothing."""

    def redirect_request(self, *_: Any) -> None:
        return


class FleetServer:
    """The server that line.toml names. Used in one thread; every method raises NotAnswered and ConfigError."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        self.url = settings.url.rstrip("/")

    def post(self, path: str, said: BaseModel, answer: type[_SaidT], *, secret: str = "") -> _SaidT:
        """POST a message, and read the one that comes back."""
        return self._asked(path, said.model_dump_json().encode(), answer, secret)

    def get(self, path: str, answer: type[_SaidT], *, secret: str) -> _SaidT:
        """Read a message."""
        return self._asked(path, None, answer, secret)

    def pieces(self, path: str, size: int, within_s: float, *, secret: str) -> Iterator[bytes]:
        """The bytes of a file of exactly that size, within that time."""
        ends_mono_s, got = monotonic_s() + within_s, 0
        with self._open(path, None, secret) as opened:
            while piece := self._read(opened, min(_PIECE_BYTES, size - got + 1)):
                got += len(piece)
                if got > size:
                    raise NotAnswered(f"{self.url}: the file is longer than was said")
                if monotonic_s() > ends_mono_s:
                    raise NotAnswered(f"{self.url}: the file did not come within {within_s:.0f} s")
                yield piece
        if got < size:
            raise NotAnswered(f"{self.url}: the file ended after {got} of {size} bytes")

    def certificate(self) -> bytes | None:
        """The certificate that the server shows, DER, proven; None without https. Raises NotTrusted as well."""
        parts = urlsplit(self.url)
        if parts.scheme != "https":
            return None
        context = client_context(TlsFiles(self._settings.ca_file, None, None))
        host = parts.hostname or ""
        try:
            with (
                socket.create_connection((host, parts.port or 443), _WITHIN_S) as plain,
                context.wrap_socket(plain, server_hostname=host) as wrapped,
            ):
                return wrapped.getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError as err:
            raise NotTrusted(f"{self.url}: its certificate is not trusted: {err.verify_message}") from err
        except OSError as err:
            raise NotAnswered(f"{self.url} cannot be reached: {err}") from err

    def _asked(self, path: str, body: bytes | None, answer: type[_SaidT], secret: str) -> _SaidT:
        ends_mono_s, content = monotonic_s() + _WITHIN_S, b""
        with self._open(path, body, secret) as opened:
            while piece := self._read(opened, _PIECE_BYTES):
                content += piece
                if len(content) > _ANSWER_MOST_BYTES or monotonic_s() > ends_mono_s:
                    raise NotAnswered(f"{self.url}: the answer is too long, or takes too long")
        try:
            strict_json(content, most_bytes=_ANSWER_MOST_BYTES)
            return answer.model_validate_json(content)
        except (ValidationError, ValueError) as err:
            raise NotAnswered(f"{self.url}: that is no answer of a fleet: {str(err)[:200]}") from err

    def _read(self, opened: HTTPResponse, most: int) -> bytes:
        try:
            return opened.read1(most)
        except (OSError, http.client.HTTPException) as err:
            raise NotAnswered(f"{self.url}: the answer broke off: {err}") from err

    def _open(self, path: str, body: bytes | None, secret: str) -> HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - line.toml takes http and https only
            f"{self.url}{path}",
            data=body,
            method="GET" if body is None else "POST",
            headers={"Content-Type": "application/json", "User-Agent": f"edge-agent/{version('edge-agent')}"},
        )
        if secret:
            request.add_unredirected_header("Authorization", f"Bearer {secret}")
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if urlsplit(self.url).scheme == "https":
            context = client_context(TlsFiles(self._settings.ca_file, None, None))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        try:
            opened: HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=_WITHIN_S)
        except urllib.error.HTTPError as err:
            said = err.read(300).decode("utf-8", "replace").strip() if err.code < 500 else ""
            err.close()
            raise NotAnswered(f"{self.url} answered {err.code}{': ' if said else ''}{said}", code=err.code) from err
        except (OSError, ValueError, http.client.HTTPException) as err:
            raise NotAnswered(f"{self.url} cannot be reached: {getattr(err, 'reason', None) or err}") from err
        return opened
