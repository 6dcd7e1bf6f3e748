"""Parts among the good ones that a person has to look at before anything is learned from them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.suspects.contamination import far_out, most_suspects
from calibration.suspects.oddity import oddity_of
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.containers.image_files import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calibration.good_parts.images import GoodImage
    from calibration.registering.registered import RegisteredSet
    from calibration.scoring.seen import Seen
    from calibration.suspects.oddity import Oddity
    from calibration.workers import Workers

__all__ = ["PartsInDoubt", "Suspicion", "find_suspects"]


class PartsInDoubt(CalibrationRefused):
    """Good images that stand apart from all others and that nobody has confirmed. Nothing was learned or written."""

    def __init__(self, suspicion: Suspicion) -> None:
        super().__init__(f"{suspicion.statement}. Nothing was learned from them, and nothing is written", hint=_HINT)
        self.suspicion = suspicion


@dataclass(frozen=True, slots=True, eq=False)
class Suspicion:
    """``suspects`` are the parts (their index) that stand apart and that nobody confirmed, the oddest first.

    ``kept`` are those that a person confirmed as good. ``next_oddity``: the oddest of all parts that are neither.
    """

    registered: RegisteredSet
    oddity: Oddity
    suspects: tuple[int, ...]
    kept: tuple[int, ...]

    @property
    def statement(self) -> str:
        """Which parts stand apart and how far, in words; empty where none does."""
        if not self.suspects:
            return ""
        named = ", ".join(f"{self.name(part)} ({self.oddity_of(part):.1f})" for part in self.suspects)
        n, one = len(self.registered.images), len(self.suspects) == 1
        return (
            f"{len(self.suspects)} of {n} good images {'stands' if one else 'stand'} apart from all others: {named}; "
            f"the next one has {self.next_oddity:.1f}, the usual one 0"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """For who goes on all the same: what stands apart, and what was confirmed."""
        kept = ", ".join(f"{self.name(part)} ({self.oddity_of(part):.1f})" for part in self.kept)
        return (
            *((f"{self.statement}: look at them",) if self.suspects else ()),
            *(
                (f"kept as good by a person: {kept}; the oddest of the others has {self.next_oddity:.1f}",)
                if kept
                else ()
            ),
        )

    def option(self, what: str) -> tuple[str, ...]:
        """``--leave-out`` or ``--keep`` with the name of each suspect, as it is typed."""
        return tuple(self.typed(what, part) for part in self.suspects)

    def typed(self, what: str, part: int) -> str:
        """``--leave-out`` or ``--keep`` with the name of a part, as it is typed."""
        return f"{what} {shlex.quote(self.image(part).path.name)}"

    def oddest(self, count: int) -> tuple[int, ...]:
        """The numbers of the ``count`` parts that are least like the others, the oddest first."""
        return tuple(int(part) for part in np.argsort(-self.oddity.scores, kind="stable")[:count])

    @property
    def next_oddity(self) -> float:
        """The largest oddity among the parts that are beyond doubt."""
        apart = {*self.suspects, *self.kept}
        return float(max(s for part, s in enumerate(self.oddity.scores) if part not in apart))

    @property
    def usual(self) -> int:
        """The most usual part: to be shown beside those that are not."""
        return int(np.abs(self.oddity.scores).argmin())

    def image(self, part: int) -> GoodImage:
        """The image of a part."""
        return self.registered.images[part]

    def name(self, part: int) -> str:
        """Its file's name, for people."""
        return printable(Path(self.image(part).path.name))

    def oddity_of(self, part: int) -> float:
        """How odd a part is."""
        return float(self.oddity.scores[part])

    def check(self) -> None:
        """Raise PartsInDoubt where a person has to look first."""
        if self.suspects:
            raise PartsInDoubt(self)


_HINT = (
    "look at them, then give the same command again with --leave-out NAME for each that is not good, and with --keep "
    "NAME for each that is"
)


def find_suspects(
    registered: RegisteredSet,
    seen: Seen,
    keep: Sequence[str],
    *,
    workers: Workers,
    progress: Callable[[int], None],
) -> Suspicion:
    """Which registered parts stand apart by what was ``seen`` of them; ``progress(done)`` as in ``oddity_of``.

    Those named in ``keep`` are confirmed: the others are tested without them.
    """
    kept = _indices(registered, keep)
    n = len(registered.images)
    oddity = oddity_of(seen.features, seen.places, most_suspects(n), progress, workers=workers)
    # A confirmed part stays odd: tested with the others it would make a second one look usual beside it.
    tested = [part for part in range(n) if part not in kept]
    found = far_out(oddity.scores[tested])
    return Suspicion(registered, oddity, tuple(tested[place] for place in found), kept)


def _indices(registered: RegisteredSet, keep: Sequence[str]) -> tuple[int, ...]:
    names = [image.path.name for image in registered.images]
    return tuple(sorted({names.index(name) for name in keep if name in names}))
