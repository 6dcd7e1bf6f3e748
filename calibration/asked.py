"""What a person asked of a calibration, as its bundle keeps it: so that it can be made again with more good parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calibration.backbones import DEFAULT_BACKBONE
from calibration.choosing.within import TimeWish
from calibration.limits.limit import LimitWishes
from calibration.options import CalibrationOptions
from calibration.registering.search import SearchWishes
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.networks.channels import Channel, Voice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ASKED", "asked_of", "options_again"]

ASKED = "asked"
MASK_FILE = "mask.png"


def asked_of(options: CalibrationOptions) -> dict[str, Any]:
    """The section of the manifest: what a person chose, and not what came of it.

    A time that follows from a line's deadline is not among it: the same images give the same bundle anywhere.
    """
    search, limit, within = options.search, options.limit, options.within
    return {
        "crop": options.crop if isinstance(options.crop, str) else list(options.crop),
        "max_angle_deg": search.max_angle_deg,
        "max_scale": search.max_scale,
        "pose_tolerance": search.pose_tolerance,
        "registration": search.registration,
        "channels": [str(one) for one in options.channels],
        "voices": [str(one) for one in options.voices],
        "place": options.place,
        "plane": options.plane,
        "false_rejects": limit.false_rejects,
        "review_share": limit.review_share,
        "extrapolate": limit.extrapolate,
        "within_ms": within.ms if within is not None and within.is_asked else None,
    }


def options_again(manifest: Mapping[str, Any], folder: Path) -> tuple[CalibrationOptions, tuple[str, ...]]:
    """The options that this proven manifest was calibrated with, and what a person should know of them.

    ``folder`` is the bundle's, for the mask that somebody painted. Raises UsageError where the pre-trained network is
    none that this program has by itself, BundleRejected where what was asked cannot be read.
    """
    if manifest.get("backbone") != DEFAULT_BACKBONE.facts:
        name = manifest.get("backbone", {}).get("name", "another network")
        raise UsageError(
            f"the bundle was made with {name}, which is not the network of this version of edge-agent",
            hint="calibrate again with edge-agent calibrate-reference and the same --backbone",
        )
    asked = manifest.get(ASKED)
    notes = () if asked is not None else (_OLD,)
    asked = asked or _guessed(manifest)
    try:
        options = CalibrationOptions(
            part=manifest["part"],
            program=manifest["program"],
            camera=manifest["camera"],
            seed=manifest.get("seed", 0),
            crop=_crop(asked["crop"]),
            search=SearchWishes(
                max_angle_deg=asked["max_angle_deg"],
                max_scale=asked["max_scale"],
                mask=folder / MASK_FILE if MASK_FILE in manifest["files"] else None,
                pose_tolerance=asked["pose_tolerance"],
                registration=asked["registration"],
            ),
            method=manifest["method"]["score"],
            channels=tuple(Channel(one) for one in asked["channels"]),
            voices=tuple(Voice(one) for one in asked["voices"]),
            place=asked["place"],
            plane=asked["plane"],
            limit=LimitWishes(asked["false_rejects"], asked["review_share"], extrapolate=asked["extrapolate"]),
            within=None if asked["within_ms"] is None else TimeWish(asked["within_ms"], is_asked=True),
        )
    except (KeyError, TypeError, ValueError) as err:
        raise BundleRejected(
            f"the manifest does not say what was asked of its calibration: {err!r}",
            hint="calibrate again with edge-agent calibrate-reference",
        ) from err
    return options, notes


_OLD = (
    "the bundle is of a version that did not keep what was asked of its calibration: the defaults are taken, and the "
    "share of false rejects that its limit was set for"
)


def _crop(asked: object) -> str | tuple[int, int, int, int]:
    if isinstance(asked, str):
        return asked
    if not isinstance(asked, list):
        raise TypeError(f"no crop {asked!r}")
    x, y, width, height = (int(one) for one in asked)
    return x, y, width, height


def _guessed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    limit = manifest["limit"]
    review, tail = limit.get("review"), limit.get("tail")
    time = manifest.get("time", {})
    return asked_of(CalibrationOptions()) | {
        "false_rejects": limit.get("target"),
        "review_share": None if review is None else review["share"],
        "extrapolate": limit.get("target") is not None and tail is not None and limit.get("rank") == 0,
        "within_ms": time.get("within_ms"),
    }
