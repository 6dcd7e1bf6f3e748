"""``edge-agent journal export``: a file for other programs, or the plant's store. Parse, call, print, exit code."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from edge_agent.commands.journal_options import (
    OfCount,
    OfImage,
    OfPart,
    OfProgram,
    OfReason,
    OfVerdict,
    reader_of,
    selection,
)
from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    Config,
    ForExcel,
    JournalFile,
    Json,
    On,
    Since,
    Until,
    given_options,
    progress_bars,
    say,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.store.export import Format, Selection
    from edge_agent.warehouse.exporting import Exported, Line

__all__ = ["export_cli"]

export_cli = typer.Typer()


class _Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    XLSX = "xlsx"
    STORE = "store"


Out = Annotated[
    str, typer.Argument(help="The file to write, which must not exist yet; with --format store a folder or s3://...")
]
Begin = Annotated[bool, typer.Option("--begin", help="Of a store: make an empty folder one, the first time.")]
LineName = Annotated[
    str | None, typer.Option("--line", metavar="NAME", help="Of a store: the line's name, if not that of line.toml.")
]
LotItem = Annotated[
    str, typer.Option(metavar="NAME", help="Of a store: the item of the controller's result line that names the lot.")
]
SerialItem = Annotated[str, typer.Option(metavar="NAME", help="Of a store: the item that names the part.")]
_WITHOUT_SHIFTS: tuple[str, ...] = ("00:00",)
_OF_A_STORE = {"begin": "--begin", "line": "--line", "lot_item": "--lot-item", "serial_item": "--serial-item"}
_FOR_A_STORE = {"out", "config", "journal", "fmt", "json_", *_OF_A_STORE}


@export_cli.command("export")
def journal_export(
    context: typer.Context,
    out: Out,
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    fmt: Annotated[_Format | None, typer.Option("--format", help="By the name of the file, where left out.")] = None,
    since: Since = None,
    until: Until = None,
    on: On = None,
    verdict: OfVerdict = None,
    reason: OfReason = None,
    program: OfProgram = None,
    part: OfPart = None,
    count: OfCount = None,
    image: OfImage = None,
    for_: ForExcel = None,
    begin: Begin = False,
    line: LineName = None,
    lot_item: LotItem = "lot",
    serial_item: SerialItem = "serial",
    json_: Json = False,
) -> None:
    """One record an image, oldest first: an Excel workbook, CSV, JSON Lines, or Parquet where pyarrow is installed.

    With --format store: what is new since the last time into a store of many lines, once each (docs/ask.md).

    Example: edge-agent journal export november.xlsx --config line.toml --in november

    Example: edge-agent journal export november.csv --config line.toml --from 2026-11-01 --for excel

    Example: edge-agent journal export /mnt/plant/store --format store --begin --config line.toml
    """
    from edge_agent.store.export import records_of

    if fmt is _Format.STORE:
        _refuse(given_options(context, but=_FOR_A_STORE), "goes with a file and not with a store: a store takes all")
        _into_store(out, _line_of(config, journal, line, lot_item, serial_item), begin=begin, json_=json_)
        return
    _refuse(given_options(context, but=set(context.params) - set(_OF_A_STORE)), "goes with --format store alone")
    path = Path(out)
    chosen = _format_of(path, fmt, is_for_excel=for_ is not None)
    wanted = selection(
        since, until, on, verdict=verdict, reason=reason, program=program, part=part, count=count, image=image
    )
    with reader_of(config, journal) as reader, closing(records_of(reader, wanted)) as records:
        number = _write_new(path, records, chosen, wanted, is_for_excel=for_ is not None)
    facts = {"schema_version": 1, "file": str(path), "format": str(chosen), "records": number}
    say(json_, facts, [f"{path}: {number} records"])


def _refuse(options: list[str], why: str) -> None:
    from edge_agent.errors import UsageError

    if options:
        raise UsageError(f"{options[0]} {why}", hint="edge-agent journal export --help")


def _line_of(config: Path, journal: Path | None, name: str | None, lot: str, serial: str) -> Line:
    """The line that is exported. With --journal and --line no line.toml is needed; a shift is then a day."""
    from edge_agent.files.owners import refuse_root
    from edge_agent.warehouse.exporting import Line
    from edge_agent.warehouse.reading import Named

    if journal is not None and name is not None:
        path, shifts = journal, _WITHOUT_SHIFTS
    else:
        settings = settings_of(config)
        path, name = journal or settings.store.journal, name or settings.line.name
        shifts = settings.web.shift_starts if settings.web else _WITHOUT_SHIFTS
    refuse_root([path.parent])
    return Line(name, path, shifts, Named(lot, serial))


def _into_store(to: str, line: Line, *, begin: bool, json_: bool) -> None:
    from edge_agent.warehouse.exporting import export
    from edge_agent.warehouse.targets import target_of

    with progress_bars() as progress:
        done = export(line, target_of(to), begin=begin, progress=progress)
    facts = {"schema_version": 1, "store": to, "line": line.name, **asdict(done)}
    say(json_, facts, _told(to, line, done))
    raise typer.Exit(1 if done.problems else 0)


def _told(to: str, line: Line, done: Exported) -> list[str]:
    rows = ", ".join(f"{number} {name}" for name, number in done.rows.items())
    lines = [*done.problems, f"{to}: line {line.name!r}: {rows} are new, {done.files} files written"]
    if done.waiting:
        lines.append(
            f"{done.waiting} parts wait for the word on what became of their verdicts; the next export has them"
        )
    return lines


def _write_new(
    out: Path, records: Iterator[dict[str, Any]], chosen: _Format, wanted: Selection, *, is_for_excel: bool
) -> int:
    from edge_agent.errors import UsageError

    try:
        with out.open("xb") as file:
            return _write_table(records, file, out, chosen, wanted, is_for_excel=is_for_excel)
    except FileExistsError:
        raise UsageError(f"{out} exists already", hint="name another file, or move this one away") from None
    except BaseException:
        out.unlink(missing_ok=True)  # half an export looks like a whole one
        raise


def _write_table(
    records: Iterator[dict[str, Any]],
    file: IO[bytes],
    out: Path,
    chosen: _Format,
    wanted: Selection,
    *,
    is_for_excel: bool,
) -> int:
    from edge_agent.store.excel import write_excel
    from edge_agent.store.export import write_export
    from edge_agent.store.xlsx import write_xlsx

    if chosen is _Format.XLSX:
        return write_xlsx(records, file, _about(wanted), out.absolute().parent)
    if is_for_excel:
        return write_excel(records, file)
    return write_export(records, file, cast("Format", chosen.value))


def _about(wanted: Selection) -> dict[str, str]:
    """What the last sheet of a workbook says of the others."""
    from datetime import UTC, datetime
    from importlib.metadata import version

    from edge_agent.local_time import local_words

    asked = {name: str(value) for name, value in asdict(wanted).items() if value is not None}
    span = {name: local_words(asked.pop(name)) for name in ("since_utc", "until_utc") if name in asked}
    return {
        "from": span.get("since_utc", "the first part"),
        "to (not included)": span.get("until_utc", "the last part"),
        **asked,
        "decided_local": f"time of this PC, {datetime.now(UTC).astimezone():%Z, UTC%z now}",
        "decided_utc": "the same in UTC",
        "a row": "one image of a part, or a part without one",
        "made": local_words(datetime.now(UTC).isoformat()),
        "edge-agent": version("edge-agent"),
    }


def _format_of(out: Path, fmt: _Format | None, *, is_for_excel: bool) -> _Format:
    from edge_agent.errors import UsageError

    if is_for_excel:
        names = {".csv": _Format.CSV, ".xlsx": _Format.XLSX}
        found = names.get(out.suffix.lower())
        if found is None or fmt not in (None, found):
            hint = "name it .xlsx or .csv: a double click opens it in Excel"
            raise UsageError(f"{out}: --for excel writes a workbook or CSV", hint=hint)
        return found
    suffixes = {f".{known}": known for known in _Format if known is not _Format.STORE}
    chosen = fmt or suffixes.get(out.suffix.lower())
    if chosen is None:
        raise UsageError(
            f"{out}: xlsx, csv, jsonl or parquet?", hint="say it with --format; for Excel: a name with .xlsx"
        )
    return chosen
