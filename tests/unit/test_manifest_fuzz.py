"""A manifest with anything in it loads by the rules of its id, or is refused in words."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest, manifest_id, read_manifest
from edge_agent.inspection.bundle.manifest_rules import RULES, broken_rule

HASH = "ab" * 32
MANIFEST_AS_WRITTEN: dict[str, Any] = {
    "schema_version": 2,
    "part": "plate",
    "program": 1,
    "camera": 1,
    "created": "2026-11-29T04:33:24+00:00",
    "versions": {"numpy": "2.4.6"},
    "seed": 0,
    "image": {"height": 120, "width": 160, "channels": 1, "zero_tail_rows": 0},
    "reference_image": "0.bmp",
    "training_images": [{"name": "0.bmp", "sha256": HASH, "heldout_score": 0.5}],
    "left_out_images": [{"name": "1.bmp", "sha256": HASH}],
    "kept_images": [{"name": "2.bmp", "sha256": HASH}],
    "registration": {
        "max_angle_deg": 10.0,
        "max_shift_fraction": 0.33,
        "pixels": 12000,
        "motion_margin": 0.05,
        "max_scale": 0.0,
        "still": False,
    },
    "align": {
        "quality_min": 0.85,
        "unseen_max": 0.02,
        "pose": {"angle_deg": {"low": -1.0, "high": 2.0, "least": -6.0, "most": 8.0}},
        "notes": ["the good parts lie within 10 degrees"],
    },
    "condition": {
        "brightness": {"usual": 110.0, "low": 108.0, "high": 112.0, "least": 96.0, "most": 125.0},
        "sharpness": {"usual": 0.4, "low": 0.35, "high": 0.42, "least": 0.3, "most": None},
    },
    "crop": [16, 17, 100, 80],
    "patches": {"working_height": 44, "working_width": 64, "patch": 32, "stride": 16},
    "method": {
        "score": "local",
        "channels": {"image": {"usual": 2.4, "odd": 2.6, "bank_parts": 24}},
        "views": {
            "native": {
                "usual": 2.4,
                "odd": 2.6,
                "usual_anywhere": 5.0,
                "spread_anywhere": 0.5,
                "place_share": 0.4,
                "bank_parts": 24,
            }
        },
    },
    "backbone": {"name": "efficientnet-lite0"},
    "autoencoder": {"heldout_error": 0.0002},
    "limit": {
        "value": 1.9,
        "review_from": 1.9,
        "expected": 0.04,
        "bound_95": 0.1,
        "target": None,
        "statement": "The limit lies just above the largest score.",
    },
    "limit_changes": [
        {
            "parent": HASH,
            "limit": 1.5,
            "to": 1.9,
            "by": "A. Weber",
            "at_utc": "2026-11-29T05:00:00+00:00",
            "why": "dust on the fixture",
            "known_defects": ["part 17"],
        }
    ],
    "asked": {"crop": "auto", "max_angle_deg": None},
    "learned": {
        "parent": HASH,
        "by": "A. Weber",
        "at_utc": "2026-11-30T05:00:00+00:00",
        "why": "a new lot",
        "added": [
            {
                "part": "17",
                "sha256": HASH,
                "words": [{"journal": "a journal", "event": 4, "by": "B. Roth", "says": "OVERTURNED"}],
            }
        ],
        "defects": [],
        "worse": [{"what": "limit", "before": "1.5", "after": "1.6"}],
        "is_compared": True,
    },
    "defective": {"statement": "all were found"},
    "parity": {"cpcae": 6e-08},
    "files": {"bank.npz": HASH},
}

few = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document, by its keys."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [found for key in keys for found in ((*at, key), *places(node[key], (*at, key)))]


PLACES = places(MANIFEST_AS_WRITTEN)


def mutated(place: tuple[Any, ...], value: object, *, gone: bool) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(MANIFEST_AS_WRITTEN))
    node: Any = found
    for key in place[:-1]:
        node = node[key]
    if gone:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return found


def loads_by_its_id_or_is_refused(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    try:
        found = read_manifest(folder)
    except BundleRejected as err:
        f"{err} {err.hint}".encode()  # it can be printed
        return
    assert found.text("id") == manifest_id(found.content)
    assert broken_rule(found.content) == ""
    json.dumps(found.content, allow_nan=False).encode("utf-8")


def test_what_calibration_writes_keeps_every_rule(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(encode_manifest(MANIFEST_AS_WRITTEN))

    assert read_manifest(tmp_path).content["part"] == "plate"


def test_every_bound_has_its_reason_and_is_finite() -> None:
    bounded = {path: rule for path, rule in RULES.items() if rule.kind in ("whole", "number")}

    assert [path for path, rule in bounded.items() if not rule.why] == []
    assert all(
        math.isfinite(rule.low) and math.isfinite(rule.high) and rule.low < rule.high for rule in bounded.values()
    )


@few
@given(place=st.sampled_from(PLACES), value=values, gone=st.booleans())
def test_a_manifest_with_another_value_anywhere(
    tmp_path: Path, place: tuple[Any, ...], value: object, *, gone: bool
) -> None:
    manifest = mutated(place, value, gone=gone)
    text = json.dumps({**manifest, "id": _id_or_none(manifest)}, skipkeys=True)

    loads_by_its_id_or_is_refused(tmp_path, text.encode("utf-8"))


def _id_or_none(manifest: dict[str, Any]) -> str:
    try:
        return manifest_id(manifest)
    except ValueError:  # NaN, which no id covers
        return HASH


@few
@given(place=st.sampled_from(PLACES), number=st.floats() | st.integers() | st.sampled_from([1e300, -1e300, 2**63]))
def test_a_manifest_with_another_number_anywhere(tmp_path: Path, place: tuple[Any, ...], number: float) -> None:
    manifest = mutated(place, number, gone=False)

    loads_by_its_id_or_is_refused(tmp_path, json.dumps({**manifest, "id": _id_or_none(manifest)}).encode())


@few
@given(at=st.integers(0, 3000), new=st.binary(max_size=40), cut=st.integers(0, 40))
def test_a_manifest_with_other_bytes_anywhere(tmp_path: Path, at: int, new: bytes, cut: int) -> None:
    good = encode_manifest(MANIFEST_AS_WRITTEN)

    loads_by_its_id_or_is_refused(tmp_path, good[:at] + new + good[at + cut :])


@few
@given(data=st.binary(max_size=200))
def test_any_bytes_as_a_manifest(tmp_path: Path, data: bytes) -> None:
    loads_by_its_id_or_is_refused(tmp_path, data)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"part-\xff.bmp", "part-\\xff.bmp"),
        (b"a\nb\x1b.bmp", "a\\nb\\x1b.bmp"),
        ("Müller 1.bmp".encode(), "Müller 1.bmp"),
    ],
)
def test_the_name_of_any_file_can_stand_in_a_manifest(raw: bytes, name: str) -> None:
    from calibration.manifest import _name

    assert _name(Path(os.fsdecode(raw))) == name
    manifest = {**MANIFEST_AS_WRITTEN, "reference_image": _name(Path(os.fsdecode(raw)))}
    assert broken_rule({**manifest, "id": HASH}) == ""
