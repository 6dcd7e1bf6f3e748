"""Detectors on the features that a pre-trained network sees in the image itself, without any autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.baselines.base import Detector, shrunk
from edge_agent.inspection.networks.embedding import Embedder, FeatureGrid
from edge_agent.inspection.scoring.knn import POOLINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["DeepFeature", "Dfm", "PatchCore"]

_WORKING_PX = 512
_NEIGHBOURS = 15
_LEAST_SHARE = 0.1
_KEPT_VARIANCE = 0.97
_POOL = 50_000
_CORESET = 0.10
_PROJECTED = 32


class DeepFeature(Detector):
    """Global max pooling of the image at full resolution, standardised, k-NN with k = 15 (Perera & Patel, 2019)."""

    def __init__(self, pooled_backbone: bytes, *, threads: int) -> None:
        self._embedder = Embedder(pooled_backbone, threads=threads)
        self._good = np.empty((0, 0), np.float32)

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The maximum of each feature (d)."""
        return _pooled(self._embedder, crop, 0)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Keep the vectors (n, d)."""
        self._good = good

    def score(self, described: NDArray[np.float32]) -> float:
        """Mean squared distance to the nearest fifteen."""
        return _distance_to_nearest(self._good, described)

    def held_out_scores(self) -> NDArray[np.float64]:
        """Each against the others, standardised by the others."""
        return np.array([_distance_to_nearest(others, own) for others, own in _each_left_out(self._good)])

    def heat_map(self, described: NDArray[np.float32]) -> None:
        """None: what is pooled over the whole image tells no place."""
        del described


class Dfm(Detector):
    """Negative log-likelihood of the average-pooled image under a Gaussian on its principal components.

    Components that carry 97 % of the variance are kept (Ahuja et al., 2019). The constant of the likelihood is left
    out: it is the same for every image.
    """

    def __init__(self, pooled_backbone: bytes, *, threads: int) -> None:
        self._embedder = Embedder(pooled_backbone, threads=threads)
        self._good = np.empty((0, 0), np.float32)
        self._mean, self._axes = np.empty(0), np.empty((0, 0))

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The average of each feature (d), of the image at 512 px at most."""
        return _pooled(self._embedder, shrunk(crop, _WORKING_PX), 1)

    def fit(self, good: NDArray[np.float32]) -> None:
        """The Gaussian of the vectors (n, d)."""
        self._good = good
        self._mean, self._axes = _whitening(good)

    def score(self, described: NDArray[np.float32]) -> float:
        """Half the squared Mahalanobis distance within the components."""
        return _half_mahalanobis(described, self._mean, self._axes)

    def held_out_scores(self) -> NDArray[np.float64]:
        """Each under the Gaussian of the others."""
        return np.array([_half_mahalanobis(own, *_whitening(others)) for others, own in _each_left_out(self._good)])

    def heat_map(self, described: NDArray[np.float32]) -> None:
        """None: what is pooled over the whole image tells no place."""
        del described


