"""Who set a bundle's limit by hand: in its manifest, which the bundle's id covers, the oldest change first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIMIT_CHANGES", "LIMIT_EVENT", "LimitChange", "check_last_change", "limit_changes"]

LIMIT_CHANGES = "limit_changes"
LIMIT_EVENT = "LIMIT"
"""The journal's event of a limit that somebody moved."""
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class LimitChange:
    """The bundle ``parent`` had ``limit``; a person made this one of it, with the limit ``to``. ``at_utc`` is a label.

    ``known_defects`` are those of which the person was told that they pass, by the names of images and parts.
    """

    parent: str
    limit: float
    to: float
    by: str
    at_utc: str
    why: str
    known_defects: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The object that stands in the manifest, in its list of changes."""
        return {**asdict(self), "known_defects": list(self.known_defects)}

    def __str__(self) -> str:
        passing = f"; although {len(self.known_defects)} known defects pass" if self.known_defects else ""
        return (
            f"limit {self.limit:.6g} -> {self.to:.6g} set by {self.by} at {self.at_utc}: {self.why}{passing} "
            f"(bundle {self.parent[:_ID_DIGITS]} before)"
        )


def limit_changes(manifest: Mapping[str, Any]) -> list[LimitChange]:
    """Every change, the oldest first; none in a bundle whose limit its calibration set. Raises BundleRejected."""
    return [_change(Section(one, LIMIT_CHANGES)) for one in manifest.get(LIMIT_CHANGES, [])]


def check_last_change(manifest: Mapping[str, Any], limit: float) -> None:
    """Raise BundleRejected where the last change does not lead to the limit: whoever changed it did not say so."""
    changes = limit_changes(manifest)
    if changes and changes[-1].to != limit:
        raise BundleRejected(
            f"the limit is {limit}, the last of its changes says {changes[-1].to}",
            hint="edge-agent bundle relimit changes a limit, and says who did",
        )


def _change(section: Section) -> LimitChange:
    return LimitChange(
        section.text("parent"),
        section.number("limit"),
        section.number("to"),
        section.text("by"),
        section.text("at_utc"),
        section.text("why"),
        tuple(section.content.get("known_defects", ())),
    )
