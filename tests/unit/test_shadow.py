"""A candidate's way along the journal: each part once, whatever ends it, and nothing that a line would wait for."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.domain import Inspection, Outcome, Published, Reason, Verdict
from edge_agent.errors import AlreadyRunning, DataError
from edge_agent.shadow import following
from edge_agent.shadow.comparison import Side, compared, newest_comparison
from edge_agent.shadow.following import BecameActive, Follower
from edge_agent.shadow.keeper import _wanted
from edge_agent.store.journal import Journal
from edge_agent.store.position import Position
from edge_agent.store.reader import JournalReader
from edge_agent.store.rotation import rotate
from edge_agent.store.shadow import Candidate, ShadowFile, What, shadow_path
from tests.security.web_site import part_row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.store.rows import PartRow
    from edge_agent.store.shadow import Shadow, ShadowResult

CANDIDATE = Candidate(3, 1, "/bundles/new", "candidate", 1.5, "Ada", "a new lot")


class Killed(BaseException):
    """The process ends in the middle, as by SIGKILL: nothing behind this line runs."""


class Line:
    """What a running agent leaves, and a candidate that says by the part's number what a test wants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.sqlite3"
        self.archive = folder / "archive"
        self.journal = Journal.open(self.path)
        self.says: Callable[[int], Inspection] = inspection
        self.asked: list[int] = []

    async def part(self, seq: int, *, is_filed: bool = True, is_ok: bool = True, **changes: Any) -> PartRow:
        """A part, its image, and what became of its verdict."""
        row = part_row(seq, **changes)
        seen = {} if is_ok else {"outcome": Outcome.NG, "reason": Reason.SCORE, "score": 2.0}
        if not is_ok:
            row = replace(row, verdict=Verdict.REJECT, reason=Reason.SCORE)
        digest = hashlib.sha256(image(seq)).hexdigest()
        row = replace(row, cameras=(replace(row.cameras[0], image_sha256=digest, image_name="a.bmp", **seen),))
        if is_filed:
            self.file(row)
        await self.journal.append(row)
        await self.journal.publication(seq, Published.PUBLISHED, row.decided_mono_s + 0.01)
        return row

    def file(self, row: PartRow, data: bytes | None = None) -> Path:
        """Its image, as the archive names it."""
        folder = self.archive / row.decided_utc[:10]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"part_{row.part_seq:012d}_CAM1_{row.verdict}_{row.cameras[0].image_sha256[:8]}.bmp"
        path.write_bytes(data or image(row.part_seq))
        return path

    def begin(self) -> Shadow:
        with JournalReader.open(self.path) as journal:
            newest = journal.newest_link()
            place = Position(journal.origin()[0], newest, journal.link_sha256(newest))
        with self.file_of_shadows() as file:
            return file.begin(CANDIDATE, place)

    def file_of_shadows(self) -> ShadowFile:
        file = ShadowFile.open(self.path, to_write=True)
        assert file is not None
        return file

    def run(self) -> None:
        """One life of the process: until there is nothing to do."""
        with self.file_of_shadows() as file:
            follower = Follower(file, self.path, self.archive, self._inspect)
            while (shadow := file.active()) is not None and follower.step(shadow):
                pass

    def results(self) -> list[ShadowResult]:
        with self.file_of_shadows() as file:
            return list(file.results(file.shadows()[0]))

    def whats(self) -> list[tuple[int, What]]:
        return [(one.part_seq, one.what) for one in self.results()]

    def _inspect(self, data: bytes) -> Inspection:
        seq = int(data.split()[-1])
        self.asked.append(seq)
        return self.says(seq)


def image(seq: int) -> bytes:
    return b"image %d" % seq


def inspection(seq: int, score: float = 0.5) -> Inspection:
    outcome, reason = (Outcome.OK, Reason.OK) if score < 1.5 else (Outcome.NG, Reason.SCORE)
    return Inspection(outcome, reason, score, 1.5, "candidate", hashlib.sha256(image(seq)).hexdigest())


def failing(seq: int) -> Inspection:
    raise RuntimeError("a network of another size")


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    found = Line(tmp_path)
    yield found
    found.journal.close()


async def test_a_candidate_that_raises_is_written_down_and_the_next_part_is_judged(line: Line) -> None:
    line.begin()
    for seq in (1, 2, 3):
        await line.part(seq)
    line.says = lambda seq: failing(seq) if seq == 2 else inspection(seq)

    line.run()

    assert line.whats() == [(1, What.JUDGED), (2, What.FAILED), (3, What.JUDGED)]
    assert "a network of another size" in line.results()[1].detail
    assert line.results()[1].outcome is None


