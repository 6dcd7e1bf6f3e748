"""Several data sets in one call: all are proven first, then each is measured; one that fails stops no other."""

from __future__ import annotations

import traceback
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from statistics import mean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from calibration.baselines.published import published_note
from calibration.evaluation.curve import LearningCurve
from calibration.evaluation.dataset import DataSet, read_dataset
from calibration.evaluation.result import COLUMNS, MethodResult, cells_of, number, table_lines
from calibration.evaluation.run import measured, prefixed
from edge_agent.errors import EdgeAgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from calibration.evaluation.options import EvaluationOptions
    from calibration.evaluation.result import Evaluation

    Progress = Callable[[str, int, int], None]
    Found = Evaluation | LearningCurve

__all__ = ["FailedSet", "MeanRow", "SeveralSets", "evaluate_several", "points_of"]

_EX_SOFTWARE, _EX_IOERR = 70, 74


@dataclass(frozen=True, slots=True)
class FailedSet:
    """A data set without a result, or whose files could not be written. ``trace`` is of a bug, else empty."""

    dataset: str
    error: str
    hint: str
    exit_code: int
    trace: str = ""

    @property
    def line(self) -> str:
        """Which failed and why, for a person."""
        return f"{self.dataset} FAILED: {self.error}" + (f" (hint: {self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class MeanRow:
    """One method over all data sets, each set counting alike. Shares in percent; None where no method tells them.

    ``train_images`` is None where the sets were learned from different numbers of images.
    """

    method: str
    title: str
    sets: int
    train_images: int | None
    auc: float
    ap: float
    good_passed_at_zero_misses: float | None
    good_rejected_percent: float | None
    promised_below_percent: float | None
    defective_passed_percent: float | None
    pixel_auroc: float | None
    pro: float | None

    def cells(self) -> tuple[str, ...]:
        """The row of the table under the columns of single results, without its title."""
        words = {
            "AUC %": number(self.auc),
            "AP %": number(self.ap),
            "good passed at\n0 missed %": number(self.good_passed_at_zero_misses, 1),
            "at its limit:\ngood rejected": _percent_words(self.good_rejected_percent),
            "promised\nbelow %": number(self.promised_below_percent, 1),
            "defective\npassed": _percent_words(self.defective_passed_percent),
            "pixel\nAUROC %": number(self.pixel_auroc),
            "PRO %": number(self.pro),
        }
        return tuple(words.get(title, "") for title, _ in COLUMNS)


@dataclass(frozen=True, slots=True)
class SeveralSets:
    """What became of several data sets, in the order in which they were given."""

    found: tuple[Found, ...]
    failed: tuple[FailedSet, ...]

    @property
    def exit_code(self) -> int:
        """0, or that of the first set that failed."""
        return self.failed[0].exit_code if self.failed else 0

    @property
    def means(self) -> tuple[MeanRow, ...]:
        """Each method over all sets; in a learning curve each of its numbers of images."""
        columns = zip(*(points_of(found) for found in self.found), strict=True)
        return tuple(_mean_row(rows) for point in columns for rows in _by_method(point))

    def to_json(self, *, with_scores: bool = False) -> dict[str, object]:
        """One versioned object; ``sets`` holds what each set would give by itself."""
        return {
            "schema_version": 2,
            "sets": [found.to_json(with_scores=with_scores) for found in self.found],
            "means": [asdict(row) for row in self.means],
            "failed": [
                {"dataset": one.dataset, "error": one.error, "hint": one.hint, "exit_code": one.exit_code}
                for one in self.failed
            ],
        }

    @property
    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Titles, and a row a set and method, then the means."""
        rows = [
            (evaluation.dataset, str(evaluation.train_images), method.title, *cells_of(method))
            for found in self.found
            for evaluation in points_of(found)
            for method in evaluation.methods
        ]
        for row in self.means:
            name = f"mean of {row.sets} sets" if row.sets > 1 else "mean of 1 set"
            rows.append((name, "" if row.train_images is None else str(row.train_images), row.title, *row.cells()))
        return ("set", "images", "method", *(title for title, _ in COLUMNS)), rows

    def summary(self) -> list[str]:
        """Lines for a person: what was measured, one table, what others published, and which sets failed."""
        said = [line for found in self.found for point in points_of(found) for line in point.introduction]
        lines = list(dict.fromkeys(said))
        if self.found:
            lines += table_lines(*self.table, left=("set", "method"))
        for found in self.found:
            for point in points_of(found):
                lines += [f"{point.dataset}, under disturbances:", *point.drift_table()] if point.drift_table() else []
        lasts = [points_of(found)[-1] for found in self.found if points_of(found)[-1].published]
        for last in lasts:
            lines += [f"{last.dataset}, published by others:", *last.published_table()]
        lines += [published_note()] if lasts else []
        for found in self.found:
            if isinstance(found, LearningCurve):
                lines += [f"{found.last.dataset}: {verdict}" for verdict in found.verdicts]
        return [*lines, *(one.line for one in self.failed)]


def points_of(found: Found) -> tuple[Evaluation, ...]:
    """The evaluations of a learning curve, or the only one."""
    return found.evaluations if isinstance(found, LearningCurve) else (found,)


def _unseen(_stage: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def evaluate_several(
    folders: Sequence[Path],
    options: EvaluationOptions,
    watch: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(_unseen),
    *,
    done: Callable[[Found], None] = lambda _found: None,
    failed: Callable[[FailedSet], None] = lambda _failed: None,
) -> SeveralSets:
    """Evaluate each data set as ``evaluate`` does; ``done`` and ``failed`` are told at once what became of one.

    Every set is read and proven before the first is measured. ``watch`` opens the progress of the proof, and of each
    set. Raises UsageError for what cannot be asked for of any set, or a set that is given twice.
    """
    options.check()
    failures = _Failures(failed)
    found: list[Found] = []
    with TemporaryDirectory(prefix="edge-agent-evaluate-") as spare:
        ready: list[DataSet] = []
        with watch() as progress:
            for name, folder in zip(_names_of(folders), folders, strict=True):
                with failures.kept(name):
                    ready.append(_proven(name, folder, options, Path(spare) / str(len(ready)), progress))
        for data in ready:
            with failures.kept(data.name):
                with watch() as progress:
                    found.append(measured(data, options, prefixed(progress, f"{data.name}: ")))
                done(found[-1])
    return SeveralSets(tuple(found), tuple(failures.found))


def _proven(name: str, folder: Path, options: EvaluationOptions, spare: Path, progress: Progress) -> DataSet:
    data = replace(read_dataset(folder, lambda at, of: progress(f"{name}: check", at, of), spare), name=name)
    for count in options.counts or [options.train_images]:
        data.check_count(count)
    return data


class _Failures:
    """Keeps what went wrong with a set, so that the others go on."""

    def __init__(self, tell: Callable[[FailedSet], None]) -> None:
        self._tell = tell
        self.found: list[FailedSet] = []

    @contextmanager
    def kept(self, name: str) -> Iterator[None]:
        try:
            yield
        except EdgeAgentError as err:
            self._add(FailedSet(name, str(err), err.hint, err.exit_code))
        except OSError as err:
            self._add(FailedSet(name, str(err), "", _EX_IOERR))
        except Exception as err:  # noqa: BLE001 - a bug with one set costs the hours of no other; it is told in full
            words = f"a bug in edge-agent, please report it: {type(err).__name__}: {err}"
            self._add(FailedSet(name, words, "", _EX_SOFTWARE, traceback.format_exc()))

    def _add(self, failed: FailedSet) -> None:
        self.found.append(failed)
        self._tell(failed)


def _names_of(folders: Sequence[Path]) -> list[str]:
    """Each folder's name, with as much of its path as tells it from the others. Raises UsageError for one twice."""
    paths = [folder.resolve() for folder in folders]
    twice = {str(folder) for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1}
    if twice:
        raise UsageError(f"the same data set twice: {', '.join(sorted(twice))}", hint="name each data set once")
    names = []
    for path in paths:
        ends = [PurePath(*path.parts[-depth:]) for depth in range(1, len(path.parts) + 1)]
        alone = (end for end in ends if sum(other.parts[-len(end.parts) :] == end.parts for other in paths) == 1)
        names.append(str(next(alone, path)))
    return names


def _by_method(evaluations: Sequence[Evaluation]) -> Iterator[list[tuple[Evaluation, MethodResult]]]:
    """The sets' results of each method, of one point of a learning curve or of the only one."""
    for results in zip(*(evaluation.methods for evaluation in evaluations), strict=True):
        yield list(zip(evaluations, results, strict=True))


def _mean_row(rows: Sequence[tuple[Evaluation, MethodResult]]) -> MeanRow:
    methods = [method for _, method in rows]
    counts = {evaluation.train_images for evaluation, _ in rows}
    return MeanRow(
        method=methods[0].method,
        title=methods[0].title,
        sets=len(rows),
        train_images=counts.pop() if len(counts) == 1 else None,
        auc=mean(method.auc for method in methods),
        ap=mean(method.ap for method in methods),
        good_passed_at_zero_misses=_mean(m.mean_of(lambda t: t.good_passed_at_zero_misses) for m in methods),
        good_rejected_percent=_mean(m.mean_of(lambda t: _share(t.good_rejected, t.good)) for m in methods),
        promised_below_percent=_mean(m.mean_of(lambda t: _share(t.false_reject_bound_95, 1)) for m in methods),
        defective_passed_percent=_mean(m.mean_of(lambda t: _share(t.defective_passed, t.defective)) for m in methods),
        pixel_auroc=_mean(m.mean_of(lambda t: t.pixel_auroc) for m in methods),
        pro=_mean(m.mean_of(lambda t: t.pro) for m in methods),
    )


def _share(part: float | None, whole: int) -> float | None:
    return None if part is None else 100.0 * part / whole


def _mean(values: Iterator[float | None]) -> float | None:
    """Over all sets; None where one has none, for a mean over others would be no mean of these sets."""
    found = list(values)
    return None if None in found else mean(value for value in found if value is not None)


def _percent_words(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"
