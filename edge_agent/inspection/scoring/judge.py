"""From the views of a part to a score, by each score definition: the paper's pooled one, the local one, views."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.inspection.networks.anomaly_map import resized
from edge_agent.inspection.networks.channels import CHANNELS, Channel, View, hears_autoencoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.inspection.networks.embedding import Embedder
    from edge_agent.inspection.networks.extractor import Extractor, Views
    from edge_agent.inspection.scoring.knn import Bank
    from edge_agent.inspection.scoring.local import LocalBank, Scale
    from edge_agent.inspection.scoring.view_bank import ViewBank

__all__ = ["Embedded", "Judge", "Judged", "LocalJudge", "PooledJudge", "ViewsJudge"]

Embedded = Mapping[str, NDArray[np.float32]]
"""What the pre-trained network sees of a part, by the name of the channel or view."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The anomaly ``score``, what each channel or view said on the same scale, and which one it is ``seen_in``.

    In words, of those that the score is made of the one that says most; empty where the score has no parts.
    """

    score: float
    shares: dict[str, float] = field(default_factory=dict)
    seen_in: str = ""


class Judge(ABC):
    """A score definition with the bank it compares with."""

    @property
    @abstractmethod
    def hears_autoencoder(self) -> bool:
        """Whether the score takes the reconstruction: where it does not, none has to be made."""

    @abstractmethod
    def looks(self, views: Views) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """What the pre-trained network sees, channel by channel or view by view, the cheapest first.

        By name: features (h, w, d) float32, or one pooled embedding (d,).
        """

    @abstractmethod
    def share(self, name: str, seen: NDArray[np.float32]) -> float:
        """What a channel or view says of what was ``seen`` in it, on the scale of the score. NaN in, NaN out.

        ``seen`` is what ``looks`` gave under that name: (h, w, d) or (d,).
        """

    @abstractmethod
    def judged(self, shares: Mapping[str, float]) -> Judged:
        """The score, from what each channel or view said. NaN in, NaN out."""

    @abstractmethod
    def at_least(self, shares: Mapping[str, float]) -> float:
        """What the score will be at least, whatever those say that are not among ``shares``. NaN in, NaN out."""

    @abstractmethod
    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> NDArray[np.float32] | None:
        """Where the score comes from: (height, width) float32 over the crop, 1.0 at the limit; None: no places."""

    def embed(self, views: Views) -> Embedded:
        """All that the pre-trained network sees."""
        return dict(self.looks(views))

    def score(self, embedded: Embedded) -> Judged:
        """The score of what ``embed`` gave. NaN in, NaN out."""
        return self.judged({name: self.share(name, seen) for name, seen in embedded.items()})


class PooledJudge(Judge):
    """The paper's: one embedding a map, the mean squared distance to the k nearest of good parts (equation 4)."""

    hears_autoencoder = True

    def __init__(self, embedder: Embedder, bank: Bank) -> None:
        """Raises ValueError if backbone and bank do not fit each other."""
        self._embedder, self._bank = embedder, bank
        if embedder.dimensions != bank.mean.size:
            raise ValueError(f"the backbone gives {embedder.dimensions} features, the bank has {bank.mean.size}")

    def looks(self, views: Views) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """The embedding (d,) of the anomaly map."""
        yield Channel.MAP, self._embedder.embed(views.differences)

    def share(self, name: str, seen: NDArray[np.float32]) -> float:
        """The score itself, of an embedding (d,): a mean squared distance (equation 4 of the paper)."""
        del name
        return self._bank.score(seen)

    def judged(self, shares: Mapping[str, float]) -> Judged:
        """The score, which has no parts."""
        return Judged(shares[Channel.MAP])

    def at_least(self, shares: Mapping[str, float]) -> float:
        """The score, once it is there."""
        return shares.get(Channel.MAP, -math.inf)

    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> None:
        """None: a pooled embedding has no places."""
        del embedded, height, width, limit


class LocalJudge(Judge):
    """The local one: in each channel, the features of each place against the same place of good parts."""

    hears_autoencoder = True

    def __init__(
        self, extractor: Extractor[Channel], banks: Mapping[Channel, LocalBank], scales: Mapping[Channel, Scale]
    ) -> None:
        """Raises ValueError for channels without a bank or a scale."""
        self._extractor = extractor
        self._banks: dict[str, LocalBank] = {str(name): bank for name, bank in banks.items()}
        self._scales: dict[str, Scale] = {str(name): scale for name, scale in scales.items()}
        if not set(extractor.channels) == set(banks) == set(scales):
            raise ValueError(f"channels {list(extractor.channels)}, banks of {list(banks)}, scales of {list(scales)}")

    def looks(self, views: Views) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Features (h, w, d) by channel."""
        yield from ((str(name), found) for name, found in self._extractor.features(views).items())

    def share(self, name: str, seen: NDArray[np.float32]) -> float:
        """A channel's score on its own scale."""
        return self._scales[name](self._banks[name].score(seen))

    def judged(self, shares: Mapping[str, float]) -> Judged:
        """The largest of the channels' scores."""
        return Judged(self.at_least(shares), dict(shares), f"the channel {_most(shares)}")

    def at_least(self, shares: Mapping[str, float]) -> float:
        """The largest of those that are there."""
        return float(np.max(list(shares.values()), initial=-math.inf))  # np.max hands a NaN on, max does not

    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> NDArray[np.float32]:
        """Each place's distance as a share of the distance that the limit stands for, the largest of all channels."""
        hottest = np.zeros((height, width), np.float32)
        for channel, features in embedded.items():
            shares = self._banks[channel].distances(features) / np.float32(self._scales[channel].at(limit))
            np.maximum(hottest, resized(shares[..., None], height, width, cv2.INTER_LINEAR)[..., 0], out=hottest)
        return hottest


