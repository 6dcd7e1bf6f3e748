"""A disk that fails SQLite's n-th operation: its own hook for the system's calls (xSetSystemCall), by ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEFORE_HOOKS = 13
"""Function pointers of sqlite3_vfs between its data and xSetSystemCall (sqlite3.h, version 3 of the structure)."""


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        ("before", ctypes.c_void_p * _BEFORE_HOOKS),
        ("xSetSystemCall", ctypes.c_void_p),
        ("xGetSystemCall", ctypes.c_void_p),
        ("xNextSystemCall", ctypes.c_void_p),
    )


@dataclass
class FailingCalls:
    """Counts the calls and fails the ``fail_at``-th, once or from then on; a write that fails is half done."""

    fail_at: int
    always: bool
    error: int = errno.ENOSPC
    calls: int = 0
    has_failed: bool = False

    def fails_now(self) -> bool:
        """Whether this call is one that fails."""
        self.calls += 1
        fails = self.calls == self.fail_at or (self.always and self.calls > self.fail_at)
        self.has_failed |= fails
        return fails


def vfs_of_sqlite() -> Any:
    """What SQLite reaches the disk by; None where this Python carries SQLite within itself."""
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(b"unix")
    return vfs if vfs and vfs.contents.iVersion >= 3 else None


def hook() -> Any:
    """What replaces a call to the system; None where there is no such hook."""
    vfs = vfs_of_sqlite()
    if vfs is None:
        return None
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    set_call = kind(vfs.contents.xSetSystemCall)

    def replace(call: bytes, function: Any) -> None:
        pointer = None if function is None else ctypes.cast(function, ctypes.c_void_p)
        assert set_call(ctypes.cast(vfs, ctypes.c_void_p), call, pointer) == 0, call

    return replace


@contextmanager
def failing_sqlite(plan: FailingCalls) -> Iterator[None]:
    """Every connection of this process writes to that disk while the block lasts."""
    replace = hook()
    assert replace is not None
    libc = ctypes.CDLL(None, use_errno=True)
    write = ctypes.CFUNCTYPE(
        ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
    )
    truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, use_errno=True)
    real_write, real_truncate = write(("pwrite64", libc)), truncate(("ftruncate64", libc))

    @write
    def pwrite(descriptor: int, data: int, size: int, offset: int) -> int:
        if plan.fails_now():
            real_write(descriptor, data, size // 2, offset)
            ctypes.set_errno(plan.error)
            return -1
        return real_write(descriptor, data, size, offset)

    @truncate
    def ftruncate(descriptor: int, size: int) -> int:
        if plan.fails_now():
            ctypes.set_errno(plan.error)
            return -1
        return real_truncate(descriptor, size)

    try:
        for call in (b"pwrite", b"pwrite64"):
            replace(call, pwrite)
        replace(b"ftruncate", ftruncate)
        yield
    finally:
        for call in (b"pwrite", b"pwrite64", b"ftruncate"):
            replace(call, None)
