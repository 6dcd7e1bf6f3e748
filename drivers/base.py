"""What every driver speaks: frozen values, three Protocols, one tree of errors.

Errors::

    DriverError
      NotConnected      (ConnectionError)  the peer cannot be reached, or went away
      DeadlineMissed    (TimeoutError)     no answer in the time that was left
      CommandRefused                       the peer answered that it will not
        CommandUnknown                     02: it does not know this command
        NotNow                             03: not READY, disabled, or the wrong mode
        BadParameter                       22: number, range or type of a parameter
      ProtocolViolation                    the peer answered something that cannot be
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Future
    from pathlib import Path

    from drivers.timing import Deadline

__all__ = [
    "BadParameter",
    "ByteStream",
    "Capture",
    "CaptureSource",
    "CommandRefused",
    "CommandUnknown",
    "ControllerClock",
    "ControllerDown",
    "ControllerEvent",
    "ControllerLink",
    "ControllerResult",
    "ControllerStatus",
    "ControllerUp",
    "DeadlineMissed",
    "Dial",
    "DriverError",
    "ImageRefused",
    "Judgement",
    "LineNow",
    "NotConnected",
    "NotNow",
    "ProtocolViolation",
    "ProveImage",
    "Published",
    "Reason",
    "StreamListener",
    "Verdict",
    "VerdictOutput",
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


@dataclass(frozen=True, slots=True)
class Capture:
    """One image as it came from the controller: proven complete, or with the reason why not.

    ``count`` is the controller's total count (None where the name does not carry one), ``session`` its
    session folder, ``camera`` 1 to 4. ``program`` and ``judgement`` are None where folder and name do
    not tell. ``path`` is None if nothing was kept. ``received_mono_s`` is monotonic seconds. ``kind`` is the image
    type where one capture gives several images (NORMAL, SHAPE, ...), else ''. ``taken`` is when it was imaged by the
    controller's own clock (``yymmdd_hhmmss``), '' where the name does not tell.
    """

    count: int | None
    camera: int
    session: str
    name: str
    path: Path | None
    sha256: str
    received_mono_s: float
    program: int | None = None
    judgement: Judgement | None = None
    broken: Reason | None = None
    detail: str = ""
    kind: str = ""
    taken: str = ""
    storing: Future[Capture] | None = field(default=None, compare=False, repr=False)
    """None: it is on the disk. Else it is proven, and becomes the same capture once it is there, or one that is broken.
    Until then its file is left where it is. Only a source that was asked to tells of an image so early."""


@dataclass(frozen=True, slots=True)
class ControllerResult:
    """One result line of the controller, seen live. Items that the output list lacks are None.

    ``values`` are the tools' own, by the names that line.toml gives them: a number, a text, OK or NG; None where a tool
    was skipped or measured nothing.
    """

    count: int | None
    program: int | None
    judgement: Judgement | None
    fields: tuple[str, ...]
    received_mono_s: float
    values: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControllerUp:
    """The command port answers, pending output was cleared, the controller is in run mode.

    ``clock`` is the controller's own clock at that moment, written as in ``Capture.taken``; '' where it does not tell.
    """

    program: int
    version: str
    at_mono_s: float
    clock: str = ""


@dataclass(frozen=True, slots=True)
class ControllerDown:
    """The command port is gone, or the controller left run mode. Everything until the next Up is stale."""

    why: str
    at_mono_s: float


@dataclass(frozen=True, slots=True)
class ControllerStatus:
    """The controller's program changed while the link was up."""

    program: int
    at_mono_s: float


@dataclass(frozen=True, slots=True)
class ControllerClock:
    """The controller told its clock, as in ``ControllerUp``: all results that it had sent before were emitted before.

    It was asked for it after the ControllerClock or ControllerUp before was emitted. ``follows_results``: and after
    every result that was emitted before this, so none of those is older than the clock by more than a round trip.
    """

    clock: str
    follows_results: bool = False


ControllerEvent = ControllerUp | ControllerDown | ControllerStatus | ControllerClock | ControllerResult


@dataclass(frozen=True, slots=True)
class LineNow:
    """What an output may tell of the line beside READY and a verdict. The defaults say nothing.

    ``program`` is the one that the controller runs, None where it is not known. ``error`` is what is wrong with the
    line as a number above every reason's, 0 for nothing.
    """

    is_busy: bool = False
    is_bypassed: bool = False
    program: int | None = None
    error: int = 0


class Published(StrEnum):
    """What became of a verdict on its way to the line."""

    PUBLISHED = "PUBLISHED"
    """Written, echoed and read back in time."""
    LATE = "LATE"
    """The deadline passed first; REJECT stands on the wire."""
    FAILED = "FAILED"
    """The write failed or was not confirmed; the output is being brought back to REJECT."""
    WITHHELD = "WITHHELD"
    """Not published: the next part had come, or the line was not READY; what was written of it was taken back."""


class DriverError(Exception):
    """Something went wrong with a peer. The message says which peer and what to look at."""


