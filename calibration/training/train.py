"""Trains the autoencoder on patches of good parts, and watches the error on good parts it has not seen."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from calibration.training.descent import OneCycleAdam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from calibration.training.corruption import Corruption
    from calibration.training.cpcae import Cpcae
    from edge_agent.inspection.networks.patches import PatchGrid

__all__ = ["CurvePoint", "Recipe", "Trained", "Training", "steps_for"]

_LEAST_DEVIATION = 1e-3
_MOST_HELDOUT = 24
_AS_GOOD = 1.02


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the autoencoder is trained. ``sparsity`` is the paper's lambda, on standardised patches.

    ``epochs`` passes over the patches, but at least ``min_steps`` and at most ``max_steps`` batches, each of them drawn
    and looked at in so many ``shares``, at once where there are threads. With a
    ``corruption`` the network is shown corrupted patches and has to give the clean ones; what is held out stays clean.
    """

    batch: int = 64
    max_rate: float = 3e-3
    sparsity: float = 1e-3
    epochs: float = 24.0
    min_steps: int = 60
    max_steps: int = 1000
    looks: int = 10
    patience: int = 3
    shares: int = 1
    corruption: Corruption | None = None

    def for_pictures(self) -> Recipe:
        """The same, but shorter: for a network that a person may look at and no score hears."""
        return replace(
            self,
            batch=min(self.batch, _PICTURES.batch),
            min_steps=min(self.min_steps, _PICTURES.max_steps),
            max_steps=min(self.max_steps, _PICTURES.max_steps),
            looks=min(self.looks, _PICTURES.looks),
            shares=min(self.batch, _PICTURES.shares),
        )