async def test_killed_at_random_it_goes_on_without_a_gap_or_a_double(line: Line) -> None:
    line.begin()
    for seq in range(1, 61):
        await line.part(seq, program=4 if seq % 7 == 0 else 3)
    draw = random.Random(19)

    def dies_at_times(seq: int) -> Inspection:
        if draw.random() < 0.3:
            raise Killed
        return inspection(seq)

    line.says = dies_at_times
    lives = 0
    while True:
        lives += 1
        try:
            line.run()
        except Killed:
            continue
        break

    assert lives > 10
    assert [seq for seq, _ in line.whats()] == [seq for seq in range(1, 61) if seq % 7]
    assert all(one.what is What.JUDGED or "ended 3 times" in one.detail for one in line.results())


async def test_a_part_that_ends_the_process_again_and_again_is_left_behind(line: Line) -> None:
    line.begin()
    await line.part(1)
    await line.part(2)

    def dies(seq: int) -> Inspection:
        if seq == 1:
            raise Killed
        return inspection(seq)

    line.says = dies
    for _ in range(3):
        with pytest.raises(Killed):
            line.run()
    line.run()

    assert line.whats() == [(1, What.FAILED), (2, What.JUDGED)]
    assert "the process ended 3 times over this image" in line.results()[0].detail
    assert line.asked == [1, 1, 1, 2]


async def test_two_processes_for_a_moment_write_a_part_once(line: Line) -> None:
    shadow = line.begin()
    await line.part(1)
    with line.file_of_shadows() as before, line.file_of_shadows() as after:
        first, second = (Follower(file, line.path, line.archive, line._inspect) for file in (before, after))
        assert first.step(shadow)
        assert second.step(shadow), "it read the place before the other one wrote"
    line.run()

    assert line.whats() == [(1, What.JUDGED)]


async def test_slower_than_the_line_it_skips_the_oldest_and_says_so(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "BEHIND_MOST", 20)
    shadow = line.begin()
    for seq in range(1, 31):
        await line.part(seq)

    line.run()

    whats = line.whats()
    assert [seq for seq, _ in whats] == list(range(1, 31)), "every part is accounted for"
    assert [seq for seq, what in whats if what is What.SKIPPED] == list(range(1, 21))
    assert line.asked == list(range(21, 31)), "the newest"
    found = compared(line.path, shadow)
    assert found.parts == 10
    assert "not comparable: 20 parts skipped, for the candidate is slower than the line" in found.lines()


async def test_the_candidate_that_becomes_the_active_one_is_compared_no_longer(line: Line) -> None:
    line.begin()
    await line.part(1)
    row = part_row(2)
    await line.journal.append(replace(row, cameras=(replace(row.cameras[0], bundle_id="candidate"),)))

    with pytest.raises(BecameActive):
        line.run()

    assert line.whats() == [(1, What.JUDGED)]


