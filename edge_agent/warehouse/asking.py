"""Questions to a store, answered by DuckDB: it reads the store and nothing else, and writes nothing but the answer."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.errors import DataError, Unavailable, UsageError
from edge_agent.warehouse.columns import DATASETS
from edge_agent.warehouse.layout import prove_store
from edge_agent.warehouse.targets import Objects, target_of
from edge_agent.warehouse.views import REVIEWS, SETTLED_REVIEWS, WORDS_TYPE, empty_view, settled_word, view_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edge_agent.warehouse.questions import Question
    from edge_agent.warehouse.targets import Target

__all__ = ["Answer", "Asked", "Bounds", "Chosen", "Store", "asked_freely", "asked_ready", "open_store", "values_for"]

_DAY = len("2026-11-23")
_TRIES = 3
_COLUMNS = "docs/reference/parquet.md has the columns; the tables are parts, cameras, events and settled_reviews"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an answer may take. What does not fit into the memory goes into files in a folder for the time."""

    memory_mb: int = 1200
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    spill_mb: int = 20_000


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which parts a ready question is about. Times are ISO 8601 in UTC, ``to_utc`` not included."""

    lines: tuple[str, ...] = ()
    from_utc: str | None = None
    to_utc: str | None = None
    program: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The columns of an answer, and its rows in blocks."""

    columns: tuple[str, ...]
    fetch: Callable[[int], list[tuple[Any, ...]]]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Every row; values as Python has them. Raises as ``Store.ask``: most of the work may be done here."""
        while block := self.fetch(1000):
            yield from block


@dataclass(frozen=True, slots=True)
class Asked:
    """A SELECT and its values. One that ``is_free`` is a person's own, and is proven to be a SELECT before it runs."""

    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)
    is_free: bool = False


def asked_freely(sql: str) -> Asked:
    """A person's own SELECT."""
    return Asked(sql, is_free=True)


def asked_ready(question: Question, chosen: Chosen, said: Sequence[str] = ()) -> Asked:
    """A ready question about these parts, with NAME=VALUE of a person. Raises UsageError."""
    if question.needs_line and not chosen.lines:
        raise UsageError(f"{question.name} is about a line", hint="--line NAME")
    values = values_for(question, said)
    sql = question.sql.strip()
    if "channel" in values:
        column = values.pop("channel")  # of a fixed list: a column's name cannot be a value
        is_of_limit = column == "score" or column.startswith("share_")
        sql = sql.format(column=column, value=f"{column} / nullif(score_limit, 0)" if is_of_limit else column)
    if "$lines" in sql:
        values["lines"] = list(chosen.lines)
    tables = [name for name in ("parts", "cameras") if f"chosen_{name}" in sql]
    if not tables:
        return Asked(sql, values)
    conditions, more = _conditions(question, chosen)
    before = ", ".join(f"chosen_{name} AS (SELECT * FROM {name} WHERE {conditions})" for name in tables)  # noqa: S608 - ours
    after = f", {sql.removeprefix('WITH ')}" if sql.startswith("WITH ") else f"\n{sql}"
    return Asked(f"WITH {before}{after}", values | more)


def _conditions(question: Question, chosen: Chosen) -> tuple[str, dict[str, Any]]:
    """What the options leave. The day, which a folder is named by, spares the reading of all others."""
    words: list[str] = ["NOT simulated"]
    values: dict[str, Any] = {}
    if chosen.lines:
        words.append("line IN $lines")
        values["lines"] = list(chosen.lines)
    if chosen.from_utc is not None:
        words.append("decided_utc >= $from_utc::TIMESTAMPTZ AND day >= $from_day::DATE")
        values |= {"from_utc": chosen.from_utc, "from_day": chosen.from_utc[:_DAY]}
    elif question.days is not None:
        # The newest day of now: a part of a PC whose clock once ran ahead would leave all others out.
        newest = "SELECT coalesce(max(day) FILTER (day <= current_date + 1), max(day)) FROM parts"
        words.append(f"day > ({newest}) - {question.days}")
    if chosen.to_utc is not None:
        words.append("decided_utc < $to_utc::TIMESTAMPTZ AND day <= $to_day::DATE")
        values |= {"to_utc": chosen.to_utc, "to_day": chosen.to_utc[:_DAY]}
    if chosen.program is not None:
        words.append("program = $program")
        values["program"] = chosen.program
    return " AND ".join(words), values


