"""A part that was imaged while this machine slept left long ago: it never passes, whichever clock missed the time."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.domain import Verdict
from tests.simulated.line import PASS, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ASLEEP_S = 6.0
"""More than the longest that the times of this line, in whole seconds of the controller, leave open."""


@pytest.mark.parametrize("sleep", ["suspended", "paused"])
async def test_a_part_that_was_imaged_while_the_machine_slept_never_passes(
    tmp_path: Path, thumbnail_bundle: Path, sleep: str
) -> None:
    slept = tmp_path / "slept"
    slept.write_text("0")
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.environment = {"EDGE_AGENT_TEST_SLEPT": str(slept), "EDGE_AGENT_TEST_SLEEP": sleep}
        await at.start_agent(module="tests.simulated.sleeping_agent")
        await at.until_ready()
        await at.controller.wire_trigger(good_image(1))
        before = await at.until_rows(1)
        assert at.agent is not None
        at.agent.send_signal(signal.SIGSTOP)
        began_s = monotonic_s()
        await at.controller.wire_trigger(good_image(2))
        await asyncio.sleep(ASLEEP_S)  # the fault itself: nothing happens in it that could be waited for
        slept.write_text(str(monotonic_s() - began_s))
        at.agent.send_signal(signal.SIGCONT)
        rows = await at.until_rows(2)
        await at.until("a link that began anew", lambda: at.log_text().count('"link_up"') >= 2)
        await at.until_ready()
        windows = [at_s for at_s, _ in Gate(at.remote_io.history, pass_coil=PASS).windows() if at_s > began_s]
        await at.controller.wire_trigger(good_image(3))
        after = await at.until_rows(3)

    assert before[0].verdict is Verdict.PASS
    assert rows[1].verdict is not Verdict.PASS
    assert windows == []
    assert after[-1].verdict is Verdict.PASS, "it is on the line again"
