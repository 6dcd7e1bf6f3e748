"""Every fault of controller and remote I/O under one name, for a person: `late-result`, `io-mute@7`, `reboot/20`."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.simulated.faults import Fault, FaultPlan
from drivers.simulated.remote_io import IoFault

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CATALOGUE", "PlannedFaults"]

_EVERY = 5
_SPEC = re.compile(r"(?P<name>[a-z-]+)(?:@(?P<at>[1-9][0-9]{0,8})|/(?P<every>[1-9][0-9]{0,8}))?")
_IO_WORDS = {
    IoFault.MUTE: "The remote I/O takes requests, and neither carries them out nor answers.",
    IoFault.UNANSWERED: "The remote I/O carries requests out and does not answer.",
    IoFault.LATE: "The remote I/O answers late.",
    IoFault.REFUSE: "The remote I/O is gone: its port is closed.",
    IoFault.WRONG_ECHO: "The remote I/O answers a write with another address, and does nothing.",
    IoFault.STUCK: "The remote I/O answers as if it had written; its outputs stay.",
    IoFault.EXCEPTION: "The remote I/O answers everything with exception 4.",
    IoFault.DROP: "The remote I/O resets the connection at every request.",
}


def _name(fault: Fault) -> str:
    return fault.value.lower().replace("_", "-")


def _io_name(fault: IoFault) -> str:
    return "io-" + fault.value.lower().replace("_", "-")


_FAULTS = {_name(fault): fault for fault in Fault}
_IO_FAULTS = {_io_name(fault): fault for fault in IoFault}
CATALOGUE: dict[str, str] = {name: fault.words for name, fault in _FAULTS.items()} | {
    _io_name(fault): words for fault, words in _IO_WORDS.items()
}
"""What each name does."""


@dataclass(slots=True)
class PlannedFaults:
    """What goes wrong at which trigger, of the controller and of the remote I/O."""

    controller: FaultPlan = field(default_factory=FaultPlan)
    io_at: dict[int, IoFault] = field(default_factory=dict)
    io_every: dict[IoFault, int] = field(default_factory=dict)

    @classmethod
    def of(cls, specs: Iterable[str]) -> PlannedFaults:
        """``NAME``: at every fifth trigger; ``NAME@7``: at the seventh; ``NAME/20``: at every twentieth.

        Raises ValueError for a name that is none.
        """
        planned = cls()
        for spec in specs:
            match = _SPEC.fullmatch(spec)
            name = match["name"] if match else spec
            if match is None or name not in CATALOGUE:
                close = difflib.get_close_matches(name, CATALOGUE, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(CATALOGUE)}"
                raise ValueError(f"{spec!r} is no fault (NAME, NAME@TRIGGER or NAME/EVERY); {hint}")
            at, every = int(match["at"] or 0), int(match["every"] or _EVERY)
            if name in _IO_FAULTS:
                planned._plan_io(_IO_FAULTS[name], at, every)
            elif at:
                planned.controller.add(at, _FAULTS[name])
            else:
                planned.controller.every[_FAULTS[name]] = every
        return planned

    def io_fault_of(self, trigger_no: int) -> IoFault | None:
        """What goes wrong at the remote I/O from that trigger on."""
        again = (fault for fault, every in self.io_every.items() if trigger_no % every == 0)
        return self.io_at.get(trigger_no) or next(again, None)

    def _plan_io(self, fault: IoFault, at: int, every: int) -> None:
        if at:
            self.io_at[at] = fault
        else:
            self.io_every[fault] = every