_PICTURES = Recipe(batch=32, max_steps=300, looks=5, shares=2)
"""Of a third of the cost it takes half as much again of the error on new parts (docs/decisions/0081)."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Mean squared errors in units of squared grey value (0 to 1). ``heldout`` is NaN where nothing was held out."""

    step: int
    train: float
    heldout: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network with the constants that belong to it.

    ``mean_patches`` (P, C, p, p) and ``deviation`` standardise. ``best_share`` is how much of the schedule served
    best; ``heldout_error`` the mean squared error then on good images it has not seen, ``mean_image_error`` what the
    mean image alone would have on them.
    """

    network: Cpcae
    mean_patches: NDArray[np.float32]
    deviation: float
    curve: tuple[CurvePoint, ...]
    best_share: float
    heldout_error: float
    mean_image_error: float


def steps_for(recipe: Recipe, patches: int) -> int:
    """Batches for that many patches."""
    return int(np.clip(recipe.epochs * patches / recipe.batch, recipe.min_steps, recipe.max_steps))


class Training:
    """One network in training on the working images ``images[seen]`` of (n, h, w, C), watched on ``heldout``.

    Deterministic: it depends on its seed alone, as long as it is made in one thread and stepped on one torch thread.
    """

    def __init__(
        self,
        images: NDArray[np.float32],
        grid: PatchGrid,
        seen: Sequence[int],
        heldout: Sequence[int],
        recipe: Recipe,
        *,
        seed: int,
    ) -> None:
        import torch

        from calibration.training.cpcae import Cpcae, CpcaeShape  # noqa: PLC0415 - brings torch

        self._seen, self._recipe = np.asarray(seen), recipe
        mean_image = images[self._seen].mean(axis=0, dtype=np.float64).astype(np.float32)
        deviation = float(np.sqrt(np.mean((images[self._seen] - mean_image) ** 2, dtype=np.float64)))
        self._deviation, self._mean_patches = max(deviation, _LEAST_DEVIATION), grid.cut(mean_image)
        self._patches = _Patches(images, mean_image, self._deviation, grid)
        self._rngs = [np.random.default_rng(seed if share == 0 else (seed, share)) for share in range(recipe.shares)]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._network = Cpcae(CpcaeShape(grid.patch, images.shape[3], latent=grid.patch))
        self.total_steps = steps_for(recipe, len(seen) * grid.count)
        self._looks = _Looks(self._patches, heldout)

    def run(self, on_step: Callable[[int], None], *, threads: int = 1) -> None:
        """Train through the schedule, or until the held-out error has not fallen for ``patience`` looks.

        Weights are kept at every look. ``on_step(done)`` may raise to stop the training. The result hangs on the
        shares of a batch, not on the number of threads.
        """
        recipe, errors = self._recipe, list[float]()
        descent = OneCycleAdam(self._network.parameters(), recipe.max_rate, self.total_steps)
        every = max(1, self.total_steps // recipe.looks)
        with _mapping(min(threads, recipe.shares)) as each:
            for step in range(1, self.total_steps + 1):
                found = list(each(self._gradients, self._rngs))
                descent.step(
                    [sum(shares[1:], shares[0]) / len(shares) for shares in zip(*(g for _, g in found), strict=True)]
                )
                errors.append(float(np.mean([error for error, _ in found])))
                on_step(step)
                if step % every == 0 or step == self.total_steps:
                    self._looks.look(self._network, step, float(np.mean(errors)))
                    errors.clear()
                    if self._looks.since_best >= recipe.patience:
                        break

    def _gradients(self, rng: np.random.Generator) -> tuple[float, tuple[Tensor, ...]]:
        """The error of one share of a batch, and how what is to be made small grows with each parameter."""
        import torch

        recipe = self._recipe
        batch = self._patches.draw(rng, self._seen, recipe.batch // recipe.shares, recipe.corruption)
        reconstruction, latent = self._network(batch.shown, batch.condition)
        error = torch.mean((reconstruction - batch.clean) ** 2)
        wanted = error + recipe.sparsity * latent.abs().mean()
        return float(error.detach()), torch.autograd.grad(wanted, tuple(self._network.parameters()))

    @property
    def looks(self) -> tuple[tuple[CurvePoint, ...], dict[int, dict[str, NDArray[np.float32]]]]:
        """What ``run`` left: the curve, on standardised patches, and by step the weights by name. Can be pickled."""
        weights = {
            step: {name: value.numpy() for name, value in kept.items()} for step, kept in self._looks.weights.items()
        }
        return tuple(self._looks.curve), weights

    def take(self, curve: Sequence[CurvePoint], weights: Mapping[int, Mapping[str, NDArray[np.float32]]]) -> None:
        """Take over the ``looks`` of the same training that ran elsewhere."""
        import torch

        self._looks.curve = list(curve)
        self._looks.weights = {
            step: {name: torch.from_numpy(value.copy()) for name, value in kept.items()}
            for step, kept in weights.items()
        }

    def result(self, share: float | None = None) -> Trained:
        """The network at the look with the least held-out error, or at the one nearest to a share of the schedule."""
        looks = self._looks
        step = looks.best_step if share is None else looks.nearest(share * self.total_steps)
        self._network.load_state_dict(looks.weights[step])
        squared = self._deviation**2
        curve = tuple(CurvePoint(p.step, p.train * squared, p.heldout * squared) for p in looks.curve)
        return Trained(
            network=self._network.eval(),
            mean_patches=self._mean_patches,
            deviation=self._deviation,
            curve=curve,
            best_share=step / self.total_steps,
            heldout_error=next(p.heldout for p in curve if p.step == step),
            mean_image_error=looks.mean_image_error() * squared,
        )


@contextmanager
def _mapping(threads: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """A ``map`` that works in so many threads, each with one torch thread."""
    import torch

    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads, "share", torch.set_num_threads, (1,)) as pool:
        yield pool.map


class _Batch(NamedTuple):
    """Standardised patches (count, C, p, p) as the network sees them and as they are, conditions (count, 1)."""

    shown: Tensor
    clean: Tensor
    condition: Tensor


class _Patches:
    """Standardised patches of the working images, drawn or in order, with their conditions."""

    def __init__(
        self, images: NDArray[np.float32], mean_image: NDArray[np.float32], deviation: float, grid: PatchGrid
    ) -> None:
        self._images, self._mean_image, self._deviation = images, mean_image, np.float32(deviation)
        self._corners, self._size = grid.corners(), grid.patch

    def draw(
        self, rng: np.random.Generator, images: NDArray[np.int64], count: int, corruption: Corruption | None
    ) -> _Batch:
        """``count`` random patches of these images."""
        which, places = rng.choice(images, count), rng.integers(0, len(self._corners), count)
        chosen = list(zip(which.tolist(), places.tolist(), strict=True))
        pixels, mean = self._pixels(chosen), self._mean(places.tolist())
        clean = self._standardised(pixels, mean)
        shown = clean if corruption is None else self._standardised(corruption.of(pixels, rng), mean)
        return _Batch(shown, clean, self._condition(places.tolist()))

    def of_image(self, image: int) -> tuple[Tensor, Tensor]:
        """All patches of one image, in their order, and their conditions."""
        places = list(range(len(self._corners)))
        pixels = self._pixels([(image, place) for place in places])
        return self._standardised(pixels, self._mean(places)), self._condition(places)

    def _pixels(self, chosen: list[tuple[int, int]]) -> NDArray[np.float32]:
        return self._stack([self._images[image][self._window(place)] for image, place in chosen])

    def _mean(self, places: list[int]) -> NDArray[np.float32]:
        return self._stack([self._mean_image[self._window(place)] for place in places])

    def _window(self, place: int) -> tuple[slice, slice]:
        top, left = self._corners[place]
        return np.s_[top : top + self._size, left : left + self._size]

    @staticmethod
    def _stack(patches: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(count, C, p, p)."""
        return np.ascontiguousarray(np.moveaxis(np.stack(patches), 3, 1))

    def _standardised(self, pixels: NDArray[np.float32], mean: NDArray[np.float32]) -> Tensor:
        import torch

        return torch.from_numpy((pixels - mean) / self._deviation)

    def _condition(self, places: list[int]) -> Tensor:
        import torch

        return torch.from_numpy(np.array([[place / len(self._corners)] for place in places], np.float32))


