"""The journals of a line as stretches: from the first link of a file, or from a restored backup, to the next.

Within a stretch links are numbered without a gap and only added. A backup that is restored gives numbers of links and
of parts again: from its row RESTORED on that is another stretch, named by the hash of that very row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_agent.store.position import files_since
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Stretch", "Stretches", "stretches_of"]

_NO_SUCH_ORIGIN = "-"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Links ``first_link`` to ``last_link`` of one journal file. ``last_link`` is None for the one that grows.

    ``is_closed`` says that nobody will write into the file again.
    """

    history: str
    journal: Path
    first_link: int
    last_link: int | None
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Stretches:
    """All that can be reached, the oldest first. ``missing`` names the journal before the oldest, empty: there is none.

    ``parts_before`` is the number of the last part that is not in them.
    """

    found: tuple[Stretch, ...]
    missing: str = ""
    parts_before: int = 0


class _Chain(JournalReader):
    def before(self) -> tuple[str, int]:
        """The name of the journal before this one, and the last part that it and those before it held."""
        found = self._all("SELECT predecessor, last_part_seq FROM origin")[0]
        return str(found[0]), int(found[1])


def stretches_of(journal: Path) -> Stretches:
    """The stretches of a journal and of those before it that lie beside it. Raises DataError."""
    # No journal begins with this: all that can be reached are wanted.
    files, _ = files_since(journal, _NO_SUCH_ORIGIN)
    found: list[Stretch] = []
    for path in files:
        with _Chain.open(path) as chain:
            starts = chain.stretch_starts()
            if path == files[0]:
                missing, parts_before = chain.before()
        ends: list[int | None] = [*(link - 1 for link, _ in starts[1:]), None]
        is_closed = path != files[-1]
        found += (
            [
                Stretch(sha256[:16], path, link, last, is_closed)
                for (link, sha256), last in zip(starts, ends, strict=True)
            ]
            if starts
            else []
        )
    return Stretches(tuple(found), missing, parts_before)
