"""What a PLC is told of the line beside a verdict: busy, bypass, program, and what is wrong as a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.base import LineNow

if TYPE_CHECKING:
    from edge_agent.runtime.engine import Engine
    from edge_agent.runtime.interlock import Health

__all__ = ["ERROR_CODES", "OTHER_ERROR", "error_code", "line_now"]

OTHER_ERROR = 100
ERROR_CODES = {
    "controller": 101,
    "program": 102,
    "output": 103,
    "images": 104,
    "journal": 105,
    "inference": 106,
    "request": 107,
    "rejects": 108,
    "mode": 109,
    "golden": 110,
    "clock": 111,
    "archive": 112,
    "disk": 113,
}
"""A condition that does not hold, as a PLC reads it: above every reason of a part. Numbers are added, never changed."""


def error_code(health: Health) -> int:
    """The lowest number of what does not hold; 0 where all does, 100 for a condition without a number of its own."""
    return min((ERROR_CODES.get(name, OTHER_ERROR) for name in health.reasons), default=0)


def line_now(engine: Engine, health: Health) -> LineNow:
    """Looked up at every write of the output."""
    return LineNow(
        is_busy=not engine.is_idle,
        is_bypassed=engine.bypass.is_active,
        program=engine.program,
        error=error_code(health),
    )
