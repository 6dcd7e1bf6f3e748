"""The real agent with wires to its inputs: mode switch, acknowledge button, a chute that sees rejected parts leave."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from drivers.base import DriverError
from drivers.modbus.coil_output import CoilOutput
from drivers.simulated.remote_io import SimulatedRemoteIo
from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import JournalReader
from tests.simulated.line import READY, bad_image, edge_agent, good_image, line
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from pathlib import Path

MODE, BUTTON, CHUTE = 1, 9, 3
WIRES = f"""\
part_present_input = 0
mode_input = {MODE}
acknowledge_input = {BUTTON}
reject_confirm_input = {CHUTE}
reject_confirm_ms = 400
"""


async def test_inputs_that_lie_apart_come_in_one_request_and_in_the_order_asked() -> None:
    peer = SimulatedRemoteIo(inputs=40)
    await peer.start()
    output = CoilOutput("127.0.0.1", peer.port, pass_hold_s=1.0, refresh_s=0.05)
    with pytest.raises(DriverError, match="not connected"):
        await output.read_inputs((1,))
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed)
        for address in (2, 35):
            peer.set_input(address, True)
        assert await output.read_inputs((35, 1, 2, 34)) == (True, False, True, False)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()


@pytest.mark.slow
async def test_switch_button_and_chute(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text().replace("part_present_input = 0\n", WIRES))
        peer = at.remote_io
        await at.start_agent()
        await at.until("the output", lambda: peer.writes > 20)
        is_ready_in_manual = peer.coils[READY]
        peer.set_input(MODE, True)
        await at.until_ready()

        await at.controller.wire_trigger(bad_image(1))
        await at.until_rows(1)
        peer.set_input(CHUTE, True)  # the rejected part falls into the chute
        reads = peer.writes
        await at.until("a look at the chute", lambda: peer.writes > reads + 2)
        peer.set_input(CHUTE, False)
        await at.controller.wire_trigger(good_image(1))
        await at.until_rows(2)
        await at.controller.wire_trigger(bad_image(2))  # this one sticks in the flap
        await at.until("FAULT", lambda: not peer.coils[READY])
        await at.controller.wire_trigger(good_image(2))
        rows = await at.until_rows(4)
        asked = await asyncio.to_thread(edge_agent, "doctor", "--config", str(at.config))
        peer.set_input(BUTTON, True)
        await at.until_ready()
        peer.set_input(BUTTON, False)
        await at.controller.wire_trigger(good_image(3))
        rows = await at.until_rows(5)
        nothing = await asyncio.to_thread(
            edge_agent, "output", "acknowledge", "--config", str(at.config), "--by", "A. Rossi"
        )
        await at.stop_agent()
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            events = [event.detail for event in journal.events() if event.kind == "ACKNOWLEDGE"]

    assert not is_ready_in_manual
    assert [(row.verdict, row.reason) for row in rows] == [
        (Verdict.REJECT, Reason.SCORE),
        (Verdict.PASS, Reason.OK),
        (Verdict.REJECT, Reason.SCORE),
        (Verdict.FAULT, Reason.NOT_READY),
        (Verdict.PASS, Reason.OK),
    ]
    assert "part 3 was rejected and not seen leaving" in rows[3].detail
    assert "part 3 was rejected and not seen leaving" in asked.stdout
    assert events == ["part 3, which was rejected and not seen leaving, by the button"]
    assert nothing.returncode == 1
