"""The mean of views on the part: from registered good images to the bundle's files and held-out scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.crossfit import views_unseen
from calibration.memory import most_different
from calibration.part_mask import counting_places, part_mask
from calibration.scored import LEARN, Scored
from calibration.view_memory import FEWEST_KEPT, ViewMemory
from calibration.whitened import MOST_FEATURES
from calibration.writer import view_bank_bytes
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.inspector import crop_of
from edge_agent.inspection.local import Scale
from edge_agent.inspection.nearest import around
from edge_agent.inspection.view import View, ViewExtractor, Voice, views_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from calibration.crossfit import Learned
    from calibration.registered import RegisteredSet
    from edge_agent.inspection.channels import Channel, Views

__all__ = ["features_at_places", "kept_parts", "score_by_views"]

_MOST_BYTES = {View.NATIVE: 256 * 2**20, View.OVERVIEW: 64 * 2**20, View.AUTOENCODER: 64 * 2**20}
"""Of a view's bank in memory."""
_FLOAT = 4


def score_by_views(
    registered: RegisteredSet,
    learned: Learned,
    *,
    threads: int,
    progress: Callable[[int, int], None],
    backbone: Backbone = DEFAULT_BACKBONE,
    channels: Sequence[Channel] = (),
    voices: Sequence[Voice] = (),
) -> Scored:
    """The mean of the views that these voices speak for; no voice named: of the image's.

    Raises CalibrationRefused where the autoencoder did not learn and its voice was asked for, UsageError where a
    person's mask leaves no place.
    """
    del channels  # those are the local score's
    voices = tuple(voices) or (Voice.IMAGE,)
    if learned.doubt and Voice.AUTOENCODER in voices:
        raise CalibrationRefused(learned.doubt, hint=LEARN)
    _, _, width, height = registered.crop
    network = backbone.overview_onnx()
    extractor = ViewExtractor(views_for(height, width, voices), network, threads=threads)
    n = len(registered.images)
    steps = n * (2 + len(extractor.views))
    mask = part_mask(registered.working(lambda done, _total: progress(done, steps)).mean(axis=0))
    seen = views_unseen(registered, learned, threads=threads)
    features, places = features_at_places(seen, registered, extractor, mask, _after(n, steps, progress))
    scaled, banks, facts = [], {}, {}
    for number, view in enumerate(extractor.views, start=2):
        memory = ViewMemory(features[view], places[view], kept_parts(features[view], view))
        held_out = memory.held_out(_after(n * number, steps, progress))
        scaled.append(_on_scale_of_others(held_out.scores))
        scale = Scale.to_upper_tenth(held_out.scores)
        banks[str(view)] = memory, held_out.usual
        facts[str(view)] = {
            "usual": scale.usual,
            "odd": scale.odd,
            "usual_anywhere": held_out.usual.usual_anywhere,
            "spread_anywhere": held_out.usual.spread_anywhere,
            "bank_parts": len(memory.stored),
        }
    files = {"backbone.onnx": network, "bank.npz": view_bank_bytes(banks)}
    method: dict[str, object] = {"score": "views", "voices": [str(v) for v in voices], "views": facts}
    notes = (_where_words(mask, is_asked=registered.mask is not None), *_doubt_words(learned.doubt))
    return Scored(files, np.mean(scaled, axis=0), method, notes=notes)


def features_at_places(
    seen: Iterable[Views],
    registered: RegisteredSet,
    extractor: ViewExtractor,
    mask: NDArray[np.bool_] | None,
    progress: Callable[[int], None],
) -> tuple[dict[View, NDArray[np.float16]], dict[View, NDArray[np.bool_]]]:
    """Features (n, K, d) by view at the places around those that count, and the places (h, w) that do.

    ``seen`` are the registered parts in their order, ``mask`` the part's. Raises UsageError as ``score_by_views`` does.
    """
    asked = None
    if registered.mask is not None:
        asked = crop_of(registered.mask.astype(np.float32), registered.crop)[..., 0] > 0.0
    n = len(registered.images)
    found: dict[View, NDArray[np.float16]] = {}
    places: dict[View, NDArray[np.bool_]] = {}
    for index, views in enumerate(seen):
        for view, features in extractor.features(views).items():
            if view not in found:
                places[view] = _some_places(features.shape[:2], mask, asked)
                found[view] = np.empty((n, int(around(places[view]).sum()), features.shape[2]), np.float16)
            found[view][index] = features[around(places[view])]
        progress(index + 1)
    return found, places


def _some_places(
    shape: tuple[int, int], mask: NDArray[np.bool_] | None, asked: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    places = counting_places(shape, mask, asked)
    if not places.any():
        raise UsageError(
            "the mask leaves no place of the part to look at", hint="paint white all of the part that is inspected"
        )
    return places


def kept_parts(features: NDArray[np.float16], view: View) -> list[int]:
    """The parts that the bank holds: all, or those that differ most from each other where its memory is bounded."""
    _, places, depth = features.shape
    most = max(FEWEST_KEPT, _MOST_BYTES[view] // (places * min(depth, MOST_FEATURES) * _FLOAT))
    return most_different(features[:, None], most)


def _after(begin: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    """A count of parts within one stage, as steps of the whole."""
    return lambda done: progress(begin + done, total)


def _on_scale_of_others(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each score on the scale that the other parts make."""
    return np.array([Scale.to_upper_tenth(np.delete(scores, i))(score) for i, score in enumerate(scores)])


def _where_words(mask: NDArray[np.bool_] | None, *, is_asked: bool) -> str:
    """What counts, for the person who calibrates."""
    asked = ", as far as the mask is white" if is_asked else ""
    if mask is None:
        return f"the whole inspected area counts{asked}: no part stands out from what is at its border"
    return f"only the part counts{asked}: {mask.mean():.0%} of the inspected area"


def _doubt_words(doubt: str) -> tuple[str, ...]:
    return (f"{doubt}: it has no voice in the score, but its map in the pictures says little",) if doubt else ()
