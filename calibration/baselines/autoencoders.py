"""Detectors by reconstruction alone: the CPCAE by its L2 error, and one that was trained by structural similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.baselines.base import AtWorkingSize
from edge_agent.inspection.networks.anomaly_map import Reconstructor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from calibration.training.cpcae import Cpcae
    from calibration.training.crossfit import Learned
    from edge_agent.inspection.networks.patches import PatchGrid

__all__ = ["L2Autoencoder", "SsimAutoencoder"]

_BATCH = 64
_EPOCHS = 24
_LEAST_STEPS, _MOST_STEPS = 60, 1000
_MAX_RATE = 3e-3
_LEAST_DEVIATION = 1e-3
_WINDOW_PX = 11
_WINDOW_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


class L2Autoencoder(AtWorkingSize):
    """Root mean square error of the CPCAE's reconstruction at its working size; the paper's baseline AE (L2)."""

    def __init__(self, learned: Learned, grid: PatchGrid, channels: int, *, threads: int) -> None:
        super().__init__(grid)
        self._fold_of = learned.fold_of
        self._full = Reconstructor(learned.full, grid, channels, threads=threads)
        self._folds = [Reconstructor(model, grid, channels, threads=threads) for model in learned.folds]
        self._good = np.empty((0, 0, 0, 0), np.float32)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Keep the images for their held-out scores: the network was trained on them."""
        self._good = good

    def score(self, described: NDArray[np.float32]) -> float:
        """The error, in grey values of 0 to 1."""
        return _rms(self._full, described)

    def held_out_scores(self) -> NDArray[np.float64]:
        """The error of each training image by the network that left it out."""
        return np.array([_rms(self._folds[f], image) for f, image in zip(self._fold_of, self._good, strict=True)])

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        """The L2 distance of each pixel over its channels (h, w)."""
        return np.asarray(np.linalg.norm(described - self._full.reconstruct(described), axis=2), np.float32)


class SsimAutoencoder(AtWorkingSize):
    """One minus the mean structural similarity of the reconstruction (Bergmann et al., 2019, AE SSIM).

    The CPCAE's architecture, patches and conditions; the loss while training is the same dissimilarity.
    """

    def __init__(self, grid: PatchGrid, *, seed: int, threads: int, progress: Callable[[int, int], None]) -> None:
        super().__init__(grid)
        self._seed, self._threads, self._progress = seed, threads, progress
        self._network: Cpcae | None = None
        self._mean_patches, self._deviation = np.empty(0, np.float32), 1.0

    def fit(self, good: NDArray[np.float32]) -> None:
        """Learn the mean of the training images and the spread around it, then train the network."""
        import torch

        mean = good.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._deviation = max(float(np.sqrt(np.mean(np.square(good - mean), dtype=np.float64))), _LEAST_DEVIATION)
        self._mean_patches = self._grid.cut(mean)
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            self._network = self._train(good)
        finally:
            torch.set_num_threads(before)

    def score(self, described: NDArray[np.float32]) -> float:
        """The mean of the map."""
        return float(self._dissimilarity(described).mean(dtype=np.float64))

    def held_out_scores(self) -> None:
        """None: each fold would be one more training."""

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        """One minus the structural similarity round each pixel (h, w), the mean over channels."""
        return self._dissimilarity(described)

    def _train(self, good: NDArray[np.float32]) -> Cpcae:
        import torch

        from calibration.training.cpcae import Cpcae, CpcaeShape  # noqa: PLC0415 - brings torch

        rng, places = np.random.default_rng(self._seed), self._grid.count
        with torch.random.fork_rng():
            torch.manual_seed(self._seed)
            network = Cpcae(CpcaeShape(self._grid.patch, good.shape[3], latent=self._grid.patch))
        steps = int(np.clip(_EPOCHS * len(good) * places / _BATCH, _LEAST_STEPS, _MOST_STEPS))
        optimiser = torch.optim.Adam(network.parameters(), lr=_MAX_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _MAX_RATE, total_steps=steps)
        corners, size = self._grid.corners(), self._grid.patch
        for step in range(1, steps + 1):
            chosen = rng.integers(0, places, _BATCH)
            drawn = zip(rng.integers(0, len(good), _BATCH), (corners[place] for place in chosen), strict=True)
            patches = np.stack([np.moveaxis(good[i, y : y + size, x : x + size], 2, 0) for i, (y, x) in drawn])
            loss = 1.0 - _similarity(self._reconstructed(network, patches, chosen), torch.from_numpy(patches)).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            self._progress(step, steps)
        return network.eval()

    def _reconstructed(self, network: Cpcae, patches: NDArray[np.float32], places: NDArray[np.int64]) -> Tensor:
        """Patches (N, C, p, p) in [0, 1] of those places, as the network would have them."""
        import torch

        mean = torch.from_numpy(self._mean_patches[places])
        condition = torch.from_numpy((places / len(self._mean_patches)).astype(np.float32))[:, None]
        standardised = (torch.from_numpy(patches) - mean) / self._deviation
        found: Tensor = network(standardised, condition)[0] * self._deviation + mean
        return found

    def _dissimilarity(self, working: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        if self._network is None:
            raise ValueError("fit comes before score")
        with torch.no_grad():
            patches = self._grid.cut(working)
            found = self._reconstructed(self._network, patches, np.arange(len(patches)))
            blended = np.moveaxis(self._grid.blend(found.numpy()), 2, 0)[None]
            original = torch.from_numpy(np.ascontiguousarray(np.moveaxis(working, 2, 0)[None]))
            similar = _similarity(torch.from_numpy(np.ascontiguousarray(blended)), original)
        return np.asarray(1.0 - similar.mean(dim=1)[0].numpy(), np.float32)


def _rms(network: Reconstructor, working: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(working - network.reconstruct(working)), dtype=np.float64)))


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    """The structural similarity round each pixel of images (N, C, h, w) in [0, 1] (Wang et al., 2004)."""
    down, across = _window(a.shape[2]), _window(a.shape[3])

    def smooth(x: Tensor) -> Tensor:
        return down @ x @ across.T

    mean_a, mean_b = smooth(a), smooth(b)
    variances = smooth(a * a + b * b) - mean_a**2 - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    return likeness / ((mean_a**2 + mean_b**2 + _C1) * (variances + _C2))


def _window(length: int) -> Tensor:
    """The Gaussian window along one axis as a matrix (length, length): several times faster than a convolution."""
    import torch

    place = torch.arange(length, dtype=torch.float32)
    distance = (place[:, None] - place).abs()
    weight = torch.exp(-(distance**2) / (2.0 * _WINDOW_SIGMA**2)) * (distance <= _WINDOW_PX // 2)
    return weight / weight.sum(dim=1, keepdim=True)
