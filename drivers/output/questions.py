"""What the device of an output is asked between two refreshes: its inputs, what it counts and what it wants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from drivers.base import DriverError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from drivers.output.wire import DeviceWire

__all__ = ["DeviceQuestions"]

S = TypeVar("S")
A = TypeVar("A")


class DeviceQuestions(ABC, Generic[S]):
    """The half of an output that asks. A device that counts nothing and wants nothing says None."""

    def __init__(self, part_present_input: int | None) -> None:
        self._part_present_input = part_present_input

    @property
    def wanted_program(self) -> int | None:
        """The controller's program that the peer wants; None where it has no way to say so."""
        return None

    @property
    def reject_count(self) -> int | None:
        """The peer's own count of parts that left by the reject chute; None where it has none."""
        return None

    async def read_part_present(self) -> bool:
        """The part-present input. Raises NotConnected, or DriverError where none is configured."""
        if self._part_present_input is None:
            raise DriverError("no part-present input is configured: set output.part_present_input in line.toml")
        return (await self.read_inputs((self._part_present_input,)))[0]

    async def read_inputs(self, addresses: tuple[int, ...]) -> tuple[bool, ...]:
        """Discrete inputs in one request, in the order asked; they lie within 64 addresses. Raises DriverError."""
        # One request, so that all levels are of the same moment; what lies between the addresses is thrown away.
        first = min(addresses)
        found = await self._alone(lambda link: link.read_inputs(first, max(addresses) - first + 1))
        return tuple(found[address - first] for address in addresses)

    @abstractmethod
    async def _alone(self, ask: Callable[[DeviceWire[S]], Awaitable[A]]) -> A:
        """Ask the device something between two refreshes. Raises DriverError; a failure ends the connection."""
