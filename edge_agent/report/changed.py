"""Who changed what, in words for a person: the terminal, the table for Excel and the page say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_agent.report.head import in_local_time
from edge_agent.report.words import event_words
from edge_agent.store.changes import change_of
from edge_agent.store.starts import ROTATE, START

if TYPE_CHECKING:
    from edge_agent.store.changes import Change
    from edge_agent.store.rows import EventRow
    from edge_agent.store.starts import ChangedValue

__all__ = ["change_json", "change_title", "change_words", "event_told", "value_words", "who_words"]

_NOT_RECORDED = "what changed is not recorded by that version"
_TITLES = {
    "BUNDLE": "bundle in use",
    "BUNDLE_CHOSEN": "bundle chosen",
    "REVIEW": "part reviewed",
    "ROTATE": "new journal begun",
}
_VERSION, _RUN = "versions.", "run."
_SHORT_ID = 12
_OWN_WORDS = frozenset({START, ROTATE, "BUNDLE_CHOSEN"})
"""Events whose detail is for machines: a person reads these words instead."""


def change_title(change: Change) -> str:
    """What kind of change it was, in a few words."""
    if change.kind != "START":
        return _TITLES.get(change.kind) or event_words(change.kind, "")[0]
    if not change.values:
        return "agent started"
    keys = [value.key for value in change.values]
    kinds = [
        ("other settings", any(not key.startswith((_VERSION, _RUN)) for key in keys)),
        ("another version", any(key.startswith(_VERSION) for key in keys)),
        ("another mode", any(key.startswith(_RUN) for key in keys)),
    ]
    return f"agent started with {', '.join(words for words, holds in kinds if holds)}"


def change_words(change: Change) -> str:
    """One sentence about it, beside who, why and the values; '' where those say it all."""
    if change.kind == "START":
        return _start_words(change)
    facts = change.facts
    if change.kind == "ROTATE":
        return f"the one before is {facts.get('closed')}"
    if change.kind == "BUNDLE_CHOSEN":
        what = "gone back to" if facts.get("what") == "rollback" else "activated"
        bundle_id = str(facts.get("bundle_id"))[:_SHORT_ID]
        place = f"program {facts.get('program')}, camera {facts.get('camera')}"
        return f"{place}: {facts.get('folder')} {bundle_id} {what}; it judges from the agent's next start on"
    if change.kind == "BUNDLE" and "program" in facts:
        chosen = f", chosen {facts['chosen_utc']}" if facts.get("chosen_utc") else ""
        return f"program {facts['program']}, camera {facts['camera']}{chosen}"
    if change.kind == "REVIEW" and "part_seq" in facts:
        says = {"CONFIRMED": "the reject was right", "OVERTURNED": "the part is good"}.get(str(facts.get("says")))
        return f"part {facts['part_seq']}: {says or facts.get('says')}"
    if change.kind == "BYPASS":
        return _bypass_words(change)
    return event_words(change.kind, change.detail)[1]


def who_words(change: Change) -> str:
    """Who did it. A service was started by nobody: then whose line.toml is; '' where nobody is told."""
    source = change.facts.get("line_toml")
    if change.kind == "START" and not change.by and isinstance(source, dict) and source.get("owner"):
        return f"{source['owner']} (owns line.toml)"
    return change.by


def value_words(value: ChangedValue) -> tuple[str, str, str]:
    """A changed value as name, old and new text."""
    name = value.key
    if name.startswith(_VERSION):
        name = f"version of {name.removeprefix(_VERSION)}"
    elif name.startswith(_RUN):
        name = name.removeprefix(_RUN).replace("_", " ")
    return name, _plain(value.old), _plain(value.new)


def event_told(event: EventRow) -> tuple[str, str]:
    """Any event's kind and detail in words, for a list of what happened."""
    if event.kind not in _OWN_WORDS:
        return event_words(event.kind, event.detail)
    change = change_of(event)
    values = ("{}: {} -> {}".format(*value_words(value)) for value in change.values or ())
    by = who_words(change)
    said = [change_words(change), f"by {by}" if by else "", change.why, *values]
    return change_title(change), "; ".join(filter(None, said))


def change_json(change: Change) -> dict[str, Any]:
    """The object of ``--json`` and of the page: the facts, and the English words."""
    return {
        "journal": change.journal,
        "event_id": change.event_id,
        "at_utc": change.at_utc,
        "kind": change.kind,
        "title": change_title(change),
        "by": who_words(change),
        "why": change.why,
        "words": change_words(change),
        "values": None
        if change.values is None
        else [
            dict(zip(("name", "was", "is"), value_words(value), strict=True)) | value.to_json()
            for value in change.values
        ],
        "facts": dict(change.facts),
    }


def _start_words(change: Change) -> str:
    facts = change.facts
    said = [] if facts.get("says", "the agent is up") == "the agent is up" else [str(facts["says"])]
    if not facts:
        return f"{change.detail}; {_NOT_RECORDED}" if change.detail != "the agent is up" else _NOT_RECORDED
    said += [f"version {facts['version']}"] if facts.get("version") else []
    source = facts.get("line_toml")
    if isinstance(source, dict):
        saved = in_local_time(str(source.get("saved_utc") or "")) or "at a time that is not known"
        said.append(f"line.toml {str(source.get('sha256'))[:_SHORT_ID]}, saved {saved}")
    if facts.get("is_service"):
        said.append("started as a service")
    if facts.get("is_first"):
        said.append("the first start of this journal")
    elif change.values is None:
        said.append("what changed is not recorded: the version before kept no settings")
    elif not change.values:
        said.append("no value that is kept here differs from the last start: a comment, or what is kept secret, may")
    return "; ".join(said)


def _bypass_words(change: Change) -> str:
    facts = change.facts
    if "for_s" in facts:
        return f"begins, for {int(facts['for_s']) / 60:g} minutes"
    if "begun_by" in facts:
        return f"ends; it was begun by {facts['begun_by']}"
    return change.detail


def _plain(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return str(value)