class NotConnected(DriverError, ConnectionError):
    """The peer cannot be reached, or went away."""


class DeadlineMissed(DriverError, TimeoutError):
    """No answer in the time that was left."""


class CommandRefused(DriverError):
    """The controller answered ``ER,<command>,<code>``: 02 unknown, 03 not now, 22 bad parameter."""

    def __init__(self, command: str, code: str, meaning: str) -> None:
        super().__init__(f"{command} refused with {code}: {meaning}")
        self.command = command
        self.code = code


class CommandUnknown(CommandRefused):
    """Code 02: a model or a version without this command."""


class NotNow(CommandRefused):
    """Code 03: nothing was done; the same command may be sent again later."""


class BadParameter(CommandRefused):
    """Code 22: wrong number, range or type of parameters."""


class ProtocolViolation(DriverError):
    """The peer answered something that the protocol does not allow."""


class ImageRefused(Exception):
    """An image file is not proven complete. ``reason`` is IMAGE_BROKEN or IMAGE_SIZE."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


ProveImage = Callable[[bytes], None]
"""Returns if the bytes are a complete image; raises ImageRefused otherwise. Called from driver threads."""


class ByteStream(Protocol):
    """Bytes to and from one peer: a TCP connection, a serial line, memory. Used from one event loop."""

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent in order; never blocks. After a loss it does nothing."""
        ...

    def abort(self) -> None:
        """Give the stream up at once; what was not sent yet never will be. Idempotent."""
        ...

    async def wait_closed(self) -> None:
        """Return when its socket, file and threads are gone, and the listener was told."""
        ...


class StreamListener(Protocol):
    """Whoever hears a ByteStream. Called on the event loop, in this order, the last one exactly once."""

    def stream_opened(self, stream: ByteStream) -> None:
        """The stream is there; comes before any byte."""
        ...

    def data_received(self, data: bytes) -> None:
        """Bytes, cut anywhere."""
        ...

    def stream_lost(self, why: Exception | None) -> None:
        """It is gone: the peer closed (None), it failed, or ``abort`` was called."""
        ...


Dial = Callable[[StreamListener], Awaitable[ByteStream]]
"""Opens a stream to the peer it was made for. Raises NotConnected."""


class CaptureSource(Protocol):
    """Where images come from. It loses none: what cannot be proven complete comes with ``broken`` set."""

    @property
    def is_bound(self) -> bool:
        """The listening socket or the watched folder is there."""
        ...

    async def run(self) -> None:
        """Receive until cancelled. A port in use or a missing folder is said once and retried."""
        ...

    async def next(self) -> Capture:
        """The next image, in order of arrival. Waits for one."""
        ...


class ControllerLink(Protocol):
    """The controller's command port. One connection, one command in flight."""

    async def run(self) -> None:
        """Connect, bring into run mode, resynchronise, keep alive, reconnect; until cancelled."""
        ...

    async def next(self) -> ControllerEvent:
        """The next event, in order of arrival. Waits for one."""
        ...

    async def trigger(self, number: int | None, by: Deadline) -> None:
        """Send T1 to T4, or TA for None; returns when the controller accepted.

        Raises NotConnected, DeadlineMissed, CommandRefused.
        """
        ...

    def begin_anew(self, why: str) -> None:
        """Go down, clear what the controller still has to output, and come up again. While down: nothing to do."""
        ...


class VerdictOutput(Protocol):
    """Where a verdict leaves the PC. Idle, closed, crashed and unreachable all mean REJECT.

    PASS is a window, not a state: it ends by itself after its hold time, at ``withdraw`` and at ``aclose``.
    """

    @property
    def is_confirmed(self) -> bool:
        """The peer is there and its outputs were read back as what was last written."""
        ...

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Connect, write REJECT, read back, refresh; reconnect; until cancelled. Leaves REJECT behind.

        ``is_ready`` is asked at every refresh: it drives READY and HEARTBEAT, and PASS only stands while true.
        """
        ...

    async def publish(
        self,
        part_seq: int,
        verdict: Verdict,
        by: Deadline,
        reason: Reason | None = None,
        bundle: int = 0,
        *,
        may_pass: Callable[[], bool] = lambda: True,
    ) -> Published:
        """Write the verdict, compare the echo, read it back. Never raises for a peer's fault.

        ``reason`` and ``bundle`` (16 bits that name the reference bundle) are told to a peer that has room for them.
        ``may_pass`` is asked at the last moment before PASS is written, and after each step until it is proven: once it
        says no, REJECT is written and the verdict is WITHHELD.
        """
        ...

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        """This part is here: end a PASS window now, and learn by what name the peer knows the part.

        Returns when REJECT is written or the peer is down. A part that was not begun gets no PASS from a peer that
        names its parts; ``first_sign_mono_s`` is when its first sign came.
        """
        ...

    async def withdraw(self) -> None:
        """End a PASS window now. Returns when REJECT is written or the peer is down."""
        ...

    async def read_part_present(self) -> bool:
        """The part-present input. Raises NotConnected, or DriverError where none is configured."""
        ...
