"""A line's journal into the store: what is new, once each, whatever ends the export in between.

The files themselves say how far a line got: the foot of the newest file of a stretch names its last link. No position
lies beside them that could be older or newer than they are. A file holds links that follow each other, of one day; the
newest one is replaced at once by one that holds more, or the next is begun. Whatever is killed in between, the store
holds all links up to a certain one and none twice.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.store.opening import JournalError, take_lock
from edge_agent.warehouse.columns import DATASETS
from edge_agent.warehouse.layout import begin_store, file_path, files_of, line_folder, prove_store
from edge_agent.warehouse.local import LocalTimes
from edge_agent.warehouse.reading import Block, ExportReader, Named
from edge_agent.warehouse.stretches import Stretch, Stretches, stretches_of
from edge_agent.warehouse.tables import Foot, as_bytes, foot_of, joined, library, rows_of, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_agent.warehouse.layout import FileName
    from edge_agent.warehouse.targets import Target

__all__ = ["Exported", "Line", "export"]

_MOST_ROWS = 200_000
"""Of a file: it is read and written anew each time until it is full or its day is over."""
_ORDER = ("cameras", "events", "parts")
"""A reader who begins with a part finds its images."""


@dataclass(frozen=True, slots=True)
class Line:
    """Whose journal it is, and how its rows are read."""

    name: str
    journal: Path
    shift_starts: tuple[str, ...] = ()
    named: Named = field(default_factory=Named)


@dataclass(slots=True)
class Exported:
    """What an export did. ``problems`` are what a person should look at; ``waiting`` parts go with the next export."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DATASETS, 0))
    files: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Tail:
    """The newest file of a stretch, and its foot."""

    file: FileName
    foot: Foot


def export(
    line: Line, target: Target, *, begin: bool = False, progress: Callable[[str, int, int], None] | None = None
) -> Exported:
    """Bring what is new into the store. Another export of this journal is refused meanwhile.

    Raises AlreadyRunning, Unavailable, OSError, and DataError for a damaged journal, for a place that is no store, and
    where the store holds another history of these very links.
    """
    library()
    done = Exported()
    with _alone(line.journal):
        if begin:
            begin_store(target)
        prove_store(target)
        found = stretches_of(line.journal)
        tails = {name: _tails(target, name, line.name) for name in DATASETS}
        if found.missing and not _is_known(tails["parts"], found):
            done.problems.append(
                f"the journal {found.missing} is not beside {line.journal.name}: what it held and was not exported "
                "is not in the store"
            )
        done.problems += _strangers(line.name, tails["parts"], found)
        times = LocalTimes(line.shift_starts)
        for number, stretch in enumerate(found.found):
            following = found.found[number + 1 : number + 2]
            is_last = not following or following[0].journal != stretch.journal
            _Copy(line, target, times, stretch, done=done, progress=progress).run(tails, is_last=is_last)
    return done


def _is_known(tails: dict[str, _Tail], found: Stretches) -> bool:
    """Whether the store has what came before the oldest journal that is there, or this was said when that one began."""
    was_said = any(stretch.history in tails for stretch in found.found[:1])
    return was_said or any(tail.foot.last_part_seq >= found.parts_before for tail in tails.values())


def _strangers(line: str, tails: dict[str, _Tail], found: Stretches) -> list[str]:
    """What says that another line fills this one's folder: two of one name, as where both kept the name of the start.

    A journal that nobody here knows, and that is as new as this one. Of a restored backup, or one that was put away,
    the store knows such a journal as well.
    """
    known = {stretch.history for stretch in found.found}
    ours = [tail.file.day for history, tail in tails.items() if history in known]
    is_restored = len(found.found) > 1 and found.found[-1].journal == found.found[-2].journal
    if not ours or is_restored:
        return []
    others = [
        history
        for history, tail in tails.items()
        if history not in known and tail.file.day >= max(ours) and tail.foot.last_part_seq > found.parts_before
    ]
    return [
        f"the store has rows of another journal ({history}) for the line {line!r}, as new as this one's: do two lines "
        "have one name? Give each its own name, in [line] of line.toml"
        for history in others
    ]


def _tails(target: Target, dataset: str, line: str) -> dict[str, _Tail]:
    """The newest file of each stretch that the store has of a line."""
    target.sweep(line_folder(dataset, line))
    newest = {file.history: file for file in files_of(target, dataset, line)}
    return {
        history: _Tail(file, foot_of(f"{target.name}/{file.path}", partial(target.end_of, file.path)))
        for history, file in newest.items()
    }


