"""calibrate-reference --channels, and a replay on a machine that computes something else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.options import CalibrationOptions
from calibration.scoring.places import check_channels
from calibration.writer import write_bundle
from edge_agent.errors import UsageError
from edge_agent.inspection.bundle.golden import Golden
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.inspection.bundle.provenance import provenance
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.networks.channels import Channel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SMALL, LARGE = (0, 0, 96, 72), (10, 10, 1200, 900)


def edge_agent(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_agent", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good parts and a bundle of one channel, made from them."""
    root: Path = tmp_path_factory.mktemp("channels")
    (root / "good").mkdir()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image = np.full((72, 96), 40.0, np.float32)
        cv2.rectangle(image, (20, 16), (76, 56), 150.0 + rng.uniform(-5, 5), -1)
        cv2.circle(image, (38, 36), 8 + seed % 4, 80.0, -1)  # of each size several: a single one would stand apart
        noisy = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        assert cv2.imwrite(str(root / "good" / f"{seed:02}.bmp"), noisy)
    calibrate(root / "good", root / "b", CalibrationOptions(method="local", channels=(Channel.MAP, Channel.IMAGE)))
    return root


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--channels", "image,colour"), "no channel 'colour'"),
        (("--channels", ","), "no channel ''"),
        (("--channels", "image", "--method", "paper"), "method paper has no channels"),
        (("--backbone-taps", "0"), "method views looks where it looks"),
        (("--within", "soon"), "--within 'soon' is not a time"),
        (("--within", "0"), "--within '0' is not a time"),
        (("--within", "60ms", "--method", "paper"), "method paper knows one size only"),
        (("--within", "60ms", "--voices", "image,autoencoder"), "not known before it is trained"),
    ],
)
def test_what_there_is_none_of_is_a_usage_error_with_the_list(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    ran = edge_agent("calibrate-reference", ".", "--out", "b", *options, cwd=tmp_path)

    assert ran.returncode == 64
    assert words in ran.stderr
    assert "hint:" in ran.stderr


def test_a_channel_that_shows_nothing_of_its_own_is_left_out_and_alone_it_is_refused() -> None:
    assert check_channels((), SMALL) == (Channel.IMAGE, Channel.PERCEPTUAL, Channel.MAP)
    assert check_channels((Channel.FINE, Channel.MAP), SMALL) == (Channel.MAP,)
    assert check_channels((Channel.FINE,), LARGE) == (Channel.FINE,)
    with pytest.raises(UsageError, match="of the channels fine none is left: on a crop of 96 x 72 px") as caught:
        check_channels((Channel.FINE,), SMALL)
    assert caught.value.hint == "channels for this crop: image, perceptual, map"


def test_the_bundle_looks_at_the_part_in_the_channels_that_were_asked_for(folder: Path) -> None:
    bundle = Bundle.load(folder / "b")

    assert list(bundle.manifest["method"]["channels"]) == ["image", "map"]
    assert provenance(bundle)["channels"] == [
        "image (the part as a whole): weight 1",
        "map (what the autoencoder would repair): weight 0.5",
    ]


def test_a_channel_that_the_score_does_not_have_is_not_shown(folder: Path) -> None:
    """Nothing is judged by it, so nobody knows its name: the manifest of somebody else may say anything there."""
    manifest = read_manifest(folder / "b").content
    files = {name: (folder / "b" / name).read_bytes() for name in manifest["files"]}
    view = {"usual": 0.0, "odd": 1.0, "usual_anywhere": 0.0, "spread_anywhere": 1.0, "place_share": 0.5}
    method = {**manifest["method"], "views": {"unheard of": view, "native": view}}
    of_other = {k: v for k, v in manifest.items() if k not in {"id", "files"}} | {"method": method}
    write_bundle(folder / "more", files, of_other)

    shown = edge_agent("bundle", "show", "more", cwd=folder)

    assert shown.returncode == 0, shown.stderr
    assert "map (what the autoencoder would repair): weight 0.5" in shown.stdout
    assert "native (" not in shown.stdout
    assert provenance(Bundle.load(folder / "more"))["channels"] == provenance(Bundle.load(folder / "b"))["channels"]


def test_a_replay_by_a_bundle_judges_nothing_where_this_machine_computes_something_else(folder: Path) -> None:
    manifest = read_manifest(folder / "b").content
    golden = Golden.from_bytes((folder / "b" / "golden.npz").read_bytes())
    files = {name: (folder / "b" / name).read_bytes() for name in manifest["files"]}
    files["golden.npz"] = replace(golden, score=golden.score * 1.5).to_bytes()
    write_bundle(folder / "other", files, {k: v for k, v in manifest.items() if k not in {"id", "files"}})

    ran, other = (edge_agent("replay", "good", "--bundle", name, cwd=folder) for name in ("b", "other"))

    assert ran.returncode == 0, ran.stderr
    assert other.returncode == 65
    assert "this machine computes something else" in other.stderr
