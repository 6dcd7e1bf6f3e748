"""The journal's codes in words for a person: reasons, what became of a verdict, events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from edge_agent.domain import Published, Reason
from edge_agent.people.roles import Role
from edge_agent.wording import mark, tr

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONDITION_ADVICE",
    "CONDITION_WORDS",
    "EVENT_WORDS",
    "NOT_TOLD",
    "PUBLISHED_WORDS",
    "QUANTITY_WORDS",
    "REASON_WORDS",
    "ROLE_WORDS",
    "SAID_WORDS",
    "SHARE_WORDS",
    "UNIT_WORDS",
    "WATCHED_WORDS",
    "challenge_words",
    "event_words",
    "learn_words",
    "msa_words",
    "role_words",
    "signer_words",
    "users_words",
    "watched_words",
]

REASON_WORDS: Mapping[Reason, str] = {
    Reason.OK: mark("No deviation"),
    Reason.SCORE: mark("Looks different from the good parts"),
    Reason.ALIGN: mark("Could not be laid on the reference"),
    Reason.LIGHT: mark("In another light than the good parts were"),
    Reason.FOCUS: mark("Less sharp than the good parts' images"),
    Reason.NOT_FINITE: mark("The score could not be computed"),
    Reason.CONTROLLER_NG: mark("The controller's own tools say NG"),
    Reason.IMAGE_BROKEN: mark("The image is not complete"),
    Reason.IMAGE_SIZE: mark("The image has another size than the reference"),
    Reason.NO_IMAGE: mark("The image never came"),
    Reason.NO_RESULT: mark("The controller's result never came"),
    Reason.NO_ANSWER: mark("Neither image nor result came"),
    Reason.LATE: mark("Not judged in time"),
    Reason.OVERRUN: mark("The next part came before the verdict"),
    Reason.STALE: mark("May belong to an earlier part"),
    Reason.DUPLICATE: mark("A count that was already judged"),
    Reason.PROGRAM: mark("No bundle for the controller's program"),
    Reason.NOT_READY: mark("The line was not ready"),
    Reason.OUTPUT: mark("The output could not be written"),
    Reason.JOURNAL: mark("The journal could not be written"),
    Reason.INTERNAL: mark("The inspection failed: see the log"),
    Reason.DISK: mark("The image could not be stored: the disk is full, or refuses"),
    Reason.LOCKED: mark("The line is locked: its samples were not shown"),
    Reason.BYPASS: mark("A person answered for this part, not the inspection"),
}
"""In English; ``tr`` says them in the language that is spoken."""

PUBLISHED_WORDS: Mapping[Published, str] = {
    Published.PUBLISHED: mark("written in time"),
    Published.LATE: mark("too late: REJECT stands"),
    Published.FAILED: mark("not confirmed by the output: REJECT"),
    Published.WITHHELD: mark("held back: REJECT"),
}
NOT_TOLD = mark("no word of it: REJECT")

SAID_WORDS: Mapping[str, str] = {
    "CONFIRMED": mark("rightly rejected"),
    "OVERTURNED": mark("was a good part"),
    "PASS_CONFIRMED": mark("rightly passed"),
    "ESCAPE": mark("was a defective part: an escape"),
}
"""What a person can say of a part, by the word that the journal holds."""

CONDITION_WORDS: Mapping[str, str] = {
    "controller": mark("Controller"),
    "program": mark("Program"),
    "output": mark("Remote I/O"),
    "images": mark("Images"),
    "journal": mark("Journal"),
    "inference": mark("Inspection"),
    "request": mark("Program that the PLC wants"),
    "rejects": mark("Reject chute"),
    "mode": mark("Mode switch"),
    "golden": mark("Golden parts"),
    "clock": mark("Clock"),
    "archive": mark("Archive"),
    "disk": mark("Disk"),
    "sessions": mark("Sessions of the counter"),
    "agent": mark("Agent"),
    "line": mark("Line"),
}
"""What must hold before parts may pass."""

CONDITION_ADVICE: Mapping[str, str] = {
    "controller": mark(
        "Look whether the controller has power and its network cable is plugged in, and set it to run mode."
    ),
    "program": mark("Choose a program on the controller that has a reference bundle."),
    "output": mark("Look whether the remote I/O has power and its network cable is plugged in."),
    "images": mark("Look whether the controller sends its images to this PC."),
    "journal": mark("The disk of this PC does not write: call maintenance."),
    "inference": mark("Wait a minute while the inspection starts. If it stays, call maintenance."),
    "request": mark("Look at the PLC: it has to ask for a program that has a reference bundle."),
    "rejects": mark("Look for the rejected part that was not seen leaving, then acknowledge it."),
    "mode": mark("Turn the mode switch to automatic."),
    "disk": mark("Make room on the disk of this PC, or call maintenance."),
}
"""What a person at the line does first about a condition that does not hold."""

SHARE_WORDS: Mapping[str, tuple[str, str]] = {
    "image": (mark("Image"), mark("The part as a whole: something is missing, added or in the wrong place.")),
    "perceptual": (mark("Structure"), mark("Shapes and edges that a good part would not have there.")),
    "map": (mark("Deviation"), mark("Places where the part differs from how it would look without a defect.")),
    "fine": (mark("Fine detail"), mark("Small things at full size: scratches, specks, texture.")),
    "native": (mark("Fine detail"), mark("Small things at full size: scratches, specks, texture.")),
    "filtered": (
        mark("Fine detail in one colour"),
        mark("The same, seen as through a colour filter in which good parts look most alike."),
    ),
    "overview": (mark("Whole part"), mark("The part as a whole: something is missing, added or in the wrong place.")),
    "tone": (
        mark("Brightness and colour"),
        mark("Places that are darker, brighter or of another colour than on good parts."),
    ),
    "autoencoder": (
        mark("Deviation"),
        mark("Places where the part differs from how it would look without a defect."),
    ),
}
"""What each channel or view of a score looks at: a name, and a sentence for who asks what it means."""

QUANTITY_WORDS: Mapping[str, tuple[str, str]] = {
    "brightness": (mark("Brightness"), mark("How bright the image is: lamp, exposure, lens.")),
    "contrast": (
        mark("Contrast"),
        mark("How far dark and bright lie apart: lamp, light from outside, dirt on the lens."),
    ),
    "sharpness": (mark("Sharpness"), mark("How sharp edges are: focus, distance, dirt on the lens.")),
    "red": (mark("Share of red"), mark("The colour of the light: lamp, white balance.")),
    "blue": (mark("Share of blue"), mark("The colour of the light: lamp, white balance.")),
}
"""What is measured of light and focus: a name, and a sentence with what to look at."""

_SHARE = "share_"
WATCHED_WORDS: Mapping[str, tuple[str, str]] = {
    "score": (mark("Score"), mark("What the whole inspection says of good parts, in percent of the limit.")),
    "shift_x_px": (mark("Place, left and right"), mark("Where the part lies, in pixels to the right.")),
    "shift_y_px": (mark("Place, up and down"), mark("Where the part lies, in pixels down.")),
    "angle_deg": (mark("Turn"), mark("How the part is turned, in degrees counter-clockwise.")),
    "scale": (mark("Size"), mark("How large the part looks: 1 is as in the reference image.")),
    "registration_quality": (
        mark("Fit on the reference"),
        mark("How well the image fits the reference: 1 is the same."),
    ),
    "latency_ms": (mark("Time to the verdict"), mark("From the first sign of a part to its verdict.")),
}
"""What is watched for a change beside light, focus and the views: a name, and a sentence."""


UNIT_WORDS: Mapping[str, str] = {
    "percent": mark("% of the limit"),
    "grey": mark("grey values"),
    "ratio": mark("ratio"),
    "room": mark("% of the room"),
    "px": mark("px"),
    "degrees": mark("degrees"),
    "factor": mark("times the reference"),
    "correlation": mark("correlation"),
    "ms": mark("milliseconds"),
}
"""What a watched quantity is counted in."""


def watched_words(quantity: str) -> tuple[str, str]:
    """The name of a watched quantity and a sentence, in the reader's language; of one that is not known its code."""
    if quantity.startswith(_SHARE):
        name, words = SHARE_WORDS.get(quantity.removeprefix(_SHARE), (quantity.removeprefix(_SHARE), ""))
    else:
        name, words = WATCHED_WORDS.get(quantity) or QUANTITY_WORDS.get(quantity) or (quantity, "")
    return tr(name), tr(words)


