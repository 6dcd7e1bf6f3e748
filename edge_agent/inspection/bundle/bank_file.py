"""The file bank.npz of a bundle: the memory of good parts of each score definition, every shape proven."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.arrays import read_arrays
from edge_agent.inspection.networks.channels import CHANNELS, Channel, Picture, Plane, View
from edge_agent.inspection.scoring.anywhere import AnywhereBank
from edge_agent.inspection.scoring.knn import Bank
from edge_agent.inspection.scoring.local import LocalBank, Scale
from edge_agent.inspection.scoring.nearest import PlaceBank, around
from edge_agent.inspection.scoring.typical_distances import TypicalDistances
from edge_agent.inspection.scoring.view_bank import ViewBank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_agent.inspection.bundle.manifest import Section

__all__ = ["ChannelBanks", "ViewBanks", "read_bank"]

ChannelBanks = tuple[dict[Channel, LocalBank], dict[Channel, Scale]]
ViewBanks = dict[View, ViewBank]

_MOST_VALUE = 1e9
"""Of a feature, or a factor of one: half precision ends at 65504, and squares of more have no place in 32 bits."""
_MOST_ANYWHERE = 1 << 16
"""Features in a bank that is free of the place: calibration draws 4096, and each place is compared with all of them."""
_LEAST_SPREAD = 1e-9
"""Below, calibration takes a spread for none."""
_REMAKE = "calibrate again, or copy the whole folder again from where it was made"


def read_bank(data: bytes, method: Section) -> Bank | ChannelBanks | ViewBanks:
    """The memory in the file's bytes, as the manifest's section ``method`` says. Raises BundleRejected, ValueError."""
    score = method.text("score")
    if score == "paper":
        embeddings, mean, scale = _arrays(data, "embeddings", "mean", "scale")
        return _pooled_bank(embeddings, mean, scale, method.integer("k"))
    if score == "local":
        return _channel_banks(data, method.section("channels"))
    if score == "views":
        return _view_banks(data, method.section("views"))
    raise BundleRejected(f"score definition {score!r} is not known", hint="update edge-agent, or calibrate again")


def _channel_banks(data: bytes, channels: Section) -> ChannelBanks:
    banks, scales = {}, {}
    if not channels.content:
        raise BundleRejected("method.channels names no channel", hint=_REMAKE)
    for channel in map(Channel, channels.content):
        features, projection = _arrays(data, f"{channel}_features", f"{channel}_projection")
        banks[channel] = _local_bank(features, projection)
        scales[channel] = _scale(f"channel {channel}", channels.section(channel))
    return banks, scales


def _view_banks(data: bytes, views: Section) -> ViewBanks:
    if not views.content:
        raise BundleRejected("method.views names no view", hint=_REMAKE)
    banks = {view: _view_bank(data, view, views.section(view)) for view in map(View, views.content)}
    if all(bank.is_beside for bank in banks.values()):
        raise BundleRejected("method.views: every view stands beside the mean, and none is in it", hint=_REMAKE)
    return banks


def _view_bank(data: bytes, view: View, facts: Section) -> ViewBank:
    is_tied, is_beside = facts.content.get("is_tied", True), facts.content.get("is_beside", False)
    plane = _plane(view, facts)
    names = [f"{view}_{name}" for name in ("features", "places", "projection")]
    features, places, projection = _arrays(data, *names)
    _check_amount(features, places, projection)
    counts = _counting(places, view)
    # Half precision is what calibration writes: anything else was made by somebody else.
    if features.ndim != 3 or features.dtype != np.float16:
        raise BundleRejected(f"bank.npz: {view}: features {features.shape} {features.dtype}", hint=_REMAKE)
    if projection.ndim != 2 or len(projection) != features.shape[2] or projection.shape[1] > len(projection):
        raise BundleRejected(f"bank.npz: {view}: a projection of {projection.shape}", hint=_REMAKE)
    projection = projection.astype(np.float32)
    if is_tied:
        _check_tied(features, counts, view)
        usual, bank = _usual_by_place(data, view, int(counts.sum()), facts), PlaceBank.of(features, counts, projection)
        return ViewBank(bank, usual, _scale(view, facts), is_beside, plane)
    if features.shape[0] * features.shape[1] > _MOST_ANYWHERE:
        raise BundleRejected(
            f"bank.npz: {view}: {features.shape} is more than any place can be compared with", hint=_REMAKE
        )
    return ViewBank(
        AnywhereBank.of(features, counts, projection),
        TypicalDistances.common(*_usual_anywhere(view, facts), int(counts.sum())),
        _scale(view, facts),
        is_beside,
        plane,
    )


def _plane(view: View, facts: Section) -> Plane:
    """What the filtered view looks at; all colours for any other."""
    plane = Plane(facts.content.get("plane", Plane.ALL))
    if (plane is not Plane.ALL) != (CHANNELS[view].view is Picture.ONE_COLOUR):
        raise BundleRejected(f"the view {view} cannot look at the plane {plane}", hint=_REMAKE)
    return plane


def _usual_by_place(data: bytes, view: View, places: int, facts: Section) -> TypicalDistances:
    usual, spread = _arrays(data, f"{view}_usual", f"{view}_spread")
    _check_amount(usual, spread)
    usual_anywhere, spread_anywhere = _usual_anywhere(view, facts)
    if usual.shape != (places,) or spread.shape != usual.shape:
        raise BundleRejected(f"bank.npz: {view}: what is usual is {usual.shape}, {spread.shape}", hint=_REMAKE)
    if not float(spread.min()) > _LEAST_SPREAD:
        raise BundleRejected(f"bank.npz: {view}: a spread is not positive", hint=_REMAKE)
    share = facts.number("place_share")
    return TypicalDistances(usual.astype(np.float32), spread.astype(np.float32), usual_anywhere, spread_anywhere, share)


def _usual_anywhere(view: View, facts: Section) -> tuple[float, float]:
    usual, spread = facts.number("usual_anywhere"), facts.number("spread_anywhere")
    if not spread > _LEAST_SPREAD:
        raise BundleRejected(f"bank.npz: {view}: a spread is not positive", hint=_REMAKE)
    return usual, spread


def _counting(places: NDArray[Any], view: View) -> NDArray[np.bool_]:
    """The places (h, w) that count."""
    if places.ndim != 2 or not np.isin(places, (0.0, 1.0)).all() or not places.any():
        raise BundleRejected(f"bank.npz: {view}: no places count, or they are neither 0 nor 1", hint=_REMAKE)
    return places > 0


def _check_tied(features: NDArray[Any], counts: NDArray[np.bool_], view: View) -> None:
    """A bank that is tied to the place has features of the places that count and of those around."""
    expected = int(around(counts).sum())
    if features.shape[1] != expected:
        raise BundleRejected(f"bank.npz: {view}: features {features.shape} of {expected} places", hint=_REMAKE)


def _scale(name: str, facts: Section) -> Scale:
    scale = Scale(facts.number("usual"), facts.number("odd"))
    # ``not >=`` and not ``<``: a NaN is refused as well.
    if not scale.odd - scale.usual >= _LEAST_SPREAD:
        raise BundleRejected(f"{name}: no scale from {scale}", hint=_REMAKE)
    return scale


def _arrays(data: bytes, *names: str) -> list[NDArray[Any]]:
    try:
        return read_arrays(data, *names)
    except ValueError as err:
        raise BundleRejected(f"bank.npz: {err}", hint=_REMAKE) from err


def _local_bank(features: NDArray[Any], projection: NDArray[Any]) -> LocalBank:
    if features.ndim != 4 or features.dtype != np.float16 or projection.shape != features.shape[3:] * 2:
        raise BundleRejected(f"bank.npz: shapes {features.shape}, {projection.shape}", hint=_REMAKE)
    _check_amount(features, projection)
    return LocalBank.of(features.astype(np.float32), projection.astype(np.float32))


def _pooled_bank(embeddings: NDArray[Any], mean: NDArray[Any], scale: NDArray[Any], k: int) -> Bank:
    if embeddings.ndim != 2 or mean.shape != embeddings.shape[1:] or scale.shape != mean.shape:
        raise BundleRejected(f"bank.npz: shapes {embeddings.shape}, {mean.shape}, {scale.shape}", hint=_REMAKE)
    _check_amount(embeddings, mean, scale)
    if not (scale > _LEAST_SPREAD).all():
        raise BundleRejected("bank.npz: a scale is not positive", hint=_REMAKE)
    return Bank.standardised_by(embeddings, mean, scale, k)


def _check_amount(*arrays: NDArray[Any]) -> None:
    """No array is empty, and no value such that its square is infinite."""
    for values in arrays:
        if values.size == 0 or not float(np.abs(values).max()) <= _MOST_VALUE:
            raise BundleRejected(f"bank.npz: an array is empty, or a value is above {_MOST_VALUE:g}", hint=_REMAKE)
