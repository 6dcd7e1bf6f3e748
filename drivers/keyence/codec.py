"""Bytes of the command port to lines and back. Pure and total: no I/O, any bytes give an answer.

The grammar (PROTOCOL.md, "Frames") has no request id and no checksum, so a line is told apart only by its first
field: ``ER`` is a refusal, the name of the command in flight is its reply, everything else is result output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from drivers.base import BadParameter, CommandRefused, CommandUnknown, NotNow

__all__ = [
    "LINE_MAX_BYTES",
    "Line",
    "Overlong",
    "Refusal",
    "Reply",
    "ResultLine",
    "Splitter",
    "classify",
    "encode",
    "refused",
    "shown",
]

LINE_MAX_BYTES = 64 * 1024
"""A line that is longer is no line: it is dropped up to the next delimiter."""
# More than any command of PROTOCOL.md needs: what is longer is a mistake of the caller, and is told at once.
_COMMAND_MAX_BYTES = 1024
_SHOWN_MAX_CHARS = 120
_DELIMITER = re.compile(rb"[\r\n]")
_NAME = re.compile(r"[A-Z][A-Z0-9]{0,7}")
_ARGUMENT = re.compile(r"[\x20-\x7e]*")
_CODE = re.compile(r"[0-9]{2}")
_REFUSALS: dict[str, tuple[type[CommandRefused], str]] = {
    "02": (CommandUnknown, "the controller does not know this command"),
    "03": (NotNow, "it cannot be executed now (not READY, trigger disabled, or wrong mode)"),
    "22": (BadParameter, "wrong number or range of parameters"),
}


@dataclass(frozen=True, slots=True)
class Overlong:
    """A stretch of this many bytes without a delimiter was dropped."""

    dropped_bytes: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the command in flight: the fields after its name."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The controller's answer to a command that it does not carry out: ``ER,<command>,<code>``."""

    command: str
    code: str


@dataclass(frozen=True, slots=True)
class ResultLine:
    """Unsolicited result output, or a line that nobody knows."""

    fields: tuple[str, ...]


Line = Reply | Refusal | ResultLine


@dataclass(slots=True)
class Splitter:
    """Cuts the byte stream into lines at CR or LF; empty lines vanish.

    How the stream was cut into reads makes no difference. Holds at most ``LINE_MAX_BYTES``.
    """

    _held: bytearray = field(default_factory=bytearray, init=False)
    _dropped_bytes: int = field(default=0, init=False)

    @property
    def is_dropping(self) -> bool:
        """An overlong line is being thrown away until its delimiter comes."""
        return self._dropped_bytes > 0

    def feed(self, data: bytes) -> list[str | Overlong]:
        r"""Complete lines in their order. Bytes that are no ASCII become ``\xNN``."""
        found: list[str | Overlong] = []
        *ended, rest = _DELIMITER.split(data)
        for piece in ended:
            self._hold(piece)
            if self._dropped_bytes:
                found.append(Overlong(self._dropped_bytes))
            elif self._held:
                # Never an exception for a stray byte: the line fits nothing then and is shown to a person as it came.
                found.append(self._held.decode("ascii", "backslashreplace"))
            self._dropped_bytes = 0
            self._held.clear()
        self._hold(rest)
        return found

    def _hold(self, piece: bytes) -> None:
        if self._dropped_bytes:
            self._dropped_bytes += len(piece)
        elif len(self._held) + len(piece) > LINE_MAX_BYTES:
            self._dropped_bytes = len(self._held) + len(piece)
            self._held.clear()
        else:
            self._held += piece


def classify(line: str, outstanding: str | None) -> Line:
    """Tell a reply from a refusal from result output, given the name of the command in flight.

    A refusal can only answer a command: without one in flight the line is result output, so that it surfaces.
    """
    fields = tuple(line.split(","))
    if outstanding is None:
        return ResultLine(fields)
    # Exactly this form: a result whose first field is a text "ER" is no refusal.
    if fields[0] == "ER" and len(fields) == 3 and _CODE.fullmatch(fields[2]):
        return Refusal(fields[1], fields[2])
    if fields[0] == outstanding:
        return Reply(fields[1:])
    return ResultLine(fields)


def encode(command: str, *args: str, delimiter: bytes = b"\r") -> bytes:
    """The bytes of one command, with its delimiter.

    Raises:
        ValueError: a name or argument that could end the line early or that is no printable ASCII.
    """
    if not _NAME.fullmatch(command):
        raise ValueError(f"{command!r} is no command name: upper-case letters and digits, for example RM or T1")
    for arg in args:
        if not _ARGUMENT.fullmatch(arg):
            raise ValueError(f"argument {arg!r} of {command} has characters other than printable ASCII")
    data = ",".join((command, *args)).encode("ascii") + delimiter
    if len(data) > _COMMAND_MAX_BYTES:
        raise ValueError(f"{command} with its arguments is {len(data)} bytes; at most {_COMMAND_MAX_BYTES} are sent")
    return data


def refused(command: str, code: str) -> CommandRefused:
    """The error for ``ER,<command>,<code>``."""
    kind, meaning = _REFUSALS.get(code, (CommandRefused, "a code that this driver does not know"))
    return kind(command, code, meaning)


def shown(data: bytes | str) -> str:
    """Peer bytes for a log line or a message: quoted, escaped, capped."""
    text = ascii(data[: _SHOWN_MAX_CHARS + 1])
    return text if len(text) <= _SHOWN_MAX_CHARS else text[:_SHOWN_MAX_CHARS] + "..."
