"""What the controller images, how long it takes, and what it then says and sends about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.simulated.broken_images import broken
from drivers.simulated.faults import Fault
from drivers.simulated.ftp_push import ImageFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["REAL_TIMING", "ControllerTiming", "Imaged", "Part", "image_files"]

_CUT_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class ControllerTiming:
    """How long things take, seconds; short ones, for tests. ``REAL_TIMING`` is what is known of a real controller."""

    exposure_s: float = 0.01
    processing_s: float = 0.05
    mode_change_s: float = 0.05
    program_switch_s: float = 0.1
    ready_after_switch_s: float = 0.05
    reboot_s: float = 0.5
    late_s: float = 1.5
    mute_s: float = 1.5
    split_pause_s: float = 0.02


REAL_TIMING = ControllerTiming(
    exposure_s=0.03, mode_change_s=0.3, program_switch_s=2.0, ready_after_switch_s=0.3, reboot_s=20.0
)
"""PROTOCOL.md, "Timing": PW takes seconds and leaves READY off behind it, R0 takes effect later, a reboot is long."""


@dataclass(frozen=True, slots=True)
class Part:
    """What stands in front of the cameras: a file by camera number, and what the controller's tools think of it.

    ``values`` are what they measure, ``skipped`` the names of those that the execute condition leaves out.
    """

    images: tuple[tuple[int, bytes], ...]
    extension: str = "bmp"
    judgement: str = "OK"
    values: Mapping[str, float] = field(default_factory=dict)
    skipped: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.judgement not in ("OK", "NG") or self.extension not in ("bmp", "jpg", "png"):
            came = f"{self.judgement!r}, {self.extension!r}"
            raise ValueError(f"judgement is OK or NG, extension bmp, jpg or png (got {came})")
        if not self.images or any(camera not in (1, 2, 3, 4) for camera, _ in self.images):
            raise ValueError("a part is seen by one to four cameras, numbered 1 to 4")


@dataclass(frozen=True, slots=True)
class Imaged:
    """One part that was imaged: what the truth is compared with later. ``trigger`` is TRG1 for a wire, else T1 ...

    ``part_no`` is what ``put`` gave for the part that stood there.
    """

    trigger_no: int
    part_no: int
    trigger: str
    count: int
    card: int
    program: int
    session: str
    taken: datetime
    triggered_mono_s: float
    judgement: str
    faults: frozenset[Fault]


def image_files(shot: Imaged, part: Part, types: Sequence[str] = ()) -> list[ImageFile]:
    """The files of the part, one for each camera and image type, with its image faults in them.

    A LumiTrax or multi-image capture gives several images of one count, told apart by ``types`` (NORMAL, SHAPE1, ...);
    none means one image without a type. Raises ValueError for no image.
    """
    files = []
    for camera, data in part.images:
        content = broken(data, part.extension, shot.faults, shot.trigger_no)
        cut_after = int(len(data) * _CUT_SHARE) if Fault.TRUNCATED_IMAGE in shot.faults else None
        folders = ("cv-x", "image", f"SD{shot.card}_{shot.program:03d}", shot.session, f"CAM{camera}")
        for kind in types or ("",):
            label = f"CAM{camera}_{kind}_{part.judgement}" if kind else f"CAM{camera}_{part.judgement}"
            name = f"{shot.taken:%y%m%d_%H%M%S}_{shot.count:010d}_{label}.{part.extension}"
            files.append(ImageFile(folders, name, content, cut_after))
    return files
