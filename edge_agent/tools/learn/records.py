"""The journal's events of learning: who had which bundle learn from how many parts, and what came of it."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_agent.tools.learn.found import Figure, Found
    from edge_agent.tools.learn.proposal import Proposal

__all__ = ["learn_begun", "learn_ended"]

_MOST_WORSE = 12
_MOST_FIGURES, _MOST_PEOPLE = 60, 20
_LONGEST = 80


def learn_begun(proposal: Proposal, *, by: str, why: str) -> str:
    """The event's detail where a learning begins."""
    told = {"added": len(proposal.added), "defects": len(proposal.defects)}
    return _detail("begun", proposal, by, why, told)


def learn_ended(proposal: Proposal, found: Found | None, *, by: str, why: str, problem: str = "") -> str:
    """The event's detail where it ends: ``offered``, ``refused`` where a known defect is lost, or ``broken off``.

    With the figures of both bundles, what is worse first: the page shows them, and reaches no learning's folder.
    """
    if found is None:
        return _detail("broken off", proposal, by, why, {"problem": problem[:500]})
    told = {
        "bundle_id": found.bundle_id,
        "worse": [one.name[:_LONGEST] for one in found.worse[:_MOST_WORSE]],
        "lost": list(found.lost[:_MOST_WORSE]),
        "added": len(found.added),
        "defects": len(found.defects),
        "own_good": list(found.own_good),
        "people": {by[:_LONGEST]: number for by, number in islice(found.people.items(), _MOST_PEOPLE)},
        "figures": [_figure(one) for one in sorted(found.figures, key=lambda one: not one.is_worse)[:_MOST_FIGURES]],
        "hours": found.replay.hours,
        "sides": {str(side).lower(): number for side, number in found.replay.sides().items()},
    }
    return _detail("offered" if found.bundle_id else "refused", proposal, by, why, told)


def _figure(one: Figure) -> dict[str, Any]:
    return {
        "name": one.name[:_LONGEST],
        "before": one.before[:_LONGEST],
        "after": one.after[:_LONGEST],
        "worse": one.is_worse,
    }


def _detail(what: str, proposal: Proposal, by: str, why: str, told: dict[str, Any]) -> str:
    facts = {
        "schema_version": 1,
        "what": what,
        "program": proposal.program,
        "camera": proposal.camera,
        "parent": proposal.parent.id,
        "by": by,
        "why": why[:200],
    }
    return json.dumps({**facts, **told}, ensure_ascii=False)
