"""``edge-agent ask``: questions to the store of a plant. Parse, call, print, exit code."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_agent.commands.shared import Json, On, Since, Until, printable, say, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.warehouse.asking import Answer

__all__ = ["ask_cli"]

ask_cli = typer.Typer()
_WIDEST = 60
_MOST_ROWS = 200_000


class _Ready(StrEnum):
    LINES = "lines"
    FALSE_REJECTS = "false-rejects-by-lot"
    YIELD = "yield-by-shift"
    NEAR = "near-the-limit"
    DRIFT = "channel-drift"
    PART = "part"
    TWICE = "same-part-on-two-lines"


StoreAt = Annotated[str, typer.Argument(metavar="STORE", help="The store's folder, or its address as s3://...")]
Asks = Annotated[_Ready | None, typer.Argument(metavar="QUESTION", help="A ready question; --list has them.")]
Lines = Annotated[list[str] | None, typer.Option("--line", metavar="NAME", help="Of this line alone; also several.")]
Program = Annotated[int | None, typer.Option(help="Of this program of the controller alone.")]
With = Annotated[
    list[str] | None, typer.Option("--with", metavar="NAME=VALUE", help="A value that the question takes.")
]
Sql = Annotated[str | None, typer.Option("--sql", help="A SELECT of your own instead, over parts, cameras, events.")]
ListAll = Annotated[bool, typer.Option("--list", help="Which questions there are, and what each takes.")]
Csv = Annotated[bool, typer.Option("--csv", help="CSV on stdout.")]
ToParquet = Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="Into a new Parquet file.")]
Memory = Annotated[int, typer.Option("--memory", min=64, max=1_000_000, metavar="MB", help="What DuckDB may take.")]
OnThreads = Annotated[int | None, typer.Option("--threads", min=1, max=256, help="All cores, where left out.")]


@ask_cli.command()
def ask(
    store: StoreAt,
    question: Asks = None,
    *,
    sql: Sql = None,
    list_: ListAll = False,
    line: Lines = None,
    since: Since = None,
    until: Until = None,
    on: On = None,
    program: Program = None,
    with_: With = None,
    csv: Csv = False,
    parquet: ToParquet = None,
    memory: Memory = 1200,
    threads: OnThreads = None,
    json_: Json = False,
) -> None:
    """Ask the store that `journal export --format store` fills: ready questions, or one SELECT of your own.

    The store is read, and nothing else is: no other file, no network but the store's own. Exit code 1 where the answer
    is empty.

    Example: edge-agent ask /mnt/plant/store yield-by-shift --line press-1 --on yesterday

    Example: edge-agent ask /mnt/plant/store --sql "SELECT line, count(*) FROM parts GROUP BY line" --csv
    """
    from edge_agent.errors import UsageError
    from edge_agent.warehouse.asking import Bounds, Chosen, asked_freely, asked_ready, open_store
    from edge_agent.warehouse.questions import QUESTIONS

    if list_:
        say(json_, {"schema_version": 1, "questions": _listed()}, _list_lines())
        return
    if (question is None) == (sql is None):
        raise UsageError("ask one thing: a ready question, or --sql", hint="edge-agent ask STORE --list")
    if sum((json_, csv, parquet is not None)) > 1:
        raise UsageError("--json, --csv and --parquet are three answers", hint="say one of them")
    chosen = Chosen(tuple(line or ()), *span_of(since, until, on), program)
    if sql is not None:
        if chosen != Chosen() or with_:
            raise UsageError(
                "--line, --from, --program and --with go with ready questions", hint="say it in the SELECT"
            )
        asked = asked_freely(sql)
    else:
        asked = asked_ready(QUESTIONS[str(question)], chosen, with_ or [])
    bounds = Bounds(memory_mb=memory) if threads is None else Bounds(memory_mb=memory, threads=threads)
    with open_store(store, bounds, parquet) as opened:
        if parquet is not None:
            number = opened.write_parquet(asked, parquet)
            typer.echo(f"{parquet}: {number} rows", err=True)
        else:
            number = _print(opened.ask(asked), str(question or "sql"), is_csv=csv, is_json=json_)
    raise typer.Exit(0 if number else 1)


def _print(answer: Answer, name: str, *, is_csv: bool, is_json: bool) -> int:
    """How many rows there were."""
    if is_csv:
        return _print_csv(answer)
    rows: list[tuple[Any, ...]] = []
    for row in answer.rows():
        if len(rows) == _MOST_ROWS:
            raise _too_many()
        rows.append(tuple(map(_plain, row)))
    if is_json:
        facts = {"schema_version": 1, "question": name, "columns": answer.columns, "rows": rows}
        typer.echo(json.dumps(facts, default=str, allow_nan=False))
    else:
        typer.echo("\n".join(_table(answer.columns, rows)))
    return len(rows)


def _too_many() -> Exception:
    """Of a table and of JSON: they are held as a whole, beside what --memory bounds."""
    from edge_agent.errors import UsageError

    return UsageError(
        f"the answer has more than {_MOST_ROWS} rows",
        hint="--csv or --parquet FILE take any number; or LIMIT in the SQL",
    )


def _print_csv(answer: Answer) -> int:
    import csv
    import sys

    from edge_agent.store.export import safe_text

    lines, number = csv.writer(sys.stdout), 0
    lines.writerow([safe_text(name) for name in answer.columns])
    for row in answer.rows():
        lines.writerow([safe_text(_plain(value)) for value in row])
        number += 1
    return number


def _plain(value: Any) -> Any:
    """A value as JSON and CSV take it: a time as ISO 8601, a number that is none as nothing, infinity as its name."""
    import math
    from datetime import date, datetime

    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [*map(_plain, value)] if isinstance(value, (list, tuple)) else value


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    """Columns as wide as their widest value, numbers to the right."""
    if not rows:
        yield "nothing was found"
        return
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[at]) for row in cells)) for at, name in enumerate(columns)]
    are_numbers = [all(isinstance(row[at], (int, float, type(None))) for row in rows) for at in range(len(columns))]
    for row in [list(columns), *cells]:
        yield "  ".join(
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(row, widths, are_numbers, strict=True)
        ).rstrip()


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else printable(str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _listed() -> list[dict[str, Any]]:
    from edge_agent.warehouse.questions import QUESTIONS

    return [
        {
            "question": question.name,
            "asks": question.asks,
            "needs_line": question.needs_line,
            "days": question.days,
            "takes": [
                {"name": one.name, "default": one.default, "meaning": one.meaning, "choices": one.choices}
                for one in question.parameters
            ],
        }
        for question in QUESTIONS.values()
    ]


def _list_lines() -> list[str]:
    lines = []
    for question in _listed():
        lines += [str(question["question"]), f"  {question['asks']}"]
        if question["days"]:
            lines.append(f"  without --from: of the newest {question['days']} days")
        for one in question["takes"]:
            default = "" if one["default"] in (None, "") else f" ({one['default']})"
            choices = f": {', '.join(one['choices'])}" if one["choices"] else ""
            lines.append(f"  --with {one['name']}=...{default}  {one['meaning']}{choices}")
    return lines
