"""From the views of a part to a score, by either score definition: the paper's pooled one, or the local one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from edge_agent.inspection.anomaly_map import resized
from edge_agent.inspection.channels import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge_agent.inspection.channels import Extractor, Views
    from edge_agent.inspection.embedding import Embedder
    from edge_agent.inspection.knn import Bank
    from edge_agent.inspection.local import LocalBank, Scale

__all__ = ["Judge", "Judged", "LocalJudge", "PooledJudge"]


@dataclass(frozen=True, slots=True)
class Judged:
    """The anomaly ``score``, and what each channel said on the same scale: the largest of them is the score."""

    score: float
    shares: dict[str, float] = field(default_factory=dict)


class Judge(Protocol):
    """A score definition with the bank it compares with."""

    def embed(self, views: Views) -> dict[Channel, NDArray[np.float32]]:
        """What the pre-trained network sees."""
        ...

    def score(self, embedded: Mapping[Channel, NDArray[np.float32]]) -> Judged:
        """The score of what ``embed`` gave. NaN in, NaN out."""
        ...

    def heat(
        self, embedded: Mapping[Channel, NDArray[np.float32]], height: int, width: int, *, limit: float
    ) -> NDArray[np.float32] | None:
        """Where the score comes from: (height, width) float32 over the crop, 1.0 at the limit; None: no places."""
        ...


class PooledJudge:
    """The paper's: one embedding a map, the mean squared distance to the k nearest of good parts (equation 4)."""

    def __init__(self, embedder: Embedder, bank: Bank) -> None:
        """Raises ValueError if backbone and bank do not fit each other."""
        self._embedder, self._bank = embedder, bank
        if embedder.dimensions != bank.mean.size:
            raise ValueError(f"the backbone gives {embedder.dimensions} features, the bank has {bank.mean.size}")

    def embed(self, views: Views) -> dict[Channel, NDArray[np.float32]]:
        """The embedding (d) of the anomaly map."""
        return {Channel.MAP: self._embedder.embed(views.differences)}

    def score(self, embedded: Mapping[Channel, NDArray[np.float32]]) -> Judged:
        """The score."""
        return Judged(self._bank.score(embedded[Channel.MAP]))

    def heat(self, embedded: Mapping[Channel, NDArray[np.float32]], height: int, width: int, *, limit: float) -> None:
        """None: a pooled embedding has no places."""
        del embedded, height, width, limit


class LocalJudge:
    """The local one: in each channel, the features of each place against the same place of good parts."""

    def __init__(
        self, extractor: Extractor, banks: Mapping[Channel, LocalBank], scales: Mapping[Channel, Scale]
    ) -> None:
        """Raises ValueError for channels without a bank or a scale."""
        self._extractor, self._banks, self._scales = extractor, dict(banks), dict(scales)
        if not set(extractor.channels) == set(banks) == set(scales):
            raise ValueError(f"channels {list(extractor.channels)}, banks of {list(banks)}, scales of {list(scales)}")

    def embed(self, views: Views) -> dict[Channel, NDArray[np.float32]]:
        """Features (h, w, d) by channel."""
        return self._extractor.features(views)

    def score(self, embedded: Mapping[Channel, NDArray[np.float32]]) -> Judged:
        """The largest of the channels' scores, each on its own scale."""
        shares = {str(c): self._scales[c](self._banks[c].score(embedded[c])) for c in embedded}
        return Judged(float(np.max(list(shares.values()))), shares)  # np.max hands a NaN on, max does not

    def heat(
        self, embedded: Mapping[Channel, NDArray[np.float32]], height: int, width: int, *, limit: float
    ) -> NDArray[np.float32]:
        """Each place's distance as a share of the distance that the limit stands for, the largest of all channels."""
        hottest = np.zeros((height, width), np.float32)
        for channel, features in embedded.items():
            shares = self._banks[channel].distances(features) / np.float32(self._scales[channel].at(limit))
            np.maximum(hottest, resized(shares[..., None], height, width, cv2.INTER_LINEAR)[..., 0], out=hottest)
        return hottest
