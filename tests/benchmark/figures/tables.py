"""The tables in words: from the pieces of each data set to the lines that stand in docs/figures.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from statistics import mean
from typing import TYPE_CHECKING, Any

from calibration.baselines.published import published_for
from calibration.evaluation.drift import DriftRow
from calibration.evaluation.result import COLUMNS, MethodResult, Trial, cells_of
from calibration.evaluation.trial import TITLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.benchmark.figures.pieces import Done
    from tests.benchmark.figures.plan import Plan

__all__ = ["TABLE_TEXTS", "Measured"]

_COLUMNS = {
    "AUC %": "AUC %",
    "AP %": "AP %",
    "good passed at 0 missed %": "good passed at\n0 missed %",
    "good rejected": "at its limit:\ngood rejected",
    "promised below %": "promised\nbelow %",
    "defective passed": "defective\npassed",
    "pixel AUROC %": "pixel\nAUROC %",
    "PRO %": "PRO %",
    "describe ms": "features\nms",
    "score ms": "score\nms",
}
"""The columns of evaluate that are shown, by their titles there."""
_PUBLISHED = (
    "proposed (CPCAE, Xception)",
    "PatchCore (WideResNet-50)",
    "PatchCore (ResNet-18)",
    "DFM (ResNet-18)",
    "EfficientAD-M",
    "Dinomaly (DINOv2 ViT-B)",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The finished pieces of a table by data set, in the order of the pieces; ``missing`` says why others have none."""

    done: Mapping[str, Sequence[Done]]
    missing: Mapping[str, str]

    def lines(self, command: str) -> list[str]:
        """Which command made the table, at which commit and when, and what is missing in it."""
        every = [done for pieces in self.done.values() for done in pieces]
        commits = ", ".join(dict.fromkeys(done.commit for done in sorted(every, key=lambda done: done.measured)))
        days = sorted({done.measured for done in every})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        return [f"`{command}`, commit {commits}, {when}", "", *self.missing_lines]

    @property
    def missing_lines(self) -> list[str]:
        """Which data sets the table lacks, and why."""
        return [line for name, why in self.missing.items() for line in (f"Not measured: {name} ({why}).", "")]


def whole_text(measured: Measured, plan: Plan) -> list[str]:
    """A table a data set: all its good images, all seeds, and what others published."""
    return _evaluations(
        measured,
        lambda found: f"all {found['available']} good images, {_count(plan.seeds, 'seed')}",
        f"--methods {','.join(plan.whole_methods)} --seeds {plan.seeds}",
        with_published=True,
    )


def draws_text(measured: Measured, plan: Plan) -> list[str]:
    """A table a data set: some of the good images, all draws."""
    return _evaluations(
        measured,
        lambda _found: f"{plan.draw_images} of the good images, {_count(plan.draws, 'draw')}",
        f"--methods {','.join(plan.draw_methods)} --train-images {plan.draw_images} --repeats {plan.draws}",
        with_published=False,
    )


def promise_text(measured: Measured, plan: Plan) -> list[str]:
    """Whether the bound on good parts rejected is kept, a row a data set."""
    command = f"python -m tests.benchmark.figures DATA --tables promise --promise-draws {plan.promise_draws}"
    lines = [
        *measured.lines(command),
        *_row(
            "set",
            "good images",
            "unseen",
            "promised below %",
            "rejected, mean %",
            "allowed",
            "most in a draw",
            "draws within the bound",
        ),
    ]
    for name, pieces in measured.done.items():
        rows = [piece.found for piece in pieces]
        allowed = [math.floor(row["promised_below"] * row["unseen"] + 1e-9) for row in rows]
        within = sum(row["rejected"] <= most for row, most in zip(rows, allowed, strict=True))
        share = mean(row["rejected"] / row["unseen"] for row in rows)
        lines += _cells(
            name,
            rows[0]["good"],
            _from_to(row["unseen"] for row in rows),
            f"{100 * mean(row['promised_below'] for row in rows):.1f}",
            f"{100 * share:.1f}",
            _from_to(allowed),
            max(row["rejected"] for row in rows),
            f"{within} of {len(rows)} ({100 * within / len(rows):.0f} %)",
        )
    return lines


def drift_text(measured: Measured, plan: Plan) -> list[str]:
    """Verdicts under each disturbance: two columns a data set, a row a disturbance."""
    sets = {name: [DriftRow(**row) for row in _drift_of(pieces[0])] for name, pieces in measured.done.items()}
    images = plan.drift_images
    lines = measured.lines(f"edge-agent evaluate {' '.join(sets)} --methods views --train-images {images} --drift")
    titles = {row.disturbance: row.title for rows in sets.values() for row in rows}
    heads = [f"{name}: {what}" for name in sets for what in ("good rejected", "defective found")]
    lines += _row("disturbance", *heads)
    for disturbance, title in titles.items():
        cells = []
        for rows in sets.values():
            row = next((row for row in rows if row.disturbance == disturbance), None)
            cells += ["-", "-"] if row is None else _drift_cells(row)
        lines += _cells(title, *cells)
    return lines


