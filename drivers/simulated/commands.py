"""The controller's state and its commands, without any I/O: a line in, a checked command or a refusal out.

Time is an argument (monotonic seconds). In setup mode the commands of ``_IN_SETUP_MODE`` are answered, the others
get 03. Commands beyond this table are answered 02, as are unknown ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

__all__ = ["Command", "ControllerState", "Refused", "parse"]

_WHOLE = re.compile(r"[0-9]{1,10}")
_NAME = re.compile(r"[A-Z][A-Z0-9]{0,3}")
_STRING_MAX_CHARS = 64
_ECHO_MAX_CHARS = 128
_IN_SETUP_MODE = frozenset(("RM", "R0", "S0", "VI", "EC", "TR", "TW", "TZR", "TZW", "CE", "RB"))
_COUNT_LIMIT = 10_000_000_000

Check = Callable[[str], bool]


class Refused(Exception):
    """``ER,<command>,<code>``: 02 unknown, 03 not now, 22 bad parameter."""

    def __init__(self, name: str, code: str) -> None:
        super().__init__(f"ER,{name},{code}")
        self.reply = f"ER,{name},{code}"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that exists, with parameters that are valid."""

    name: str
    args: tuple[str, ...] = ()


def _whole(least: int, most: int) -> Check:
    return lambda text: _WHOLE.fullmatch(text) is not None and least <= int(text) <= most


def _text(most_chars: int, least_chars: int = 0) -> Check:
    return lambda text: least_chars <= len(text) <= most_chars


_ON_OFF = _whole(0, 1)
_CLOCK = (_whole(2000, 2099), _whole(1, 12), _whole(1, 31), _whole(0, 23), _whole(0, 59), _whole(0, 59))

_PLAIN = (
    *("T1", "T2", "T3", "T4", "TA", "RE"),
    *("R0", "S0", "RM", "RS", "RB", "SS", "CE"),
    *("PR", "EXR", "TR", "TZR", "VI"),
)
_PARAMETERS: dict[str, tuple[Check, ...]] = {
    **dict.fromkeys(_PLAIN, ()),
    "PW": (_whole(1, 2), _whole(0, 999)),
    "EXW": (_whole(0, 99),),
    "VW": (_ON_OFF, _whole(0, 99)),
    "TE": (_ON_OFF,),
    "OE": (_ON_OFF,),
    "OW": (_ON_OFF,),
    "STW": (_whole(0, 9), _text(_STRING_MAX_CHARS)),
    "STR": (_whole(0, 9),),
    "EC": (_text(_ECHO_MAX_CHARS, 1),),
    "TW": _CLOCK,
    "TZW": (_whole(0, 33),),
}
_FREE_TEXT = {"EC": 1, "STW": 2}
"""Their last parameter is a text that may hold commas."""


def parse(line: str, *, is_in_run_mode: bool) -> Command:
    """The command that the line says. Raises Refused."""
    name = line.split(",", 1)[0]
    checks = _PARAMETERS.get(name)
    if checks is None:
        raise Refused(name if _NAME.fullmatch(name) else "".join(c for c in name[:4] if c.isalnum()), "02")
    args = tuple(line.split(",", _FREE_TEXT.get(name, -1))[1:])
    if len(args) != len(checks) or not all(check(arg) for check, arg in zip(checks, args, strict=True)):
        raise Refused(name, "22")
    if not is_in_run_mode and name not in _IN_SETUP_MODE:
        raise Refused(name, "03")
    return Command(name, args)


