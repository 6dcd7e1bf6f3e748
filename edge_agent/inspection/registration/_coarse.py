"""Where the part is, roughly: phase correlation with a bank of turned (and scaled) references, at a small scale.

Phase correlation alone finds shifts, not turns (Kuglin & Hines 1975); a bank of turned references gives it the turns
without the log-polar detour, which loses too much on real parts.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge_agent.inspection.registration._refine import Pose

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Bank", "WholeReference", "build_bank", "candidates"]

_HALF_STEP_PX: Final = 2.0  # how far a corner may be off between two turns of the bank
_CUT_OFF: Final = 0.2  # cycles a pixel: above it phases are noise
# Each candidate costs a refinement; peaks far below the highest are noise.
_MAX_CANDIDATES: Final = 4
# Peaks this near to the highest count as equal: half a step beside the right turn costs a peak 5 %, and on a part that
# looks alike at every angle the heights say even less.
_NEAR_EQUAL: Final = 0.9
_WORTH_A_LOOK: Final = 0.6
_NOTHING: Final = 1e-9
"""Of a grey value squared: what rounding leaves of a flat picture."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Whitened spectra of the turned references, low frequencies only: (A, h, w // 2 + 1) complex64.

    ``shape`` is (h, w), half the image's: the low-pass leaves nothing for a finer surface to show. ``steps_px`` is what
    one place on that surface means in full-resolution pixels (y, x); ``moves`` are turns in radians and
    scales, those that move a corner least first; ``steps`` how far neighbours in the bank lie apart in each.
    """

    steps_px: tuple[float, float]
    shape: tuple[int, int]
    moves: tuple[tuple[float, float], ...]
    steps: tuple[float, float]
    spectra: npt.NDArray[np.complex64]
    window: npt.NDArray[np.float32]
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]


def build_bank(
    image: npt.NDArray[np.uint8],
    scale: float,
    centre_px: tuple[float, float],
    *,
    max_angle_rad: float,
    max_scale: float,
    max_shift_fraction: float,
    mask: npt.NDArray[np.bool_] | None,
) -> Bank:
    """Turn the (H, W) reference of one pyramid level through the search range, scale it too, and keep the spectra."""
    height, width = image.shape
    # Towards 0 at the border: a Fourier transform takes the picture for one that repeats, and the jump at its edges for
    # structure.
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    # A hard edge of the mask would be the strongest structure of the picture.
    weight = np.ones_like(window) if mask is None else cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0)
    mean = float((image * weight).sum() / max(float(weight.sum()), 1e-6))
    # Without its mean: else the shape of the mask correlates, by its brightness.
    reference = (image.astype(np.float32) - mean) * weight
    reach = math.hypot(height, width) / 2.0
    angles, zooms = _angles(max_angle_rad, reach), [1.0 + zoom for zoom in _spread(max_scale, reach)]
    # In order of motion: of near equals the one that moves the part least is taken (docs/decisions/0005).
    moves = sorted(itertools.product(angles, zooms), key=lambda m: (abs(m[0]) + abs(m[1] - 1.0), m))
    low_pass = _low_pass(height, width)
    shape = height // 2, width // 2
    spectra = np.stack([_low(_whiten(_moved(reference, move, centre_px) * window) * low_pass, shape) for move in moves])
    return Bank(
        (scale * height / shape[0], scale * width / shape[1]),
        shape,
        tuple(moves),
        (_apart(angles), _apart(zooms)),
        # Conjugated here, once: phase correlation is a plain product then.
        np.conj(spectra).astype(np.complex64),
        window,
        _reach(shape[0], max_shift_fraction),
        _reach(shape[1], max_shift_fraction),
    )


class WholeReference:
    """The (H, W) reference of one pyramid level as a picture: how like it is an image that lies in a given pose?"""

    def __init__(
        self,
        image: npt.NDArray[np.uint8],
        scale: int,
        centre_px: tuple[float, float],
        mask: npt.NDArray[np.bool_] | None,
    ) -> None:
        self._scale, self._centre = scale, centre_px
        self._shown = np.ones(image.shape, bool) if mask is None else mask
        rows, columns = np.nonzero(self._shown)
        # A lamp from one side lies over the frame, not over the part: it would hold every part where it is.
        self._lamp = np.linalg.qr(np.stack([np.ones(len(rows)), rows, columns], axis=1).astype(np.float64))[0]
        self._reference = self._without_lamp(image)

    def alike(self, image: npt.NDArray[np.uint8], pose: Pose) -> float:
        """The correlation of grey values of an image (H, W) in a ``pose`` in full-resolution pixels, in [-1, 1].

        Over what the mask leaves, a slope of the light taken away from both. 0 where there is nothing to correlate, or
        the pose is no place.
        """
        if not all(math.isfinite(value) for value in (pose.angle_rad, pose.x_px, pose.y_px, pose.scale)):
            return 0.0
        cos, sin = pose.scale * math.cos(pose.angle_rad), pose.scale * math.sin(pose.angle_rad)
        turn, centre = np.array([[cos, sin], [-sin, cos]]), np.array(self._centre)
        shift = centre + np.array([pose.x_px, pose.y_px]) / self._scale - turn @ centre
        height, width = self._shown.shape
        flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        moved = cv2.warpAffine(image, np.column_stack([turn, shift]), (width, height), flags=flags, borderMode=border)
        seen = self._without_lamp(np.asarray(moved, np.uint8))
        norm = math.sqrt(_product(seen, seen) * _product(self._reference, self._reference))
        return _product(seen, self._reference) / norm if norm > _NOTHING * len(seen) else 0.0

    def _without_lamp(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """What of an image's values (N) is shown, less the plane that fits them best."""
        values = image[self._shown].astype(np.float64)
        return np.asarray(values - np.einsum("ij,j->i", self._lamp, np.einsum("ij,i->j", self._lamp, values)))


