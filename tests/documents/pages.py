"""Which pages are made of the code, whole or a table of them between two marked lines."""

from __future__ import annotations

from pathlib import Path

from edge_agent.warehouse.columns import DATASETS
from tests.documents import commands, decisions, metrics, parquet, reasons, settings

__all__ = ["DOCS", "current"]

DOCS = Path(__file__).resolve().parents[2] / "docs"


def current() -> dict[Path, str]:
    """Every such page as it has to be now."""
    return {
        DOCS / "decisions/README.md": decisions.page(DOCS / "decisions"),
        DOCS / "metrics.md": with_tables("metrics.md", metrics=metrics.metrics()),
        DOCS / "reference/commands.md": commands.commands_page(),
        DOCS / "reference/exit-codes.md": commands.exit_codes_page(),
        DOCS / "reference/line-toml.md": settings.page(),
        DOCS / "reference/parquet.md": with_tables(
            "reference/parquet.md",
            **{name: parquet.columns(name) for name in DATASETS},
            questions=parquet.questions(),
        ),
        DOCS / "reference/reasons.md": with_tables(
            "reference/reasons.md",
            reasons=reasons.reasons(),
            published=reasons.published(),
            conditions=reasons.conditions(),
        ),
    }


def with_tables(name: str, **tables: list[str]) -> str:
    """The page with these tables between their marked lines; the text around them stays. Raises ValueError."""
    page = (DOCS / name).read_text("utf-8")
    for table, lines in tables.items():
        begin, end = f"<!-- made by `make reference`: {table} -->\n", f"<!-- end of {table} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"docs/{name} has no place for the table {table!r}: put {begin.strip()} and {end} there")
        page = "\n".join([f"{before}{begin}", *lines, "", f"{end}{after}"])
    return page
