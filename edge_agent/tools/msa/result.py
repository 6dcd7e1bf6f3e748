"""What a study found: its numbers, out of the showings that count."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_agent.domain import Verdict
from edge_agent.errors import DataError
from edge_agent.report.agreement import Agreement, Rate, Repeatability, agreement

if TYPE_CHECKING:
    from edge_agent.store.study import Showing, Study

__all__ = ["Found", "found_in"]


@dataclass(frozen=True, slots=True)
class Found:
    """A study and its numbers. ``unseen`` are the showings that nobody looked at; scores are in units of the limit."""

    study: Study
    numbers: Agreement

    @property
    def unseen(self) -> list[Showing]:
        """The showings that did not count and were made once more."""
        return [showing for showing in self.study.showings if not showing.is_seen]

    def of_part(self, part: int) -> list[Showing]:
        """The showings of a part that count, in the order of the runs."""
        counted = self.study.counted
        return [counted[run, part] for run in range(self.study.plan.runs)]

    def rates(self) -> dict[str, list[int]]:
        """Effectiveness, misses and false alarms as counted and of how many, for the journal."""
        names = ("effectiveness", "misses", "false_alarms")
        rates: dict[str, Rate] = {name: getattr(self.numbers, name) for name in names}
        return {name: [rate.seen, rate.of] for name, rate in rates.items()}

    def to_json(self) -> dict[str, object]:
        """The ``--json`` object."""
        numbers = self.numbers
        return {
            "schema_version": 1,
            "study": self.study.study_id,
            "study_sha256": self.study.head,
            "ok": numbers.grade == "accepted",
            "verdict": numbers.grade,
            "grades": numbers.grades,
            "parts": len(self.study.plan.parts),
            "runs": self.study.plan.runs,
            "seed": self.study.plan.seed,
            "bundles": [bundle.bundle_id for bundle in self.study.plan.bundles],
            **{name: _rate(getattr(numbers, name)) for name in ("effectiveness", "within", "misses", "false_alarms")},
            "kappa_reference": list(numbers.kappa_reference),
            "kappa_between": [[one + 1, other + 1, kappa] for one, other, kappa in numbers.kappa_between],
            "fleiss_within": numbers.fleiss_within,
            "fleiss_reference": numbers.fleiss_reference,
            "spread_good": self._spread(numbers.spread_good),
            "spread_defective": self._spread(numbers.spread_defective),
            "position": {
                "first": _rate(numbers.position.first),
                "last": _rate(numbers.position.last),
                "chance": numbers.position.chance,
                "score_chance": numbers.position.score_chance,
                "biased": numbers.position.is_biased,
            },
            "shown_again": len(self.unseen),
        }

    def _spread(self, spread: Repeatability | None) -> dict[str, object] | None:
        if spread is None:
            return None
        return {
            "deviation": spread.deviation,
            "nearest": spread.nearest,
            "nearest_part": self.study.plan.parts[spread.nearest_part].name,
            "share": spread.share if math.isfinite(spread.share) else None,
        }

    def lines(self) -> list[str]:
        """The result as lines of text for a person."""
        numbers = self.numbers
        rates = (("effectiveness", "of the parts judged rightly in every run"), ("misses", "of defective showings"))
        said = [
            _line(name, words, getattr(numbers, name), numbers.grades[name])
            for name, words in (*rates, ("false_alarms", "of good showings"))
        ]
        kappas = ", ".join(_kappa(kappa) for kappa in numbers.kappa_reference)
        said.append(f"Cohen's kappa of each run against the known state: {kappas}")
        said.append(f"Fleiss' kappa of the runs: {_kappa(numbers.fleiss_within)}")
        for kind, spread in (("good", numbers.spread_good), ("defective", numbers.spread_defective)):
            if spread is not None:
                said.append(
                    f"the score of a {kind} part spreads by {spread.deviation:.3g} of the limit, {spread.share:.1%} of "
                    "the way from the limit to the nearest of them"
                )
        if numbers.position.is_biased:
            said.append("the first and the last third of the study differ more than by chance")
        said += [f"{len(self.unseen)} showings were made again: nobody had looked"] if self.unseen else []
        return [*said, f"attribute agreement study: {str(numbers.grade).upper()}"]


def found_in(study: Study) -> Found:
    """The numbers of a whole study. Raises DataError where parts are still to be shown."""
    plan, counted = study.plan, study.counted
    if study.following() is not None:
        raise DataError(
            f"{study.done} of {plan.total} showings were made: the study is not whole",
            hint="go on with the command that began it",
        )
    shape = len(plan.parts), plan.runs
    passed, scores, positions = np.zeros(shape, bool), np.full(shape, np.nan), np.zeros(shape, np.int64)
    for position, ((run, part), showing) in enumerate(counted.items()):
        passed[part, run] = showing.verdict is Verdict.PASS
        positions[part, run] = position
        if showing.score is not None and showing.limit:
            scores[part, run] = showing.score / showing.limit
    is_defective = np.array([part.is_defective for part in plan.parts])
    unseen_good = sum(not showing.is_seen and not is_defective[showing.part] for showing in study.showings)
    return Found(study, agreement(passed, is_defective, scores, positions, limit=1.0, unseen_good=int(unseen_good)))


def _rate(rate: Rate) -> dict[str, object]:
    return {"seen": rate.seen, "of": rate.of, "value": rate.value, "bounds_95": list(rate.bounds)}


def _line(name: str, words: str, rate: Rate, grade: str) -> str:
    low, high = rate.bounds
    share = f"{rate.value:.1%} ({rate.seen} of {rate.of}; 95 % bounds {low:.1%} to {high:.1%})"
    return f"{name.replace('_', ' ')}: {share} {words}: {grade}"


def _kappa(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
