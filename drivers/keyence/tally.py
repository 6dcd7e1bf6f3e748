"""Counts repeats, so that a flood of one kind is said a handful of times and still counted."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Counts how often something happened, and says at which times it is worth a line in the log."""

    count: int = field(default=0, init=False)

    def is_worth_saying(self) -> bool:
        """Count once more; true for the 1st, 2nd, 4th, 8th, ... time."""
        self.count += 1
        return self.count & (self.count - 1) == 0
