"""A chain of hashes over the journal's rows: who alters or removes one breaks every link after it.

A link is sha256(link before ‖ kind ‖ row as JSON), written in the row's own transaction. Nobody's key is in it: whoever
can write the file can forge the whole chain anew, or cut its end off. Against both, a head that was noted elsewhere
(the agent logs it at start and stop) must still be a link of the chain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

__all__ = ["Audit", "Head", "audit", "has_measurements", "head_of", "seal", "seal_all"]

Kind = Literal["part", "publication", "event"]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a row, or of many at once: the same columns in the same order, for they are what is hashed."""

    columns: str
    table: str
    key: str = "part_seq"
    order: str = ""
    also: str = ""

    @property
    def one(self) -> str:
        """The question about one row."""
        order = f" ORDER BY {self.order}" if self.order else ""
        return f"SELECT {self.columns} FROM {self.table} WHERE {self.key} = ?{self.also}{order}"  # noqa: S608

    def of(self, number: int) -> str:
        """The question about so many rows; the key comes first in each answer."""
        order = ", ".join(filter(None, (self.key, self.order)))
        marks = ", ".join("?" * number)
        of_these = f"WHERE {self.key} IN ({marks}){self.also}"
        return f"SELECT {self.key}, {self.columns} FROM {self.table} {of_these} ORDER BY {order}"  # noqa: S608


_PART = _Asked(
    "part_seq, controller_count, session, program, verdict, reason, detail, score, score_limit, bundle_id, "
    "controller_judgement, simulated, first_sign_mono_s, decided_mono_s, deadline_mono_s, boot_id, decided_utc",
    "part",
)
_CAMERAS = _Asked(
    "camera, outcome, reason, detail, score, score_limit, bundle_id, image_sha256, image_name, align_quality, "
    "align_shift_x_px, align_shift_y_px, align_angle_deg, align_gain, align_offset, timings_ms, align_scale, shares",
    "camera",
    order="camera",
)
_CONDITIONS = _Asked("camera, condition", "camera", order="camera", also=" AND condition <> '{}'")
_MEASURED = _Asked("name, value", "measurement", order="name")
_QUERIES: dict[Kind, tuple[_Asked, ...]] = {
    "part": (_PART, _CAMERAS),
    "publication": (_Asked("part_seq, published, at_mono_s, detail", "publication"),),
    "event": (_Asked("event_id, kind, detail, at_mono_s, at_utc", "event", key="event_id"),),
}
# Below the number of question marks that any SQLite takes in one query (999).
_AT_ONCE = 500
_as_json = json.JSONEncoder(separators=(",", ":")).encode
"""JSON writes a float by the shortest digits that read back as the same bits."""
# Where so much is wrong the file was exchanged or written anew, and a longer list says no more.
_MOST_PROBLEMS = 100
_PROGRESS_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Head:
    """A link of the chain: its number, and the hash that stands for every row up to it."""

    link: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.link}:{self.sha256}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit of the chain found. ``problems`` is empty if no row was altered, removed or slipped in."""

    head: Head
    predecessor: str
    predecessor_sha256: str
    problems: tuple[str, ...]


def head_of(connection: sqlite3.Connection) -> Head:
    """The newest link; link 0 is what the file before this one ended with."""
    found = connection.execute("SELECT link, sha256 FROM chain ORDER BY link DESC LIMIT 1").fetchone()
    return Head(*found) if found else Head(0, connection.execute("SELECT sha256 FROM origin").fetchone()[0])


def seal(connection: sqlite3.Connection, kind: Kind, row_id: int) -> None:
    """Add the link of a row that this transaction wrote."""
    head = head_of(connection)
    # Read back from the table and not taken from memory: what is sealed is what SQLite stored, and an audit reads the
    # same.
    link = _hash(connection, head.sha256, kind, row_id, _since_then(connection))
    connection.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (head.link + 1, kind, row_id, link))


def seal_all(connection: sqlite3.Connection) -> None:
    """Add the links of rows that are older than the chain."""
    # By kind, for the order of writing was not kept: this proves the rows from today on (docs/decisions/0020).
    for kind, table, key in _TABLES:
        for (row_id,) in connection.execute(f"SELECT {key} FROM {table} ORDER BY {key}").fetchall():  # noqa: S608
            seal(connection, kind, row_id)


def audit(
    connection: sqlite3.Connection, noted: Head | None = None, progress: Callable[[int, int], None] | None = None
) -> Audit:
    """Follow the chain from its first link to its last; ``noted`` is a head that must be one of them."""
    predecessor, at = connection.execute("SELECT predecessor, sha256 FROM origin").fetchone()
    total = connection.execute("SELECT count(*) FROM chain").fetchone()[0]
    origin, problems, number, since_then = at, [], 0, _since_then(connection)
    for link, kind, rows, stored in _sealed_rows(connection, since_then):
        number += 1
        if link != number:
            problems.append(f"link {number} is missing: the next one is {link}")
            # On from there: one link that is gone is one problem, not one for every link behind it.
            number = link
        if _hash_of(at, kind, rows.content) != stored:
            problems.append(f"link {link}: {kind} {rows.row_id} is not the row that was sealed, or is gone")
        # From the link as it is stored: an altered row breaks its own link and no other.
        at = stored
        if noted is not None and link == noted.link and stored != noted.sha256:
            problems.append(f"link {link} is not the head that was noted: the chain was written anew")
        if progress is not None and number % _PROGRESS_EVERY == 0:
            progress(number, total)
        if len(problems) >= _MOST_PROBLEMS:
            break
    if noted is not None and noted.link > number:
        problems.append(f"the noted head is link {noted.link}, the chain ends at {number}: its end was cut off")
    problems += _unsealed(connection)
    return Audit(Head(number, at), predecessor, origin, tuple(problems[:_MOST_PROBLEMS]))


_TABLES: tuple[tuple[Kind, str, str], ...] = (
    ("part", "part", "part_seq"),
    ("publication", "publication", "part_seq"),
    ("event", "event", "event_id"),
)


def _unsealed(connection: sqlite3.Connection) -> list[str]:
    problems = []
    for kind, table, key in _TABLES:
        query = f"SELECT {key} FROM {table} WHERE {key} NOT IN (SELECT row_id FROM chain WHERE kind = ?) LIMIT ?"  # noqa: S608
        rows = connection.execute(query, (kind, _MOST_PROBLEMS))
        problems += [f"{kind} {row_id} has no link: it was slipped in" for (row_id,) in rows]
    orphans = "SELECT DISTINCT part_seq FROM camera WHERE part_seq NOT IN (SELECT part_seq FROM part) LIMIT ?"
    problems += [f"part {seq} is gone, its images are not" for (seq,) in connection.execute(orphans, (_MOST_PROBLEMS,))]
    return problems


def has_measurements(connection: sqlite3.Connection) -> bool:
    """Whether this journal has a table for them: an older one that was put away has none."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'measurement'").fetchone()
    return found is not None


