"""The real agent on a machine that sleeps: `python -m tests.simulated.sleeping_agent run --config ...`.

Whoever starts it stops its process, writes into the file named by EDGE_AGENT_TEST_SLEPT how many seconds that was, and
lets it go on. Those seconds are missing on the clocks that EDGE_AGENT_TEST_SLEEP says: "suspended" is a machine whose
CLOCK_MONOTONIC stood still and whose CLOCK_BOOTTIME went on, as Linux has it; "paused" is a virtual machine, on
which no clock goes on but the time of day.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge_agent.commands.main import main

_SLEPT, _IS_PAUSED = Path(os.environ["EDGE_AGENT_TEST_SLEPT"]), os.environ["EDGE_AGENT_TEST_SLEEP"] == "paused"
_monotonic, _clock_gettime = time.monotonic, time.clock_gettime


def _slept_s() -> float:
    return float(_SLEPT.read_text())


def _without_sleep() -> float:
    return _monotonic() - _slept_s()


def _of_clock(which: int) -> float:
    stands_still = which == time.CLOCK_MONOTONIC or (_IS_PAUSED and which == time.CLOCK_BOOTTIME)
    return _clock_gettime(which) - (_slept_s() if stands_still else 0.0)


time.monotonic, time.clock_gettime = _without_sleep, _of_clock

if __name__ == "__main__":
    main()
