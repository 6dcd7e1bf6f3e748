"""What a score definition needs of a calibration: the backbone's file, the bank's file, and held-out scores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.limits.limit import leave_one_out_scores
from calibration.memory.channel_memory import PROJECTIONS, Memory, most_different
from calibration.scoring.scored import LEARN, Scored
from calibration.training.crossfit import views_seen, views_unseen
from calibration.workers import ONE_THREAD, Work
from calibration.writer import bank_bytes, local_bank_bytes
from edge_agent.errors import CalibrationRefused, UsageError
from edge_agent.inspection.networks.channels import CHANNELS, Channel, NetworkFile, channels_for, hears_autoencoder
from edge_agent.inspection.networks.embedding import Embedder
from edge_agent.inspection.networks.extractor import Extractor
from edge_agent.inspection.scoring.local import Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from calibration.registering.reference import Box
    from calibration.registering.registered import RegisteredSet
    from calibration.scoring.seen import Seen
    from calibration.training.crossfit import Learned
    from calibration.workers import Workers
    from edge_agent.inspection.networks.channels import Voice
    from edge_agent.inspection.networks.extractor import Views

__all__ = ["NEIGHBOURS", "check_channels", "score_locally", "score_pooled"]

NEIGHBOURS = 3
"""The paper says 15 of its baseline and nothing of its own score: docs/decisions/0062."""
_MAP = "L2 distance over channels"
# The local score compares every place with every part that is kept: more of them cost time on the line.
_MOST_PARTS = 96


def score_pooled(
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
    """The paper's score. The bank holds maps by the network that saw them; held-out scores are of unseen maps.

    Raises CalibrationRefused where the autoencoder did not learn: nothing else stands behind this score.
    """
    del channels, voices, seen_before, threads  # the paper has one, the map
    if learned.doubt:
        raise CalibrationRefused(learned.doubt, hint=LEARN)
    model = backbone.depths_onnx()
    n = len(learned.fold_of)
    found = []
    # The bank first, then the held-out maps: ``found`` is cut in two below.
    for shown in (views_seen(registered, learned), views_unseen(registered, learned)):
        embed = Work(_embedded, (), partial(_embedding, model, shown))
        for embedding in workers.each(embed, range(n)):
            found.append(embedding)
            progress(len(found), 2 * n)
    # The bank as published; the held-out scores by networks that had not seen the part (docs/decisions/0004).
    seen, unseen = np.stack(found[:n]), np.stack(found[n:])
    method: dict[str, object] = {"score": "paper", "k": NEIGHBOURS, "map": _MAP, "taps": list(backbone.taps)}
    files = {"backbone.onnx": model, "bank.npz": bank_bytes(seen, backbone.depths)}
    return Scored(files, leave_one_out_scores(seen, unseen, NEIGHBOURS, backbone.depths), method)


def score_locally(
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
    """The local score, in these channels; none named: in all that fit the crop.

    Bank and held-out scores are of what networks make of a part that they were not trained on. A bank above its bound
    keeps the parts that differ most from each other; the others are scored against it. Channels of an autoencoder that
    did not learn are left out, with a note; CalibrationRefused is raised where they were asked for.
    """
    del voices, seen_before, threads  # those are of the mean of views
    used, notes = _trusted(check_channels(channels, registered.crop), learned.doubt, as_asked=bool(channels))
    overview = backbone.overview_onnx()
    is_fine = any(CHANNELS[channel].network is NetworkFile.FULL_SIZE for channel in used)
    fine = backbone.fine_onnx() if is_fine else None
    found = _features(registered, learned, partial(Extractor, used, overview, fine, threads=1), progress, workers)
    held_out, banks, facts = [], {}, {}
    for channel in used:
        features, spec = found.pop(channel), CHANNELS[channel]
        # Twice the bytes: half precision here and in the file, single in the memory of the line's PC.
        kept = most_different(features, min(_MOST_PARTS, max(1, spec.bound // (2 * features[0].nbytes))))
        memory = Memory(features, kept, PROJECTIONS[spec.projection])
        scores = memory.held_out_scores(learned.fold_of)
        scale = Scale.of(scores, spec.weight)
        held_out.append(_on_scale_of_others(scores, spec.weight))
        banks[str(channel)] = features[kept], memory.projection
        facts[str(channel)] = {"usual": scale.usual, "odd": scale.odd, "bank_parts": len(kept)}
    files = {"backbone.onnx": overview, "bank.npz": local_bank_bytes(banks)}
    files |= {"fine.onnx": fine} if fine is not None else {}
    method: dict[str, object] = {"score": "local", "map": _MAP, "channels": facts}
    return Scored(files, np.max(held_out, axis=0), method, notes=notes)


def check_channels(channels: Sequence[Channel], crop: Box) -> tuple[Channel, ...]:
    """Those of the channels, or of all for none, that show something of their own of the crop. Raises UsageError."""
    _, _, width, height = crop
    fitting = channels_for(height, width)
    used = tuple(channel for channel in fitting if not channels or channel in channels)
    if not used:
        raise UsageError(
            f"of the channels {', '.join(channels)} none is left: on a crop of {width} x {height} px they show nothing "
            "that the others do not",
            hint=f"channels for this crop: {', '.join(fitting)}",
        )
    return used


def _trusted(
    channels: tuple[Channel, ...], doubt: str, *, as_asked: bool
) -> tuple[tuple[Channel, ...], tuple[str, ...]]:
    """The channels without those of an autoencoder that did not learn, and a note of it."""
    by_it = [channel for channel in channels if hears_autoencoder([channel])]
    if not doubt or not by_it:
        return channels, ()
    if as_asked:
        raise CalibrationRefused(doubt, hint=LEARN)
    kept = tuple(channel for channel in channels if channel not in by_it)
    return kept, (f"{doubt}: the channels {' and '.join(sorted(by_it))} are left out",)


def _embedding(model: bytes, shown: Work[Views]) -> tuple[Embedder, Callable[[int], Views]]:
    return Embedder(model, threads=1), shown.begin()


def _embedded(by: tuple[Embedder, Callable[[int], Views]], index: int) -> NDArray[np.float32]:
    embedder, show = by
    return embedder.embed(show(index).differences)


def _features(
    registered: RegisteredSet,
    learned: Learned,
    extractor: Callable[[], Extractor[Channel]],
    progress: Callable[[int, int], None],
    workers: Workers,
) -> dict[Channel, NDArray[np.float16]]:
    """(n, h, w, d) by channel, as the bank's file will hold them."""
    n = len(learned.fold_of)
    found: dict[Channel, NDArray[np.float16]] = {}
    look = Work(_look, (), partial(_looking, extractor, views_unseen(registered, learned)))
    for index, looked in enumerate(workers.each(look, range(n))):
        for channel, features in looked.items():
            if channel not in found:
                found[channel] = np.empty((n, *features.shape), np.float16)
            found[channel][index] = features
        progress(index + 1, n)
    return found


def _looking(
    extractor: Callable[[], Extractor[Channel]], shown: Work[Views]
) -> tuple[Extractor[Channel], Callable[[int], Views]]:
    return extractor(), shown.begin()


def _look(by: tuple[Extractor[Channel], Callable[[int], Views]], index: int) -> dict[Channel, NDArray[np.float16]]:
    extractor, show = by
    return {channel: found.astype(np.float16) for channel, found in extractor.features(show(index)).items()}


def _on_scale_of_others(scores: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    """Each score on the scale that the other parts make."""
    # As a new part is: it has no say in the scale that it is judged on, so that both follow one law
    # (docs/decisions/0028).
    return np.array([Scale.of(np.delete(scores, i), weight)(score) for i, score in enumerate(scores)])
