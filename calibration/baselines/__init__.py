"""Detectors to compare with: those of the paper (section 4.4), and PatchCore and DFM as today's references."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.baselines.autoencoders import L2Autoencoder, SsimAutoencoder
from calibration.baselines.base import Detector
from calibration.baselines.deep import DeepFeature, Dfm, PatchCore
from calibration.baselines.pixels import NearestImage, Variation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.training.crossfit import Learned

__all__ = ["BASELINES", "Baseline", "Detector", "Setting", "fit_all"]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What a baseline is made for. ``learned`` may be None for those that need no trained autoencoder."""

    registered: RegisteredSet
    learned: Learned | None
    seed: int
    threads: int
    progress: Callable[[str, int, int], None]
    backbone: Backbone = DEFAULT_BACKBONE


@dataclass(frozen=True, slots=True)
class Baseline:
    """``is_seeded``: another seed gives another detector. ``needs_autoencoder``: it wants ``Setting.learned``.

    ``note`` says under the table in what it is less than its original.
    """

    title: str
    make: Callable[[Setting], Detector]
    is_seeded: bool = False
    needs_autoencoder: bool = False
    note: str = ""


def _l2_autoencoder(s: Setting) -> Detector:
    if s.learned is None:
        raise ValueError("this baseline reads the trained autoencoder")
    return L2Autoencoder(s.learned, s.registered.grid, s.registered.channels, threads=s.threads)


def _vae(s: Setting) -> Detector:
    from calibration.baselines.vae import Vae  # noqa: PLC0415 - brings torch

    return Vae(seed=s.seed, threads=s.threads, progress=partial(s.progress, "train vae"))


def _anogan(s: Setting) -> Detector:
    from calibration.baselines.anogan import AnoGan  # noqa: PLC0415 - brings torch

    return AnoGan(seed=s.seed, threads=s.threads, progress=partial(s.progress, "train anogan"))


def _ganomaly(s: Setting) -> Detector:
    from calibration.baselines.ganomaly import Ganomaly  # noqa: PLC0415 - brings torch

    return Ganomaly(seed=s.seed, threads=s.threads, progress=partial(s.progress, "train ganomaly"))


def _geotrans(s: Setting) -> Detector:
    from calibration.baselines.geotrans import GeoTrans  # noqa: PLC0415 - brings torch

    return GeoTrans(seed=s.seed, threads=s.threads, progress=partial(s.progress, "train geotrans"))


_SMALLER = "trained for minutes, not for hours (docs/decisions/0054)"

BASELINES: dict[str, Baseline] = {
    "ae": Baseline("AE (L2)", _l2_autoencoder, is_seeded=True, needs_autoencoder=True),
    "ae-ssim": Baseline(
        "AE (SSIM)",
        lambda s: SsimAutoencoder(
            s.registered.grid, seed=s.seed, threads=s.threads, progress=partial(s.progress, "train ae-ssim")
        ),
        is_seeded=True,
    ),
    "deep-feature": Baseline("Deep Feature", lambda s: DeepFeature(s.backbone.pooled_onnx(), threads=s.threads)),
    "nn": Baseline("NN", lambda s: NearestImage(s.registered.grid)),
    "variation": Baseline("Variation", lambda s: Variation(s.registered.grid)),
    "geotrans": Baseline(
        "GeoTrans",
        _geotrans,
        is_seeded=True,
        note=f"GeoTrans: 32 px as in its paper, a classifier of depth 10 and width 2 instead of 16 and 8, {_SMALLER}",
    ),
    "ganomaly": Baseline(
        "GANomaly",
        _ganomaly,
        is_seeded=True,
        note=f"GANomaly: 64 px, half as wide as in its paper, {_SMALLER}",
    ),
    "vae": Baseline(
        "VAE", _vae, is_seeded=True, note=f"VAE: 128 px, convolutions instead of its papers' dense layers, {_SMALLER}"
    ),
    "anogan": Baseline(
        "AnoGAN",
        _anogan,
        is_seeded=True,
        note=f"AnoGAN: 64 px, half as wide and 300 steps of search instead of 500, {_SMALLER}",
    ),
    "patchcore": Baseline(
        "PatchCore", lambda s: PatchCore(s.backbone.grid_onnx(), seed=s.seed, threads=s.threads), is_seeded=True
    ),
    "dfm": Baseline("DFM", lambda s: Dfm(s.backbone.pooled_onnx(), threads=s.threads)),
}


def fit_all(names: Sequence[str], setting: Setting) -> dict[str, Detector]:
    """Those baselines, fitted on the registered good images; each image is read once.

    ``setting.progress(stage, done, total)`` is called from this thread.
    """
    detectors = {name: BASELINES[name].make(setting) for name in names}
    # Detectors that look at the same thing share one copy of it.
    describing = {type(d).describe: d for d in detectors.values()}
    described: dict[object, list[NDArray[np.float32]]] = {key: [] for key in describing}
    count = len(setting.registered.images)
    for index in range(count if detectors else 0):
        crop = setting.registered.cropped(index)
        for key, detector in describing.items():
            described[key].append(detector.describe(crop))
        setting.progress("describe", index + 1, count)
    stacked = {key: np.stack(found) for key, found in described.items()}
    for number, detector in enumerate(detectors.values(), start=1):
        detector.fit(stacked[type(detector).describe])
        setting.progress("fit", number, len(detectors))
    return detectors
