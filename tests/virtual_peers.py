"""The peers of the line in virtual time, in memory: no sockets, and the faults that are asked for."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import TYPE_CHECKING, Generic, TypeVar

from drivers.base import NotConnected, Reason
from drivers.modbus.coil_output import CoilOutput
from drivers.simulated.modbus_pdu import Request
from drivers.simulated.remote_io import IoFault, SimulatedRemoteIo
from edge_agent.domain import Inspection, Outcome
from edge_agent.store.writer import JournalWriter
from tests.two_steps import AtOnce

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.output.coils import CoilState

T = TypeVar("T")

DEADLINE_S, HOLD_S, WATCHDOG_S, TIMEOUT_S = 0.25, 0.1, 0.5, 0.15
_EXCHANGE_S = 0.001


def sha256_of(data: bytes) -> str:
    """The name of an image's bytes."""
    return hashlib.sha256(data).hexdigest()


class NullInspector(AtOnce):
    """Judges by what the image says of itself: ``<truth>,<1 if good>``. Of a bad one it says so early."""

    def judge(self, prepared: bytes, certain: Callable[[], None] | None = None) -> Inspection:
        if certain is not None and not prepared.endswith(b",1"):
            certain()
        return self.inspect(prepared)

    def inspect(self, data: bytes) -> Inspection:
        is_good = data.endswith(b",1")
        outcome, reason = (Outcome.OK, Reason.OK) if is_good else (Outcome.NG, Reason.SCORE)
        return Inspection(outcome, reason, 1.0 if is_good else 3.0, 2.0, "c0de" + 60 * "0", sha256_of(data))


class VirtualCoils:
    """The wire to the simulated remote I/O without sockets: one exchange takes a millisecond."""

    def __init__(self, peer: SimulatedRemoteIo) -> None:
        self._peer, self.is_up = peer, False

    async def open(self) -> None:
        await self._exchange()
        self.is_up = True

    async def prepare(self) -> None:
        """This one's watchdog is armed from the start."""

    async def write(self, state: CoilState) -> None:
        await self._exchange()
        self._peer._carry_out(Request(15, 0, len(state.bits), state.bits))

    async def read_back(self, expected: CoilState) -> None:
        await self._exchange()
        if self._peer.coils[: len(expected.bits)] != expected.bits:
            self.abort()
            raise NotConnected("reads back something else")

    async def write_proven(self, state: CoilState) -> None:
        await self.write(state)
        await self.read_back(state)

    async def read_input(self, _address: int) -> bool:
        raise AssertionError("this line has no part-present input")

    def close(self) -> None:
        self.is_up = False

    def abort(self) -> None:
        self.is_up = False

    async def _exchange(self) -> None:
        if self._peer.fault is IoFault.MUTE:
            await asyncio.sleep(TIMEOUT_S)
            self.abort()
            raise NotConnected("the remote I/O does not answer")
        await asyncio.sleep(_EXCHANGE_S)


class VirtualOutput(CoilOutput):
    """The real output, on that wire."""

    def __init__(self, peer: SimulatedRemoteIo) -> None:
        super().__init__("virtual", 502, pass_hold_s=HOLD_S, write_timeout_s=TIMEOUT_S)
        self._device = peer

    def _new_link(self) -> VirtualCoils:  # type: ignore[override]
        return VirtualCoils(self._device)


class MoodyDisk(JournalWriter):
    """A journal whose disk refuses a write now and then."""

    refusals = 0
    draw = random.Random(0)
    chance = 0.0

    def _refuse_if_gone(self) -> None:
        super()._refuse_if_gone()
        if self.draw.random() < self.chance:
            MoodyDisk.refusals += 1
            raise OSError(28, "no space left on device")


class Source(Generic[T]):
    """What a peer sends, in its order of arrival."""

    is_bound = True

    def __init__(self) -> None:
        self._queue: asyncio.Queue[T] = asyncio.Queue()
        self.put = self._queue.put_nowait
        self.next = self._queue.get

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()
