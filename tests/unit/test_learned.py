"""What a bundle that learned says of itself, what of it is worse, and who has to say why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calibration.asked import asked_of, options_again
from calibration.backbones import DEFAULT_BACKBONE
from calibration.choosing.within import TimeWish
from calibration.limits.limit import LimitWishes
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.learned import Learned, LearnedPart, Word, Worse, check_reason, learned_of
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from edge_agent.inspection.networks.channels import Voice
from edge_agent.report.words import event_words
from edge_agent.shadow.comparison import Side
from edge_agent.tools.learn.found import Figure, Found, Judged, KnownDefect, Replay, ReplayedPart, Synthetic
from tests.unit.test_manifest_fuzz import MANIFEST_AS_WRITTEN

PARENT, OTHER = "ab" * 32, "cd" * 32
LEARNED = Learned(
    PARENT,
    "Quinn",
    "2026-11-30T10:00:00+00:00",
    "a mark",
    (LearnedPart("17", OTHER, (Word("a journal", 4, "Ada", "OVERTURNED"),)),),
    (),
    (Worse("limit", "1.5", "1.6"),),
    is_compared=True,
)
PASSES, REJECTS = Judged("OK", "OK", 0.5, 1.0), Judged("NG", "SCORE", 2.0, 1.0)


def manifest_of(learned: Learned) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps({**MANIFEST_AS_WRITTEN, "id": OTHER, "learned": learned.to_json()}))
    return found


def asked_in_manifest(options: CalibrationOptions, **changes: Any) -> dict[str, Any]:
    found = {
        **MANIFEST_AS_WRITTEN,
        "method": {"score": options.method},
        "backbone": DEFAULT_BACKBONE.facts,
        "asked": asked_of(options),
        **changes,
    }
    return dict(json.loads(json.dumps(found)))


def test_a_bundle_that_was_not_compared_is_not_put_to_use() -> None:
    with pytest.raises(BundleRejected, match="not compared"):
        check_reason(manifest_of(replace(LEARNED, is_compared=False)), PARENT, "I want it")


@pytest.mark.parametrize("why", ["", "   ", "\t"])
def test_what_is_worse_wants_a_reason_and_is_named(why: str) -> None:
    with pytest.raises(UsageError, match=r"limit: 1\.5 -> 1\.6"):
        check_reason(manifest_of(LEARNED), PARENT, why)


def test_another_bundle_in_use_than_the_one_compared_with_wants_a_reason_too() -> None:
    manifest = manifest_of(replace(LEARNED, worse=()))

    with pytest.raises(UsageError, match="compared with bundle abababababab, and cdcdcdcdcdcd is in use"):
        check_reason(manifest, OTHER, "")
    assert check_reason(manifest, PARENT, "") == ()
    assert check_reason(manifest, None, "") == ()


def test_with_a_reason_it_is_said_what_it_is_for() -> None:
    assert check_reason(manifest_of(LEARNED), PARENT, "seen") == ("limit: 1.5 -> 1.6",)


def test_a_bundle_that_learned_nothing_needs_no_reason() -> None:
    manifest = {key: value for key, value in MANIFEST_AS_WRITTEN.items() if key != "learned"}

    assert learned_of(manifest) is None
    assert check_reason(manifest, OTHER, "") == ()


def test_the_section_is_read_as_it_was_written_and_keeps_the_rules() -> None:
    manifest = manifest_of(LEARNED)

    assert broken_rule(manifest) == ""
    assert learned_of(manifest) == LEARNED


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("parent",), "no hash"),
        (("is_compared",), 1),
        (("worse", 0, "what"), ""),
        (("added", 0, "words", 0, "event"), -1),
        (("added", 0, "note"), "a key that nobody knows"),
        (("silently",), True),
    ],
)
def test_a_section_that_says_something_else_is_refused(place: tuple[Any, ...], value: object) -> None:
    manifest = manifest_of(LEARNED)
    node: Any = manifest["learned"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value

    assert "learned" in broken_rule(manifest)


@pytest.mark.parametrize(
    "options",
    [
        CalibrationOptions(part="plate", program=1),
        CalibrationOptions(
            part="plate",
            program=1,
            crop=(16, 17, 100, 80),
            search=SearchWishes(max_angle_deg=180.0, max_scale=0.1, pose_tolerance=None, registration="on"),
            voices=(Voice.IMAGE,),
            place="free",
            plane="red",
            limit=LimitWishes(0.01, 0.05, extrapolate=True),
            within=TimeWish(60.0, is_asked=True),
        ),
        CalibrationOptions(part="plate", program=1, method="paper", search=SearchWishes(registration="off")),
    ],
)
def test_what_was_asked_of_a_calibration_is_asked_again(options: CalibrationOptions) -> None:
    again, notes = options_again(asked_in_manifest(options), Path("/bundle"))

    assert again == options
    assert notes == ()


def test_a_time_that_followed_from_a_line_is_no_wish() -> None:
    options = CalibrationOptions(within=TimeWish(60.0, is_asked=False))

    assert asked_of(options) == asked_of(CalibrationOptions())


def test_of_an_older_bundle_the_defaults_are_taken_and_it_is_said() -> None:
    manifest = asked_in_manifest(CalibrationOptions(part="plate", program=1))
    del manifest["asked"]
    manifest["limit"]["target"] = 0.02

    again, notes = options_again(manifest, Path("/bundle"))

    assert again == CalibrationOptions(part="plate", program=1, limit=LimitWishes(0.02))
    assert "did not keep what was asked" in notes[0]


def test_another_network_than_this_version_has_is_not_guessed() -> None:
    manifest = asked_in_manifest(CalibrationOptions(), backbone={"name": "of a user"})

    with pytest.raises(UsageError, match="of a user"):
        options_again(manifest, Path("/bundle"))


@pytest.mark.parametrize("asked", [{}, {"crop": 3}, {**asked_of(CalibrationOptions()), "voices": ["a shout"]}])
def test_what_was_asked_and_cannot_be_read_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(BundleRejected, match="what was asked"):
        options_again(asked_in_manifest(CalibrationOptions(), asked=asked or {"none": None}), Path("/bundle"))


def found_of(*defects: KnownDefect) -> Found:
    parts = (
        ReplayedPart(9, PASSES, REJECTS, "good"),
        ReplayedPart(8, REJECTS, PASSES, ""),
        ReplayedPart(7, PASSES, PASSES, "good"),
        ReplayedPart(6, REJECTS, REJECTS, "bad"),
    )
    return Found(
        1,
        1,
        PARENT,
        "",
        "Quinn",
        "a mark",
        "2026-11-30T10:00:00+00:00",
        (17,),
        {"Ada": 1},
        (1, 1),
        (Figure("limit", "1.5", "1.4"), Figure("known defects found", "2 / 2", "1 / 2", is_worse=True)),
        defects,
        Synthetic(120, 80, 79, 60, 20, 21),
        Replay(24.0, parts, 1, 2, 3),
    )


def test_a_defect_that_nobody_found_before_is_not_lost() -> None:
    escape, kept, lost = (
        KnownDefect(3, "ESCAPE", PASSES, PASSES),
        KnownDefect(4, "CONFIRMED", REJECTS, REJECTS),
        KnownDefect(5, "CONFIRMED", REJECTS, PASSES),
    )

    assert found_of(escape, kept).lost == ()
    assert found_of(escape, kept, lost).lost == (5,)
    assert found_of(lost).lines()[0].startswith("NOT OFFERED: KNOWN DEFECTS WOULD PASS by the new bundle: part 5")


def test_what_is_worse_is_told_first() -> None:
    assert found_of().lines()[0] == "known defects found: 2 / 2 -> 1 / 2  WORSE"


def test_the_archive_is_counted_by_how_the_two_stand() -> None:
    replay = found_of().replay

    assert replay.sides() == {Side.BOTH_PASS: 1, Side.BOTH_REJECT: 1, Side.TO_REJECT: 1, Side.TO_PASS: 1}
    assert [part.part_seq for part in replay.flips] == [9, 8]
    assert replay.of_passes == (1, 2)
    assert replay.rejected("good", is_after=False) == (0, 2)
    assert replay.rejected("good", is_after=True) == (1, 2)


def test_what_was_found_is_kept_as_it_was() -> None:
    found = found_of(KnownDefect(4, "CONFIRMED", REJECTS, Judged("NG", "ALIGN", None, 1.0)))

    assert Found.of_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"what": "begun", "parent": PARENT, "added": 12, "defects": 3}, "12 good parts to add, 3 known defects"),
        ({"what": "offered", "bundle_id": OTHER, "worse": ["limit"]}, "bundle cdcdcdcdcdcd is offered, 1 figures"),
        ({"what": "refused", "lost": [5, 8]}, "known defects would pass, parts 5, 8"),
        ({"what": "broken off", "problem": "the disk is full"}, "broken off: the disk is full"),
    ],
)
def test_the_journals_event_is_told_in_words(told: dict[str, Any], words: str) -> None:
    title, said = event_words("LEARN", json.dumps({**told, "by": "Quinn"}))

    assert title == "bundle learned from the line"
    assert words in said
    assert said.endswith("by Quinn")
