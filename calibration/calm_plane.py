"""In which colour good parts differ least: on parts that are white or grey, marks pale in the plane of their colour.

A person who sets up a camera takes a red lamp for a part with red specks. This asks the good images whether one plane
of theirs does the same (docs/decisions/0064).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from calibration.questions import PLANE, Answer, answered
from edge_agent.errors import UsageError
from edge_agent.inspection.view import Plane, View, Voice, views_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.registered import RegisteredSet

__all__ = ["PLANES", "calmest_plane", "settle_plane"]

PLANES = ("auto", *map(str, Plane))
"""Which colours the view at full size looks at: the good parts say, all, or one."""
_CALM: Final = 0.8
"""Of the variance in grey: what good parts differ in has paled clearly."""
_DARK: Final = 0.1
"""Of full scale, added before the logarithm: what is darker is noise."""
_NEUTRAL: Final = 0.1
"""So far each plane may be from the brightness in grey. A part with a colour of its own shows little in some plane."""
_NOTHING: Final = 1e-5
"""A variance that is a sensor's noise: good parts that differ in nothing else differ in no colour."""


def settle_plane(
    registered: RegisteredSet, wish: str, voices: Sequence[Voice], progress: Callable[[int, int], None]
) -> tuple[RegisteredSet, tuple[Answer, ...]]:
    """The good images with the colours that are looked at, and why; no answer where they have no colour.

    ``wish`` is one of PLANES. Raises UsageError for a plane of grey images.
    """
    if wish not in PLANES:
        raise UsageError(f"plane {wish!r}", hint=f"--plane {', '.join(PLANES)}")
    if registered.channels == 1:
        if wish not in ("auto", Plane.ALL):
            raise UsageError(f"grey images have no {wish} plane", hint="leave --plane out")
        return registered, ()
    if wish != "auto":
        plane, why = Plane(wish), "as asked" if wish == Plane.ALL else f"{wish}, as asked"
    else:
        plane, why = _found(registered, voices, progress)
    answer = answered(PLANE, PLANE.default if plane is Plane.ALL else PLANE.other, why)
    return replace(registered, plane=plane), (answer,)


def _found(
    registered: RegisteredSet, voices: Sequence[Voice], progress: Callable[[int, int], None]
) -> tuple[Plane, str]:
    _, _, width, height = registered.crop
    if View.OVERVIEW not in views_for(height, width, voices):
        return Plane.ALL, "so small a part is seen at full size alone, and its colours nowhere else"
    working = registered.working(progress)
    plane, share = calmest_plane(working, registered.mask_of(working))
    if plane is Plane.ALL:
        return plane, "good parts differ in no colour clearly less than in grey"
    return plane, f"{plane}, for there good parts differ {share:.0%} as much as in grey"


def calmest_plane(working: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> tuple[Plane, float]:
    """The plane of crops (n, h, w, 3) in [0, 1] in which they differ clearly least on the part, and by which share.

    ``mask`` (h, w) is where the part is; None: everywhere. The share is of the variance in grey, of logarithms, for
    light multiplies. All planes, and 1, where none is clearly calmer, or the part as a whole is not about neutral.
    """
    on_part = working.reshape(len(working), -1, 3) if mask is None else working[:, mask]
    brightness = on_part.mean(axis=(0, 1), dtype=np.float64)
    if np.abs(brightness / max(brightness.mean(), 1e-6) - 1.0).max() > _NEUTRAL:
        return Plane.ALL, 1.0
    variance = _variance(on_part.mean(axis=2))
    if variance < _NOTHING:
        return Plane.ALL, 1.0
    planes = (Plane.RED, Plane.GREEN, Plane.BLUE)
    shares = {plane: _variance(on_part[..., index]) / variance for index, plane in enumerate(planes)}
    calmest = min(shares, key=shares.__getitem__)
    return (calmest, shares[calmest]) if shares[calmest] <= _CALM else (Plane.ALL, 1.0)


def _variance(values: NDArray[np.float32]) -> float:
    """How much the parts (n, P) differ from each other at the same place, each part's own brightness taken away."""
    level = np.log(values + np.float32(_DARK))
    level -= level.mean(axis=1, keepdims=True)
    return float(level.var(axis=0, dtype=np.float64).mean())
