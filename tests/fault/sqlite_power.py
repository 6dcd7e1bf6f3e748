"""A disk that loses its power: SQLite's writes and syncs are written down, and files are rebuilt as a cut leaves them.

What was synced is there. Of what was written after a file's last sync each sector of 512 bytes may be there or not:
a disk orders them as it likes.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tests.fault.sqlite_faults import vfs_of_sqlite

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

Kind = Literal["write", "truncate", "sync", "delete"]

_SECTOR = 512
_OPEN, _DELETE = 0, 1
"""Places of xOpen and xDelete among the VFS's functions (sqlite3.h)."""


class _Methods(ctypes.Structure):
    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("xClose", ctypes.c_void_p),
        ("xRead", ctypes.c_void_p),
        ("xWrite", ctypes.c_void_p),
        ("xTruncate", ctypes.c_void_p),
        ("xSync", ctypes.c_void_p),
        ("others", ctypes.c_void_p * 13),
    )


class _File(ctypes.Structure):
    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


_FILE = ctypes.POINTER(_File)
_OpenCall = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, _FILE, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
_DeleteCall = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_WriteCall = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TruncateCall = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_int64)
_SyncCall = ctypes.CFUNCTYPE(ctypes.c_int, _FILE, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class Operation:
    """What was done to a file, in its order."""

    kind: Kind
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Disk:
    """All that was done since it was made."""

    operations: list[Operation] = field(default_factory=list)

    def rebuild(self, folder: Path, cut: int, draw: random.Random) -> None:
        """Files in ``folder`` as a loss of power before operation ``cut`` leaves them."""
        synced = {op.name: index for index, op in enumerate(self.operations[:cut]) if op.kind == "sync"}
        files: dict[str, bytearray] = {}
        for index, op in enumerate(self.operations[:cut]):
            content = files.setdefault(op.name, bytearray())
            is_safe = index <= synced.get(op.name, -1)
            match op.kind:
                case "write":
                    for begin in range(0, len(op.data), _SECTOR):
                        if is_safe or draw.random() < 0.5:
                            _put(content, op.offset + begin, op.data[begin : begin + _SECTOR])
                case "truncate" if is_safe or draw.random() < 0.5:
                    del content[op.offset :]
                case "delete":
                    del files[op.name]
                case _:
                    pass
        for name, content in files.items():
            (folder / Path(name).name).write_bytes(content)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


class _Recorder:
    """Stands between SQLite and its files. Keeps all that C points at."""

    def __init__(self, real_open: Any, real_delete: Any) -> None:
        self.disk = Disk()
        self.open, self.delete = _OpenCall(self._open), _DeleteCall(self._delete)
        self._real_open, self._real_delete = real_open, real_delete
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []

    def _open(self, own: int, name: bytes | None, file: Any, flags: int, out: Any) -> int:
        done: int = self._real_open(own, name, file, flags, out)
        if done == 0 and name is not None:
            self._names[ctypes.addressof(file.contents)] = name.decode()
            file.contents.methods = ctypes.pointer(self._watched(file.contents.methods.contents))
        return done

    def _delete(self, own: int, name: bytes, sync: int) -> int:
        done: int = self._real_delete(own, name, sync)
        if done == 0:
            self.disk.operations.append(Operation("delete", name.decode()))
        return done

    def _watched(self, methods: _Methods) -> _Methods:
        write, truncate, sync = _WriteCall(methods.xWrite), _TruncateCall(methods.xTruncate), _SyncCall(methods.xSync)

        def on_write(file: Any, data: int, size: int, offset: int) -> int:
            self._note("write", file, offset, ctypes.string_at(data, size))
            return int(write(file, data, size, offset))

        def on_truncate(file: Any, size: int) -> int:
            self._note("truncate", file, size)
            return int(truncate(file, size))

        def on_sync(file: Any, flags: int) -> int:
            done = int(sync(file, flags))
            self._note("sync", file)
            return done

        copy = _Methods.from_buffer_copy(methods)
        calls = {"xWrite": _WriteCall(on_write), "xTruncate": _TruncateCall(on_truncate), "xSync": _SyncCall(on_sync)}
        for name, call in calls.items():
            setattr(copy, name, ctypes.cast(call, ctypes.c_void_p).value)
        self._kept.extend((copy, calls))
        return copy

    def _note(self, kind: Kind, file: Any, offset: int = 0, data: bytes = b"") -> None:
        name = self._names[ctypes.addressof(file.contents)]
        self.disk.operations.append(Operation(kind, name, offset, data))


@contextmanager
def recorded_sqlite() -> Iterator[Disk]:
    """Every file that SQLite opens in this process, while the block lasts, is written down."""
    vfs = vfs_of_sqlite()
    assert vfs is not None
    calls = vfs.contents.before
    before = calls[_OPEN], calls[_DELETE]
    recorder = _Recorder(_OpenCall(before[0]), _DeleteCall(before[1]))
    calls[_OPEN] = ctypes.cast(recorder.open, ctypes.c_void_p).value
    calls[_DELETE] = ctypes.cast(recorder.delete, ctypes.c_void_p).value
    try:
        yield recorder.disk
    finally:
        calls[_OPEN], calls[_DELETE] = before
