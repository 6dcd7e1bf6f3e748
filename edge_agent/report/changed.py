"""Who changed what, in words for a person: the terminal, the table for Excel and the page say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_agent.local_time import in_local_time
from edge_agent.report.words import SAID_WORDS, event_words, signer_words, users_words
from edge_agent.store.changes import change_of
from edge_agent.store.starts import ROTATE, START
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.store.changes import Change
    from edge_agent.store.rows import EventRow
    from edge_agent.store.starts import ChangedValue

__all__ = ["change_json", "change_title", "change_words", "event_told", "value_words", "who_words"]

_NOT_RECORDED = mark("what changed is not recorded by that version")
_UP = "the agent is up"
_VERSION, _RUN = "versions.", "run."
_SHORT_ID = 12
_OWN_WORDS = frozenset({START, ROTATE, "BUNDLE_CHOSEN", "RESTORED", "USERS"})
"""Events whose detail is for machines: a person reads these words instead."""


def change_title(change: Change) -> str:
    """What kind of change it was, in a few words."""
    if change.kind != "START":
        return tr(event_words(change.kind, "")[0])
    if not change.values:
        return tr("agent started")
    keys = [value.key for value in change.values]
    kinds = [
        (tr("other settings"), any(not key.startswith((_VERSION, _RUN)) for key in keys)),
        (tr("another version"), any(key.startswith(_VERSION) for key in keys)),
        (tr("another mode"), any(key.startswith(_RUN) for key in keys)),
    ]
    return tr("agent started with {what}", what=", ".join(words for words, holds in kinds if holds))


def change_words(change: Change) -> str:
    """One sentence about it, beside who, why and the values; '' where those say it all."""
    if change.kind == "START":
        return _start_words(change)
    facts = change.facts
    if change.kind == "ROTATE":
        return tr("the one before is {name}", name=facts.get("closed"))
    if change.kind == "RESTORED":
        return tr("{file}, as it was {at}", file=facts.get("file"), at=in_local_time(str(facts.get("made_utc"))))
    if change.kind == "BUNDLE_CHOSEN":
        bundle_id = str(facts.get("bundle_id"))[:_SHORT_ID]
        what = tr("gone back to") if facts.get("what") == "rollback" else tr("activated")
        later = tr("it judges from the agent's next start on")
        return f"{_place(facts)}: {facts.get('folder')} {bundle_id} {what}; {later}"
    if change.kind == "BUNDLE" and "program" in facts:
        chosen = tr(", chosen {at}", at=in_local_time(str(facts["chosen_utc"]))) if facts.get("chosen_utc") else ""
        return _place(facts) + chosen
    if change.kind == "LIMIT" and "program" in facts:
        passing = tr("; {number} known defects pass", number=facts["defects"]) if facts.get("defects") else ""
        return _place(facts) + passing
    if change.kind == "REVIEW" and "part_seq" in facts:
        said = SAID_WORDS.get(str(facts.get("says")))
        said = tr(said) if said else facts.get("says")
        words = tr("part {number}: {says}", number=facts["part_seq"], says=said)
        return f"{words} \u00b7 {facts['defect']}" if isinstance(facts.get("defect"), str) else words
    if change.kind == "BYPASS":
        return _bypass_words(change)
    if change.kind == "USERS" and facts:
        return users_words(facts)
    return event_words(change.kind, change.detail)[1]


def who_words(change: Change) -> str:
    """Who did it. A service was started by nobody: then whose line.toml is; '' where nobody is told."""
    source = change.facts.get("line_toml")
    if change.kind == "START" and not change.by and isinstance(source, dict) and source.get("owner"):
        return tr("{name} (owns line.toml)", name=source["owner"])
    return signer_words(change.by, change.role)


def value_words(value: ChangedValue) -> tuple[str, str, str]:
    """A changed value as name, old and new text."""
    name = value.key
    if name.startswith(_VERSION):
        name = tr("version of {name}", name=name.removeprefix(_VERSION))
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
    said = [change_words(change), tr("by {by}", by=by) if by else "", change.why, *values]
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
        "role": change.role or None,
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


def _place(facts: Mapping[str, Any]) -> str:
    return tr("program {program}, camera {camera}", program=facts.get("program"), camera=facts.get("camera"))


def _start_words(change: Change) -> str:
    facts = change.facts
    said = [] if facts.get("says", _UP) == _UP else [str(facts["says"])]
    if not facts:
        return tr(_NOT_RECORDED) if change.detail == _UP else f"{change.detail}; {tr(_NOT_RECORDED)}"
    said += [tr("version {number}", number=facts["version"])] if facts.get("version") else []
    source = facts.get("line_toml")
    if isinstance(source, dict):
        saved = in_local_time(str(source.get("saved_utc") or "")) or tr("at a time that is not known")
        said.append(tr("line.toml {sha256}, saved {at}", sha256=str(source.get("sha256"))[:_SHORT_ID], at=saved))
    if facts.get("is_service"):
        said.append(tr("started as a service"))
    if facts.get("is_first"):
        said.append(tr("the first start of this journal"))
    elif change.values is None:
        said.append(tr("what changed is not recorded: the version before kept no settings"))
    elif not change.values:
        said.append(
            tr("no value that is kept here differs from the last start: a comment, or what is kept secret, may")
        )
    return "; ".join(said)


def _bypass_words(change: Change) -> str:
    facts = change.facts
    if "for_s" in facts:
        return tr("begins, for {minutes} minutes", minutes=f"{int(facts['for_s']) / 60:g}")
    if "begun_by" in facts:
        return tr("ends; it was begun by {name}", name=facts["begun_by"])
    return change.detail


def _plain(value: Any) -> str:
    if value is None:
        return tr("not set")
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or tr("none")
    return str(value)
