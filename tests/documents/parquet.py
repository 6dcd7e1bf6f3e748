"""The tables of docs/reference/parquet.md: each data set's columns, the ready questions, the views."""

from __future__ import annotations

from edge_agent.warehouse.columns import DATASETS
from edge_agent.warehouse.questions import QUESTIONS
from edge_agent.warehouse.views import SQL_TYPES
from tests.documents.words import code, table, text

__all__ = ["columns", "questions"]


def columns(dataset: str) -> list[str]:
    """Each column with its type in SQL and its meaning."""
    rows = [(code(one.name), code(SQL_TYPES[one.kind]), one.meaning) for one in DATASETS[dataset].columns]
    folders = [
        (
            code("day"),
            code("DATE"),
            "the day of `decided_utc` or `at_utc`, in UTC: a part of the path, not of the file",
        ),
        (code("line"), code("VARCHAR"), "the line's name: a part of the path, not of the file"),
    ]
    return table(("column", "type", "what it is"), [*rows, *folders])


def questions() -> list[str]:
    """Each ready question with what it takes."""
    rows = []
    for one in QUESTIONS.values():
        takes = [f"{code(f'{it.name}={_shown(it.default)}')}: {text(it.meaning)}" for it in one.parameters]
        if one.needs_line:
            takes.insert(0, "`--line` is needed")
        if one.days:
            takes.insert(0, f"without `--from`: the newest {one.days} days")
        rows.append((code(one.name), text(one.asks), "; ".join(takes)))
    return table(("question", "what it answers", "`--with`"), rows)


def _shown(default: str | float | None) -> str:
    return "..." if default in (None, "") else str(default)
