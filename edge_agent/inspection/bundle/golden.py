"""Golden values: what the calibrating machine computed for one fixed image, computed again wherever the bundle judges.

A limit holds for scores that are computed as those were that set it. Another version of a library, or another
processor, could compute something else without a word.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.arrays import names_of, read_arrays
from edge_agent.inspection.networks.anomaly_map import Reconstructor, to_working
from edge_agent.inspection.networks.embedding import as_planes
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_agent.domain import Inspection
    from edge_agent.inspection.bundle.reference_bundle import Bundle

__all__ = [
    "FEATURES_SHARE",
    "PIXELS",
    "SCORE_SHARE",
    "Golden",
    "check_golden",
    "golden_of",
    "middle_of",
    "run_on_middle",
]

PIXELS = 1e-4
"""The reconstruction may differ by this much, in units of full scale. Other processors' kernels differ by 2e-7."""
FEATURES_SHARE = 1e-4
"""The features, as a share of the largest. Other processors' kernels differ by 3e-6, half the bits by 2e-4."""
SCORE_SHARE = 0.01
"""The score, as a share of itself. Other processors' kernels differ by 3e-6; no verdict hangs on a hundredth."""

# A window of the features is enough to notice another kernel, and keeps the file small.
_WINDOW_PX = (128, 160)
_MARK_SHARE = 0.125
_HINT = (
    "compare `edge-agent version` with the versions in the bundle's manifest.json; install those, or calibrate with "
    "this machine's"
)


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """What became of the marked reference image.

    ``reconstruction`` (h, w, C) float32 of its crop, not registered; ``features`` float32, the backbone's output for
    the middle of that crop; ``score`` by the whole way of an image; ``shares`` (n) float64 what each channel or view
    said there, in their order: where one of them speaks alone, the score says nothing of the others. Bundles of before
    have none.
    """

    reconstruction: NDArray[np.float32]
    features: NDArray[np.float32]
    score: float
    shares: NDArray[np.float64]

    def to_bytes(self) -> bytes:
        """The content of the bundle's file golden.npz."""
        buffer = io.BytesIO()
        shares = {"shares": self.shares} if self.shares.size else {}
        score = np.float64(self.score)
        np.savez(
            buffer,
            allow_pickle=False,
            reconstruction=self.reconstruction,
            features=self.features,
            score=score,
            **shares,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Golden:
        """Read golden.npz. Raises BundleRejected."""
        try:
            reconstruction, features, score = read_arrays(data, "reconstruction", "features", "score")
            shares = read_arrays(data, "shares")[0] if "shares" in names_of(data) else np.empty(0)
            return cls(reconstruction, features, float(score.item()), shares)
        except ValueError as err:
            raise BundleRejected(f"golden.npz: {err}", hint="calibrate again") from err


def golden_of(bundle: Bundle, inspect: Callable[[bytes], Inspection]) -> Golden:
    """What this machine computes with this bundle; ``inspect`` is its inspector's."""
    marked = _marked(bundle.reference, bundle.crop)
    x, y, width, height = bundle.crop
    crop = marked[y : y + height, x : x + width].reshape(height, width, -1).astype(np.float32) / np.float32(255.0)
    # With one thread, as when it was calibrated: what is compared is the arithmetic of the machine and nothing else.
    reconstructor = Reconstructor(bundle.cpcae_onnx, bundle.grid, bundle.channels, threads=1)
    ok, png = cv2.imencode(".png", marked if marked.ndim == 2 else np.ascontiguousarray(marked[..., ::-1]))
    inspection = inspect(png.tobytes()) if ok else None
    return Golden(
        reconstructor.reconstruct(to_working(crop, bundle.grid)),
        run_on_middle(Network(bundle.backbone_onnx, 1), crop),
        inspection.score if inspection else float("nan"),
        np.array(list(inspection.shares.values()) if inspection else (), np.float64),
    )


def check_golden(bundle: Bundle, inspect: Callable[[bytes], Inspection]) -> None:
    """Raise BundleRejected where this machine computes something else than the one that calibrated."""
    expected, found = Golden.from_bytes(bundle.golden_npz), golden_of(bundle, inspect)
    reconstruction = _worst(expected.reconstruction, found.reconstruction)
    features = _worst(expected.features, found.features) / float(np.abs(expected.features).max(initial=1e-12))
    score = abs(found.score - expected.score) / max(abs(expected.score), 1e-12)
    shares = _worst_share(expected.shares, found.shares)
    # A NaN is neither within nor above.
    if reconstruction <= PIXELS and features <= FEATURES_SHARE and score <= SCORE_SHARE and shares <= SCORE_SHARE:
        return
    raise BundleRejected(
        f"{bundle.folder}: this machine computes something else than the one that calibrated: the reconstruction "
        f"differs by {reconstruction:.2g} (allowed {PIXELS:g}), the features by {features:.2g} of the largest (allowed "
        f"{FEATURES_SHARE:g}), the score is {found.score:.6g} instead of {expected.score:.6g} (allowed "
        f"{SCORE_SHARE:.0%}), and one channel or view of it differs by {shares:.2g} (allowed {SCORE_SHARE:g})",
        hint=_HINT,
    )


def middle_of(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """The middle (h, w, C) of a crop (H, W, C), at most 128 x 160 px."""
    starts = [max(0, (size - most) // 2) for size, most in zip(crop.shape, _WINDOW_PX, strict=False)]
    (top, left), (height, width) = starts, _WINDOW_PX
    return crop[top : top + height, left : left + width]


def run_on_middle(network: Network, crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a backbone makes of the middle of a crop (H, W, C)."""
    return network.run(as_planes(middle_of(crop), int(network.input_shape[1])))


def _marked(reference: NDArray[np.uint8], crop: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The reference with an inverted square in the crop's middle: no good part, so its score is not near zero."""
    x, y, width, height = crop
    half = max(1, round(_MARK_SHARE * min(width, height) / 2))
    middle = np.s_[y + height // 2 - half : y + height // 2 + half, x + width // 2 - half : x + width // 2 + half]
    marked = reference.copy()
    marked[middle] = np.where(marked[middle] < 128, 255, 0)
    return marked


def _worst(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    if expected.shape != found.shape:
        return float("inf")
    return float(np.abs(found - expected).max(initial=0.0))


def _worst_share(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Of itself, of 1 where it is less. 0 for a bundle that has none."""
    if expected.size == 0:
        return 0.0
    if expected.shape != found.shape:
        return float("inf")
    return float((np.abs(found - expected) / np.maximum(np.abs(expected), 1.0)).max())
