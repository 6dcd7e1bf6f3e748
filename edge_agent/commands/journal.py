"""``edge-agent journal``: questions, export, audit, rotation. Parse, call, print, exit code."""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import asdict
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from drivers.base import Reason, Verdict
from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    By,
    Config,
    ForExcel,
    JournalFile,
    Json,
    On,
    Since,
    Until,
    journal_of,
    printable,
    progress_bars,
    say,
    settings_of,
    span_of,
    who,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.store.export import Format, Selection
    from edge_agent.store.journal import JournalReader

__all__ = ["journal_cli"]

journal_cli = typer.Typer(no_args_is_help=True, help="The journal: every part once, with its verdict and its reason.")


class _Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    XLSX = "xlsx"


Out = Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")]
OfVerdict = Annotated[Verdict | None, typer.Option("--verdict", case_sensitive=False)]
OfReason = Annotated[Reason | None, typer.Option("--reason", case_sensitive=False)]
OfProgram = Annotated[int | None, typer.Option("--program", help="The controller's program.")]
OfPart = Annotated[int | None, typer.Option("--part", min=1, help="The journal's number of the part.")]
OfCount = Annotated[int | None, typer.Option("--count", min=0, help="The controller's count; it begins anew at times.")]
OfImage = Annotated[
    str | None,
    typer.Option(
        "--image", metavar="NAME", help="Name of its image, the controller's or the archive's; * is anything."
    ),
]


@journal_cli.command("query")
def journal_query(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    since: Since = None,
    until: Until = None,
    on: On = None,
    verdict: OfVerdict = None,
    reason: OfReason = None,
    program: OfProgram = None,
    part: OfPart = None,
    count: OfCount = None,
    image: OfImage = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 50,
    for_: ForExcel = None,
    json_: Json = False,
) -> None:
    """Which parts, and why: the newest first, in the time of this PC, with totals at the end. 1 if there is none.

    Example: edge-agent journal query --config line.toml --verdict REJECT --from 22:00

    Example: edge-agent journal query --config line.toml --part 4711

    Example: edge-agent journal query --config line.toml --on "last tuesday" --count 312
    """
    from edge_agent.errors import UsageError
    from edge_agent.store.export import records_of

    if for_ and json_:
        raise UsageError("--for excel and --json are two answers", hint="say one of them")
    wanted = _selection(
        since, until, on, verdict=verdict, reason=reason, program=program, part=part, count=count, image=image
    )
    with _reader(config, journal) as reader:
        with closing(records_of(reader, wanted, is_newest_first=True)) as found:
            records = list(islice(found, most))
        # Where all that fit are here, they need not be looked for a second time.
        tally = reader.tally(*wanted.where()) if len(records) == most else _tally_of(records)
    said = _said(journal_of(config, journal), wanted)
    totals = _totals(wanted, tally, len({record["part_seq"] for record in records}))
    if said:
        totals.append("reviewed: " + ", ".join(f"{number} {_SAID.get(says, says)}" for says, number in said.items()))
    if for_:
        _print_excel(records)
        typer.echo("\n".join(totals), err=True)
    else:
        facts = {"schema_version": 1, "records": records, "from_utc": wanted.since_utc, "to_utc": wanted.until_utc}
        by_verdict = {str(known): sum(n for (one, _), n in tally.items() if one is known) for known in Verdict}
        say(json_, {**facts, "totals": by_verdict, "reviewed": said}, [*map(_line, records), *totals])
    raise typer.Exit(0 if records else 1)


@journal_cli.command("export")
def journal_export(
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
    json_: Json = False,
) -> None:
    """One record an image, oldest first: an Excel workbook, CSV, JSON Lines, or Parquet where pyarrow is installed.

    Example: edge-agent journal export november.xlsx --config line.toml --in november

    Example: edge-agent journal export november.csv --config line.toml --from 2026-11-01 --for excel
    """
    from edge_agent.errors import UsageError
    from edge_agent.store.export import records_of

    chosen = _format_of(out, fmt, is_for_excel=for_ is not None)
    wanted = _selection(
        since, until, on, verdict=verdict, reason=reason, program=program, part=part, count=count, image=image
    )
    with _reader(config, journal) as reader:
        try:
            with out.open("xb") as file, closing(records_of(reader, wanted)) as records:
                number = _write_table(records, file, out, chosen, wanted, is_for_excel=for_ is not None)
        except FileExistsError:
            raise UsageError(f"{out} exists already", hint="name another file, or move this one away") from None
        except BaseException:
            out.unlink(missing_ok=True)  # half an export looks like a whole one
            raise
    facts = {"schema_version": 1, "file": str(out), "format": str(chosen), "records": number}
    say(json_, facts, [f"{out}: {number} records"])


