"""What a person asks of a learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Wish"]


@dataclass(frozen=True, slots=True)
class Wish:
    """``good`` are folders with the good parts that the bundle in use was made of. Signed ``by``, and ``why``.

    ``leave_out`` and ``keep`` are names of images, as for calibrate-reference. The archive of the last ``hours`` is
    judged again, ``parts`` of it at most.
    """

    good: tuple[Path, ...]
    by: str
    why: str
    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    hours: float = 24.0
    parts: int = 1000
    threads: int = 2
