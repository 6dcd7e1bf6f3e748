"""In which colour good parts differ least: on parts that are white or grey, marks pale in the plane of their colour.

A person who sets up a camera takes a red lamp for a part with red specks. This asks the good images whether one plane
of theirs does the same (docs/decisions/0064).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.choosing.questions import PLANE, Answer, answered
from calibration.workers import ONE_THREAD, Work
from edge_agent.errors import UsageError
from edge_agent.inspection.networks.anomaly_map import to_working
from edge_agent.inspection.networks.channels import Plane, View, Voice, views_for
from edge_agent.inspection.registration.seen_area import crop_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers

__all__ = ["PLANES", "calmest_plane", "settle_plane"]

PLANES = ("auto", *map(str, Plane))
"""What the filtered view looks at: the good parts say, nothing of its own, or one plane."""
_CALM: Final = 0.8
"""Good parts have to differ at most so much as in grey, in squares: then what they differ in has paled clearly."""
_DARK: Final = 0.1
"""Of full scale, added before the logarithm: what is darker is noise."""
_NEUTRAL, _NEARLY_ALL, _SLACK = 0.1, 0.9, 0.02
"""A part is about neutral where, at nine of ten of its places, no plane differs from grey by more than a tenth of the
place's brightness and a fiftieth of full scale.
"""
_CLIPPED, _MOST_CLIPPED = 250 / 255, 0.01
"""A plane that is saturated is calm because it shows nothing."""
_NOTHING: Final = 1e-5
"""The square of a difference that is a sensor's noise: parts that differ in nothing else differ in no colour."""
_HALF: Final = 0.5


def settle_plane(
    registered: RegisteredSet,
    wish: str,
    voices: Sequence[Voice],
    progress: Callable[[int, int], None],
    *,
    workers: Workers = ONE_THREAD,
) -> tuple[RegisteredSet, tuple[Answer, ...]]:
    """The good images with the colours that are looked at, and why; no answer where nothing is to be asked.

    ``wish`` is one of PLANES. Raises UsageError for a plane of grey images, or that no voice looks at.
    """
    if wish not in PLANES:
        raise UsageError(f"plane {wish!r}", hint=f"--plane {', '.join(PLANES)}")
    if registered.channels == 1 or Voice.IMAGE not in voices:
        if wish not in ("auto", Plane.ALL):
            why = f"grey images have no {wish} plane" if registered.channels == 1 else "no voice looks at the image"
            raise UsageError(why, hint="leave --plane out")
        return registered, ()
    if wish != "auto":
        plane, why = Plane(wish), "as asked" if wish == Plane.ALL else f"{wish}, as asked"
    else:
        plane, why = _found(registered, voices, progress, workers)
    answer = answered(PLANE, PLANE.default if plane is Plane.ALL else PLANE.other, why)
    return replace(registered, plane=plane), (answer,)


def _found(
    registered: RegisteredSet, voices: Sequence[Voice], progress: Callable[[int, int], None], workers: Workers
) -> tuple[Plane, str]:
    views = views_for(*registered.native, voices)
    # What one colour hides has to be seen by others in all colours (docs/decisions/0064).
    if View.OVERVIEW not in views or View.TONE not in views:
        return Plane.ALL, "its colours would be seen by too few other views"
    working, clipped = [], []
    for parts, saturated in workers.each(Work(_planes, (registered,)), range(len(registered.images))):
        working.append(parts)
        clipped.append(saturated)
        progress(len(working), len(registered.images))
    plane, share = calmest_plane(np.stack(working), np.stack(clipped), _on_part(registered))
    if plane is Plane.ALL:
        return plane, "there is no colour in which good parts differ clearly less than in grey"
    return plane, f"{plane}, for there good parts differ {share:.0%} as much as in grey"


def _planes(registered: RegisteredSet, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One part at the grid's size, and the share of saturated pixels there."""
    crop = registered.cropped(index)
    saturated = (crop >= _CLIPPED).astype(np.float32)
    return to_working(crop, registered.grid), to_working(saturated, registered.grid)


def _on_part(registered: RegisteredSet) -> NDArray[np.bool_]:
    """Where the part is (h, w), as far as a person's mask is white."""
    grid = registered.grid
    found = np.ones((grid.height, grid.width), bool) if registered.part is None else registered.part
    if registered.mask is not None:
        white = crop_of((registered.mask > 0).astype(np.float32), registered.crop)
        found = found & (to_working(white, grid)[..., 0] > _HALF)
    return found


def calmest_plane(
    working: NDArray[np.float32], clipped: NDArray[np.float32], on_part: NDArray[np.bool_]
) -> tuple[Plane, float]:
    """The plane of crops (n, h, w, 3) in [0, 1] in which they differ clearly least on the part, and by which share.

    ``clipped`` (n, h, w, 3) is the share of saturated pixels at each place, ``on_part`` (h, w) where the part is. The
    share is of the squared difference of logarithms (light multiplies) in grey, of the usual part: odd ones have no
    say. All planes, and 1, where none is clearly calmer, or where the part is not about neutral.
    """
    parts = working[:, on_part]
    if not parts.size:
        return Plane.ALL, 1.0
    mean = parts.mean(axis=0)
    grey = mean.mean(axis=1, keepdims=True)
    # A part of its own colour is dark in some plane and looks calm there, because it shows nothing
    # (docs/decisions/0064).
    is_neutral = (np.abs(mean - grey) <= _NEUTRAL * grey + _SLACK).all(axis=1)
    # Grey, the mean of the planes, is the yardstick: one plane has to be clearly calmer than that.
    in_grey = _usual_difference(parts.mean(axis=2))
    if is_neutral.mean() < _NEARLY_ALL or in_grey < _NOTHING:
        return Plane.ALL, 1.0
    shares = {
        plane: _usual_difference(parts[..., index]) / in_grey
        for index, plane in enumerate((Plane.RED, Plane.GREEN, Plane.BLUE))
        if float(clipped[:, on_part, index].mean()) <= _MOST_CLIPPED
    }
    calmest = min(shares, key=shares.__getitem__, default=Plane.ALL)
    return (calmest, shares[calmest]) if shares.get(calmest, 1.0) <= _CALM else (Plane.ALL, 1.0)


def _usual_difference(values: NDArray[np.float32]) -> float:
    """The squared difference of the usual one of parts (n, P) to what most show there, each part's level taken away."""
    # In the logarithm more or less light adds the same everywhere, and goes away with the level below.
    level = np.log(values + np.float32(_DARK))
    level -= level.mean(axis=1, keepdims=True)
    # By the median of the parts: one that has a speck there does not make the others odd.
    level -= np.median(level, axis=0)
    return float(np.median((level**2).mean(axis=1, dtype=np.float64)))