def suspects_text(measured: Measured, plan: Plan) -> list[str]:
    """Defective images among the good ones, and clean sets: a row a data set."""
    command = "python -m tests.benchmark.figures DATA --tables suspects"
    lines = measured.lines(f"{command} --clean-draws {plan.clean_draws} --suspect-draws {plan.suspect_draws}")
    lines += [
        *_row(
            "set",
            "clean sets stopped",
            *(f"k = {count}" for count in plan.suspect_counts),
            "defective among the six oddest",
            "good ones named where k > 0",
        ),
    ]
    for name, pieces in measured.done.items():
        found = [piece.found for piece in pieces]
        by = {count: [row for row in found if row["put"] == count] for count in (0, *plan.suspect_counts)}
        put = [row for row in found if row["put"]]
        lines += _cells(
            name,
            _of(map(_is_stopped, by[0]), len(by[0])),
            *(_suspect_cell(by[count]) for count in plan.suspect_counts),
            _of((row["among_oddest"] for row in put), sum(row["put"] for row in put)),
            sum(row["named_good"] for row in put),
        )
    return lines


TABLE_TEXTS: Mapping[str, Callable[[Measured, Plan], list[str]]] = {
    "whole": whole_text,
    "draws": draws_text,
    "promise": promise_text,
    "drift": drift_text,
    "suspects": suspects_text,
}
"""By the name of the table."""


def _evaluations(
    measured: Measured, of_what: Callable[[dict[str, Any]], str], options: str, *, with_published: bool
) -> list[str]:
    lines = measured.missing_lines
    for name, pieces in measured.done.items():
        found = pieces[0].found
        chance = f"{found['chance_ap']:.1f}"
        lines += [f"### {name}, {of_what(found)}", ""]
        lines += Measured({name: pieces}, {}).lines(f"edge-agent evaluate {name} {options}")
        lines += [
            f"{found['good']} good and {found['defective']} defective test images; a coin toss: AUC 50, AP {chance}.",
            "",
        ]
        results = _results(pieces)
        lines += _row("method", *_COLUMNS)
        for number, result in enumerate(results):
            lines += _cells(f"**{result.title}**" if not number else result.title, *_evaluation_cells(result))
        lines += [*(_published(name) if with_published else ()), "", *_trial_by_trial(results[0])]
    return lines


def _results(pieces: Sequence[Done]) -> list[MethodResult]:
    """Each method with its trials; those of a method that needs one seed alone stand in the first piece."""
    names = dict.fromkeys(name for piece in pieces for name in piece.found["methods"])
    return [
        MethodResult(
            name,
            TITLES[name],
            tuple(_trial(piece.found["methods"][name]) for piece in pieces if name in piece.found["methods"]),
        )
        for name in names
    ]


def _trial(facts: dict[str, Any]) -> Trial:
    known = {field.name for field in fields(Trial)} - {"notes", "drift"}
    values: dict[str, Any] = {name: value for name, value in facts.items() if name in known}
    times = {name: math.nan if values[name] is None else values[name] for name in ("describe_ms", "score_ms")}
    return Trial(**{**values, **times, "scores": ()})


def _evaluation_cells(result: MethodResult) -> list[str]:
    cells = dict(zip((title for title, _ in COLUMNS), cells_of(result), strict=True))
    return [cells[title].replace("+/-", "±") for title in _COLUMNS.values()]


def _published(dataset: str) -> list[str]:
    """What others published on the whole set, from calibration/baselines/published.toml; nothing of half a set."""
    if dataset.endswith("_half"):
        return []
    known = {row.method: row for row in published_for(dataset)}
    return [
        line
        for name in _PUBLISHED
        if name in known
        for line in _cells(
            f"*published:* {name}, {known[name].source}",
            f"{known[name].auc:.2f}",
            "-" if known[name].ap is None else f"{known[name].ap:.2f}",
            *[""] * (len(_COLUMNS) - 2),
        )
    ]


def _trial_by_trial(result: MethodResult) -> list[str]:
    """A mean hides the draw in which it went wrong."""
    if len(result.trials) < 2:
        return []
    passed, rejected = (
        ", ".join(str(getattr(trial, name)) for trial in result.trials)
        for name in ("defective_passed", "good_rejected")
    )
    return [f"{result.title}, one after the other: defective passed {passed}; good rejected {rejected}.", ""]


def _drift_of(piece: Done) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = piece.found["methods"]["views"]["drift"]
    return rows


def _drift_cells(row: DriftRow) -> list[str]:
    cells = []
    for count, whole, by_condition in (
        (row.good_rejected, row.good, row.good_by_condition),
        (row.defective_found, row.defective, row.defective_by_condition),
    ):
        words = f"{count} of {whole}" + (f" ({by_condition})" if by_condition else "")
        cells.append(words if row.holds else f"**{words}**")
    return cells


def _suspect_cell(rows: Sequence[dict[str, Any]]) -> str:
    stopped = _of(map(_is_stopped, rows), len(rows))
    return f"{stopped}; {_of((row['named_defective'] for row in rows), sum(row['put'] for row in rows))}"


def _is_stopped(row: dict[str, Any]) -> bool:
    return bool(row["named_defective"] or row["named_good"])


def _of(counts: Iterable[int], whole: int) -> str:
    return f"{sum(counts)} of {whole}"


def _from_to(values: Iterable[int]) -> str:
    found = list(values)
    return f"{found[0]}" if min(found) == max(found) else f"{min(found)} to {max(found)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _row(*titles: str) -> list[str]:
    return [*_cells(*titles), "|" + "---|" * len(titles)]


def _cells(*cells: object) -> list[str]:
    return [f"| {' | '.join(str(cell) for cell in cells)} |"]
