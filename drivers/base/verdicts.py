"""What is said of a part: the verdict, the controller's judgement, and the reason."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "Judgement",
    "Reason",
    "Verdict",
]


class Verdict(StrEnum):
    """What the line does with a part. Only PASS lets it through."""

    PASS = "PASS"
    REJECT = "REJECT"
    FAULT = "FAULT"


class Judgement(StrEnum):
    """The controller's own judgement of a part, by its own tools. On its wire 0 is OK, 1 is NG."""

    OK = "OK"
    NG = "NG"


class Reason(StrEnum):
    """Why a part got its verdict. The value is what the journal, the report and the wire's tables carry."""

    OK = "OK"
    SCORE = "SCORE"
    """The anomaly score is at or above the limit."""
    ALIGN = "ALIGN"
    """The part could not be registered to the reference image."""
    NOT_FINITE = "NOT_FINITE"
    """The inspection arithmetic gave NaN or infinity."""
    CONTROLLER_NG = "CONTROLLER_NG"
    """The controller's own tools judged NG."""
    IMAGE_BROKEN = "IMAGE_BROKEN"
    """Not proven complete: truncated, zero-filled, empty, or not an image."""
    IMAGE_SIZE = "IMAGE_SIZE"
    """A complete image of another width, height or number of channels than the reference."""
    NO_IMAGE = "NO_IMAGE"
    """The controller sent a result, its image never came."""
    NO_RESULT = "NO_RESULT"
    """The image came, the controller's result never did: nothing proves when it was taken."""
    NO_ANSWER = "NO_ANSWER"
    """A trigger was accepted and neither image nor result came."""
    LATE = "LATE"
    """The verdict was not ready by the part's deadline."""
    OVERRUN = "OVERRUN"
    """The next part arrived before this one was judged: the line is faster than the inspection."""
    STALE = "STALE"
    """Arrived around a gap in a link: it may belong to an earlier part."""
    DUPLICATE = "DUPLICATE"
    """A count that was already judged came again."""
    PROGRAM = "PROGRAM"
    """The controller runs a program that no active bundle belongs to."""
    NOT_READY = "NOT_READY"
    """The line was not READY when the part came."""
    OUTPUT = "OUTPUT"
    """The digital output could not be written or read back."""
    JOURNAL = "JOURNAL"
    """The journal row could not be made durable."""
    INTERNAL = "INTERNAL"
    """The inspection failed in a way it should not; the log has the traceback."""
    BYPASS = "BYPASS"
    """A person answers for the parts at the moment: passed, whatever the inspection says. The detail has both."""
    LIGHT = "LIGHT"
    """The image is darker, brighter, or of other contrast or colour than any image of a good part was."""
    FOCUS = "FOCUS"
    """The image is less sharp than any image of a good part was."""
    DISK = "DISK"
    """The image could not be stored: the disk has no room for it, or refused it. The image itself may be whole."""
    LOCKED = "LOCKED"
    """The part would have passed. The line is locked until its golden parts and reject samples were shown."""
