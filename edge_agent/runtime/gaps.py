"""Parts that were imaged while the agent was down or deaf: the controller's count tells how many, each gets its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.domain import Reason, Verdict
from edge_agent.runtime.rows import part_row
from edge_agent.runtime.verdict import Decision
from edge_agent.store.journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.runtime.part import Part
    from edge_agent.store.journal import Journal

__all__ = ["MOST_MISSED", "CountGaps", "write_missed"]

MOST_MISSED = 1000
"""Parts of one gap that get a row each, the newest; the event says how long a longer one was."""
_DECISION = Decision(Verdict.FAULT, Reason.NOT_READY, "AGENT_DOWN: imaged while the agent did not hear it")


@dataclass(slots=True)
class CountGaps:
    """Follows the counts of live results. A count below the last one is a counter that began anew: no gap is known."""

    last: int | None
    known: frozenset[int] = frozenset()
    """Counts beyond ``last`` that have a row already: images that came without a result before the agent was ended."""
    is_after_gap: bool = True

    def before(self, count: int) -> range:
        """The counts whose result nobody heard before this one; empty but for the first result after a gap."""
        last, self.last = self.last, count
        is_after_gap, self.is_after_gap = self.is_after_gap, False
        # On a link that is up no result is lost: a jump of the count there is no gap (docs/decisions/0036, What is
        # left).
        return range(0) if last is None or not is_after_gap else range(last + 1, count)


async def write_missed(journal: Journal, parts: Sequence[Part], gap: range, *, boot_id: str, is_simulated: bool) -> str:
    """Write the rows, all in one; why the journal refused them, empty if it took all. It owes them and writes later.

    ``gap`` is every count whose result nobody heard, ``parts`` those of the newest that were not seen otherwise.
    """
    detail = f"counts {parts[0].count} to {parts[-1].count}: {len(parts)} without any sign"
    if len(gap) > MOST_MISSED:
        detail += f"; before them counts {gap.start} to {gap[-MOST_MISSED - 1]}, which have no rows of their own"
    rows = [part_row(p, {}, _DECISION, program=None, boot_id=boot_id, is_simulated=is_simulated) for p in parts]
    try:
        await journal.missed(detail, rows, monotonic_s())
    except JournalError as err:
        return str(err)
    return ""
