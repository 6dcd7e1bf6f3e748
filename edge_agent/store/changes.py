"""Who changed what: everything in the journal that a person did to the line, or that a start brought with it.

Facts, not words: ``report.changed`` has those. All of it is from events that the chain of hashes seals, of this journal
and of the closed ones that lie beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edge_agent.people.signing import role_apart
from edge_agent.store.reader import JournalReader
from edge_agent.store.starts import ROTATE, START, ChangedValue, changes_in, told_detail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge_agent.store.rows import EventRow

__all__ = ["CHANGES", "Change", "Changes", "change_of", "changes_between", "files_beside"]

CHANGES = (
    START,
    ROTATE,
    "BUNDLE",
    "BUNDLE_CHOSEN",
    "LIMIT",
    "BYPASS",
    "REVIEW",
    "CHALLENGE",
    "MSA",
    "SHADOW",
    "LEARN",
    "OUTPUT_TEST",
    "ACKNOWLEDGE",
    "USERS",
    "RESTORED",
)
"""The kinds of events that are changes. A START that changed nothing, and a BUNDLE that was in use before, are none."""
_LAST_UTC = "9999"
_BUNDLE = re.compile(
    r"program (?P<program>\d+), camera (?P<camera>\d+): (?P<id>\S+) limit (?P<limit>\S+) (?P<rest>.*)", re.DOTALL
)
_SWITCH = re.compile(
    r".*?; \S+ [0-9a-f]{1,64} (?:activated|gone back to) by (?P<by>.*?) at (?P<at>[0-9T:+.-]{19,32})"
    r"(?:: (?P<why>.*?))?(?:; signed by .*)?",
    re.DOTALL,
)
_BY_WORDS = {
    "LIMIT": (
        re.compile(
            r"program (?P<program>\d+), camera (?P<camera>\d+): limit (?P<old>\S+) -> (?P<new>\S+) set by (?P<by>.*?) "
            r"at [0-9T:+.-]{19,32}: (?P<why>.*?)(?:; although (?P<defects>\d+) known defects pass)? "
            r"\(bundle [0-9a-f]+ before\).*",
            re.DOTALL,
        ),
    ),
    "BYPASS": (
        re.compile(r"begins, by (?P<by>.*?), for (?P<for_s>\d+) s: (?P<why>.*)", re.DOTALL),
        re.compile(r"ends: by (?P<quote>['\"])(?P<by>.*)(?P=quote); it was begun by (?P<begun_by>.*)", re.DOTALL),
        re.compile(r"ends: (?P<why>.*); it was begun by (?P<begun_by>.*)", re.DOTALL),
    ),
    "OUTPUT_TEST": (
        re.compile(r"begins, by (?P<by>.*): .*", re.DOTALL),
        re.compile(r"the gate was seen to close when the writes stopped, by (?P<by>.*)", re.DOTALL),
    ),
    "ACKNOWLEDGE": (re.compile(r".*? leaving, by (?P<by>.*)", re.DOTALL),),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``by`` and ``why`` are empty where nobody is told, ``detail`` is the event's own text or its JSON.

    ``role`` is that of the user who signed; empty where nobody proved the name.
    ``values`` are what differs from before; None where that was not recorded. ``facts`` are those of the event.
    """

    journal: str
    event_id: int
    at_utc: str
    kind: str
    detail: str
    by: str = ""
    role: str = ""
    why: str = ""
    values: tuple[ChangedValue, ...] | None = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of a time, oldest first. ``missing`` names the closed journal that older ones are in; '' for none."""

    found: tuple[Change, ...]
    missing: str = ""


def changes_between(journal: Path, since_utc: str | None = None, until_utc: str | None = None) -> Changes:
    """All changes from ``since_utc`` (None: the first) to before ``until_utc``. Raises DataError.

    A few thousand events a year are read, whatever the time: what is new is new beside what was before.
    """
    files, missing = files_beside(journal)
    # One for all files: what a line judged by goes on behind a rotation.
    known = _Known()
    found = [change for path in files for change in _of_file(path, known)]
    begin, end = since_utc or "", until_utc or _LAST_UTC
    asked = tuple(change for change in found if begin <= change.at_utc < end)
    return Changes(asked, missing if found and begin < found[0].at_utc else "")


def files_beside(journal: Path) -> tuple[list[Path], str]:
    """This journal and the closed ones beside it, oldest first; the name of the one that is not there."""
    files, missing = [journal], ""
    while True:
        with JournalReader.open(files[0]) as reader:
            before = reader.origin()[1]
        path = journal.with_name(before) if before else None
        # A file that names itself, or one of those behind it, as the one before would be followed for ever.
        if path is None or path in files:
            return files, missing
        if not path.is_file():
            return files, before
        files.insert(0, path)


@dataclass(slots=True)
class _Known:
    """What was so before: the hash of line.toml, and what each place judged by."""

    line_toml: str | None = None
    bundles: dict[tuple[int, int], Change] = field(default_factory=dict)


def change_of(event: EventRow, journal: str = "") -> Change:
    """What one event alone says of it, of a kind in CHANGES."""
    change = Change(journal, event.event_id, event.at_utc, event.kind, event.detail)
    told = told_detail(event.detail)
    if event.kind == START:
        return _start(change, told)
    if event.kind == "BUNDLE":
        return _with_role(_bundle(change))
    return _with_role(_worded(change) if told is None else _told(change, told))


def _of_file(path: Path, known: _Known) -> Iterator[Change]:
    with JournalReader.open(path) as reader:
        events = list(reader.events_of(CHANGES))
    for event in events:
        change = change_of(event, path.name)
        if event.kind == START and _is_as_before(change, known):
            continue
        if event.kind == "BUNDLE" and "program" in change.facts:
            place = (change.facts["program"], change.facts["camera"])
            before, known.bundles[place] = known.bundles.get(place), change
            if before is not None and before.detail == change.detail:
                continue
            yield replace(change, values=_beside(before, change))
            continue
        yield change


def _is_as_before(start: Change, known: _Known) -> bool:
    """A start that brought nothing: the same values, out of the same line.toml."""
    source = start.facts.get("line_toml")
    sha256 = source.get("sha256") if isinstance(source, dict) else None
    is_same_file = known.line_toml is None or sha256 == known.line_toml
    known.line_toml = sha256
    return start.values == () and is_same_file and not start.facts.get("is_first")


def _start(change: Change, told: dict[str, Any] | None) -> Change:
    if told is None or "changed" not in told:
        return replace(change, values=None)
    values = changes_in(told)
    facts = {key: value for key, value in told.items() if key not in ("values", "changed")}
    by = _text(told.get("by")) if not told.get("is_service") else ""
    return replace(change, by=by, values=None if values is None else tuple(values), facts=facts)


def _bundle(change: Change) -> Change:
    found = _BUNDLE.fullmatch(change.detail)
    if found is None:
        return change
    switch = _SWITCH.fullmatch(found["rest"])
    return replace(
        change,
        by=switch["by"] if switch else "",
        why=(switch["why"] or "") if switch else "",
        values=(ChangedValue("bundle", None, found["id"]), ChangedValue("limit", None, found["limit"])),
        facts={
            "program": int(found["program"]),
            "camera": int(found["camera"]),
            "chosen_utc": switch["at"] if switch else None,
        },
    )


def _beside(before: Change | None, now: Change) -> tuple[ChangedValue, ...]:
    """The values of a bundle, each with the one before; only those that differ."""
    old = {value.key: value.new for value in (before.values or ())} if before else {}
    values = (ChangedValue(value.key, old.get(value.key), value.new) for value in now.values or ())
    return tuple(value for value in values if value.old != value.new)


def _told(change: Change, told: dict[str, Any]) -> Change:
    why = _text(told.get("why")) or _text(told.get("note"))
    not_facts = ("values", "challenges", "shown", "figures", "by", "role", "why", "note", "schema_version")
    facts = {key: value for key, value in told.items() if key not in not_facts}
    return replace(change, by=_text(told.get("by")), role=_text(told.get("role")), why=why, facts=facts)


def _with_role(change: Change) -> Change:
    """Plain words name a user and the role together."""
    if change.role:
        return change
    by, role = role_apart(change.by)
    return replace(change, by=by, role=role)


def _worded(change: Change) -> Change:
    """What the plain words of an event say of who and why."""
    for pattern in _BY_WORDS.get(change.kind, ()):
        if found := pattern.fullmatch(change.detail):
            facts = {name: value for name, value in found.groupdict().items() if name != "quote"}
            by, why = facts.pop("by", "") or "", facts.pop("why", "") or ""
            values = (ChangedValue("limit", facts.pop("old"), facts.pop("new")),) if change.kind == "LIMIT" else ()
            return replace(change, by=by, why=why, facts=facts, values=values)
    return change


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
