"""Pre-trained networks that see the images or their anomaly maps: one by default, others on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from calibration.backbones.efficientnet_lite0 import EfficientNetLite0
from calibration.backbones.user_onnx import Scaling, UserOnnx
from calibration.backbones.xception import Xception
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DEFAULT_BACKBONE", "Backbone", "backbone_for"]

_SCALING = "MEAN/STD with RGB in [0, 1], such as 0.485,0.456,0.406/0.229,0.224,0.225"


class Backbone(Protocol):
    """A pre-trained network, as ONNX files with its input scaling inside, and in its own framework to check them.

    The files take ``image`` (1, 3, H, W) float32 in [0, 1], of any height and width. Of ``grey`` images, which
    have three equal planes, they may take one: (1, 1, H, W).
    """

    @property
    def facts(self) -> dict[str, object]:
        """What the manifest says of it: its name, where its weights are from, what is tapped."""
        ...

    @property
    def taps(self) -> tuple[str, ...]:
        """Where the paper's score looks, by name, from fine to coarse."""
        ...

    @property
    def has_own_taps(self) -> bool:
        """Whether somebody chose where the paper's score looks; other scores do not hear of it."""
        ...

    @property
    def depths(self) -> tuple[int, ...]:
        """The features of each tap in the embedding of ``depths_onnx``, in their order."""
        ...

    def depths_onnx(self) -> bytes:
        """The paper's: to ``embedding`` (1, 3 * all of ``depths``), each depth pooled by itself."""
        ...

    def pooled_onnx(self) -> bytes:
        """The last features alone: to ``embedding`` (1, d)."""
        ...

    def grid_onnx(self) -> bytes:
        """Mid-level features of all its taps: to ``features`` (1, d, rows, columns), at a stride of its own."""
        ...

    def overview_onnx(self, *, grey: bool = False) -> bytes:
        """For whole views: to ``features`` (1, d, rows, columns) of the deepest tap."""
        ...

    def native_onnx(self, *, grey: bool = False) -> bytes:
        """For views at full size: to ``features`` (1, d, rows, columns), no deeper than pays there."""
        ...

    def fine_onnx(self) -> bytes:
        """The local score's, for full resolution: to ``features`` (1, d, rows, columns) of an early tap."""
        ...

    def original(self, model: bytes, image: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """What the network itself makes of an image where ``model`` is one of its files; None where that is all."""
        ...


DEFAULT_BACKBONE: Backbone = EfficientNetLite0()


def backbone_for(name: str, *, weights: Path | None = None, taps: str = "", scaling: str = "") -> Backbone:
    """The backbone of that name, or of that ONNX file; ``scaling`` belongs to a file.

    ``taps`` with commas are a file's tensors, or where in EfficientNet-Lite0 the paper's score looks. Raises UsageError
    for what does not go together, DataError, Unavailable.
    """
    is_file = name.endswith(".onnx")
    if not is_file and name not in {"efficientnet-lite0", "xception"}:
        raise UsageError(f"no backbone {name}", hint="efficientnet-lite0, xception, or an ONNX file")
    if weights and name != "xception":
        raise UsageError(f"weights of its own for {name}", hint="only xception takes --backbone-weights")
    if (scaling and not is_file) or (taps and name == "xception"):
        raise UsageError(
            f"taps or scaling for {name}", hint="a scaling is stated for an ONNX file, taps for efficientnet-lite0 too"
        )
    chosen = [tap.strip() for tap in taps.split(",") if tap.strip()]
    if name == "xception":
        return Xception(weights)
    if is_file:
        if not chosen or len(set(chosen)) < len(chosen):
            raise UsageError(f"taps {taps!r} of {name}", hint="name each once: --backbone-taps a,b from fine to coarse")
        return UserOnnx(Path(name), chosen, _scaling(scaling))
    return EfficientNetLite0(chosen) if taps else DEFAULT_BACKBONE


def _scaling(text: str) -> Scaling:
    """A wrong scaling costs accuracy without a word, so that a file's is always stated."""
    try:
        mean, std = (tuple(float(number) for number in side.split(",")) for side in text.split("/"))
    except ValueError as err:
        raise UsageError(f"scaling {text!r}", hint=_SCALING) from err
    if (
        len(mean) != 3
        or len(std) != 3
        or not all(abs(m) < 1e6 and 0.0 < s < 1e6 for m, s in zip(mean, std, strict=True))
    ):
        raise UsageError(f"scaling {text!r}", hint=_SCALING)
    return Scaling((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
