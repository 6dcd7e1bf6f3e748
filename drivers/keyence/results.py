"""One line of result output to a ControllerResult, by the list of items that the controller is set to send.

An item is one of the line's own, ``count``, ``program``, ``judgement`` (total), or a named one of a tool:
``value:NAME``, ``value:NAME:3`` (unsigned, three decimals), ``value:NAME:+3`` (signed), ``judgement:NAME``,
``text:NAME``. ``skip`` is a field that nobody needs, ``rest`` any number of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.base import ControllerResult, Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ResultParser"]

_OF_THE_LINE = ("count", "program", "judgement")
_ITEM = re.compile(
    r"(?:(?P<kind>value|judgement|text):(?P<name>[A-Za-z][A-Za-z0-9_.-]{0,31})(?::(?P<sign>\+?)(?P<decimals>[0-9]))?)"
)
# Fixed width, zero padded; a sign and a zero fraction are tolerated (siblings send +0000000001.000000).
_WHOLE = re.compile(r"\+?([0-9]{1,12})(?:\.0*)?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{0,9})?")
_NOT_MEASURED = re.compile(r"-9{3,}(?:\.9+)?")
"""What a sibling sends where a tool found nothing to measure: -9999.999, -999999.999."""
# The other way round than in most programs: 0 is good (PROTOCOL.md, "Result lines").
_JUDGEMENTS = {"0": Judgement.OK, "1": Judgement.NG}
_PROGRAM_MAX = 999
# What goes into every row of the journal has a bound; the longest string of the controller has 64 characters.
_TEXT_MAX_CHARS = 128

Value = float | str | None
_Read = Callable[[str], Value]


class ResultParser:
    """Reads lines whose fields are ``items``, in order and in number; ``rest`` is any number of fields, none included.

    Total: a line that does not fit (without ``rest`` skipped tools change the number of fields; a judgement that is
    neither 0 nor 1; a value of other decimals) becomes a result with every item None and the raw fields. Half a line is
    never believed: a count taken from a line whose judgement is unreadable would pair a part with no judgement at all.
    """

    def __init__(self, items: Sequence[str]) -> None:
        if not items:
            raise ValueError("name at least one result item, as the controller's output list has them")
        # The fields before and behind "rest"; without one all of them are before it.
        self._has_rest = "rest" in items
        self._before = list(items).index("rest") if self._has_rest else len(items)
        named = [_named(item) for item in items]
        twice = sorted({name for name, _ in named if name != "skip" and [n for n, _ in named].count(name) > 1})
        if twice:
            raise ValueError(f"result item {', '.join(twice)} is named twice")
        self._items = tuple(one for one in named if one[0] != "rest")

    def parse(self, fields: tuple[str, ...], at_mono_s: float) -> ControllerResult:
        """The result that the fields say, seen at ``at_mono_s`` (monotonic seconds). Raises nothing."""
        texts = self._of_items(fields)
        found: dict[str, Value] = {}
        try:
            for (name, read), text in zip(self._items, texts, strict=True):
                if read is not None:
                    found[name] = read(text.strip(" "))
        except ValueError:
            return ControllerResult(None, None, None, fields, at_mono_s)
        count, program, judgement = (found.pop(name, None) for name in _OF_THE_LINE)
        return ControllerResult(
            None if count is None else int(count),
            None if program is None else int(program),
            None if judgement is None else Judgement(str(judgement)),
            fields,
            at_mono_s,
            found,
        )

    def _of_items(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """The fields that have items: all of them, or those around ``rest``."""
        over = len(fields) - len(self._items)
        if not self._has_rest or over < 0:
            return fields
        return (*fields[: self._before], *fields[self._before + over :])


def _named(item: str) -> tuple[str, _Read | None]:
    """The name of an item and what reads its field; None for a field that is not read. Raises ValueError."""
    if item in ("skip", "rest"):
        return item, None
    of_the_line: dict[str, _Read] = {"count": _count, "program": _program, "judgement": _judgement}
    if item in of_the_line:
        return item, of_the_line[item]
    match = _ITEM.fullmatch(item)
    if match is None or (match["decimals"] and match["kind"] != "value"):
        known = "count, program, judgement, skip, rest, value:NAME, value:NAME:+3, judgement:NAME, text:NAME"
        raise ValueError(f"result item {item!r} is unknown; known are {known}")
    if match["name"] in _OF_THE_LINE:
        raise ValueError(f"result item {item!r}: {match['name']} is a name of the line's own; choose another")
    of_a_tool: dict[str, _Read] = {"value": _value_of(match), "judgement": _judgement_of_tool, "text": _text}
    return match["name"], of_a_tool[match["kind"]]


def _count(text: str) -> int:
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError
    return int(match[1])


def _program(text: str) -> int:
    if (number := _count(text)) > _PROGRAM_MAX:
        raise ValueError
    return number


def _judgement(text: str) -> Judgement:
    if (found := _JUDGEMENTS.get(str(_count(text)))) is None:
        raise ValueError
    return found


def _judgement_of_tool(text: str) -> Judgement | None:
    """None: the execute condition skipped the tool, and the controller leaves the field empty."""
    return _judgement(text) if text else None


def _text(text: str) -> str | None:
    return text[:_TEXT_MAX_CHARS] or None


def _value_of(item: re.Match[str]) -> Callable[[str], float | None]:
    """Reads a value; None where there is none: the tool was skipped (empty, or "0"), or it measured nothing."""
    decimals, is_signed = item["decimals"], item["sign"] == "+"
    form = _NUMBER
    if decimals is not None:
        sign = "[+-]" if is_signed else ""
        form = re.compile(rf"{sign}[0-9]{{1,15}}" + (rf"\.[0-9]{{{decimals}}}" if int(decimals) else ""))

    def read(text: str) -> float | None:
        # "0" is a measurement only where the item says neither sign nor decimals; else the controller pads it to its
        # width.
        is_bare_zero = text == "0" and (is_signed or decimals not in (None, "0"))
        if not text or is_bare_zero or _NOT_MEASURED.fullmatch(text):
            return None
        if form.fullmatch(text) is None:
            raise ValueError
        return float(text)

    return read
