"""A time that one inspection must not take longer than: at which size a part is looked at to keep it.

The networks are nearly all of an inspection, and their time grows with the pixels that they are shown. How long a size
takes is measured on this machine, never computed: processors, their caches and what else runs differ too much.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.bundle.promise import cpu_name
from edge_agent.inspection.networks.extractor import NATIVE_PIXELS

if TYPE_CHECKING:
    from collections.abc import Callable

    Size = tuple[int, int]

__all__ = ["BESIDE_MS", "MARGIN", "MENU", "Sized", "TimeWish", "Tried", "choose", "wish_of", "wish_of_line"]

MENU: Final = (1_000_000, 700_000, NATIVE_PIXELS, 350_000, 250_000, 150_000)
"""Pixels shown to the network. Each step saves about a third of the time: a finer one is lost in how times vary. Above
the first an MVTec image (1024 x 1024) is seen whole; below the last the native view is hardly larger than the overview,
which is looked at anyhow."""
MARGIN: Final = 0.05
"""Of the time: what is in an inspection and not in what is timed, and that no two runs take the same."""
BESIDE_MS: Final = 30.0
"""What a part needs of its deadline beside the inspection: its image over the wire and into the inbox, its journal row
on the disk, its verdict on the output. Of 100,000 parts for which nothing was computed 99 % took less than 24 ms (T-25
of tests/RESULTS.md); larger images take a little longer to come."""
_MOST_MS: Final = 60_000.0
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeWish:
    """How many ms one inspection may take. ``is_asked``: by a person for this bundle; else it follows from a line."""

    ms: float
    is_asked: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """A size of the menu: its ``pixels``, the (height, width) that they allow, and the ms that an inspection took.

    ``before_ms`` of them pass before any network is asked.
    """

    pixels: int
    native: Size
    took_ms: float
    before_ms: float

    @property
    def words(self) -> str:
        """The size, for a person."""
        return f"{self.native[1]} x {self.native[0]} px"


@dataclass(frozen=True, slots=True)
class Sized:
    """The size that was ``chosen`` for a ``wish``, and the ``largest`` that was tried.

    ``warning`` says that no size is quick enough for a line; empty where one is.
    """

    wish: TimeWish
    chosen: Tried
    largest: Tried
    warning: str = ""

    @property
    def note(self) -> str:
        """What was chosen and why, for the person who calibrates."""
        why = "asked for with --within" if self.wish.is_asked else "what line.deadline_ms leaves an inspection"
        return (
            f"the part at full size is looked at with {self.chosen.words}: an inspection took "
            f"{self.chosen.took_ms:.0f} ms with it on this PC, {self.wish.ms:.0f} ms are {why}"
        )


def wish_of(text: str | None) -> TimeWish | None:
    """What ``--within`` says: 60ms, 60 or 0.06s; None where nobody asked. Raises UsageError."""
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip())
    ms = math.nan if found is None else float(found[1]) * (1000.0 if found[2] == "s" else 1.0)
    if not 0.0 < ms <= _MOST_MS:
        raise UsageError(
            f"--within {text!r} is not a time that an inspection can take",
            hint=f"a number above 0 in ms or s, {_MOST_MS / 1000:.0f} s at most: 60ms, 60 or 0.06s",
        )
    return TimeWish(ms, is_asked=True)


def wish_of_line(*, deadline_ms: float, cameras: int) -> TimeWish | None:
    """What a line's deadline leaves each of the inspections of a part; None where it leaves nothing."""
    ms = (deadline_ms - BESIDE_MS) / cameras
    return TimeWish(ms, is_asked=False) if ms > 0.0 else None


def choose(wish: TimeWish, size_of: Callable[[int], Size], took: Callable[[Size], tuple[float, float]]) -> Sized:
    """The largest size of the menu that is quick enough; for a line's deadline none above the default.

    ``size_of`` says which (height, width) so many pixels allow, ``took`` how many ms an inspection takes at one, and
    how many of them pass before any network is asked. Raises CalibrationRefused where a person asked for less time
    than the smallest takes; a line gets the smallest then, and a warning.
    """
    tried: list[Tried] = []
    for pixels in MENU:
        # A line's deadline makes the size smaller, never larger: a bundle does not depend on who calibrated it
        # (docs/decisions/0085).
        if pixels > NATIVE_PIXELS and not wish.is_asked:
            continue
        native = size_of(pixels)
        if tried and native == tried[-1].native:  # a small part is seen whole with all of them
            continue
        tried.append(Tried(pixels, native, *took(native)))
        # From the largest down, and the first that fits: the menu is short, and a trial takes seconds.
        if tried[-1].took_ms * (1.0 + MARGIN) <= wish.ms:
            return Sized(wish, tried[-1], tried[0])
    smallest = tried[-1]
    words = (
        f"looked at with {smallest.words}, the smallest there is, an inspection takes {smallest.took_ms:.0f} ms on "
        f"this PC ({cpu_name()}), {smallest.before_ms:.0f} ms of them to read the image and to find the part in it"
    )
    if not wish.is_asked:
        warning = (
            f"line.deadline_ms leaves an inspection {wish.ms:.0f} ms, and no size is that quick here: {words}. An "
            f"agent on a PC like this one will not start with this bundle"
        )
        return Sized(wish, smallest, tried[0], warning)
    raise CalibrationRefused(
        f"no inspection here is done within {wish.ms:.0f} ms: {words}. Nothing was written",
        hint="calibrate on a faster PC, inspect less of the part (--crop), take smaller images, or allow a longer "
        "time (--within)",
    )
