"""A user's ONNX file becomes a backbone, or is refused with what is wrong and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save
from typer.testing import CliRunner

from calibration.backbones import backbone_for
from calibration.backbones.user_onnx import Scaling, UserOnnx
from edge_agent.commands.main import cli
from edge_agent.domain import Outcome
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.networks.embedding import Embedder, FeatureGrid
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

PLAIN = Scaling((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
SCALING = Scaling((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def constants() -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = {"w1": (5, 3, 4, 4), "w2": (7, 5, 3, 3), "w3": (4, 7, 1, 1), "unused": (9,)}
    return [numpy_helper.from_array(rng.normal(0, 0.4, s).astype(np.float32), n) for n, s in shapes.items()]


def nodes() -> list[Any]:
    """Strides 4 and 12, sizes rounded down; the names are those that the product uses itself."""
    return [
        helper.make_node("Conv", ["image", "w1"], ["n0"], strides=[4, 4]),
        helper.make_node("Relu", ["n0"], ["low"]),
        helper.make_node("Conv", ["low", "w2"], ["features"], strides=[3, 3]),
        helper.make_node("GlobalAveragePool", ["features"], ["pooled"]),
        helper.make_node("Conv", ["pooled", "w3"], ["classes"]),
    ]


def write(
    path: Path, shape: list[int | str] | None = None, *, kind: int = TensorProto.FLOAT, opset: int = 17, more: int = 0
) -> Path:
    """The file, with what a bad one has different."""
    shape = shape or [1, 3, "h", "w"]
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name in ("image", "other")[: 1 + more]]
    body = nodes() if kind == TensorProto.FLOAT else [helper.make_node("Identity", ["image"], ["classes"])]
    outputs = [helper.make_tensor_value_info("classes", kind, None)]
    graph = helper.make_graph(body, "user", inputs, outputs, constants())
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    save(model, path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "user.onnx")


def by_the_file(file: Path, image: np.ndarray, scaling: Scaling, *tensors: str) -> list[np.ndarray]:
    """What the user's own file computes at these tensors."""
    model = load(file)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    mean, std = (np.asarray(v, np.float32).reshape(1, 3, 1, 1) for v in (scaling.mean, scaling.std))
    return [np.asarray(found) for found in session.run(None, {"image": (image - mean) / std})]


def test_the_last_tap_is_pooled_with_the_scaling_inside(file: Path) -> None:
    image = np.random.default_rng(1).random((1, 3, 61, 86), dtype=np.float32)
    (expected,) = by_the_file(file, image, SCALING, "features")

    found = Network(UserOnnx(file, ["low", "features"], SCALING).pooled_onnx(), 1).run(image)

    assert found.shape == (1, 21)
    np.testing.assert_allclose(found[0, :7], expected.max((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(found[0, 7:14], expected.mean((0, 2, 3)), atol=1e-5)


@pytest.mark.parametrize("size", [(61, 86), (100, 133), (124, 124)])
def test_all_taps_make_the_grid_at_the_stride_of_the_coarsest(file: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((1, 3, *size), dtype=np.float32)
    low, high = by_the_file(file, image, SCALING, "low", "features")

    found = Network(UserOnnx(file, ["low", "features"], SCALING).grid_onnx(), 1).run(image)

    assert found.shape == (1, 12, *high.shape[2:])
    around = high[0, :, 0:3, 0:3].mean(axis=(1, 2))
    np.testing.assert_allclose(found[0, 5:, 1, 1], around, atol=1e-5)
    assert found[0, :5].mean() == pytest.approx(low.mean(), rel=0.2)


def test_one_tap_alone_makes_a_grid(file: Path) -> None:
    image = np.random.default_rng(1).random((70, 90, 1), dtype=np.float32)
    backbone = UserOnnx(file, ["low"], PLAIN)

    assert FeatureGrid(backbone.grid_onnx(), threads=1).features(image).shape == (17, 22, 5)
    assert Embedder(backbone.pooled_onnx(), threads=1).embed(image).shape == (15,)


def test_what_the_taps_do_not_need_stays_out_of_the_bundle(file: Path) -> None:
    data = UserOnnx(file, ["low"], PLAIN).grid_onnx()

    assert b"w1" in data
    for name in (b"w2", b"w3", b"unused", b"classes"):
        assert name not in data


def test_the_manifest_can_say_what_it_was(file: Path) -> None:
    facts = UserOnnx(file, ["low", "features"], SCALING).facts

    assert (facts["name"], facts["taps"]) == ("user.onnx", ["low", "features"])
    assert (facts["mean"], facts["std"]) == ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
    assert len(str(facts["sha256"])) == 64


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"shape": [1, 3, 224, 224]}, "its size is fixed"),
        ({"shape": [1, 3, "h", 224]}, "its size is fixed"),
        ({"shape": [1, 1, "h", "w"]}, "expected \\(1, 3, height, width\\)"),
        ({"shape": ["n", "h", "w", 3]}, "expected \\(1, 3, height, width\\)"),
        ({"shape": [3, "h", "w"]}, "expected \\(1, 3, height, width\\)"),
        ({"shape": [8, 3, "h", "w"]}, "8 images at once"),
        ({"kind": TensorProto.UINT8}, "of UINT8"),
        ({"kind": TensorProto.FLOAT16}, "of FLOAT16"),
        ({"opset": 13}, "opset 13"),
        ({"more": 1}, "2 inputs"),
    ],
)
def test_a_file_of_the_wrong_shape_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    file = write(tmp_path / "bad.onnx", **changes)

    with pytest.raises(DataError, match=complaint) as caught:
        UserOnnx(file, ["low"], PLAIN)
    assert caught.value.hint


