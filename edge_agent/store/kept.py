"""Which files beside the journal belong to the line, and go into a backup: one list for all who ask."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["KEPT", "closed_journals", "is_closed_journal", "is_kept", "kept_files", "mode_of"]

KEPT = {
    "{journal}.*.position": 0o640,  # how far each receiver of results has got
    "{journal}.*.bdseq": 0o640,  # the number of the last Sparkplug session
    "{journal}.*.aside": 0o640,  # what a receiver refused
    "{journal}.*.again": 0o640,  # what shall be sent again
    "{journal}.study": 0o640,  # the study that is under way
    "{journal}.users": 0o600,  # named users, with the hashes of their passwords
}
"""Names beside the journal, and the mode of each; ``*`` is one word. A new file is one line."""


def kept_files(journal: Path) -> list[Path]:
    """Those files that are there, by name."""
    return _beside(journal, lambda name: is_kept(name, journal.name))


def closed_journals(journal: Path) -> list[Path]:
    """The journals that were rotated away, the oldest first."""
    return _beside(journal, lambda name: is_closed_journal(name, journal))


def is_kept(name: str, journal_name: str) -> bool:
    """Whether a file of this name beside that journal is on the list."""
    return mode_of(name, journal_name) is not None


def mode_of(name: str, journal_name: str) -> int | None:
    """The mode that a file on the list has; None for one that is not on it."""
    return next((mode for kept, mode in KEPT.items() if re.fullmatch(_pattern(kept, journal_name), name)), None)


def is_closed_journal(name: str, journal: Path) -> bool:
    """Whether a file of this name is one that ``rotate`` has closed."""
    return re.fullmatch(rf"{re.escape(journal.stem)}-\d{{12}}-\d{{12}}{re.escape(journal.suffix)}", name) is not None


def _pattern(kept: str, journal_name: str) -> str:
    return re.escape(kept).replace(re.escape("{journal}"), re.escape(journal_name)).replace(r"\*", r"[A-Za-z0-9_-]+")


def _beside(journal: Path, wanted: Callable[[str], bool]) -> list[Path]:
    if not journal.parent.is_dir():
        return []
    found = (path for path in journal.parent.iterdir() if wanted(path.name))
    return sorted(path for path in found if path.is_file() and not path.is_symlink())
