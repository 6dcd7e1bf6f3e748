"""A network that tells by which of 72 ways an image was moved, and is unsure of odd ones (Golan & El-Yaniv, 2018)."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - baselines/__init__ imports this module inside a function only
from torch import Tensor, nn  # noqa: TID253 - as above

from calibration.baselines.base import Detector, squared
from calibration.baselines.networks import Plan, as_tensor, batches, frozen, torch_at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PLAN", "TRANSFORMATIONS", "GeoTrans", "concentrations", "transformed"]

PLAN = Plan(px=32, width=2, batch=144, epochs=3.0 * 72, least_steps=150, most_steps=600)
"""``width`` is how many times wider than a network of 16, 32 and 64 channels; a batch has as many of each way."""

TRANSFORMATIONS: tuple[tuple[int, int, int, int], ...] = tuple(product((0, 1), (0, -1, 1), (0, -1, 1), range(4)))
"""Mirrored or not; moved across and down by so many quarters of the image; turned by so many right angles."""

_CHANNELS = 16
_RATE = 1e-3
_NEWTON_STEPS, _FIXED_POINT_STEPS = 5, 100
_CHUNK = 8


class _Block(nn.Module):
    """Two convolutions with normalisation before each, and the way round them (Zagoruyko & Komodakis, 2016)."""

    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(a), nn.ReLU())
        self.through = nn.Sequential(
            nn.Conv2d(a, b, 3, stride, 1, bias=False),
            nn.BatchNorm2d(b),
            nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1, bias=False),
        )
        self.around = nn.Conv2d(a, b, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        ready = self.before(images)
        found: Tensor = self.through(ready) + self.around(ready)
        return found


class GeoTrans(Detector):
    """Minus the Dirichlet normality score: how unlike those of good images the answers to all 72 are."""

    def __init__(self, *, seed: int, threads: int, progress: Callable[[int, int], None], plan: Plan = PLAN) -> None:
        self._seed, self._threads, self._progress, self._plan = seed, threads, progress, plan
        self._network: nn.Module | None = None
        self._concentrations = torch.empty(0)

    def describe(self, crop: NDArray[np.float32]) -> NDArray[np.float32]:
        """The crop as a square (px, px, C) of the plan's size."""
        return squared(crop, self._plan.px)

    def fit(self, good: NDArray[np.float32]) -> None:
        """Train the classifier, and the Dirichlet distribution of its answers to each transformation."""
        images = as_tensor(good)
        with torch_at_work(self._threads, self._seed):
            network = _classifier(good.shape[3], self._plan.width)
            optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
            ways = len(TRANSFORMATIONS)
            truth = torch.arange(ways).repeat_interleave(self._plan.batch // ways)
            for drawn in batches(images, self._plan, self._progress):
                shown = torch.cat([transformed(chunk, way) for way, chunk in enumerate(drawn.chunk(ways))])
                optimiser.zero_grad()
                nn.functional.cross_entropy(network(shown), truth).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            frozen(network)
            self._network = network
            answers = torch.cat([self._answers(chunk) for chunk in torch.split(images, _CHUNK)])
        self._concentrations = torch.stack([concentrations(answers[:, way]) for way in range(ways)])

    def score(self, described: NDArray[np.float32]) -> float:
        """Minus the mean over transformations of the Dirichlet log-density, without its constant."""
        with torch_at_work(self._threads, self._seed):
            answers = self._answers(as_tensor(described)[None])[0]
        return -float(((self._concentrations - 1.0) * answers).sum(dim=1).mean())

    def held_out_scores(self) -> None:
        """None: each fold would be one more training."""

    def heat_map(self, described: NDArray[np.float32]) -> None:
        """None: an answer has no places."""
        del described

    def _answers(self, images: Tensor) -> Tensor:
        """Logarithms of the network's shares (N, 72 shown, 72 answered), float64."""
        if self._network is None:
            raise ValueError("fit comes before score")
        with torch.no_grad():
            logits = self._network(_all_transformed(images)).double()
        shares: Tensor = logits.log_softmax(dim=1)
        return shares.view(len(TRANSFORMATIONS), len(images), -1).transpose(0, 1)


def transformed(images: Tensor, way: int) -> Tensor:
    """Square images (N, C, px, px) by one of TRANSFORMATIONS; what comes in at the border is mirrored."""
    mirrored, across, down, turns = TRANSFORMATIONS[way]
    px = images.shape[3]
    by = px // 4
    found = images.flip(3) if mirrored else images
    if across or down:
        padded = nn.functional.pad(found, (by, by, by, by), mode="reflect")
        found = padded[:, :, by * (1 - down) : by * (1 - down) + px, by * (1 - across) : by * (1 - across) + px]
    return found.rot90(turns, (2, 3))


def concentrations(log_shares: Tensor) -> Tensor:
    """The most likely Dirichlet distribution (d) of shares given as logarithms (n, d), by Minka's fixed point."""
    mean_log = log_shares.mean(dim=0)
    found = torch.ones_like(mean_log)
    for _ in range(_FIXED_POINT_STEPS):
        found = _inverse_digamma(torch.digamma(found.sum()) + mean_log)
    return found


def _inverse_digamma(values: Tensor) -> Tensor:
    found = torch.where(values >= -2.22, values.exp() + 0.5, -1.0 / (values - torch.digamma(torch.ones_like(values))))
    for _ in range(_NEWTON_STEPS):
        found = found - (torch.digamma(found) - values) / torch.polygamma(1, found)
    return found


def _all_transformed(images: Tensor) -> Tensor:
    """All images by the first transformation, then all by the second, and so on."""
    return torch.cat([transformed(images, way) for way in range(len(TRANSFORMATIONS))])


def _classifier(channels: int, width: int) -> nn.Sequential:
    """A wide residual network of depth 10."""
    a, b, c = (_CHANNELS * width * times for times in (1, 2, 4))
    return nn.Sequential(
        nn.Conv2d(channels, _CHANNELS, 3, 1, 1, bias=False),
        _Block(_CHANNELS, a, 1),
        _Block(a, b, 2),
        _Block(b, c, 2),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(c, len(TRANSFORMATIONS)),
    )
