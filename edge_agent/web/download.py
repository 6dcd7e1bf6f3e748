"""A table for Excel on its way to a browser: made on the disk first, so that a failure is said."""

from __future__ import annotations

import tempfile
import threading
from typing import IO, TYPE_CHECKING, Any

from starlette.responses import StreamingResponse

from edge_agent.store.excel import write_excel
from edge_agent.web.pictures import Busy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import Receive, Scope, Send

__all__ = ["ExcelDownload"]

_AT_ONCE = 2
_PIECE_BYTES = 64 << 10
_places = threading.BoundedSemaphore(_AT_ONCE)


class ExcelDownload(StreamingResponse):
    """The table as a file of that name, in pieces. Gone with its place when it is sent, or the browser went away."""

    def __init__(self, records: Iterable[dict[str, Any]], name: str) -> None:
        """Make it. Raises Busy, DataError, UsageError."""
        if not _places.acquire(blocking=False):
            raise Busy("other tables are being made", hint="try again in a moment")
        self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed where the answer ends
        try:
            write_excel(records, self._kept)
        except BaseException:
            self._end()
            raise
        self._kept.seek(0)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        super().__init__(_pieces(self._kept), media_type="text/csv", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()

    def _end(self) -> None:
        self._kept.close()
        _places.release()


def _pieces(kept: IO[bytes]) -> Iterator[bytes]:
    while piece := kept.read(_PIECE_BYTES):
        yield piece
