"""A PLC that keeps what the blocks told, and the check that every verdict they told has its row in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from drivers.output.block import REASON_CODES
from drivers.simulated.plc import SimulatedPlc
from drivers.timing import monotonic_s
from edge_agent.domain import Published, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_agent.store.journal import PartRow, PublicationRow

_PASS_WORD, _READY_BIT = 0x005A, 1
_UNDER_WAY_S = 1.0
"""More than a verdict takes from its decision, by way of the disk, to the wire."""


class Told(NamedTuple):
    """A block told a verdict of the part with this number; ``reason`` is its word."""

    mono_s: float
    seq: int
    is_pass: bool
    reason: int


class ListeningPlc(SimulatedPlc):
    """Keeps each verdict that was told while READY, once, whether or not it still decided its part.

    What a new connection names before it is READY is the part that happens to be at the gate, not one it has judged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Told] = []
        self._said = (0, 0, 0)
        self._was_ready = False

    def _write_word(self, address: int, word: int) -> None:
        super()._write_word(address, word)
        if address == self._first + 7:  # the last word of a block
            self._listen()

    def _listen(self) -> None:
        seq, verdict, _, reason, status, *_ = self.block
        said, is_ready = (seq, verdict, reason), bool(status & _READY_BIT)
        is_new = said != self._said if self._was_ready else seq != self._said[0]
        if is_ready and is_new:
            self.told.append(Told(monotonic_s(), seq, verdict == _PASS_WORD, reason))
        self._said, self._was_ready = said, is_ready


def every_told_verdict_has_its_row(
    told: Iterable[Told],
    count_of: Mapping[int, int],
    rows: Mapping[int, PartRow],
    publications: Mapping[int, PublicationRow],
) -> None:
    """Each was decided before it was told, and its row gives the very reason; a PASS is in the row of its own part.

    ``count_of`` is the controller's count by the number at the gate. A REJECT that comes when the next part is at the
    gate already names that one (PROTOCOL.md, "The handshake"): then a row gives it that was not published before, and
    gives no other one. A REJECT without a reason was said before its inspection was done: it has no row yet where the
    agent died then, and never one of a PASS.
    """
    early, told = _parted(told)
    wrong = [one for one in early if (row := rows.get(count_of.get(one.seq, -1))) and row.verdict is Verdict.PASS]
    assert not wrong, f"rejected early and passed: {wrong[:10]}"
    own = {one: count for one in told if _tells(one, rows.get(count := count_of.get(one.seq, -1)))}
    free = {count: row for count, row in rows.items() if count not in own.values()}
    without: list[Told] = []
    for one in told:
        if one in own:
            continue
        late = [
            count
            for count, row in free.items()
            if _tells(one, row) and _is_under_way(one, row, publications.get(row.part_seq))
        ]
        if one.is_pass or not late:
            without.append(one)
        else:
            del free[max(late)]
    assert not without, f"told without its row: {without[:10]}"


def _parted(told: Iterable[Told]) -> tuple[list[Told], list[Told]]:
    early, others = list[Told](), list[Told]()
    for one in told:
        (early if not one.is_pass and not one.reason else others).append(one)
    return early, others


def _tells(one: Told, row: PartRow | None) -> bool:
    """Whether that was told of the row. A PASS that ended, or was withheld, is told as REJECT with the reason OK."""
    if row is None or row.decided_mono_s > one.mono_s or REASON_CODES[row.reason] != one.reason:
        return False
    return row.verdict is Verdict.PASS or not one.is_pass


def _is_under_way(one: Told, row: PartRow, publication: PublicationRow | None) -> bool:
    """Whether the row's verdict may be what the block told. One that was withheld may be told by a later refresh."""
    if publication is not None and publication.published is Published.PUBLISHED and publication.at_mono_s < one.mono_s:
        return False
    return one.mono_s - row.decided_mono_s <= _UNDER_WAY_S
