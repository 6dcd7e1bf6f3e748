"""The channels of a part: what the pre-trained network is shown of it, by which a score is made. One row a channel.

The local score has channels, the mean of views has views: both are rows of one table, which calibration learns by and
inspection judges by. Seen whole, at the size for which such networks were trained, a place sees enough of the part to
notice what is missing or in the wrong place. Small and faint defects would be lost at that size: at full size, or at as
many pixels as the line's time allows, a place sees texture and edges. Brightness and colour are looked at as they are,
and the autoencoder's view is its anomaly map.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "CHANNELS",
    "OVERVIEW_PX",
    "Channel",
    "ChannelSpec",
    "NetworkFile",
    "Picture",
    "Plane",
    "Projection",
    "View",
    "Voice",
    "channels_for",
    "hears_autoencoder",
    "views_for",
]

OVERVIEW_PX: Final = 384
"""Long side of a part that is seen whole. Smaller crops keep their size."""
# Up to 480 px a crop seen whole and one seen at full size are hardly two pictures.
_LARGE_FROM: Final = 1.25
_MIB: Final = 1 << 20


class Channel(StrEnum):
    """The rows of the local score. Perceptual is how the features of the image and of its reconstruction differ."""

    IMAGE = "image"
    PERCEPTUAL = "perceptual"
    MAP = "map"
    FINE = "fine"


class View(StrEnum):
    """The rows of the mean of views."""

    NATIVE = "native"
    FILTERED = "filtered"
    OVERVIEW = "overview"
    TONE = "tone"
    AUTOENCODER = "autoencoder"


class Voice(StrEnum):
    """Who speaks in a channel: the image by the network, its brightness and colour, the autoencoder."""

    IMAGE = "image"
    TONE = "tone"
    AUTOENCODER = "autoencoder"


class Picture(StrEnum):
    """What is looked at of a part, in words for a person who asks where a defect was seen."""

    FULL_SIZE = "the part at full size"
    ONE_COLOUR = "the part at full size, in one colour"
    FINE = "the part at full resolution"
    WHOLE = "the part as a whole"
    REPAIRED = "the part against what the autoencoder would make of it"
    DIFFERENCES = "what the autoencoder would repair"
    TONE = "brightness and colour"

    @property
    def voice(self) -> Voice:
        """Who speaks where this is shown."""
        if self is Picture.TONE:
            return Voice.TONE
        return Voice.AUTOENCODER if self in (Picture.REPAIRED, Picture.DIFFERENCES) else Voice.IMAGE


class NetworkFile(StrEnum):
    """Which of the bundle's networks looks, the cheapest first; a bundle of views without fine.onnx has one for all."""

    NONE = ""
    WHOLE = "backbone.onnx"
    FULL_SIZE = "fine.onnx"


class Projection(StrEnum):
    """The scale in which distances are taken, learned from good parts: ``calibration/memory`` says how."""

    STANDARDISED = "each feature by its spread"
    WHITENED = "by how good parts differ at a place"
    WHITENED_WITH_NUISANCE = "by how good parts differ at a place, and by what disturbances do"


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """One channel: the ``view`` of the part, who looks at it, and how it is learned and weighed.

    ``weight`` means two things. The local score takes the maximum of its channels: in one of weight 0.5 a part has to
    be twice as far out to count as much. In the mean of views 1.0 is a share like that of the others, and 0.0 none:
    such a view stands beside the mean. ``bound``: bytes of its memory at most. ``large_only``: of a small crop it shows
    nothing that the others do not. ``instead_of`` names the view whose place in the mean it takes where both are there.
    """

    view: Picture
    network: NetworkFile
    projection: Projection
    weight: float
    bound: int
    large_only: bool = False
    instead_of: str = ""


