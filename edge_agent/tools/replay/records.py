"""What the journal knows of an image: asked for one image at a time, so that a journal of any size takes no memory."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from edge_agent.store.journal import JournalReader
from edge_agent.store.stock import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_agent.store.journal import CameraRow, PartRow

    Record = tuple[PartRow, CameraRow]

__all__ = ["Records", "SeenParts"]

_KEPT = 64
"""Parts that were asked for last: the images of one part mostly come together."""


class Records:
    """The records of a journal, or of none. Use it in one thread, within ``open``."""

    def __init__(self, reader: JournalReader | None) -> None:
        self._reader = reader
        self._part = lru_cache(_KEPT)(self._read_part)

    @classmethod
    @contextmanager
    def open(cls, journal: Path | None) -> Iterator[Records]:
        """The records while the journal is open. Raises DataError for one that cannot be read."""
        if journal is None:
            yield cls(None)
            return
        with JournalReader.open(journal) as reader:
            yield cls(reader)

    @property
    def has_several_cameras(self) -> bool:
        """Whether the journal has a part with more than one image: then images are not judged one by one."""
        return self._reader is not None and self._reader.has_several_cameras()

    def find(self, name: str, sha256: str) -> tuple[Record | None, str]:
        """The record of an image, and why the file is not what was archived; '' where it is, or where nothing tells.

        An archived image is the one of the part that its name tells, any other the last that had these bytes.
        """
        told = NAME.fullmatch(name)
        if told is None:
            return self._last_with(sha256), ""
        recorded = self.named(name)
        if recorded is not None:
            was = recorded[1].image_sha256
            why = f"the file is not the image that came: its sha256 is {sha256}, the journal says {was}"
            return recorded, "" if was == sha256 else why
        if not sha256.startswith(told["sha256"]):
            why = f"the file is not the image that was archived: its sha256 is {sha256}, its name says {told['sha256']}"
            return None, why
        return self._last_with(sha256), ""

    def named(self, name: str) -> Record | None:
        """The record that an archived image's name alone tells; None where it tells none."""
        told = NAME.fullmatch(name)
        if told is None:
            return None
        recorded = self._of(int(told["seq"]), int(told["camera"]))
        return recorded if recorded is not None and recorded[1].image_sha256.startswith(told["sha256"]) else None

    def between(self, first_seq: int, last_seq: int) -> tuple[int, int]:
        """How many parts there are from the one to the other, and how many of them never had an image."""
        return (0, 0) if self._reader is None else self._reader.parts_between(first_seq, last_seq)

    def _last_with(self, sha256: str) -> Record | None:
        found = None if self._reader is None else self._reader.newest_with(sha256)
        return None if found is None else self._of(*found)

    def _of(self, part_seq: int, camera: int) -> Record | None:
        row = self._part(part_seq)
        if row is None:
            return None
        return next(((row, one) for one in row.cameras if one.camera == camera), None)

    def _read_part(self, part_seq: int) -> PartRow | None:
        return None if self._reader is None else self._reader.part(part_seq)


class SeenParts:
    """Which parts were seen, a bit for each: how many there are, the first and the last."""

    _BLOCK = 4096

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}
        self.number, self.first, self.last = 0, 0, 0

    def add(self, part_seq: int) -> None:
        """Note a part; one that was seen before counts once."""
        block, bit = divmod(part_seq, self._BLOCK)
        bits = self._blocks.setdefault(block, bytearray(self._BLOCK // 8))
        if bits[bit // 8] & (1 << bit % 8):
            return
        bits[bit // 8] |= 1 << bit % 8
        self.first = min(self.first, part_seq) if self.number else part_seq
        self.last = max(self.last, part_seq)
        self.number += 1