def _product(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Their sum of products: the same bits with any number of threads."""
    return float(np.einsum("i,i->", a, b))


def candidates(bank: Bank, image: npt.NDArray[np.uint8]) -> tuple[list[Pose], Pose]:
    """The most likely poses of the (H, W) image, the likeliest first, never none; and the likeliest unturned one."""
    # The image has no mask: nobody knows yet where the part lies in it.
    centred = image.astype(np.float32) - float(image.mean())
    spectrum = _low(_whiten(centred * bank.window), bank.shape)
    # One surface a turn: how well the part fits at each shift, all shifts at once. That is why this is done in
    # frequencies.
    surfaces = np.fft.irfft2(bank.spectra * spectrum, s=bank.shape)[:, bank.rows[:, None], bank.columns]
    flat = surfaces.reshape(len(bank.moves), -1)
    peaks = flat.argmax(axis=1)
    heights = flat[np.arange(len(peaks)), peaks]
    highest = float(heights.max())
    # The bank is in order of motion: of near equals the first moves the part least.
    chosen = [int(np.argmax(heights >= _NEAR_EQUAL * highest))]
    for i in (int(k) for k in np.argsort(-heights, kind="stable")):
        if len(chosen) == _MAX_CANDIDATES or heights[i] < _WORTH_A_LOOK * highest:
            break
        if not any(_same(bank, peaks, i, j) for j in chosen):
            chosen.append(i)
    return [_pose(bank, i, int(peaks[i])) for i in chosen], _pose(bank, 0, int(peaks[0]))


def _pose(bank: Bank, index: int, peak: int) -> Pose:
    row, column = divmod(peak, len(bank.columns))
    y, x = (
        _signed(int(line[k]), n)
        for line, k, n in zip((bank.rows, bank.columns), (row, column), bank.shape, strict=True)
    )
    angle, zoom = bank.moves[index]
    return Pose(angle, x * bank.steps_px[1], y * bank.steps_px[0], zoom)


def _same(bank: Bank, peaks: npt.NDArray[np.intp], first: int, second: int) -> bool:
    """Neighbours in the bank that saw the part in the same place."""
    a, b = _pose(bank, first, int(peaks[first])), _pose(bank, second, int(peaks[second]))
    turned = abs(math.remainder(a.angle_rad - b.angle_rad, math.tau))
    is_near = turned < 2.5 * bank.steps[0] and abs(a.scale - b.scale) < 2.5 * bank.steps[1]
    return is_near and math.hypot(a.x_px - b.x_px, a.y_px - b.y_px) < 2.5 * max(bank.steps_px)


def _angles(max_angle_rad: float, reach_px: float) -> list[float]:
    turns = _spread(max_angle_rad, reach_px)
    # Half a turn left and half a turn right are one.
    return turns[1:] if max_angle_rad >= math.pi - 1e-9 else turns


def _spread(furthest: float, reach_px: float) -> list[float]:
    """Values from -furthest to furthest, so close that a corner is never off by more than half a step."""
    steps = math.ceil(furthest / (2.0 * _HALF_STEP_PX / reach_px))
    return [furthest * k / steps for k in range(-steps, steps + 1)] if steps else [0.0]


def _apart(values: list[float]) -> float:
    return values[1] - values[0] if len(values) > 1 else math.inf


def _moved(
    reference: npt.NDArray[np.float32], move: tuple[float, float], centre_px: tuple[float, float]
) -> npt.NDArray[np.float32]:
    angle_rad, zoom = move
    if not angle_rad and zoom == 1.0:
        return reference
    matrix = cv2.getRotationMatrix2D(centre_px, math.degrees(angle_rad), zoom)
    height, width = reference.shape
    turned = cv2.warpAffine(reference, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, dtype=np.float32)


def _whiten(image: npt.NDArray[np.float32]) -> npt.NDArray[np.complex64]:
    spectrum = np.fft.rfft2(image)
    magnitude = np.abs(spectrum)
    # The phase alone tells the place. The small share keeps frequencies without energy from being all noise.
    return np.asarray(spectrum / (magnitude + 1e-3 * float(magnitude.mean()) + 1e-9), dtype=np.complex64)


def _low(spectrum: npt.NDArray[np.complex64], shape: tuple[int, int]) -> npt.NDArray[np.complex64]:
    """The spectrum of a (H, W) image, cut to that of the (h, w) image with the same low frequencies."""
    height, width = shape
    up = (height + 1) // 2
    rows = np.concatenate([spectrum[:up], spectrum[spectrum.shape[0] - (height - up) :]])
    return rows[:, : width // 2 + 1]


def _low_pass(height: int, width: int) -> npt.NDArray[np.float32]:
    radius2 = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width)[None, :] ** 2
    return np.asarray(np.exp(-radius2 / (2.0 * (_CUT_OFF / 2.0) ** 2)), dtype=np.float32)


def _reach(length: int, fraction: float) -> npt.NDArray[np.intp]:
    # Shifts to the other side stand at the end of the surface, as negative frequencies do.
    furthest = min(int(length * fraction), (length - 1) // 2)
    return np.concatenate([np.arange(furthest + 1), np.arange(length - furthest, length)]).astype(np.intp)


def _signed(index: int, length: int) -> int:
    return index - length if index > length // 2 else index