EVENT_WORDS: Mapping[str, str] = {
    "ACKNOWLEDGE": mark("rejected part acknowledged"),
    "BUNDLE": mark("bundle in use"),
    "BUNDLE_CHOSEN": mark("bundle chosen"),
    "BYPASS": mark("bypass"),
    "CHALLENGE": mark("challenge"),
    "DISK": mark("disk nearly full"),
    "IMAGE_ALTERED": mark("archived image altered"),
    "LEARN": mark("bundle learned from the line"),
    "LIMIT": mark("limit moved"),
    "MSA": mark("attribute agreement study"),
    "SHADOW": mark("candidate bundle beside the line"),
    "OUTPUT_TEST": mark("output tested by hand"),
    "REVIEW": mark("part reviewed"),
    "ROTATE": mark("new journal begun"),
    "RESTORED": mark("line restored from a backup"),
    "RESULT_ASIDE": mark("result set aside"),
    "START": mark("agent started"),
    "STOP": mark("agent stopped"),
    "USERS": mark("users changed"),
}

ROLE_WORDS: Mapping[str, str] = {
    Role.OPERATOR: mark("operator"),
    Role.QUALITY: mark("quality assurance"),
    Role.ENGINEER: mark("engineer"),
}
"""What a user is on the line."""
_USER_WORDS: Mapping[object, str] = {
    "add": mark("{name} added as {role}"),
    "role": mark("{name} is {role} from now on"),
    "password": mark("another password for {name}"),
    "disable": mark("{name} switched off"),
    "enable": mark("{name} switched on again"),
}


