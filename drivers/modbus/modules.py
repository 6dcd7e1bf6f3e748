"""Remote I/O modules as data: where their first output is, and how their watchdog is armed and proven. No I/O.

From public copies of the manuals, not tried on the modules; the page says what is sure. A watchdog that counts in whole
seconds cannot end PASS before the next part, and one that reads feed stays alive while a hung agent's other half reads.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MODULES", "Module", "unfit_for", "unproven"]


@dataclass(frozen=True, slots=True)
class Module:
    """One family. ``arming`` and ``proof`` are (register, value) in their order; a value of None is the time.

    ``unit_ms`` is what one count of the time means, 0 where the module cannot be asked for its watchdog over Modbus.
    ``least_ms`` is the shortest time that it can be set to. Coils below ``reads_back_from`` can be written, but a read
    there gives inputs. ``tripped`` is a register and what it reads after a trip, None where nothing tells.
    ``any_packet_feeds`` is said of a watchdog that whoever talks to the module keeps quiet.
    """

    name: str
    first_coil: int
    least_ms: int
    unit_ms: int = 0
    arming: tuple[tuple[int, int | None], ...] = ()
    proof: tuple[tuple[int, int | None], ...] = ()
    reads_back_from: int = 0
    tripped: tuple[int, int] | None = None
    any_packet_feeds: bool = False

    def count(self, watchdog_ms: int) -> int:
        """The time as the module counts it, never longer than asked for. Raises ValueError below ``least_ms``."""
        if watchdog_ms < self.least_ms:
            raise ValueError(f"{self.name}: its watchdog can be set to {self.least_ms} ms at least (got {watchdog_ms})")
        return watchdog_ms // self.unit_ms


_WRITE_COILS_MASK = 1 << 14  # bit n-1 is function code n: fed by FC15 alone
_MODULES = (
    Module(
        "wago-750",
        # Addresses 0 to 511 are inputs to a read and outputs to a write; from 512 on both are outputs.
        first_coil=512,
        reads_back_from=512,
        least_ms=100,
        unit_ms=100,
        # Stopped, its time and mask can be written; a value in 0x1003 that is not the one of before
        # starts it: of two different ones one is.
        arming=(
            (0x1005, 0xAAAA),
            (0x1005, 0x5555),
            (0x1000, None),
            (0x1001, _WRITE_COILS_MASK),
            (0x1003, 1),
            (0x1003, 2),
        ),
        # Running, and not in the alternative mode, which any request feeds and which lets outputs come back.
        proof=((0x1000, None), (0x1001, _WRITE_COILS_MASK), (0x1006, 1), (0x100A, 0)),
        tripped=(0x1006, 2),
    ),
    Module(
        "beckhoff-bk9000",
        first_coil=0,
        least_ms=10,
        unit_ms=1,
        arming=((0x1120, None), (0x1122, 0)),
        proof=((0x1120, None), (0x1122, 0)),
    ),
    Module("beckhoff-ek9000", first_coil=0, least_ms=500),
    Module("moxa-e1200", first_coil=0, least_ms=1000),
    Module("adam-6000", first_coil=16, least_ms=1000, any_packet_feeds=True),
    Module("icp-et7000", first_coil=0, least_ms=5000),
)

MODULES: dict[str, Module] = {module.name: module for module in _MODULES}


def unfit_for(module: Module, min_part_spacing_ms: int, write_timeout_ms: int) -> str:
    """Why this module cannot carry PASS at that spacing of parts; empty if it can."""
    if module.any_packet_feeds:
        return (
            f"{module.name}: any packet of any client feeds its watchdog, a browser's too: a PASS of a dead agent "
            "could stand for good. Use its own one-shot output, or a PLC"
        )
    if module.least_ms + write_timeout_ms > min_part_spacing_ms:
        return (
            f"{module.name}: the shortest watchdog is {module.least_ms} ms, parts may be {min_part_spacing_ms} ms "
            "apart: a PASS of a dead agent could reach the next part. Use its own one-shot output, or a PLC"
        )
    return ""


def unproven(module: Module) -> str:
    """Why nobody but a person can say that this module's watchdog does its work; empty if the agent can."""
    if module.arming:
        return ""
    return (
        f"{module.name}: its watchdog cannot be set and proven over Modbus to be fed by writes alone. "
        "Set it in the module's own tool, and try it: pull the agent's plug and watch the output"
    )
