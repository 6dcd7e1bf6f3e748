"""A bundle with another limit: what hangs on the limit is made anew, and what does not stays bit for bit."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from calibration.limits.relimit import new_limit, relimited
from calibration.limits.shares import false_reject_bound
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.limit_changes import LIMIT_CHANGES, LimitChange, check_last_change, limit_changes
from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest, manifest_id, read_manifest
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from tests.unit.test_manifest_fuzz import HASH, MANIFEST_AS_WRITTEN

if TYPE_CHECKING:
    from pathlib import Path

SCORES = [0.1, 0.4, 0.6, 0.9, 1.2]


def manifest(*, band_from: float | None = None, defects: dict[str, float | None] | None = None) -> dict[str, Any]:
    """Five good parts, a limit of 1.0."""
    found: dict[str, Any] = copy.deepcopy(MANIFEST_AS_WRITTEN)
    found["training_images"] = [
        {"name": f"{number}.bmp", "sha256": HASH, "heldout_score": score} for number, score in enumerate(SCORES)
    ]
    found["limit"] |= {"value": 1.0, "review_from": band_from or 1.0}
    del found["defective"], found[LIMIT_CHANGES]
    if defects is not None:
        images = [
            {
                "name": name,
                "sha256": HASH,
                "outcome": "NG" if score is None or score >= 1.0 else "OK",
                "reason": "ALIGN" if score is None else "SCORE" if score >= 1.0 else "OK",
                "score": score,
            }
            for name, score in defects.items()
        ]
        found["defective"] = {"statement": "as calibrated", "missed": 0, "miss_bound_95": 0.5, "images": images}
    return {**found, "id": manifest_id(found)}


def change(to: float, *known: str) -> LimitChange:
    return LimitChange(HASH, 1.0, to, "A. Weber", "2026-11-29T10:00:00+00:00", "dust on the fixture.", known)


def made(source: dict[str, Any], to: float) -> dict[str, Any]:
    new = new_limit(source, to)
    return relimited(source, new, change(to, *(one.name for one in new.defects)))


def test_what_good_parts_say_of_another_limit_is_counted_from_their_held_out_scores() -> None:
    higher, lower = new_limit(manifest(), 1.5), new_limit(manifest(), 0.5)

    assert (higher.good_parts_above, higher.limit.n, higher.limit.rank) == (0, 5, 1)
    assert (higher.limit.expected, higher.limit.bound_95) == (1 / 6, false_reject_bound(5, 1))
    assert (lower.good_parts_above, lower.limit.rank, lower.limit.expected) == (3, 4, 4 / 6)
    assert "3 of 5 good parts of the calibration" in lower.good_words
    assert "no more than 66.7 %" in lower.good_words


def test_a_review_band_moves_with_the_limit() -> None:
    new = new_limit(manifest(band_from=0.8), 2.0)

    assert (new.limit.value, new.passes_below) == (2.0, 1.6)
    assert new.limit.review is not None
    assert new_limit(manifest(band_from=0.8), 0.5).passes_below == 0.4
    assert new_limit(manifest(band_from=0.8), 0.5).good_parts_above == 4  # 0.4 itself is in the band: a reject


def test_known_defective_images_that_would_pass_are_named_the_least_conspicuous_first() -> None:
    known = manifest(defects={"weak.bmp": 1.1, "strong.bmp": 9.0, "missed.bmp": 0.7, "turned.bmp": None})

    new = new_limit(known, 1.2)

    assert [(one.name, one.passed_before) for one in new.defects] == [("missed.bmp", True), ("weak.bmp", False)]
    assert new.defects_known == 4
    assert [one.name for one in new_limit(known, 0.7).defects] == []  # a score at the limit is rejected


def test_what_defects_said_is_said_anew() -> None:
    found = made(manifest(defects={"weak.bmp": 1.1, "strong.bmp": 9.0, "turned.bmp": None}), 1.2)["defective"]

    assert [image["outcome"] for image in found["images"]] == ["OK", "NG", "NG"]
    assert [image["reason"] for image in found["images"]] == ["OK", "SCORE", "ALIGN"]
    assert found["missed"] == 1
    assert "1 of 3 known-defective parts would pass: weak.bmp" in found["statement"]


def test_only_what_hangs_on_the_limit_differs_and_the_rules_hold() -> None:
    before = manifest(defects={"weak.bmp": 1.1})
    after = made(before, 1.2)

    assert {key for key in after if after.get(key) != before.get(key)} == {"limit", "defective", LIMIT_CHANGES}
    assert manifest_id(after) != before["id"]
    assert broken_rule({**after, "id": manifest_id(after)}) == ""
    assert "set by A. Weber" in after["limit"]["statement"]
    assert "dust on the fixture. KNOWN DEFECTS PASS by it, 1: weak.bmp." in after["limit"]["statement"]


def test_changes_are_kept_one_behind_the_other() -> None:
    first = made(manifest(), 1.2)
    second = relimited(
        first, new_limit(first, 1.4), LimitChange("cd" * 32, 1.2, 1.4, "Ada", "2026-11-30T10:00:00+00:00", "again")
    )

    assert [(one.limit, one.to, one.by) for one in limit_changes(second)] == [
        (1.0, 1.2, "A. Weber"),
        (1.2, 1.4, "Ada"),
    ]
    assert "limit 1.2 -> 1.4 set by Ada" in str(limit_changes(second)[-1])
    assert "(bundle cdcdcdcdcdcd before)" in str(limit_changes(second)[-1])
    assert limit_changes(manifest()) == []  # a bundle of before says nothing, and loads


@pytest.mark.parametrize("to", [0.0, -1.0, float("nan"), float("inf"), 1e10])
def test_what_is_no_limit_is_refused(to: float) -> None:
    with pytest.raises(UsageError, match="is no limit"):
        new_limit(manifest(), to)


def test_the_limit_that_there_is_and_one_by_which_nothing_passes_are_refused() -> None:
    with pytest.raises(UsageError, match="is the limit already"):
        new_limit(manifest(), 1.0)
    with pytest.raises(UsageError, match="not one of the 5 good parts"):
        new_limit(manifest(), 0.1)


def test_defects_of_which_the_manifest_says_too_little_are_refused() -> None:
    known = manifest(defects={"weak.bmp": 1.1})
    del known["defective"]["images"][0]["score"]

    with pytest.raises(BundleRejected, match="does not say of its known-defective"):
        new_limit(known, 1.2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"parent": "no hash"}, "limit_changes\\[0\\].parent is not a sha256"),
        ({"to": 1e300}, "limit_changes\\[0\\].to is 1e\\+300"),
        ({"by": ""}, "limit_changes\\[0\\].by has 0 characters"),
        ({"why": "x\x1b[2J"}, "control characters"),
        ({"also": 1}, "limit_changes\\[0\\]: 'also' is not known"),
        ({"known_defects": [1]}, "known_defects\\[0\\] is not a string"),
        ({"known_defects": "all"}, "known_defects is not a list"),
    ],
)
def test_a_hostile_change_is_refused(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    found = made(manifest(), 1.2)
    found[LIMIT_CHANGES][0] |= wrong
    (tmp_path / MANIFEST).write_bytes(encode_manifest(found))

    with pytest.raises(BundleRejected, match=words):
        read_manifest(tmp_path)


@pytest.mark.parametrize("changes", [{}, ["no object"], [{}], None])
def test_changes_of_another_shape_are_refused(tmp_path: Path, changes: object) -> None:
    (tmp_path / MANIFEST).write_bytes(encode_manifest({**manifest(), LIMIT_CHANGES: changes}))

    with pytest.raises(BundleRejected, match="limit_changes"):
        read_manifest(tmp_path)


def test_a_limit_that_its_last_change_does_not_lead_to_is_refused() -> None:
    found = made(manifest(), 1.2)

    check_last_change(found, 1.2)
    with pytest.raises(BundleRejected, match=r"the last of its changes says 1\.2"):
        check_last_change(found, 7.0)
