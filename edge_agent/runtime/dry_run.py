"""A dry run: every part is judged, recorded and archived, and REJECT stands on the wire whatever was decided.

The output is kept as it is while the line is not READY: connected, REJECT, read back, watchdog fed. So a dry run meets
what a run would meet, and a gate that is wired already stays shut. No verdict goes through here to the wire.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from drivers.base import Published

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Reason, Verdict, VerdictOutput
    from drivers.timing import Deadline
    from edge_agent.runtime.verdict import Decision

__all__ = ["DRY_RUN", "RejectingOutput", "marked"]

DRY_RUN = "DRY RUN: the output stays REJECT"
"""What stands in every row's detail, in the log, in the status and on the page."""


def marked(decision: Decision) -> Decision:
    """The decision with "DRY RUN" in front of its words: every row says that only REJECT went to the wire."""
    return replace(decision, detail="; ".join(filter(None, (DRY_RUN, decision.detail))))


class RejectingOutput:
    """An output that is told nothing but REJECT. A ``VerdictOutput``."""

    def __init__(self, output: VerdictOutput) -> None:
        self._output = output

    @property
    def is_confirmed(self) -> bool:
        """The peer is there and REJECT was read back."""
        return self._output.is_confirmed

    async def run(self, is_ready: Callable[[], bool]) -> None:
        """Keep REJECT on the wire until cancelled. ``is_ready`` is asked as ever, which is how a refresh is noticed."""

        def never() -> bool:
            is_ready()
            return False

        await self._output.run(never)

    async def publish(
        self,
        part_seq: int,  # noqa: ARG002 - the protocol's arguments, none of which goes to the wire
        verdict: Verdict,  # noqa: ARG002
        by: Deadline,  # noqa: ARG002
        reason: Reason | None = None,  # noqa: ARG002
        bundle: int = 0,  # noqa: ARG002
        *,
        may_pass: Callable[[], bool] = lambda: True,  # noqa: ARG002
    ) -> Published:
        """Write nothing and answer WITHHELD, whatever the verdict is: REJECT stands on the wire already."""
        return Published.WITHHELD

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        """REJECT is written all the same."""
        await self._output.begin_part(part_seq, first_sign_mono_s)

    async def withdraw(self) -> None:
        """There is no PASS to take back; REJECT is written all the same."""
        await self._output.withdraw()

    async def read_part_present(self) -> bool:
        """The part-present input. Raises NotConnected, DriverError."""
        return await self._output.read_part_present()
