"""The registered samples with their histories: what each scored, and what is to be said of a new score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from edge_agent.golden.usual import Control, Odd, control_of, history_by, scores_like
from edge_agent.store.challenges import all_challenges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge_agent.settings import SampleSettings, Settings
    from edge_agent.store.challenges import Challenged, ShownSample

__all__ = ["KnownSamples", "Shown", "odd_words"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One showing of a sample, and when its challenge ended."""

    at_utc: str
    sample: ShownSample


@dataclass(frozen=True, slots=True)
class KnownSamples:
    """``registered`` in the order of line.toml; ``showings`` of each name and kind, oldest first.

    ``missing`` is the closed journal that older showings are in; '' for none. Showings of a simulated run are left out.
    """

    registered: tuple[SampleSettings, ...]
    showings: Mapping[tuple[str, str], tuple[Shown, ...]]
    missing: str = ""

    @classmethod
    def of(cls, settings: Settings, *, with_simulated: bool = False) -> Self:
        """What this line's journals hold. Raises DataError."""
        registered = () if settings.challenge is None else settings.challenge.sample
        found, missing = all_challenges(settings.store.journal)
        return cls(registered, _by_sample(found, with_simulated=with_simulated), missing)

    def history(self, name: str, kind: str, bundle: str) -> list[float]:
        """The scores by this bundle that count, oldest first."""
        return history_by([one.sample for one in self.showings.get((name, kind), ())], bundle)

    def control(self, name: str, kind: str, bundle: str, limit: float | None) -> Control | None:
        """What is usual of it by this bundle; None while too few showings say so."""
        return control_of(self.history(name, kind, bundle), limit)

    def odd(self, one: SampleSettings, score: float, limit: float | None, bundle: str) -> tuple[str, str]:
        """What is odd about a score of that sample by that bundle, as its code and in words; both empty for nothing."""
        if one.score is not None and not one.score[0] <= score <= one.score[1]:
            return Odd.BAND, f"{_who(one)} scored {score:.4g}; line.toml expects {one.score[0]:g} to {one.score[1]:g}"
        control = self.control(one.name, one.kind, bundle, limit)
        found = None if control is None else control.odd(score, self.history(one.name, one.kind, bundle))
        if control is None or found is None:
            return "", ""
        others = {
            other.name: self.control(other.name, other.kind, bundle, limit)
            for other in self.registered
            if other.program == one.program and other.name != one.name
        }
        return found, odd_words(one, score, control, found, scores_like(score, others))


def odd_words(one: SampleSettings, score: float, control: Control, odd: Odd, like: str = "") -> str:
    """What a person is told of it, by name."""
    usual = f"its first {control.times} times {control.least:.4g} to {control.most:.4g}"
    return f"{_who(one)} scored {score:.4g} now; {usual}: {_why(one, odd, like)}"


def _why(one: SampleSettings, odd: Odd, like: str) -> str:
    if odd is Odd.CREEP_LOW:
        return "it has been coming down for its last times, which is how a sample wears or gets dirty"
    if odd is Odd.CREEP_HIGH:
        return "it has been coming up for its last times, which is how a sample wears or gets dirty"
    if like:
        return f"it scores as {like} does, and may have been swapped with it"
    if odd is Odd.LOW and one.kind == "reject":
        return "it may be worn, or may have been swapped with another"
    return "it may have been swapped with another"


def _who(one: SampleSettings) -> str:
    return f"reject sample {one.name}" if one.kind == "reject" else f"golden sample {one.name}"


def _by_sample(found: Iterable[Challenged], *, with_simulated: bool) -> dict[tuple[str, str], tuple[Shown, ...]]:
    showings: dict[tuple[str, str], list[Shown]] = {}
    for challenge in found:
        if challenge.is_simulated and not with_simulated:
            continue
        for sample in challenge.samples:
            showings.setdefault((sample.name, sample.kind), []).append(Shown(challenge.at_utc, sample))
    return {key: tuple(shown) for key, shown in showings.items()}
