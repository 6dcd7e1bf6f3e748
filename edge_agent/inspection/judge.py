"""From the views of a part to a score, by each score definition: the paper's pooled one, the local one, views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.inspection.anomaly_map import resized
from edge_agent.inspection.channels import Channel
from edge_agent.inspection.view import View

if TYPE_CHECKING:
    from edge_agent.inspection.channels import Extractor, Views
    from edge_agent.inspection.embedding import Embedder
    from edge_agent.inspection.knn import Bank
    from edge_agent.inspection.local import LocalBank, Scale
    from edge_agent.inspection.view import ViewExtractor
    from edge_agent.inspection.view_bank import ViewBank

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


class Judge(Protocol):
    """A score definition with the bank it compares with."""

    @property
    def hears_autoencoder(self) -> bool:
        """Whether the score takes the reconstruction: where it does not, none has to be made."""
        ...

    def embed(self, views: Views) -> Embedded:
        """What the pre-trained network sees."""
        ...

    def score(self, embedded: Embedded) -> Judged:
        """The score of what ``embed`` gave. NaN in, NaN out."""
        ...

    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> NDArray[np.float32] | None:
        """Where the score comes from: (height, width) float32 over the crop, 1.0 at the limit; None: no places."""
        ...


class PooledJudge:
    """The paper's: one embedding a map, the mean squared distance to the k nearest of good parts (equation 4)."""

    hears_autoencoder = True

    def __init__(self, embedder: Embedder, bank: Bank) -> None:
        """Raises ValueError if backbone and bank do not fit each other."""
        self._embedder, self._bank = embedder, bank
        if embedder.dimensions != bank.mean.size:
            raise ValueError(f"the backbone gives {embedder.dimensions} features, the bank has {bank.mean.size}")

    def embed(self, views: Views) -> Embedded:
        """The embedding (d) of the anomaly map."""
        return {Channel.MAP: self._embedder.embed(views.differences)}

    def score(self, embedded: Embedded) -> Judged:
        """The score."""
        return Judged(self._bank.score(embedded[Channel.MAP]))

    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> None:
        """None: a pooled embedding has no places."""
        del embedded, height, width, limit


class LocalJudge:
    """The local one: in each channel, the features of each place against the same place of good parts."""

    hears_autoencoder = True

    def __init__(
        self, extractor: Extractor, banks: Mapping[Channel, LocalBank], scales: Mapping[Channel, Scale]
    ) -> None:
        """Raises ValueError for channels without a bank or a scale."""
        self._extractor = extractor
        self._banks: dict[str, LocalBank] = {str(name): bank for name, bank in banks.items()}
        self._scales: dict[str, Scale] = {str(name): scale for name, scale in scales.items()}
        if not set(extractor.channels) == set(banks) == set(scales):
            raise ValueError(f"channels {list(extractor.channels)}, banks of {list(banks)}, scales of {list(scales)}")

    def embed(self, views: Views) -> Embedded:
        """Features (h, w, d) by channel."""
        return {str(name): found for name, found in self._extractor.features(views).items()}

    def score(self, embedded: Embedded) -> Judged:
        """The largest of the channels' scores, each on its own scale."""
        shares = {str(c): self._scales[c](self._banks[c].score(embedded[c])) for c in embedded}
        score = float(np.max(list(shares.values())))  # np.max hands a NaN on, max does not
        return Judged(score, shares, f"the channel {_most(shares)}")

    def heat(self, embedded: Embedded, height: int, width: int, *, limit: float) -> NDArray[np.float32]:
        """Each place's distance as a share of the distance that the limit stands for, the largest of all channels."""
        hottest = np.zeros((height, width), np.float32)
        for channel, features in embedded.items():
            shares = self._banks[channel].distances(features) / np.float32(self._scales[channel].at(limit))
            np.maximum(hottest, resized(shares[..., None], height, width, cv2.INTER_LINEAR)[..., 0], out=hottest)
        return hottest


class ViewsJudge:
    """The mean of views on the part: in each view, the places furthest out by what is usual there.

    A view that stands beside the mean is the score where it says more than the mean does.
    """

    def __init__(self, extractor: ViewExtractor, banks: Mapping[View, ViewBank]) -> None:
        """Raises ValueError for views without a bank, or a network that gives other features than the bank has."""
        self._extractor = extractor
        self._banks: dict[str, ViewBank] = {str(name): bank for name, bank in banks.items()}
        if set(extractor.views) != set(banks) or all(bank.is_beside for bank in banks.values()):
            raise ValueError(f"views {list(extractor.views)}, banks of {list(banks)}")
        for view, bank in banks.items():
            given, kept = extractor.dimensions(view), len(bank.bank.projection)
            if kept not in given:
                raise ValueError(f"the view {view} gives {' or '.join(map(str, given))} features, its bank has {kept}")

    @property
    def hears_autoencoder(self) -> bool:
        """Whether the anomaly map is one of the views."""
        return View.AUTOENCODER in self._extractor.views

    def without(self, embedded: Embedded) -> ViewsJudge:
        """A judge that remembers, in each view, all good parts but the one most like this: itself, if it is there."""
        banks = {view: self._banks[view].without(embedded[view]) for view in self._extractor.views}
        return ViewsJudge(self._extractor, banks)

    def embed(self, views: Views) -> Embedded:
        """Features (h, w, d) by view."""
        return {str(name): found for name, found in self._extractor.features(views).items()}

    def score(self, embedded: Embedded) -> Judged:
        """The mean of the views' scores, each on its own scale, or what a view beside it says where that is more."""
        shares = {str(view): self._banks[view].score(features) for view, features in embedded.items()}
        in_mean = {view: share for view, share in shares.items() if not self._banks[view].is_beside}
        beside = {view: share for view, share in shares.items() if self._banks[view].is_beside}
        mean = fmean(in_mean.values())
        score = float(np.max([mean, *beside.values()]))  # np.max hands a NaN on, max does not
        return Judged(score, shares, _words_of(in_mean if score == mean else beside))

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


def _words_of(shares: Mapping[str, float]) -> str:
    return View(_most(shares)).words if shares else ""


def _most(shares: Mapping[str, float]) -> str:
    """Which says most; empty where none is."""
    return max(shares, key=shares.__getitem__, default="")
