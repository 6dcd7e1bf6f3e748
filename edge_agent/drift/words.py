"""A change told as what it is, in English: ``report.phrases`` says it in the reader's language."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from edge_agent.drift.quantities import ANGLE, LATENCY, POSE, QUALITY, SCALE, SCORE, SHARE, is_cause, of_condition
from edge_agent.inspection.scoring.quantity import look_at, moved_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.drift.charts import LineCharts, Standing
    from edge_agent.drift.known import Known

__all__ = ["change_words", "changes_words", "since_words"]

_TOLD_MOST: Final = 4
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SIDES: Final = {"shift_x_px": ("left", "right"), "shift_y_px": ("up", "down")}
_TURNS: Final = ("clockwise", "counter-clockwise")
_FIXTURE: Final = "look at the stop, the fixture and the camera's mount"


def changes_words(charts: LineCharts) -> str:
    """All that stands, what causes before what follows from it, as one text; empty where nothing has changed."""
    told = _causes([one for one in charts.standing() if one.change is not None])
    words = [change_words(one, charts.known(one.camera, one.bundle_id)) for one in told[:_TOLD_MOST]]
    more = len(told) - len(words)
    return "; ".join([*words, *([f"and {more} more: see the drift view"] if more else [])])


def change_words(one: Standing, known: Known) -> str:
    """What has changed, by how much, since when, and what to look at. For a change that stands."""
    if one.change is None or one.now is None or one.usual is None:
        return ""
    since = since_words(one.change.since_utc)
    return f"camera {one.camera}: {_what(one, known, one.usual.mean, one.now)} since {since}{_advice(one)}"


def since_words(utc: str) -> str:
    """A time by the clock of this PC, with its day of the week; as it stands where it is none."""
    try:
        at = datetime.fromisoformat(utc).astimezone()
    except (ValueError, OverflowError):
        return utc
    return f"{_DAYS[at.weekday()]}, {at:%Y-%m-%d %H:%M}"


def _causes(found: Sequence[Standing]) -> list[Standing]:
    """Light, focus and pose first; the score and what it is made of only where none of those changed at that camera."""
    ordered = sorted(found, key=lambda one: (_rank(one.quantity), -abs(one.sigma)))
    has_cause = {one.camera for one in ordered if is_cause(one.quantity)}
    is_told = {one.camera for one in ordered if one.quantity == SCORE}
    return [
        one
        for one in ordered
        if is_cause(one.quantity)
        or one.quantity == LATENCY
        or (one.camera not in has_cause and not (one.quantity.startswith(SHARE) and one.camera in is_told))
    ]


def _rank(quantity: str) -> int:
    if of_condition(quantity) is not None:
        return 0
    if quantity in POSE:
        return 1
    return 2 if quantity == QUALITY else 3


def _what(one: Standing, known: Known, was: float, now: float) -> str:
    name, moved = one.quantity, now - was
    if (quantity := of_condition(name)) is not None:
        return f"the images are {_much(known, name, was, now)}{moved_words(quantity, is_less=moved < 0)}"
    if name in _SIDES:
        return f"the part lies {abs(moved):.1f} px further {_SIDES[name][moved > 0]}"
    if name == ANGLE:
        return f"the part lies turned by {abs(moved):.2f} degrees {_TURNS[moved > 0]}"
    if name == SCALE:
        return f"the part looks {abs(moved / was):.1%} {'larger' if moved > 0 else 'smaller'}"
    if name == QUALITY:
        return f"the images fit the reference {'better' if moved > 0 else 'less well'} ({now:.3f}, usual is {was:.3f})"
    if name == LATENCY:
        return f"a verdict takes {now:.0f} ms, usual is {was:.0f} ms,"
    if name == SCORE:
        return f"good parts have a score of {now:.0%} of the limit, usual is {was:.0%},"
    return f"good parts have {now:.0%} of the limit in the view {name.removeprefix(SHARE)}, usual is {was:.0%},"


def _much(known: Known, name: str, was: float, now: float) -> str:
    before, after = known.raw_value(name, was), known.raw_value(name, now)
    if before is None or after is None or before <= 0:
        return ""
    return f"{abs(after / before - 1):.1%} "


def _advice(one: Standing) -> str:
    quantity = of_condition(one.quantity)
    if quantity is not None:
        return f": {look_at(quantity)}"
    return f": {_FIXTURE}" if one.quantity in POSE else ""