_WHOLE, _FULL_SIZE = NetworkFile.WHOLE, NetworkFile.FULL_SIZE
_PLAIN, _WHITENED, _CALMED = Projection.STANDARDISED, Projection.WHITENED, Projection.WHITENED_WITH_NUISANCE
CHANNELS: Final[Mapping[str, ChannelSpec]] = {
    # The autoencoder's see less, and may not raise the limit for the others (docs/decisions/0028).
    Channel.IMAGE: ChannelSpec(Picture.WHOLE, _WHOLE, _PLAIN, 1.0, 44 * _MIB),
    Channel.PERCEPTUAL: ChannelSpec(Picture.REPAIRED, _WHOLE, _PLAIN, 0.5, 44 * _MIB),
    Channel.MAP: ChannelSpec(Picture.DIFFERENCES, _WHOLE, _PLAIN, 0.5, 44 * _MIB),
    Channel.FINE: ChannelSpec(Picture.FINE, _FULL_SIZE, _WHITENED, 1.0, 160 * _MIB, large_only=True),
    # One that finds few kinds of defects would take from the mean what it finds of all others (docs/decisions/0060).
    # So would full size where coloured marks of good parts trouble it: then one colour is in its place (0064).
    View.NATIVE: ChannelSpec(Picture.FULL_SIZE, _FULL_SIZE, _CALMED, 1.0, 128 * _MIB),
    View.FILTERED: ChannelSpec(Picture.ONE_COLOUR, _FULL_SIZE, _CALMED, 1.0, 128 * _MIB, instead_of=View.NATIVE),
    View.OVERVIEW: ChannelSpec(Picture.WHOLE, _WHOLE, _CALMED, 1.0, 32 * _MIB, large_only=True),
    View.TONE: ChannelSpec(Picture.TONE, NetworkFile.NONE, _CALMED, 0.0, 32 * _MIB),
    View.AUTOENCODER: ChannelSpec(Picture.DIFFERENCES, _WHOLE, _CALMED, 0.0, 32 * _MIB),
}
"""By the name that the bundle, the journal and the operator's page know a channel by."""


class Plane(StrEnum):
    """The colours that are looked at: all of them, or one plane of RGB as if it were grey, as through a filter."""

    ALL = "all"
    RED = "red"
    GREEN = "green"
    BLUE = "blue"

    def of(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is seen of an RGB image (H, W, 3): itself, or (H, W, 1). Raises ValueError for a plane of a grey one."""
        if self is Plane.ALL:
            return image
        if image.shape[2] != 3:
            raise ValueError(f"an image of shape {image.shape} has no {self} plane")
        index = (Plane.RED, Plane.GREEN, Plane.BLUE).index(self)
        return image[..., index : index + 1]


def channels_for(height: int, width: int) -> tuple[Channel, ...]:
    """All channels that show something of their own of a crop of that size: a small one needs no fine channel."""
    return tuple(channel for channel in Channel if _shows(channel, height, width))


def views_for(height: int, width: int, voices: Sequence[Voice], plane: Plane = Plane.ALL) -> tuple[View, ...]:
    """The views of a part seen at that size that these voices speak for: a small one is seen once, at its own size.

    Where one ``plane`` is looked at, it is looked at beside all colours, never in their place.
    """
    found = (view for view in View if CHANNELS[view].view.voice in voices and _shows(view, height, width))
    return tuple(view for view in found if plane is not Plane.ALL or CHANNELS[view].view is not Picture.ONE_COLOUR)


def hears_autoencoder(channels: Iterable[str]) -> bool:
    """Whether in any of these channels the autoencoder speaks: where it does not, nothing has to be reconstructed."""
    return any(CHANNELS[channel].view.voice is Voice.AUTOENCODER for channel in channels)


def _shows(channel: str, height: int, width: int) -> bool:
    """Whether it shows something of its own: of a small crop full size and whole are hardly two pictures."""
    return max(height, width) > _LARGE_FROM * OVERVIEW_PX or not CHANNELS[channel].large_only
