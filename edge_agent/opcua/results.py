"""A part as a result in the manner of OPC 40100-1: each field with its browse name. Plain values; knows no OPC UA."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Verdict
from edge_agent.feed.records import part_record

if TYPE_CHECKING:
    from edge_agent.feed.current import SeenPart

__all__ = ["RESULTS_KEPT", "RESULT_FIELDS", "ResultField", "result_of", "result_words", "severity_of"]

RESULTS_KEPT = 10
"""So many of the newest results can be read beside the latest one."""
_COMPLETED, _FAILED = 1, 4
_SEVERITY = {Verdict.PASS: 100, Verdict.REJECT: 300, Verdict.FAULT: 600}


@dataclass(frozen=True, slots=True)
class ResultField:
    """One field of a result. ``kind`` is the name of an OPC UA built-in type; ``is_standard``: named by OPC 40100-1."""

    name: str
    kind: str
    is_standard: bool = True


RESULT_FIELDS = (
    ResultField("ResultId", "String"),
    ResultField("IsPartial", "Boolean"),
    ResultField("IsSimulated", "Boolean"),
    ResultField("ResultState", "Int32"),
    ResultField("PartId", "String"),
    ResultField("ExternalRecipeId", "String"),
    ResultField("InternalRecipeId", "String"),
    ResultField("InternalConfigurationId", "String"),
    ResultField("JobId", "String"),
    ResultField("CreationTime", "DateTime"),
    ResultField("ResultContent", "String"),
    ResultField("Verdict", "String", is_standard=False),
    ResultField("Reason", "String", is_standard=False),
    ResultField("Detail", "String", is_standard=False),
    ResultField("Published", "String", is_standard=False),
    ResultField("Score", "Double", is_standard=False),
    ResultField("Limit", "Double", is_standard=False),
    ResultField("DecidedMs", "Double", is_standard=False),
)
"""ResultContent is the whole part as JSON, as MQTT has it (docs/results.md): one value, of one part, never mixed."""


def result_of(part: SeenPart, config_sha256: str) -> dict[str, Any]:
    """The value of each field, in the order of RESULT_FIELDS. A number that there is none of is NaN, a text empty."""
    row, published = part.row, part.publication.published if part.publication else None
    content = part_record(row, published)
    values: dict[str, Any] = {
        "ResultId": str(row.part_seq),
        "IsPartial": False,
        "IsSimulated": row.simulated,
        "ResultState": _FAILED if row.verdict is Verdict.FAULT else _COMPLETED,
        "PartId": "" if row.count is None else str(row.count),
        "ExternalRecipeId": "" if row.program is None else str(row.program),
        "InternalRecipeId": row.bundle_id or "",
        "InternalConfigurationId": config_sha256,
        "JobId": str(row.part_seq),
        "CreationTime": datetime.fromisoformat(row.decided_utc),
        "ResultContent": json.dumps(content, allow_nan=False, default=str),
        "Verdict": str(row.verdict),
        "Reason": str(row.reason),
        "Detail": row.detail,
        "Published": "" if published is None else str(published),
        "Score": _number(row.score),
        "Limit": _number(row.limit),
        "DecidedMs": float(content["decided_ms"]),
    }
    return {field.name: values[field.name] for field in RESULT_FIELDS}


def result_words(part: SeenPart) -> str:
    """One line for a person who looks at events."""
    row = part.row
    return f"part {row.part_seq}: {row.verdict} ({row.reason})"


def severity_of(part: SeenPart) -> int:
    """The severity of a part's event, 1 to 1000."""
    return _SEVERITY[part.row.verdict]


def _number(value: float | None) -> float:
    return math.nan if value is None else value
