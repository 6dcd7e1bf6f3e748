"""What people say after a learning is known when its bundle is activated: its parts are asked for once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_agent.errors import UsageError
from edge_agent.inspection.bundle.learned import Learned, LearnedPart, check_reason
from edge_agent.settings import load_settings
from edge_agent.tools.learn.proposal import propose
from edge_agent.tools.learn.since import said_since
from tests.learned_line import LearnLine, marked_image
from tests.simulated.line import bad_image

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def line(tmp_path: Path, thumbnail_bundle: Path) -> LearnLine:
    return LearnLine(tmp_path, thumbnail_bundle)


def learned_from(line: LearnLine) -> Learned:
    """What the manifest of a bundle would say that learned from the line as it is now."""
    spool = line.folder / "looked-at"
    spool.mkdir()
    found = propose(load_settings(line.config), 1, 1, spool)
    added, defects = (tuple(part.learned() for part in parts) for parts in (found.added, found.defects))
    return Learned(found.parent.id, "Erna", "2026-11-29T10:00:00+00:00", "", added, defects, (), is_compared=True)


def since(line: LearnLine, learned: Learned, without: frozenset[str] = NOTHING, program: int = 1) -> list[str]:
    return said_since(line.journal_path, learned, program=program, camera=1, without=without)


def test_a_part_that_is_not_good_after_all_and_a_new_defect_want_a_reason(line: LearnLine) -> None:
    first, second = line.parts([marked_image(1), marked_image(2)], "OVERTURNED")
    line.parts([bad_image(1)], "CONFIRMED")
    learned = learned_from(line)
    assert since(line, learned) == []

    line.say(first.part_seq, "CONFIRMED", by="Bo")
    line.say(second.part_seq, "CONFIRMED")
    (new,) = line.parts([bad_image(2)], "CONFIRMED")
    told = since(line, learned)

    parts = f"2 ({second.part_seq}, {first.part_seq})"
    assert told == [
        f"parts that it learned as good, and that people do not call good any more: {parts}",
        f"known defects that it was not tried with: 1 ({new.part_seq})",
    ]
    manifest = {"learned": learned.to_json()}
    with pytest.raises(UsageError, match="known defects that it was not tried with"):
        check_reason(manifest, learned.parent, "", told)
    assert check_reason(manifest, learned.parent, "seen by Bo", told) == tuple(told)


def test_what_is_of_another_place_or_was_left_out_is_no_test_of_it(line: LearnLine) -> None:
    line.parts([marked_image(1)], "OVERTURNED")
    learned = learned_from(line)
    line.parts([bad_image(1)], "CONFIRMED", program=2)
    (taken_out,) = line.parts([bad_image(2)], "CONFIRMED")

    assert since(line, learned, frozenset({taken_out.cameras[0].image_sha256})) == []


def test_of_a_bundle_that_learned_on_another_line_nothing_is_known(line: LearnLine, tmp_path: Path) -> None:
    line.parts([bad_image(1)], "CONFIRMED")
    learned = Learned("ab" * 32, "Erna", "2026-11-29T10:00:00+00:00", "", (LearnedPart("1", "cd" * 32, ()),), ())

    assert since(line, learned) == []
    assert said_since(tmp_path / "none.sqlite3", learned, program=1, camera=1, without=NOTHING) == []
