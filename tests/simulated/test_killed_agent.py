"""The real agent is killed or stopped while PASS stands; this process owns the remote I/O and sees the wire."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import JournalReader
from tests.simulated.line import PASS, READY, good_image, line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


HOLD_S = 5.0
"""Much longer than the remote I/O's watchdog: what ends PASS early is the watchdog, not the hold time."""


@pytest.mark.promise(
    "T-01", "kill -9, SIGSTOP of the real agent while PASS stands, once each", "PASS off in 600 ms, has its row"
)
@pytest.mark.parametrize("stopped_by", [signal.SIGKILL, signal.SIGSTOP])
async def test_pass_drops_when_the_agent_falls_silent_and_its_row_is_there(
    tmp_path: Path, thumbnail_bundle: Path, figure: Callable[[str], None], stopped_by: signal.Signals
) -> None:
    async with line(tmp_path, thumbnail_bundle, spacing_ms=8000, start=False) as at:
        at.config.write_text(at.config.read_text().replace("pass_hold_ms = 100", f"pass_hold_ms = {HOLD_S * 1000:.0f}"))
        await at.start_agent()
        await at.until_ready()
        await at.controller.wire_trigger(good_image(1))
        await at.until("PASS", lambda: at.remote_io.coils[PASS])
        assert at.agent is not None
        at.agent.send_signal(stopped_by)
        silent_since = monotonic_s()
        await at.until("the end of PASS", lambda: not at.remote_io.coils[PASS])
        is_ready = at.remote_io.coils[READY]
        ((_, dropped),) = Gate(at.remote_io.history, pass_coil=PASS).windows()
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            (row,) = journal.rows()

    assert (row.verdict, row.reason) == (Verdict.PASS, Reason.OK)
    assert not is_ready
    assert dropped - silent_since < HOLD_S / 2, "the hold time ended it, not the silence"
    figure(f"{stopped_by.name} {(dropped - silent_since) * 1000:.0f} ms")


async def test_an_agent_that_wakes_up_brings_no_old_pass_back(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        await at.controller.wire_trigger(good_image(1))
        await at.until("PASS", lambda: at.remote_io.coils[PASS])
        assert at.agent is not None
        at.agent.send_signal(signal.SIGSTOP)
        await at.until("the end of PASS", lambda: not at.remote_io.coils[PASS])
        windows = len(Gate(at.remote_io.history, pass_coil=PASS).windows())
        at.agent.send_signal(signal.SIGCONT)
        await at.until_ready()
        windows_after = len(Gate(at.remote_io.history, pass_coil=PASS).windows())

    assert (windows, windows_after) == (1, 1)
