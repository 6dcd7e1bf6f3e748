"""Which metrics the edge node and its device have: name, type, and where each value comes from. docs/sparkplug.md.

The names are a promise: a host keeps its tags by them. Every metric stands in the birth, and none comes later.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edge_agent.publishing.sparkplug.payload import DataType, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_agent.feed.state import AgentState
    from edge_agent.publishing.sparkplug.payload import Value

__all__ = [
    "BDSEQ",
    "CAMERA_TAGS",
    "EVENT_TAGS",
    "LINE_TAGS",
    "PART_TAGS",
    "REBIRTH",
    "event_metrics",
    "line_metrics",
    "line_values",
    "millis",
    "node_metrics",
    "now_ms",
    "part_metrics",
]

REBIRTH, BDSEQ = "Node Control/Rebirth", "bdSeq"
_WHOLE, _REAL, _YES, _TEXT, _TIME = (
    DataType.INT64,
    DataType.DOUBLE,
    DataType.BOOLEAN,
    DataType.STRING,
    DataType.DATE_TIME,
)

LINE_TAGS = {
    "Line/State": _TEXT,
    "Line/Why": _TEXT,
    "Line/Dry Run": _YES,
    "Line/Bypass": _TEXT,
    "Line/Simulated": _YES,
    "Line/Program": _WHOLE,
}
"""How the agent says that it stands."""

EVENT_TAGS = {
    "Event/Id": ("event_id", _WHOLE),
    "Event/Kind": ("kind", _TEXT),
    "Event/Detail": ("detail", _TEXT),
    "Event/At": ("at_utc", _TIME),
}
PART_TAGS = {
    "Part/Seq": ("part_seq", _WHOLE),
    "Part/Count": ("count", _WHOLE),
    "Part/Program": ("program", _WHOLE),
    "Part/Verdict": ("verdict", _TEXT),
    "Part/Reason": ("reason", _TEXT),
    "Part/Detail": ("detail", _TEXT),
    "Part/Published": ("published", _TEXT),
    "Part/Score": ("score", _REAL),
    "Part/Limit": ("limit", _REAL),
    "Part/Bundle": ("bundle_id", _TEXT),
    "Part/Controller Judgement": ("controller_judgement", _TEXT),
    "Part/Simulated": ("simulated", _YES),
    "Part/Decided": ("decided_utc", _TIME),
    "Part/Took ms": ("decided_ms", _REAL),
}
CAMERA_TAGS = {
    "Outcome": ("outcome", _TEXT),
    "Reason": ("reason", _TEXT),
    "Score": ("score", _REAL),
    "Limit": ("limit", _REAL),
    "Image SHA256": ("image_sha256", _TEXT),
    "Image Name": ("image_name", _TEXT),
}
"""Of each camera, below ``Camera 1/`` and so on. The second word is the key of the record (docs/results.md)."""


def now_ms() -> int:
    """The time of this PC, UTC, in milliseconds since 1970."""
    return int(datetime.now(UTC).timestamp() * 1000)


def millis(at_utc: str) -> int:
    """A time of the journal in milliseconds since 1970. Raises ValueError for what is none."""
    return int(datetime.fromisoformat(at_utc).timestamp() * 1000)


def node_metrics(bdseq: int, line: str, values: Mapping[str, Value], event: Mapping[str, Any] | None) -> list[Metric]:
    """All of the edge node's, as they are now, for its birth."""
    at_ms = now_ms()
    return [
        Metric(BDSEQ, _WHOLE, bdseq, at_ms),
        Metric(REBIRTH, _YES, False, at_ms),
        Metric("Properties/Software", _TEXT, "edge-agent", at_ms),
        Metric("Properties/Version", _TEXT, version("edge-agent"), at_ms),
        Metric("Properties/Line", _TEXT, line, at_ms),
        *line_metrics(values),
        *event_metrics(event, is_historical=False),
    ]


def line_values(agent: AgentState | None) -> dict[str, Value]:
    """How the line stands, by tag. Before the agent has told, all are null."""
    if agent is None:
        return dict.fromkeys(LINE_TAGS)
    why = [f"{name}: {one.why_not}" for name, one in sorted(agent.conditions.items()) if one.why_not]
    why += [f"{name}: {text}" for name, text in sorted(agent.degraded.items())]
    state = "FAULT" if agent.state == "FAULT" else "DEGRADED" if agent.degraded else "READY"
    values = (state, "; ".join(why), agent.is_dry_run, agent.bypass, agent.is_simulated, agent.program)
    return dict(zip(LINE_TAGS, values, strict=True))


def line_metrics(values: Mapping[str, Value]) -> list[Metric]:
    """Those values as metrics of now."""
    at_ms = now_ms()
    return [Metric(name, LINE_TAGS[name], value, at_ms) for name, value in values.items()]


def event_metrics(event: Mapping[str, Any] | None, *, is_historical: bool) -> list[Metric]:
    """An event; None: there was none yet. Raises ValueError for a record that is none."""
    at_ms = now_ms() if event is None else millis(event["at_utc"])
    return [
        Metric(name, kind, None if event is None else _plain(event[key], kind), at_ms, is_historical)
        for name, (key, kind) in EVENT_TAGS.items()
    ]


def part_metrics(part: Mapping[str, Any] | None, cameras: Iterable[int], *, is_historical: bool) -> list[Metric]:
    """A part with the cameras that the birth has; None: there was none yet. Raises ValueError as above."""
    at_ms = now_ms() if part is None else millis(part["decided_utc"])
    values: list[tuple[str, DataType, Value]] = [
        (name, kind, None if part is None else _plain(part[key], kind)) for name, (key, kind) in PART_TAGS.items()
    ]
    went = None if part is None else part["verdict"] == "PASS" and part["published"] == "PUBLISHED"
    values.append(("Part/Passed", _YES, went))
    seen = {} if part is None else {camera["camera"]: camera for camera in part["cameras"]}
    for number in sorted(cameras):
        camera = seen.get(number, {})
        values += [
            (f"Camera {number}/{name}", kind, _plain(camera.get(key), kind))
            for name, (key, kind) in CAMERA_TAGS.items()
        ]
    return [Metric(name, kind, value, at_ms, is_historical) for name, kind, value in values]


def _plain(value: Any, kind: DataType) -> Value:
    """A record's value as its metric has it. JSON's words for an infinite number are numbers again."""
    if value is None:
        return None
    if kind is DataType.DATE_TIME:
        return millis(str(value))
    if kind is DataType.DOUBLE:
        number = float(value)
        return None if math.isnan(number) else number
    if kind is DataType.STRING:
        return str(value)
    return bool(value) if kind is DataType.BOOLEAN else int(value)
