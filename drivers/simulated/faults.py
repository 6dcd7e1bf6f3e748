"""What can go wrong at the controller, by name, and a plan of what goes wrong at which part."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["IMAGE_FAULTS", "RESULT_FAULTS", "Fault", "FaultPlan"]


class Fault(StrEnum):
    """A fault of one part. Those of one part may be combined; of two that contradict, the first below wins."""

    words: str

    def __new__(cls, name: str, words: str) -> Self:
        """A member is its name; ``words`` say what happens."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.words = words
        return made

    REFUSED_TRIGGER = (
        "REFUSED_TRIGGER",
        "READY was off: nothing is imaged, a command is answered ``ER,T1,03``, a wire is not answered at all.",
    )
    DUPLICATE_COUNT = "DUPLICATE_COUNT", "The count of the part before is given again."
    CLOCK_JUMP = "CLOCK_JUMP", "The controller's clock falls back to 2000-01-01 before the part."
    REBOOT = "REBOOT", "The controller reboots instead of giving result and image; counts start again at 1."
    CONNECTION_DROP = "CONNECTION_DROP", "The command connection is reset, the result is lost."
    CONNECTION_MUTE = (
        "CONNECTION_MUTE",
        "The command connection stays open and says nothing for a while, the result is lost.",
    )
    SETUP_MODE = "SETUP_MODE", "Somebody at the screen goes to setup mode for a while, after the part."
    PROGRAM_CHANGED = (
        "PROGRAM_CHANGED",
        "Somebody at the screen chooses the next program, after the part; counts start again at 1.",
    )
    LOST_RESULT = "LOST_RESULT", "The result line never comes."
    LATE_RESULT = "LATE_RESULT", "The result line comes much later."
    RESULTS_GLUED = "RESULTS_GLUED", "The result line waits for the next one; both come in one write."
    RESULT_SPLIT = "RESULT_SPLIT", "The result line comes in three writes with pauses between."
    RESULT_BEFORE_REPLY = (
        "RESULT_BEFORE_REPLY",
        "The result line waits for the next command and comes between it and its reply.",
    )
    NOISE_ON_THE_WIRE = "NOISE_ON_THE_WIRE", "4 KiB of 0xFF without a delimiter come before the result line."
    UNREADABLE_RESULT = (
        "UNREADABLE_RESULT",
        "The result line has another number of fields: the output list was changed.",
    )
    LOST_IMAGE = "LOST_IMAGE", "The image is never sent."
    LATE_IMAGE = "LATE_IMAGE", "The image is sent much later."
    TRUNCATED_IMAGE = "TRUNCATED_IMAGE", "The connection is cut in the middle of the file."
    ZERO_FILLED_IMAGE = "ZERO_FILLED_IMAGE", "The second half of the file is zeros; its size is right."
    WRONG_SIZE_IMAGE = "WRONG_SIZE_IMAGE", "A complete image of half the height."
    GARBAGE_IMAGE = "GARBAGE_IMAGE", "A file of the right size, full of noise."
    EMPTY_IMAGE = "EMPTY_IMAGE", "A file of 0 bytes."
    REPEATED_IMAGE = "REPEATED_IMAGE", "The image is sent twice under its name."


RESULT_FAULTS = (
    Fault.LOST_RESULT,
    Fault.LATE_RESULT,
    Fault.RESULTS_GLUED,
    Fault.RESULT_SPLIT,
    Fault.RESULT_BEFORE_REPLY,
    Fault.NOISE_ON_THE_WIRE,
    Fault.UNREADABLE_RESULT,
)
IMAGE_FAULTS = (
    Fault.LOST_IMAGE,
    Fault.LATE_IMAGE,
    Fault.TRUNCATED_IMAGE,
    Fault.ZERO_FILLED_IMAGE,
    Fault.WRONG_SIZE_IMAGE,
    Fault.GARBAGE_IMAGE,
    Fault.EMPTY_IMAGE,
    Fault.REPEATED_IMAGE,
)


@dataclass(slots=True)
class FaultPlan:
    """Faults by trigger number: the first trigger since the controller was made is 1, refused ones count.

    ``every``: a fault comes back at every so many triggers.
    """

    at: dict[int, frozenset[Fault]] = field(default_factory=dict)
    every: dict[Fault, int] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Mapping[int, Fault | Iterable[Fault]]) -> FaultPlan:
        """``FaultPlan.of({3: Fault.LOST_IMAGE, 7: (Fault.LATE_RESULT, Fault.EMPTY_IMAGE)})``."""
        made = cls()
        for trigger_no, faults in plan.items():
            made.add(trigger_no, *((faults,) if isinstance(faults, Fault) else tuple(faults)))
        return made

    @classmethod
    def drawn(cls, triggers: int, rate: float, seed: int, kinds: Iterable[Fault] = tuple(Fault)) -> FaultPlan:
        """One fault at about ``rate`` of the triggers; the same for the same seed."""
        rng, choices = random.Random(seed), tuple(kinds)
        return cls.of({number: rng.choice(choices) for number in range(1, triggers + 1) if rng.random() < rate})

    def add(self, trigger_no: int, *faults: Fault) -> None:
        """Plan these at that trigger, with those already planned. Raises ValueError below 1."""
        if trigger_no < 1:
            raise ValueError(f"triggers count from 1 (got {trigger_no})")
        self.at[trigger_no] = self.at.get(trigger_no, frozenset()) | frozenset(faults)

    def faults_of(self, trigger_no: int) -> frozenset[Fault]:
        """What goes wrong at that trigger."""
        again = {fault for fault, times in self.every.items() if trigger_no % times == 0}
        return self.at.get(trigger_no, frozenset()) | again
