"""What the baselines that train a network of their own share: sizes, seeds, batches, and the DCGAN's two halves."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253 - baselines/__init__ imports this module inside functions only
from torch import Tensor, nn  # noqa: TID253 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["Plan", "as_tensor", "batches", "decoder", "encoder", "first_weights", "frozen", "torch_at_work"]

_SLOPE = 0.2
_LEAST_PX = 4
_WIDEST = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a baseline's network is, and how long it learns.

    It sees squares of ``px``. ``width`` counts the channels of its first layer. It learns for ``epochs`` passes in
    batches, but at least ``least_steps`` and at most ``most_steps`` of them: the last is what bounds its time.
    """

    px: int
    width: int
    batch: int
    epochs: float
    least_steps: int
    most_steps: int

    def steps(self, images: int) -> int:
        """Batches for that many images."""
        return int(np.clip(self.epochs * images / self.batch, self.least_steps, self.most_steps))


@contextmanager
def torch_at_work(threads: int, seed: int) -> Iterator[None]:
    """Torch on that many threads and with random numbers of that seed; afterwards as it was before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def as_tensor(images: NDArray[np.float32], *, low: float = 0.0) -> Tensor:
    """Images of the shape (..., h, w, C) in [0, 1] as (..., C, h, w) in [``low``, 1]; a generator's tanh wants -1."""
    moved = np.ascontiguousarray(np.moveaxis(images, -1, -3), np.float32)
    return torch.from_numpy(moved) * (1.0 - low) + low


def batches(good: Tensor, plan: Plan, progress: Callable[[int, int], None]) -> Iterator[Tensor]:
    """The batches of a training, drawn with torch's own random numbers; ``progress(done, total)`` after each."""
    steps = plan.steps(len(good))
    for step in range(1, steps + 1):
        yield good[torch.randint(len(good), (plan.batch,))]
        progress(step, steps)


def encoder(px: int, channels: int, width: int, *, is_normalised: bool = True) -> tuple[nn.Sequential, int]:
    """Strided convolutions from (N, channels, px, px) down to 4 px, flat, as in the DCGAN; and the number of values.

    Without the last layer: what follows is the method's. ``px`` is 4 times a power of 2.
    """
    widths = _widths(px, width)
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate(pairwise([channels, *widths])):
        layers.append(nn.Conv2d(a, b, 4, 2, 1))
        if is_normalised and number:
            layers.append(nn.BatchNorm2d(b))
        layers.append(nn.LeakyReLU(_SLOPE))
    return nn.Sequential(*layers, nn.Flatten()), widths[-1] * _LEAST_PX**2


def decoder(latent: int, px: int, channels: int, width: int, *, is_normalised: bool = True) -> nn.Sequential:
    """Codes (N, latent) to (N, channels, px, px) by transposed convolutions, as in the DCGAN, without its last tanh."""
    widths = _widths(px, width)[::-1]

    def after(channels: int) -> list[nn.Module]:
        return [*([nn.BatchNorm2d(channels)] if is_normalised else []), nn.ReLU()]

    start = [nn.Linear(latent, widths[0] * _LEAST_PX**2), nn.Unflatten(1, (widths[0], _LEAST_PX, _LEAST_PX))]
    layers = [*start, *after(widths[0])]
    for a, b in pairwise(widths):
        layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), *after(b)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1))


def first_weights(layer: nn.Module) -> None:
    """The DCGAN's first weights of one layer (Radford et al., 2016); ``network.apply(first_weights)``."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def frozen(network: nn.Module) -> None:
    """No more learning: the network judges by what its layers saw in training, and needs no gradients of its own."""
    network.eval().requires_grad_(requires_grad=False)


def _widths(px: int, width: int) -> list[int]:
    """Channels of each strided convolution: twice as many after each, up to eight times the first."""
    halvings = int(math.log2(px // _LEAST_PX))
    if px != _LEAST_PX * 2**halvings or halvings < 1:
        raise ValueError(f"{px} px is not {_LEAST_PX} px times a power of two")
    return [width * min(2**number, _WIDEST) for number in range(halvings)]