class _Copy:
    """One stretch into the store."""

    def __init__(
        self,
        line: Line,
        target: Target,
        times: LocalTimes,
        stretch: Stretch,
        *,
        done: Exported,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        self._line, self._target, self._times = line, target, times
        self._stretch, self._done = stretch, done
        self._progress = progress or (lambda *_: None)

    def run(self, tails: dict[str, dict[str, _Tail]], *, is_last: bool) -> None:
        """Copy what is new of it. ``is_last``: no other stretch follows in the same file."""
        stretch = self._stretch
        with ExportReader.open(stretch.journal) as reader:
            newest = stretch.last_link or reader.newest_link()
            places = {}
            for dataset in _ORDER:
                tail = tails[dataset].get(stretch.history)
                places[dataset] = tail.foot.last_link if tail else stretch.first_link - 1
                if tail is not None:
                    self._prove(reader, tail, newest, is_last=is_last)
            is_over = stretch.is_closed or not is_last
            settled = reader.settled(min(places["parts"], places["cameras"]), newest, is_closed=is_over)
            for dataset in _ORDER:
                last = newest if dataset == "events" else settled
                self._copy(reader, dataset, tails[dataset].get(stretch.history), places[dataset], last)
            self._done.waiting += reader.parts_of_links(settled, newest)

    def _prove(self, reader: ExportReader, tail: _Tail, newest: int, *, is_last: bool) -> None:
        """The store holds this very history, and not another one of these numbers."""
        foot = tail.foot
        if foot.last_link > newest:
            # After a backup was restored the store knows more than the journal: what was made then was made.
            if not is_last:
                return
            why = f"the store has {foot.last_link} links of it, the journal ends with {newest}"
        elif reader.sha256_of(foot.last_link) == foot.last_sha256:
            return
        else:
            why = f"link {foot.last_link} is another one there"
        raise DataError(
            f"the store has another history of {self._stretch.journal.name} for the line {self._line.name!r}: {why}",
            hint="an older copy put back by hand, or two lines of one name? Restore by edge-agent restore, which "
            "begins a new stretch; give each line a name of its own",
        )

    def _copy(self, reader: ExportReader, dataset: str, tail: _Tail | None, after: int, last: int) -> None:
        begun = _Open(self._target, dataset, self._line.name, self._stretch.history, self._done)
        if tail is not None:
            begun.go_on(tail)
        for block in reader.blocks(dataset, after, last, self._times, self._line.named):
            self._done.problems += block.problems
            begun.add(block)
            self._progress(dataset, block.to_link - self._stretch.first_link + 1, last - self._stretch.first_link + 1)
        begun.flush()


class _Open:
    """The file that is being filled."""

    def __init__(self, target: Target, dataset: str, line: str, history: str, done: Exported) -> None:
        self._target, self._dataset, self._line, self._history = target, dataset, line, history
        self._done = done
        self._day = ""
        self._first = self._last = self._rows = self._last_seq = 0
        self._sha256 = ""
        self._problems: list[str] = []
        self._before: str = ""
        self._tables: list[Any] = []

    def go_on(self, tail: _Tail) -> None:
        """Fill the newest file further. It is read only where there is something to add."""
        self._day, self._before = tail.file.day, tail.file.path
        self._first, self._last, self._sha256 = tail.file.first_link, tail.foot.last_link, tail.foot.last_sha256
        self._rows, self._last_seq = tail.foot.rows, tail.foot.last_part_seq
        self._problems = list(tail.foot.problems)

    def add(self, block: Block) -> None:
        """Take the rows of a block, day by day as they follow each other."""
        table = table_of(self._dataset, self._history, block)
        begin = 0
        for day, group in groupby(block.days):
            end = begin + sum(1 for _ in group)
            self._take(day, table.slice(begin, end - begin), block, begin, end)
            begin = end
        self._problems += block.problems

    def _take(self, day: str, rows: Any, block: Block, begin: int, end: int) -> None:
        if day != self._day or self._rows >= _MOST_ROWS:
            self.flush()
            self._day, self._first, self._rows, self._before, self._problems = day, block.links[begin], 0, "", []
        elif self._before:
            self._load()
        self._tables.append(rows)
        self._rows += end - begin
        self._done.rows[self._dataset] += end - begin
        self._last, self._sha256 = block.links[end - 1], block.sha256s[end - 1]
        if self._dataset == "parts":
            self._last_seq = max(self._last_seq, *block.columns["part_seq"][begin:end])

    def _load(self) -> None:
        data = self._target.read(self._before)
        if data is None:
            raise DataError(f"{self._target.name}/{self._before} was taken away meanwhile", hint="export again")
        self._tables, self._before = [rows_of(data)], ""

    def flush(self) -> None:
        """Write the file, in place of the one that held less."""
        if not self._tables:
            return
        foot = Foot(
            self._dataset,
            self._line,
            self._history,
            self._first,
            self._last,
            self._sha256,
            self._rows,
            self._last_seq,
            tuple(self._problems),
        )
        path = file_path(self._dataset, self._line, self._day, self._history, self._first)
        self._target.put(path, as_bytes(joined(self._tables), foot))
        self._done.files += 1
        self._tables = []


@contextmanager
def _alone(journal: Path) -> Iterator[None]:
    """No second export of this journal at the same time: the later one would undo what the first has added."""
    try:
        lock = take_lock(journal.with_name(journal.name + ".export"))
    except AlreadyRunning as err:
        raise AlreadyRunning(
            f"another export of {journal} is under way", hint="wait for it; what it leaves goes with the next one"
        ) from err
    except JournalError as err:
        raise JournalError(f"an export of {journal} writes a lock beside it: {err}", hint=err.hint) from err
    with closing(lock):
        yield
