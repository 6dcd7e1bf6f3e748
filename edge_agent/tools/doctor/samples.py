"""Whether the samples of the line were shown in time, and whether they are still themselves."""

from __future__ import annotations

from edge_agent.errors import DataError
from edge_agent.tools.challenge_history import sample_history
from edge_agent.tools.doctor.finding import Finding, Site, ok, warn

__all__ = ["challenge_age"]


def challenge_age(site: Site) -> Finding:
    """When known samples were last all judged as they must be, and whether one scored as it never did."""
    if site.settings.challenge is None:
        return ok("none is asked for: line.toml has no [challenge]")
    try:
        found = sample_history(site.settings)
    except DataError as err:
        return warn(str(err), err.hint)
    if why := found.standing.locked or found.standing.overdue:
        return warn(why, "edge-agent challenge, with the line's samples")
    if found.next_start:
        return warn(found.next_start, "edge-agent challenge, with the line's samples, right after that start")
    odd = [one.name for one in found.series if one.is_wrong]
    if odd:
        names = ", ".join(odd)
        return warn(f"wrong or odd when last shown: {names}", "edge-agent challenge history says how each scored")
    return ok(found.standing.words or "no schedule asks for samples")
