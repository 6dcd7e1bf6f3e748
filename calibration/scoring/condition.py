"""What light and focus are allowed on the line: the good images' own, and room for what a judgement has to bear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.disturbances import disturbances_for
from calibration.good_parts.spread import evenly
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.registration.pose import tail_margin
from edge_agent.inspection.scoring.condition import Allowed, ConditionLimits, measure_condition, quantities_for
from edge_agent.inspection.scoring.quantity import Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers

__all__ = ["allowed_from", "condition_limits", "condition_words"]

_DISTURBED: Final = 6
"""Good images that are disturbed: what a disturbance does hangs on the part type, little on the single part."""
_SLACK: Final = 1.1
"""What the disturbances did to those six is made larger by this: other parts may be moved a little further."""
_TAILS: Final = 20.0
"""The factor of ``tail_margin``. By simulation one quantity with long tails then refuses below 0.06 % of good parts,
from 20 good images on (docs/decisions/0057).
"""
_TAILS_DISTURBED: Final = 12.0
"""The same factor for good parts in a light that has to be tolerated: below 0.3 % are refused."""
_LEAST_ROOM: Final = {
    Quantity.BRIGHTNESS: 2.0,
    Quantity.CONTRAST: 1.0,
    Quantity.SHARPNESS: 0.01,
    Quantity.RED: 0.01,
    Quantity.BLUE: 0.01,
}
"""Where nothing moves, a black part for instance: rounding alone must not reject."""
_UNBOUNDED: Final = frozenset({Quantity.SHARPNESS})

Values = dict[Quantity, list[float]]


def condition_limits(
    registered: RegisteredSet, places: NDArray[np.bool_], *, workers: Workers = ONE_THREAD
) -> tuple[ConditionLimits, dict[Quantity, tuple[float, ...]]]:
    """The limits, and what each good image measures, in their order. ``places`` (h, w) over the crop are the part's."""
    names = quantities_for(registered.channels)
    plain: Values = {name: [] for name in names}
    indices = range(len(registered.images))
    for measured in workers.each(Work(_measured, (registered, places)), indices):
        for name, value in measured.items():
            plain[name].append(value)
    moved = _moved(registered, places, plain, workers)
    limits = {name: allowed_from(name, plain[name], moved[name]) for name in names}
    return ConditionLimits(limits), {name: tuple(values) for name, values in plain.items()}


def allowed_from(quantity: Quantity, good: Sequence[float], moved: Sequence[float]) -> Allowed:
    """The range of good parts and the room beyond either end.

    The room follows the tails of the good parts' spread and their number. It holds what the disturbances ``moved`` good
    images by to that side (differences, of either sign), for a part that is itself beyond all good images.
    """
    values = np.array(good, np.float64)
    low, high = float(values.min()), float(values.max())
    # Two margins: a wide one for parts in the usual light, a narrower one on top of what a disturbance does, because
    # both at once are rarer than either.
    margin = max(tail_margin(values, _TAILS), _LEAST_ROOM[quantity])
    beside = tail_margin(values, _TAILS_DISTURBED)
    # What has to be tolerated lies inside by construction: no tolerance is a number that somebody chose
    # (docs/decisions/0057).
    down = max(margin, beside - _SLACK * min(moved, default=0.0))
    up = max(margin, beside + _SLACK * max(moved, default=0.0))
    # Sharper is never wrong (docs/decisions/0057).
    most = None if quantity in _UNBOUNDED else high + up
    return Allowed(float(np.median(values)), low, high, low - down, most)


def condition_words(
    limits: ConditionLimits, good: Mapping[Quantity, Sequence[float]], names: Sequence[str]
) -> list[str]:
    """For the person who calibrates: what is allowed, and which good image alone makes a range wide."""
    words = [
        f"{quantity} {max(one.least, 0.0):.3g} to {'any' if one.most is None else f'{one.most:.3g}'}"
        f" (theirs {one.low:.3g} to {one.high:.3g})"
        for quantity, one in limits.allowed.items()
    ]
    said = [f"an image is rejected as LIGHT or FOCUS outside {', '.join(words)}"]
    for quantity, values in good.items():
        for index in sorted({int(np.argmin(values)), int(np.argmax(values))}):
            # Judged by the range of the others: together with them it would hide within a range that it made itself.
            others = np.delete(np.array(values, np.float64), index)
            room = max(tail_margin(others, _TAILS), _LEAST_ROOM[quantity])
            if not others.min() - room <= values[index] <= others.max() + room:
                said.append(
                    f"{names[index]} differs from the others in {quantity} ({values[index]:.3g}, theirs "
                    f"{others.min():.3g} to {others.max():.3g}): was the light, or the focus, another one? Leave it "
                    "out if so"
                )
    return said


def _moved(registered: RegisteredSet, places: NDArray[np.bool_], plain: Values, workers: Workers) -> Values:
    """By how much each disturbance moves each quantity of a few good images, spread evenly."""
    chosen = evenly(len(registered.images), _DISTURBED)
    moved: Values = {name: [] for name in plain}
    for index, ways in zip(chosen, workers.each(Work(_disturbed, (registered, places)), chosen), strict=True):
        for measured in ways:
            for name, value in measured.items():
                moved[name].append(value - plain[name][index])
    return moved


def _measured(registered: RegisteredSet, places: NDArray[np.bool_], index: int) -> dict[Quantity, float]:
    return measure_condition(registered.cropped(index), places)


def _disturbed(registered: RegisteredSet, places: NDArray[np.bool_], index: int) -> list[dict[Quantity, float]]:
    """The same of one image in each disturbance."""
    pixels, alignment = registered.images[index].pixels(), registered.alignments[index]
    seen = (registered.seen(one.apply(pixels), alignment) for one in disturbances_for(registered.channels))
    return [measure_condition(crop, places) for crop in seen]
