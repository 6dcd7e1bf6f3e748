"""The real agent as its own process, over real sockets, against the simulated controller and remote I/O."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from drivers.simulated.camera import encode_bmp
from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.domain import Reason, Verdict
from tests.simulated.line import PASS, READY, REJECT, THUMBNAIL, bad_image, edge_agent, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure
    from tests.simulated.line import Line


@pytest.mark.promise("T-28", "what ran is replayed", "verdicts and scores the same, bit for bit")
async def test_good_parts_pass_the_gate_bad_ones_do_not_and_replay_is_bit_for_bit(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    images = [good_image(1), bad_image(1), good_image(2), good_image(3), bad_image(2)]
    async with line(tmp_path, thumbnail_bundle) as at:
        gate, opened = Gate(at.remote_io.history, pass_coil=PASS), []
        for number, image in enumerate(images, 1):
            begin = monotonic_s()
            await at.controller.wire_trigger(image)
            await at.until_rows(number)
            await at.until("the window's end", lambda: not at.remote_io.coils[PASS] and at.remote_io.coils[REJECT])
            opened.append(gate.let_through(begin, monotonic_s()))
        rows = at.rows()
        exit_code = await at.stop_agent()

    assert [row.verdict for row in rows] == [
        Verdict.PASS,
        Verdict.REJECT,
        Verdict.PASS,
        Verdict.PASS,
        Verdict.REJECT,
    ]
    assert opened == [row.verdict is Verdict.PASS for row in rows]
    assert exit_code == 0

    ran = edge_agent("replay", "archive", "--config", "line.toml", "--report", "r.html", "--json", cwd=tmp_path)
    replayed = json.loads(ran.stdout)

    assert ran.returncode == 0, ran.stderr
    assert (replayed["images"], replayed["compared"], replayed["different"]) == (5, 5, 0)
    assert [result["score"] for result in replayed["results"]] == [row.score for row in rows]
    assert "</html>" in (tmp_path / "r.html").read_text()


async def test_replay_notices_a_score_that_is_not_the_recorded_one(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.controller.wire_trigger(good_image(1))
        await at.until_rows(1)
        await at.stop_agent()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as journal, journal:
        journal.execute("DROP TRIGGER camera_is_not_changed")
        journal.execute("UPDATE camera SET score = score * 1.000001")
    bundle = str(thumbnail_bundle)
    ran = edge_agent("replay", "archive", "--bundle", bundle, "--journal", "journal.sqlite3", cwd=tmp_path)

    assert ran.returncode == 1
    assert "DIFFERENT: 1" in ran.stdout


@pytest.mark.promise("T-23", "SIGTERM", "3 s at most, REJECT, exit 0")
async def test_stopping_leaves_reject_on_the_wire(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        begin = monotonic_s()
        exit_code = await at.stop_agent()
        took_s = monotonic_s() - begin
        # Written; a process that takes its time to be gone leaves it to the remote I/O's watchdog, which drops all.
        written = {change.coil: change.value for change in at.remote_io.history if change.cause == "write"}

    assert exit_code == 0
    assert (written.get(PASS, False), written[REJECT], written[READY]) == (False, True, False)
    figure(f"{took_s:.1f} s", is_reached=took_s <= 3.0)


async def test_a_stop_in_mid_part_leaves_its_row_and_ends_in_order(tmp_path: Path, thumbnail_bundle: Path) -> None:
    """The inspection is in native code when the interpreter goes: that must not end in an abort."""
    fault = tmp_path / "fault"
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.environment["EDGE_AGENT_TEST_FAULT"] = str(fault)
        await at.start_agent(module="tests.simulated.faulty_agent")
        await at.until_ready()
        fault.write_text("goes on and on")
        await at.controller.wire_trigger(good_image(1))
        await at.until("its image", lambda: bool(spooled(at)))
        await asyncio.sleep(0.2)
        exit_code = await at.stop_agent()
        rows = at.rows()

    assert exit_code == 0, at.log_tail()
    assert [(row.count, row.verdict, row.reason) for row in rows] == [(1, Verdict.FAULT, Reason.NOT_READY)]
    assert "being stopped" in rows[0].detail
    assert not any(change.value for change in at.remote_io.history if change.coil == PASS)
    assert not spooled(at), "its image is in the archive"


def spooled(at: Line) -> list[Path]:
    """What lies in the spool."""
    return [path for path in (at.folder / "spool").rglob("*") if path.is_file()]


async def test_a_killed_agent_loses_its_outputs_to_the_watchdog(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        assert at.agent is not None
        at.agent.send_signal(signal.SIGKILL)
        await at.agent.wait()
        await at.until("a watchdog trip", lambda: at.remote_io.watchdog_trips > 0, within_s=5.0)
        after_the_trip = at.remote_io.coils
        changes_before = len(at.remote_io.history)
        failed_safe = await asyncio.to_thread(edge_agent, "output", "fail-safe", "--config", str(at.config))
        changes = at.remote_io.history[changes_before:]

    assert not after_the_trip[PASS]
    assert not after_the_trip[READY]
    assert failed_safe.returncode == 0, failed_safe.stderr
    # The watchdog may have dropped REJECT again since: the command does not stay to feed it.
    assert [(change.coil, change.value) for change in changes[:1]] == [(REJECT, True)]


async def test_the_agent_runs_where_torch_cannot_be_imported(tmp_path: Path, thumbnail_bundle: Path) -> None:
    blocker = tmp_path / "no-torch" / "torch"
    blocker.mkdir(parents=True)
    (blocker / "__init__.py").write_text("raise ImportError('torch is not for the line')")
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.environment["PYTHONPATH"] = str(blocker.parent)
        await at.start_agent()
        await at.until_ready()
        await at.controller.wire_trigger(good_image(1))
        (row,) = await at.until_rows(1)

    assert row.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("what", "image", "reasons"),
    [
        ("empty", b"", {Reason.IMAGE_BROKEN}),
        ("not an image", b"GIF89a, honestly", {Reason.IMAGE_BROKEN}),
        ("truncated", good_image(1)[:9000], {Reason.IMAGE_BROKEN}),
        ("zero-filled", good_image(1)[:9000] + bytes(len(good_image(1)) - 9000), {Reason.IMAGE_BROKEN}),
        ("black", good_image(1)[:1078] + b"\x01" * (len(good_image(1)) - 1078), {Reason.ALIGN}),
    ],
)
async def test_a_bad_image_is_rejected_with_its_reason_and_the_line_goes_on(
    tmp_path: Path, thumbnail_bundle: Path, what: str, image: bytes, reasons: set[Reason]
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.controller.wire_trigger(image)
        await at.until_rows(1)
        await at.controller.wire_trigger(good_image(2))
        bad, good = await at.until_rows(2)

    assert bad.verdict is Verdict.REJECT, what
    assert bad.reason in reasons, bad.detail
    assert good.verdict is Verdict.PASS


async def test_images_of_another_shape_are_rejected(tmp_path: Path, thumbnail_bundle: Path) -> None:
    other_size = encode_bmp(np.full((150, 200), 90, np.uint8))
    colour = cv2.imencode(".png", np.full((*reversed(THUMBNAIL), 3), 90, np.uint8))[1].tobytes()
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.controller.wire_trigger(other_size)
        await at.until_rows(1)
        await at.controller.wire_trigger(colour, extension="png")
        rows = await at.until_rows(2)

    assert [row.reason for row in rows] == [Reason.IMAGE_SIZE, Reason.IMAGE_SIZE]


@pytest.mark.parametrize("damage", ["missing file", "altered file", "altered manifest"])
async def test_a_damaged_bundle_is_refused_with_65_and_never_ready(
    tmp_path: Path, thumbnail_bundle: Path, damage: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(thumbnail_bundle, bundle)
    if damage == "missing file":
        (bundle / "bank.npz").unlink()
    elif damage == "altered file":
        data = bytearray((bundle / "cpcae.onnx").read_bytes())
        data[len(data) // 2] ^= 1
        (bundle / "cpcae.onnx").write_bytes(data)
    else:
        manifest = json.loads((bundle / "manifest.json").read_text())
        manifest["limit"]["value"] *= 2
        (bundle / "manifest.json").write_text(json.dumps(manifest))
    async with line(tmp_path, bundle, start=False) as at:
        await at.start_agent()
        assert at.agent is not None
        async with asyncio.timeout(20):
            exit_code = await at.agent.wait()
        was_ready = any(coil == READY and value for _, coil, value, _ in at.remote_io.history)
        log = at.log_tail()

    assert exit_code == 65, log
    assert "hint:" in log
    assert not was_ready


async def test_a_second_agent_on_the_same_journal_is_refused_with_75(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        second = await asyncio.to_thread(edge_agent, "run", "--config", str(at.config))
        is_still_ready = at.remote_io.coils[READY]

    assert second.returncode == 75, second.stderr
    assert is_still_ready


@pytest.mark.promise("T-24", "a peer that is not there, a port that is taken", "never READY, recovers alone")
async def test_an_absent_controller_keeps_the_line_from_ready_until_it_comes(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        await at.controller.stop()
        await at.start_agent()
        await at.until("REJECT", lambda: at.remote_io.coils[REJECT])
        was_ready = at.remote_io.coils[READY]
        await at.controller.start()
        await at.until_ready()

    assert not was_ready


@pytest.mark.promise("T-24", "a peer that is not there, a port that is taken", "never READY, recovers alone")
async def test_a_remote_io_that_goes_and_comes_back_is_found_again(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.remote_io.stop()
        await at.controller.wire_trigger(good_image(1))
        (row,) = await at.until_rows(1)
        await at.remote_io.start()
        await at.until_ready()
        await at.controller.wire_trigger(good_image(2))
        _, after = await at.until_rows(2)

    assert row.verdict is not Verdict.PASS
    assert after.verdict is Verdict.PASS


@pytest.mark.promise("T-24", "a peer that is not there, a port that is taken", "never READY, recovers alone")
async def test_an_ftp_port_in_use_is_said_and_waited_for(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        port = int(next(text for text in at.config.read_text().split("[images.ftp]\nport = ")[1:]).split()[0])
        squatter = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
        await at.start_agent()
        await at.until("the complaint", lambda: str(port) in at.log_tail())
        was_ready = at.remote_io.coils[READY]
        squatter.close()
        await squatter.wait_closed()
        await at.until_ready()

    assert not was_ready


@pytest.mark.parametrize("trigger", ['source = "interval"\ninterval_ms = 2500', 'source = "input"'])
async def test_parts_that_the_agent_triggers_are_judged_too(
    tmp_path: Path, thumbnail_bundle: Path, trigger: str
) -> None:
    async with line(tmp_path, thumbnail_bundle, trigger=trigger) as at:
        at.controller.put_part(good_image(1))
        if "input" in trigger:
            at.remote_io.set_input(0, True)
        rows = await at.until_rows(1)

    assert rows[0].verdict is Verdict.PASS
    assert rows[0].count == 1


async def test_what_comes_after_the_deadline_of_a_triggered_part_passes_nothing(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    trigger = 'source = "interval"\ninterval_ms = 2500'
    async with line(tmp_path, thumbnail_bundle, trigger=trigger, deadline_ms=700, start=False) as at:
        at.controller.put_part(good_image(1))
        at.controller.timing = replace(at.controller.timing, processing_s=1.2)
        await at.start_agent()
        late = await at.until_rows(3)
        windows = Gate(at.remote_io.history, pass_coil=PASS).windows()
        at.controller.timing = replace(at.controller.timing, processing_s=0.02)
        await at.until("PASS", lambda: at.remote_io.coils[PASS])

    assert windows == []
    assert all(row.verdict is not Verdict.PASS for row in late)
    assert Reason.NO_ANSWER in [row.reason for row in late]


async def test_a_watched_folder_serves_as_well_as_ftp(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, images="folder") as at:
        await at.controller.wire_trigger(good_image(1))
        await at.until_rows(1)
        await at.controller.wire_trigger(bad_image(1))
        rows = await at.until_rows(2)

    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.REJECT]


async def test_what_the_controllers_tools_measure_is_in_journal_log_and_export_by_name(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    items = ("count", "judgement", "value:pitch_mm:+3", "judgement:edge", "skip")
    async with line(tmp_path, thumbnail_bundle, result_items=items) as at:
        await at.controller.wire_trigger(good_image(1))
        (row,) = await at.until_rows(1)
        await at.stop_agent()
    ran = edge_agent("journal", "export", "out.jsonl", "--config", "line.toml", cwd=tmp_path)
    exported = json.loads((tmp_path / "out.jsonl").read_text())
    said = next(line for line in at.log_tail().splitlines() if "part_judged" in line)

    assert dict(row.measured) == {"pitch_mm": 4.953, "edge": "OK"}
    assert json.loads(said)["measured"] == dict(row.measured)
    assert json.loads(exported["measured"]) == dict(row.measured), ran.stderr


async def test_the_controllers_own_ng_rejects(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.controller.wire_trigger(good_image(1), judgement="NG")
        (row,) = await at.until_rows(1)

    assert (row.verdict, row.reason) == (Verdict.REJECT, Reason.CONTROLLER_NG)


async def test_a_simulated_run_needs_no_hardware_and_says_that_it_is_simulated(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        arguments = ["--simulated", "--simulated-images", str(thumbnail_bundle.parent / "good")]
        await at.start_agent(*arguments)
        rows = await at.until_rows(2)
        exit_code = await at.stop_agent()
        reached_the_named_output = bool(at.remote_io.history)

    assert {row.simulated for row in rows} == {True}
    assert rows[0].verdict is Verdict.PASS
    assert exit_code == 0
    assert not reached_the_named_output
