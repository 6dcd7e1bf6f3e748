"""The store as tables of SQL: ``parts``, ``cameras``, ``events``, and what people said of parts in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - DuckDB reads the types of a function
from typing import Final

from edge_agent.people.roles import Role
from edge_agent.reviews.settling import Word, settle
from edge_agent.warehouse.columns import DATASETS

__all__ = ["REVIEWS", "SETTLED_REVIEWS", "SQL_TYPES", "WORDS_TYPE", "empty_view", "settled_word", "view_of"]

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

WORDS_TYPE: Final = 'STRUCT(says VARCHAR, who VARCHAR, "role" VARCHAR)[]'
SETTLED_REVIEWS: Final = """
CREATE VIEW settled_reviews AS
WITH begun AS (SELECT line, history AS said_in, min(at_utc) AS begun_utc FROM events GROUP BY ALL),
heard AS (
  SELECT r.line, r.history, r.part_seq, count(DISTINCT says) > 1 AS differ,
    list({'says': says, 'who': who, 'role': role} ORDER BY begun_utc, event_id) AS words
  FROM reviews r JOIN begun USING (line, said_in) GROUP BY r.line, r.history, r.part_seq)
SELECT r.* REPLACE (CASE WHEN heard.differ THEN settled_word(heard.words) ELSE r.says END AS says)
FROM reviews r JOIN begun USING (line, said_in)
  JOIN heard ON heard.line = r.line AND heard.history = r.history AND heard.part_seq = r.part_seq
QUALIFY row_number() OVER (PARTITION BY r.line, r.history, r.part_seq ORDER BY begun_utc DESC, r.event_id DESC) = 1
"""
"""What counts of a part, in ``says``, DISPUTED where people differ; the other columns are those of the last review.
``settled_word`` is the function below: the rule is the line's own, and stands in one place. Words go in the order in
which the journal has them, as on the line: by the time they would be turned round where a clock was set back."""


def settled_word(words: Sequence[Mapping[str, str | None]]) -> str:
    """What the words of several people on one part mean together, in the order in which they were said."""
    return settle(
        Word(0, one["says"] or "", one["who"] or "", Role(one["role"]) if one["role"] in tuple(Role) else None)
        for one in words
    ).says


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