class _Torn(DataError):
    """A file that is no Parquet: it is damaged, or an export replaced it between two looks at it."""


class Store:
    """One open store. Use it in one thread."""

    def __init__(self, connection: Any, library: Any) -> None:
        self._connection, self._library = connection, library

    def ask(self, asked: Asked) -> Answer:
        """Answer. Raises UsageError for what is no SELECT over the store, Unavailable where the memory is too small."""
        return self._run(self._proven(asked), asked.values)

    def write_parquet(self, asked: Asked, out: Path) -> int:
        """Write the answer into the file that was named when the store was opened; how many rows.

        Raises as ``ask``, and UsageError where the file is there already.
        """
        sql = self._proven(asked)
        if out.exists():
            raise UsageError(f"{out} exists already", hint="name another file, or move this one away")
        try:
            # On a line of its own: a person's SELECT may end with a remark.
            done = self._run(
                f"COPY ({sql}\n) TO {_quoted(_whole_path(out))} (FORMAT parquet, USE_TMP_FILE false)", asked.values
            )
            return int(done.fetch(1)[0][0])
        except BaseException:
            out.unlink(missing_ok=True)  # half an answer looks like a whole one
            raise

    def _proven(self, asked: Asked) -> str:
        if not asked.is_free:
            return asked.sql
        try:
            statements = self._library.extract_statements(asked.sql)
        except self._library.Error as err:
            raise UsageError(f"--sql is no SQL: {_first_line(err)}", hint=_COLUMNS) from err
        if len(statements) != 1 or statements[0].type != self._library.StatementType.SELECT:
            raise UsageError("--sql takes one SELECT", hint="the store is read and never written")
        return str(statements[0].query).strip().removesuffix(";")

    def _run(self, sql: str, values: Mapping[str, Any]) -> Answer:
        for _ in range(_TRIES - 1):
            try:
                return self._once(sql, values)
            except _Torn:
                continue
        return self._once(sql, values)

    def _once(self, sql: str, values: Mapping[str, Any]) -> Answer:
        result = self._said_clearly(lambda: self._connection.execute(sql, dict(values) or None))
        names = tuple(column[0] for column in result.description or ())
        return Answer(names, lambda most: self._said_clearly(lambda: result.fetchmany(most)))

    def _said_clearly(self, work: Callable[[], Any]) -> Any:
        duckdb = self._library
        try:
            return work()
        except duckdb.OutOfMemoryException as err:
            raise Unavailable(
                f"the answer needs more memory than it may take: {_first_line(err)}",
                hint="--memory with more megabytes, or ask for less: --line, --from",
            ) from err
        except (
            duckdb.PermissionException,
            duckdb.ParserException,
            duckdb.BinderException,
            duckdb.CatalogException,
        ) as err:
            raise UsageError(f"the store does not answer that: {_first_line(err)}", hint=_COLUMNS) from err
        except duckdb.Error as err:
            # What its reader of Parquet throws has no class of its own.
            is_torn = type(err) is duckdb.Error or isinstance(err, (duckdb.IOException, duckdb.InvalidInputException))
            raise (_Torn if is_torn else DataError)(
                f"the store does not answer: {_first_line(err)}",
                hint="a file may be damaged, or exports replaced it each time: ask again" if is_torn else "",
            ) from err


