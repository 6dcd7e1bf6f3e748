"""What was worked out of a calibration that is not done yet: one file an item, by what the item hangs on.

A file's name is a hash of the work, the item, the code and the versions of what computes. So nothing has to be compared
when a calibration goes on: what hangs on another image, option or version has another name, and is worked out again.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import re
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import calibration
import edge_agent.inspection
from edge_agent.tools.plant.plain import from_bytes, to_bytes
from edge_agent.tools.plant.proof import arithmetic
from edge_agent.tools.plant.versions import CALIBRATION, versions

if TYPE_CHECKING:
    from calibration.workers import Work

__all__ = ["Kept"]

_NOT_WHOLE: Final = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile)
"""What reading a file says that a power cut left behind, or that somebody changed."""

_OURS: Final = re.compile(r"[0-9a-f]{64}\.(npz|new)")


class Kept:
    """The files in ``folder``, which is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = f"{versions(CALIBRATION)} {arithmetic()} {_code()}".encode()

    def name(self, work: Work[Any]) -> bytes:
        """What all items of a work have in common, as a hash."""
        return hashlib.sha256(self._before + _told(work)).digest()

    def path(self, name: bytes, item: Any) -> Path:
        """The file of an item of the work of that name."""
        return self.folder / f"{hashlib.sha256(name + _told(item)).hexdigest()}.npz"

    def read(self, path: Path) -> tuple[Any] | None:
        """What came of an item, in a tuple of its own; None where it is not there, or not whole."""
        try:
            return (from_bytes(path.read_bytes()),)
        except _NOT_WHOLE:
            return None

    def write(self, path: Path, value: Any) -> None:
        """Keep it under its name once it is whole. Raises OSError."""
        self.folder.mkdir(exist_ok=True)
        beside = path.with_suffix(".new")
        # Not synced: a file that a power cut left half is not whole, and worked out again.
        beside.write_bytes(to_bytes(value))
        beside.replace(path)

    def remove(self) -> None:
        """The calibration is done. Nothing else that lies in the folder is touched."""
        with suppress(OSError):  # what is left takes room, and no more
            for path in self.folder.glob("*"):
                if _OURS.fullmatch(path.name):
                    path.unlink()
            self.folder.rmdir()


def _told(value: Any) -> bytes:
    """A value as bytes that are the same in every process for the same value; never read again."""
    data = io.BytesIO()
    pickler = _Telling(data, protocol=pickle.HIGHEST_PROTOCOL)
    # Without its memory of objects: two equal strings would else be told in another way than one string twice.
    pickler.fast = True
    pickler.dump(value)
    return data.getvalue()


class _Telling(pickle.Pickler):
    """Arrays by their shape and bytes alone: whether one may be written to, or where it came from, is not told."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray):
            return _array, (obj.dtype.str, obj.shape, obj.tobytes())
        return NotImplemented


def _array(*_told: object) -> None:
    """For the name in ``_Telling``: nobody reads it."""


def _code() -> str:
    """The source of all that computes, as a hash."""
    found = hashlib.sha256()
    for package in (calibration, edge_agent.inspection):
        folder = Path(os.fspath(package.__path__[0]))
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()
