"""What a person may choose of a calibration, and which choices do not go together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.limits.limit import LimitWishes
from calibration.method import DEFAULT_METHOD, METHODS
from calibration.registering.search import SearchWishes
from calibration.workers import Threads
from edge_agent.errors import UsageError
from edge_agent.inspection.networks.channels import Voice
from edge_agent.inspection.networks.extractor import NATIVE_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calibration.choosing.within import TimeWish
    from calibration.registering.reference import Box
    from calibration.workers import Workers
    from edge_agent.inspection.networks.channels import Channel

__all__ = ["CalibrationOptions", "check_belongs", "check_options"]


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What a person may choose. ``crop`` is "auto", "full" or (x, y, width, height) in px of the reference image.

    ``channels`` are those of the local score that fit the crop, none: all that do. ``voices`` are those that count in
    the mean of views, none: the image's. ``place`` is "auto", "tied" to the place or "free" of it, ``plane`` "auto" or
    the colour that the filtered view looks at. ``leave_out`` are file names of parts that a person found not
    good, ``keep`` of parts that stand apart and are good; ``defective`` is a folder of defective parts; ``pixels`` of
    a part at full size are shown to the network, at most: as many as an inspection can be done with ``within`` a time,
    where there is one. ``learned`` is what the manifest says of confirmed parts of a line among the good ones.
    ``hired`` are others who do what can be done apart, None: the ``threads`` of this process; neither changes a bit.
    """

    part: str = "part"
    program: int = 0
    camera: int = 1
    seed: int = 0
    crop: str | Box = "auto"
    search: SearchWishes = field(default_factory=SearchWishes)
    method: str = DEFAULT_METHOD
    backbone: Backbone = DEFAULT_BACKBONE
    channels: tuple[Channel, ...] = ()
    voices: tuple[Voice, ...] = ()
    place: str = "auto"
    plane: str = "auto"
    limit: LimitWishes = field(default_factory=LimitWishes)
    leave_out: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    defective: Path | None = None
    pixels: int = NATIVE_PIXELS
    within: TimeWish | None = None
    threads: int = 2
    overwrite: bool = False
    learned: Mapping[str, object] | None = None
    hired: Workers | None = None

    @property
    def workers(self) -> Workers:
        """Who does what can be done apart."""
        return self.hired or Threads(self.threads)


def check_options(options: CalibrationOptions) -> None:
    """Raise UsageError for a choice that there is none of."""
    if options.method not in METHODS:
        raise UsageError(f"no method {options.method!r}", hint=f"methods: {', '.join(METHODS)}")
    if isinstance(options.crop, str) and options.crop not in {"auto", "full"}:
        raise UsageError(f"no crop {options.crop!r}", hint="auto, full, or x,y,width,height in px")
    if both := sorted({*options.keep} & {*options.leave_out}):
        raise UsageError(f"{both[0]} is both to keep and to leave out", hint="decide whether that part is good")
    if not options.part or options.threads < 1 or not 0 <= options.program <= 999 or not 1 <= options.camera <= 4:
        raise UsageError("part must not be empty, threads at least 1, program 0 to 999, camera 1 to 4")


def check_belongs(options: CalibrationOptions) -> None:
    """Raise UsageError for a wish that the method has no ear for."""
    if options.channels and options.method != "local":
        raise UsageError(
            f"method {options.method} has no channels to choose", hint="leave --channels out, or add --method local"
        )
    if options.voices and options.method != "views":
        raise UsageError(
            f"method {options.method} has no voices to choose", hint="leave --voices out, or add --method views"
        )
    if options.backbone.has_own_taps and options.method != "paper":
        raise UsageError(
            f"method {options.method} looks where it looks", hint="leave --backbone-taps out, or add --method paper"
        )
    if options.within is not None and options.within.is_asked and options.method != "views":
        raise UsageError(
            f"method {options.method} knows one size only", hint="leave --within out, or add --method views"
        )
    if options.within is not None and options.within.is_asked and Voice.AUTOENCODER in options.voices:
        raise UsageError(
            "what the autoencoder takes is not known before it is trained",
            hint="leave --within out, or the autoencoder out of --voices",
        )
    if options.place != "auto" and options.method != "views":
        raise UsageError(f"method {options.method} is always tied to the place", hint="leave --place out")
    if options.plane != "auto" and options.method != "views":
        raise UsageError(f"method {options.method} always looks at all colours", hint="leave --plane out")
