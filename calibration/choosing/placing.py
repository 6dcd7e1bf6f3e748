"""How good parts are compared: laid on each other or as they come, tied to the place or free of it.

A person says, or the good parts leave no doubt, or both ways are rehearsed with synthetic defects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from calibration.choosing.questions import PLACE, REGISTRATION, Answer, answered, ask, leaves_room
from calibration.registering.registered import register_all
from calibration.workers import ONE_THREAD
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calibration.choosing.rehearsal import Rehearsal, Told
    from calibration.good_parts.images import GoodImage
    from calibration.registering.reference import Box
    from calibration.registering.registered import RegisteredSet
    from calibration.registering.search import SearchWishes
    from calibration.workers import Workers

    Progress = Callable[[int, int], None]

__all__ = ["PLACES", "Placed", "place_all"]

PLACES = ("auto", "tied", "free")
"""Whether a place of a part is compared with the same place of good parts: rehearsed, always, never."""
_CERTAIN = 0.9
"""Good images that all register at this quality show the same things at the same places."""
_ASKED = "as asked"


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """Good images as they are compared, and the ``answers`` that say why so."""

    registered: RegisteredSet
    answers: tuple[Answer, ...]


def place_all(
    images: Sequence[GoodImage],
    wishes: SearchWishes,
    crop: str | Box,
    progress: Progress,
    *,
    place: str,
    rehearse: Callable[[], Rehearsal],
    workers: Workers = ONE_THREAD,
) -> Placed:
    """Settle both questions and register accordingly. ``place`` is one of PLACES; ``rehearse`` makes the rehearsal.

    Raises CalibrationRefused, UsageError. No set is refused because registration means nothing to it: where a good
    image does not register, that is refused only if registration serves the others better than none.
    """
    if place not in PLACES:
        raise UsageError(f"place {place!r}", hint=f"--place {', '.join(PLACES)}")
    if wishes.registration != "auto" or wishes.max_angle_deg is not None:
        registered = register_all(images, wishes, crop, progress, workers=workers)
        return _with_place(registered, _registration(registered, _ASKED), place, rehearse, progress)
    # No image is refused yet: whether registration serves this set at all is the question below.
    registered = register_all(images, replace(wishes, left_out_share=1.0), crop, progress, workers=workers)
    if registered.registration.settings.off:
        return _with_place(registered, _registration(registered, registered.notes[0]), place, rehearse, progress)
    worst = min(alignment.quality for alignment in registered.alignments)
    left_out = len(images) - len(registered.images)
    # Both ways would show the networks the same: half a minute of rehearsal could not change the answer.
    if not left_out and worst >= _CERTAIN:
        why = f"every good image registers at {worst:.2f} or better"
        answers = (answered(REGISTRATION, "on", why), answered(PLACE, *(_said(place) or ("tied", why))))
        return Placed(replace(registered, is_tied=answers[1].answer == "tied"), answers)
    rehearsal, unmoved = rehearse(), None
    figures = {"on": _by_place(rehearsal.told_apart(registered, progress))}
    allowed = PLACES[1:] if place == "auto" else (place,)
    # Where defects are told apart nearly always, the other way cannot be clearly better and is not tried.
    if leaves_room(max(figures["on"][name] for name in allowed)):
        # Without the scale: a range to search and no registration contradict each other, and would be refused.
        as_they_come = replace(wishes, registration="off", max_scale=0.0)
        unmoved = register_all(images, as_they_come, crop, progress, workers=workers)
        figures["off"] = _by_place(rehearsal.told_apart(unmoved, progress))
    # Of each way the better of tied and free: the place is asked second, and must not decide the first question.
    answer = ask(REGISTRATION, {way: max(told[name] for name in allowed) for way, told in figures.items()})
    if answer.answer == "off" and unmoved is not None:
        registered = unmoved
    elif left_out > wishes.left_out_share * len(images):
        registered = register_all(images, wishes, crop, progress, workers=workers)  # refuses them, each by its name
    said = _said(place)
    where = answered(PLACE, *said) if said else ask(PLACE, figures[answer.answer])
    return Placed(replace(registered, is_tied=where.answer == "tied"), (answer, where))


def _with_place(
    registered: RegisteredSet, answer: Answer, place: str, rehearse: Callable[[], Rehearsal], progress: Progress
) -> Placed:
    said = _said(place)
    if said is None and answer.answer == "on" and min(a.quality for a in registered.alignments) >= _CERTAIN:
        said = ("tied", "every good image registers well")
    if said is not None:
        where = answered(PLACE, *said)
    else:
        where = ask(PLACE, _by_place(rehearse().told_apart(registered, progress)))
    return Placed(replace(registered, is_tied=where.answer == "tied"), (answer, where))


def _by_place(told: Told) -> dict[str, float]:
    return {"tied": told.tied, "free": told.free}


def _registration(registered: RegisteredSet, why: str) -> Answer:
    return answered(REGISTRATION, "off" if registered.registration.settings.off else "on", why)


def _said(place: str) -> tuple[str, str] | None:
    return None if place == "auto" else (place, _ASKED)