@dataclass(slots=True)
class ControllerState:
    """What the controller knows. ``answer`` serves the commands that need no time and no part."""

    card: int = 1
    program: int = 1
    model: str = "CV-X470F"
    version: str = "6.0.0000"
    clock_utc: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_mono_s: float = 0.0
    is_run_mode: bool = True
    run_from_mono_s: float | None = None
    is_trigger_enabled: bool = True
    is_output_enabled: bool = True
    execute_number: int = 0
    time_zone: int = 20
    error: int = 0
    count: int = 0
    session: str = ""
    strings: list[str] = field(default_factory=lambda: [""] * 10)
    _session_at: datetime | None = None

    def is_running(self, now_mono_s: float) -> bool:
        """Run mode; ``R0`` is answered at once and takes effect a little later."""
        if self.run_from_mono_s is not None and now_mono_s >= self.run_from_mono_s:
            self.is_run_mode, self.run_from_mono_s = True, None
        return self.is_run_mode

    def clock(self, now_mono_s: float) -> datetime:
        """The controller's own clock, which people set and which may jump."""
        return self.clock_utc + timedelta(seconds=now_mono_s - self.started_mono_s)

    def set_clock(self, at: datetime, now_mono_s: float) -> None:
        """Set the clock."""
        self.clock_utc, self.started_mono_s = at, now_mono_s

    def open_session(self, now_mono_s: float) -> None:
        """A new folder for images, named by the clock; never the name of the folder before."""
        at = self.clock(now_mono_s).replace(microsecond=0)
        if self._session_at is not None and at <= self._session_at < at + timedelta(minutes=1):
            at = self._session_at + timedelta(seconds=1)
        self._session_at = at
        self.session = f"{at:%y%m%d_%H%M%S}"

    def reset_counters(self, now_mono_s: float) -> None:
        """As ``RS``, a program change and a reboot do: counts start at 1 again, in a new folder."""
        self.count = 0
        self.open_session(now_mono_s)

    def next_count(self) -> int:
        """The total count of the part that is imaged now; ten digits, then from the start."""
        self.count = (self.count + 1) % _COUNT_LIMIT
        return self.count

    def answer(self, command: Command, now_mono_s: float) -> str:
        """Carry the command out and give its reply. Raises Refused; KeyError for one that is not served here."""
        return _ANSWERS[command.name](self, command, now_mono_s)


def _read_clock(state: ControllerState, _: Command, now: float) -> str:
    return f"TR,{state.clock(now):%y,%m,%d,%H,%M,%S}"


def _set_clock(state: ControllerState, command: Command, now: float) -> str:
    try:
        at = datetime(*(int(arg) for arg in command.args), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        raise Refused(command.name, "22") from None
    state.set_clock(at, now)
    return "TW"


def _write(attribute: str, convert: Callable[[str], object] = int) -> Callable[[ControllerState, Command, float], str]:
    def answer(state: ControllerState, command: Command, _: float) -> str:
        setattr(state, attribute, convert(command.args[0]))
        return command.name

    return answer


def _write_string(state: ControllerState, command: Command, _: float) -> str:
    state.strings[int(command.args[0])] = command.args[1]
    return "STW"


def _clear_error(state: ControllerState, _: Command, __: float) -> str:
    state.error = 0
    return "CE"


def _open_folder(state: ControllerState, command: Command, now: float) -> str:
    if int(command.args[0]) == 1:
        state.open_session(now)
    return "OW"


_ANSWERS: dict[str, Callable[[ControllerState, Command, float], str]] = {
    "RM": lambda state, _, now: f"RM,{state.is_running(now):d}",
    "PR": lambda state, _, __: f"PR,{state.card},{state.program:03d}",
    "EXR": lambda state, _, __: f"EXR,{state.execute_number}",
    "EXW": _write("execute_number"),
    "TE": _write("is_trigger_enabled", lambda text: int(text) == 1),
    "TZR": lambda state, _, __: f"TZR,{state.time_zone}",
    "TZW": _write("time_zone"),
    "TR": _read_clock,
    "TW": _set_clock,
    "STR": lambda state, command, _: f"STR,{state.strings[int(command.args[0])]}",
    "STW": _write_string,
    "EC": lambda _, command, __: f"EC,{command.args[0]}",
    "VI": lambda state, _, __: f"VI,{state.model},{state.version}",
    "CE": _clear_error,
    "OW": _open_folder,
    "VW": lambda _, command, __: command.name,
    "SS": lambda _, command, __: command.name,
}
