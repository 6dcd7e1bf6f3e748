"""The conditional patch-based convolutional autoencoder (Saeedi & Giusti, section 3.1, Figure 2).

Strided convolutions, a dense layer down to the latent vector; a dense layer up, transposed strided convolutions.
The condition, a patch's number divided by the number of patches, is concatenated before the dense layer of the
encoder and before that of the decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch  # noqa: TID253 - this module is the network; calibration imports it inside functions only
from torch import Tensor, nn  # noqa: TID253 - as above

__all__ = ["SLOPE", "Cpcae", "CpcaeShape"]

SLOPE = 0.1
"""Of the leaky rectifier after every hidden layer but the latent one."""


@dataclass(frozen=True, slots=True)
class CpcaeShape:
    """Sizes of the network: input patch and channels; latent dimensions; width and stride of each convolution."""

    patch: int
    channels: int
    latent: int
    layers: tuple[tuple[int, int], ...] = ((32, 4), (64, 2))

    @property
    def bottom(self) -> int:
        """Side length in px after the last strided convolution."""
        return self.patch // math.prod(stride for _, stride in self.layers)

    @property
    def flat(self) -> int:
        """Values after the last strided convolution."""
        return self.layers[-1][0] * self.bottom**2


class Cpcae(nn.Module):
    """Standardised patches (N, C, p, p) and conditions (N, 1) to reconstructions and latent vectors."""

    def __init__(self, shape: CpcaeShape) -> None:
        super().__init__()
        self.shape = shape
        widths = (shape.channels, *(width for width, _ in shape.layers))
        steps = [(a, b, stride) for (a, b), (_, stride) in zip(pairwise(widths), shape.layers, strict=True)]
        self.encode = nn.ModuleList(nn.Conv2d(a, b, _kernel(s), s, _padding(s)) for a, b, s in steps)
        self.to_latent = nn.Linear(shape.flat + 1, shape.latent)
        self.from_latent = nn.Linear(shape.latent + 1, shape.flat)
        self.decode = nn.ModuleList(nn.ConvTranspose2d(b, a, _kernel(s), s, _padding(s)) for a, b, s in reversed(steps))

    def forward(self, patches: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructions (N, C, p, p) and latent vectors (N, latent)."""
        x = patches
        for down in self.encode:
            x = nn.functional.leaky_relu(down(x), SLOPE)
        latent: Tensor = self.to_latent(torch.cat([x.flatten(1), condition], dim=1))
        x = nn.functional.leaky_relu(self.from_latent(torch.cat([latent, condition], dim=1)), SLOPE)
        x = x.view(-1, self.shape.layers[-1][0], self.shape.bottom, self.shape.bottom)
        for number, up in enumerate(self.decode, start=1):
            x = up(x) if number == len(self.decode) else nn.functional.leaky_relu(up(x), SLOPE)
        return x, latent


def _kernel(stride: int) -> int:
    return max(4, stride)


def _padding(stride: int) -> int:
    return (_kernel(stride) - stride) // 2