def event_words(kind: str, detail: str) -> tuple[str, str]:
    """An event's kind and its detail in words. A detail that is a JSON object is told, never shown as JSON.

    Of another detail the words are made when it is shown (``phrases.said``).
    """
    title = tr(EVENT_WORDS[kind]) if kind in EVENT_WORDS else kind.replace("_", " ").lower()
    try:
        told = json.loads(detail)
    except (ValueError, RecursionError):
        return title, detail
    if not isinstance(told, dict):
        return title, detail
    if kind == "CHALLENGE" and (words := challenge_words(told)):
        return title, words
    if kind == "MSA" and (words := msa_words(told)):
        return title, words
    if kind == "SHADOW" and (words := shadow_words(told)):
        return title, words
    if kind == "LEARN" and (words := learn_words(told)):
        return title, words
    if kind == "USERS" and (words := users_words(told)):
        return title, words
    return title, "; ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in told.items())


def challenge_words(told: Mapping[str, Any]) -> str:
    """The record of a challenge in one sentence; '' for an object that is none."""
    counts = [told.get(name) for name in ("rejected", "of", "golden_passed", "golden")]
    if not all(isinstance(count, int) for count in counts):
        return ""
    rejected, of, golden_passed, golden = counts
    counted = {"rejected": rejected, "of": of, "golden_passed": golden_passed, "golden": golden}
    if told.get("ok") is True and golden:
        found = tr(
            "PASSED: {rejected} of {of} reject samples rejected, {golden_passed} of {golden} golden samples passed",
            **counted,
        )
    elif told.get("ok") is True:
        found = tr("PASSED: {rejected} of {of} reject samples rejected", **counted)
    elif golden:
        found = tr(
            "NOT PASSED: {rejected} of {of} reject samples rejected, {golden_passed} of {golden} golden samples passed",
            **counted,
        )
    else:
        found = tr("NOT PASSED: {rejected} of {of} reject samples rejected", **counted)
    shown = told.get("shown")
    odd = [str(one.get("name")) for one in shown if isinstance(one, dict) and one.get("odd")] if _is_list(shown) else []
    not_usual = tr("not as usual: {names}", names=", ".join(odd)) if odd else ""
    return "; ".join(filter(None, (found, not_usual, _done_by(str(told.get("through")), told.get("by")))))


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def msa_words(told: Mapping[str, Any]) -> str:
    """The record of an attribute agreement study in one sentence; '' for an object that is none."""
    parts, runs, shown, rates = (told.get(name) for name in ("parts", "runs", "shown", "rates"))
    if not isinstance(parts, int) or not isinstance(runs, int):
        return ""
    how = _done_by(str(told.get("through")), told.get("by"))
    counted = {"parts": parts, "runs": runs}
    if told.get("what") == "begun":
        return "; ".join(filter(None, (tr("begun: {parts} parts in {runs} runs", **counted), how)))
    if told.get("what") == "resumed" and isinstance(shown, int):
        return "; ".join(filter(None, (tr("gone on with after {shown} showings", shown=shown), how)))
    verdict = _MSA_VERDICTS.get(str(told.get("verdict")))
    if verdict is None or not isinstance(rates, dict):
        return ""
    try:
        shares = {name: f"{seen / of:.1%}" for name, (seen, of) in rates.items()}
        found = tr(
            verdict,
            effectiveness=shares["effectiveness"],
            misses=shares["misses"],
            false_alarms=shares["false_alarms"],
            **counted,
        )
    except (TypeError, ValueError, KeyError, ZeroDivisionError):  # of another version: it is shown as it is
        return ""
    return "; ".join(filter(None, (found, how)))


