"""Reading a file that anybody may have put there: a regular one, of a size that was asked for, or not at all."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_bounded"]


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The whole content. Never waits, not even for a pipe of that name.

    Raises OSError where it cannot be read, ValueError, in words, where it is no regular file or larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if status.st_size > most_bytes:
            raise ValueError(f"it has {status.st_size} bytes, at most {most_bytes} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:  # it grew meanwhile
        raise ValueError(f"it has more than {most_bytes} bytes")
    return content
