"""One registered sample over time: each showing with its score, and what is usual by the bundle that judged it last."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.golden.usual import FEWEST

if TYPE_CHECKING:
    from edge_agent.golden.known import KnownSamples
    from edge_agent.golden.usual import Control
    from edge_agent.settings import SampleSettings

__all__ = ["Point", "Series", "series_of"]

_MOST_POINTS = 100


@dataclass(frozen=True, slots=True)
class Point:
    """One showing. ``is_of_now``: by the bundle that judged the newest one, so that the two can be compared."""

    at_utc: str
    part_seq: int | None
    score: float | None
    limit: float | None
    bundle: str
    is_right: bool
    odd: str
    is_of_now: bool


@dataclass(frozen=True, slots=True)
class Series:
    """A sample's newest showings, oldest first, and what is usual of it now; None while too few say so."""

    name: str
    kind: str
    program: int
    shows: str
    points: tuple[Point, ...]
    control: Control | None
    times: int
    """Right showings by the bundle of now."""

    @property
    def title(self) -> str:
        """What it is, for a person."""
        what = "reject sample" if self.kind == "reject" else "golden sample"
        return f"{what} {self.name}, program {self.program}" + (f" ({self.shows})" if self.shows else "")

    @property
    def is_wrong(self) -> bool:
        """Whether its newest showing was wrong or odd."""
        return bool(self.points) and (not self.points[-1].is_right or bool(self.points[-1].odd))

    @property
    def words(self) -> str:
        """What is usual of it."""
        if not self.points:
            return "never shown"
        if self.control is None:
            return f"shown {self.times} times by this bundle; what is usual is said from {FEWEST} on"
        one = self.control
        return (
            f"usual is {one.mean:.4g}, a next score between {one.low:.4g} and {one.high:.4g} (of {one.times} showings)"
        )

    def to_json(self) -> dict[str, Any]:
        """For ``--json`` and the page."""
        one = self.control
        usual = None if one is None else {"mean": one.mean, "low": one.low, "high": one.high, "times": one.times}
        return {
            "name": self.name,
            "kind": self.kind,
            "program": self.program,
            "shows": self.shows,
            "usual": usual,
            "times": self.times,
            "wrong": self.is_wrong,
            "points": [asdict(point) for point in self.points],
        }


def series_of(known: KnownSamples) -> tuple[Series, ...]:
    """Every registered sample, in the order of line.toml."""
    return tuple(_of(known, one) for one in known.registered)


def _of(known: KnownSamples, one: SampleSettings) -> Series:
    shown = known.showings.get((one.name, one.kind), ())[-_MOST_POINTS:]
    judged = [showing.sample for showing in shown if showing.sample.bundle]
    bundle, limit = (judged[-1].bundle, judged[-1].limit) if judged else ("", None)
    return Series(
        name=one.name,
        kind=one.kind,
        program=one.program,
        shows=one.shows or "",
        points=tuple(
            Point(
                showing.at_utc,
                showing.sample.part_seq,
                showing.sample.score,
                showing.sample.limit,
                showing.sample.bundle,
                showing.sample.is_right,
                showing.sample.odd,
                is_of_now=showing.sample.bundle == bundle,
            )
            for showing in shown
        ),
        control=known.control(one.name, one.kind, bundle, limit) if bundle else None,
        times=len(known.history(one.name, one.kind, bundle)),
    )