_MSA_VERDICTS = {
    "accepted": mark(
        "ACCEPTED: effectiveness {effectiveness}, misses {misses}, false alarms {false_alarms}; {parts} parts in "
        "{runs} runs"
    ),
    "conditional": mark(
        "CONDITIONAL: effectiveness {effectiveness}, misses {misses}, false alarms {false_alarms}; {parts} parts in "
        "{runs} runs"
    ),
    "not accepted": mark(
        "NOT ACCEPTED: effectiveness {effectiveness}, misses {misses}, false alarms {false_alarms}; {parts} parts in "
        "{runs} runs"
    ),
}


def shadow_words(told: Mapping[str, Any]) -> str:
    """The begin or the end of a shadow in one sentence; '' for an object that says nothing of it."""
    bundle, by = str(told.get("bundle_id"))[:12], told.get("by")
    who = tr("by {by}", by=by) if by else ""
    if told.get("what") == "begun":
        return "; ".join(filter(None, (tr("begun: bundle {bundle} judges beside the line", bundle=bundle), who)))
    if told.get("what") != "ended":
        return ""
    found = tr("ended: bundle {bundle} judges beside the line no longer", bundle=bundle)
    counts = {name: told.get(name) for name in ("parts", "to_reject", "to_pass")}
    if all(isinstance(count, int) for count in counts.values()):
        compared = tr(
            "{parts} parts compared, {to_reject} of them rejected by it alone, {to_pass} passed by it alone", **counts
        )
        return "; ".join(filter(None, (found, compared, who)))
    return "; ".join(filter(None, (found, who)))


def learn_words(told: Mapping[str, Any]) -> str:
    """The begin or the end of a learning in one sentence; '' for an object that says nothing of it."""
    what, worse, lost = told.get("what"), told.get("worse"), told.get("lost")
    bundle, parent = (str(told.get(key))[:12] for key in ("bundle_id", "parent"))
    found = ""
    if what == "begun":
        found = tr(
            "begun from bundle {parent}: {added} good parts to add, {defects} known defects",
            parent=parent,
            added=told.get("added"),
            defects=told.get("defects"),
        )
    elif what == "offered" and isinstance(worse, list):
        found = tr("bundle {bundle} is offered, {number} figures are worse", bundle=bundle, number=len(worse))
    elif what == "refused" and isinstance(lost, list):
        listed = ", ".join(map(str, lost))
        found = tr("nothing is offered: known defects would pass, parts {parts}", parts=listed)
    elif what == "broken off":
        found = tr("broken off: {why}", why=told.get("problem"))
    if not found:
        return ""
    by = told.get("by")
    return "; ".join(filter(None, (found, tr("by {by}", by=by) if by else "")))


def users_words(told: Mapping[str, Any]) -> str:
    """What became of which user, in one sentence; '' for an object that says nothing of it."""
    words = _USER_WORDS.get(told.get("what"))
    return "" if words is None else tr(words, name=told.get("user"), role=role_words(str(told.get("user_role"))))


def role_words(role: str) -> str:
    """A role in the reader's language."""
    return tr(ROLE_WORDS[role]) if role in ROLE_WORDS else role


def signer_words(name: str, role: str) -> str:
    """Who signed, with the role of a user; the name alone where nobody proved it."""
    return f"{name} ({role_words(role)})" if role else name


def _done_by(through: str, by: object) -> str:
    """How the samples went through, and who saw to it."""
    if not isinstance(by, str):
        return {"images": tr("with recorded images"), "line": tr("on the running line")}.get(through, "")
    return {
        "images": tr("with recorded images, by {by}", by=by),
        "line": tr("on the running line, by {by}", by=by),
    }.get(through, tr("by {by}", by=by))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or tr("none")
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(held)}" for name, held in value.items()) or tr("none")
    if value is None:
        return tr("none")
    return (tr("yes") if value else tr("no")) if isinstance(value, bool) else str(value)
