"""An inspection that hangs or kills the process, an agent that stands still: REJECT at once, and a new agent.

The service manager is ours (the unit's figures, the real protocol); tests/service tries the unit in a real systemd.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.domain import Verdict
from tests.simulated.line import PASS, READY, good_image, line
from tests.simulated.service_manager import ServiceManager, managed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
IN_NATIVE_CODE = ("hangs", "holds the interpreter", "aborts", "reads a null pointer")


@pytest.mark.promise(
    "T-02", "an inspection that hangs or kills the process, SIGSTOP", "no wrong PASS, started again in 4 s, READY"
)
@pytest.mark.parametrize("fault", [*IN_NATIVE_CODE, "is stopped"] if LONG else ["hangs"])
async def test_a_fault_in_native_code_ends_in_reject_and_a_new_agent(
    tmp_path: Path, thumbnail_bundle: Path, figure: Callable[[str], None], fault: str
) -> None:
    asked = tmp_path / "fault"
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        manager = ServiceManager(
            at.config,
            tmp_path / "agent.log",
            ("tests.simulated.faulty_agent",),
            {"EDGE_AGENT_TEST_FAULT": str(asked)},
        )
        async with managed(manager):
            await at.until_ready()
            await at.controller.wire_trigger(good_image(1))
            await at.until_rows(1)
            await at.until("the end of PASS", lambda: not at.remote_io.coils[PASS])
            windows, begin = len(Gate(at.remote_io.history, pass_coil=PASS).windows()), monotonic_s()
            if fault == "is stopped":
                assert manager.process is not None
                manager.process.send_signal(signal.SIGSTOP)
            else:
                asked.write_text(fault)
            await at.controller.wire_trigger(good_image(2))
            await at.until("a second agent", lambda: len(manager.times_of("started")) == 2)
            windows_after = len(Gate(at.remote_io.history, pass_coil=PASS).windows())
            await at.until("READY again", lambda: at.remote_io.coils[READY] and len(manager.times_of("READY=1")) == 2)
            ready_s = monotonic_s()
            await at.controller.wire_trigger(good_image(3))
            rows = await at.until_rows(3)

    assert windows_after == windows, "nobody judged the part"
    assert sorted(row.count or 0 for row in rows) == [1, 2, 3], "every part once"
    assert [row.verdict is Verdict.PASS for row in sorted(rows, key=lambda row: row.count or 0)] == [True, False, True]
    started = manager.times_of("started")[1]
    figure(f"{fault}: new agent after {started - begin:.1f} s, READY {ready_s - started:.1f} s later")