@journal_cli.command("verify")
def journal_verify(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    head: Annotated[
        str | None, typer.Option(metavar="LINK:SHA256", help="A head that was noted: journal_head in the agent's log.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check whether a row was altered, removed or added later, along the chain of hashes. Exit code 1 if so.

    Example: edge-agent journal verify --config line.toml --head 4711:9f2c...
    """
    noted = _head(head)
    with _reader(config, journal) as reader, progress_bars() as progress:
        damage = reader.problems()
        audit = reader.audit(noted, lambda done, total: progress("links of the chain", done, total))
    problems = [*damage, *audit.problems]
    facts = {
        "schema_version": 1,
        "ok": not problems,
        "head": str(audit.head),
        "predecessor": audit.predecessor,
        "predecessor_sha256": audit.predecessor_sha256,
        "problems": problems,
    }
    after = f", after {audit.predecessor}" if audit.predecessor else ""
    words = "nothing was altered or removed" if not problems else f"{len(problems)} problem(s)"
    say(json_, facts, [*problems, f"{words}{after}; head {audit.head}"])
    raise typer.Exit(1 if problems else 0)


@journal_cli.command("rotate")
def journal_rotate(
    config: Config = DEFAULT_CONFIG, *, journal: JournalFile = None, by: By = None, json_: Json = False
) -> None:
    """Close the journal under the name of its parts and begin the next one; 75 while an agent runs.

    Example: edge-agent journal rotate --config line.toml
    """
    from edge_agent.files.owners import refuse_root
    from edge_agent.store.rotation import rotate

    path = journal or settings_of(config, writes_state=True).store.journal
    refuse_root([path.parent, path])
    kept = rotate(path, by=who(by))
    say(json_, {"schema_version": 1, "closed": str(kept)}, [f"closed: {kept}"])


@contextmanager
def _reader(config: Path, journal: Path | None) -> Iterator[JournalReader]:
    from edge_agent.store.journal import JournalReader

    with JournalReader.open(journal_of(config, journal)) as reader:
        yield reader


def _selection(
    since: str | None,
    until: str | None,
    on: str | None,
    *,
    verdict: Verdict | None,
    reason: Reason | None,
    program: int | None,
    part: int | None,
    count: int | None,
    image: str | None,
) -> Selection:
    from edge_agent.store.export import Selection

    return Selection(*span_of(since, until, on), verdict, reason, program, part, count, image)


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
    suffixes = {f".{known}": known for known in _Format}
    chosen = fmt or suffixes.get(out.suffix.lower())
    if chosen is None:
        raise UsageError(
            f"{out}: xlsx, csv, jsonl or parquet?", hint="say it with --format; for Excel: a name with .xlsx"
        )
    return chosen


def _line(record: dict[str, Any]) -> str:
    """A record for a person."""
    from edge_agent.local_time import local_words

    score, limit = ("-" if record[name] is None else format(record[name], ".4g") for name in ("score", "limit"))
    count = "-" if record["count"] is None else record["count"]
    return (
        f"{record['part_seq']:>8}  count {count:<6} {local_words(record['decided_utc'])}  {record['verdict']:<6} "
        f"{record['reason']:<13} {score}/{limit}  {record['published'] or 'not told'}  {printable(record['detail'])}"
    ).rstrip()


def _totals(wanted: Selection, tally: dict[tuple[Verdict, Reason], int], shown: int) -> list[str]:
    """The last lines: how many there are in all, of which time, and whether all of them are above."""
    from edge_agent.local_time import local_words

    if not tally:
        return ["no such part"]
    number, said = sum(tally.values()), []
    for verdict in Verdict:
        reasons = {str(reason): n for (one, reason), n in tally.items() if one is verdict}
        if reasons:
            why = ", ".join(f"{reason} {n}" for reason, n in reasons.items())
            said.append(f"{sum(reasons.values())} {verdict}" + ("" if verdict is Verdict.PASS else f" ({why})"))
    begin = f" from {local_words(wanted.since_utc)}" if wanted.since_utc else ""
    end = f" to {local_words(wanted.until_utc)}" if wanted.until_utc else ""
    lines = [f"{number} part{'s' if number > 1 else ''}{begin}{end}: {', '.join(said)}"]
    return [*lines, f"shown: the newest {shown} of them; --most {number} shows all"] if shown < number else lines


_SAID = {
    "CONFIRMED": "rightly rejected",
    "OVERTURNED": "good and rejected",
    "PASS_CONFIRMED": "rightly passed",
    "ESCAPE": "defective and passed (escapes)",
    "DISPUTED": "disputed",
}


def _said(path: Path, wanted: Selection) -> dict[str, int]:
    """What people said last of the parts that fit: how many of each word."""
    import json
    from collections import Counter

    from edge_agent.store.reviewed import ReviewBook
    from edge_agent.store.search import JournalSearch

    where, values = wanted.where()
    with JournalSearch.open(path) as journal:
        words = ReviewBook().standing(journal)
        reviewed = [*values, json.dumps(sorted(words))]
        found = journal.select(f"{where} AND part_seq IN (SELECT value FROM json_each(?))", reviewed)  # noqa: S608 - ours
        return dict(sorted(Counter(words[row.part_seq] for row in found).items()))


def _tally_of(records: list[dict[str, Any]]) -> dict[tuple[Verdict, Reason], int]:
    """As ``JournalReader.tally``, of the parts of these records."""
    by_part = {record["part_seq"]: (Verdict(record["verdict"]), Reason(record["reason"])) for record in records}
    counted = Counter(by_part.values())
    return dict(sorted(counted.items(), key=lambda item: (item[0][0], -item[1])))


def _print_excel(records: list[dict[str, Any]]) -> None:
    from io import BytesIO

    from edge_agent.store.excel import write_excel

    table = BytesIO()
    write_excel(records, table)
    typer.echo(table.getvalue().decode(), nl=False)


def _head(text: str | None) -> Any:
    import re

    from edge_agent.errors import UsageError
    from edge_agent.store.chain import Head

    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise UsageError(f"--head {text!r} is no head", hint="LINK:SHA256, as the agent's log has it")
    return Head(int(found[1]), found[2])
