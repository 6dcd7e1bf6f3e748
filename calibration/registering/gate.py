"""When an image counts as registered: the least quality that is judged, and what that gate can and cannot stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from calibration.good_parts.spread import evenly
from calibration.workers import ONE_THREAD, Work
from edge_agent.errors import CalibrationRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage
    from calibration.workers import Workers
    from edge_agent.domain import Alignment
    from edge_agent.inspection.registration.register import Registration

__all__ = [
    "NO_GATE",
    "RELIABLE",
    "WrongQualities",
    "gate_warnings",
    "gate_words",
    "likeness_gate",
    "likeness_words",
    "moved_elsewhere",
    "quality_gate",
    "unregistered",
    "wrong_qualities",
]

RELIABLE = 0.5
"""Where the usual quality of good images is below this, they differ in what they show, and not only in where it lies:
then no single image can be called unregistered for its quality.
"""

NO_GATE = -1.0
"""No quality is below it."""
# The gate never lies above the first, and never nearer to the worst good part than the second (docs/decisions/0005,
# What is judged of it).
_STRICTEST = 0.85
_LEAST_MARGIN = 0.1
# In Fisher's z, over the root of the number of parts. By simulation half of it refuses below 0.04 % of good parts from
# 28 on, with long tails 0.3 % (docs/decisions/0005).
_TAIL = 24.0
_TRIED = 6
# Of the long side: a pose that is wrong by so much should be stopped (docs/decisions/0005, What is judged of it).
_OFF_SHARE = 0.005
_LEAST_OFF_PX = 4
# A tenth of the picture away edges meet other edges by chance alone.
_ELSEWHERE_SHARE = 0.1
# Enough for a median, and each takes a warp.
_COMPARED = 12
# In Fisher's z. Nearer than that, the two laws overlap and a gate between them would be chance.
_APART = 0.05
# Doubling, for the words to a person: which error does the gate stop?
_NEAR_PX = (1, 2, 4, 8, 16, 32)
_DIRECTIONS = tuple((math.cos(a), math.sin(a)) for a in np.arange(8) * math.pi / 4)


@dataclass(frozen=True, slots=True)
class WrongQualities:
    """What good images reach in poses that are wrong.

    ``by_px``: moved by so many pixels from the right pose, nine in ten reach less; ``off`` the same at 0.5 % of the
    long side; ``elsewhere``: the median at 10 %; ``upside_down``: turned by half a circle and registered again.
    """

    by_px: Mapping[int, float]
    off: float
    elsewhere: float
    upside_down: float


def unregistered(
    qualities: Mapping[str, float], most: float, alike: Callable[[str], float] | None = None
) -> tuple[str, ...]:
    """Images that do not show the part in its place, among images that usually register.

    ``alike`` says how like the other parts, as a whole, the part in an image of that name is. Where good parts differ
    in their finest edges a right pose may have little quality: who is as like the others as most lies right.
    A share of ``most`` may be left out; more raise CalibrationRefused, naming the worst.
    """
    usual = float(np.median(list(qualities.values())))
    if usual < RELIABLE:
        return ()
    odd = sorted((q, name) for name, q in qualities.items() if _is_far_below(q, usual))
    if odd and alike is not None:
        others = sorted(set(qualities) - {name for _, name in odd})
        usually = float(np.median([alike(others[index]) for index in evenly(len(others), _COMPARED)]))
        odd = [(quality, name) for quality, name in odd if _is_far_below(alike(name), usually)]
    if len(odd) > most * len(qualities):
        least, worst = odd[0]
        raise CalibrationRefused(
            f"{worst} does not register to the reference: quality {least:.2f}, the other images' median is {usual:.2f}"
            + (f"; nor do {', '.join(name for _, name in odd[1:6])}" if odd[1:] else ""),
            hint=(
                f"look at {worst}: another part, turned too far, or blurred? Remove it, or allow a larger angle; where "
                "parts have nothing in common to lay them on each other by, calibrate with --registration off"
            ),
        )
    return tuple(name for _, name in odd)


def _is_far_below(correlation: float, usual: float) -> bool:
    # Where good images usually have 0.99, below 0.76; where they have 0.8 or less, below 0.3.
    return correlation < 0.3 or 1.0 - correlation > 4 * (1.0 - usual) + 0.2


def likeness_gate(good: Sequence[float], moved: Sequence[float]) -> float:
    """The least likeness of a part that is judged: between what good parts have and what they have when ``moved``.

    A third of the way (Fisher's z) from what nine in ten of those stay below that were moved by a tenth of the picture
    to the least of good parts: the odd good part keeps room. No gate where the two are not apart.
    """
    least, stopped = (float(np.arctanh(np.clip(v, -0.999, 0.999))) for v in (min(good), np.quantile(moved, 0.9)))
    if stopped + _APART > least:
        return NO_GATE
    return float(np.tanh(stopped + (least - stopped) / 3))


def likeness_words(gate: float, good: Sequence[float], moved: Sequence[float]) -> str:
    """What the gate on the likeness as a whole stops, in words for the person who calibrates."""
    figures = f"good parts have {min(good):.2f} or more, moved by a tenth of the picture {np.median(moved):.2f}"
    if gate == NO_GATE:
        return f"no gate on the part's likeness as a whole, which says nothing of where it lies: {figures}"
    return f"a part whose likeness to the reference as a whole is below {gate:.2f} is rejected: {figures}"


def moved_elsewhere(image: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """A picture (h, w, C) moved by a tenth of its long side, eight ways; its border is repeated."""
    height, width = image.shape[:2]
    far = _ELSEWHERE_SHARE * max(height, width)
    for x, y in _DIRECTIONS:
        shift = np.array([[1.0, 0.0, far * x], [0.0, 1.0, far * y]])
        moved = cv2.warpAffine(image, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        yield np.asarray(moved, np.float32).reshape(image.shape)


def wrong_qualities(
    registration: Registration,
    images: Sequence[GoodImage],
    alignments: Sequence[Alignment],
    workers: Workers = ONE_THREAD,
) -> WrongQualities:
    """Measure them on a few images, spread evenly."""
    chosen = evenly(len(images), _TRIED)
    side = max(registration.shape)
    off_px, elsewhere_px = max(_LEAST_OFF_PX, round(_OFF_SHARE * side)), round(_ELSEWHERE_SHARE * side)
    by_px: dict[int, list[float]] = {px: [] for px in (*_NEAR_PX, off_px, elsewhere_px)}
    turned = []
    work = Work(_wrong, (registration, tuple(by_px)))
    for moved, upside_down in workers.each(work, [(images[index], alignments[index]) for index in chosen]):
        for px, reached in moved.items():
            by_px[px].extend(reached)
        turned.append(upside_down)
    highest = {px: float(np.quantile(found, 0.9)) for px, found in by_px.items()}
    return WrongQualities(
        by_px={px: highest[px] for px in _NEAR_PX},
        off=highest[off_px],
        elsewhere=float(np.median(by_px[elsewhere_px])),
        upside_down=float(np.median(turned)),
    )


def _wrong(
    registration: Registration, distances_px: Sequence[int], one: tuple[GoodImage, Alignment]
) -> tuple[dict[int, list[float]], float]:
    """What one image reaches moved by each distance, eight ways; and turned by half a circle, registered again."""
    image, right = one
    pixels = image.pixels()
    moved = {
        px: [
            registration.quality_at(
                pixels, replace(right, shift_x_px=right.shift_x_px + px * x, shift_y_px=right.shift_y_px + px * y)
            )
            for x, y in _DIRECTIONS
        ]
        for px in distances_px
    }
    # Both axes the other way round is half a turn, and costs no resampling.
    return moved, registration.register(np.ascontiguousarray(pixels[::-1, ::-1])).quality


def quality_gate(qualities: Collection[float], wrong: WrongQualities) -> float:
    """The least registration quality of a part that is judged, from the good parts' own (docs/decisions/0005).

    Below the worst good part by a margin that follows the lower tail of the good parts' spread (Fisher's z) and their
    number; by as little as half of it where it takes that to stop a part registered wrong by 0.5 % of the image. Never
    closer to the worst than 0.1, never above 0.85; no gate at all where good parts reach no more than images that lie
    elsewhere.
    """
    # Fisher's z: near 1 correlations crowd together, and their spread means something only on this scale.
    z = np.arctanh(np.clip(np.array(list(qualities), np.float64), -0.999, 0.999))
    least, first = np.quantile(z, (0.0, 0.25))
    worst = float(np.tanh(least))
    usual = float(np.tanh(np.median(z)))
    # Good parts register no better than pictures that lie elsewhere: what a gate stopped would be chance.
    if usual < wrong.elsewhere + _LEAST_MARGIN:
        return NO_GATE
    tail = _TAIL / math.sqrt(len(z)) * float(first - least)
    usual_gate, closest = (float(np.tanh(least - share * tail)) for share in (1.0, 0.5))
    # The usual margin, or a narrower one as far as it stops a pose that is wrong, and then the two bounds that hold for
    # all sets.
    return min(max(usual_gate, min(wrong.off, closest)), worst - _LEAST_MARGIN, _STRICTEST)


def gate_words(gate: float, qualities: Collection[float], wrong: WrongQualities) -> tuple[str, ...]:
    """What the gate is worth, for the person who has to trust it."""
    usual = float(np.median(list(qualities)))
    badly = "good parts register badly: they differ among themselves more than in where they lie"
    if gate == NO_GATE:
        return (badly, f"no gate on registration quality: good parts reach {usual:.2f}, others {wrong.elsewhere:.2f}")
    stopped = [px for px, quality in wrong.by_px.items() if quality < gate]
    words = [
        f"good parts register at {min(qualities):.2f} to {max(qualities):.2f}, below {gate:.2f} a part is rejected"
    ]
    if usual < RELIABLE:
        words.insert(0, badly)
    words.append(
        f"the gate stops poses that are wrong by {stopped[0]} px or more"
        if stopped
        else f"the gate stops no pose that is wrong by {max(wrong.by_px)} px or less"
    )
    if wrong.upside_down < gate:
        words.append(f"it stops a part turned by half a circle (quality {wrong.upside_down:.2f})")
    return tuple(words)


def gate_warnings(gate: float, wrong: WrongQualities) -> tuple[str, ...]:
    """What the gate does not stop, and what to do about it; nothing where it stops what it should."""
    advice = (
        "where parts can come so, let the fixture or a tool of the controller refuse them, and put one through the "
        "line: it must be rejected"
    )
    if gate == NO_GATE:
        return (f"Nothing but the score stops a part that lies wrong, there is no gate on where it lies: {advice}.",)
    if wrong.upside_down < gate:
        return ()
    return (
        (
            f"The registration gate does not stop a part turned by half a circle (quality {wrong.upside_down:.2f}, "
            f"rejected below {gate:.2f}): {advice}. A part that looks the same from there does no harm."
        ),
    )
