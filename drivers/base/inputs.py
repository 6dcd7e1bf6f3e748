"""What the device of an output tells of the line: levels of wires, and what a PLC counts and wants."""

from __future__ import annotations

from typing import Protocol

from drivers.base.outputs import VerdictOutput

__all__ = ["DeviceInputs", "LineDevice"]


class DeviceInputs(Protocol):
    """What can be asked of a device while its output runs. A device that has nothing of a kind says so."""

    @property
    def wanted_program(self) -> int | None:
        """The controller's program that the device wants; None where it is not heard, or has no way to say so."""
        ...

    @property
    def reject_count(self) -> int | None:
        """The device's own count of parts that left by the reject chute; None where it is not heard, or has none."""
        ...

    async def read_inputs(self, addresses: tuple[int, ...]) -> tuple[bool, ...]:
        """Discrete inputs in one request, in the order asked. Raises DriverError, also where the device has none."""
        ...


class LineDevice(VerdictOutput, DeviceInputs, Protocol):
    """A device on the line: verdicts go to it, and it tells what it sees. What an ``output`` of line.toml becomes."""
