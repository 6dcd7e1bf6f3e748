"""Wires of a test: they keep what was done with them, and fail when asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from drivers.base import DriverError, NotConnected
from drivers.output import CoilWire

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.output import OnLost


class Wires:
    """Wires that keep what was done with them, and fail when asked, without ending by themselves."""

    def __init__(self) -> None:
        self.made: list[Wire] = []
        self.fails: Callable[[str], bool] = lambda _what: False

    def __call__(self, *, on_lost: OnLost) -> Wire:
        self.made.append(Wire(self, on_lost))
        return self.made[-1]


class Wire(CoilWire):
    peer = "a wire of a test"

    def __init__(self, wires: Wires, on_lost: OnLost) -> None:
        self.did: list[str] = []
        self.tried: list[str] = []
        """As ``did``, and also what was asked of it after its end."""
        self.levels: tuple[bool, ...] = (False,) * 4
        self.inputs_asked: list[tuple[int, int]] = []
        self.is_ended = False
        self.lose = on_lost
        self._wires = wires

    def _do(self, what: str) -> None:
        self.tried.append(what)
        if self.is_ended:
            raise NotConnected("it was ended")
        self.did.append(what)
        if self._wires.fails(what):
            raise DriverError(f"{what} was asked to fail")

    @property
    def is_up(self) -> bool:
        return "open" in self.did and not self.is_ended

    async def open(self) -> None:
        await asyncio.sleep(0)  # a real one waits here: who dials without a pause must not hold up the test
        self._do("open")

    async def prepare(self) -> None:
        self._do("prepare")

    async def write_levels(self, levels: tuple[bool, bool, bool, bool]) -> None:
        self._do("write PASS" if levels[0] else "write")
        self.levels = levels

    async def read_levels(self) -> tuple[bool, ...]:
        self._do("read back")
        return self.levels

    async def read_inputs(self, first: int, count: int) -> tuple[bool, ...]:
        self._do("read inputs")
        self.inputs_asked.append((first, count))
        return (True,) * count

    def fail(self, err: DriverError) -> NoReturn:
        raise err

    def abort(self) -> None:
        self.is_ended = True
        self.did.append("abort")

    def close(self) -> None:
        self.is_ended = True
        self.did.append("close")


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
