"""The verdict as four levels, and the half of a wire that compares them. Worked bytes: modbus/PROTOCOL.md."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, Protocol

from drivers.base import ProtocolViolation
from drivers.output.wire import DeviceWire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drivers.base import DriverError

__all__ = [
    "COIL_NAMES",
    "INVERTIBLE",
    "RESTING",
    "CoilLevels",
    "CoilState",
    "CoilWire",
    "as_wired",
    "checked_inversion",
]

COIL_NAMES = ("PASS", "REJECT", "READY", "HEARTBEAT")
"""In the order of their addresses, from ``first_coil`` on."""


INVERTIBLE = frozenset({"REJECT", "READY"})
"""A dead module says reject and not ready with these too. PASS is energised = pass; HEARTBEAT has no resting level."""


class CoilLevels(Protocol):
    """Any levels of the four coils."""

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT."""
        ...


def as_wired(bits: tuple[bool, bool, bool, bool], inverted: frozenset[str]) -> tuple[bool, bool, bool, bool]:
    """The levels on the wire of what four coils say, where some of them are inverted."""
    is_pass, reject, ready, heartbeat = bits
    # ``!=`` of two booleans is "exactly one of them": it turns the level round where its name is inverted.
    return is_pass, reject != ("REJECT" in inverted), ready != ("READY" in inverted), heartbeat


def checked_inversion(names: Iterable[str]) -> frozenset[str]:
    """The coils to invert. Raises ValueError for one that may not be: PASS is energised = pass, always."""
    inverted = frozenset(names)
    if not inverted <= INVERTIBLE:
        raise ValueError(
            f"only {' and '.join(sorted(INVERTIBLE))} may be inverted, never PASS (got {sorted(inverted)})"
        )
    return inverted


@dataclass(frozen=True, slots=True)
class CoilState:
    """What the four coils say. The defaults are the resting state; REJECT is always the opposite of PASS.

    Both coils equal is no state of ours: it means that the remote I/O dropped its outputs, or is wired wrong.
    """

    is_pass: bool = False
    is_ready: bool = False
    heartbeat: bool = False
    inverted: frozenset[str] = frozenset()

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT, as levels on the wire."""
        return as_wired((self.is_pass, not self.is_pass, self.is_ready, self.heartbeat), self.inverted)

    def __str__(self) -> str:
        return " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, self.bits, strict=True))


RESTING = CoilState()
"""Nothing passes: PASS 0, REJECT 1, READY 0, HEARTBEAT 0."""


class CoilWire(DeviceWire[CoilLevels], ABC):
    """A ``DeviceWire`` that writes four levels in one request and compares what stands there."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """The device, as messages call it."""

    @abstractmethod
    def fail(self, err: DriverError) -> NoReturn:
        """End the connection at once, and raise this."""

    @abstractmethod
    async def write_levels(self, levels: tuple[bool, bool, bool, bool]) -> None:
        """Write all four in one request; return when the device has confirmed exactly that one. Raises DriverError."""

    @abstractmethod
    async def read_levels(self) -> tuple[bool, ...]:
        """The four as they stand at the device. Raises DriverError."""

    async def write(self, state: CoilLevels) -> None:
        """As ``DeviceWire.write``."""
        await self.write_levels(state.bits)

    async def read_back(self, expected: CoilLevels) -> None:
        """As ``DeviceWire.read_back``."""
        found = await self.read_levels()
        if found != expected.bits:
            shown = " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, found, strict=False))
            # Not simply written again: something works against us, and what counts next is a REJECT that is proven on a
            # new connection (docs/decisions/0008).
            self.fail(
                ProtocolViolation(
                    f"{self.peer} reads back {shown} after {expected} was written: "
                    "its watchdog dropped the outputs and waits to be cleared, or another client writes them"
                )
            )

    async def write_proven(self, state: CoilLevels) -> None:
        """As ``DeviceWire.write_proven``."""
        await self.write(state)
        await self.read_back(state)
