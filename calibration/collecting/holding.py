"""One at a time: two calibrations into one bundle, or two collections into one folder, would undo each other's work.

The locks are the kernel's (flock): they are gone with the process however that ends. Where a file system knows no
locks, nothing is held.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_agent.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["held_folder", "held_target"]


@contextmanager
def held_target(out: Path) -> Iterator[None]:
    """Hold the name of a bundle folder that is to be written, by a lock file beside it that goes in the end.

    Raises AlreadyRunning where another calibration holds it, OSError where the lock file cannot be made.
    """
    lock = out.absolute().with_name(f".{out.absolute().name}.lock")
    words = f"another calibration is writing {out}"
    descriptor = _open_current(lock, words)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)  # while it is held: whoever opens it now finds another file in its place
        os.close(descriptor)


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold a folder that exists. Raises AlreadyRunning where another collection fills it, OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _take(descriptor, f"another calibrate-reference --live is collecting into {folder}")
        yield
    finally:
        os.close(descriptor)


def _open_current(lock: Path, words: str) -> int:
    """The lock file, locked, and the one that its name still leads to."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(descriptor, words)
            if _is_current(descriptor, lock):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_current(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def _take(descriptor: int, words: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        raise AlreadyRunning(words, hint="wait until it has ended, or name another folder") from err
    except OSError:
        return  # a network file system without locks