@pytest.mark.parametrize("content", [None, b"", b"not onnx", b"\x08\x09"])
def test_what_is_no_onnx_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DataError, match=r"bad\.onnx") as caught:
        UserOnnx(path, ["low"], PLAIN)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("tap", "complaint", "hint"),
    [
        ("lw", "no tensor lw", "low"),
        ("image", "no tensor image", "taps are names of tensors"),
        ("pooled", "not spatial", "before any global pooling"),
    ],
)
def test_a_tap_that_cannot_be_used_is_refused(file: Path, tap: str, complaint: str, hint: str) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        UserOnnx(file, [tap], PLAIN)
    assert hint in caught.value.hint


def test_a_size_fixed_inside_the_network_is_found_by_running_it(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 5, 40, 56]), "shape")
    body = [*nodes()[:2], helper.make_node("Reshape", ["low", "shape"], ["fixed"])]
    graph = helper.make_graph(
        body,
        "user",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("fixed", TensorProto.FLOAT, None)],
        [*constants(), shape],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, tmp_path / "fixed.onnx")

    with pytest.raises(DataError, match="does not run up to fixed on an image of 451 x 323 px") as caught:
        UserOnnx(tmp_path / "fixed.onnx", ["fixed"], PLAIN)
    assert "any height and width" in caught.value.hint


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "one.onnx")
    save(
        load(tmp_path / "one.onnx"),
        tmp_path / "two.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )

    with pytest.raises(DataError, match="another file"):
        UserOnnx(tmp_path / "two.onnx", ["low"], PLAIN)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("resnet50", {}, "no backbone resnet50"),
        ("efficientnet-lite0", {"taps": "a"}, "taps 'a' of efficientnet-lite0"),
        ("efficientnet-lite0", {"taps": "2,16"}, "taps '2, 16'"),
        ("efficientnet-lite0", {"taps": "2,2"}, "taps '2, 2'"),
        ("efficientnet-lite0", {"taps": ","}, "taps ''"),
        ("xception", {"taps": "2"}, "taps or scaling"),
        ("xception", {"scaling": "0,0,0/1,1,1"}, "taps or scaling"),
        ("user.onnx", {}, "taps ''"),
        ("user.onnx", {"taps": "low,low"}, "taps 'low,low'"),
        ("user.onnx", {"taps": "low"}, "scaling ''"),
        ("user.onnx", {"taps": "low", "scaling": "0,0/1,1"}, "scaling"),
        ("user.onnx", {"taps": "low", "scaling": "0,0,0/1,1,0"}, "scaling"),
        ("user.onnx", {"taps": "low", "scaling": "0,nan,0/1,1,1"}, "scaling"),
        ("user.onnx", {"taps": "low", "scaling": "0,0,0/1,1,x"}, "scaling"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(name: str, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as caught:
        backbone_for(name, **options)  # type: ignore[arg-type]
    assert caught.value.hint


def test_weights_are_for_xception_only(file: Path) -> None:
    with pytest.raises(UsageError, match="weights of its own"):
        backbone_for("efficientnet-lite0", weights=file)


def test_a_file_is_named_with_its_taps_and_scaling(file: Path) -> None:
    backbone = backbone_for(str(file), taps="low, features", scaling="0.5,0.4,0.3/0.2,0.25,0.3")

    assert backbone.facts == UserOnnx(file, ["low", "features"], SCALING).facts


def part(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    picture = np.full((72, 96), 40.0, np.float32)
    cv2.rectangle(picture, (20, 16), (76, 56), 150.0 + rng.uniform(-5, 5), -1)
    cv2.circle(picture, (38, 36), round(rng.uniform(8.6, 10.4)), 80.0, -1)
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def test_a_calibration_by_a_users_network_of_any_stride_judges_parts(tmp_path: Path, file: Path) -> None:
    (tmp_path / "good").mkdir()
    for seed in range(20):
        assert cv2.imwrite(str(tmp_path / "good" / f"{seed:02}.bmp"), part(seed))
    named = ["--backbone", str(file), "--backbone-taps", "low,features", "--backbone-scaling", "0.5,0.5,0.5/1,1,1"]

    done = CliRunner().invoke(cli, ["calibrate-reference", str(tmp_path / "good"), "-o", str(tmp_path / "b"), *named])

    assert done.exit_code == 0, done.output
    bundle = Bundle.load(tmp_path / "b")
    inspector = Inspector(bundle)
    spoiled = part(30)
    spoiled[40:52, 55:70] = 20
    assert inspector.warm_up() > 0
    assert bundle.manifest["backbone"]["taps"] == ["low", "features"]
    assert bundle.manifest["parity"]["backbone"] is None
    assert inspector.inspect(cv2.imencode(".bmp", spoiled)[1].tobytes()).outcome is Outcome.NG


@pytest.mark.parametrize("command", ["calibrate-reference", "evaluate"])
def test_a_backbone_that_cannot_be_used_ends_a_command_at_once(tmp_path: Path, file: Path, command: str) -> None:
    named = ["--backbone", str(file), "--backbone-taps", "lw", "--backbone-scaling", "0,0,0/1,1,1"]

    done = CliRunner().invoke(cli, [command, str(tmp_path), *named])

    assert isinstance(done.exception, DataError)
    assert "no tensor lw" in str(done.exception)
