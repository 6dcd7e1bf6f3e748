"""The peers' networks are those that were published: by their parameters, and by the sizes of what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_agent.inspection.networks.sessions import Network
from tests.benchmark.peers import (
    Layers,
    Peer,
    autoencoder,
    ours,
    patch_description,
    patch_description_px,
    resnet_18,
    table,
    wide_resnet_50,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_RESNET_18, _ITS_LAYER4, _ITS_CLASSES = 11_689_512, 8_393_728, 513_000
_WIDE_RESNET_50, _WIDE_LAYER4, _WIDE_CLASSES = 68_883_240, 41_971_712, 2_049_000
"""Parameters as torchvision publishes them, and of the two parts that no detector runs."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "parameters", "channels"),
    [
        (resnet_18, _RESNET_18 - _ITS_LAYER4 - _ITS_CLASSES, 256),
        (wide_resnet_50, _WIDE_RESNET_50 - _WIDE_LAYER4 - _WIDE_CLASSES, 1024),
    ],
)
def test_a_residual_network_up_to_layer3_is_the_published_one(
    build: Callable[[int], Layers], parameters: int, channels: int
) -> None:
    layers = build(224)
    normalised = 2 * layers.biases  # a batch normalisation has two parameters where folding leaves one
    assert layers.weights + normalised == parameters
    assert Network(layers.finish(), 1).output_shape == (1, channels, 14, 14)


def test_the_patch_description_networks_are_the_published_ones() -> None:
    """Four convolutions with their biases; 56 x 56 places of an image of 256 x 256 px, without padding."""
    teacher, student = patch_description(256, 384), patch_description(256, 768)
    last = 256 * 384 * 16 + 384
    assert teacher.weights + teacher.biases == 3 * 128 * 16 + 128 + 128 * 256 * 16 + 256 + 256 * 256 * 9 + 256 + last
    assert student.weights + student.biases == teacher.weights + teacher.biases + last
    assert Network(teacher.finish(), 1).output_shape == (1, 384, 56, 56)
    assert patch_description_px(256) == 56


@pytest.mark.parametrize("side", [256, 320])
def test_the_autoencoder_ends_where_the_teacher_ends(side: int) -> None:
    teacher, decoded = patch_description(side, 384), autoencoder(side)
    assert decoded.shape == teacher.shape
    found = Network(decoded.finish(), 1).run(np.zeros((1, 3, side, side), np.float32))
    assert found.shape == (1, 384, *(2 * [patch_description_px(side)]))


def test_ours_looks_as_often_as_the_default_score_does() -> None:
    small, large = ours(256), ours(512)
    assert [size for _, size in small.networks] == [(256, 256)]
    assert [size for _, size in large.networks] == [(512, 512), (384, 384)]


def test_the_table_compares_run_by_run() -> None:
    first = Peer("ours", [], wall_ms=[1.0, 2.0, 3.0], processor_ms=[10.0, 20.0, 40.0])
    theirs = Peer("theirs", [], wall_ms=[5.0, 5.0, 8.0], processor_ms=[30.0, 40.0, 400.0])
    lines = table([first, theirs]).splitlines()
    assert lines[2:] == ["| ours | 2.0 | 20.0 | 1.00 |", "| theirs | 5.0 | 40.0 | 3.00 |"]


def test_a_warm_up_is_not_counted() -> None:
    peer, rng = Peer("one", [(Network(resnet_18(64).finish(), 1), (64, 64))]), np.random.default_rng(0)
    peer.run(rng, is_counted=False)
    assert not peer.wall_ms
    peer.run(rng, is_counted=True)
    assert len(peer.wall_ms) == len(peer.processor_ms) == 1
    assert peer.wall_ms[0] > 0.0
