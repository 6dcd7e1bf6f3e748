"""The mean of views from good images to verdicts, and what of a bundle's memory is refused."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

import calibration.calibrate
from calibration.calibrate import calibrate, finish, train
from calibration.choosing import learning_curve
from calibration.disturbances import Disturbance, disturbances_for
from calibration.gathering import gather
from calibration.limits.disturbance_tolerance import DisturbanceEffect, DisturbanceTolerance, disturbance_tolerance_of
from calibration.method import METHODS
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from calibration.report_pages import write_report
from calibration.reporting import calibration_json, calibration_lines
from calibration.scoring.view_scoring import _doubt_words, _where_words, score_by_views
from calibration.writer import write_bundle
from edge_agent.domain import Outcome, Reason
from edge_agent.errors import BundleRejected, CalibrationRefused, UsageError
from edge_agent.inspection.bundle.bank_file import read_bank
from edge_agent.inspection.bundle.comparison import compare
from edge_agent.inspection.bundle.manifest import FILES, Section
from edge_agent.inspection.bundle.manifest_rules import broken_rule
from edge_agent.inspection.bundle.provenance import provenance
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.networks.channels import CHANNELS, View, Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from calibration.result import CalibrationResult

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 400, 560
SMALL = 0.3
VIEWS = CalibrationOptions(method="views", crop="full", threads=1)
ON_PART, BESIDE = (200, 180), (520, 30)


def render(seed: int, *, spot: tuple[int, int] | None = None, scale: float = 1.0) -> np.ndarray:
    """A plate with two bores on a bench, about 1 % this way or that; ``spot`` (x, y) is where a light stain lies."""
    rng = np.random.default_rng(seed)
    image = np.full((round(HEIGHT * scale), round(WIDTH * scale)), 30.0, np.float32)
    corner = np.array([60.0, 130.0]) + rng.uniform(-4, 4, 2)
    corners = corner + np.array([[0, 0], [300, 0], [300, 140], [0, 140]])
    cv2.fillConvexPoly(image, (corners * scale * 16).astype(np.int32), 150 + rng.uniform(-4, 4), cv2.LINE_AA, 4)
    for place, radius in (((50, 50), 20), ((230, 90), 30)):
        centre = ((corner + place) * scale * 16).astype(int).tolist()
        cv2.circle(image, centre, round(radius * scale * 16), 70 + rng.uniform(-4, 4), -1, cv2.LINE_AA, 4)
    if spot is not None:
        cv2.circle(image, (round(spot[0] * scale), round(spot[1] * scale)), round(18 * scale), 245.0, -1)
    return np.clip(cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


def encode(image: np.ndarray) -> bytes:
    ok, data = cv2.imencode(".bmp", image)
    assert ok
    return data.tobytes()


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """An autoencoder without a voice need not learn: most of the time of these tests would be its."""
    brief = replace(METHODS["views"].recipe, min_steps=10, max_steps=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "views", replace(METHODS["views"], recipe=brief))
        patch.setattr(learning_curve, "_DEFECTS", 4)  # nor does it matter here what more parts would bring
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views") / "good"
    folder.mkdir()
    for seed in range(24):
        (folder / f"{seed:02}.bmp").write_bytes(encode(render(seed)))
    return folder


@pytest.fixture(scope="module")
def result(good: Path) -> CalibrationResult:
    return calibrate(good, good.parent / "plate", VIEWS)


@pytest.fixture(scope="module")
def bundle(result: CalibrationResult) -> Bundle:
    return Bundle.load(result.path)


@pytest.fixture(scope="module")
def inspector(bundle: Bundle) -> Inspector:
    return Inspector(bundle)


def test_new_good_parts_pass_and_defective_ones_do_not(inspector: Inspector, bundle: Bundle) -> None:
    fresh = [inspector.inspect(encode(render(seed))) for seed in range(100, 120)]
    bad = inspector.inspect(encode(render(200, spot=ON_PART)))

    assert sum(found.outcome is Outcome.OK for found in fresh) >= 17
    assert bad.outcome is Outcome.NG
    assert bad.detail.endswith(f", seen in {CHANNELS[max(bad.shares, key=bad.shares.__getitem__)].view}")
    assert list(bad.shares) == ["native", "overview", "tone"]
    of_network = (bad.shares["native"] + bad.shares["overview"]) / 2
    assert bad.score == pytest.approx(max(of_network, bad.shares["tone"]))


def test_a_stain_without_an_edge_is_seen_by_its_tone(inspector: Inspector) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    stain = np.exp(-((x - ON_PART[0]) ** 2 + (y - ON_PART[1]) ** 2) / (2 * 25.0**2))
    stained = np.clip(render(202).astype(np.float32) * (1 - 0.2 * stain), 0, 255).astype(np.uint8)

    found = inspector.inspect(encode(stained))

    assert found.outcome is Outcome.NG
    assert found.shares["tone"] > found.limit


def test_what_lies_beside_the_part_does_not_count(inspector: Inspector) -> None:
    clean, beside = (inspector.inspect(encode(render(201, spot=spot))) for spot in (None, BESIDE))

    assert clean.outcome is beside.outcome is Outcome.OK


def test_the_heat_is_on_the_part_alone_and_hot_at_the_defect(inspector: Inspector) -> None:
    _, pictures = inspector.explain(encode(render(200, spot=ON_PART)))

    assert pictures is not None
    assert pictures.heat_map is not None
    y, x = np.unravel_index(pictures.heat_map.argmax(), pictures.heat_map.shape)
    assert abs(x - ON_PART[0]) < 40
    assert abs(y - ON_PART[1]) < 40
    assert pictures.heat_map.max() > 1.0
    assert pictures.heat_map[:, 400:].max() == 0.0
    assert pictures.reconstruction.shape == pictures.input.shape  # the autoencoder is still there to be looked at


def test_a_bundle_that_was_written_and_loaded_judges_to_the_bit(bundle: Bundle, inspector: Inspector) -> None:
    data = encode(render(300))
    again = Inspector(Bundle.load(bundle.folder), threads=2)

    assert again.inspect(data).score == inspector.inspect(data).score
    assert again.warm_up() > 0


def test_the_same_images_give_the_same_bundle(good: Path, result: CalibrationResult, tmp_path: Path) -> None:
    again = calibrate(good, tmp_path / "again", replace(VIEWS, threads=2))

    assert again.bundle_id == result.bundle_id
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (result.path / name).read_bytes()


def test_parts_that_were_seen_before_give_the_bundle_that_a_second_look_gives(
    good: Path, result: CalibrationResult, tmp_path: Path
) -> None:
    """What is compared for suspects is seen already; who does not look for them sees the same anew."""
    gathered = gather(sorted(good.iterdir()), replace(VIEWS, threads=2))
    prepared = train(gathered, METHODS["views"].recipe, folds=METHODS["views"].folds(()))

    again = finish(prepared, "views", tmp_path / "again")

    assert gathered.seen is None
    assert again.scores == result.scores
    for name in ("bank.npz", "cpcae.onnx", "part.png", "shown.png"):
        assert (again.path / name).read_bytes() == (result.path / name).read_bytes(), name


def test_places_outside_a_persons_mask_never_count(good: Path, tmp_path: Path) -> None:
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[:, 40:150] = 255  # the left third of the part
    assert cv2.imwrite(str(tmp_path / "mask.png"), painted)
    options = replace(VIEWS, search=SearchWishes(mask=tmp_path / "mask.png"))

    inspector = Inspector(Bundle.load(calibrate(good, tmp_path / "masked", options).path))

    outside = inspector.inspect(encode(render(200, spot=(330, 180))))
    inside = inspector.inspect(encode(render(200, spot=(100, 230))))
    assert outside.outcome is Outcome.OK
    assert inside.outcome is Outcome.NG


# --- light and focus ------------------------------------------------------------------------------------


def encoded_with(seed: int, change: Callable[[np.ndarray], np.ndarray], **where: Any) -> bytes:
    return encode(np.clip(np.rint(change(render(seed, **where).astype(np.float32))), 0, 255).astype(np.uint8))


def test_a_part_in_another_light_is_rejected_for_the_light_and_in_words(inspector: Inspector) -> None:
    dark = inspector.inspect(encoded_with(310, lambda image: image * 0.75))
    bright = inspector.inspect(encoded_with(310, lambda image: image * 1.3))

    assert (dark.outcome, dark.reason) == (Outcome.NG, Reason.LIGHT)
    assert "darker than the good parts' images" in dark.detail
    assert "look at the lamp" in dark.detail
    assert dark.condition["brightness"] < -1.0
    assert (bright.outcome, bright.reason) == (Outcome.NG, Reason.LIGHT)
    assert bright.condition["brightness"] > 1.0


def test_a_blurred_part_is_rejected_for_the_focus(inspector: Inspector) -> None:
    blurred = inspector.inspect(encoded_with(311, lambda image: cv2.GaussianBlur(image, (0, 0), 4)))

    assert (blurred.outcome, blurred.reason) == (Outcome.NG, Reason.FOCUS)
    assert "less sharp" in blurred.detail
    assert blurred.condition["sharpness"] < -1.0


@pytest.mark.parametrize("disturbance", disturbances_for(1), ids=lambda one: one.name)
def test_what_has_to_be_borne_is_never_light_or_focus_and_hides_no_defect(
    inspector: Inspector, disturbance: Disturbance
) -> None:
    good = [inspector.inspect(encode(disturbance.apply(render(seed)))) for seed in range(100, 106)]
    bad = inspector.inspect(encode(disturbance.apply(render(200, spot=ON_PART))))

    assert all(found.reason in (Reason.OK, Reason.SCORE) for found in good), [found.detail for found in good]
    assert (bad.outcome, bad.reason) == (Outcome.NG, Reason.SCORE)


def test_what_light_and_lens_would_reject_is_said_and_true(
    result: CalibrationResult, inspector: Inspector, tmp_path: Path
) -> None:
    tolerance = result.tolerance
    assert tolerance is not None
    assert {row.title for row in tolerance.rows} == {one.title for one in disturbances_for(1)}
    assert [row.way_to_limit for row in tolerance.rows] == sorted(
        (row.way_to_limit for row in tolerance.rows), reverse=True
    )
    for disturbance in disturbances_for(1):
        row = next(row for row in tolerance.rows if row.title == disturbance.title)
        scores = [inspector.inspect(encode(disturbance.apply(render(seed)))).score for seed in range(100, 106)]
        if not 0.7 < row.way_to_limit < 1.3:  # near the limit either may be
            assert bool(np.median(scores) < result.limit) is row.is_tolerated, row
    rejects = [row.title for row in tolerance.rows if not row.is_tolerated]
    assert rejects, "these plates differ by next to nothing"
    assert all(title in tolerance.statement for title in rejects)
    assert any(line.startswith("light and lens: good parts would be rejected") for line in calibration_lines(result))
    assert calibration_json(result)["light_and_lens"] == tolerance.to_json()
    write_report(tmp_path / "report.html", result)
    report = (tmp_path / "report.html").read_text()
    assert "What light and lens may do" in report
    assert report.count("<strong>is rejected</strong>") == len(rejects)


@pytest.mark.parametrize(
    ("ways", "words"),
    [
        ((0.42, -0.1), "passes in each of 2 disturbances of light and lens; the worst, a, takes it 42.0 % of the way"),
        ((-0.03, -0.1), "passes in each of 2 disturbances of light and lens; none takes it nearer to the limit"),
        ((1.02, 0.3), "would be rejected by their score in: a (102.0 % of the way to the limit). These"),
    ],
)
def test_what_is_tolerated_is_said_in_words(ways: tuple[float, ...], words: str) -> None:
    tolerance = DisturbanceTolerance(
        tuple(DisturbanceEffect(title, way) for title, way in zip("ab", ways, strict=True))
    )

    assert words in tolerance.statement


def test_of_a_usual_part_that_is_rejected_already_nothing_is_said_of_light(
    bundle: Bundle, result: CalibrationResult, good: Path
) -> None:
    registered = gather(sorted(good.iterdir()), VIEWS).registered
    at_the_limit = np.full(20, bundle.review_from)

    assert (
        disturbance_tolerance_of(bundle, registered, at_the_limit, threads=1, progress=lambda _done, _total: None)
        is None
    )


def test_a_calibration_that_breaks_off_while_light_is_tried_writes_nothing(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibration.calibrate, "disturbance_tolerance_of", broken_off)

    with pytest.raises(KeyboardInterrupt):
        calibrate(good, tmp_path / "b", VIEWS)

    assert not (tmp_path / "b").exists()


def test_a_drift_is_told_before_it_rejects(inspector: Inspector) -> None:
    usual, darker = (inspector.inspect(encoded_with(312, lambda image, by=by: image * by)) for by in (1.0, 0.92))

    assert darker.reason is not Reason.LIGHT
    assert set(usual.condition) == {"brightness", "contrast", "sharpness"}
    assert -1.0 < darker.condition["brightness"] < usual.condition["brightness"] - 0.2


def test_how_bright_a_part_is_is_said_once_in_the_words_of_the_light(bundle: Bundle, result: CalibrationResult) -> None:
    assert not {"gain", "offset"} & set(bundle.pose.spans)
    assert any("rejected as LIGHT or FOCUS outside brightness" in note for note in result.notes)


def test_a_bundle_without_a_condition_loads_and_judges_by_the_score_alone(bundle: Bundle, tmp_path: Path) -> None:
    older = {name: value for name, value in bundle.manifest.items() if name not in ("id", "files", "condition")}
    write_bundle(
        tmp_path / "older", {name: (bundle.folder / name).read_bytes() for name in bundle.manifest["files"]}, older
    )
    inspector = Inspector(Bundle.load(tmp_path / "older"))

    found = inspector.inspect(encoded_with(310, lambda image: image * 0.75))

    assert found.condition == {}
    assert found.reason is not Reason.LIGHT
    assert inspector.warm_up() > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"warmth": {}}, "not known"),
        ({"brightness": {"usual": 100.0}}, "missing"),
        ({"brightness": {"usual": 1e9, "low": 1.0, "high": 1.0, "least": 1.0, "most": 1.0}}, "allowed is"),
        ({"brightness": {"usual": 100.0, "low": 90.0, "high": 99.0, "least": 1.0, "most": 200.0}}, "no range"),
        ({"brightness": {"usual": 100.0, "low": 90.0, "high": 110.0, "least": None, "most": 200.0}}, "number"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(
    bundle: Bundle, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    content = {name: value for name, value in bundle.manifest.items() if name not in ("id", "files")}
    files = {name: (bundle.folder / name).read_bytes() for name in bundle.manifest["files"]}

    with pytest.raises(BundleRejected, match=words):
        write_bundle(tmp_path / "b", files, {**content, "condition": change})


def test_a_good_image_in_another_light_is_named(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "good"
    shutil.copytree(good, folder)
    (folder / "dark.bmp").write_bytes(encoded_with(500, lambda image: image * 0.6))

    notes = calibrate(folder, tmp_path / "b", replace(VIEWS, keep=("dark.bmp", "05.bmp"))).notes

    assert any("dark.bmp differs from the others in brightness" in note for note in notes)


# --- a part that nobody saw to be odd -------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_an_odd_part(good: Path) -> Path:
    """The same good parts, and one with a defect that nobody saw."""
    folder = good.parent / "with an odd part"
    shutil.copytree(good, folder)
    (folder / "odd.bmp").write_bytes(encode(render(400, spot=ON_PART)))
    return folder


def test_one_odd_part_that_is_kept_does_not_set_the_limit_and_is_named_where_people_look(
    with_an_odd_part: Path, tmp_path: Path
) -> None:
    result = calibrate(with_an_odd_part, tmp_path / "b", replace(VIEWS, keep=("odd.bmp",)))
    write_report(tmp_path / "report.html", result)

    assert result.scores[0][0] == "odd.bmp"
    assert result.limit < result.scores[0][1] / 2
    assert "odd.bmp" in result.odd_part
    assert any("ONE SCORE IS LEFT ASIDE" in line and "odd.bmp" in line for line in calibration_lines(result))
    assert calibration_json(result)["odd_part"] == result.odd_part
    report = (tmp_path / "report.html").read_text()
    assert "Look at odd.bmp" in report
    assert "kept as good: a person confirmed it by name" in report
    assert "left aside" in report
    inspector = Inspector(Bundle.load(result.path))
    assert inspector.inspect(encode(render(200, spot=(300, 160)))).outcome is Outcome.NG


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> CalibrationResult:
    """With the autoencoder's voice, of small images, by the recipe that a calibration has."""
    folder = tmp_path_factory.mktemp("spoken") / "good"
    folder.mkdir()
    for seed in range(24):
        (folder / f"{seed:02}.bmp").write_bytes(encode(render(seed, scale=SMALL)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "views", replace(METHODS["views"], recipe=METHODS["local"].recipe))
        return calibrate(folder, folder.parent / "plate", replace(VIEWS, voices=tuple(Voice)))


def test_the_autoencoder_has_a_voice_where_it_is_asked_for(spoken: CalibrationResult) -> None:
    bundle = Bundle.load(spoken.path)

    found = Inspector(bundle).inspect(encode(render(301, scale=SMALL)))

    assert list(found.shares) == ["native", "tone", "autoencoder"]  # a small crop is seen once by the network
    assert found.score == pytest.approx(max(found.shares.values()))
    assert bundle.manifest["method"]["voices"] == ["image", "tone", "autoencoder"]
    beside = {view: facts["is_beside"] for view, facts in bundle.manifest["method"]["views"].items()}
    assert beside == {"native": False, "tone": True, "autoencoder": True}
    assert provenance(bundle)["channels"] == [
        "native (the part at full size): in the mean",
        "tone (brightness and colour): beside the mean",
        "autoencoder (what the autoencoder would repair): beside the mean",
    ]


def test_two_bundles_are_compared_by_their_views(bundle: Bundle, spoken: CalibrationResult) -> None:
    topics = {difference.topic: difference for difference in compare(bundle, Bundle.load(spoken.path))}

    assert topics["views"].a == "native, overview, tone"
    assert topics["views"].b == "native, tone, autoencoder"
    assert "scale of the native view" in topics
    assert topics["score voices"].b == "image; tone; autoencoder"


def test_an_autoencoder_that_did_not_learn_gets_no_voice_and_where_it_has_none_that_is_said() -> None:
    doubtful: Any = SimpleNamespace(doubt="the autoencoder did not learn")

    with pytest.raises(CalibrationRefused, match="did not learn"):
        score_by_views(doubtful, doubtful, threads=1, progress=lambda _done, _total: None, voices=tuple(Voice))
    assert "no voice in the score" in _doubt_words(doubtful.doubt)[0]
    assert _doubt_words("") == ()


def test_a_calibration_says_what_counts(result: CalibrationResult) -> None:
    assert any("only the part counts" in note for note in result.notes)
    assert "the whole inspected area counts, as far as the mask is white" in _where_words(None, is_asked=True)


def test_voices_belong_to_the_mean_of_views(good: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no voices"):
        calibrate(good, tmp_path / "b", CalibrationOptions(method="local", voices=(Voice.AUTOENCODER,)))


# --- a memory that cannot be ----------------------------------------------------------------------------


def arrays_of(bundle: Bundle) -> dict[str, Any]:
    with np.load(bundle.folder / "bank.npz") as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("native_usual"), "native_usual is missing"),
        (lambda a: a.update(native_features=a["native_features"].astype(np.float32)), "features"),
        (lambda a: a.update(native_features=a["native_features"][:, 1:]), "features"),
        (lambda a: a.update(native_places=a["native_places"] * 0), "no places count"),
        (lambda a: a.update(native_places=a["native_places"] * 0.5), "neither 0 nor 1"),
        (lambda a: a.update(native_places=a["native_places"].ravel()), "places"),
        (lambda a: a.update(native_projection=a["native_projection"][1:]), "projection"),
        (lambda a: a.update(native_projection=a["native_projection"][0]), "projection"),
        (lambda a: a.update(native_usual=a["native_usual"][1:]), "what is usual"),
        (lambda a: a.update(native_spread=a["native_spread"] * 0), "not positive"),
        (lambda a: a.update(native_spread=-a["native_spread"]), "not positive"),
        (lambda a: a.update(native_usual=a["native_usual"] * np.nan), "not finite"),
        (lambda a: a.update(native_projection=a["native_projection"] * np.float32(1e12)), "above"),
    ],
)
def test_a_memory_whose_arrays_do_not_fit_each_other_is_refused(
    bundle: Bundle, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    arrays = arrays_of(bundle)
    change(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)

    with pytest.raises(BundleRejected, match=words):
        read_bank(buffer.getvalue(), Section(bundle.manifest["method"], "method"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda views: views.clear(), "names no view"),
        (lambda views: views["native"].update(odd=views["native"]["usual"]), "no scale"),
        (lambda views: views["native"].update(spread_anywhere=0.0), "not positive"),
    ],
)
def test_a_manifest_whose_scales_cannot_be_is_refused(
    bundle: Bundle, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    method = json.loads(json.dumps(bundle.manifest["method"]))
    change(method["views"])

    with pytest.raises(BundleRejected, match=words):
        read_bank((bundle.folder / "bank.npz").read_bytes(), Section(method, "method"))


def test_a_key_of_a_view_that_is_not_known_is_refused(bundle: Bundle) -> None:
    manifest = json.loads(json.dumps(bundle.manifest))
    manifest["method"]["views"]["tone"]["isbeside"] = True

    assert broken_rule(bundle.manifest) == ""
    assert "'isbeside' is not known" in broken_rule(manifest)


def test_where_the_part_is_does_not_hang_on_the_order_of_the_views(bundle: Bundle) -> None:
    assert isinstance(bundle.bank, dict)
    other = replace(bundle, bank=dict(reversed(bundle.bank.items())))

    assert other.places is bundle.places is bundle.bank[View.NATIVE].bank.places
