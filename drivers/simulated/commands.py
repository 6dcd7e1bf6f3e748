"""The controller's state and what its commands do to it, without any I/O. Time is an argument (monotonic seconds)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from drivers.simulated.grammar import Command, Refused, parse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Command", "ControllerState", "Refused", "parse"]

_COUNT_LIMIT = 10_000_000_000


@dataclass(slots=True)
class ControllerState:
    """What the controller knows. ``answer`` serves the commands that need no time and no part.

    ``measured`` and ``history`` count what there is to save of statistics and images; ``kept`` holds what was written
    about cameras and tools, by the command and what it names.
    """

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
    measured: int = 0
    history: int = 0
    kept: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
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
        """Set the controller's clock to this time."""
        self.clock_utc, self.started_mono_s = at, now_mono_s

    def open_session(self, now_mono_s: float) -> None:
        """A new folder for images, named by the clock; never the name of the folder before."""
        at = self.clock(now_mono_s).replace(microsecond=0)
        if self._session_at is not None and at <= self._session_at < at + timedelta(minutes=1):
            at = self._session_at + timedelta(seconds=1)
        self._session_at = at
        self.session = f"{at:%y%m%d_%H%M%S}"

    def reset_counters(self, now_mono_s: float) -> None:
        """Begin the counts at 1 again, in a new session folder: as ``RS``, a program change and a reboot do."""
        self.count = self.measured = self.history = 0
        self.open_session(now_mono_s)

    def next_count(self) -> int:
        """The total count of the part that is imaged now; ten digits, then from the start."""
        self.count = (self.count + 1) % _COUNT_LIMIT
        self.measured += 1
        self.history += 1
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


def _keep(names: int) -> Callable[[ControllerState, Command, float], str]:
    """Write: the first ``names`` parameters say of what, the others are kept."""

    def answer(state: ControllerState, command: Command, _: float) -> str:
        state.kept[(command.name, *map(_plain, command.args[:names]))] = command.args[names:]
        return command.name

    return answer


def _tell(written_by: str, unwritten: str) -> Callable[[ControllerState, Command, float], str]:
    """Read what the command ``written_by`` kept; ``unwritten`` before it ever did."""

    def answer(state: ControllerState, command: Command, _: float) -> str:
        kept = state.kept.get((written_by, *map(_plain, command.args)), (unwritten,))
        return ",".join((command.name, *kept))

    return answer


def _plain(text: str) -> str:
    """007 and 7 name the same tool."""
    return str(int(text)) if text.isdigit() else text


def _read_limit(state: ControllerState, command: Command, _: float) -> str:
    (limit,) = state.kept.get(("DW", *map(_plain, command.args)), ("0",))
    return f"DR,{Decimal(limit):+012.3f}"


def _clear(attribute: str) -> Callable[[ControllerState, Command, float], str]:
    def answer(state: ControllerState, command: Command, _: float) -> str:
        setattr(state, attribute, 0)
        return command.name

    return answer


def _save(attribute: str) -> Callable[[ControllerState, Command, float], str]:
    """03 if there is nothing to save."""

    def answer(state: ControllerState, command: Command, _: float) -> str:
        if getattr(state, attribute) == 0:
            raise Refused(command.name, "03")
        return command.name

    return answer


def _change_dictionary(state: ControllerState, command: Command, _: float) -> str:
    """CD of a character that is not there is 03."""
    key = ("CA", *command.args)
    if command.name == "CA":
        state.kept[key] = ()
    elif state.kept.pop(key, None) is None:
        raise Refused("CD", "03")
    return command.name


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
    **dict.fromkeys(("VW", "SS", "BC", "MCC", "CPW"), lambda _, command, __: command.name),
    **dict.fromkeys(("CSH", "CSE", "CTD", "CLV", "BS", "SLW", "MCW"), _keep(1)),
    "DW": _keep(3),
    "DR": _read_limit,
    "CW": _keep(2),
    "CR": _tell("CW", ""),
    "CA": _change_dictionary,
    "CD": _change_dictionary,
    "SLR": _tell("SLW", "0"),
    "MCR": _tell("MCW", "+0000000.000"),
    "TC": _clear("measured"),
    "TS": _save("measured"),
    "HC": _clear("history"),
    "HS": _save("history"),
}
