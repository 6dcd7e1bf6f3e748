"""Exported networks are compared with their originals on good images; what they compute goes into the bundle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.training.side_by_side import one_torch_thread
from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.bundle.golden import FEATURES_SHARE, golden_of, middle_of, run_on_middle
from edge_agent.inspection.bundle.manifest import Section
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.networks.embedding import as_planes
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from calibration.backbones import Backbone
    from calibration.registering.registered import RegisteredSet

__all__ = ["GOLDEN_IMAGES", "backbone_difference", "golden_bytes"]

GOLDEN_IMAGES = 3
"""Good images on which an export is checked."""


def backbone_difference(backbone: Backbone, model: bytes, registered: RegisteredSet) -> float | None:
    """The worst difference between ``model`` and its original on good images, as a share of the largest feature.

    None where the file is its own original. Raises CalibrationRefused above ``FEATURES_SHARE``.
    """
    worst, largest, network = 0.0, 0.0, Network(model, 1)
    for index in range(GOLDEN_IMAGES):
        image = registered.cropped(index)
        with one_torch_thread():
            expected = backbone.original(model, as_planes(middle_of(image), 3))
        if expected is None:
            return None
        worst = max(worst, float(np.abs(run_on_middle(network, image) - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    if not worst <= FEATURES_SHARE * largest:
        raise CalibrationRefused(
            f"the exported backbone differs from its original by {worst:.2g} where the largest feature is "
            f"{largest:.2g}; allowed is a share of {FEATURES_SHARE:g}",
            hint="install the versions that constraints.txt names",
        )
    return worst / largest


def golden_bytes(files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> bytes:
    """The file golden.npz of a bundle that has everything else: what this machine computes with it.

    Raises CalibrationRefused where the bundle gives its own marked reference image no score.
    """
    written = Section({**manifest, "id": ""}, "manifest")
    bundle = Bundle.of(Path("the new bundle"), written, {**files, "golden.npz": b""})
    golden = golden_of(bundle, Inspector(bundle, threads=1).inspect)
    if not math.isfinite(golden.score):
        raise CalibrationRefused(
            "the marked reference image has no score: nothing could be judged by this bundle",
            hint="check that all images show the same part, in focus and under one light",
        )
    return golden.to_bytes()
