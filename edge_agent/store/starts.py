"""What an agent starts with, and what of it is new: the detail of START in the journal, one JSON object.

It names each value that differs from the last start, and holds all values where any does. So the next start, and an
auditor, compare with what the journal itself says, which its chain seals, and with no file beside it. A closed journal
hands the values on to the next one in its event ROTATE. Secrets are in files that line.toml names: the name alone is
here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from edge_agent.errors import DataError
from edge_agent.store.reader import JournalReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge_agent.settings import Settings, SourceFile

__all__ = [
    "ROTATE",
    "START",
    "ChangedValue",
    "Started",
    "Values",
    "changed_values",
    "changes_in",
    "last_start",
    "last_values",
    "rotate_detail",
    "told_detail",
    "values_of",
    "was_simulated",
    "without_values",
]

log = structlog.get_logger(__name__)

START, ROTATE = "START", "ROTATE"
_SCHEMA_VERSION = 1
_NOT_A_SETTING = "schema_version"
_SAMPLES = "challenge.sample"
_ADDRESSES = frozenset({"webhook.url"})
"""Of these the host alone: the rest of an address may be what lets its holder in."""

_NOT_FOR_OTHERS = frozenset({"values", "challenges"})
"""What a START or ROTATE hands on to the next journal: nobody outside has to read it."""

Values = dict[str, Any]
"""JSON values by their key; the same text in and out."""


@dataclass(frozen=True, slots=True)
class ChangedValue:
    """A key of line.toml, or ``versions.NAME``, ``run.NAME``; None stands for not set."""

    key: str
    old: Any
    new: Any

    def to_json(self) -> dict[str, Any]:
        """The object that START's detail and ``--json`` hold."""
        return {"key": self.key, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class Started:
    """A start, as the journal is to know it. ``last`` are the values of the last start, None where it kept none.

    ``is_first`` says that there was no start before at all. ``by`` is the user, also behind sudo.
    """

    by: str
    is_service: bool
    source: SourceFile | None
    values: Values
    last: Values | None
    is_first: bool = False

    def detail(self, says: str) -> str:
        """The JSON of START. ``says`` is all that older versions wrote: the agent is up, or what this run is not."""
        changed = None if self.last is None else [one.to_json() for one in changed_values(self.last, self.values)]
        found: dict[str, Any] = {
            "schema_version": _SCHEMA_VERSION,
            "says": says,
            "version": self.values.get("versions.edge-agent"),
            "by": self.by,
            "is_service": self.is_service,
            "line_toml": _source_json(self.source),
            "is_first": self.is_first,
            "changed": changed,
        }
        # Only where something differs: a line.toml has hundreds of values, and an agent may start many times a day.
        if self.last != self.values:
            found["values"] = self.values
        return json.dumps(found, ensure_ascii=False)


def values_of(settings: Settings, versions: Mapping[str, str], run: Mapping[str, bool]) -> Values:
    """Everything that a start goes by, flat: ``line.deadline_ms``; the default where line.toml says nothing.

    A bundle's path goes by its program and camera, so that entries may change places. What is not set is not here.
    """
    found: Values = {}
    for key, value in settings.model_dump(mode="json").items():
        if key == "bundle":
            for entry in value:
                found[f"bundle.program-{entry['program']}.camera-{entry['camera']}.path"] = entry["path"]
        else:
            _flatten(key, value, found)
    return {
        **found,
        **{f"versions.{name}": number for name, number in versions.items()},
        **{f"run.{name}": value for name, value in run.items()},
    }


def changed_values(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ChangedValue]:
    """What differs, in the order of the new ones; what is gone comes last."""
    # A dict and no set: it keeps the order, and names each key once.
    keys = dict.fromkeys((*new, *old))
    return [ChangedValue(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def last_values(journal: JournalReader) -> tuple[Values | None, bool]:
    """The values of the last start, and whether there was one at all; None where it was of a version that kept none."""
    # The newest first: a start that changed nothing leaves the values to the one before.
    for event in journal.events_of((START, ROTATE), is_newest_first=True):
        told = told_detail(event.detail)
        if told is None:
            return None, True
        values = told.get("values")
        if isinstance(values, dict):
            return values, True
        if event.kind == ROTATE:
            return None, True
    return None, False


def last_start(path: Path) -> tuple[Values | None, bool]:
    """As ``last_values``, of a journal's file, for an agent that starts.

    A journal that cannot be read is not compared with, and keeps no line from starting.
    """
    try:
        with JournalReader.open(path) as journal:
            return last_values(journal)
    except DataError as err:
        log.warning("last_start_not_read", why=str(err), hint=err.hint)
        return None, True


def was_simulated(path: Path) -> bool:
    """Whether the newest start in a journal was one with simulated peers."""
    values, _ = last_start(path)
    return values is not None and values.get("run.simulated") is True


def rotate_detail(by: str, closed: str, values: Values | None, more: Mapping[str, object]) -> str:
    """ROTATE's detail: who began this file, which one it follows, the values of the last start there, and ``more``."""
    found: dict[str, Any] = {"schema_version": _SCHEMA_VERSION, "by": by, "closed": closed, **more}
    return json.dumps(found if values is None else {**found, "values": values}, ensure_ascii=False)


def told_detail(detail: str) -> dict[str, Any] | None:
    """An event's detail as the JSON object that it is; None for the plain words that older versions wrote."""
    try:
        told = json.loads(detail)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def without_values(kind: str, detail: str) -> str:
    """The detail for somebody outside: what changed, and not the whole of line.toml."""
    told = told_detail(detail) if kind in (START, ROTATE) else None
    if told is None or not _NOT_FOR_OTHERS & told.keys():
        return detail
    return json.dumps({key: value for key, value in told.items() if key not in _NOT_FOR_OTHERS}, ensure_ascii=False)


def _flatten(key: str, value: Any, found: Values) -> None:
    if isinstance(value, dict):
        for name, below in value.items():
            _flatten(f"{key}.{name}", below, found)
    elif key == _SAMPLES:  # by their names, so that one that is added changes nothing else
        for entry in value:
            _flatten(f"{key}.{entry['name']}", {name: one for name, one in entry.items() if name != "name"}, found)
    elif value is not None and key != _NOT_A_SETTING:
        found[key] = _host_alone(value) if key in _ADDRESSES else value


def _host_alone(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}/..."


def _source_json(source: SourceFile | None) -> dict[str, str] | None:
    if source is None:
        return None
    return {"path": source.path, "sha256": source.sha256, "saved_utc": source.saved_utc, "owner": source.owner}


def changes_in(told: Mapping[str, Any]) -> Sequence[ChangedValue] | None:
    """What a START says that is new; None where it could not be compared."""
    changed = told.get("changed")
    if not isinstance(changed, list):
        return None
    return [
        ChangedValue(str(one["key"]), one.get("old"), one.get("new"))
        for one in changed
        if isinstance(one, dict) and "key" in one
    ]