class ViewsJudge(Judge):
    """The mean of views on the part: in each view, the places furthest out by what is usual there.

    A view that stands beside the mean is the score where it says more than the mean does.
    """

    def __init__(self, extractor: Extractor[View], banks: Mapping[View, ViewBank]) -> None:
        """Raises ValueError for views without a bank, or a network that gives other features than the bank has."""
        self._extractor = extractor
        self._banks: dict[str, ViewBank] = {str(name): bank for name, bank in banks.items()}
        if set(extractor.channels) != set(banks) or all(bank.is_beside for bank in banks.values()):
            raise ValueError(f"views {list(extractor.channels)}, banks of {list(banks)}")
        for view, bank in banks.items():
            given, kept = extractor.dimensions(view), len(bank.bank.projection)
            if kept not in given:
                raise ValueError(f"the view {view} gives {' or '.join(map(str, given))} features, its bank has {kept}")
        # Found once: it is asked behind every view of every part (docs/decisions/0083).
        self._least = {name: bank.least for name, bank in self._banks.items()}

    @property
    def hears_autoencoder(self) -> bool:
        """Whether the anomaly map is one of the views."""
        return hears_autoencoder(self._extractor.channels)

    def without(self, embedded: Embedded) -> ViewsJudge:
        """A judge that remembers, in each view, all good parts but the one most like this: itself, if it is there."""
        banks = {view: self._banks[view].without(embedded[view]) for view in self._extractor.channels}
        return ViewsJudge(self._extractor, banks)

    def looks(self, views: Views) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Features (h, w, d) by view."""
        yield from ((str(view), features) for view, features in self._extractor.looks(views))

    def share(self, name: str, seen: NDArray[np.float32]) -> float:
        """A view's score on its own scale."""
        return self._banks[name].score(seen)

    def judged(self, shares: Mapping[str, float]) -> Judged:
        """The mean of the views' scores, or what a view beside it says where that is more."""
        # In the bundle's order, not in that of the looks: a replay compares what is written of each view.
        in_order = {str(view): shares[view] for view in self._extractor.channels}
        in_mean = {view: share for view, share in in_order.items() if not self._banks[view].is_beside}
        beside = {view: share for view, share in in_order.items() if self._banks[view].is_beside}
        score = _fused(in_mean, beside)
        return Judged(score, in_order, _words_of(in_mean if score == fmean(in_mean.values()) else beside))

    def at_least(self, shares: Mapping[str, float]) -> float:
        """As ``judged``, where each view that is not among the shares says as little against the part as it can."""
        # No distance is below 0: each view says at least what it would of a part at distance 0 (docs/decisions/0083).
        least = {**self._least, **shares}
        in_mean = {view: share for view, share in least.items() if not self._banks[view].is_beside}
        return _fused(in_mean, {view: share for view, share in least.items() if self._banks[view].is_beside})

    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> NDArray[np.float32]:
        """The mean of the views' maps, each in units of what stands for the limit there; 0 off the part.

        Where a view beside the mean is hotter, its map.
        """
        total, hottest = np.zeros((2, height, width), np.float32)
        for view, features in embedded.items():
            bank = self._banks[view]
            found = resized(bank.heat(features, limit)[..., None], height, width, cv2.INTER_LINEAR)[..., 0]
            if bank.is_beside:
                np.maximum(hottest, found, out=hottest)
            else:
                total += found
        in_mean = sum(not bank.is_beside for bank in self._banks.values())
        return np.asarray(np.maximum(total / np.float32(in_mean), hottest))


def _fused(in_mean: Mapping[str, float], beside: Mapping[str, float]) -> float:
    """The mean of those in it, or what one beside it says where that is more."""
    return float(np.max([fmean(in_mean.values()), *beside.values()]))  # np.max hands a NaN on, max does not


def _words_of(shares: Mapping[str, float]) -> str:
    return CHANNELS[_most(shares)].view if shares else ""


def _most(shares: Mapping[str, float]) -> str:
    """Which says most; empty where none is."""
    return max(shares, key=shares.__getitem__, default="")