class PatchCore(Detector):
    """Distance of the worst place to one memory of all places of all training images (Roth et al., 2022).

    The memory is thinned by a greedy k-centre coreset to 10 % of at most 50,000 places drawn at random; the coreset
    is chosen on a random projection.
    """

    def __init__(self, grid_backbone: bytes, *, seed: int, threads: int) -> None:
        self._grid, self._seed = FeatureGrid(grid_backbone, threads=threads), seed
        self._good = np.empty((0, 0, 0, 0), np.float32)
        self._bank, self._owner = np.empty((0, 0), np.float32), np.empty(0, np.int64)

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The features (h, w, d) of the image at 512 px at most, averaged over 3 x 3 places by the network's file."""
        return self._grid.features(shrunk(crop, _WORKING_PX))

    def fit(self, good: NDArray[np.float32]) -> None:
        """Fill and thin the memory."""
        from sklearn.random_projection import GaussianRandomProjection  # noqa: PLC0415 - a second of start-up

        self._good = good
        places = good.reshape(-1, good.shape[-1])
        rng = np.random.default_rng(self._seed)
        drawn = np.sort(rng.choice(len(places), min(_POOL, len(places)), replace=False))
        projection = GaussianRandomProjection(min(_PROJECTED, places.shape[1]), random_state=self._seed)
        projected = np.asarray(projection.fit_transform(places[drawn]), np.float32)
        chosen = drawn[_k_centres(projected, max(1, round(_CORESET * len(drawn))))]
        self._bank, self._owner = places[chosen], chosen // (len(places) // len(good))

    def score(self, described: NDArray[np.float32]) -> float:
        """The largest distance of any place of the image to the memory."""
        return float(self.heat_map(described).max())

    def held_out_scores(self) -> NDArray[np.float64]:
        """Each training image against the memory without its own places.

        The coreset is not chosen again, so what only this image's places stood for is missing: the scores err
        towards high, the limit towards too few rejects of good parts.
        """
        return np.array([self._distances(image, self._owner != i).max() for i, image in enumerate(self._good)])

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        """The distance of each place (h, w)."""
        return self._distances(described, np.ones(len(self._bank), bool))

    def _distances(self, described: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
        places = described.reshape(-1, described.shape[-1])
        of_bank = np.einsum("md,md->m", self._bank, self._bank)
        of_bank[~kept] = np.inf
        nearest = (of_bank - 2.0 * (places @ self._bank.T)).min(axis=1)
        squared = np.maximum(nearest + np.einsum("nd,nd->n", places, places), 0.0)
        return np.asarray(np.sqrt(squared), np.float32).reshape(described.shape[:2])


def _pooled(embedder: Embedder, crop: NDArray[np.float32], which: int) -> NDArray[np.float32]:
    """One of an embedding's poolings (d): 0 is the maximum of each feature, 1 its average."""
    return np.asarray(embedder.embed(crop).reshape(POOLINGS, -1)[which], np.float32)


def _each_left_out(good: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    for i, own in enumerate(good):
        yield np.delete(good, i, axis=0), own


def _distance_to_nearest(good: NDArray[np.float32], described: NDArray[np.float32]) -> float:
    """Mean squared distance to the nearest of ``good`` (n, d), standardised by them (docs/decisions/0003)."""
    deviation = good.std(axis=0, dtype=np.float64)
    scale = np.maximum(deviation, _LEAST_SHARE * np.sqrt(np.mean(deviation**2)))
    difference = (good - described) / np.where(scale > 0.0, scale, 1.0)
    distances = np.einsum("nd,nd->n", difference, difference)
    k = min(_NEIGHBOURS, len(distances))
    return float(np.partition(distances, k - 1)[:k].mean())


def _whitening(good: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (d), and principal axes (m, d) divided by the standard deviation along them."""
    from sklearn.decomposition import PCA  # noqa: PLC0415 - a second of start-up

    components = PCA(n_components=_KEPT_VARIANCE, svd_solver="full").fit(good.astype(np.float64))
    return components.mean_, components.components_ / np.sqrt(components.explained_variance_)[:, None]


def _half_mahalanobis(described: NDArray[np.float32], mean: NDArray[np.float64], axes: NDArray[np.float64]) -> float:
    return 0.5 * float(np.square(axes @ (described - mean)).sum())


def _k_centres(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Greedy k-centre: the first point, then always the one furthest from all chosen. Indices, ascending."""
    chosen, squares = [0], np.einsum("nd,nd->n", points, points)
    nearest = np.full(len(points), np.inf, np.float32)
    while len(chosen) < count:
        centre = points[chosen[-1]]
        np.minimum(nearest, squares - 2.0 * (points @ centre) + centre @ centre, out=nearest)
        nearest[chosen[-1]] = -np.inf
        chosen.append(int(nearest.argmax()))
    return np.sort(np.array(chosen))
