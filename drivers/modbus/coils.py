"""The coil map as data. No I/O. The map and worked bytes are in PROTOCOL.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["COIL_NAMES", "RESTING", "CoilLevels", "CoilState"]

COIL_NAMES = ("PASS", "REJECT", "READY", "HEARTBEAT")
"""In the order of their addresses, from ``first_coil`` on."""


class CoilLevels(Protocol):
    """Any levels of the four coils."""

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT."""
        ...


@dataclass(frozen=True, slots=True)
class CoilState:
    """What the four coils say. The defaults are the resting state; REJECT is always the opposite of PASS.

    Both coils equal is no state of ours: it means that the remote I/O dropped its outputs, or is wired wrong.
    """

    is_pass: bool = False
    is_ready: bool = False
    heartbeat: bool = False

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT."""
        return self.is_pass, not self.is_pass, self.is_ready, self.heartbeat

    def __str__(self) -> str:
        return " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, self.bits, strict=True))


RESTING = CoilState()
"""Nothing passes: PASS 0, REJECT 1, READY 0, HEARTBEAT 0."""
