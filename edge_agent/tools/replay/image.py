"""One image of a replay, as a value and as a row: of a table, of a file, of a message between processes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.domain import Alignment, Inspection, Outcome, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.store.journal import PartRow

__all__ = ["Judged", "Recorded", "ReplayedImage", "inspection_of", "inspection_row"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One image as the inspection sees it, before anybody asks what was recorded.

    ``inspection`` is None where ``sha256`` already told that the file is not the image that was archived.
    """

    path: Path
    sha256: str
    inspection: Inspection | None

    def to_row(self) -> dict[str, Any]:
        """Plain values, from which the very same bits come back."""
        found = None if self.inspection is None else inspection_row(self.inspection)
        return {"file": str(self.path), "sha256": self.sha256, "inspection": found}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Judged:
        """What ``to_row`` was made of."""
        found = row["inspection"]
        return cls(Path(row["file"]), row["sha256"], None if found is None else inspection_of(found))


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a replay wants to know of a part that the journal has."""

    part_seq: int
    count: int | None
    verdict: Verdict
    reason: Reason
    simulated: bool
    decided_utc: str

    @classmethod
    def of(cls, row: PartRow) -> Recorded:
        """Of a part's row."""
        return cls(row.part_seq, row.count, row.verdict, row.reason, row.simulated, row.decided_utc)


@dataclass(frozen=True, slots=True)
class ReplayedImage:
    """One image, judged again. ``difference`` is empty where nothing was recorded or all is as recorded.

    ``is_altered``: the file is not the image that its name or its record tells of; it is not judged as that one.
    """

    path: Path
    inspection: Inspection
    verdict: Verdict
    reason: Reason
    recorded: Recorded | None
    difference: str
    is_altered: bool = False

    def to_row(self) -> dict[str, Any]:
        """Plain values, from which the very same bits come back."""
        return {
            "file": str(self.path),
            "verdict": str(self.verdict),
            "reason": str(self.reason),
            "recorded": None if self.recorded is None else asdict(self.recorded),
            "difference": self.difference,
            "is_altered": self.is_altered,
            "inspection": inspection_row(self.inspection),
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> ReplayedImage:
        """What ``to_row`` was made of."""
        found = row["recorded"]
        recorded = None
        if found is not None:
            verdict, reason = Verdict(found["verdict"]), Reason(found["reason"])
            recorded = Recorded(**{**found, "verdict": verdict, "reason": reason})
        return cls(
            Path(row["file"]),
            inspection_of(row["inspection"]),
            Verdict(row["verdict"]),
            Reason(row["reason"]),
            recorded,
            row["difference"],
            is_altered=row["is_altered"],
        )


def inspection_row(found: Inspection) -> dict[str, Any]:
    """An inspection as plain values."""
    return {
        **asdict(found),
        "outcome": str(found.outcome),
        "reason": str(found.reason),
        "alignment": None if found.alignment is None else asdict(found.alignment),
    }


def inspection_of(row: Mapping[str, Any]) -> Inspection:
    """The inspection of which ``inspection_row`` was made, to the last bit."""
    aligned = row["alignment"]
    return Inspection(
        outcome=Outcome(row["outcome"]),
        reason=Reason(row["reason"]),
        score=row["score"],
        limit=row["limit"],
        bundle_id=row["bundle_id"],
        image_sha256=row["image_sha256"],
        alignment=None if aligned is None else Alignment(**aligned),
        detail=row["detail"],
        timings_ms=dict(row["timings_ms"]),
        shares=dict(row["shares"]),
        condition=dict(row["condition"]),
    )