class _Looks:
    """Looks at the error on held-out images, and the weights at each look."""

    def __init__(self, patches: _Patches, heldout: Sequence[int]) -> None:
        self._patches, self._heldout = patches, list(heldout)[:_MOST_HELDOUT]
        self.curve: list[CurvePoint] = []
        self.weights: dict[int, dict[str, Tensor]] = {}

    @property
    def best_step(self) -> int:
        """The first look whose held-out error is as good as the least; the last look where nothing is held out.

        What falls further after that is the error on seen images alone, and the more it falls, the less do maps of
        good images look like those of new parts.
        """
        if not self._heldout:
            return self.curve[-1].step
        least = min(point.heldout for point in self.curve)
        return next(point.step for point in self.curve if point.heldout <= _AS_GOOD * least)

    @property
    def since_best(self) -> int:
        """Looks since the held-out error last fell noticeably."""
        return sum(point.step > self.best_step for point in self.curve)

    def nearest(self, step: float) -> int:
        """The look nearest to a step."""
        return min(self.weights, key=lambda at: abs(at - step))

    def look(self, network: Cpcae, step: int, train_error: float) -> None:
        """Measure, and keep the weights."""
        heldout_error = self._error(network) if self._heldout else math.nan
        self.curve.append(CurvePoint(step, train_error, heldout_error))
        self.weights[step] = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def mean_image_error(self) -> float:
        """The held-out error of the mean image alone: what is left when nothing is reconstructed."""
        errors = [float((self._patches.of_image(image)[0] ** 2).mean()) for image in self._heldout]
        return float(np.mean(errors)) if errors else math.nan

    def _error(self, network: Cpcae) -> float:
        import torch

        total = 0.0
        with torch.no_grad():
            for image in self._heldout:
                x, condition = self._patches.of_image(image)
                total += float(torch.mean((network(x, condition)[0] - x) ** 2))
        return total / len(self._heldout)
