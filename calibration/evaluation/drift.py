"""What light, lens and camera do to the verdicts: every test image judged again under each disturbance.

A judgement holds where good parts are rejected no more than twice as often as promised, and defects are found as
before to within five points.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from calibration.disturbances import disturbances_for
from calibration.writer import png_bytes
from edge_agent.domain import Outcome, Reason
from edge_agent.inspection.containers.decode import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from calibration.evaluation.dataset import LabelledImage
    from edge_agent.domain import Inspection
    from edge_agent.inspection.inspector import Inspector

__all__ = ["DRIFT_COLUMNS", "DriftRow", "drift_cells", "drift_rows"]

_UNDISTURBED = "none"
_BY_CONDITION = frozenset({Reason.LIGHT, Reason.FOCUS})
_MOST_TIMES_PROMISED = 2.0
_LEAST_KEPT = -0.05


@dataclass(frozen=True, slots=True)
class DriftRow:
    """The verdicts on all test images under one disturbance; the first row of a table is without any.

    ``by_condition`` of good and of defective parts were rejected as LIGHT or FOCUS. ``promised_below`` is the share of
    good parts that the limit states; ``holds`` is against it and against the first row.
    """

    disturbance: str
    title: str
    good: int
    good_rejected: int
    good_by_condition: int
    defective: int
    defective_found: int
    defective_by_condition: int
    promised_below: float
    holds: bool

    def to_json(self) -> dict[str, object]:
        """Plain numbers, by name."""
        return asdict(self)


DRIFT_COLUMNS = (
    "disturbance",
    "good rejected",
    "of them LIGHT, FOCUS",
    "promised below %",
    "defective found",
    "of them LIGHT, FOCUS",
    "holds",
)


def drift_cells(row: DriftRow) -> tuple[str, ...]:
    """A row of the table for people, under ``DRIFT_COLUMNS``."""
    return (
        row.title,
        f"{row.good_rejected} of {row.good}",
        str(row.good_by_condition),
        f"{100 * row.promised_below:.1f}",
        f"{row.defective_found} of {row.defective}",
        str(row.defective_by_condition),
        "yes" if row.holds else "NO",
    )


def drift_rows(
    tests: Sequence[LabelledImage],
    inspector: Inspector,
    promised_below: float,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[DriftRow, ...]:
    """Judge every test image as it is and under each disturbance that there is for the bundle's kind of image."""
    disturbances = disturbances_for(inspector.bundle.channels)
    names = {_UNDISTURBED: "undisturbed", **{one.name: one.title for one in disturbances}}
    counts = {name: _Count() for name in names}
    for done, test in enumerate(tests, start=1):
        pixels = decode(test.path.read_bytes())
        counts[_UNDISTURBED].add(inspector.inspect(png_bytes(pixels)), is_defective=test.is_defective)
        for one in disturbances:
            found = inspector.inspect(png_bytes(one.apply(pixels)))
            counts[one.name].add(found, is_defective=test.is_defective)
        progress(done, len(tests))
    return tuple(_rows(names.items(), counts, promised_below))


@dataclass(slots=True)
class _Count:
    good: int = 0
    good_rejected: int = 0
    good_by_condition: int = 0
    defective: int = 0
    defective_found: int = 0
    defective_by_condition: int = 0

    def add(self, found: Inspection, *, is_defective: bool) -> None:
        rejected, by_condition = int(found.outcome is not Outcome.OK), int(found.reason in _BY_CONDITION)
        if is_defective:
            self.defective += 1
            self.defective_found += rejected
            self.defective_by_condition += by_condition
        else:
            self.good += 1
            self.good_rejected += rejected
            self.good_by_condition += by_condition

    @property
    def found_share(self) -> float:
        return self.defective_found / self.defective if self.defective else 0.0

    def holds(self, undisturbed: _Count, promised_below: float) -> bool:
        is_kept = self.found_share - undisturbed.found_share > _LEAST_KEPT
        return is_kept and self.good_rejected <= _MOST_TIMES_PROMISED * promised_below * self.good


def _rows(names: Iterable[tuple[str, str]], counts: dict[str, _Count], promised_below: float) -> Iterable[DriftRow]:
    for name, title in names:
        holds = counts[name].holds(counts[_UNDISTURBED], promised_below)
        yield DriftRow(name, title, **asdict(counts[name]), promised_below=promised_below, holds=holds)
