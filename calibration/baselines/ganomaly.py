"""Encoder, decoder, encoder: how far the code of the reconstruction is from the image's (Akcay et al., 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PLAN", "Ganomaly"]

PLAN = Plan(px=64, width=32, batch=32, epochs=120.0, least_steps=300, most_steps=600)
_LATENT = 100
_RATE, _BETAS = 2e-4, (0.5, 0.999)
_ADVERSARIAL, _CONTEXTUAL, _ENCODING = 1.0, 50.0, 1.0


class _Generator(nn.Module):
    """The image's code, its reconstruction in [-1, 1], and the code of that."""

    def __init__(self, px: int, channels: int, width: int) -> None:
        super().__init__()
        self.first, self.second = (_coder(px, channels, width) for _ in range(2))
        self.up = nn.Sequential(decoder(_LATENT, px, channels, width), nn.Tanh())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        code = self.first(images)
        made = self.up(code)
        return code, made, self.second(made)


class Ganomaly(Detector):
    """GANomaly: how far the code of an image is from that of its reconstruction (L1 distance). Akcay et al., 2018."""

    def __init__(self, *, seed: int, threads: int, progress: Callable[[int, int], None], plan: Plan = PLAN) -> None:
        self._seed, self._threads, self._progress, self._plan = seed, threads, progress, plan
        self._network: _Generator | None = None

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop as a square (px, px, C) of the plan's size."""
        return squared(crop, self._plan.px)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Train the generator for context, code and against the discriminator."""
        channels, plan = good.shape[3], self._plan
        with torch_at_work(self._threads, self._seed):
            generator = _Generator(plan.px, channels, plan.width)
            features, flat = encoder(plan.px, channels, plan.width)
            verdict = nn.Linear(flat, 1)
            critic = nn.Sequential(features, verdict)
            for network in (generator, critic):
                network.apply(first_weights)
            making, judging = (torch.optim.Adam(n.parameters(), lr=_RATE, betas=_BETAS) for n in (generator, critic))
            for real in batches(as_tensor(good, low=-1.0), plan, self._progress):
                code, made, code_of_made = generator(real)
                loss = (
                    _ADVERSARIAL * nn.functional.mse_loss(features(made), features(real).detach())
                    + _CONTEXTUAL * nn.functional.l1_loss(made, real)
                    + _ENCODING * nn.functional.mse_loss(code_of_made, code)
                )
                making.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                making.step()
                told = torch.cat([verdict(features(real)), verdict(features(made.detach()))])
                truth = torch.arange(2.0).repeat_interleave(len(real)).flip(0)[:, None]
                judging.zero_grad()
                nn.functional.binary_cross_entropy_with_logits(told, truth).backward()  # type: ignore[no-untyped-call]
                judging.step()
        frozen(generator)
        self._network = generator

    def codes(self, described: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """The codes (latent,) of an image (h, w, C) and of its reconstruction. Raises ValueError before ``fit``."""
        if self._network is None:
            raise ValueError("fit comes before score")
        with torch_at_work(self._threads, self._seed), torch.no_grad():
            code, _, code_of_made = self._network(as_tensor(described, low=-1.0)[None])
        return code[0], code_of_made[0]

    def score(self, described: NDArray[np.float32]) -> float:
        """The sum of the differences."""
        code, code_of_made = self.codes(described)
        return float((code - code_of_made).abs().sum())

    def held_out_scores(self) -> None:
        """None: each fold would be one more training."""

    def heat_map(self, described: NDArray[np.float32]) -> None:
        """None: a code has no places."""
        del described


def _coder(px: int, channels: int, width: int) -> nn.Sequential:
    down, flat = encoder(px, channels, width)
    return nn.Sequential(down, nn.Linear(flat, _LATENT))
