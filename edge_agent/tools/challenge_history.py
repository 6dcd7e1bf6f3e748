"""What ``edge-agent challenge history`` says: when samples are due, and how each of them scored each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.golden.clock import Standing, clock_of
from edge_agent.golden.judging import chosen, judging
from edge_agent.golden.known import KnownSamples
from edge_agent.golden.series import Series, series_of
from edge_agent.local_time import in_local_time
from edge_agent.store.starts import was_simulated

if TYPE_CHECKING:
    from edge_agent.settings import Settings

__all__ = ["SampleHistory", "sample_history"]


@dataclass(frozen=True, slots=True)
class SampleHistory:
    """The registered samples' showings, and how the line stands with its schedule."""

    standing: Standing
    series: tuple[Series, ...]
    missing: str
    next_start: str = ""
    """Why samples are to be shown from the agent's next start on, where nothing is overdue now; empty for nothing."""

    @property
    def is_well(self) -> bool:
        """Nothing is overdue, and no sample's newest showing was wrong or odd."""
        return not self.standing.overdue and not any(one.is_wrong for one in self.series)

    def to_json(self) -> dict[str, Any]:
        """The object that the command prints with ``--json``."""
        stands = self.standing
        return {
            "schema_version": 1,
            "ok": self.is_well,
            "overdue": stands.overdue,
            "locked": stands.locked,
            "next_start": self.next_start,
            "due_s": None if stands.due_s is None else round(stands.due_s),
            "due_parts": stands.due_parts,
            "samples": [one.to_json() for one in self.series],
            "missing": self.missing or None,
        }

    def lines(self) -> list[str]:
        """The same as lines of text."""
        said = [self.standing.words or "no schedule asks for samples: [challenge] of line.toml"]
        said += [self.next_start] if self.next_start else []
        if not self.series:
            said.append("no sample is registered: [[challenge.sample]] of line.toml")
        for one in self.series:
            said.append(f"{one.title}: {one.words}")
            said += [
                f"  {in_local_time(point.at_utc)}  {_score(point.score)} of {_score(point.limit)}  "
                f"{'ok' if point.is_right else 'WRONG'}  bundle {point.bundle[:8]}  {point.odd}".rstrip()
                for point in one.points
            ]
        return [*said, *([f"older ones are in {self.missing}, which is not here"] if self.missing else [])]


def sample_history(settings: Settings) -> SampleHistory:
    """Of this line's journals; of simulated parts where the line was last started with them. Raises DataError."""
    is_simulated = was_simulated(settings.store.journal)
    clock, newest = clock_of(settings, judging(settings), is_simulated=is_simulated)
    standing = clock.standing(None, newest + 1)
    known = KnownSamples.of(settings, with_simulated=is_simulated)
    next_start = "" if standing.overdue else _from_next_start(settings, is_simulated=is_simulated)
    return SampleHistory(standing, series_of(known), known.missing, next_start)


def _from_next_start(settings: Settings, *, is_simulated: bool) -> str:
    """What a bundle that was activated, and does not judge yet, will ask for."""
    clock, newest = clock_of(settings, chosen(settings), is_simulated=is_simulated)
    stands = clock.standing(None, newest + 1)
    return f"from the agent's next start on: {stands.locked or stands.overdue}" if stands.overdue else ""


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
