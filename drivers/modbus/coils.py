"""The coil map as data. No I/O. The map and worked bytes are in PROTOCOL.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["COIL_NAMES", "INVERTIBLE", "RESTING", "CoilLevels", "CoilState", "as_wired", "checked_inversion"]

COIL_NAMES = ("PASS", "REJECT", "READY", "HEARTBEAT")
"""In the order of their addresses, from ``first_coil`` on."""


INVERTIBLE = frozenset({"REJECT", "READY"})
"""A dead module says reject and not ready with these too. PASS is energised = pass; HEARTBEAT has no resting level."""


class CoilLevels(Protocol):
    """Any levels of the four coils."""

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT."""
        ...


def as_wired(bits: tuple[bool, bool, bool, bool], inverted: frozenset[str]) -> tuple[bool, bool, bool, bool]:
    """The levels on the wire of what four coils say, where some of them are inverted."""
    is_pass, reject, ready, heartbeat = bits
    return is_pass, reject != ("REJECT" in inverted), ready != ("READY" in inverted), heartbeat


def checked_inversion(names: Iterable[str]) -> frozenset[str]:
    """The coils to invert. Raises ValueError for one that may not be: PASS is energised = pass, always."""
    inverted = frozenset(names)
    if not inverted <= INVERTIBLE:
        raise ValueError(
            f"only {' and '.join(sorted(INVERTIBLE))} may be inverted, never PASS (got {sorted(inverted)})"
        )
    return inverted


@dataclass(frozen=True, slots=True)
class CoilState:
    """What the four coils say. The defaults are the resting state; REJECT is always the opposite of PASS.

    Both coils equal is no state of ours: it means that the remote I/O dropped its outputs, or is wired wrong.
    """

    is_pass: bool = False
    is_ready: bool = False
    heartbeat: bool = False
    inverted: frozenset[str] = frozenset()

    @property
    def bits(self) -> tuple[bool, bool, bool, bool]:
        """PASS, REJECT, READY, HEARTBEAT, as levels on the wire."""
        return as_wired((self.is_pass, not self.is_pass, self.is_ready, self.heartbeat), self.inverted)

    def __str__(self) -> str:
        return " ".join(f"{name}={bit:d}" for name, bit in zip(COIL_NAMES, self.bits, strict=True))


RESTING = CoilState()
"""Nothing passes: PASS 0, REJECT 1, READY 0, HEARTBEAT 0."""
