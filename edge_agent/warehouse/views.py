"""The store as tables of SQL: ``parts``, ``cameras``, ``events``, and what people said of parts in the end."""

from __future__ import annotations

from typing import Final

from edge_agent.warehouse.columns import DATASETS

__all__ = ["REVIEWS", "SETTLED_REVIEWS", "SQL_TYPES", "empty_view", "view_of"]

SQL_TYPES: Final = {
    "int64": "BIGINT",
    "int32": "INTEGER",
    "bool": "BOOLEAN",
    "text": "VARCHAR",
    "float64": "DOUBLE",
    "float32": "FLOAT",
    "utc": "TIMESTAMP WITH TIME ZONE",
    "local": "TIMESTAMP",
    "date": "DATE",
    "numbers": "MAP(VARCHAR, DOUBLE)",
    "texts": "MAP(VARCHAR, VARCHAR)",
}

REVIEWS: Final = """
CREATE VIEW reviews AS
SELECT p.line, p.history, p.part_seq, p.day, p.decided_utc, p.program, p.verdict, p.lot, p.serial, p.simulated,
  e.event_id, e.history AS said_in, e.at_utc, e.says, e.who, e.role, e.note
FROM events e JOIN parts p ON p.line = e.line AND p.part_seq = e.part_seq
WHERE e.kind = 'REVIEW' AND e.says IN ('CONFIRMED', 'OVERTURNED', 'PASS_CONFIRMED', 'ESCAPE')
  AND (p.verdict = 'PASS') = (e.says IN ('PASS_CONFIRMED', 'ESCAPE'))
QUALIFY row_number() OVER (
  PARTITION BY e.line, e.history, e.event_id
  ORDER BY p.decided_utc <= e.at_utc DESC, abs(date_diff('millisecond', p.decided_utc, e.at_utc))) = 1
"""
"""Each review with its part. Of a number that was given twice, after a backup was restored, the newest part by then."""

SETTLED_REVIEWS: Final = """
CREATE VIEW settled_reviews AS
SELECT * FROM reviews
QUALIFY row_number() OVER (PARTITION BY line, history, part_seq ORDER BY at_utc DESC, event_id DESC) = 1
"""
"""What counts of a part: the last word. The only place that says so; a rule for disputed parts goes here."""


def view_of(dataset: str, glob: str) -> str:
    """The view over the files that a pattern names."""
    return (
        f"CREATE VIEW {dataset} AS SELECT * FROM read_parquet({_quoted(glob)}, hive_partitioning = true, "  # noqa: S608
        "hive_types = {'line': VARCHAR, 'day': DATE})"
    )


def empty_view(dataset: str) -> str:
    """The view where a store has no file of a data set yet."""
    columns = [f'NULL::{SQL_TYPES[column.kind]} AS "{column.name}"' for column in DATASETS[dataset].columns]
    return f"CREATE VIEW {dataset} AS SELECT {', '.join(columns)}, NULL::DATE AS day, NULL::VARCHAR AS line WHERE false"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
