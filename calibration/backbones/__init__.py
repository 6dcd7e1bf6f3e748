"""Pre-trained networks that see the images or their anomaly maps: one by default, others on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from calibration.backbones.efficientnet_lite0 import EfficientNetLite0

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DEFAULT_BACKBONE", "Backbone"]


class Backbone(Protocol):
    """A pre-trained network, as ONNX files with its input scaling inside, and in its own framework to check them.

    The files take ``image`` (1, 3, H, W) float32 in [0, 1], of any height and width.
    """

    @property
    def facts(self) -> dict[str, object]:
        """What the manifest says of it: its name, where its weights are from, what is tapped."""
        ...

    def pooled_onnx(self) -> bytes:
        """The paper's: to ``embedding`` (1, d)."""
        ...

    def grid_onnx(self) -> bytes:
        """The local score's: to ``features`` (1, d, rows, columns), at a stride of its own."""
        ...

    def original(self, model: bytes, image: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """What the network itself makes of an image where ``model`` is one of its files; None where that is all."""
        ...


DEFAULT_BACKBONE: Backbone = EfficientNetLite0()
