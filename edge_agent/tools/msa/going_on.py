"""A study that begins, or goes on where it stopped: the same parts, bundles and limits, or it does not go on."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from edge_agent.bundles.line_bundles import check_place, load_bundle
from edge_agent.desk.noted import noted
from edge_agent.errors import DataError
from edge_agent.store.study import Plan, StudyBundle, StudyFile, shuffled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_agent.settings import BundleSettings, Settings
    from edge_agent.store.study import Study, StudyPart

__all__ = ["MSA", "bundles_of", "going_on", "new_plan", "note", "now_utc"]

MSA = "MSA"
"""The kind of a study's events in the journal; their detail is a JSON object with ``what``: begun, resumed, ended."""


def new_plan(
    settings: Settings,
    parts: Sequence[StudyPart],
    *,
    through: Literal["line", "images"],
    runs: int,
    by: str,
    entries: Sequence[BundleSettings],
    seed: int | None = None,
) -> Plan:
    """The plan of a study that would begin now. Raises BundleRejected."""
    drawn = random.SystemRandom().randrange(2**31) if seed is None else seed
    return Plan(
        line=settings.line.name,
        through=through,
        by=by,
        begun_utc=now_utc(),
        seed=drawn,
        bundles=bundles_of(settings, entries),
        parts=tuple(parts),
        order=shuffled(len(parts), runs, drawn),
    )


def bundles_of(settings: Settings, entries: Sequence[BundleSettings]) -> tuple[StudyBundle, ...]:
    """The bundles in use at these places, with their limits. Raises BundleRejected."""
    found = []
    for entry in entries:
        bundle = load_bundle(settings, entry.path)
        check_place(entry, bundle)
        found.append(StudyBundle(entry.program, entry.camera, bundle.id, bundle.limit))
    return tuple(found)


@contextmanager
def going_on(path: Path, plan: Plan) -> Iterator[StudyFile]:
    """The study at ``path``: begun with this plan, or resumed where the plan is still the same.

    Raises DataError where it is not, and leaves the file as it is; AlreadyRunning, OSError.
    """
    if not path.exists():
        with StudyFile.begun(path, plan) as file:
            yield file
        return
    with StudyFile.resumed(path) as file:
        _refuse_another(file.study.plan, plan, path)
        yield file


async def note(settings: Settings, study: Study, what: str, *, by: str, **facts: Any) -> str:
    """Write an event of the study into the journal, signed by whoever did it; by which way.

    Raises EdgeAgentError, DriverError.
    """
    told = {
        "schema_version": 1,
        "what": what,
        "study": study.study_id,
        "by": by,
        "through": study.plan.through,
        "parts": len(study.plan.parts),
        "runs": study.plan.runs,
        "shown": len(study.showings),
        "study_sha256": study.head,
        **facts,
    }
    return await noted(settings, MSA, json.dumps(told, ensure_ascii=False))


def now_utc() -> str:
    """Now, as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _refuse_another(was: Plan, now: Plan, path: Path) -> None:
    kept = f"{path} is kept as it is"
    if was.line != now.line:
        raise DataError(
            f"the study is of line {was.line!r}, line.toml is of line {now.line!r}",
            hint=f"name the line.toml of that line, or another file for a new study; {kept}",
        )
    if was.through != now.through:
        raise DataError(
            f"the study goes through {was.through}, not through {now.through}", hint=f"another file; {kept}"
        )
    if was.bundles != now.bundles:
        raise DataError(
            f"another bundle or limit is in use than when the study began: {_words(was)} then, {_words(now)} now",
            hint=f"put the bundle of the study back to use, or begin a new study in another file; {kept}",
        )
    if (was.parts, was.runs) != (now.parts, now.runs):
        raise DataError(
            f"the parts are not those of the study: {len(was.parts)} in {was.runs} runs then, {len(now.parts)} in "
            f"{now.runs} runs now, or others in name, known state or image",
            hint=f"name the parts that the study began with, or another file for a new study; {kept}",
        )


def _words(plan: Plan) -> str:
    return ", ".join(
        f"program {b.program} camera {b.camera}: {b.bundle_id[:12]} limit {b.limit:.6g}" for b in plan.bundles
    )
