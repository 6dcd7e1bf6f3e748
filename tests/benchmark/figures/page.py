"""docs/figures.md: the tables stand between markers, and what a person wrote around them stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["begin_of", "end_of", "with_tables"]


def begin_of(table: str) -> str:
    """The line before a table."""
    return f"<!-- made by `make figures`: {table} -->"


def end_of(table: str) -> str:
    """The line after a table."""
    return f"<!-- end of {table} -->"


def with_tables(page: str, tables: Mapping[str, Sequence[str]]) -> str:
    """The page with these tables in their places. Raises DataError for a table that has none."""
    for name, lines in tables.items():
        begin, end = begin_of(name), end_of(name)
        before, found, rest = page.partition(f"{begin}\n")
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise DataError(
                f"the page has no place for the table {name!r}",
                hint=f"put the lines {begin} and {end} where it belongs",
            )
        text = "\n".join(lines).strip()
        page = f"{before}{begin}\n\n{text}\n\n{end}{after}"
    return page
