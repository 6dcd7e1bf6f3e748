"""What a score definition needs of a calibration: the backbone's file, the bank's file, and held-out scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.crossfit import embed_seen, embed_unseen
from calibration.limit import leave_one_out_scores
from calibration.writer import bank_bytes, local_bank_bytes
from edge_agent.inspection.embedding import Embedder, FeatureGrid
from edge_agent.inspection.local import LocalBank

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from calibration.crossfit import Learned
    from calibration.registered import RegisteredSet

__all__ = ["NEIGHBOURS", "Scored", "score_locally", "score_pooled"]

NEIGHBOURS = 15
_MOST_BANK_BYTES = 192 * 2**20
_MAP = "L2 distance over channels"


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """``scores`` (n) float64: each good part as if it were new. ``method`` goes into the manifest."""

    backbone: bytes
    bank: bytes
    scores: NDArray[np.float64]
    method: dict[str, object]


def score_pooled(
    registered: RegisteredSet,
    learned: Learned,
    *,
    threads: int,
    progress: Callable[[int, int], None],
    backbone: Backbone = DEFAULT_BACKBONE,
) -> Scored:
    """The paper's score. The bank holds maps by the network that saw them; held-out scores are of unseen maps."""
    model = backbone.pooled_onnx()
    embedder = Embedder(model, threads=threads)
    n = len(learned.fold_of)
    seen = embed_seen(registered, learned, embedder.embed, threads=threads, progress=lambda i: progress(i, 2 * n))
    unseen = embed_unseen(
        registered, learned, embedder.embed, threads=threads, progress=lambda i: progress(n + i, 2 * n)
    )
    scores = leave_one_out_scores(seen, unseen, NEIGHBOURS)
    return Scored(model, bank_bytes(seen), scores, {"score": "paper", "k": NEIGHBOURS, "map": _MAP})


def score_locally(
    registered: RegisteredSet,
    learned: Learned,
    *,
    threads: int,
    progress: Callable[[int, int], None],
    backbone: Backbone = DEFAULT_BACKBONE,
) -> Scored:
    """The local score. Bank and held-out scores are of maps by networks that had not seen the part.

    A bank above its bound keeps the parts that differ most from each other; the others are scored against it.
    """
    model = backbone.grid_onnx()
    grid = FeatureGrid(model, threads=threads)
    n = len(learned.fold_of)
    found = embed_unseen(registered, learned, grid.features, threads=threads, progress=lambda i: progress(i, n))
    kept = _most_different(found, max(1, _MOST_BANK_BYTES // found[0].nbytes))
    # As the file will hold it: what judges is what was scored.
    stored = found[kept].astype(np.float16).astype(np.float32)
    bank = LocalBank.of(stored)
    place_of = {part: place for place, part in enumerate(kept)}
    scores = np.array([bank.score(found[i], without=place_of.get(i)) for i in range(n)])
    method: dict[str, object] = {"score": "local", "map": _MAP, "bank_parts": len(kept)}
    return Scored(model, local_bank_bytes(stored, bank.scale), scores, method)


def _most_different(features: NDArray[np.float32], most: int) -> list[int]:
    """Up to ``most`` parts, in order: first the most usual, then always the one furthest from all chosen."""
    n = len(features)
    if n <= most:
        return list(range(n))
    summary = features.mean(axis=(1, 2), dtype=np.float64)
    chosen = [int(((summary - summary.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = np.full(n, np.inf)
    while len(chosen) < most:
        nearest = np.minimum(nearest, ((summary - summary[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    return sorted(chosen)
