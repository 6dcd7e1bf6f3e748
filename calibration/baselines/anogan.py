"""A GAN of good images, and how far from a test image the nearest one is that it can make (Schlegl et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253 - baselines/__init__ imports this module inside a function only
from torch import Tensor, nn  # noqa: TID253 - as above

from calibration.baselines.base import Detector, squared
from calibration.baselines.networks import (
    Plan,
    as_tensor,
    batches,
    decoder,
    encoder,
    first_weights,
    frozen,
    torch_at_work,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["PLAN", "AnoGan", "Found"]

PLAN = Plan(px=64, width=32, batch=32, epochs=150.0, least_steps=300, most_steps=800)
_LATENT = 100
_RATE, _BETAS = 2e-4, (0.5, 0.999)
_SEARCH_STEPS = 300
_SEARCH_RATE = 0.02
_LAMBDA = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the search for a code found: the loss before each step and after the last, and the made image (C, h, w)."""

    losses: tuple[float, ...]
    image: Tensor


class _Discriminator(nn.Module):
    """Images to the features before its last layer, and to how real they are (a logit)."""

    def __init__(self, px: int, channels: int, width: int) -> None:
        super().__init__()
        self.features, flat = encoder(px, channels, width)
        self.last = nn.Linear(flat, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.features(images))
        return logits


class AnoGan(Detector):
    """The loss at the end of a search for the code that makes the image: nine parts residual, one discrimination."""

    def __init__(
        self,
        *,
        seed: int,
        threads: int,
        progress: Callable[[int, int], None],
        plan: Plan = PLAN,
        search_steps: int = _SEARCH_STEPS,
    ) -> None:
        self._seed, self._threads, self._progress, self._plan = seed, threads, progress, plan
        self._search_steps = search_steps
        self._networks: tuple[nn.Module, _Discriminator] | None = None
        self._last: tuple[NDArray[np.float32], Found] | None = None

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop as a square (px, px, C) of the plan's size."""
        return squared(crop, self._plan.px)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Train the generator against the discriminator."""
        channels, plan = good.shape[3], self._plan
        with torch_at_work(self._threads, self._seed):
            generator = nn.Sequential(decoder(_LATENT, plan.px, channels, plan.width), nn.Tanh())
            critic = _Discriminator(plan.px, channels, plan.width)
            for network in (generator, critic):
                network.apply(first_weights)
            making, judging = (torch.optim.Adam(n.parameters(), lr=_RATE, betas=_BETAS) for n in (generator, critic))
            for real in batches(as_tensor(good, low=-1.0), plan, self._progress):
                made = generator(torch.randn(len(real), _LATENT))
                _step(judging, _called(critic(real), real=True) + _called(critic(made.detach()), real=False))
                _step(making, _called(critic(made), real=True))
        frozen(generator)
        frozen(critic)
        self._networks, self._last = (generator, critic), None

    def score(self, described: NDArray[np.float32]) -> float:
        """The loss of the last code."""
        return self.search(described).losses[-1]

    def held_out_scores(self) -> None:
        """None: each fold would be one more training."""

    def heat_map(self, described: NDArray[np.float32]) -> NDArray[np.float32]:
        """The residual of each pixel (px, px), the mean over channels, of images in [-1, 1]."""
        residual = (as_tensor(described, low=-1.0) - self.search(described).image).abs()
        return np.asarray(residual.mean(dim=0).numpy(), np.float32)

    def search(self, described: NDArray[np.float32]) -> Found:
        """Descend from the same first code for every image (h, w, C). The last search is kept: score and map share it.

        Raises ValueError before ``fit``.
        """
        if self._networks is None:
            raise ValueError("fit comes before score")
        if self._last is None or self._last[0] is not described:
            self._last = (described, self._searched(*self._networks, described))
        return self._last[1]

    def _searched(self, generator: nn.Module, critic: _Discriminator, described: NDArray[np.float32]) -> Found:
        losses: list[float] = []
        with torch_at_work(self._threads, self._seed):
            image = as_tensor(described, low=-1.0)[None]
            wanted = critic.features(image)
            code = torch.randn(1, _LATENT).requires_grad_()
            optimiser = torch.optim.Adam([code], lr=_SEARCH_RATE)
            while True:
                made = generator(code)
                residual = (image - made).abs().sum()
                discrimination = (wanted - critic.features(made)).abs().sum()
                loss = (1.0 - _LAMBDA) * residual + _LAMBDA * discrimination
                losses.append(float(loss.detach()))
                if len(losses) > self._search_steps:
                    return Found(tuple(losses), made[0].detach())
                _step(optimiser, loss)


def _called(logits: Tensor, *, real: bool) -> Tensor:
    """Cross entropy of calling all of them real, or none."""
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
