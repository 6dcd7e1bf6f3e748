"""The real agent with a library that misbehaves: `python -m tests.simulated.faulty_agent run --config ...`.

The file named by EDGE_AGENT_TEST_FAULT says how the next inspection ends, or the next refresh of the output; it is
removed before, so that the agent that is started again is well.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from drivers.modbus.coil_output import CoilOutput
from edge_agent.commands.main import main
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.domain import Inspection
    from edge_agent.inspection.inspector import Prepared

_FAULT = Path(os.environ["EDGE_AGENT_TEST_FAULT"])
_well = Inspector.judge
_refreshed = CoilOutput._refresh
_OUTPUT_STANDS_STILL, _LOOP_STANDS_STILL = "leaves the output", "holds the event loop"


def _hang() -> None:
    threading.Event().wait()


def _hold_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(3600)  # a native call that does not let go: no other thread runs, the event loop neither


def _go_on_and_on() -> None:
    while True:
        cv2.GaussianBlur(np.zeros((300, 1600), np.uint8), (31, 31), 5.0)


_FAULTS = {
    "hangs": _hang,
    "goes on and on": _go_on_and_on,
    "holds the interpreter": _hold_the_interpreter,
    "aborts": os.abort,
    "reads a null pointer": lambda: ctypes.string_at(0),
}


def judge(self: Inspector, prepared: Prepared, certain: Callable[[], None] | None = None) -> Inspection:
    """As the Inspector's own, unless a fault was asked for."""
    if (kind := _asked_for(*_FAULTS)) is not None:
        _FAULTS[kind]()
    return _well(self, prepared, certain)


async def refresh(self: CoilOutput) -> bool:
    """As the output's own, unless it was asked to stand still: this task alone, or the whole event loop."""
    kind = _asked_for(_OUTPUT_STANDS_STILL, _LOOP_STANDS_STILL)
    if kind == _LOOP_STANDS_STILL:
        time.sleep(3600)  # noqa: ASYNC251 - that is the fault
    if kind is not None:
        await asyncio.Event().wait()
    return await _refreshed(self)


def _asked_for(*kinds: str) -> str | None:
    """The fault, if it is one of these, which is then no longer asked for."""
    kind = _FAULT.read_text() if _FAULT.exists() else ""
    if kind not in kinds:
        return None
    _FAULT.unlink()
    return kind


if __name__ == "__main__":
    Inspector.judge = judge  # type: ignore[method-assign]
    CoilOutput._refresh = refresh  # type: ignore[method-assign]
    main()
