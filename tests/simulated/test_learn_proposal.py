"""Which confirmed parts are proposed for learning: bad input first, then what is left out and why."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from edge_agent.settings import load_settings
from edge_agent.store.scored import reviews_of
from edge_agent.tools.learn.proposal import Proposal, Why, propose
from tests.command_line import edge_agent_here
from tests.learned_line import LearnLine, marked_image
from tests.simulated.line import FULL_SIZE, bad_image, good_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
_SAME = marked_image(3)


@pytest.fixture
def line(tmp_path: Path, thumbnail_bundle: Path) -> LearnLine:
    return LearnLine(tmp_path, thumbnail_bundle)


def proposed(line: LearnLine, **changes: float) -> Proposal:
    spool = line.folder / "looked-at"
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    return propose(load_settings(line.config), 1, 1, spool, **changes)


def left_out(found: Proposal) -> dict[int, Why]:
    return {one.part_seq: one.why for one in found.left_out}


def test_without_a_review_there_is_nothing_to_learn(line: LearnLine) -> None:
    line.parts([marked_image(1), good_image(1)])

    ran = edge_agent_here("learn", "propose", "--config", str(line.config), "--json")

    assert ran.code == 1, ran.err
    told = json.loads(ran.out)
    assert (told["added"], told["defects"], told["left_out"]) == ([], [], [])
    assert any("no known defect" in note for note in told["notes"])


def test_without_a_journal_it_is_said_and_nothing_is_made(line: LearnLine) -> None:
    before = sorted(line.folder.iterdir())

    ran = edge_agent_here("learn", "propose", "--config", str(line.config))

    assert ran.code == 65, ran.err
    assert "journal" in ran.err
    assert sorted(line.folder.iterdir()) == before


def _gone(line: LearnLine) -> int:
    (row,) = line.parts([marked_image(1)], "OVERTURNED")
    line.file_of(row).unlink()
    return row.part_seq


def _altered(line: LearnLine) -> int:
    (row,) = line.parts([marked_image(1)], "OVERTURNED")
    line.file_of(row).write_bytes(marked_image(2))
    return row.part_seq


def _of_another_size(line: LearnLine) -> int:
    (row,) = line.parts([marked_image(1)], "OVERTURNED", as_if=good_image(1, FULL_SIZE))
    return row.part_seq


def _of_another_program(line: LearnLine) -> int:
    (row,) = line.parts([marked_image(1)], "OVERTURNED", program=2)
    return row.part_seq


def _of_words_that_nobody_can_read(line: LearnLine) -> int:
    (row,) = line.parts([marked_image(1)], "PERHAPS")
    return row.part_seq


def _that_the_score_let_pass(line: LearnLine) -> int:
    (row,) = line.parts([good_image(1)], "OVERTURNED")
    assert row.verdict == "PASS"
    return row.part_seq


def _that_the_bundle_knows(line: LearnLine) -> int:
    known = min((line.bundle.parent / "good").iterdir())
    (row,) = line.parts([known.read_bytes()], "OVERTURNED", as_rejected=True)
    return row.part_seq


def _of_the_picture_of_a_defect(line: LearnLine) -> int:
    line.parts([marked_image(1)], "CONFIRMED")
    (row,) = line.parts([marked_image(1)], "OVERTURNED", by="Mallory")
    return row.part_seq


def _of_a_picture_that_is_added(line: LearnLine) -> int:
    first, _ = line.parts([_SAME, _SAME], "OVERTURNED")
    return first.part_seq  # the newest goes first


def _that_the_journal_lost(line: LearnLine) -> int:
    line.parts([marked_image(1)])
    line.say(77, "OVERTURNED")
    return 77


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_gone, Why.NO_IMAGE),
        (_altered, Why.NO_IMAGE),
        (_of_another_size, Why.OTHER_SIZE),
        (_of_another_program, Why.ANOTHER_PLACE),
        (_of_words_that_nobody_can_read, Why.DISPUTED),
        (_that_the_score_let_pass, Why.NOT_BY_SCORE),
        (_that_the_bundle_knows, Why.KNOWN),
        (_of_the_picture_of_a_defect, Why.LIKE_A_DEFECT),
        (_of_a_picture_that_is_added, Why.SAME_PICTURE),
        (_that_the_journal_lost, Why.GONE),
    ],
)
def test_a_part_is_left_out_and_it_is_said_why(line: LearnLine, make: Callable[[LearnLine], int], why: Why) -> None:
    part_seq = make(line)

    found = proposed(line)

    assert left_out(found)[part_seq] is why
    assert part_seq not in [part.part_seq for part in found.added]
    assert any(str(why) in said for said in found.lines())


def test_a_part_of_which_the_last_word_is_another_one_is_no_good_part(line: LearnLine) -> None:
    (row,) = line.parts([marked_image(1)], "OVERTURNED", by="Ada")
    line.say(row.part_seq, "CONFIRMED", by="Bo")

    found = proposed(line)

    assert found.added == ()
    standing = reviews_of(line.journal_path).said.get(row.part_seq)
    assert [part.part_seq for part in found.defects] == ([row.part_seq] if standing == "CONFIRMED" else [])


def test_so_many_good_parts_are_added_at_most_and_the_newest_are(line: LearnLine) -> None:
    rows = line.parts([marked_image(number) for number in range(1, 9)], "OVERTURNED")

    found = proposed(line, most_share=0.25)

    assert [part.part_seq for part in found.added] == [row.part_seq for row in reversed(rows[-6:])]
    assert {left_out(found)[row.part_seq] for row in rows[:2]} == {Why.TOO_MANY}


def test_what_is_proposed_says_who_said_it_and_what_has_to_be_found(line: LearnLine) -> None:
    good = line.parts([marked_image(number) for number in range(1, 7)], "OVERTURNED", by="Ada")
    bad = line.parts([bad_image(1)], "CONFIRMED", by="Bo")
    escaped = line.parts([good_image(9)], "ESCAPE", by="Bo")

    found = proposed(line)

    assert found.headline == "6 good parts to add, 2 known defects"
    assert [part.part_seq for part in found.added] == [row.part_seq for row in reversed(good)]
    assert [part.part_seq for part in found.defects] == [escaped[0].part_seq, bad[0].part_seq]
    assert found.by_person == {"Ada": 6}
    assert any("rest on the word of Ada alone" in note for note in found.notes)
    (word,) = found.added[0].words
    assert (word.by, word.says) == ("Ada", "OVERTURNED")
    assert word.event > 0


def test_a_second_person_who_agrees_is_told_as_well(line: LearnLine) -> None:
    rows = line.parts([marked_image(number) for number in range(1, 7)], "OVERTURNED", by="Ada")
    for row in rows:
        line.say(row.part_seq, "OVERTURNED", by="Bo")

    found = proposed(line)

    assert found.by_person == {"Ada": 6, "Bo": 6}
    assert not any("alone" in note for note in found.notes)


def test_one_person_who_types_the_name_in_two_ways_is_told_as_one(line: LearnLine) -> None:
    """Else whoever wants no second look says every word twice."""
    rows = line.parts([marked_image(number) for number in range(1, 7)], "OVERTURNED", by="Ada")
    for row in rows:
        line.say(row.part_seq, "OVERTURNED", by="  ADA ")

    found = proposed(line)

    assert list(found.by_person.values()) == [6]
    assert any("6 of the parts to add rest on the word of" in note for note in found.notes)


def test_who_overturned_a_part_is_told_and_not_who_spoke_last(line: LearnLine) -> None:
    """Ada calls them defective, Bo comes to it and says good, Cy decides for good; Ada repeats her word."""
    rows = line.parts([marked_image(number) for number in range(1, 7)], "CONFIRMED", by="Ada")
    for row in rows:
        for by, says in (("Bo", "OVERTURNED"), ("Cy", "OVERTURNED"), ("Bo", "CONFIRMED"), ("Ada", "CONFIRMED")):
            line.say(row.part_seq, says, by=by)

    found = proposed(line)

    assert found.by_person == {"Cy": 6}
    assert any("rest on the word of Cy alone" in note for note in found.notes)


def test_a_known_defect_that_is_no_test_any_more_is_told_where_one_signs(line: LearnLine) -> None:
    gone, doubted = line.parts([bad_image(1), bad_image(2)], "CONFIRMED", by="Ada")
    line.file_of(gone).unlink()
    line.say(doubted.part_seq, "OVERTURNED", by="Bo")

    found = proposed(line)

    assert found.defects == ()
    says = "NOT TRIED, known defects without an image that can be judged"
    assert f"{says}: 1 ({gone.part_seq})" in found.notes
    says = "NOT TRIED, parts that somebody calls defective and somebody else good, to be decided first"
    assert f"{says}: 1 ({doubted.part_seq})" in found.notes


def test_a_good_part_of_the_bundle_that_is_a_known_defect_is_taken_out(line: LearnLine) -> None:
    known = min((line.bundle.parent / "good").iterdir())
    (row,) = line.parts([known.read_bytes()], "ESCAPE")

    found = proposed(line)

    assert [part.part_seq for part in found.taken_out] == [row.part_seq]
    assert found.defects == ()
    assert any("IS A KNOWN DEFECT" in note for note in found.notes)


def test_a_part_that_an_older_bundle_rejected_and_this_one_passes_teaches_nothing(line: LearnLine) -> None:
    (row,) = line.parts([good_image(4)], "OVERTURNED", as_rejected=True, by_bundle="ab" * 32)

    assert left_out(proposed(line)) == {row.part_seq: Why.PASSES_BY_NOW}
