"""The real agent with a native library that misbehaves: `python -m tests.simulated.faulty_agent run --config ...`.

The file named by EDGE_AGENT_TEST_FAULT says how the next inspection ends; it is removed before, so that the agent that
is started again is well.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.cli import main
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from edge_agent.domain import Inspection

_FAULT = Path(os.environ["EDGE_AGENT_TEST_FAULT"])
_well = Inspector.inspect


def _hang() -> None:
    threading.Event().wait()


def _hold_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(3600)  # a native call that does not let go: no other thread runs, the event loop neither


_FAULTS = {
    "hangs": _hang,
    "holds the interpreter": _hold_the_interpreter,
    "aborts": os.abort,
    "reads a null pointer": lambda: ctypes.string_at(0),
}


def inspect(self: Inspector, data: bytes) -> Inspection:
    """As the Inspector's own, unless a fault was asked for."""
    if _FAULT.exists():
        kind = _FAULT.read_text()
        _FAULT.unlink()
        _FAULTS[kind]()
    return _well(self, data)


if __name__ == "__main__":
    Inspector.inspect = inspect  # type: ignore[method-assign]
    main()
