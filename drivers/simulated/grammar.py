"""The simulated controller's own reading of the command table: names, numbers of parameters, ranges. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Command", "Refused", "parse"]

_WHOLE = re.compile(r"[0-9]{1,10}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,6})?")
_NAME = re.compile(r"[A-Z][A-Z0-9]{0,3}")
_STRING_MAX_CHARS = 64
_ECHO_MAX_CHARS = 128
_IN_SETUP_MODE = frozenset(("RM", "R0", "S0", "VI", "EC", "TR", "TW", "TZR", "TZW", "CE", "RB"))
_PROGRAM_COMMANDS = frozenset(("PR", "PW"))

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


@dataclass(frozen=True, slots=True)
class _Shape:
    """The checks of the parameters in order; ``least`` to ``most`` of them, the last check serves all beyond it."""

    checks: tuple[Check, ...]
    least: int
    most: int

    def fits(self, args: tuple[str, ...]) -> bool:
        last = len(self.checks) - 1
        return self.least <= len(args) <= self.most and all(
            self.checks[min(at, last)](arg) for at, arg in enumerate(args)
        )


def _whole(least: int, most: int) -> Check:
    return lambda text: _WHOLE.fullmatch(text) is not None and least <= int(text) <= most


def _text(most_chars: int, least_chars: int = 0) -> Check:
    return lambda text: least_chars <= len(text) <= most_chars


def _decimal(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None


def _exactly(*checks: Check) -> _Shape:
    return _Shape(checks, len(checks), len(checks))


def _from_to(least: int, most: int, *checks: Check) -> _Shape:
    return _Shape(checks, least, most)


_ON_OFF = _whole(0, 1)
_CAMERA = _whole(1, 4)
_NNN = _whole(0, 999)
_ZERO_TO_99 = _whole(0, 99)
_STRING = _text(_STRING_MAX_CHARS)
_CLOCK = (_whole(2000, 2099), _whole(1, 12), _whole(1, 31), _whole(0, 23), _whole(0, 59), _whole(0, 59))

_PLAIN = (
    *("T1", "T2", "T3", "T4", "TA", "RE"),
    *("R0", "S0", "RM", "RS", "RB", "SS", "CE"),
    *("PR", "EXR", "TR", "TZR", "VI", "TC", "HC"),
)
_SHAPES: dict[str, _Shape] = {
    **dict.fromkeys(_PLAIN, _Shape((), 0, 0)),
    "PW": _exactly(_whole(1, 2), _NNN),
    "EXW": _exactly(_ZERO_TO_99),
    "VW": _exactly(_ON_OFF, _ZERO_TO_99),
    "TE": _exactly(_ON_OFF),
    "OE": _exactly(_ON_OFF),
    "CSH": _from_to(2, 9, _CAMERA, _whole(0, 12)),
    "CSE": _from_to(2, 9, _CAMERA, _whole(10, 90)),
    "CTD": _from_to(2, 9, _CAMERA, _NNN),
    "CLV": _from_to(2, 17, _CAMERA, _whole(0, 1023)),
    "BS": _from_to(0, 9, _CAMERA, _NNN),
    "BC": _from_to(0, 1, _whole(0, 2)),
    "DW": _exactly(_NNN, _NNN, _ON_OFF, _decimal),
    "DR": _exactly(_NNN, _NNN, _ON_OFF),
    "CW": _from_to(2, 3, _NNN, _ZERO_TO_99, _STRING),
    "CR": _exactly(_NNN, _ZERO_TO_99),
    "CA": _from_to(1, 32, _STRING),
    "CD": _from_to(1, 32, _STRING),
    "SLW": _from_to(2, 32, _NNN, _STRING),
    "SLR": _from_to(1, 32, _NNN, _STRING),
    "CPW": _from_to(1, 32, _decimal),
    "MCC": _from_to(1, 32, _NNN, _STRING),
    "MCW": _from_to(2, 32, _NNN, _STRING),
    "MCR": _from_to(1, 32, _NNN, _STRING),
    "TS": _exactly(_whole(0, 9), _STRING),
    "HS": _from_to(4, 5, _whole(0, 10), _ON_OFF, _NNN, _whole(0, 4), _STRING),
    "OW": _exactly(_ON_OFF),
    "STW": _exactly(_whole(0, 9), _STRING),
    "STR": _exactly(_whole(0, 9)),
    "EC": _exactly(_text(_ECHO_MAX_CHARS, 1)),
    "TW": _exactly(*_CLOCK),
    "TZW": _exactly(_whole(0, 33)),
}
_FREE_TEXT = {"EC": 1, "STW": 2, "CW": 3}
"""So many parameters at most: the last of them is a text that may hold commas."""
_HISTORY_FORMATS = frozenset(("0", "1", "2", "3", "9", "10"))


def parse(line: str, *, is_in_run_mode: bool, has_programs_in_setup_mode: bool = False) -> Command:
    """The command that the line says. Raises Refused."""
    name = line.split(",", 1)[0]
    shape = _SHAPES.get(name)
    if shape is None:
        raise Refused(name if _NAME.fullmatch(name) else "".join(c for c in name[:4] if c.isalnum()), "02")
    args = tuple(line.split(",", _FREE_TEXT.get(name, -1))[1:])
    if not shape.fits(args) or (name == "BS" and len(args) == 1) or (name == "HS" and not _is_history_format(args[0])):
        raise Refused(name, "22")
    may = name in _IN_SETUP_MODE or (has_programs_in_setup_mode and name in _PROGRAM_COMMANDS)
    if not is_in_run_mode and not may:
        raise Refused(name, "03")
    return Command(name, args)


def _is_history_format(text: str) -> bool:
    return str(int(text)) in _HISTORY_FORMATS
