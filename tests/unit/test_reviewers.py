"""How often people agree: what is counted, what is left unsaid, and that kappa is the one of the study."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_agent.people.roles import Role
from edge_agent.report.agreement import fleiss_kappa
from edge_agent.report.reviewers import LEAST, kappa_bounds, reviewers
from edge_agent.reviews.settling import Word
from edge_agent.store.journal import Journal
from tests.command_line import edge_agent_here
from tests.security.web_site import reject_row, written

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR, QUALITY, ENGINEER = Role.OPERATOR, Role.QUALITY, Role.ENGINEER
BAD, GOOD = "CONFIRMED", "OVERTURNED"


def read(seq: int, first: str, second: str, by: tuple[str, str] = ("Lin", "Ada")) -> list[Word]:
    """A part that was read twice, the second time blind."""
    return [Word(seq, first, by[0], OPERATOR), Word(seq, second, by[1], ENGINEER, is_blind=True)]


def test_nobody_has_no_numbers() -> None:
    found = reviewers({})
    assert (found.people, found.read_twice, found.kappa, found.disputed) == ((), None, None, ())


def test_of_few_readings_nothing_is_said_of_a_person() -> None:
    told = reviewers({seq: read(seq, BAD, BAD if seq % 2 else GOOD) for seq in range(1, LEAST)}).to_json()
    assert told["kappa"] is told["kappa_bounds_95"] is None
    assert [one["agreed"]["bounds_95"] for one in told["reviewers"]] == [None, None]
    assert told["between"] == []


def test_second_words_that_nobody_asked_for_are_no_agreement() -> None:
    words = {seq: [Word(seq, BAD, "Lin", OPERATOR), Word(seq, BAD, "Ada", ENGINEER)] for seq in range(1, 40)}
    found = reviewers(words)
    assert found.read_twice is None
    assert [(one.name, one.reviews, one.read_twice) for one in found.people] == [("Ada", 39, 0), ("Lin", 39, 0)]


def test_a_person_is_one_however_the_name_is_typed_and_people_stand_by_name() -> None:
    found = reviewers({1: [Word(1, BAD, "zoe"), Word(1, BAD, " ZOE ")], 2: [Word(2, BAD, "Ada")]})
    assert [(one.name, one.reviews, one.parts) for one in found.people] == [("Ada", 1, 1), ("ZOE", 2, 1)]


def test_kappa_is_that_of_the_study_and_lies_within_its_bounds() -> None:
    rng = np.random.default_rng(7)
    first = rng.random(200) < 0.4
    second = np.where(rng.random(200) < 0.15, ~first, first)
    said = [[BAD if one else GOOD for one in reader] for reader in (first, second)]
    words = {seq: read(seq, one, other) for seq, (one, other) in enumerate(zip(*said, strict=True))}
    found = reviewers(words)
    assert found.kappa == pytest.approx(fleiss_kappa(np.stack([first, second], axis=1)))
    assert found.kappa_bounds is not None
    low, high = found.kappa_bounds
    assert low < found.kappa < high
    assert found.read_twice is not None
    assert (found.read_twice.of, found.read_twice.seen) == (200, int((first == second).sum()))
    assert len(found.between) == 1
    assert found.between[0].kappa == pytest.approx(found.kappa, abs=0.02)
    assert found.disputed == tuple(np.flatnonzero(first != second))


def test_bounds_are_those_of_drawing_the_parts_again() -> None:
    """Against the plain bootstrap, part by part, with the kappa of the study."""
    rng = np.random.default_rng(1)
    ratings = np.stack([first := rng.random(80) < 0.5, np.where(rng.random(80) < 0.2, ~first, first)], axis=1)
    plain = [fleiss_kappa(ratings[rng.integers(0, 80, 80)]) for _ in range(3000)]
    wanted = np.percentile([kappa for kappa in plain if kappa is not None], [2.5, 97.5])
    assert kappa_bounds(ratings) == pytest.approx(wanted, abs=0.03)


def test_who_all_say_the_same_have_no_kappa() -> None:
    found = reviewers({seq: read(seq, BAD, BAD) for seq in range(1, 50)})
    assert (found.kappa, found.kappa_bounds) == (None, None)
    assert found.to_json()["reviewers"][0]["agreed"]["bounds_95"][0] > 0.9


def test_who_was_overturned_stands_by_the_word_of_when_it_was_decided() -> None:
    words = [Word(1, BAD, "Lin", OPERATOR), Word(1, GOOD, "Ada", ENGINEER), Word(1, GOOD, "Quinn", QUALITY)]
    words.append(Word(1, GOOD, "Lin", OPERATOR))  # she gave in afterwards
    found = {one.name: (one.overturned_seen, one.decided) for one in reviewers({1: words}).people}
    assert found == {"Lin": (1, 1), "Ada": (0, 1), "Quinn": (0, 0)}


async def test_the_command_says_it_and_ends_with_1_while_people_differ(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    await written(path, [reject_row(seq) for seq in range(1, 4)])
    nobody = edge_agent_here("reviews", "--journal", str(path))
    assert (nobody.code, nobody.out) == (0, "nobody has reviewed a part\n")
    journal = Journal.open(path)
    for word in (*read(1, BAD, BAD), *read(2, BAD, GOOD, ("Lin\x1b[31m", "Ada"))):
        said = {"part_seq": word.part_seq, "says": word.says, "by": word.by, "role": word.role, "blind": word.is_blind}
        await journal.event("REVIEW", json.dumps(said))
    journal.close()
    ran = edge_agent_here("reviews", "--journal", str(path))
    assert ran.code == 1
    assert "disputed, nobody has decided: 1 parts, the newest 2" in ran.out
    assert "\x1b" not in ran.out
    told = json.loads(edge_agent_here("reviews", "--journal", str(path), "--json").out)
    assert (told["read_twice"], told["agreed"], told["disputed"]) == (2, 1, [2])
    assert edge_agent_here("reviews", "--journal", str(tmp_path / "none")).code == 65


async def test_a_name_with_a_command_to_the_terminal_is_written_out_everywhere(tmp_path: Path) -> None:
    """0x9b begins one, as ESC and a bracket do, and a name on the page may have it."""
    path, hostile = tmp_path / "journal.sqlite3", "A\x9b31mda"
    await written(path, [reject_row(seq) for seq in range(1, LEAST + 1)])
    journal = Journal.open(path)
    for seq in range(1, LEAST + 1):
        for by, more in (("Lin", {}), (hostile, {"blind": True})):
            says = BAD if seq % 2 else GOOD
            await journal.event("REVIEW", json.dumps({"part_seq": seq, "says": says, "by": by, "note": "", **more}))
    journal.close()

    ran = edge_agent_here("reviews", "--journal", str(path))

    assert "Cohen's kappa 1.00" in ran.out
    assert "\x9b" not in ran.out
