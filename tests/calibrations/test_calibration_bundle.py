"""From good images to a bundle, and from its inspector to verdicts: one calibration serves all tests here."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.options import CalibrationOptions
from calibration.writer import write_bundle
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.errors import BundleRejected, CalibrationRefused
from edge_agent.inspection.bundle.manifest import FILES, encode_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.scoring.judge import Judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibration.result import CalibrationResult

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 120, 160
STAGES = ["decode", "register", "gate", "reconstruct", "embed", "score"]


def render(seed: int, *, hole: bool = False, shift_px: float = 0.0) -> np.ndarray:
    """A plate with three bores, in a slightly different place each time; ``hole``: one bore too many."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH), 30.0, np.float32)
    centre = np.array([WIDTH / 2 + shift_px, HEIGHT / 2]) + rng.uniform(-3, 3, 2)
    angle = rng.uniform(-2, 2)
    turn = np.array(
        [
            [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
            [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
        ]
    )
    box = cv2.boxPoints((centre.tolist(), (100, 64), angle))
    cv2.fillConvexPoly(image, (box * 16).astype(np.int32), 150 + rng.uniform(-5, 5), cv2.LINE_AA, 4)
    bores = [((-30, -12), 10, 60), ((28, 14), 13, 90), ((0, 0), 7, 200), *([((26, -18), 9, 40)] if hole else [])]
    for place, radius, grey in bores:
        at = (centre + turn @ np.array(place)) * 16
        cv2.circle(image, at.astype(int).tolist(), radius * 16, grey + rng.uniform(-5, 5), -1, cv2.LINE_AA, 4)
    image = cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def encode(image: np.ndarray, suffix: str = ".bmp") -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper") / "good"
    folder.mkdir()
    for seed in range(24):
        (folder / f"{seed:02}.bmp").write_bytes(encode(render(seed)))
    return folder


@pytest.fixture(scope="module")
def progressed() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def result(good: Path, progressed: list[tuple[str, int, int]]) -> CalibrationResult:
    options = CalibrationOptions(part="plate", program=7, camera=2, method="paper")
    return calibrate(good, good.parent / "plate", options, lambda *seen: progressed.append(seen))


@pytest.fixture(scope="module")
def bundle(result: CalibrationResult) -> Bundle:
    return Bundle.load(result.path)


@pytest.fixture(scope="module")
def inspector(bundle: Bundle) -> Inspector:
    return Inspector(bundle)


@pytest.fixture
def copy(result: CalibrationResult, tmp_path: Path) -> Path:
    shutil.copytree(result.path, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.promise("T-27", "a bundle made twice from the same images", "the same hash")
def test_a_second_calibration_of_the_same_images_gives_the_same_bundle(
    good: Path, result: CalibrationResult, tmp_path: Path
) -> None:
    options = CalibrationOptions(part="plate", program=7, camera=2, method="paper", threads=1)

    again = calibrate(good, tmp_path / "again", options)

    assert again.bundle_id == result.bundle_id
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (result.path / name).read_bytes()


def test_the_result_says_what_was_found(result: CalibrationResult, bundle: Bundle) -> None:
    scores = [score for _, score in result.scores]

    assert result.images == 24
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < result.limit <= np.nextafter(scores[0], math.inf)
    assert sorted(name for name, _ in result.scores) == [f"{i:02}.bmp" for i in range(24)]
    assert result.expected_false_rejects == 1 / 25
    assert result.false_reject_bound_95 == pytest.approx(1 - 0.05 ** (1 / 24))
    assert max(abs(row.angle_deg) for row in result.registration) < 5
    assert result.heldout_error < result.mean_image_error < result.own_variance
    assert (bundle.id, bundle.limit, bundle.crop) == (result.bundle_id, result.limit, result.crop)
    assert (bundle.part, bundle.program, bundle.camera) == ("plate", 7, 2)


def test_progress_of_every_stage_ends_at_its_total(
    result: CalibrationResult, progressed: list[tuple[str, int, int]]
) -> None:
    last = {stage: (done, total) for stage, done, total in progressed}

    assert result.timings_s.keys() >= {"read", "register", "train"}
    assert last.keys() >= {"read", "register", "train", "embed"}
    assert all(done == total for done, total in last.values())


def test_the_crop_holds_the_part_and_little_else(result: CalibrationResult) -> None:
    x, y, width, height = result.crop

    assert 10 < x < 30
    assert 10 < y < 30
    assert 100 < width < 130
    assert 66 < height < 92


def test_new_good_parts_are_ok_and_defective_ones_are_not(inspector: Inspector) -> None:
    good = [inspector.inspect(encode(render(seed))) for seed in range(100, 130)]
    bad = [inspector.inspect(encode(render(seed, hole=True))) for seed in range(200, 210)]

    assert sum(i.outcome is Outcome.OK for i in good) >= 26
    assert [i.outcome for i in bad] == [Outcome.NG] * 10


def test_an_inspection_carries_its_proofs(inspector: Inspector, bundle: Bundle) -> None:
    found = inspector.inspect(encode(render(300, shift_px=4.0)))

    assert found.alignment is not None
    assert found.bundle_id == bundle.id
    assert found.limit == bundle.limit
    assert len(found.image_sha256) == 64
    assert list(found.timings_ms) == STAGES


def test_the_same_bytes_get_the_same_score(inspector: Inspector, bundle: Bundle) -> None:
    data = encode(render(301))

    assert Inspector(bundle).inspect(data).score == inspector.inspect(data).score


def test_warming_up_says_how_long_it_took(inspector: Inspector) -> None:
    assert inspector.warm_up() > 0


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _data: b"", Reason.IMAGE_BROKEN),
        (lambda _data: b"hello", Reason.IMAGE_BROKEN),
        (lambda data: data[: len(data) // 2], Reason.IMAGE_BROKEN),
        (lambda data: data[:-3000] + bytes(3000), Reason.IMAGE_BROKEN),
        (lambda _data: encode(render(1)[:, :-8]), Reason.IMAGE_SIZE),
        (lambda _data: encode(np.dstack([render(1)] * 3)), Reason.IMAGE_SIZE),
        (lambda _data: encode(np.zeros((HEIGHT, WIDTH), np.uint8), ".png"), Reason.ALIGN),
        (lambda _data: encode(np.full((HEIGHT, WIDTH), 255, np.uint8)), Reason.ALIGN),
        (lambda _data: encode(cv2.flip(render(1), 0)), Reason.ALIGN),
    ],
)
@pytest.mark.promise("T-26", "an image of anything but the part", "REJECT with the right reason, all")
def test_a_bad_image_is_not_good_and_says_why(
    inspector: Inspector, spoil: Callable[[bytes], bytes], reason: Reason
) -> None:
    found = inspector.inspect(spoil(encode(render(302))))

    assert (found.outcome, found.reason) == (Outcome.NG, reason)
    assert found.detail


@pytest.mark.promise("T-26", "an image of anything but the part", "REJECT with the right reason, all")
def test_a_score_that_is_not_a_number_is_not_good(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    inspector = Inspector(bundle)
    monkeypatch.setattr(inspector._judge, "judged", lambda _shares: Judged(math.nan))

    found: Inspection = inspector.inspect(encode(render(303)))

    assert (found.outcome, found.reason) == (Outcome.NG, Reason.NOT_FINITE)


def test_a_part_that_lies_wrong_is_rejected_for_certain_before_any_network_looks(
    inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    looks = inspector._judge.looks
    monkeypatch.setattr(inspector._judge, "looks", lambda views: (order.append("look"), looks(views))[1])

    found = inspector.inspect(encode(cv2.flip(render(1), 0)), lambda: order.append("certain"))

    assert found.reason is Reason.ALIGN
    assert order == ["certain", "look"]


def test_a_good_part_is_never_said_to_be_rejected_and_nothing_else_changes(inspector: Inspector) -> None:
    said: list[bool] = []

    good = inspector.inspect(encode(render(305)), lambda: said.append(True))
    bad = inspector.inspect(encode(render(306, hole=True)), lambda: said.append(True))

    assert (good.outcome, bad.outcome) == (Outcome.OK, Outcome.NG)
    assert said == [True]
    assert bad.score == inspector.inspect(encode(render(306, hole=True))).score


def test_an_image_in_two_steps_is_the_same_inspection(inspector: Inspector) -> None:
    data = encode(render(307))

    prepared = inspector.prepare(data)
    meanwhile = inspector.prepare(encode(render(308)))
    found = inspector.judge(prepared)

    assert inspector.judge(meanwhile).image_sha256 != found.image_sha256
    assert replace(found, timings_ms={}) == replace(inspector.inspect(data), timings_ms={})


def test_an_image_that_is_refused_is_refused_by_the_first_step_alone(inspector: Inspector) -> None:
    prepared = inspector.prepare(b"hello")

    found = inspector.judge(prepared, lambda: pytest.fail("what was never looked at needs no early word"))

    assert prepared.picture is None
    assert (found.outcome, found.reason) == (Outcome.NG, Reason.IMAGE_BROKEN)


def test_explaining_shows_where_the_defect_is(inspector: Inspector, result: CalibrationResult) -> None:
    inspection, pictures = inspector.explain(encode(render(304, hole=True)))

    assert pictures is not None
    assert pictures.input.shape == pictures.reconstruction.shape == (result.crop[3], result.crop[2], 1)
    assert pictures.anomaly_map.shape == (result.crop[3], result.crop[2])
    y, x = np.unravel_index(cv2.GaussianBlur(pictures.anomaly_map, (9, 9), 0).argmax(), pictures.anomaly_map.shape)
    assert inspection.reason is Reason.SCORE
    assert abs(x + result.crop[0] - (WIDTH / 2 + 26)) < 15
    assert abs(y + result.crop[1] - (HEIGHT / 2 - 18)) < 15


def test_a_refused_image_has_no_pictures(inspector: Inspector) -> None:
    assert inspector.explain(b"")[1] is None


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_rejects_the_bundle(copy: Path, name: str) -> None:
    (copy / name).unlink()

    with pytest.raises(BundleRejected, match=name) as caught:
        Bundle.load(copy)
    assert caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_one_altered_byte_rejects_the_bundle(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)

    with pytest.raises(BundleRejected, match=f"{name} was altered"):
        Bundle.load(copy)


def test_a_limit_changed_by_hand_rejects_the_bundle(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["limit"]["value"] *= 2
    (copy / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleRejected, match="was altered"):
        Bundle.load(copy)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 1}, "schema_version 1"),
        ({"schema_version": 3}, "schema_version 3"),
        ({"schema_version": "1"}, "not a whole number"),
        ({"program": True}, "not a whole number"),
        ({"part": 3}, "not a string"),
        ({"limit": {"value": 0.0, "review_from": 0.0, "statement": "s"}}, "nothing could be judged"),
        ({"limit": {"value": 1.0}}, "review_from is missing"),
        ({"limit": {"value": 1.0, "review_from": 1.1, "statement": "x"}}, "does not end at the limit"),
        ({"limit": {"value": 1.0, "review_from": 0.0, "statement": "x"}}, "does not end at the limit"),
        ({"crop": [0, 0, 500, 10]}, "not inside the reference"),
        ({"crop": [0, 0, 10]}, "a list of 4"),
        ({"image": {"height": 50, "width": 50, "channels": 1, "zero_tail_rows": 0}}, "the manifest says"),
        ({"files": {}}, "files are"),
        ({"registration": {"speed": 3}}, "speed"),
        ({"method": {"score": "magic", "k": 15}}, "magic"),
        ({"method": {"score": "paper", "k": 99}}, "neighbours"),
        ({"patches": {"working_height": 16, "working_width": 16, "patch": 32, "stride": 16}}, "do not cover"),
        ({"align": 3}, "not an object"),
    ],
)
def test_a_manifest_that_cannot_be_is_rejected(copy: Path, change: dict[str, object], complaint: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_bytes(encode_manifest({**manifest, **change}))

    with pytest.raises(BundleRejected, match=complaint) as caught:
        Bundle.load(copy)
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b'{"schema_version": NaN}'])
def test_a_manifest_that_is_no_json_object_is_rejected(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)

    with pytest.raises(BundleRejected):
        Bundle.load(copy)


def test_networks_that_do_not_fit_each_other_reject_the_bundle(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["patches"]["stride"] = 8
    (copy / "manifest.json").write_bytes(encode_manifest(manifest))
    changed = Bundle.load(copy)

    with pytest.raises(BundleRejected, match="patches are"):
        Inspector(changed)


def test_a_bundle_is_replaced_only_when_asked_and_only_by_a_whole_one(
    good: Path, copy: Path, result: CalibrationResult
) -> None:
    with pytest.raises(CalibrationRefused, match="exists already"):
        calibrate(good, copy, CalibrationOptions())
    assert Bundle.load(copy).id == result.bundle_id

    manifest = json.loads((copy / "manifest.json").read_text())
    files = {name: (copy / name).read_bytes() for name in FILES}
    with pytest.raises(BundleRejected):
        write_bundle(copy, files, {**manifest, "crop": [0, 0, 0, 0]})
    assert Bundle.load(copy).id == result.bundle_id

    write_bundle(copy, files, {**manifest, "part": "other"})

    assert Bundle.load(copy).part == "other"
    assert sorted(p.name for p in copy.parent.iterdir()) == ["copy"]
