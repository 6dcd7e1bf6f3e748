"""The device loses power at every step of a verdict, one after the other: no PASS of before for the part after."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import Published, Reason, Verdict
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.modules import MODULES
from drivers.modbus.register_output import RegisterOutput
from drivers.simulated.gate import Gate
from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import SimulatedRemoteIo
from drivers.simulated.wago import SimulatedWago
from drivers.timing import Deadline, monotonic_s
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import Callable

OFF_S = 0.02
MOST_STEPS = 60


class Breaks:
    """A peer that loses power at its n-th request, before or after it was carried out; the reply is lost."""

    at = 0
    carries_out = False
    requests = 0
    cut: asyncio.Task[None] | None = None

    def _reply(self, pdu: bytes) -> bytes:
        self.requests += 1
        if self.at and self.requests == self.at:
            if self.carries_out:
                super()._reply(pdu)  # type: ignore[misc]
            self.cut = asyncio.get_running_loop().create_task(self.power_cycle(OFF_S))  # type: ignore[attr-defined]
            return b""
        reply: bytes = super()._reply(pdu)  # type: ignore[misc]
        return reply

    def breaks_at(self, step: int, *, carries_out: bool) -> None:
        self.requests, self.at, self.carries_out = 0, step, carries_out


class BreakingBeckhoff(Breaks, SimulatedRemoteIo):
    pass


class BreakingWago(Breaks, SimulatedWago):
    async def power_cycle(self, off_s: float) -> None:
        self._is_started, self._registers[0x1003] = False, 0
        await super().power_cycle(off_s)


class BreakingPlc(Breaks, SimulatedPlc):
    """Nothing is retained: words and parts are gone."""

    async def power_cycle(self, off_s: float) -> None:
        self.words = dict.fromkeys(self.words, 0)
        self.parts.clear()
        await super().power_cycle(off_s)


async def every_step(run: Callable[[int, bool], Any]) -> int:
    """Run with the fault at step 1, 2, 3 ... until a run was over before its step came. How many steps there were."""
    for step in range(1, MOST_STEPS):
        hit = [await run(step, carries_out) for carries_out in (False, True)]
        if not any(hit):
            return step - 1
    raise AssertionError("the scenario never ended before its fault")


@pytest.mark.promise("T-04", "a power cycle of the device at every request of a part", "0 PASS for the part after it")
@pytest.mark.parametrize(("kind", "module"), [(BreakingBeckhoff, "beckhoff-bk9000"), (BreakingWago, "wago-750")])
async def test_coils(kind: type[Any], module: str, figure: Callable[[str], None]) -> None:
    async def run(step: int, carries_out: bool) -> bool:  # noqa: FBT001 - of every_step alone
        peer = kind(watchdog_s=0.5)
        await peer.start()
        output = CoilOutput(
            "127.0.0.1",
            peer.port,
            first_coil=MODULES[module].first_coil,
            pass_hold_s=5.0,
            refresh_s=0.02,
            write_timeout_s=0.05,
            module=MODULES[module],
        )
        task = asyncio.create_task(output.run(lambda: True))
        try:
            await until(lambda: output.is_confirmed)
            peer.breaks_at(step, carries_out=carries_out)
            await output.publish(1, Verdict.PASS, Deadline.after(2.0), Reason.OK)
            await output.begin_part(2, monotonic_s())
            begin = monotonic_s()
            was_hit = peer.cut is not None
            await until(lambda: output.is_confirmed)
            await output.publish(2, Verdict.REJECT, Deadline.after(2.0), Reason.SCORE)
            end = monotonic_s()
            windows = [window for window in Gate(peer.history).windows() if window[1] > begin and window[0] < end]
            assert windows == [], f"PASS while part 2 was at the gate: step {step}, carried out: {carries_out}"
            peer.at = 0
            await until(lambda: output.is_confirmed and peer.coils[2])
            assert await output.publish(3, Verdict.PASS, Deadline.after(2.0), Reason.OK) is Published.PUBLISHED
            assert peer.coils[:2] == (True, False)
        finally:
            task.cancel()
            await asyncio.gather(task, *([peer.cut] if peer.cut else []), return_exceptions=True)
            await peer.stop()
        return was_hit

    steps = await every_step(run)

    assert steps >= 4, "a PASS and its end are four requests at least"
    figure(f"{module}: {steps} steps, 0")


@pytest.mark.promise("T-04", "a power cycle of the device at every request of a part", "0 PASS for the part after it")
async def test_registers(figure: Callable[[str], None]) -> None:
    async def run(step: int, carries_out: bool) -> bool:  # noqa: FBT001 - of every_step alone
        peer = BreakingPlc()
        await peer.start()
        output = RegisterOutput("127.0.0.1", peer.port, pass_hold_s=5.0, refresh_s=0.02, write_timeout_s=0.05)
        task = asyncio.create_task(output.run(lambda: True))
        try:
            await until(lambda: output.is_confirmed and peer.block[4] & 1)
            peer.breaks_at(step, carries_out=carries_out)
            peer.part_arrives()
            await output.begin_part(1, monotonic_s())
            await output.publish(1, Verdict.PASS, Deadline.after(2.0), Reason.OK)
            second = peer.part_arrives()
            await output.begin_part(2, monotonic_s())
            was_hit = peer.cut is not None
            await until(lambda: output.is_confirmed)
            await output.publish(2, Verdict.REJECT, Deadline.after(2.0), Reason.SCORE)
            peer.at = 0
            third = peer.part_arrives()
            await until(lambda: output.is_confirmed and peer.block[4] & 1)
            for _ in range(5):
                peer.scan(monotonic_s())
            assert not second.is_let_through, f"step {step}, carried out: {carries_out}"
            assert not third.is_let_through, f"step {step}: nothing was published for the third part"
            # After a part that only one of them saw, both start again from the PLC's number.
            await output.publish(3, Verdict.REJECT, Deadline.after(2.0), Reason.SCORE)
            fourth = peer.part_arrives()
            await output.begin_part(4, monotonic_s())
            assert await output.publish(4, Verdict.PASS, Deadline.after(2.0), Reason.OK) is Published.PUBLISHED
            await until(lambda: fourth.is_let_through)
        finally:
            task.cancel()
            await asyncio.gather(task, *([peer.cut] if peer.cut else []), return_exceptions=True)
            await peer.stop()
        return was_hit

    steps = await every_step(run)

    assert steps >= 4
    figure(f"PLC: {steps} steps, 0")
