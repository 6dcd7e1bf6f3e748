"""Where the part is, roughly: phase correlation with a bank of turned references, at a small scale.

Phase correlation alone finds shifts, not turns (Kuglin & Hines 1975); a bank of turned references gives it the turns
without the log-polar detour, which loses too much on real parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge_agent.inspection._refine import Pose

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Bank", "build_bank", "candidates"]

_HALF_STEP_PX: Final = 2.0  # how far a corner may be off between two turns of the bank
_CUT_OFF: Final = 0.2  # cycles a pixel: above it phases are noise
_MAX_CANDIDATES: Final = 4
_NEAR_EQUAL: Final = 0.9  # half a step off costs a peak 5 %; a part that looks alike at every angle loses less
_WORTH_A_LOOK: Final = 0.6


@dataclass(frozen=True, slots=True)
class Bank:
    """Whitened spectra of the turned references, low frequencies only: (A, h, w // 2 + 1) complex64.

    ``shape`` is (h, w), half the image's: the low-pass leaves nothing for a finer surface to show. ``steps_px`` is what
    one place on that surface means in full-resolution pixels (y, x); ``angles_rad`` come smallest first.
    """

    steps_px: tuple[float, float]
    shape: tuple[int, int]
    angles_rad: tuple[float, ...]
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
    max_shift_fraction: float,
    mask: npt.NDArray[np.bool_] | None,
) -> Bank:
    """Turn the (H, W) reference of one pyramid level through the search range and keep the spectra."""
    height, width = image.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    weight = np.ones_like(window) if mask is None else cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0)
    mean = float((image * weight).sum() / max(float(weight.sum()), 1e-6))
    reference = (image.astype(np.float32) - mean) * weight
    angles = _angles(max_angle_rad, math.hypot(height, width) / 2.0)
    low_pass = _low_pass(height, width)
    shape = height // 2, width // 2
    spectra = np.stack(
        [_low(_whiten(_turn(reference, angle, centre_px) * window) * low_pass, shape) for angle in angles]
    )
    return Bank(
        (scale * height / shape[0], scale * width / shape[1]),
        shape,
        tuple(angles),
        np.conj(spectra).astype(np.complex64),
        window,
        _reach(shape[0], max_shift_fraction),
        _reach(shape[1], max_shift_fraction),
    )


def candidates(bank: Bank, image: npt.NDArray[np.uint8]) -> list[Pose]:
    """The most likely poses of the (H, W) image, the likeliest first. Never empty."""
    centred = image.astype(np.float32) - float(image.mean())
    spectrum = _low(_whiten(centred * bank.window), bank.shape)
    surfaces = np.fft.irfft2(bank.spectra * spectrum, s=bank.shape)[:, bank.rows[:, None], bank.columns]
    flat = surfaces.reshape(len(bank.angles_rad), -1)
    peaks = flat.argmax(axis=1)
    heights = flat[np.arange(len(peaks)), peaks]
    highest = float(heights.max())
    # The bank is in order of turn: of near equals the first turns the part least.
    chosen = [int(np.argmax(heights >= _NEAR_EQUAL * highest))]
    for i in (int(k) for k in np.argsort(-heights, kind="stable")):
        if len(chosen) == _MAX_CANDIDATES or heights[i] < _WORTH_A_LOOK * highest:
            break
        if not any(_same(bank, peaks, i, j) for j in chosen):
            chosen.append(i)
    return [_pose(bank, i, int(peaks[i])) for i in chosen]


def _pose(bank: Bank, index: int, peak: int) -> Pose:
    row, column = divmod(peak, len(bank.columns))
    y, x = (
        _signed(int(line[k]), n)
        for line, k, n in zip((bank.rows, bank.columns), (row, column), bank.shape, strict=True)
    )
    return Pose(bank.angles_rad[index], x * bank.steps_px[1], y * bank.steps_px[0])


def _same(bank: Bank, peaks: npt.NDArray[np.intp], first: int, second: int) -> bool:
    """Neighbours in the bank that saw the part in the same place."""
    a, b = _pose(bank, first, int(peaks[first])), _pose(bank, second, int(peaks[second]))
    step = abs(bank.angles_rad[1]) if len(bank.angles_rad) > 1 else math.inf
    apart = abs(math.remainder(a.angle_rad - b.angle_rad, math.tau))
    return apart < 2.5 * step and math.hypot(a.x_px - b.x_px, a.y_px - b.y_px) < 2.5 * max(bank.steps_px)


def _angles(max_angle_rad: float, reach_px: float) -> list[float]:
    steps = math.ceil(max_angle_rad / (2.0 * _HALF_STEP_PX / reach_px))
    turns = [max_angle_rad * k / steps for k in range(-steps, steps + 1)] if steps else [0.0]
    if max_angle_rad >= math.pi - 1e-9:
        turns = turns[1:]  # half a turn left and half a turn right are one
    return sorted(turns, key=lambda a: (abs(a), a))


def _turn(
    reference: npt.NDArray[np.float32], angle_rad: float, centre_px: tuple[float, float]
) -> npt.NDArray[np.float32]:
    if not angle_rad:
        return reference
    matrix = cv2.getRotationMatrix2D(centre_px, math.degrees(angle_rad), 1.0)
    height, width = reference.shape
    turned = cv2.warpAffine(reference, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, dtype=np.float32)


def _whiten(image: npt.NDArray[np.float32]) -> npt.NDArray[np.complex64]:
    spectrum = np.fft.rfft2(image)
    magnitude = np.abs(spectrum)
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
    furthest = min(int(length * fraction), (length - 1) // 2)
    return np.concatenate([np.arange(furthest + 1), np.arange(length - furthest, length)]).astype(np.intp)


def _signed(index: int, length: int) -> int:
    return index - length if index > length // 2 else index
