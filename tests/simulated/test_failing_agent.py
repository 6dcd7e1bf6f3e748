"""An inspection that hangs or kills the process, an agent that stands still: REJECT at once, and a new agent.

The service manager is ours (the unit's figures, the real protocol). Each fault meets a PASS that stands. An inspection
fails only with a part of its own, so that part comes sooner after the passed one than the line's spacing allows; its
first sign ends PASS before the inspection begins. What stands still at a refresh leaves PASS to the watchdog.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from drivers.simulated.gate import Gate
from drivers.timing import monotonic_s
from edge_agent.domain import Verdict
from edge_agent.store.journal import JournalReader
from tests.shards import add_shard
from tests.simulated.line import PASS, READY, Line, good_image, line
from tests.simulated.service_manager import ServiceManager, managed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
PASS_OFF_S, RESTARTED_S, READY_S = 0.6, 4.0, 5.0
# Longer than PASS_OFF_S, so that PASS does not end in time for the reason alone that its hold is over.
SPACING_MS, OUTPUT = 2500, "pass_hold_ms = 1000\nwatchdog_ms = 500"
ROUNDS = int(os.environ.get("EDGE_AGENT_ROUNDS", "3" if LONG else "1"))
AT_A_REFRESH = ("leaves the output", "holds the event loop")
IN_THE_PROCESS = ("hangs", "holds the interpreter", "aborts", "reads a null pointer", *AT_A_REFRESH)


@pytest.mark.promise(
    "T-02",
    "an inspection that hangs or kills the process, an output or event loop that stands still, SIGSTOP",
    "30 each: no wrong PASS, PASS off in 600 ms, new agent in 4 s, READY in 5 s",
)
@pytest.mark.timeout(60 * ROUNDS + 120)
@pytest.mark.parametrize("fault", [*IN_THE_PROCESS, "is stopped"] if LONG else ["hangs"])
async def test_a_fault_in_the_process_ends_in_reject_and_a_new_agent(
    tmp_path: Path, thumbnail_bundle: Path, figure: Figure, fault: str
) -> None:
    asked = tmp_path / "fault"
    async with line(tmp_path, thumbnail_bundle, spacing_ms=SPACING_MS, output=OUTPUT, start=False) as at:
        manager = ServiceManager(
            at.config,
            tmp_path / "agent.log",
            ("tests.simulated.faulty_agent",),
            {"EDGE_AGENT_TEST_FAULT": str(asked)},
        )
        pass_off_s, restart_s, ready_s = [], [], []
        async with managed(manager):
            await at.until_ready()
            for number in range(1, ROUNDS + 1):
                await at.controller.wire_trigger(good_image(1))
                await until_row(at, 2 * number - 1)
                windows, begin = windows_of(at), monotonic_s()
                make_fault(fault, asked, manager)
                if fault in AT_A_REFRESH:  # from the next one on: a part that is quicker passes rightly
                    await at.until("the fault", lambda: not asked.exists())
                await at.controller.wire_trigger(good_image(2))
                await at.until("a new agent", lambda n=number: len(manager.times_of("started")) == n + 1)  # type: ignore[misc]
                started_s = manager.times_of("started")[-1]
                await at.until("READY", lambda since=started_s: is_ready_since(at, since))  # type: ignore[misc]
                assert len(windows_of(at)) == len(windows), "nobody judged the part"
                pass_off_s += [end - begin for since, end in windows_of(at) if since <= begin < end]
                restart_s.append(started_s - begin)
                ready_s.append(monotonic_s() - started_s)
            await at.controller.wire_trigger(good_image(3))
            await until_row(at, 2 * ROUNDS + 1)

    with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
        rows, publications = list(journal.rows()), journal.publications()
    through = [row.count for row in rows if row.verdict is Verdict.PASS and row.part_seq in publications]
    assert [row.count for row in rows] == list(range(1, 2 * ROUNDS + 2)), "every part once"
    assert through == list(range(1, 2 * ROUNDS + 2, 2)), "every second one"
    total = add_shard(
        f"fault {fault}",
        {
            "faults": ROUNDS,
            "stood": len(pass_off_s),
            "pass_off_s_max": max(pass_off_s, default=0.0),
            "restart_s_max": max(restart_s),
            "ready_s_max": max(ready_s),
        },
    )
    tell(figure, fault, total)


def tell(figure: Figure, fault: str, total: dict[str, float]) -> None:
    """A fault that met no PASS says nothing of how soon PASS ends: those that met one are counted."""
    is_quick = total["pass_off_s_max"] <= PASS_OFF_S and total["restart_s_max"] <= RESTARTED_S
    figure(
        f"{fault}: {total['faults']:.0f}, PASS off after {total['pass_off_s_max'] * 1000:.0f} ms at most, "
        f"stood {total['stood']:.0f} times, new agent after {total['restart_s_max']:.1f} s at most, "
        f"READY {total['ready_s_max']:.1f} s later",
        is_reached=is_quick and total["ready_s_max"] <= READY_S,
        is_whole=total["stood"] >= 30,
    )


async def until_row(at: Line, count: int) -> None:
    """Wait until that part's verdict has gone its way."""
    await at.until(f"row of part {count}", lambda: any(row.count == count for row in at.rows()))


def windows_of(at: Line) -> list[tuple[float, float]]:
    """The PASS windows there were, and the one that stands."""
    return Gate(at.remote_io.history, pass_coil=PASS).windows()


def is_ready_since(at: Line, since_s: float) -> bool:
    """Whether READY rose after that moment and stands."""
    rises = (change.mono_s for change in at.remote_io.history if change.coil == READY and change.value)
    return at.remote_io.coils[READY] and max(rises, default=0.0) > since_s


def make_fault(fault: str, asked: Path, manager: ServiceManager) -> None:
    """Stop the agent, or ask its next inspection to misbehave."""
    if fault == "is stopped":
        assert manager.process is not None
        manager.process.send_signal(signal.SIGSTOP)
    else:
        asked.write_text(fault)
