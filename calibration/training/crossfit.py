"""Autoencoders and embeddings: one network that saw every good image, and folds that each left some out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.training.export import cpcae_onnx, worst_difference
from calibration.training.parity import GOLDEN_IMAGES
from calibration.training.side_by_side import one_torch_thread, run_all
from calibration.training.train import CurvePoint, Recipe, Training
from calibration.workers import Work
from edge_agent.inspection.networks.anomaly_map import Reconstructor, anomaly_map, to_working, upsize
from edge_agent.inspection.networks.extractor import Views

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.workers import Workers
    from edge_agent.inspection.networks.patches import PatchGrid

__all__ = ["FOLDS", "Learned", "as_seen", "learn", "views_seen", "views_unseen"]

FOLDS = 3
_WELL_BELOW = 0.5
_NO_WORSE = 1.05


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """``full`` is the ONNX file of the network that saw all, ``folds`` those of the others; ``fold_of[i]`` left i out.

    Where the autoencoder has no voice in the score the first fold alone is there, and ``full`` is that one too.
    ``is_trained`` is False where nobody hears or sees it: it was left as it began, and nothing is said of it.

    Errors are mean squares over pixels in [0, 1], on images that the fold's network has not seen: of the networks,
    and of the mean image alone. ``own_variance`` is that of the images' pixels around their own mean. ``parity`` is the
    worst difference between ``full`` and the trained network on good images, in units of the pixels.
    """

    full: bytes
    folds: tuple[bytes, ...]
    fold_of: tuple[int, ...]
    curve: tuple[CurvePoint, ...]
    heldout_error: float
    mean_image_error: float
    own_variance: float
    parity: float = math.nan
    is_trained: bool = True

    @property
    def doubt(self) -> str:
        """Empty, or in words that what the autoencoder learned does not carry over to images that it has not seen."""
        most = min(_WELL_BELOW * self.own_variance, _NO_WORSE * self.mean_image_error)
        if not self.is_trained or self.heldout_error <= most:
            return ""
        return (
            f"the autoencoder did not learn: its error on good images it has not seen is {self.heldout_error:.3g}; the "
            f"mean image alone has {self.mean_image_error:.3g}, the images' own variance is {self.own_variance:.3g}"
        )


def learn(
    working: NDArray[np.float32],
    grid: PatchGrid,
    recipe: Recipe,
    *,
    seed: int,
    threads: int,
    progress: Callable[[int, int], None],
    folds: int = FOLDS,
    hired: Workers | None = None,
) -> Learned:
    """Train so many of the folds, then the network of all images for as long as served the folds best.

    ``working`` (n, h, w, C) are the good parts at the grid's size, in [0, 1]. With fewer than all folds nobody hears
    the autoencoder: one network that left images out is enough, in pictures and to say whether it learned, and ``full``
    is that one (docs/decisions/0081).
    """
    n = len(working)
    fold_of = _folds(n, seed)
    is_heard = folds == FOLDS
    recipe = recipe if is_heard else recipe.for_pictures()
    parted = [_Part(_where(fold_of != f), _where(fold_of == f), seed + 1 + f) for f in range(folds)]
    parted += [_Part(range(n), (), seed)] if is_heard else []
    trainings = [part.training(working, grid, recipe) for part in parted]
    # A single one stays here: its batches are shared among the threads.
    if hired is None or len(trainings) == 1:
        run_all(trainings, threads=threads, progress=progress)
    else:
        _run_elsewhere(trainings, parted, Work(_looks, (working, grid, recipe)), hired, progress)
    training, everything = trainings[:folds], trainings[folds:]
    with one_torch_thread():
        trained = [fold.result() for fold in training]
        full = trained[0]
        if is_heard:
            full = everything[0].result(float(np.median([fold.best_share for fold in trained])))
        model = cpcae_onnx(full)
        parity = worst_difference(full, model, [grid.cut(image) for image in working[:GOLDEN_IMAGES]])
        folds_onnx = tuple(cpcae_onnx(fold) for fold in trained)
    own_variance = float(np.mean([image.var(axis=(0, 1)).mean() for image in working]))
    return Learned(
        full=model,
        parity=parity,
        folds=folds_onnx,
        fold_of=tuple(int(f) for f in fold_of),
        curve=trained[0].curve,
        heldout_error=float(np.mean([fold.heldout_error for fold in trained])),
        mean_image_error=float(np.mean([fold.mean_image_error for fold in trained])),
        own_variance=own_variance,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One network to train: the images that it sees, those that it is watched on, and its seed."""

    seen: Sequence[int]
    heldout: Sequence[int]
    seed: int

    def training(self, working: NDArray[np.float32], grid: PatchGrid, recipe: Recipe) -> Training:
        return Training(working, grid, self.seen, self.heldout, recipe, seed=self.seed)


def _run_elsewhere(
    trainings: Sequence[Training],
    parted: Sequence[_Part],
    work: Work[Any],
    hired: Workers,
    progress: Callable[[int, int], None],
) -> None:
    """Run every training to its end, each by whoever is free; here it looks as if it had been run."""
    total = sum(training.total_steps for training in trainings)
    done = 0
    for training, (curve, weights) in zip(trainings, hired.each(work, parted), strict=True):
        training.take(curve, weights)
        done += training.total_steps
        progress(done, total)


def _looks(working: NDArray[np.float32], grid: PatchGrid, recipe: Recipe, part: _Part) -> Any:
    """What one training leaves, run on one torch thread."""
    import torch

    torch.set_num_threads(1)
    training = part.training(working, grid, recipe)
    training.run(lambda _step: None)
    return training.looks


def views_seen(registered: RegisteredSet, learned: Learned, *, threads: int = 1) -> Work[Views]:
    """Every good image, by its number, as the network that was trained on it repairs it."""
    return _views(registered, (learned.full,), (0,) * len(learned.fold_of), threads)


def views_unseen(registered: RegisteredSet, learned: Learned, *, threads: int = 1) -> Work[Views]:
    """Every good image as the fold that was not trained on it repairs it; all folds have to be there."""
    return _views(registered, learned.folds, learned.fold_of, threads)


def _views(registered: RegisteredSet, models: Sequence[bytes], which: Sequence[int], threads: int) -> Work[Views]:
    tool = partial(_reconstructors, tuple(models), registered.grid, registered.channels, threads)
    return Work(_view, (registered, which), tool)


def _reconstructors(models: Sequence[bytes], grid: PatchGrid, channels: int, threads: int) -> list[Reconstructor]:
    return [Reconstructor(model, grid, channels, threads=threads) for model in models]


def _view(
    reconstructors: Sequence[Reconstructor], registered: RegisteredSet, which: Sequence[int], index: int
) -> Views:
    return as_seen(registered.cropped(index), registered, reconstructors[which[index]])


def as_seen(crop: NDArray[np.float32], registered: RegisteredSet, reconstructor: Reconstructor) -> Views:
    """A crop (H, W, C), what that network makes of it, and how the two differ."""
    repaired = reconstructor.reconstruct(to_working(crop, registered.grid))
    return Views(crop, repaired, anomaly_map(crop, upsize(repaired, *crop.shape[:2])))


def _folds(n: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(np.arange(n) % FOLDS)


def _where(chosen: NDArray[np.bool_]) -> list[int]:
    return [int(index) for index in np.flatnonzero(chosen)]