def _since_then(connection: sqlite3.Connection) -> tuple[_Asked, ...]:
    """What can be asked of a part that the first sealed journals had no place for."""
    has_condition = any(name == "condition" for _, name, *_ in connection.execute("PRAGMA table_info(camera)"))
    return (*((_MEASURED,) if has_measurements(connection) else ()), *((_CONDITIONS,) if has_condition else ()))


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a link stands for: the answers to each question about its row."""

    row_id: int
    content: list[list[tuple[Any, ...]]]


def _sealed_rows(
    connection: sqlite3.Connection, since_then: tuple[_Asked, ...]
) -> Iterator[tuple[int, Kind, _Rows, str]]:
    """Every link with its row, in order. Rows are read in blocks: a question for each takes most of an audit's time."""
    chain = connection.execute("SELECT link, kind, row_id, sha256 FROM chain ORDER BY link")
    while block := chain.fetchmany(_AT_ONCE):
        found: dict[tuple[str, int], list[list[tuple[Any, ...]]]] = {}
        for kind, asked in _QUERIES.items():
            ids = [row_id for _, of_kind, row_id, _ in block if of_kind == kind]
            if ids:
                found |= {(kind, row_id): rows for row_id, rows in _answers(connection, kind, asked, ids, since_then)}
        for link, kind, row_id, stored in block:
            yield link, kind, _Rows(row_id, found[kind, row_id]), stored


def _answers(
    connection: sqlite3.Connection,
    kind: Kind,
    asked: tuple[_Asked, ...],
    ids: list[int],
    since_then: tuple[_Asked, ...],
) -> Iterator[tuple[int, list[list[tuple[Any, ...]]]]]:
    by_question = []
    for question in (*asked, *(since_then if kind == "part" else ())):
        rows: dict[int, list[tuple[Any, ...]]] = {}
        plain = connection.cursor()
        plain.row_factory = None
        for row in plain.execute(question.of(len(ids)), ids):
            rows.setdefault(row[0], []).append(row[1:])
        by_question.append(rows)
    first, later = by_question[: len(asked)], by_question[len(asked) :]
    for row_id in ids:
        more = (rows[row_id] for rows in later if row_id in rows)
        yield row_id, [*(rows.get(row_id, []) for rows in first), *more]


def _hash(connection: sqlite3.Connection, before: str, kind: Kind, row_id: int, since_then: tuple[_Asked, ...]) -> str:
    rows: list[list[tuple[Any, ...]]] = [
        [tuple(row) for row in connection.execute(question.one, (row_id,))] for question in _QUERIES[kind]
    ]
    # A part without any is sealed as before there was a place for it: older links stand.
    if kind == "part":
        more = ([tuple(row) for row in connection.execute(question.one, (row_id,))] for question in since_then)
        rows.extend(filter(None, more))
    return _hash_of(before, kind, rows)


def _hash_of(before: str, kind: Kind, rows: list[list[tuple[Any, ...]]]) -> str:
    return sha256(f"{before}\n{kind}\n{_as_json(rows)}".encode()).hexdigest()
