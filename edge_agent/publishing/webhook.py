"""Results to an HTTP address: a POST with a batch of records; a 2xx confirms the whole batch."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from edge_agent.publishing.sender import NotDelivered, Refused
from edge_agent.publishing.tls import TlsFiles, client_context
from edge_agent.settings import read_password

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_agent.publishing.outbox import Record
    from edge_agent.settings import WebhookSettings

__all__ = ["WebhookReceiver"]

_WITHIN_S = 10.0
_WAIT_AT_MOST_S = 600.0
_NOT_THE_RECORDS = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 411, 415, 421, 423, 425, 426, 428, 429, 431, 451})
"""Answers below 500 that say something about the address, the token or the moment, not about what was sent."""
_MULTI_STATUS = 207
_ADVICE = {
    401: "the receiver does not take webhook.token_file",
    403: "the receiver does not let this token, certificate or address in",
    404: "is the path of webhook.url right?",
    405: "is the path of webhook.url right? It takes no POST",
    407: "a proxy asks who this is",
    410: "is the path of webhook.url right?",
    415: "the receiver takes no JSON there",
    429: "too many POSTs for the receiver",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another place than line.toml names gets neither records nor token."""

    def redirect_request(self, *_: Any) -> None:
        return


class _Bounded:
    """Ends the connection when the time for a whole POST is over: a time-out of a socket starts anew with each byte."""

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self.is_over = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def watch(self, sock: socket.socket) -> None:
        self._sock = sock

    def _end(self) -> None:
        self.is_over = True
        if self._sock is not None:
            with suppress(OSError):
                # Not SSLSocket's own: that one takes the TLS away from under the thread that reads.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class WebhookReceiver:
    """An address that takes POSTs. Used in one thread."""

    name = "webhook"

    def __init__(self, settings: WebhookSettings, line: str) -> None:
        self._settings = settings
        self._line = line
        self.most = settings.most
        address = urlsplit(settings.url)
        # What comes after a question mark may be a key.
        self._where = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"

    def deliver(self, records: Sequence[Record]) -> None:
        """POST them.

        Raises NotDelivered where the receiver is away, slow, overloaded or does not let us in; Refused where it takes
        no such records; ConfigError for files that line.toml names.
        """
        request = self._request(records)
        bounded = _Bounded()
        opener = urllib.request.build_opener(_NoRedirect, *self._handlers(bounded))
        fewer = max(1, len(records) // 2)
        try:
            with bounded.within(_WITHIN_S), opener.open(request, timeout=_WITHIN_S) as answer:
                code = answer.status
                # The status has confirmed. What comes after it is for nobody, and may break off.
                with suppress(OSError, http.client.HTTPException):
                    answer.read(1024)
        except urllib.error.HTTPError as err:
            err.close()
            raise self._no(err, len(records)) from err
        except (OSError, ValueError, http.client.HTTPException) as err:
            if bounded.is_over or isinstance(err, TimeoutError) or isinstance(_reason(err), TimeoutError):
                raise NotDelivered(f"{self._where} did not answer within {_WITHIN_S:.0f} s", at_most=fewer) from err
            raise NotDelivered(f"{self._where} cannot be reached: {_words(err)}") from err
        if code == _MULTI_STATUS:
            raise Refused(f"{self._where} answered 207: it did not take all of it")

    def keep(self) -> None:
        """Nothing is held open between two deliveries."""

    def close(self) -> None:
        """Nothing is held open between two deliveries."""

    def _request(self, records: Sequence[Record]) -> urllib.request.Request:
        body = {
            "schema_version": 1,
            "line": self._line,
            "parts": [record.content for record in records if record.kind == "part"],
            "events": [record.content for record in records if record.kind == "event"],
        }
        data = json.dumps(body, allow_nan=False, default=str).encode()
        request = urllib.request.Request(  # noqa: S310 - line.toml takes http and https only
            self._settings.url,
            data=data,
            method="POST",
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"edge-agent/{version('edge-agent')}",
                # Of what is sent, not of its place in a journal: two lines that begin a journal have the same places.
                "Idempotency-Key": sha256(data).hexdigest()[:32],
            },
        )
        if self._settings.token_file is not None:
            request.add_unredirected_header("Authorization", f"Bearer {read_password(self._settings.token_file)}")
        return request

    def _handlers(self, bounded: _Bounded) -> list[urllib.request.BaseHandler]:
        """HTTP and HTTPS whose sockets are watched. Raises ConfigError."""

        class Plain(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                bounded.watch(self.sock)

        class Secure(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                bounded.watch(self.sock)

        class ByHttp(urllib.request.HTTPHandler):
            def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Plain, req)

        if urlsplit(self._settings.url).scheme != "https":
            return [ByHttp()]
        settings = self._settings
        context = client_context(TlsFiles(settings.ca_file, settings.certificate_file, settings.key_file))

        class ByHttps(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Secure, req, context=context)

        return [ByHttp(), ByHttps(context=context)]

    def _no(self, err: urllib.error.HTTPError, number: int) -> NotDelivered | Refused:
        """What an answer that is no 2xx means."""
        said = f"{self._where} answered {err.code} {str(err.reason)[:100]}".rstrip()
        advice = _ADVICE.get(err.code, "")
        if 300 <= err.code < 400:
            to = urlsplit(err.headers.get("Location", "") or "")
            return NotDelivered(f"{said}: it points to {to.scheme}://{to.netloc}{to.path}; nothing is sent there")
        if err.code == http.client.INTERNAL_SERVER_ERROR:
            # Perhaps one record's fault, perhaps not: those before it go through, and it waits for a person.
            return NotDelivered(said, at_most=max(1, number // 2))
        if err.code >= 500 or err.code < 300 or err.code in _NOT_THE_RECORDS:
            return NotDelivered(f"{said}: {advice}" if advice else said, after_s=_retry_after_s(err))
        return Refused(said)


def _retry_after_s(err: urllib.error.HTTPError) -> float:
    said = str(err.headers.get("Retry-After", "") or "")
    return min(_WAIT_AT_MOST_S, float(said)) if said.isascii() and said.isdigit() else 0.0


def _reason(err: Exception) -> object:
    return getattr(err, "reason", None)


def _words(err: Exception) -> str:
    """What happened, with what to do where TLS alone would not say it."""
    said = str(_reason(err) or err)
    if "CERTIFICATE_REQUIRED" in said or "HANDSHAKE_FAILURE" in said:
        return f"{said}: it wants a certificate of this PC, webhook.certificate_file and key_file"
    return said
