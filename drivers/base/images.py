"""Images: one as it came, where they come from, and what proves one complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Future
    from datetime import datetime
    from pathlib import Path

    from drivers.base.verdicts import Judgement, Reason

__all__ = [
    "Capture",
    "CaptureSource",
    "ImageRefused",
    "ProveImage",
]


@dataclass(frozen=True, slots=True)
class Capture:
    """One image as it came from the controller: proven complete, or with the reason why not.

    ``count`` is the controller's total count (None where the name does not carry one), ``session`` its
    session folder, ``camera`` 1 to 4. ``program`` and ``judgement`` are None where folder and name do
    not tell. ``path`` is None if nothing was kept. ``received_mono_s`` is monotonic seconds. ``kind`` is the image
    type where one capture gives several images (NORMAL, SHAPE, ...), else ''. ``taken`` is when it was imaged by the
    controller's own clock, in whole seconds of whatever zone; None where the name does not tell.
    """

    count: int | None
    camera: int
    session: str
    name: str
    path: Path | None
    sha256: str
    received_mono_s: float
    program: int | None = None
    judgement: Judgement | None = None
    broken: Reason | None = None
    detail: str = ""
    kind: str = ""
    taken: datetime | None = None
    storing: Future[Capture] | None = field(default=None, compare=False, repr=False)
    """None: it is on the disk. Else it is proven, and becomes the same capture once it is there, or one that is broken.
    Until then its file is left where it is. Only a source that was asked to tells of an image so early."""


class ImageRefused(Exception):
    """An image file is not proven complete. ``reason`` is IMAGE_BROKEN or IMAGE_SIZE."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


ProveImage = Callable[[bytes], None]
"""Returns if the bytes are a complete image; raises ImageRefused otherwise. Called from driver threads."""


class CaptureSource(Protocol):
    """Where images come from. It loses none: what cannot be proven complete comes with ``broken`` set."""

    @property
    def is_bound(self) -> bool:
        """The listening socket or the watched folder is there."""
        ...

    async def run(self) -> None:
        """Receive until cancelled. A port in use or a missing folder is said once and retried."""
        ...

    async def next(self) -> Capture:
        """The next image, in order of arrival. Waits for one."""
        ...
