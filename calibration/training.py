"""Trains the autoencoder on patches of good parts, and watches the error on good parts it has not seen."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from calibration.cpcae import Cpcae
    from edge_agent.inspection.patches import PatchGrid

__all__ = ["CurvePoint", "Recipe", "Trained", "steps_for", "train"]


_LEAST_DEVIATION = 1e-3
_MOST_HELDOUT = 24


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the autoencoder is trained. ``sparsity`` is the paper's lambda, on standardised patches.

    ``epochs`` passes over the patches, but at least ``min_steps`` and at most ``max_steps`` batches.
    """

    batch: int = 64
    max_rate: float = 3e-3
    sparsity: float = 1e-3
    epochs: float = 24.0
    min_steps: int = 120
    max_steps: int = 1000
    looks: int = 10
    patience: int = 3


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Mean squared errors in units of squared grey value (0 to 1). ``heldout`` is NaN where nothing was held out."""

    step: int
    train: float
    heldout: float


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network with the constants that belong to it.

    ``mean_patches`` (P, C, p, p) and ``deviation`` standardise; ``heldout_error`` is the mean squared error on good
    images it has not seen, ``mean_image_error`` what the mean image alone would have on them.
    """

    network: Cpcae
    mean_patches: NDArray[np.float32]
    deviation: float
    curve: tuple[CurvePoint, ...]
    best_step: int
    heldout_error: float
    mean_image_error: float


def steps_for(recipe: Recipe, patches: int) -> int:
    """Batches for that many patches."""
    return int(np.clip(recipe.epochs * patches / recipe.batch, recipe.min_steps, recipe.max_steps))


def train(
    images: NDArray[np.float32],
    grid: PatchGrid,
    seen: Sequence[int],
    heldout: Sequence[int],
    recipe: Recipe,
    *,
    total_steps: int,
    stop_step: int,
    seed: int,
    threads: int,
    progress: Callable[[int, int], None],
) -> Trained:
    """Train on the working images ``images[seen]`` of (n, h, w, C); keep the weights that did best on ``heldout``.

    The rate follows one cycle over ``total_steps``; training ends at ``stop_step``, or when the error on the
    held-out images has not fallen for ``recipe.patience`` looks. Deterministic for the same seed and threads.
    """
    import torch

    from calibration.cpcae import Cpcae, CpcaeShape  # noqa: PLC0415 - brings torch

    mean_image = images[list(seen)].mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = max(float(np.sqrt(np.mean((images[list(seen)] - mean_image) ** 2, dtype=np.float64))), _LEAST_DEVIATION)
    patches = _Patches((images - mean_image) / np.float32(deviation), grid)
    rng = np.random.default_rng(seed)
    with _deterministic(seed, threads):
        network = Cpcae(CpcaeShape(grid.patch, images.shape[3]))
        optimiser = torch.optim.Adam(network.parameters(), lr=recipe.max_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.max_rate, total_steps=total_steps)
        watch = _Watch(patches, heldout, recipe.patience)
        every = max(1, total_steps // recipe.looks)
        errors: list[float] = []
        for step in range(1, stop_step + 1):
            x, condition = patches.draw(rng, seen, recipe.batch)
            reconstruction, latent = network(x, condition)
            error = torch.mean((reconstruction - x) ** 2)
            optimiser.zero_grad()
            (error + recipe.sparsity * latent.abs().mean()).backward()
            optimiser.step()
            schedule.step()
            errors.append(float(error.detach()))
            progress(step, stop_step)
            if step % every == 0 or step == stop_step:
                watch.look(network, step, float(np.mean(errors)))
                errors.clear()
                if watch.has_stalled:
                    break
    return watch.result(network, grid.cut(mean_image), deviation)


class _Patches:
    """Patches of standardised working images, drawn or in order, with their conditions."""

    def __init__(self, standardised: NDArray[np.float32], grid: PatchGrid) -> None:
        self._planes = np.ascontiguousarray(np.moveaxis(standardised, 3, 1))
        self._corners, self._size = grid.corners(), grid.patch

    def draw(self, rng: np.random.Generator, images: Sequence[int], count: int) -> tuple[Tensor, Tensor]:
        """``count`` random patches of these images: (count, C, p, p) and (count, 1)."""
        which = rng.choice(np.asarray(images), count)
        return self._cut(list(zip(which.tolist(), rng.integers(0, len(self._corners), count).tolist(), strict=True)))

    def of_image(self, image: int) -> tuple[Tensor, Tensor]:
        """All patches of one image, in their order."""
        return self._cut([(image, place) for place in range(len(self._corners))])

    def _cut(self, chosen: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        import torch

        size = self._size
        x = np.empty((len(chosen), self._planes.shape[1], size, size), np.float32)
        for row, (image, place) in enumerate(chosen):
            top, left = self._corners[place]
            x[row] = self._planes[image, :, top : top + size, left : left + size]
        condition = np.array([[place / len(self._corners)] for _, place in chosen], np.float32)
        return torch.from_numpy(x), torch.from_numpy(condition)


class _Watch:
    """Looks at the error on held-out images and remembers the weights that did best."""

    def __init__(self, patches: _Patches, heldout: Sequence[int], patience: int) -> None:
        self._patches, self._patience = patches, patience
        self._heldout = list(heldout)[:_MOST_HELDOUT]
        self._curve: list[CurvePoint] = []
        self._best_error, self._best_step, self._bad_looks = np.inf, 0, 0
        self._weights: dict[str, Tensor] = {}

    @property
    def has_stalled(self) -> bool:
        """The held-out error has not fallen for as many looks as patience allows."""
        return self._bad_looks >= self._patience

    def look(self, network: Cpcae, step: int, train_error: float) -> None:
        """Measure, and keep the weights if they are the best so far."""
        heldout_error = self._error(network) if self._heldout else np.nan
        self._curve.append(CurvePoint(step, train_error, heldout_error))
        if not self._heldout or heldout_error < self._best_error:
            self._best_error, self._best_step, self._bad_looks = heldout_error, step, 0
            self._weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
        else:
            self._bad_looks += 1

    def result(self, network: Cpcae, mean_patches: NDArray[np.float32], deviation: float) -> Trained:
        """The network with its best weights, errors in units of the pixels."""
        network.load_state_dict(self._weights)
        squared = deviation**2
        curve = tuple(CurvePoint(p.step, p.train * squared, p.heldout * squared) for p in self._curve)
        baseline = self._mean_image_error() if self._heldout else np.nan
        return Trained(
            network=network.eval(),
            mean_patches=mean_patches,
            deviation=deviation,
            curve=curve,
            best_step=self._best_step,
            heldout_error=self._best_error * squared,
            mean_image_error=baseline * squared,
        )

    def _error(self, network: Cpcae) -> float:
        import torch

        total = 0.0
        with torch.no_grad():
            for image in self._heldout:
                x, condition = self._patches.of_image(image)
                total += float(torch.mean((network(x, condition)[0] - x) ** 2))
        return total / len(self._heldout)

    def _mean_image_error(self) -> float:
        return float(np.mean([float((self._patches.of_image(image)[0] ** 2).mean()) for image in self._heldout]))


@contextmanager
def _deterministic(seed: int, threads: int) -> Iterator[None]:
    """Seed torch, on a fixed number of threads (sums depend on it), and afterwards as it was."""
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
