"""An evaluation judges a labelled data set by the product's own road, and refuses what is none."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.baselines.published import published_for
from calibration.evaluation import (
    Evaluation,
    EvaluationOptions,
    LearningCurve,
    MethodResult,
    Trial,
    counts_from,
    evaluate,
    evaluate_several,
    methods_named,
    write_images,
    write_results,
)
from calibration.evaluation.files import IMAGE_COLUMNS
from calibration.evaluation.gallery import latent_onnx, worth_showing
from calibration.evaluation.result import COLUMNS, cells_of
from calibration.evaluation.run import measured
from calibration.evaluation.trial import TITLES
from calibration.onnx_graph import OnnxGraph
from calibration.training.train import Trained
from edge_agent.commands.main import main
from edge_agent.errors import CalibrationRefused, DataError, UsageError
from edge_agent.inspection.networks.channels import Channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow


def write_part(path: Path, seed: int, *, is_broken: bool = False) -> None:
    """A plate of 48 x 64 px; a broken one has a hole, and a mask that marks it."""
    rng = np.random.default_rng(seed)
    image = np.full((48, 64), 30.0, np.float32)
    centre = (32 + rng.uniform(-1, 1), 24 + rng.uniform(-1, 1))
    box = cv2.boxPoints((centre, (40, 26), rng.uniform(-2, 2)))
    cv2.fillConvexPoly(image, (box * 16).astype(np.int32), 150 + rng.uniform(-5, 5), cv2.LINE_AA, 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_broken:
        hole = (round(centre[0]), round(centre[1]))
        cv2.circle(image, hole, 5, 20, -1)
        mask = path.parents[2] / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(mask), cv2.circle(np.zeros((48, 64), np.uint8), hole, 5, 255, -1))
    assert cv2.imwrite(str(path), np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8))


def run(
    dataset: Path, methods: list[str], progress: Callable[[str, int, int], None] | None = None, **options: Any
) -> Any:
    """An evaluation of these methods."""
    wishes = EvaluationOptions(methods=tuple(methods), **options)
    return evaluate(dataset, wishes, progress) if progress else evaluate(dataset, wishes)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "plates"
    for seed in range(24):
        write_part(root / "train" / "good" / f"{seed:03}.png", seed)
    for seed in range(4):
        write_part(root / "test" / "good" / f"{seed:03}.png", 100 + seed)
        write_part(root / "test" / "hole" / f"{seed:03}.png", 200 + seed, is_broken=True)
    return root


@pytest.fixture
def dataset(plates: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(plates, tmp_path / "plates")
    return tmp_path / "plates"


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(plates: Path, stages: list[str]) -> Evaluation:
    methods = ["local", "paper", "ae", "variation", "patchcore"]
    return run(plates, methods, with_gallery=True, progress=lambda stage, _done, _total: stages.append(stage))


def test_a_labelled_data_set_is_measured_and_told_as_one_json_object(found: Evaluation, stages: list[str]) -> None:
    content = json.loads(json.dumps(found.to_json()))

    assert content["schema_version"] == 1
    assert (content["dataset"], content["train_images"], content["chance_ap"]) == ("plates", 24, 50.0)
    assert (content["good"], content["defective"]) == (4, 4)
    assert [method["method"] for method in content["methods"]] == [
        "local",
        "paper",
        "ae",
        "variation",
        "patchcore",
    ]
    for method in content["methods"]:
        assert method["auc"] == method["seeds"][0]["auc"] >= 80.0
        assert method["ap"] >= 80.0
        assert method["auc_sd"] is None
        assert "scores" not in method["seeds"][0]
    assert {"check", "read", "train", "embed", "describe", "fit", "test"} <= set(stages)


def test_every_method_with_a_limit_says_what_it_did(found: Evaluation) -> None:
    for method in found.methods:
        trial = method.trials[0]
        scores = np.array(trial.scores)
        defective = np.array([name.startswith("hole/") for name in found.test_images])

        assert trial.limit is not None
        assert trial.expected_false_rejects == pytest.approx(1 / 25)
        if method.method not in {"local", "paper"}:  # the product also rejects for its place, and by a review band
            assert trial.good_rejected == int((scores[~defective] >= trial.limit).sum())
            assert trial.defective_passed == int((scores[defective] < trial.limit).sum())


def test_heat_maps_are_measured_where_masks_are(found: Evaluation) -> None:
    for name in ("local", "ae", "variation", "patchcore"):
        trial = found.method(name).trials[0]

        assert trial.pixel_auroc is not None
        assert trial.pixel_auroc > 80.0
        assert trial.pro is not None
        assert 30.0 < trial.pro <= 100.0


def test_defective_images_without_a_mask_are_left_out_of_pixel_measures_alone(dataset: Path) -> None:
    wrong_place = np.zeros((48, 64), np.uint8)
    wrong_place[:4, :4] = 255
    mask = dataset / "ground_truth/hole/000_mask.png"
    assert cv2.imwrite(str(mask), wrong_place)
    whole = run(dataset, ["variation"], threads=1).methods[0].trials[0]
    mask.unlink()
    three = run(dataset, ["variation"], threads=1).methods[0].trials[0]
    shutil.rmtree(dataset / "ground_truth")
    none = run(dataset, ["variation"], threads=1).methods[0].trials[0]

    assert whole.auc == three.auc == none.auc
    assert whole.pixel_auroc is not None
    assert three.pixel_auroc is not None
    assert three.pro > whole.pro + 10.0
    assert (none.pixel_auroc, none.pro) == (None, None)


def test_the_table_names_every_method_and_the_coin_toss(found: Evaluation) -> None:
    text = "\n".join(found.summary())

    assert "24 good images" in text
    assert "a coin toss: AUC 50, AP 50.0" in text
    for title in ("local", "paper", "AE (L2)", "Variation", "PatchCore"):
        assert title in text
    assert "published" not in text  # plates are in no publication


def test_a_method_of_the_papers_comparison_has_the_papers_figure_beside_its_own(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calibration.baselines import BASELINES, Setting
    from calibration.baselines.networks import Plan
    from calibration.baselines.vae import Vae

    def small(s: Setting) -> Vae:
        plan = Plan(px=32, width=8, batch=16, epochs=1.0, least_steps=60, most_steps=60)
        return Vae(seed=s.seed, threads=1, progress=lambda *_: None, plan=plan)

    monkeypatch.setitem(BASELINES, "vae", replace(BASELINES["vae"], make=small))
    found = run(dataset.rename(dataset.with_name("bottle")), ["vae", "nn", "dfm"], threads=1)
    cells = [dict(zip((title for title, _ in COLUMNS), cells_of(method), strict=True)) for method in found.methods]
    lines = found.summary()

    assert found.method("vae").auc > 80.0
    assert [row["paper:\nAUC %"] for row in cells] == ["PRO 89.70", "81.02", "-"]
    assert [row["paper:\nAP %"] for row in cells] == ["-", "93.78", "-"]
    assert any(line.split()[:1] == ["NN"] and "81.02" in line and "93.78" in line for line in lines)
    assert sum(line.startswith("VAE: 128 px") for line in lines) == 1
    assert not any(line.startswith("NN:") for line in lines)  # nothing in it is less than its original


def test_all_methods_are_those_of_the_papers_table_and_more() -> None:
    rows = {row.ours: row.method for row in published_for("bottle") if row.ours is not None}

    assert set(rows) <= set(methods_named("all"))
    assert len(rows) == 10
    assert rows.pop("paper") == "proposed (CPCAE, Xception)"
    assert rows == {name: TITLES[name] for name in rows}


def test_methods_that_do_not_depend_on_the_seed_run_once(plates: Path) -> None:
    found = run(plates, ["variation", "nn", "patchcore"], seeds=2, threads=1)

    assert {method.method: len(method.trials) for method in found.methods} == {"variation": 1, "nn": 1, "patchcore": 2}
    assert found.method("patchcore").auc_sd is not None


def test_methods_without_an_autoencoder_train_none(plates: Path) -> None:
    seen: list[str] = []

    run(plates, ["variation"], seeds=1, threads=1, progress=lambda stage, *_: seen.append(stage))

    assert "train" not in seen


def test_training_images_are_drawn_by_number_and_said_so(plates: Path) -> None:
    first, again = (run(plates, ["nn"], train_images=20, repeats=3, threads=1) for _ in range(2))

    assert [trial.draw for trial in first.methods[0].trials] == [0, 1, 2]
    assert first.methods[0].trials[0].scores == again.methods[0].trials[0].scores
    assert len({trial.scores for trial in first.methods[0].trials}) == 3
    assert "learned from 20 good images of 24, random draws by seeds 0 to 2" in first.summary()[0]


def test_a_single_methods_figures_stand_at_the_top_as_well(plates: Path) -> None:
    found = run(plates, ["variation"], threads=1).to_json()

    assert found["method"] == "variation"
    assert found["auc"] == found["methods"][0]["auc"]
    assert found["ap"] == found["methods"][0]["ap"]


def test_a_learning_curve_says_whether_more_images_would_pay(plates: Path) -> None:
    curve = run(plates, ["nn"], counts=counts_from("24,20"), repeats=2, threads=1)

    assert [evaluation.train_images for evaluation in curve.evaluations] == [20, 24]
    assert curve.verdicts[0].startswith("NN: from 20 to 24 images the AUC changed by +0.00 points")
    assert curve.verdicts[0].endswith("more images would hardly pay")
    assert [point["train_images"] for point in curve.to_json()["points"]] == [20, 24]


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([90.0, 91.0, 92.0], [93.0, 94.2, 95.0], "more images would probably pay"),
        ([90.0, 91.0, 92.0], [90.0, 91.1, 92.1], "more images would hardly pay"),
        ([90.0, 98.0, 92.0], [95.0, 91.0, 99.0], "too uncertain to tell, repeat more draws"),
        ([90.0], [95.0], "repeat the draws to tell that from chance"),
    ],
)
def test_a_verdict_weighs_the_last_step_against_chance(before: list[float], after: list[float], verdict: str) -> None:
    curve = LearningCurve((evaluation(20, before), evaluation(40, after)))

    assert curve.verdicts[0].endswith(verdict)


def evaluation(train_images: int, aucs: list[float]) -> Evaluation:
    trials = tuple(
        Trial(
            seed=0,
            draw=draw,
            auc=auc,
            ap=auc,
            good_passed_at_zero_misses=0.0,
            limit=None,
            expected_false_rejects=None,
            false_reject_bound_95=None,
            good=4,
            good_rejected=None,
            defective=4,
            defective_passed=None,
            good_align_rejected=0,
            defective_align_rejected=0,
            describe_ms=1.0,
            score_ms=1.0,
            pixel_auroc=None,
            pro=None,
            scores=(0.0,) * 8,
        )
        for draw, auc in enumerate(aucs)
    )
    methods = (MethodResult("nn", "NN", trials),)
    return Evaluation(
        "plates", train_images, 40, len(aucs), 4, 4, 50.0, methods, (), ("good/0.png",) * 8, (False, True) * 4
    )


@pytest.mark.parametrize("text", ["20", "20,20", "", "a,b", "20,,40"])
def test_a_curve_of_what_is_no_two_numbers(text: str) -> None:
    with pytest.raises(UsageError):
        counts_from(text)


def test_a_curve_of_more_images_than_there_are(plates: Path) -> None:
    with pytest.raises(UsageError, match="100 training images cannot be drawn from plates") as caught:
        run(plates, ["nn"], counts=(20, 100), threads=1)
    assert "it has 24" in caught.value.hint


def test_a_draw_that_carries_no_calibration_is_named(dataset: Path) -> None:
    for seed in range(3, 12):  # of these a draw holds more than it may leave out
        noise = np.random.default_rng(seed).integers(0, 255, (48, 64), np.uint8)
        assert cv2.imwrite(str(dataset / f"train/good/{seed:03}.png"), noise)

    with pytest.raises(CalibrationRefused, match=r"^draw 1/2: .*register"):
        run(dataset, ["nn"], train_images=20, repeats=2, threads=1)


def test_methods_are_named_one_by_one_or_all() -> None:
    assert methods_named("paper, nn,paper") == ("paper", "nn")
    assert set(methods_named("all")) >= {"local", "paper", "ae", "ae-ssim", "deep-feature", "nn", "variation", "dfm"}
    with pytest.raises(UsageError, match="no method 'magic'") as caught:
        methods_named("paper,magic")
    assert "patchcore" in caught.value.hint


# --- what is refused ------------------------------------------------------------------------------------


def refused(dataset: Path, match: str) -> DataError:
    """The error, which has to come before anything is trained."""
    stages: list[str] = []
    with pytest.raises(DataError, match=match) as caught:
        run(dataset, ["paper"], threads=1, progress=lambda stage, *_: stages.append(stage))

    assert set(stages) <= {"check"}
    assert caught.value.hint
    return caught.value


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "train/good/" in refused(tmp_path / "nothing", "is not a folder").hint


@pytest.mark.parametrize("folder", ["train/good", "test/good"])
def test_a_data_set_without_good_images(dataset: Path, folder: str) -> None:
    for path in (dataset / folder).iterdir():
        path.unlink()

    refused(dataset, f"{folder} holds no images")


def test_a_data_set_of_one_class(dataset: Path) -> None:
    shutil.rmtree(dataset / "test" / "hole")

    refused(dataset, "good images only")


def test_a_data_set_with_too_few_training_images(dataset: Path) -> None:
    for path in sorted((dataset / "train" / "good").iterdir())[10:]:
        path.unlink()

    refused(dataset, "fewer than 20")


@pytest.mark.parametrize("name", ["train/good/004.png", "test/good/001.png", "test/hole/002.png"])
def test_an_image_that_cannot_be_read_is_named(dataset: Path, name: str) -> None:
    path = dataset / name
    path.write_bytes(path.read_bytes()[:200])

    refused(dataset, name)


@pytest.mark.parametrize("name", ["train/good/004.png", "test/hole/002.png"])
def test_an_image_of_another_size_is_named(dataset: Path, name: str) -> None:
    assert cv2.imwrite(str(dataset / name), np.random.default_rng(0).integers(0, 255, (48, 60), np.uint8))

    refused(dataset, f"{name}: it is 60 x 48 px grey, most images are 64 x 48 px grey")


def test_an_image_in_colour_among_grey_ones_is_named(dataset: Path) -> None:
    assert cv2.imwrite(str(dataset / "test/good/002.png"), np.full((48, 64, 3), 90, np.uint8))

    refused(dataset, r"test/good/002\.png: it is 64 x 48 px colour")


def test_a_mask_that_does_not_fit_its_image_is_named(dataset: Path) -> None:
    assert cv2.imwrite(str(dataset / "ground_truth/hole/001_mask.png"), np.full((64, 48), 255, np.uint8))

    refused(dataset, r"001_mask\.png is 48 x 64 px, its image 64 x 48 px")


def test_a_mask_that_marks_nothing_is_named(dataset: Path) -> None:
    assert cv2.imwrite(str(dataset / "ground_truth/hole/001_mask.png"), np.zeros((48, 64), np.uint8))

    refused(dataset, r"001_mask\.png marks nothing")


def test_a_mask_that_cannot_be_read_is_named(dataset: Path) -> None:
    (dataset / "ground_truth/hole/001_mask.png").write_bytes(b"\x89PNG broken")

    refused(dataset, r"001_mask\.png cannot be read")


@pytest.mark.parametrize(
    "options",
    [
        {"methods": ["magic"]},
        {"methods": []},
        {"methods": ["nn"], "seeds": 0},
        {"methods": ["nn"], "repeats": 3},
        {"methods": ["nn"], "repeats": 0, "train_images": 20},
        {"methods": ["nn"], "train_images": 25},
        {"methods": ["nn"], "train_images": 10},
    ],
)
def test_what_cannot_be_asked_for(plates: Path, options: dict[str, Any]) -> None:
    stages: list[str] = []
    with pytest.raises(UsageError) as caught:
        run(plates, threads=1, progress=lambda stage, *_: stages.append(stage), **options)

    assert caught.value.hint
    assert set(stages) <= {"check"}


# --- files and the command line --------------------------------------------------------------------------


@pytest.fixture
def edge_agent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, stdout and stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["edge-agent", "evaluate", *args])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return run


def test_the_command_prints_one_json_object_and_writes_its_files(
    plates: Path, tmp_path: Path, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    out = tmp_path / "new" / "results"
    code, stdout, stderr = edge_agent(str(plates), "--methods", "nn,variation", "--json", "--out", str(out))

    assert code == 0, stderr
    content = json.loads(stdout)
    assert [method["method"] for method in content["methods"]] == ["nn", "variation"]
    stored = json.loads((out / "results.json").read_text())
    assert len(stored["methods"][0]["seeds"][0]["scores"]) == len(stored["test_images"]) == 8
    rows = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [(row["method"], row["source"]) for row in rows] == [("nn", "measured"), ("variation", "measured")]
    assert float(rows[0]["auc"]) == content["methods"][0]["auc"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "nn", "--methods", "all"], "both --method and --methods"),
        (["--method", "magic"], "no method 'magic'"),
        (["--method", "nn", "--train-images", "500"], "500 training images cannot be drawn"),
        (["--method", "nn", "--learning-curve", "20,24", "--train-images", "20"], "leave out --train-images"),
    ],
)
def test_the_command_refuses_with_a_hint(
    plates: Path, options: list[str], words: str, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, stderr = edge_agent(str(plates), *options)

    assert code == 64
    assert words in stderr
    assert "hint: " in stderr


def test_the_command_ends_with_65_for_a_folder_that_is_no_data_set(
    tmp_path: Path, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, stderr = edge_agent(str(tmp_path))

    assert code == 65
    assert "holds no images" in stderr


# --- a row a test image, channels, images that are refused -------------------------------------------------


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def test_every_test_image_has_a_row_with_what_became_of_it_and_why(
    found: Evaluation, plates: Path, tmp_path: Path
) -> None:
    rows = rows_of(write_images(tmp_path / "images.csv", [found]))

    assert tuple(rows[0]) == IMAGE_COLUMNS
    assert len(rows) == 8 * len(found.methods)
    for row in rows:
        assert (row["set"], row["train_images"], row["draw"], row["seed"]) == ("plates", "24", "0", "0")
        assert row["label"] == ("good" if row["kind"] == "good" else "defective")
        assert row["sha256"] == hashlib.sha256((plates / "test" / row["kind"] / row["file"]).read_bytes()).hexdigest()
    for method in found.methods:
        own, trial = [row for row in rows if row["method"] == method.method], method.trials[0]
        assert [float(row["score"]) for row in own] == list(trial.scores)
        assert {float(row["limit"]) for row in own} == {trial.limit}
        good_rejected = [row for row in own if row["label"] == "good" and row["rejected"] == "yes"]
        passed = [row for row in own if row["label"] == "defective" and row["rejected"] == "no"]
        assert (len(good_rejected), len(passed)) == (trial.good_rejected, trial.defective_passed)
        assert all((row["reason"] == "OK") is (row["rejected"] == "no") for row in own)
    local = [row for row in rows if row["method"] == "local"]
    assert {row["channel"] for row in local} <= set(Channel)
    by_score = [row for row in local if row["reason"] == "SCORE"]
    assert by_score
    assert all(row["channel"] in row["detail"] for row in by_score)


@pytest.fixture(scope="module")
def cut(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """In one channel, with a good test image whose file was filled up with zeros."""
    folder = tmp_path_factory.mktemp("cut") / "plates"
    shutil.copytree(plates, folder)
    image = cv2.imread(str(folder / "test/good/000.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    image[:20] = 0  # a BMP begins with the lowest row
    assert cv2.imwrite(str(folder / "test/good/004.bmp"), image)
    found = run(folder, ["local", "nn"], channels=(Channel.IMAGE,), threads=1, with_gallery=True)
    assert isinstance(found, Evaluation)
    return found


def test_channels_are_asked_of_the_local_score_alone(cut: Evaluation) -> None:
    assert cut.to_json()["channels"] == ["image"]
    assert {judged.channel for judged in cut.method("local").trials[0].judged if judged.reason != "IMAGE_BROKEN"} == {
        "image"
    }
    assert {judged.channel for judged in cut.method("nn").trials[0].judged} == {""}
    assert "local (this tool), image alone" in "\n".join(cut.summary())


def test_an_image_that_the_line_refuses_counts_as_rejected_and_ends_no_evaluation(
    cut: Evaluation, tmp_path: Path
) -> None:
    trial = cut.method("local").trials[0]
    at = cut.test_images.index("good/004.bmp")
    write_results(tmp_path, cut)
    rows = [row for row in rows_of(tmp_path / "images.csv") if row["method"] == "local"]

    assert (rows[at]["rejected"], rows[at]["reason"], rows[at]["score"]) == ("yes", "IMAGE_BROKEN", "")
    assert "rows of zeros" in rows[at]["detail"]
    assert trial.good_rejected is not None
    assert trial.good_rejected >= 1
    assert trial.without_score == 1
    assert trial.auc <= 80.0 + 1e-9  # it ranks above every defective part, one of five good ones
    assert np.isfinite([trial.describe_ms, trial.score_ms]).all()
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["methods"][0]["seeds"][0]["scores"][at] is None
    assert "1 test images were refused before they had a score" in "\n".join(cut.summary())
    assert "Infinity" not in (tmp_path / "results.json").read_text()


def test_an_evaluation_tells_what_the_calibration_told(cut: Evaluation) -> None:
    assert cut.method("local").trials[0].notes
    assert cut.method("local").trials[0].notes[0] in "\n".join(cut.summary())


@pytest.mark.parametrize(
    ("methods", "channels", "words"),
    [
        ("local", "smell", "no channel 'smell'"),
        ("nn", "image", "method nn has no channels to choose"),
        ("paper,nn", "image", "these methods have no channels to choose"),
        ("local", "fine", "of the channels fine none is left"),
    ],
)
def test_channels_that_cannot_be_had(
    plates: Path, methods: str, channels: str, words: str, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, stderr = edge_agent(str(plates), "--methods", methods, "--channels", channels)

    assert code == 64
    assert words in stderr
    assert "hint: " in stderr


# --- several data sets -------------------------------------------------------------------------------------


@pytest.fixture
def three(plates: Path, tmp_path: Path) -> list[Path]:
    """Two data sets of the same name, and one with too few training images between them."""
    folders = [tmp_path / name for name in ("a/plates", "few", "b/plates")]
    for folder in folders:
        shutil.copytree(plates, folder)
    for path in sorted((folders[1] / "train/good").iterdir())[10:]:
        path.unlink()
    (folders[2] / "train/good/000.png").unlink()
    return folders


def test_several_sets_are_one_table_and_one_that_fails_loses_no_other(
    three: list[Path], tmp_path: Path, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = edge_agent(
        *map(str, three), "--methods", "nn,variation", "--out", str(out), "--csv", str(tmp_path / "deep/images.csv")
    )

    assert code == 65
    assert "few FAILED: " in stderr
    assert "few FAILED: " in stdout
    assert "fewer than 20 images" in stdout
    table = [line.split() for line in stdout.splitlines()]
    for name, count in (("a/plates", "24"), ("b/plates", "23")):
        assert [line[2] for line in table if line[:2] == [name, count]] == ["NN", "Variation"]
    assert [line[4] for line in table if line[:4] == ["mean", "of", "2", "sets"]] == ["NN", "Variation"]
    rows = rows_of(tmp_path / "deep/images.csv")
    assert {(row["set"], row["method"]) for row in rows} == {
        (name, method) for name in ("a/plates", "b/plates") for method in ("nn", "variation")
    }
    assert (out / "images.csv").read_text() == (tmp_path / "deep/images.csv").read_text()
    for name in ("a/plates", "b/plates"):
        assert f'href="{name}/report.html"' in (out / "report.html").read_text("utf-8")
        assert "Evaluation on " in (out / name / "report.html").read_text("utf-8")
        assert json.loads((out / name / "results.json").read_text())["dataset"] == name
    assert "few FAILED: " in (out / "report.html").read_text("utf-8")
    assert {row["dataset"] for row in rows_of(out / "results.csv")} == {"a/plates", "b/plates"}


def test_several_sets_are_one_json_object_of_a_version_of_its_own(
    three: list[Path], edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    code, stdout, _ = edge_agent(*map(str, three), "--method", "nn", "--json")

    content = json.loads(stdout)
    assert code == 65
    assert content["schema_version"] == 2
    assert [one["dataset"] for one in content["sets"]] == ["a/plates", "b/plates"]
    assert [(one["dataset"], one["exit_code"]) for one in content["failed"]] == [("few", 65)]
    assert content["failed"][0].keys() == {"dataset", "error", "hint", "exit_code"}
    (mean,) = content["means"]
    assert (mean["method"], mean["sets"], mean["train_images"]) == ("nn", 2, None)
    assert mean["auc"] == pytest.approx(np.mean([one["auc"] for one in content["sets"]]))
    passed = [one["methods"][0]["seeds"][0]["defective_passed"] for one in content["sets"]]
    assert mean["defective_passed_percent"] == pytest.approx(100 * np.mean(passed) / 4)


def test_a_bug_with_one_set_costs_no_other_and_is_told_in_full(
    three: list[Path], monkeypatch: pytest.MonkeyPatch, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    def measure(data: Any, *args: Any) -> Any:
        if data.name == "a/plates":
            raise ZeroDivisionError("nothing to divide by")
        return measured(data, *args)

    monkeypatch.setattr("calibration.evaluation.several.measured", measure)
    code, stdout, stderr = edge_agent(str(three[0]), str(three[2]), "--method", "nn")

    assert code == 70
    assert "Traceback" in stderr
    assert "a/plates FAILED: a bug in edge-agent" in stderr
    assert "mean of 1 set" in stdout


def test_files_of_one_set_that_cannot_be_written_cost_no_other(
    three: list[Path], tmp_path: Path, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "out/a").mkdir(parents=True)
    (tmp_path / "out/a/plates").write_text("a file where a folder should be")
    code, stdout, _ = edge_agent(str(three[0]), str(three[2]), "--method", "nn", "--out", str(tmp_path / "out"))

    assert code == 74
    assert "a/plates FAILED: " in stdout
    assert "mean of 2 sets" in stdout
    assert (tmp_path / "out/b/plates/report.html").is_file()


def test_learning_curves_of_several_sets_have_a_mean_a_number_of_images(three: list[Path]) -> None:
    several = evaluate_several(
        [three[0], three[2]], EvaluationOptions(methods=("nn",), counts=(20, 22), repeats=2, threads=1)
    )

    assert [(row.train_images, row.sets) for row in several.means] == [(20, 2), (22, 2)]
    text = "\n".join(several.summary())
    assert "a/plates: NN: from 20 to 22 images" in text
    assert "b/plates: NN: from 20 to 22 images" in text


def test_a_set_that_is_given_twice_is_a_usage_error(
    plates: Path, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, stderr = edge_agent(str(plates), str(plates / "../plates"), "--method", "nn")

    assert code == 64
    assert "the same data set twice" in stderr


def test_a_csv_that_is_a_folder_is_said_before_anything_is_measured(
    plates: Path, tmp_path: Path, edge_agent: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, stderr = edge_agent(str(plates), "--method", "nn", "--csv", str(tmp_path))

    assert code == 64
    assert "is a folder" in stderr
    assert "check" not in stderr


def test_copies_and_images_of_nearly_one_size_go_through_an_evaluation(
    dataset: Path, edge_agent: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    shutil.copy(dataset / "train/good/003.png", dataset / "train/good/x.png")
    shutil.copy(dataset / "train/good/003.png", dataset / "test/good/x.png")
    for name in ("train/good/004.png", "test/hole/001.png", "ground_truth/hole/001_mask.png"):
        image = cv2.imread(str(dataset / name), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        assert cv2.imwrite(str(dataset / name), image[2:])
    digest = hashlib.sha256((dataset / "test/hole/001.png").read_bytes()).hexdigest()

    code, stdout, stderr = edge_agent(str(dataset), "--method", "variation", "--csv", str(tmp_path / "images.csv"))

    assert code == 0, stderr
    assert "learned from 24 good images" in stdout
    assert "skipped: train/good/x.png: it shows the same picture as train/good/003.png" in stdout
    assert "skipped: test/good/x.png" in stdout
    assert "train/good/004.png (64 x 46), test/hole/001.png (64 x 46)" in stdout
    rows = {f"{row['kind']}/{row['file']}": row for row in rows_of(tmp_path / "images.csv")}
    assert len(rows) == 8
    assert rows["hole/001.png"]["sha256"] == digest


def test_the_report_is_one_file_with_curves_maps_and_parts(found: Evaluation, tmp_path: Path) -> None:
    paths = write_results(tmp_path, found)

    html = (tmp_path / "report.html").read_text("utf-8")

    assert [path.name for path in paths] == ["report.html", "results.csv", "results.json", "images.csv"]
    assert html.count('class="by-day"') == 2 + len(found.methods) + 2  # two curves, histograms, two maps
    assert "t-SNE" in html
    for words in ("Evaluation on plates", "worst: lowest score of a defective part", "doubtful: near the limit"):
        assert words in html
    assert 'src="http' not in html
    assert "Published by others" not in html


def test_the_parts_shown_are_the_worst_the_doubtful_and_others_each_once(found: Evaluation) -> None:
    gallery = found.gallery

    assert gallery is not None
    assert gallery.method == "local"
    labels = [part.label for part in gallery.parts]
    assert len(labels) == len(set(labels)) == 8
    assert gallery.latent is not None
    assert gallery.latent.shape == (8, 2)
    assert gallery.embedding is not None
    assert np.isfinite(gallery.embedding).all()


def test_what_is_worth_showing_is_the_same_every_time_and_says_why() -> None:
    scores = np.arange(40.0)
    defective = scores % 2 == 0
    shown = worth_showing(scores, 20.5, defective)

    assert shown == worth_showing(scores, 20.5, defective)
    assert [i for i, why in shown.items() if why == "worst: lowest score of a defective part"] == [0, 2]
    assert [i for i, why in shown.items() if why == "worst: highest score of a good part"] == [39, 37]
    assert {i for i, why in shown.items() if why == "doubtful: near the limit"} <= {18, 19, 20, 21, 22, 23}
    assert sum(why == "random: good" for why in shown.values()) == 2


def test_the_latent_vectors_are_the_networks_own() -> None:
    import torch

    from calibration.training.cpcae import Cpcae, CpcaeShape
    from calibration.training.export import cpcae_onnx
    from edge_agent.inspection.networks.sessions import Network

    rng = np.random.default_rng(0)
    mean, patches = (rng.random((9, 1, 32, 32)).astype(np.float32) for _ in range(2))
    network = Cpcae(CpcaeShape(32, 1, latent=16)).eval()
    nan = float("nan")
    model = cpcae_onnx(Trained(network, mean, 0.5, (), nan, nan, nan))
    condition = torch.arange(9, dtype=torch.float32)[:, None] / 9
    with torch.no_grad():
        expected = network(torch.from_numpy((patches - mean) / 0.5), condition)[1].numpy()

    np.testing.assert_allclose(Network(latent_onnx(model), 1).run(patches), expected, atol=1e-4)


def test_a_network_without_a_dense_layer_has_no_known_latent_vectors() -> None:
    graph = OnnxGraph("identity", "patches", [1, 1, 4, 4])

    with pytest.raises(ValueError, match="no dense layer"):
        latent_onnx(graph.finish(graph.add("Relu", "patches"), "reconstruction", [1, 1, 4, 4]))
