"""What came of a learning, in words: for its report, and for the page, which draws no figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["lost_words", "outcome_words"]


def outcome_words(lost: Sequence[int], worse: int) -> tuple[str, str]:
    """What came of a learning and what to do now, in the reader's language; of lost defects and worse figures."""
    if lost:
        return (
            tr("The new bundle is not offered: a known defect would pass."),
            tr("Look at the lost defects and at the parts that were added: is one of those defective?"),
        )
    if worse:
        return (
            tr("The new bundle is offered, and {number} figures are worse.", number=worse),
            tr("Whoever activates it says why each of these may be so: bundle activate --why."),
        )
    return (
        tr("The new bundle is offered, and no figure is worse."),
        tr("Watch it beside the line before it is activated: edge-agent shadow begin."),
    )


def lost_words(lost: Sequence[int]) -> tuple[str, ...]:
    """A sentence for each known defect that would pass."""
    return tuple(
        tr("Part {part} is a known defect, is found today and would pass by the new bundle.", part=seq) for seq in lost
    )
