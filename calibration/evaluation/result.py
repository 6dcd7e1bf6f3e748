"""What an evaluation found, as values: trials, methods, one data set; as JSON and as lines for a person."""

from __future__ import annotations

import io
import math
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from statistics import mean, stdev
from typing import TYPE_CHECKING

from calibration.baselines.published import Published, published_note
from calibration.evaluation.drift import DRIFT_COLUMNS, DriftRow, drift_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calibration.evaluation.gallery import Gallery

__all__ = ["COLUMNS", "Evaluation", "JudgedImage", "MethodResult", "Trial", "cells_of", "number", "table_lines"]

_NOT_PLAIN = frozenset({"judged", "scores", "notes", "drift"})


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """One test image in one trial. ``score`` is infinite where the image was refused before it had one.

    ``is_rejected`` is None and ``reason`` empty for a method without a limit; ``channel`` is where a score of several
    channels was highest, also of a part that passed.
    """

    score: float
    is_rejected: bool | None
    reason: str
    channel: str
    detail: str


@dataclass(frozen=True, slots=True)
class Trial:
    """One fit of one method and its test. Shares are in percent, times medians over the test images.

    ``auc``, ``ap`` and ``good_passed_at_zero_misses`` are of raw scores; ``limit`` and what follows tell what the
    method's own limit did (None for a method without one). ``describe_ms`` is from the registered crop to what is
    compared, ``score_ms`` the comparison. ``scores`` and ``judged`` stand in the order of the test images; images
    without a score rank above all others. ``notes`` are the calibration's; ``odd_part`` names the good part that had
    no say in the limit, with what to do; empty where there is none. ``drift`` are the verdicts under
    disturbances, where they were asked for.
    """

    seed: int
    draw: int
    auc: float
    ap: float
    good_passed_at_zero_misses: float
    limit: float | None
    expected_false_rejects: float | None
    false_reject_bound_95: float | None
    good: int
    good_rejected: int | None
    defective: int
    defective_passed: int | None
    good_align_rejected: int
    defective_align_rejected: int
    describe_ms: float
    score_ms: float
    pixel_auroc: float | None
    pro: float | None
    scores: tuple[float, ...] = field(repr=False)
    judged: tuple[JudgedImage, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    odd_part: str = ""
    drift: tuple[DriftRow, ...] = field(default=(), repr=False)

    @property
    def without_score(self) -> int:
        """How many test images were refused before they had a score."""
        return sum(not math.isfinite(score) for score in self.scores)

    def to_json(self, *, with_scores: bool) -> dict[str, object]:
        """The trial's facts; the raw scores, None where there is none, only where asked for."""
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_PLAIN}
        facts = {name: _finite(value) for name, value in facts.items()}
        facts |= {"without_score": self.without_score, "notes": list(self.notes)}
        facts |= {"drift": [row.to_json() for row in self.drift]} if self.drift else {}
        return facts | ({"scores": [_finite(score) for score in self.scores]} if with_scores else {})


