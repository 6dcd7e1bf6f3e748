"""A variational autoencoder, and how improbable it finds an image (Kingma & Welling, 2014; An & Cho, 2015)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253 - baselines/__init__ imports this module inside a function only
from torch import Tensor, nn  # noqa: TID253 - as above

from calibration.baselines.base import Detector, squared
from calibration.baselines.networks import Plan, as_tensor, batches, decoder, encoder, frozen, torch_at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["PLAN", "Vae", "VaeNetwork", "divergence"]

PLAN = Plan(px=128, width=16, batch=32, epochs=150.0, least_steps=300, most_steps=1500)
_LATENT = 100
_RATE = 1e-3
_LOUDEST_GRADIENT = 1.0
_DRAWS = 10
_LEAST_DEVIATION = 1.0 / 255.0
"""One grey value: where all good parts are saturated alike no camera could tell a finer spread."""
_FIRST_SPREAD = -2.0


class VaeNetwork(nn.Module):
    """Images (N, C, px, px) to a Gaussian of codes; codes (N, latent) to a Gaussian of every pixel."""

    def __init__(self, px: int, channels: int, width: int) -> None:
        super().__init__()
        self.down, flat = encoder(px, channels, width, is_normalised=False)
        self.to_code = nn.Linear(flat, 2 * _LATENT)
        self.up = decoder(_LATENT, px, 2 * channels, width, is_normalised=False)

    def codes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of each image's code, (N, latent) each."""
        mean, log_variance = self.to_code(self.down(images)).chunk(2, dim=1)
        return mean, log_variance

    def surprise(self, images: Tensor, codes: Tensor) -> Tensor:
        """Negative log-likelihood of each pixel and channel (N, C, px, px), given these codes.

        Counted from the most that any value can have: never below 0, as a map has to be.
        """
        mean, spread = self.up(codes).chunk(2, dim=1)
        deviation = nn.functional.softplus(spread + _FIRST_SPREAD) + _LEAST_DEVIATION
        surprise: Tensor = 0.5 * ((images - mean) / deviation) ** 2 + (deviation / _LEAST_DEVIATION).log()
        return surprise


class Vae(Detector):
    """Mean negative log-likelihood of a pixel, over ten codes drawn for the image: the reconstruction probability."""

    def __init__(self, *, seed: int, threads: int, progress: Callable[[int, int], None], plan: Plan = PLAN) -> None:
        self._seed, self._threads, self._progress, self._plan = seed, threads, progress, plan
        self._network: VaeNetwork | None = None

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop as a square (px, px, C) of the plan's size."""
        return squared(crop, self._plan.px)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Train on the evidence lower bound."""
        with torch_at_work(self._threads, self._seed):
            network = VaeNetwork(self._plan.px, good.shape[3], self._plan.width)
            optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
            for images in batches(as_tensor(good), self._plan, self._progress):
                mean, log_variance = network.codes(images)
                codes = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
                pixels = images[0].numel()
                bound = network.surprise(images, codes).mean() + divergence(mean, log_variance).mean() / pixels
                optimiser.zero_grad()
                bound.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), _LOUDEST_GRADIENT)
                optimiser.step()
        frozen(network)
        self._network = network

    def score(self, described: NDArray[np.float32]) -> float:
        """The mean of the map."""
        return float(self.heat_map(described).mean(dtype=np.float64))

    def held_out_scores(self) -> None:
        """None: each fold would be one more training."""

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        """The negative log-likelihood of each pixel (px, px), the mean over channels and codes.

        Raises ValueError before ``fit``.
        """
        if self._network is None:
            raise ValueError("fit comes before score")
        with torch_at_work(self._threads, self._seed), torch.no_grad():  # the same draws for every image
            image = as_tensor(described)[None]
            mean, log_variance = self._network.codes(image)
            codes = mean + torch.randn(_DRAWS, _LATENT) * (0.5 * log_variance).exp()
            found = self._network.surprise(image, codes).mean(dim=(0, 1))
        return np.asarray(found.numpy(), np.float32)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each code's Gaussian (N, d) from the standard normal one, (N)."""
    return 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum(dim=1)
