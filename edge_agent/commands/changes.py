"""``edge-agent journal changes``: who changed what, when and why. Parse, call, print, exit code."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    Config,
    ForExcel,
    JournalFile,
    Json,
    On,
    Since,
    Until,
    journal_of,
    printable,
    say,
    span_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["changes_cli"]

changes_cli = typer.Typer()


class _Kind(StrEnum):
    START = "START"
    BUNDLE = "BUNDLE"
    BUNDLE_CHOSEN = "BUNDLE_CHOSEN"
    LIMIT = "LIMIT"
    BYPASS = "BYPASS"
    REVIEW = "REVIEW"
    CHALLENGE = "CHALLENGE"
    MSA = "MSA"
    SHADOW = "SHADOW"
    LEARN = "LEARN"
    OUTPUT_TEST = "OUTPUT_TEST"
    ACKNOWLEDGE = "ACKNOWLEDGE"
    ROTATE = "ROTATE"
    USERS = "USERS"
    RESTORED = "RESTORED"


Kind = Annotated[_Kind | None, typer.Option("--kind", case_sensitive=False, help="Of this kind alone.")]
_CHANGE_COLUMNS = (
    "at_local",
    "at_utc",
    "title",
    "by",
    "why",
    "words",
    "name",
    "was",
    "is",
    "kind",
    "journal",
    "event_id",
)


@changes_cli.command("changes")
def journal_changes(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    since: Since = None,
    until: Until = None,
    on: On = None,
    kind: Kind = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 50,
    for_: ForExcel = None,
    json_: Json = False,
) -> None:
    """Who changed what, when and why: settings, versions, bundles, limits, reviews, bypasses, challenges, hand tests.

    The newest first, in the time of this PC, also out of closed journals beside this one. 1 if there is none.

    Example: edge-agent journal changes --config line.toml --from yesterday

    Example: edge-agent journal changes --config line.toml --from 2026-11-24 --for excel > changes.csv
    """
    from edge_agent.errors import UsageError
    from edge_agent.report.changed import change_json
    from edge_agent.store.changes import changes_between

    if for_ and json_:
        raise UsageError("--for excel and --json are two answers", hint="say one of them")
    from_utc, to_utc = span_of(since, until, on)
    changes = changes_between(journal_of(config, journal), from_utc, to_utc)
    fits = [change for change in changes.found if kind is None or change.kind == kind]
    found = [change_json(change) for change in reversed(fits[-most:])]
    notes = [f"older ones are in {changes.missing}, which is not beside this journal"] if changes.missing else []
    if len(found) < len(fits):
        notes.append(f"shown: the newest {len(found)} of {len(fits)}; --most {len(fits)} shows all")
    if for_:
        _print_table(_CHANGE_COLUMNS, [row for change in found for row in _change_rows(change)])
        typer.echo("\n".join(notes), err=True)
    else:
        facts = {"schema_version": 1, "from_utc": from_utc, "to_utc": to_utc, "changes": found}
        lines = [line for change in found for line in _change_lines(change)] or ["nothing was changed"]
        say(json_, {**facts, "missing": changes.missing or None}, [*lines, *notes])
    raise typer.Exit(0 if found else 1)


def _change_lines(change: dict[str, Any]) -> list[str]:
    """A change for a person: one line, and one for each value."""
    from edge_agent.local_time import local_words

    said = [local_words(change["at_utc"]), change["title"]]
    said += [f"by {change['by']}"] if change["by"] else []
    said += [printable(change[name]) for name in ("words", "why") if change[name]]
    values = [f"    {value['name']}: {value['was']} -> {value['is']}" for value in change["values"] or []]
    return ["  ".join(map(printable, said)), *map(printable, values)]


def _change_rows(change: dict[str, Any]) -> list[list[object]]:
    """A change for a table: a row for each value."""
    from edge_agent.store.excel import local_cell

    local = {**change, "at_local": local_cell(change["at_utc"])}
    return [[{**local, **value}.get(name) for name in _CHANGE_COLUMNS] for value in change["values"] or [{}]]


def _print_table(header: Sequence[str], rows: list[list[object]]) -> None:
    from io import BytesIO

    from edge_agent.store.excel import write_table

    table = BytesIO()
    write_table(header, rows, table)
    typer.echo(table.getvalue().decode(), nl=False)
