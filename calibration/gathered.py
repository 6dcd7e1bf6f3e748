"""What is handed from one step of a calibration to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calibration.choosing.learning_curve import PartsCurve
    from calibration.choosing.questions import Answer
    from calibration.choosing.within import Sized
    from calibration.good_parts.known import KnownImage
    from calibration.options import CalibrationOptions
    from calibration.registering.registered import RegisteredSet
    from calibration.scoring.seen import Seen
    from calibration.suspects.stand_apart import Suspicion
    from calibration.training.crossfit import Learned

__all__ = ["Gathered", "Prepared"]


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Registered good images, and what else a person showed: the same for every method.

    ``notes`` say what was passed over, and what is odd about the files; ``answers`` why parts are compared as they are;
    ``suspicion`` which of them stand apart, ``parts_curve`` whether more of them would pay, ``seen`` what the network
    saw of them; None: nobody looked. ``sized`` is at which size the parts are looked at to be done in time; None: no
    time is given.
    """

    registered: RegisteredSet
    options: CalibrationOptions
    timings_s: Mapping[str, float]
    answers: tuple[Answer, ...] = ()
    left_out: tuple[KnownImage, ...] = ()
    kept: tuple[KnownImage, ...] = ()
    defective: tuple[KnownImage, ...] = ()
    notes: tuple[str, ...] = ()
    suspicion: Suspicion | None = None
    parts_curve: PartsCurve | None = None
    seen: Seen | None = None
    sized: Sized | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Registered good images, and the networks that learned them by one recipe."""

    gathered: Gathered
    learned: Learned
    train_s: float
