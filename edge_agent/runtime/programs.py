"""Which program a part was imaged with, and whether a bundle belongs to it. An unknown program is FAULT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from edge_agent.runtime.part import Part

__all__ = ["Programs"]


_UNTOLD = (
    "neither the image's folders nor the result line tell the program: add program to the controller's output and to "
    "[controller] result_items"
)
"""What the controller was asked last is no proof: somebody may have switched it at its screen since."""


@dataclass(slots=True)
class Programs:
    """The (program, camera) pairs that have a bundle, and the program that the controller runs now."""

    known: AbstractSet[tuple[int, int]]
    cameras: tuple[int, ...]
    current: int | None = None

    def problem(self) -> str:
        """Why no part can be judged under the controller's program; empty if one can."""
        if self.current is None:
            return "the controller's program is not known"
        if any((self.current, camera) not in self.known for camera in self.cameras):
            return f"the controller runs program {self.current}, which has no [[bundle]]"
        return ""

    def problem_of(self, part: Part) -> str:
        """Why this part cannot be judged; empty if it can. What the part tells must be the current program."""
        told = _told(part)
        if not told and part.captures and part.result is not None:
            return _UNTOLD
        if self.current is not None and told - {self.current}:
            names = ", ".join(str(program) for program in sorted(told))
            return f"the part was imaged with program {names}, the controller runs {self.current}"
        return self.problem()

    def of(self, part: Part) -> int | None:
        """The program that the part was imaged with, as far as it tells; the controller's current one otherwise."""
        return next(iter(sorted(_told(part))), self.current)


def _told(part: Part) -> set[int]:
    told = {capture.program for capture in part.captures.values()}
    if part.result is not None:
        told.add(part.result.program)
    return {program for program in told if program is not None}
