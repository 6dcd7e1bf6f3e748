"""The controller's result output: a list of items, each with its width, decimals and sign, one line a part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.simulated.commands import ControllerState
    from drivers.simulated.parts import Imaged, Part

__all__ = ["ResultOutput", "SkippedAs"]

_COMMON = ("count", "program", "judgement", "time", "error", "date", "execute", "skip", "rest")
_OF_A_TOOL = re.compile(r"(value|judgement|text):([A-Za-z][A-Za-z0-9_.-]*)(?::(\+?)([0-9]))?")
_INTEGER_DIGITS = 7

SkippedAs = Literal["zero", "empty", "nothing"]
"""What stands for a tool that the execute condition skips: a bare 0, a field without characters, no field at all."""


@dataclass(frozen=True, slots=True)
class ResultOutput:
    """``items`` of the list, in order. 'skip' is an area, as one of its tools gives it; 'rest' is no field.

    'value:NAME' is a number of a tool, signed with three decimals; 'value:NAME:0' unsigned without. 'text:NAME' is the
    external string 1.
    """

    items: tuple[str, ...]
    skipped_as: SkippedAs = "zero"

    def __post_init__(self) -> None:
        unknown = sorted(item for item in set(self.items) if item not in _COMMON and not _OF_A_TOOL.fullmatch(item))
        if unknown:
            raise ValueError(f"unknown result items {unknown}; known are {_COMMON} and value:, judgement:, text:NAME")

    def line(self, shot: Imaged, part: Part, state: ControllerState, *, processing_s: float) -> str:
        """The line: fixed widths, zero padded; only a signed item has a sign."""
        common = {
            "count": f"{shot.count:010d}",
            "program": f"{shot.program:03d}",
            "judgement": _judged(shot.judgement),
            "time": f"{processing_s * 1000:011.3f}",
            "error": str(state.error),
            "date": f"{shot.taken:%y,%m,%d,%H,%M,%S}",
            "execute": f"{state.execute_number:02d}",
            "skip": f"{4000 + shot.count % 997:08d}",
        }
        fields: list[str] = []
        for item in self.items:
            fields += [common[item]] if item in common else self._of_a_tool(item, shot, part, state)
        return ",".join(fields)

    def _of_a_tool(self, item: str, shot: Imaged, part: Part, state: ControllerState) -> Sequence[str]:
        match = _OF_A_TOOL.fullmatch(item)
        if match is None:  # rest
            return ()
        kind, name, sign, decimals = match.groups()
        if name in part.skipped:
            return {"zero": ("0",), "empty": ("",), "nothing": ()}[self.skipped_as]
        if kind == "judgement":
            return (_judged(shot.judgement),)
        if kind == "text":
            return (state.strings[1],)
        value = part.values.get(name, 5 + (shot.count % 97 - 48) / 1000)
        places = 3 if decimals is None else int(decimals)
        signed = "+" if sign or decimals is None else ""
        width = _INTEGER_DIGITS + len(signed) + (places + 1 if places else 0)
        return (f"{value:{signed}0{width}.{places}f}",)


def _judged(judgement: str) -> str:
    return "0" if judgement == "OK" else "1"
