"""What tests of results for other systems share: a journal that is written, a webhook that answers as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from drivers.base import Published
from drivers.timing import monotonic_s
from edge_agent.publishing.sender import send_until
from edge_agent.store.journal import Journal
from tests.security.web_site import part_row

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge_agent.publishing.outbox import Outbox, Record
    from edge_agent.publishing.sender import Receiver
    from edge_agent.store.rows import PartRow

__all__ = ["Hook", "Written", "drained", "sending", "seqs", "until"]


def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    begin = monotonic_s()
    while not condition():
        assert monotonic_s() - begin < within_s
        threading.Event().wait(0.02)


class Written:
    """A journal that an agent writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Journal.open(path)

    def parts(self, first: int, last: int) -> None:
        async def write() -> None:
            for seq in range(first, last + 1):
                await self.journal.append(part_row(seq))
                await self.journal.publication(seq, Published.PUBLISHED, 100.6)

        asyncio.run(write())

    def part(self, row: PartRow) -> None:
        async def write() -> None:
            await self.journal.append(row)
            await self.journal.publication(row.part_seq, Published.PUBLISHED, 100.6)

        asyncio.run(write())

    def event(self, kind: str) -> None:
        asyncio.run(self.journal.event(kind, "words"))

    def close(self) -> None:
        self.journal.close()


def drained(outbox: Outbox, most: int = 7) -> list[Record]:
    found: list[Record] = []
    while records := outbox.next(most):
        found += records
        outbox.delivered(records[-1])
    return found


def seqs(records: Sequence[Record]) -> list[int]:
    return [record.content["part_seq"] for record in records if record.kind == "part"]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


@dataclass
class Hook:
    """An HTTP server that takes results, or answers with something else first."""

    port: int
    answers: list[int] = field(default_factory=list)
    answer: Callable[[Any, int], int] = lambda _body, _size: 200
    refused: list[int] = field(default_factory=list)
    """How many records each POST had that was not taken."""
    headers: dict[str, str] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    peer_certificates: list[dict[str, Any] | None] = field(default_factory=list)
    posts: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def parts(self) -> list[int]:
        return [part["part_seq"] for _, body in self.posts for part in body["parts"]]

    def start(self) -> None:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                body = json.loads(self.rfile.read(size))
                code = hook.answers.pop(0) if hook.answers else hook.answer(body, size)
                if code == 200:
                    hook.posts.append((dict(self.headers), body))
                else:
                    hook.refused.append(len(body["parts"]) + len(body["events"]))
                if hook.context is not None:
                    hook.peer_certificates.append(self.connection.getpeercert())
                self.send_response(code)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                for name, value in hook.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = _Server(("127.0.0.1", self.port), Handler)
        if self.context is not None:
            self._server.socket = self.context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def sending(outbox: Outbox, receiver: Receiver) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=send_until, args=(stop, outbox, receiver))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