@dataclass(frozen=True, slots=True)
class MethodResult:
    """All trials of one method on one data set. ``published`` is the paper's own row of it, ``note`` a caveat."""

    method: str
    title: str
    trials: tuple[Trial, ...]
    published: Published | None = None
    note: str = ""

    @property
    def auc(self) -> float:
        """Mean over the trials, percent."""
        return mean(trial.auc for trial in self.trials)

    @property
    def ap(self) -> float:
        """Mean over the trials, percent."""
        return mean(trial.ap for trial in self.trials)

    @property
    def auc_sd(self) -> float | None:
        """Standard deviation over the trials; None for a single one."""
        return _spread([trial.auc for trial in self.trials])

    @property
    def ap_sd(self) -> float | None:
        """Standard deviation over the trials; None for a single one."""
        return _spread([trial.ap for trial in self.trials])

    def mean_of(self, value: Callable[[Trial], float | None]) -> float | None:
        """The mean of a value over the trials; None if it has none."""
        values = [found for trial in self.trials if (found := value(trial)) is not None]
        return mean(values) if values else None

    def note_lines(self) -> list[str]:
        """What the trials' calibrations said, each note once, and how many images had no score."""
        counts = Counter(note for trial in self.trials for note in dict.fromkeys(trial.notes))
        of = len(self.trials)
        lines = [f"{self.title}: {note}{f' ({n} of {of} trials)' if n < of else ''}" for note, n in counts.items()]
        most = max(trial.without_score for trial in self.trials)
        if most:
            lines.append(
                f"{self.title}: {most} test images were refused before they had a score (the reason stands in the CSV "
                "of the images): they count as rejected, and rank above all others"
            )
        return lines

    def to_json(self, *, with_scores: bool = False) -> dict[str, object]:
        """``auc`` and ``ap`` in percent, their spread, and every trial under ``seeds``."""
        return {
            "method": self.method,
            "auc": self.auc,
            "auc_sd": self.auc_sd,
            "ap": self.ap,
            "ap_sd": self.ap_sd,
            "seeds": [trial.to_json(with_scores=with_scores) for trial in self.trials],
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Methods on one data set. ``train_images`` is how many good images each trial learned from.

    ``test_images`` are ``kind/file``, with their class and the ``sha256`` of their files. ``channels`` are those that
    were asked for; none: all that fit.
    """

    dataset: str
    train_images: int
    available_images: int
    draws: int
    good: int
    defective: int
    chance_ap: float
    methods: tuple[MethodResult, ...]
    published: tuple[Published, ...]
    test_images: tuple[str, ...] = field(repr=False)
    is_defective: tuple[bool, ...] = field(repr=False)
    gallery: Gallery | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    sha256: tuple[str, ...] = field(default=(), repr=False)
    channels: tuple[str, ...] = ()

    def method(self, name: str) -> MethodResult:
        """The result of that method. Raises StopIteration if it did not run."""
        return next(found for found in self.methods if found.method == name)

    def to_json(self, *, with_scores: bool = False) -> dict[str, object]:
        """One versioned object; where a single method ran, its keys stand at the top as well."""
        found: dict[str, object] = {
            "schema_version": 1,
            "dataset": self.dataset,
            "train_images": self.train_images,
            "available_images": self.available_images,
            "draws": self.draws,
            "good": self.good,
            "defective": self.defective,
            "chance_ap": self.chance_ap,
            "channels": list(self.channels),
            "methods": [method.to_json(with_scores=with_scores) for method in self.methods],
            "published": [asdict(row) for row in self.published],
            "notes": list(self.notes),
        }
        if len(self.methods) == 1:
            found |= self.methods[0].to_json()
        if with_scores:
            found |= {"test_images": list(self.test_images), "is_defective": list(self.is_defective)}
        return found

    @property
    def introduction(self) -> tuple[str, ...]:
        """What was measured, in words."""
        is_drawn = self.train_images < self.available_images
        drawn = f" of {self.available_images}, random draws by seeds 0 to {self.draws - 1}" if is_drawn else ""
        return (
            f"{self.dataset}: learned from {self.train_images} good images{drawn}",
            f"tested on {self.good} good and {self.defective} defective; a coin toss: AUC 50, AP {self.chance_ap:.1f}",
            *self.notes,
            *(line for method in self.methods for line in method.note_lines()),
            *(method.note for method in self.methods if method.note),
            *self._odd_parts(),
        )

    def summary(self) -> list[str]:
        """Lines for a person: what was measured, the table, and what others published."""
        return [*self.measured_lines(), *self.published_lines()]

    def measured_lines(self) -> list[str]:
        """What was measured, and the table."""
        rows = [[method.title, *cells_of(method)] for method in self.methods]
        table = table_lines(["method", *(title for title, _ in COLUMNS)], rows)
        return [*self.introduction, *table, *self.drift_table()]

    def drift_table(self) -> list[str]:
        """What disturbances do to the verdicts of each method; nothing where that was not asked for."""
        rows = [(found.title, row) for found in self.methods for trial in found.trials for row in trial.drift]
        return table_lines(("method", *DRIFT_COLUMNS), [(t, *drift_cells(row)) for t, row in rows]) if rows else []

    def _odd_parts(self) -> list[str]:
        """The good parts that had no say in a limit, one a line."""
        return [
            f"{found.method}, draw {trial.draw}, seed {trial.seed}: {trial.odd_part}"
            for found in self.methods
            for trial in found.trials
            if trial.odd_part
        ]

    def published_lines(self) -> list[str]:
        """What others published on this data set; nothing for a set that is in no publication."""
        return [*self.published_table(), published_note()] if self.published else []

    def published_table(self) -> list[str]:
        """The published figures as a table, without the note that all such figures need."""
        if not self.published:
            return []
        rows = [[row.method, f"{row.auc:.2f}", number(row.ap), row.source] for row in self.published]
        return table_lines(["published", "AUC %", "AP %", "by"], rows)


COLUMNS: tuple[tuple[str, Callable[[MethodResult], str]], ...] = (
    ("trials", lambda m: str(len(m.trials))),
    ("AUC %", lambda m: _with_spread(m.auc, m.auc_sd)),
    ("AP %", lambda m: _with_spread(m.ap, m.ap_sd)),
    ("paper:\nAUC %", lambda m: _paper_auc(m.published)),
    ("paper:\nAP %", lambda m: number(m.published.ap if m.published else None)),
    ("good passed at\n0 missed %", lambda m: number(m.mean_of(lambda t: t.good_passed_at_zero_misses), 1)),
    ("at its limit:\ngood rejected", lambda m: _of(m, lambda t: t.good_rejected, lambda t: t.good)),
    ("promised\nbelow %", lambda m: number(m.mean_of(lambda t: _percent(t.false_reject_bound_95)), 1)),
    ("defective\npassed", lambda m: _of(m, lambda t: t.defective_passed, lambda t: t.defective)),
    ("pixel\nAUROC %", lambda m: number(m.mean_of(lambda t: t.pixel_auroc))),
    ("PRO %", lambda m: number(m.mean_of(lambda t: t.pro))),
    ("features\nms", lambda m: number(m.mean_of(lambda t: t.describe_ms), 1)),
    ("score\nms", lambda m: number(m.mean_of(lambda t: t.score_ms), 1)),
)


def cells_of(method: MethodResult) -> tuple[str, ...]:
    """The method's row of the table, without its title."""
    return tuple(words(method) for _, words in COLUMNS)


def _finite(value: object) -> object:
    """JSON has no word for what is no finite number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _spread(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _with_spread(value: float, spread: float | None) -> str:
    return f"{value:.2f}" if spread is None else f"{value:.2f} +/- {spread:.2f}"


def number(value: float | None, digits: int = 2) -> str:
    """A number of the table; a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _paper_auc(row: Published | None) -> str:
    """What the paper prints as AUC, marked where it is something else."""
    if row is None:
        return "-"
    return f"{row.auc:.2f}" if row.measure == "AUC" else f"{row.measure} {row.auc:.2f}"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def _of(method: MethodResult, part: Callable[[Trial], int | None], whole: Callable[[Trial], int]) -> str:
    count = method.mean_of(part)
    return "-" if count is None else f"{count:.3g} of {whole(method.trials[0])}"


def table_lines(titles: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str] = ("by",)) -> list[str]:
    """A table as plain lines; the first column and those of ``left`` begin at the left."""
    from rich import box  # noqa: PLC0415 - a tenth of a second of start-up
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, title in enumerate(titles):
        table.add_column(title, justify="left" if not at or title in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=200, no_color=True, highlight=False, markup=False).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines() if line.strip()]
