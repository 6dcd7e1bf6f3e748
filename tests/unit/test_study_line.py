"""A study over a line's journal: what counts of a part's row, what is asked for again, and what stops the study."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import DataError, Unavailable
from edge_agent.store.journal import Journal
from edge_agent.store.rotation import rotate
from edge_agent.store.study import Plan, StudyBundle, StudyFile, StudyPart, shuffled
from edge_agent.tools.msa.going_on import note
from edge_agent.tools.msa.line import must_be_as_the_journal_says, show_parts
from edge_agent.tools.msa.result import found_in
from tests.security.web_site import part_row, reject_row, web_settings

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.settings import Settings
    from edge_agent.store.rows import PartRow
    from edge_agent.store.study import Study

PARTS = (StudyPart("1", is_defective=False), StudyPart("2", is_defective=True))


def plan(**changed: Any) -> Plan:
    return replace(
        Plan(
            line="line 7",
            through="line",
            by="Ada",
            begun_utc="2026-11-30T09:00:00.000+00:00",
            seed=7,
            bundles=(StudyBundle(3, 1, "bundle", 1.5),),
            parts=PARTS,
            order=shuffled(2, 2, 7),
        ),
        **changed,
    )


class LineOf:
    """A line that writes the row of each part when it is asked for: these first, then such as fit the part."""

    def __init__(self, folder: Path, *rows: tuple[PartRow, Published]) -> None:
        self.settings: Settings = web_settings(folder)
        self.first = list(rows)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.number = 0
        self.under_way: tuple[PartRow, Published] | None = None
        self.tasks: list[asyncio.Task[None]] = []

    async def study(self, path: Path, within_s: float = 30.0, after_part: int = 0, **changed: Any) -> Study:
        self.journal = Journal.open(self.settings.store.journal)
        try:
            with StudyFile.begun(path, plan(**changed)) as file:
                await show_parts(self.settings, file, within_s, self.said.append, self._ask, after_part=after_part)
            return file.study
        finally:
            await asyncio.gather(*self.tasks)
            self.journal.close()

    def _ask(self, asked: Any) -> None:
        self.asked.append(asked.part)
        self.tasks.append(asyncio.get_running_loop().create_task(self._put_in(asked.part)))

    async def _put_in(self, name: str) -> None:
        if not self.number and self.under_way is not None:
            await self._write(*self.under_way)
        self.number += 1
        fitting = reject_row(self.number) if name == "2" else part_row(self.number)
        row, published = self.first.pop(0) if self.first else (fitting, Published.PUBLISHED)
        await self._write(replace(row, part_seq=self.number + (self.under_way is not None)), published)

    async def _write(self, row: PartRow, published: Published) -> None:
        await self.journal.append(row)
        await self.journal.publication(row.part_seq, published, row.decided_mono_s)


AGAIN = [
    (reject_row(1, verdict=Verdict.REJECT, reason=Reason.LATE), Published.PUBLISHED),
    (reject_row(1, verdict=Verdict.REJECT, reason=Reason.STALE, cameras=()), Published.PUBLISHED),
    (reject_row(1, verdict=Verdict.REJECT, reason=Reason.NO_RESULT), Published.PUBLISHED),
    (reject_row(1, verdict=Verdict.FAULT, reason=Reason.PROGRAM), Published.PUBLISHED),
    (part_row(1, verdict=Verdict.PASS, reason=Reason.BYPASS), Published.PUBLISHED),
    (part_row(1), Published.LATE),
    (part_row(1, verdict=Verdict.REJECT, reason=Reason.LIGHT), Published.PUBLISHED),
]


@pytest.mark.parametrize("shown", AGAIN, ids=lambda shown: f"{shown[0].verdict} {shown[0].reason} {shown[1]}")
async def test_what_nobody_looked_at_is_written_down_and_asked_for_again(
    tmp_path: Path, shown: tuple[PartRow, Published]
) -> None:
    at = LineOf(tmp_path, shown)

    study = await at.study(tmp_path / "msa.jsonl")

    assert at.asked[0] == at.asked[1]
    assert len(at.asked) == 5
    assert [one.is_seen for one in study.showings] == [False, True, True, True, True]
    assert study.showings[0].reason is shown[0].reason
    assert any("shown once more" in said for said in at.said)


@pytest.mark.parametrize(
    "row",
    [
        reject_row(1),
        part_row(1, verdict=Verdict.REJECT, reason=Reason.ALIGN),
        part_row(1, verdict=Verdict.REJECT, reason=Reason.CONTROLLER_NG),
        reject_row(1, reason=Reason.LIGHT),
        part_row(1),
    ],
    ids=lambda row: f"{row.reason}",
)
async def test_what_somebody_looked_at_counts(tmp_path: Path, row: PartRow) -> None:
    study = await LineOf(tmp_path, (row, Published.PUBLISHED)).study(tmp_path / "msa.jsonl")

    assert [one.is_seen for one in study.showings] == [True] * 4
    assert study.showings[0].verdict is row.verdict


async def test_a_part_that_was_under_way_before_is_no_part_of_the_study(tmp_path: Path) -> None:
    at = LineOf(tmp_path)
    at.under_way = reject_row(1), Published.PUBLISHED

    study = await at.study(tmp_path / "msa.jsonl", after_part=1)

    assert [one.part_seq for one in study.showings] == [2, 3, 4, 5]
    assert len(at.asked) == 4


@pytest.mark.parametrize(
    ("bundles", "says"),
    [
        ((StudyBundle(3, 1, "another", 1.5),), "was judged by bundle bundle, which is not the study's"),
        ((StudyBundle(3, 1, "bundle", 1.4),), "was judged by the limit 1.5, the study's is 1.4"),
    ],
)
async def test_a_part_of_another_bundle_or_limit_stops_the_study_and_does_not_count(
    tmp_path: Path, bundles: tuple[StudyBundle, ...], says: str
) -> None:
    at = LineOf(tmp_path)
    with pytest.raises(DataError, match=says):
        await at.study(tmp_path / "msa.jsonl", bundles=bundles)

    assert (tmp_path / "msa.jsonl").read_bytes().count(b"\n") == 1, "the plan alone"


async def test_a_part_that_does_not_come_is_asked_for_again_by_the_same_command(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    Journal.open(settings.store.journal).close()
    with StudyFile.begun(tmp_path / "msa.jsonl", plan()) as file:
        with pytest.raises(Unavailable, match="did not come within 0 s") as refused:
            await show_parts(settings, file, 0.0, lambda _: None, lambda _: None)
        assert "the same command goes on" in refused.value.hint
        assert file.study.showings == []


async def test_the_journal_of_another_line_is_refused(tmp_path: Path) -> None:
    at = LineOf(tmp_path)
    await at.study(tmp_path / "msa.jsonl")
    other = tmp_path / "other"
    other.mkdir()
    settings = web_settings(other)
    Journal.open(settings.store.journal).close()

    with (
        StudyFile.resumed(tmp_path / "msa.jsonl") as file,
        pytest.raises(DataError, match="the study has seen part 4, the journal ends at part 0"),
    ):
        await show_parts(settings, file, 1.0, lambda _: None, lambda _: None)


def missed(folder: Path) -> LineOf:
    """A line that passes part 2, which is defective, the first time."""
    ok = (part_row(1), Published.PUBLISHED)
    order = plan().order[0]
    return LineOf(folder, *([ok] if order[0] == 1 else [ok, ok]))


async def test_a_study_whose_file_was_changed_with_new_hashes_is_not_what_the_journal_says(tmp_path: Path) -> None:
    at, path = missed(tmp_path), tmp_path / "msa.jsonl"
    study = await at.study(path)
    must_be_as_the_journal_says(at.settings, study)
    assert found_in(study).numbers.misses.seen == 1
    wrong = next(one for one in study.showings if one.part == 1 and one.verdict is Verdict.PASS)
    changes: tuple[dict[str, Any], ...] = (
        {"verdict": Verdict.REJECT, "reason": Reason.SCORE},
        {"is_seen": False},
        {"score": 99.0},
        {"part_seq": 77},
        {"part_seq": None},
        {"image_sha256": "ff" * 32},
    )
    for number, change in enumerate(changes):
        with StudyFile.begun(tmp_path / f"{number}.jsonl", plan()) as file:
            for one in study.showings:
                file.add(replace(wrong, **change) if one is wrong else one)
                if one is wrong and change == {"is_seen": False}:
                    file.add(replace(one, verdict=Verdict.REJECT, reason=Reason.SCORE))
            with pytest.raises(DataError, match="not what the journal says"):
                must_be_as_the_journal_says(at.settings, file.study)


async def test_a_row_of_the_journal_counts_once(tmp_path: Path) -> None:
    at = LineOf(tmp_path)
    study = await at.study(tmp_path / "msa.jsonl")
    of = {one.part: one for one in study.showings if one.run == 0}
    with StudyFile.begun(tmp_path / "twice.jsonl", plan()) as file:
        while (place := file.study.following()) is not None:
            file.add(replace(of[place[1]], run=place[0]))
        with pytest.raises(DataError, match="not what the journal says"):
            must_be_as_the_journal_says(at.settings, file.study)


async def test_a_study_whose_parts_are_in_a_journal_that_was_closed_since_can_still_be_reported(tmp_path: Path) -> None:
    at = LineOf(tmp_path)
    study = await at.study(tmp_path / "msa.jsonl")
    rotate(at.settings.store.journal)

    must_be_as_the_journal_says(at.settings, study)
    # Where the study has begun after the journal was closed, none of its parts can be in that one.
    await note(at.settings, study, "begun", by="Ada")
    with pytest.raises(DataError, match="the journal has no part 1"):
        must_be_as_the_journal_says(at.settings, study)
