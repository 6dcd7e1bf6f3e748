"""The real agent and a PLC: the handshake of drivers/modbus/PROTOCOL.md, step by step, over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.plc import PlcPart, SimulatedPlc
from edge_agent.domain import Reason, Verdict
from tests.simulated.line import PROGRAM, bad_image, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.line import Line


READY, FAULT, BUSY = 1, 2, 8
VERDICT, REASON, STATUS = 1, 3, 4
ACK, WANTED, REJECTED = 9, 11, 12


def lead_to(plc: SimulatedPlc, at: Line) -> None:
    """line.toml with the PLC in the place of the remote I/O."""
    text = at.config.read_text().replace(f"port = {at.remote_io.port}\n", f"port = {plc.port}\n")
    block = '[output]\nkind = "modbus-registers"\nprogram_request = "checked"\n'
    at.config.write_text(text.replace("[output]\n", block))


async def show(at: Line, plc: SimulatedPlc, image: bytes) -> PlcPart:
    """A part comes to the gate and is imaged; returns when the PLC decided."""
    part = plc.part_arrives()
    await at.controller.wire_trigger(image)
    await at.until("a decision of the PLC", lambda: part.is_decided)
    return part


async def test_a_part_passes_by_its_number_and_an_unknown_program_is_an_error(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    plc = SimulatedPlc(program=PROGRAM)
    await plc.start()
    try:
        async with line(tmp_path, thumbnail_bundle, start=False) as at:
            lead_to(plc, at)
            await at.start_agent()
            await at.until("READY", lambda: bool(plc.block[STATUS] & READY))
            idle = plc.block[STATUS]
            good = await show(at, plc, good_image(1))
            reason, acked = plc.block[REASON], plc.words[ACK]
            bad = await show(at, plc, bad_image(1))
            await at.until_rows(2)
            await at.until("the end of BUSY", lambda: not plc.block[STATUS] & BUSY)
            plc.words[WANTED] = 9
            await at.until("FAULT", lambda: bool(plc.block[STATUS] & FAULT))
            wrong = plc.block
            plc.words[WANTED] = PROGRAM
            await at.until("READY again", lambda: bool(plc.block[STATUS] & READY))
            again = await show(at, plc, good_image(2))
            rows = await at.until_rows(3)
            exit_code = await at.stop_agent()
    finally:
        await plc.stop()

    assert idle == READY | (PROGRAM + 1) << 6
    assert (good.is_let_through, bad.is_let_through, again.is_let_through) == (True, False, True)
    assert (reason, acked) == (1, 1)
    assert plc.words[REJECTED] == 1
    assert (wrong[VERDICT], wrong[REASON]) == (0x00C3, 107)
    assert [(row.verdict, row.reason) for row in rows] == [
        (Verdict.PASS, Reason.OK),
        (Verdict.REJECT, Reason.SCORE),
        (Verdict.PASS, Reason.OK),
    ]
    assert exit_code == 0
    assert plc.block[VERDICT] == 0x00C3
    assert not plc.block[STATUS] & READY


async def test_the_plcs_own_count_triggers_the_camera(tmp_path: Path, thumbnail_bundle: Path) -> None:
    plc = SimulatedPlc(program=PROGRAM)
    await plc.start()
    try:
        async with line(tmp_path, thumbnail_bundle, trigger='source = "plc"', start=False) as at:
            lead_to(plc, at)
            await at.start_agent()
            await at.until("READY", lambda: bool(plc.block[STATUS] & READY))
            decided = []
            for image in (good_image(1), bad_image(1)):
                at.controller.put_part(image)
                part = plc.part_arrives()
                await at.until("a decision of the PLC", lambda part=part: part.is_decided)
                decided.append(part.is_let_through)
            rows = await at.until_rows(2)
    finally:
        await plc.stop()

    assert decided == [True, False]
    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.REJECT]


async def test_a_simulated_run_has_the_output_that_line_toml_names(tmp_path: Path, thumbnail_bundle: Path) -> None:
    output = 'kind = "modbus-registers"\nprogram_request = "checked"\nmode_input = 1\nreject_confirm_ms = 1000\n'
    images = tmp_path / "images"
    images.mkdir()
    for number, image in enumerate((good_image(1), bad_image(1)), 1):
        (images / f"261123_080000_{number:010d}_CAM1_OK.bmp").write_bytes(image)
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text().replace("[output]\n", f"[output]\n{output}"))
        await at.start_agent("--simulated", "--simulated-images", str(images))
        rows = await at.until_rows(2)
        exit_code = await at.stop_agent()
        log = (tmp_path / "agent.log").read_text()

    assert [row.verdict for row in rows[:2]] == [Verdict.PASS, Verdict.REJECT]
    assert {row.simulated for row in rows} == {True}
    assert "reject_not_seen" not in log
    assert exit_code == 0
