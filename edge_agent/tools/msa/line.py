"""A study over the running line: each part is asked for by its name, its verdict read from its row in the journal."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import DataError, Unavailable
from edge_agent.store.search import JournalSearch
from edge_agent.store.study import Showing
from edge_agent.store.study_asks import Asked
from edge_agent.tools.challenge import was_seen
from edge_agent.tools.msa.going_on import MSA, now_utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow
    from edge_agent.store.study import Plan, Study, StudyFile

__all__ = ["must_be_as_the_journal_says", "must_run", "show_parts"]

_LOOK_EVERY_S = 0.1


async def must_run(settings: Settings) -> int:
    """The part that the agent has begun last; it may still be under way.

    Raises Unavailable where no agent runs on this line, or one that holds every part back.
    """
    async with DeskClient.open(desk_path(settings.store.journal)) as agent:
        if agent is None:
            raise Unavailable(
                "no agent runs on this line", hint="start it, or study recorded images: edge-agent msa images FOLDER"
            )
        told = await agent.status()
        if told.get("locked"):
            raise Unavailable(
                f"nothing passes now: {told['locked']}",
                hint="show the samples first: edge-agent challenge --samples all",
            )
        if told.get("dry_run"):
            raise Unavailable(
                "the agent is in a dry run: every PASS is held back",
                hint="start it without --dry-run: a study counts what comes to the gate",
            )
        newest = told.get("newest_part")
        return newest if isinstance(newest, int) else 0


async def show_parts(
    settings: Settings,
    file: StudyFile,
    within_s: float,
    say: Callable[[str], None],
    ask: Callable[[Asked], None],
    *,
    after_part: int = 0,
) -> None:
    """Ask for what is left of the study, part by part: ``say`` on the terminal, ``ask`` for the page.

    Each showing is written down before the next part is asked for.

    The next part of the line is the one that was asked for; up to ``after_part`` they were put in before. What nobody
    looked at is written down with its reason and asked for again. Raises Unavailable where a part does not come in
    time, DataError where another bundle or limit judged it, or where the journal is not the one that the study was
    shown to.
    """
    with JournalSearch.open(settings.store.journal) as search:
        _refuse_older(search, file)
        while (place := file.study.following()) is not None:
            plan, part = file.study.plan, file.study.plan.parts[place[1]]
            after = max(search.last_seq(), after_part)
            ask(Asked(part.name, file.study.done + 1, plan.total, again=_is_again(file)))
            say(f"{file.study.done + 1} of {plan.total}: put part {part.name} in, and nothing else")
            row, published = await _next(search, after, within_s, part.name)
            _refuse_other_bundle(plan, row)
            showing = _shown(row, published, place)
            file.add(showing)
            if not showing.is_seen:
                say(f"part {part.name}: {_why_again(row, published)}; it is shown once more")


def must_be_as_the_journal_says(settings: Settings, study: Study) -> None:
    """Raise DataError where a showing is not what the journal has of that part, or two showings are one part.

    The study's own hashes prove that nothing was changed by accident: whoever changes a line can compute them anew. The
    journal is sealed. Parts in a journal that was closed since the study began are taken as the study has them.
    """
    seqs = [showing.part_seq or 0 for showing in study.showings]
    if any(later <= earlier for earlier, later in pairwise([0, *seqs])):
        raise _not_of_the_journal("a showing without a part of the journal, or a part that counts twice")
    with JournalSearch.open(settings.store.journal) as search:
        first_here = 1 if _has_begun_in(search, study) else search.first_possible_seq()
        for one, seq in zip(study.showings, seqs, strict=True):
            if seq < first_here:
                continue
            row, published = search.part(seq), search.published(seq)
            if row is None or published is None:
                raise _not_of_the_journal(f"the journal has no part {seq}")
            said = _shown(row, published, (one.run, one.part))
            # Whether somebody had looked at a reject may be told otherwise by another version.
            is_seen = one.is_seen if row.verdict is Verdict.REJECT else said.is_seen
            if replace(said, at_utc=one.at_utc, is_seen=is_seen) != one:
                raise _not_of_the_journal(f"part {seq} is {row.verdict} {row.reason} in the journal, and not so here")


def _has_begun_in(search: JournalSearch, study: Study) -> bool:
    return any(_says_begun(event.detail, study.study_id) for event in search.events_of((MSA,)))


def _says_begun(detail: str, study_id: str) -> bool:
    try:
        said = json.loads(detail)
    except ValueError:  # a note that somebody else wrote
        return False
    return isinstance(said, dict) and (said.get("what"), said.get("study")) == ("begun", study_id)


def _not_of_the_journal(why: str) -> DataError:
    return DataError(
        f"the study is not what the journal says: {why}",
        hint="the study's file was changed, or belongs to another line: bring back the last good copy, or begin anew",
    )


def _is_again(file: StudyFile) -> bool:
    return bool(file.study.showings) and not file.study.showings[-1].is_seen


async def _next(search: JournalSearch, after: int, within_s: float, name: str) -> tuple[PartRow, Published]:
    until_mono_s = monotonic_s() + within_s
    while True:
        row = search.part(after + 1)
        published = None if row is None else search.published(row.part_seq)
        if row is not None and published is not None:
            return row, published
        if monotonic_s() > until_mono_s:
            raise Unavailable(
                f"part {name} did not come within {within_s:.0f} s",
                hint="the study is kept: the same command goes on with this part",
            )
        await asyncio.sleep(_LOOK_EVERY_S)


def _refuse_older(search: JournalSearch, file: StudyFile) -> None:
    """A journal that has not come as far as the study is not the one that the study was shown to."""
    seen = max((showing.part_seq or 0 for showing in file.study.showings), default=0)
    if search.last_seq() < seen:
        raise DataError(
            f"the study has seen part {seen}, the journal ends at part {search.last_seq()}",
            hint="this is the journal of another line, or an older copy: go on with the one that the study began with",
        )


def _refuse_other_bundle(plan: Plan, row: PartRow) -> None:
    known = {bundle.bundle_id: bundle.limit for bundle in plan.bundles}
    for camera in row.cameras:
        if camera.bundle_id is None:
            continue
        if camera.bundle_id not in known:
            raise DataError(
                f"part {row.part_seq} was judged by bundle {camera.bundle_id[:12]}, which is not the study's",
                hint="the running agent has another bundle in use: restart it, then go on with the same command; "
                "what was shown so far is kept, this part does not count",
            )
        if camera.limit is not None and camera.limit != known[camera.bundle_id]:
            raise DataError(
                f"part {row.part_seq} was judged by the limit {camera.limit:.6g}, the study's is "
                f"{known[camera.bundle_id]:.6g}",
                hint="put the limit of the study back, or begin a new study; what was shown so far is kept",
            )


def _why_again(row: PartRow, published: Published) -> str:
    if row.verdict is Verdict.PASS and row.reason is Reason.OK:
        return f"its PASS did not come to the gate ({published})"
    return f"nobody could look at it ({row.reason} {row.detail})"


def _shown(row: PartRow, published: Published, place: tuple[int, int]) -> Showing:
    is_seen = row.reason is Reason.OK and published is Published.PUBLISHED
    if row.verdict is Verdict.REJECT:
        is_seen = was_seen(row.reason, row.score, row.limit)
    return Showing(
        run=place[0],
        part=place[1],
        verdict=row.verdict,
        reason=row.reason,
        score=row.score,
        limit=row.limit,
        at_utc=now_utc(),
        is_seen=is_seen and row.verdict is not Verdict.FAULT,
        part_seq=row.part_seq,
        image_sha256="".join(camera.image_sha256 for camera in row.cameras),
    )
