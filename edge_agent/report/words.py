"""The journal's codes in words for a person: reasons, what became of a verdict, events. The page says the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Published, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENT_WORDS", "NOT_TOLD", "PUBLISHED_WORDS", "REASON_WORDS", "challenge_words", "event_words"]

REASON_WORDS: Mapping[Reason, str] = {
    Reason.OK: "No deviation",
    Reason.SCORE: "Looks different from the good parts",
    Reason.ALIGN: "Could not be laid on the reference",
    Reason.LIGHT: "In another light than the good parts were",
    Reason.FOCUS: "Less sharp than the good parts' images",
    Reason.NOT_FINITE: "The score could not be computed",
    Reason.CONTROLLER_NG: "The controller's own tools say NG",
    Reason.IMAGE_BROKEN: "The image is not complete",
    Reason.IMAGE_SIZE: "The image has another size than the reference",
    Reason.NO_IMAGE: "The image never came",
    Reason.NO_RESULT: "The controller's result never came",
    Reason.NO_ANSWER: "Neither image nor result came",
    Reason.LATE: "Not judged in time",
    Reason.OVERRUN: "The next part came before the verdict",
    Reason.STALE: "May belong to an earlier part",
    Reason.DUPLICATE: "A count that was already judged",
    Reason.PROGRAM: "No bundle for the controller's program",
    Reason.NOT_READY: "The line was not ready",
    Reason.OUTPUT: "The output could not be written",
    Reason.JOURNAL: "The journal could not be written",
    Reason.INTERNAL: "The inspection failed: see the log",
    Reason.DISK: "The image could not be stored: the disk is full, or refuses",
    Reason.BYPASS: "A person answered for this part, not the inspection",
}
"""Those of the operator's page (``web/static/texts.js``), word for word: a test holds the two together."""

PUBLISHED_WORDS: Mapping[Published, str] = {
    Published.PUBLISHED: "written in time",
    Published.LATE: "too late: REJECT stands",
    Published.FAILED: "not confirmed by the output: REJECT",
    Published.WITHHELD: "held back: REJECT",
}
NOT_TOLD = "no word of it: REJECT"

EVENT_WORDS: Mapping[str, str] = {
    "ACKNOWLEDGE": "rejected part acknowledged",
    "BUNDLE": "bundle in use",
    "BYPASS": "bypass",
    "CHALLENGE": "challenge",
    "DISK": "disk nearly full",
    "IMAGE_ALTERED": "archived image altered",
    "OUTPUT_TEST": "output tested by hand",
    "RESULT_ASIDE": "result set aside",
    "START": "agent started",
    "STOP": "agent stopped",
}
_THROUGH = {"images": "with recorded images", "line": "on the running line"}


def event_words(kind: str, detail: str) -> tuple[str, str]:
    """An event's kind and its detail in words. A detail that is a JSON object is told, never shown as JSON."""
    title = EVENT_WORDS.get(kind, kind.replace("_", " ").lower())
    try:
        told = json.loads(detail)
    except (ValueError, RecursionError):
        return title, detail
    if not isinstance(told, dict):
        return title, detail
    if kind == "CHALLENGE" and (words := challenge_words(told)):
        return title, words
    return title, "; ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in told.items())


def challenge_words(told: Mapping[str, Any]) -> str:
    """The record of a challenge in one sentence; '' for an object that is none."""
    counts = [told.get(name) for name in ("rejected", "of", "golden_passed", "golden")]
    if not all(isinstance(count, int) for count in counts):
        return ""
    rejected, of, golden_passed, golden = counts
    passed = f", {golden_passed} of {golden} golden samples passed" if golden else ""
    word = "PASSED" if told.get("ok") is True else "NOT PASSED"
    way = _THROUGH.get(str(told.get("through")), "")
    by = f", by {told['by']}" if isinstance(told.get("by"), str) else ""
    return f"{word}: {rejected} of {of} reject samples rejected{passed}; {way}{by}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(held)}" for name, held in value.items()) or "none"
    if value is None:
        return "none"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