@contextmanager
def open_store(text: str, bounds: Bounds, out: Path | None = None) -> Iterator[Store]:
    """Open a store for questions; ``out`` is the one file that may be written.

    Raises Unavailable without DuckDB or where the store is not there, DataError where it is none.
    """
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise Unavailable(
            "questions to a store need the package duckdb, which is not installed", hint="pip install 'edge-agent[ask]'"
        ) from err
    target = target_of(text)
    prove_store(target)
    with tempfile.TemporaryDirectory(prefix="edge-agent-ask-") as spill:
        connection = duckdb.connect(":memory:")
        try:
            _bound(connection, bounds, spill)
            root = _root(target, text, connection)
            for dataset in DATASETS:
                _make_view(connection, dataset, root, duckdb)
            connection.execute(REVIEWS)
            connection.create_function("settled_word", settled_word, [WORDS_TYPE], "VARCHAR")
            connection.execute(SETTLED_REVIEWS)
            _close_doors(connection, root, out)
            yield Store(connection, duckdb)
        finally:
            connection.close()


def values_for(question: Question, said: Sequence[str]) -> dict[str, Any]:
    """The values of a question's parameters, from NAME=VALUE. Raises UsageError."""
    given: dict[str, str] = {}
    for one in said:
        name, sign, value = one.partition("=")
        if not sign or name not in {parameter.name for parameter in question.parameters}:
            names = ", ".join(parameter.name for parameter in question.parameters) or "nothing"
            raise UsageError(f"--with {one!r}: {question.name} takes {names}", hint="--with NAME=VALUE")
        given[name] = value
    found: dict[str, Any] = {}
    for parameter in question.parameters:
        try:
            chosen: Any = parameter.kind(given[parameter.name]) if parameter.name in given else parameter.default
        except ValueError:
            raise UsageError(
                f"--with {parameter.name}={given[parameter.name]!r} is no {parameter.kind.__name__}"
            ) from None
        if parameter.choices and chosen not in parameter.choices:
            raise UsageError(f"--with {parameter.name}={chosen!r}: none of {', '.join(parameter.choices)}")
        found[parameter.name] = chosen
    return found


def _bound(connection: Any, bounds: Bounds, spill: str) -> None:
    for setting in (
        f"SET memory_limit = '{bounds.memory_mb}MB'",
        f"SET threads = {bounds.threads}",
        f"SET temp_directory = {_quoted(spill)}",
        f"SET max_temp_directory_size = '{bounds.spill_mb}MB'",
        "SET TimeZone = 'UTC'",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET parquet_metadata_cache = true",
        "SET enable_progress_bar = false",  # it would go to stdout, into the answer
    ):
        connection.execute(setting)


def _root(target: Target, text: str, connection: Any) -> str:
    if isinstance(target, Objects):
        connection.register_filesystem(target.fs)
        return target.root
    return str(Path(text).resolve())


def _make_view(connection: Any, dataset: str, root: str, duckdb: Any) -> None:
    glob = f"{_as_pattern(root)}/{dataset}/line=*/day=*/part-*.parquet"
    try:
        connection.execute(view_of(dataset, glob))
    except duckdb.IOException as err:
        if "No files found" not in str(err):
            raise DataError(f"the store does not answer: {_first_line(err)}") from err
        connection.execute(empty_view(dataset))


def _close_doors(connection: Any, root: str, out: Path | None) -> None:
    """From here on: the store is read, the answer's file is written, nothing else is opened, and no setting changes."""
    # The pattern is looked up under its own name first: that of a folder with an asterisk is not the folder's.
    folders = ", ".join(_quoted(one + "/") for one in (root, _as_pattern(root)))
    connection.execute(f"SET allowed_directories = [{folders}]")
    if out is not None:
        connection.execute(f"SET allowed_paths = [{_quoted(_whole_path(out))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _as_pattern(root: str) -> str:
    """In a pattern these letters stand for others; in brackets each stands for itself."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in root)


def _whole_path(path: Path) -> str:
    return str(path.absolute())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(err: Exception) -> str:
    return str(err).strip().splitlines()[0]
