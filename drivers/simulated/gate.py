"""The gate at the end of the line: energise to pass. It knows nothing of parts, only of the PASS output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.simulated.remote_io import CoilChange

__all__ = ["Gate"]


class Gate:
    """Opens while the PASS output is energised, whoever energised it and whichever part it was meant for.

    A part's interval runs from its own sign (trigger) to the next part's. It is let through if PASS was energised at
    any moment of it: a PASS that still stands, or comes late, lets the *next* part through. That is the point.
    """

    def __init__(self, history: Sequence[CoilChange], *, pass_coil: int = 0) -> None:
        self._history = history
        self._pass_coil = pass_coil

    def windows(self) -> list[tuple[float, float]]:
        """When PASS was energised: (from, to) in monotonic seconds; ``inf`` where it still is."""
        found: list[tuple[float, float]] = []
        since: float | None = None
        for change in self._history:
            if change.coil != self._pass_coil:
                continue
            if change.value and since is None:
                since = change.mono_s
            elif not change.value and since is not None:
                found.append((since, change.mono_s))
                since = None
        return found if since is None else [*found, (since, float("inf"))]

    def let_through(self, start_mono_s: float, end_mono_s: float) -> bool:
        """Whether a part whose interval this is went through."""
        for change in reversed(self._history):
            if change.coil == self._pass_coil and change.mono_s < end_mono_s:
                if change.value:
                    return True
                if change.mono_s <= start_mono_s:
                    return False
        return False
