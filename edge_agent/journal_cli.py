"""``edge-agent journal``: questions, export, audit, rotation. Parse, call, print, exit code."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivers.base import Reason, Verdict
from edge_agent.base_cli import DEFAULT_CONFIG, Config, Json, progress_bars, say, settings_of, utc_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.store.export import Selection
    from edge_agent.store.journal import JournalReader

__all__ = ["journal_cli"]

journal_cli = typer.Typer(no_args_is_help=True, help="The journal: every part once, with its verdict and its reason.")


class _Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


File = Annotated[Path | None, typer.Option("--journal", help="This file, not the one that line.toml names.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601; without an offset, this PC's time zone.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, itself not included.")]
OfVerdict = Annotated[Verdict | None, typer.Option("--verdict", case_sensitive=False)]
OfReason = Annotated[Reason | None, typer.Option("--reason", case_sensitive=False)]
OfProgram = Annotated[int | None, typer.Option("--program", help="The controller's program.")]


@journal_cli.command("query")
def journal_query(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: File = None,
    since: Since = None,
    until: Until = None,
    verdict: OfVerdict = None,
    reason: OfReason = None,
    program: OfProgram = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 50,
    json_: Json = False,
) -> None:
    """Which parts, and why: the newest first. 1 if there is none.

    Example: edge-agent journal query --config line.toml --verdict REJECT --since 2026-11-24T06:00
    """
    wanted = _selection(since, until, verdict, reason, program)
    with _reader(config, journal) as reader:
        parts = list(islice(_records(reader, wanted, is_newest_first=True), most))
    lines = [
        f"{part['part_seq']:>8}  {part['decided_utc']}  {part['verdict']:<6} {part['reason']:<13} "
        f"{'-' if part['score'] is None else format(part['score'], '.4g')}/"
        f"{'-' if part['limit'] is None else format(part['limit'], '.4g')}  {part['published'] or 'not told'}  "
        f"{_printable(part['detail'])}"
        for part in parts
    ]
    say(json_, {"schema_version": 1, "records": parts}, lines or ["no such part"])
    raise typer.Exit(0 if parts else 1)


@journal_cli.command("export")
def journal_export(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    config: Config = DEFAULT_CONFIG,
    *,
    journal: File = None,
    fmt: Annotated[_Format | None, typer.Option("--format", help="By the name of the file, where left out.")] = None,
    since: Since = None,
    until: Until = None,
    verdict: OfVerdict = None,
    reason: OfReason = None,
    program: OfProgram = None,
    json_: Json = False,
) -> None:
    """One record an image, oldest first: CSV, JSON Lines, or Parquet where pyarrow is installed.

    Example: edge-agent journal export november.csv --config line.toml --since 2026-11-01 --until 2026-12-01
    """
    from edge_agent.errors import UsageError
    from edge_agent.store.export import write_export

    suffixes = {f".{known}": known for known in _Format}
    chosen = fmt or suffixes.get(out.suffix.lower())
    if chosen is None:
        raise UsageError(f"{out}: csv, jsonl or parquet?", hint="say it with --format")
    wanted = _selection(since, until, verdict, reason, program)
    with _reader(config, journal) as reader:
        try:
            with out.open("xb") as file:
                number = write_export(_records(reader, wanted), file, chosen.value)
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
    journal: File = None,
    head: Annotated[
        str | None, typer.Option(metavar="LINK:SHA256", help="A head that was noted: journal_head in the agent's log.")
    ] = None,
    json_: Json = False,
) -> None:
    """Was a row altered, removed or slipped in? Follows the chain of hashes through every row; 1 if so.

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
def journal_rotate(config: Config = DEFAULT_CONFIG, *, journal: File = None, json_: Json = False) -> None:
    """Close the journal under the name of its parts and begin the next one; 75 while an agent runs.

    Example: edge-agent journal rotate --config line.toml
    """
    from edge_agent.owners import refuse_root
    from edge_agent.store.rotation import rotate

    path = journal or settings_of(config, writes_state=True).store.journal
    refuse_root([path.parent, path])
    kept = rotate(path)
    say(json_, {"schema_version": 1, "closed": str(kept)}, [f"closed: {kept}"])


def _path(config: Path, journal: Path | None) -> Path:
    return journal or settings_of(config).store.journal


@contextmanager
def _reader(config: Path, journal: Path | None) -> Iterator[JournalReader]:
    from edge_agent.store.journal import JournalReader

    with JournalReader.open(_path(config, journal)) as reader:
        yield reader


def _records(reader: JournalReader, wanted: Selection, *, is_newest_first: bool = False) -> Iterator[dict[str, Any]]:
    from edge_agent.store.export import record_of

    where, values = wanted.where()
    for row in reader.select(where, values, is_newest_first=is_newest_first):
        published = reader.published(row.part_seq)
        for camera in row.cameras or (None,):
            yield record_of(row, camera, published)


def _selection(
    since: str | None, until: str | None, verdict: Verdict | None, reason: Reason | None, program: int | None
) -> Selection:
    from edge_agent.store.export import Selection

    return Selection(utc_of("--since", since), utc_of("--until", until), verdict, reason, program)


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


def _printable(text: str) -> str:
    """No control bytes of a peer on a person's terminal."""
    return text if text.isprintable() else repr(text)