async def test_a_candidate_that_was_in_use_long_ago_is_still_compared(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its journal is another one than before, and is read from its beginning."""
    monkeypatch.setattr(following, "BEHIND_MOST", 4)
    with line.file_of_shadows() as file:
        file.begin(CANDIDATE, Position("another", 0))
    row = part_row(1)
    await line.journal.append(replace(row, cameras=(replace(row.cameras[0], bundle_id="candidate"),)))
    for seq in (2, 3, 4):
        await line.part(seq)

    line.run()

    assert line.whats()[-2:] == [(3, What.JUDGED), (4, What.JUDGED)]
    assert 1 not in dict(line.whats())


async def test_a_journal_that_was_begun_anew_is_followed_from_its_beginning(line: Line) -> None:
    shadow = line.begin()
    for seq in (1, 2, 3):
        await line.part(seq)
    line.run()
    line.journal.close()
    for path in line.folder.glob("journal.sqlite3*"):
        if not path.name.startswith("journal.sqlite3.shadow"):
            path.unlink()
    line.journal = Journal.open(line.path)
    for seq in (1, 2):
        await line.part(seq, decided_utc="2026-11-24T10:00:00.000+00:00", is_ok=False)

    line.run()

    with line.file_of_shadows() as file:
        now = file.shadows()[0]
        assert now.epoch == 1
        assert file.left_behind(now) == 3
    found = compared(line.path, now)
    assert found.sides[Side.TO_PASS] == 2
    assert "the journal was begun anew: 3 results of before are not counted" in found.lines()
    assert shadow.shadow_id == now.shadow_id


async def test_a_journal_that_was_closed_goes_on_in_the_next_one(line: Line) -> None:
    line.begin()
    await line.part(1)
    line.run()
    await line.part(2)
    line.journal.close()
    rotate(line.path)
    line.journal = Journal.open(line.path)
    await line.part(3)

    line.run()

    assert [seq for seq, _ in line.whats()] == [1, 2, 3]
    assert line.whats()[2] == (3, What.JUDGED)


@pytest.mark.parametrize("how", ["gone", "other bytes"])
async def test_an_image_that_is_gone_or_is_another_one_is_not_comparable(line: Line, how: str) -> None:
    line.begin()
    row = await line.part(1, is_filed=False)
    if how == "other bytes":
        line.file(row, b"another image 1")
    await line.part(2)

    line.run()

    assert line.whats() == [(1, What.NO_IMAGE), (2, What.JUDGED)]
    assert line.asked == [2]
    assert ("hash differs" if how == "other bytes" else "not in the archive") in line.results()[0].detail


async def test_an_image_that_may_still_come_is_waited_for(line: Line) -> None:
    from drivers.timing import monotonic_s
    from edge_agent.runtime.process import boot_id

    line.begin()
    row = await line.part(1, is_filed=False, decided_mono_s=monotonic_s(), boot_id=boot_id())
    line.run()
    assert line.whats() == []

    line.file(row)
    line.run()

    assert line.whats() == [(1, What.JUDGED)]


async def test_a_part_that_the_bundle_in_use_did_not_judge_is_not_compared(line: Line) -> None:
    line.begin()
    row = part_row(1, verdict=Verdict.REJECT, reason=Reason.IMAGE_BROKEN)
    camera = replace(row.cameras[0], outcome=None, reason=Reason.IMAGE_BROKEN, score=None, bundle_id=None)
    await line.journal.append(replace(row, cameras=(camera,)))

    line.run()

    assert line.whats() == [(1, What.NOT_JUDGED)]
    assert not line.asked


async def test_known_parts_are_what_a_person_decides_by(line: Line) -> None:
    shadow = line.begin()
    for seq in range(1, 7):
        await line.part(seq, is_ok=seq % 2 == 1)
    for seq, says in ((1, "PASS_CONFIRMED"), (2, "CONFIRMED"), (3, "PASS_CONFIRMED"), (4, "OVERTURNED"), (5, "ESCAPE")):
        await line.journal.event("REVIEW", json.dumps({"part_seq": seq, "says": says}))
    line.says = lambda seq: inspection(seq, 1.75 if seq == 3 else 0.5)

    line.run()
    found = compared(line.path, shadow)

    assert found.sides == {Side.BOTH_PASS: 2, Side.BOTH_REJECT: 0, Side.TO_REJECT: 1, Side.TO_PASS: 3}
    assert (found.good.of, found.good.wrong, found.good.wrong_before) == (3, (3,), (4,))
    assert (found.bad.of, found.bad.wrong, found.bad.wrong_before) == (2, (2, 5), (5,))
    assert found.warning == "KNOWN DEFECTS WOULD PASS by this bundle: part 2, part 5"
    assert found.to_json()["good"]["bounds_95"] == pytest.approx((0.0084, 0.9057), abs=1e-4)
    assert found.scores[0][:2] == pytest.approx((0.25 / 1.5, 0.5 / 1.5))
    assert found.scores[0][2] is Side.BOTH_PASS


async def test_one_candidate_at_a_time(line: Line) -> None:
    line.begin()
    with pytest.raises(AlreadyRunning, match="another candidate is being watched"):
        line.begin()
    with line.file_of_shadows() as file:
        active = file.active()
        assert active is not None
        file.end(active, "Ada", "enough")
    assert line.begin().shadow_id == 2
    assert newest_comparison(line.path, "another bundle") is None


async def test_a_damaged_file_is_said_and_the_agent_starts_no_process(line: Line) -> None:
    assert _wanted(line.path) == "", "no file, no process, no word"
    line.begin()
    assert _wanted(line.path) is None
    shadow_path(line.path).write_bytes(b"no database " * 500)
    for path in line.folder.glob("journal.sqlite3.shadow-*"):
        path.unlink()

    with pytest.raises(DataError, match="cannot be used"):
        line.file_of_shadows()

    assert "cannot be used" in str(_wanted(line.path))


async def test_a_file_of_another_program_is_left_as_it_is(line: Line) -> None:
    with sqlite3.connect(shadow_path(line.path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("PRAGMA user_version = 7")
    other.close()
    before = shadow_path(line.path).read_bytes()

    with pytest.raises(DataError, match="no file of shadows"):
        line.file_of_shadows()

    assert shadow_path(line.path).read_bytes() == before
