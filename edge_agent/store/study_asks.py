"""What a running study or challenge asks for: a small file beside the journal, held by its process while it runs.

Whoever shows it (the page) learns from the lock whether anybody still asks: gone with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_agent.errors import AlreadyRunning
from edge_agent.files.strict_json import strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Asked", "asked_now", "asking"]

_MOST_BYTES = 4096
_TRIES, _BETWEEN_S = 20, 0.05
"""The page looks for an instant: then the lock is taken, and free again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The part that is to be put in, as showing ``number`` of ``total``. ``again``: nobody could look at it before."""

    part: str
    number: int
    total: int
    again: bool = False
    what: str = "study"
    """``study`` or ``challenge``."""


@contextmanager
def asking(journal: Path) -> Iterator[Callable[[Asked], None]]:
    """One study or challenge at a time over the line with this journal; gives what tells the part that is asked for.

    Raises AlreadyRunning, OSError.
    """
    descriptor = os.open(_path(journal), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _hold(descriptor)
        yield lambda asked: _write(descriptor, json.dumps(asdict(asked)).encode())
        _write(descriptor, b"")
    finally:
        os.close(descriptor)


def asked_now(journal: Path) -> Asked | None:
    """What a study that runs asks for at this moment; None where none runs, or it asks for nothing."""
    try:
        descriptor = os.open(_path(journal), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # no study was ever shown to this line, or it is not this user's to read
        return None
    try:
        if _is_free(descriptor):
            return None
        return Asked(**strict_json(os.pread(descriptor, _MOST_BYTES, 0), most_bytes=_MOST_BYTES))
    except (OSError, ValueError, TypeError):  # just being written: the next look finds it whole
        return None
    finally:
        os.close(descriptor)


def _path(journal: Path) -> Path:
    journal = journal.resolve()
    return journal.with_name(journal.name + ".study")


def _hold(descriptor: int) -> None:
    for left in reversed(range(_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise AlreadyRunning(
                    "another study goes on over this line, or a challenge",
                    hint="end that one first, or wait for it",
                ) from None
            time.sleep(_BETWEEN_S)
        else:
            return


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)
