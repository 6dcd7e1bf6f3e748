"""One line of result output to a ControllerResult, by the list of items that the controller is set to send."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

from drivers.base import ControllerResult, Judgement

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ResultItem", "ResultParser"]

ResultItem = Literal["count", "program", "judgement", "skip", "rest"]

# Fixed width, zero padded; a sign and a zero fraction are tolerated (siblings send +0000000001.000000).
_WHOLE = re.compile(r"\+?([0-9]{1,12})(?:\.0*)?")
_JUDGEMENTS = {0: Judgement.OK, 1: Judgement.NG}
_PROGRAM_MAX = 999


class ResultParser:
    """Reads lines whose fields are ``items``, in order and in number; ``rest`` is any number of fields, none included.

    Total: a line that does not fit (without ``rest`` skipped tools change the number of fields; a judgement that is
    neither 0 nor 1) becomes a result with every item None and the raw fields. Half a line is never believed: a count
    taken from a line whose judgement is unreadable would pair a part with no judgement at all.
    """

    def __init__(self, items: Sequence[str]) -> None:
        known = get_args(ResultItem)
        for item in items:
            if item not in known:
                raise ValueError(f"result item {item!r} is unknown; known are {', '.join(known)}")
            if item != "skip" and list(items).count(item) > 1:
                raise ValueError(f"result item {item!r} is named twice")
        if not items:
            raise ValueError("name at least one result item, as the controller's output list has them")
        # The fields before and behind "rest"; without one all of them are before it.
        self._has_rest = "rest" in items
        self._before = list(items).index("rest") if self._has_rest else len(items)
        self._items = tuple(item for item in items if item != "rest")

    def parse(self, fields: tuple[str, ...], at_mono_s: float) -> ControllerResult:
        """The result that the fields say, seen at ``at_mono_s`` (monotonic seconds). Raises nothing."""
        unreadable = ControllerResult(None, None, None, fields, at_mono_s)
        texts = self._named(fields)
        if len(texts) != len(self._items):
            return unreadable
        wholes: dict[str, int] = {}
        for item, text in zip(self._items, texts, strict=True):
            if item == "skip":
                continue
            match = _WHOLE.fullmatch(text.strip(" "))
            if match is None:
                return unreadable
            wholes[item] = int(match[1])
        judgement = wholes.get("judgement")
        if judgement is not None and judgement not in _JUDGEMENTS:
            return unreadable
        if wholes.get("program", 0) > _PROGRAM_MAX:
            return unreadable
        return ControllerResult(
            wholes.get("count"),
            wholes.get("program"),
            None if judgement is None else _JUDGEMENTS[judgement],
            fields,
            at_mono_s,
        )

    def _named(self, fields: tuple[str, ...]) -> tuple[str, ...]:
        """The fields that have names: all of them, or those around ``rest``."""
        over = len(fields) - len(self._items)
        if not self._has_rest or over < 0:
            return fields
        return (*fields[: self._before], *fields[self._before + over :])
