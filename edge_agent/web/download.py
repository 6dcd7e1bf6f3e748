"""A table for Excel on its way to a browser: made on the disk first, so that a failure is said."""

from __future__ import annotations

import tempfile
import threading
from typing import IO, TYPE_CHECKING, Any

from edge_agent.store.excel import write_excel
from edge_agent.web.pictures import Busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["excel_pieces"]

_AT_ONCE = 2
_PIECE_BYTES = 64 << 10
_places = threading.BoundedSemaphore(_AT_ONCE)


def excel_pieces(records: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[bytes]:
    """The table piece by piece; it is whole when this returns. Raises Busy, DataError, UsageError."""
    if not _places.acquire(blocking=False):
        raise Busy("other tables are being made", hint="try again in a moment")
    kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _Pieces, which outlives this call
    try:
        write_excel(records(), kept)
    except BaseException:
        kept.close()
        _places.release()
        raise
    kept.seek(0)
    return _Pieces(kept)


class _Pieces:
    """The file in pieces; gone with its place at the end, or with the browser that wanted it."""

    def __init__(self, kept: IO[bytes]) -> None:
        self._kept = kept

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if piece := self._kept.read(_PIECE_BYTES):
            return piece
        raise StopIteration

    def __del__(self) -> None:
        self._kept.close()
        _places.release()
