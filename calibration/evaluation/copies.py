"""Pictures that stand twice in a data set: each counts once, is good or defective, and is not tested after training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.good_parts.images import find_same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibration.evaluation.candidates import Candidate
    from calibration.good_parts.images import GoodImage

__all__ = ["find_copies"]


def find_copies(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Which images are not to be used, by name, and why in words. All are of one shape.

    Two good training images are copies by the rule of a calibration: the same picture but for noise. So are a good test
    image and a training image. A defective image is a copy of what is equal to it pixel by pixel alone, for a small
    defect may be all that tells it from a good one. No test counts on a picture that stands as good and as defective:
    only a person knows which of the two it is. What is learned from stays.
    """
    skipped: dict[str, str] = {}
    kept: list[Candidate] = []
    equal = _Equal()
    for candidate in candidates:
        twins = equal.of(candidate)
        against = [twin for twin in twins if twin.is_defective is not candidate.is_defective]
        if against:
            words = (
                f"the same picture stands as good and as defective, {_pair(candidate, against[0])}: look which it is"
            )
            skipped |= {one.name: words for one in (candidate, *twins) if not one.is_training}
            continue
        twin = twins[0] if twins else _same_good(candidate, kept)
        if twin is not None:
            skipped[candidate.name] = skipped.get(twin.name) or _why(candidate, twin)
        elif candidate.is_training:
            kept.append(candidate)
    return skipped


def _same_good(candidate: Candidate, training: Sequence[Candidate]) -> Candidate | None:
    """The training image that a good image shows once more, even if it is not the same pixel by pixel."""
    if candidate.is_defective:
        return None
    same = find_same([one.image for one in training], candidate.image)
    return next((one for one in training if one.image is same), None)


def _why(candidate: Candidate, twin: Candidate) -> str:
    if twin.is_training and not candidate.is_training:
        return f"it shows the same picture as {twin.name}, which is learned from"
    return f"it shows the same picture as {twin.name}"


def _pair(one: Candidate, other: Candidate) -> str:
    good, defective = (other, one) if one.is_defective else (one, other)
    return f"{good.name} and {defective.name}"


class _Equal:
    """Pictures seen so far, to find those that are equal pixel by pixel. Full-size pictures never pile up."""

    def __init__(self) -> None:
        self._seen: dict[bytes, list[Candidate]] = {}

    def of(self, candidate: Candidate) -> list[Candidate]:
        """Those before it that are equal; from now on it is one of them itself."""
        alike = self._seen.setdefault(candidate.image.thumbnail.tobytes(), [])
        twins = [one for one in alike if _is_equal(one.image, candidate.image)]
        alike.append(candidate)
        return twins


def _is_equal(a: GoodImage, b: GoodImage) -> bool:
    return a.sha256 == b.sha256 or np.array_equal(a.pixels(), b.pixels())
