"""The mean of views on the part: from registered good images to the bundle's files and held-out scores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.memory.channel_memory import most_different
from calibration.memory.view_memory import FEWEST_KEPT, MOST_ANYWHERE, HeldOut, ViewMemory, seen_places
from calibration.memory.whitened import MOST_FEATURES
from calibration.registering.part_mask import counting_places
from calibration.scoring.condition import condition_limits, condition_words
from calibration.scoring.fusion import Fusion, beside_the_mean
from calibration.scoring.nuisance_variation import nuisance_covariance
from calibration.scoring.scored import LEARN, Scored
from calibration.training.crossfit import views_unseen
from calibration.workers import ONE_THREAD, Work
from calibration.writer import view_bank_bytes
from edge_agent.drift.quantities import SHARE
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.networks.channels import (
    CHANNELS,
    Plane,
    Projection,
    View,
    Voice,
    hears_autoencoder,
    views_for,
)
from edge_agent.inspection.networks.extractor import Extractor, Views
from edge_agent.inspection.networks.tone import Tone, tone_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from calibration.scoring.seen import Seen
    from calibration.training.crossfit import Learned
    from calibration.workers import Workers
    from edge_agent.inspection.networks.channels import Channel
    from edge_agent.inspection.scoring.local import Scale

__all__ = [
    "DEFAULT_VOICES",
    "MEMORIES",
    "extractor_for",
    "features_at_places",
    "kept_parts",
    "most_kept",
    "score_by_views",
    "views_of_images",
]

MEMORIES = {Projection.WHITENED_WITH_NUISANCE: ViewMemory}
DEFAULT_VOICES = (Voice.IMAGE, Voice.TONE)
# Bytes of a value in the memory of the line's PC; the file has half as many.
_FLOAT = 4
_FEWEST_OF_A_PART = 8
"""Features of each part in a bank that is free of the place."""


def score_by_views(
    registered: RegisteredSet,
    learned: Learned,
    *,
    threads: int,
    progress: Callable[[int, int], None],
    backbone: Backbone = DEFAULT_BACKBONE,
    channels: Sequence[Channel] = (),
    voices: Sequence[Voice] = (),
    seen_before: Seen | None = None,
    workers: Workers = ONE_THREAD,
) -> Scored:
    """What the views say that these voices speak for; no voice named: the image's and its brightness and colour's.

    Views of these good parts that were ``seen_before`` are not looked at again.
    Raises CalibrationRefused where the autoencoder did not learn and its voice was asked for, UsageError where a
    person's mask leaves no place.
    """
    del channels, threads  # those are the local score's
    voices = tuple(voices) or DEFAULT_VOICES
    if learned.doubt and Voice.AUTOENCODER in voices:
        raise CalibrationRefused(learned.doubt, hint=LEARN)
    views = views_for(*registered.native, voices, registered.plane)
    n = len(registered.images)
    # For the progress alone: one for looking, one for the disturbances, one for the memory of each view.
    steps = n * (2 + len(views))
    # Looking at every image a second time would cost some seconds of every calibration (docs/decisions/0081).
    known = seen_before if seen_before is not None and seen_before.fits(registered) else None
    features = {view: known.features[view] for view in views if view in known.features} if known else {}
    places = {view: known.places[view] for view in features} if known else {}
    if left := [view for view in views if view not in features]:
        hears = hears_autoencoder(left)
        shown = views_unseen(registered, learned) if hears else views_of_images(registered)
        others = features_at_places(
            shown,
            registered,
            extractor_for(left, registered, backbone),
            registered.part,
            _after(0, steps, progress),
            is_tied=registered.is_tied,
            workers=workers,
        )
        features, places = features | others[0], places | others[1]
    nuisance = nuisance_covariance(
        registered,
        learned,
        extractor_for(views, registered, backbone),
        places,
        lambda done, total: progress(n + n * done // total, steps),
        workers=workers,
    )
    banks = {}
    for number, view in enumerate(views, start=2):
        kept = kept_parts(features[view], view, is_tied=registered.is_tied)
        kind = MEMORIES[CHANNELS[view].projection]
        memory = kind(features[view], places[view], kept, is_tied=registered.is_tied, nuisance=nuisance[view])
        held_out = memory.held_out(_after(n * number, steps, progress), workers)
        banks[view] = memory, held_out
    beside = beside_the_mean(views)
    fused = Fusion.of({view: held_out.scores for view, (_, held_out) in banks.items()}, beside)
    stored = {str(view): (memory, held_out.usual) for view, (memory, held_out) in banks.items()}
    network, at_full_size = _networks_for(backbone, registered)
    files = {"backbone.onnx": network, "bank.npz": view_bank_bytes(stored)}
    # A network of a person's own looks at both sizes: it is in the bundle once.
    if at_full_size != network:
        files["fine.onnx"] = at_full_size
    facts = {str(view): _facts(*banks[view], fused.scales[view], is_beside=view in beside) for view in views}
    if View.FILTERED in facts:
        facts[View.FILTERED]["plane"] = str(registered.plane)
    method: dict[str, object] = {
        "score": "views",
        "native": list(registered.native),
        "voices": [str(v) for v in voices],
        "views": facts,
    }
    condition, measured = condition_limits(registered, places[views[0]], workers=workers)
    notes = (
        _where_words(registered.part, is_asked=registered.mask is not None),
        *_doubt_words(learned.doubt),
        *condition_words(condition, measured, [image.path.name for image in registered.images]),
    )
    shares = {
        f"{SHARE}{view}": tuple(fused.scales[view](score) for score in held_out.scores)
        for view, (_, held_out) in banks.items()
    }
    seen = shares | {
        str(name): tuple(condition.allowed[name].share(value) for value in values) for name, values in measured.items()
    }
    return Scored(files, fused.scores, method, notes=notes, condition=condition, measured=seen)


def _facts(memory: ViewMemory, held_out: HeldOut, scale: Scale, *, is_beside: bool) -> dict[str, object]:
    """What the manifest says of a view."""
    return {
        "usual": scale.usual,
        "odd": scale.odd,
        "is_beside": is_beside,
        "usual_anywhere": held_out.usual.usual_anywhere,
        "spread_anywhere": held_out.usual.spread_anywhere,
        "place_share": held_out.usual.place_share,
        "bank_parts": memory.parts,
        "is_tied": memory.is_tied,
    }


def extractor_for(
    views: Sequence[View], registered: RegisteredSet, backbone: Backbone, *, threads: int = 1
) -> Callable[[], Extractor[View]]:
    """How to make what looks at these views of the registered parts, each in so many ``threads``; can be pickled.

    Raises UsageError where a person's mask leaves no place.
    """
    network, at_full_size = _networks_for(backbone, registered)
    tone, plane = None, registered.plane if View.FILTERED in views else Plane.ALL
    if View.TONE in views:
        places = _some_places(tone_shape(*registered.native), registered.part, registered)
        tone = Tone(places, registered.is_tied)
    return partial(
        Extractor,
        tuple(views),
        network,
        at_full_size,
        threads=threads,
        tone=tone,
        plane=plane,
        native=registered.native,
    )


def _networks_for(backbone: Backbone, registered: RegisteredSet) -> tuple[bytes, bytes]:
    """What sees the parts: whole, and at full size."""
    grey = registered.channels == 1
    return backbone.overview_onnx(grey=grey), backbone.native_onnx(grey=grey)


def views_of_images(registered: RegisteredSet) -> Work[Views]:
    """Each registered crop by its number, which no autoencoder has seen."""
    return Work(_view, (registered,))


def _view(registered: RegisteredSet, index: int) -> Views:
    return Views.of_image(registered.cropped(index))


def features_at_places(
    shown: Work[Views],
    registered: RegisteredSet,
    extractor: Callable[[], Extractor[View]],
    mask: NDArray[np.bool_] | None,
    progress: Callable[[int], None],
    *,
    is_tied: bool,
    workers: Workers = ONE_THREAD,
) -> tuple[dict[View, NDArray[np.float16]], dict[View, NDArray[np.bool_]]]:
    """Features (n, K, d) by view at the places that a memory needs, and the places (h, w) that count.

    ``shown`` gives a registered part by its number, ``extractor`` makes what looks at one; ``mask`` is the part's.
    Raises UsageError as ``score_by_views`` does.
    """
    n = len(registered.images)
    found: dict[View, NDArray[np.float16]] = {}
    places: dict[View, NDArray[np.bool_]] = {}
    seen: dict[View, NDArray[np.bool_]] = {}
    for view, features in extractor().features(shown.begin()(0)).items():
        places[view] = _some_places(features.shape[:2], mask, registered)
        seen[view] = seen_places(places[view], is_tied=is_tied)
        found[view] = np.empty((n, int(seen[view].sum()), features.shape[2]), np.float16)
    # The first part was looked at whole: only its grids tell how many places there are.
    look = Work(_look, (seen,), partial(_looking, extractor, shown, seen))
    for index, looked in enumerate(workers.each(look, range(n))):
        for view, at_places in looked.items():
            found[view][index] = at_places
        progress(index + 1)
    return found, places


def _looking(
    extractor: Callable[[], Extractor[View]], shown: Work[Views], seen: Mapping[View, NDArray[np.bool_]]
) -> tuple[Extractor[View], Callable[[int], Views]]:
    return extractor().looking_at(seen), shown.begin()


def _look(
    by: tuple[Extractor[View], Callable[[int], Views]], seen: Mapping[View, NDArray[np.bool_]], index: int
) -> dict[View, NDArray[np.float16]]:
    """The features (K, d) of a part at the places that are needed."""
    looking, show = by
    found = looking.features(show(index))
    return {view: features[seen[view]].astype(np.float16) for view, features in found.items()}


def _some_places(
    shape: tuple[int, int], mask: NDArray[np.bool_] | None, registered: RegisteredSet
) -> NDArray[np.bool_]:
    places = counting_places(shape, mask, registered.asked)
    if not places.any():
        raise UsageError(
            "the mask leaves no place of the part to look at", hint="paint white all of the part that is inspected"
        )
    return places


def kept_parts(features: NDArray[np.float16], view: View, *, is_tied: bool) -> list[int]:
    """The parts of features (n, K, d) that the bank holds: all, or the most different where its memory is bounded."""
    _, places, depth = features.shape
    return most_different(features[:, None], most_kept(places, depth, view, is_tied=is_tied))


def most_kept(places: int, depth: int, view: View, *, is_tied: bool) -> int:
    """How many parts the bank holds at most, of so many places with so many features."""
    if not is_tied:
        return MOST_ANYWHERE // _FEWEST_OF_A_PART
    return max(FEWEST_KEPT, CHANNELS[view].bound // (places * min(depth, MOST_FEATURES) * _FLOAT))


def _after(begin: int, total: int, progress: Callable[[int, int], None]) -> Callable[[int], None]:
    """A count of parts within one stage, as steps of the whole."""
    return lambda done: progress(begin + done, total)


def _where_words(mask: NDArray[np.bool_] | None, *, is_asked: bool) -> str:
    """What counts, for the person who calibrates."""
    asked = ", as far as the mask is white" if is_asked else ""
    if mask is None:
        return f"the whole inspected area counts{asked}: no part stands out from what is at its border"
    return f"only the part counts{asked}: {mask.mean():.0%} of the inspected area"


def _doubt_words(doubt: str) -> tuple[str, ...]:
    return (f"{doubt}: it has no voice in the score, but its map in the pictures says little",) if doubt else ()
