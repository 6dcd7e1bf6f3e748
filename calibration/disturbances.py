"""What light, lens and camera do to an image without the part being another: each on its own, and always the same.

These are the disturbances that a judgement has to bear. Calibration looks how far each moves the good parts' own
condition, and the drift table of an evaluation shows what each does to verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["DISTURBANCES", "Disturbance", "disturbances_for"]

_LIGHT: Final = 0.10
_GAMMA: Final = 0.1
_WHITE_BALANCE: Final = 0.05
_GRADIENT: Final = 0.10
_DEFOCUS_PX: Final = 1.0
_JPEG_QUALITY: Final = 75
_NOISE: Final = 2.0
_NOISE_SEED: Final = 57


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One disturbance. ``apply`` takes uint8 (H, W) or (H, W, 3) RGB and gives a new image of the same shape."""

    name: str
    title: str
    apply: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
    needs_colour: bool = False


def disturbances_for(channels: int) -> tuple[Disturbance, ...]:
    """Those that there are for grey (1) or colour (3) images."""
    return tuple(one for one in DISTURBANCES if channels == 3 or not one.needs_colour)


def _scaled(*factors: float) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Each channel, or all of them, multiplied."""
    by = np.array(factors, np.float32)
    return lambda image: _bytes(image * (by if len(by) > 1 else by[0]))


def _gamma(exponent: float) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    curve = _bytes(255.0 * (np.arange(256, dtype=np.float32) / 255.0) ** np.float32(exponent))
    return lambda image: curve[image]


def _gradient(across: float) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """Brighter (above 0) or darker to the right: so much from one side to the other, and unchanged in the middle."""

    def apply(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        factors = np.linspace(1.0 - across / 2, 1.0 + across / 2, image.shape[1], dtype=np.float32)
        return _bytes(image * (factors[None, :, None] if image.ndim == 3 else factors[None, :]))

    return apply


def _blurred(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _bytes(cv2.GaussianBlur(image.astype(np.float32), (0, 0), _DEFOCUS_PX))


def _as_jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    ok, data = cv2.imencode(".jpg", _swapped(image), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise ValueError(f"an image of shape {image.shape} does not encode as JPEG")
    return _swapped(np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8))


def _noisy(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same noise in every image of a shape."""
    noise = np.random.default_rng(_NOISE_SEED).normal(0.0, _NOISE, image.shape)
    return _bytes(image + noise.astype(np.float32))


def _swapped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to what OpenCV writes, and back."""
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])


def _bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


_WARM, _COLD = 1.0 + _WHITE_BALANCE, 1.0 - _WHITE_BALANCE

DISTURBANCES: Final = (
    Disturbance("darker", "10 % darker", _scaled(1.0 - _LIGHT)),
    Disturbance("brighter", "10 % brighter", _scaled(1.0 + _LIGHT)),
    Disturbance("gamma-low", "gamma 0.9", _gamma(1.0 - _GAMMA)),
    Disturbance("gamma-high", "gamma 1.1", _gamma(1.0 + _GAMMA)),
    Disturbance("warmer", "red +5 %, blue -5 %", _scaled(_WARM, 1.0, _COLD), needs_colour=True),
    Disturbance("colder", "red -5 %, blue +5 %", _scaled(_COLD, 1.0, _WARM), needs_colour=True),
    Disturbance("gradient-right", "10 % brighter to the right", _gradient(_GRADIENT)),
    Disturbance("gradient-left", "10 % brighter to the left", _gradient(-_GRADIENT)),
    Disturbance("defocus", "defocus, sigma 1 px", _blurred),
    Disturbance("jpeg", "JPEG, quality 75", _as_jpeg),
    Disturbance("noise", "noise, sigma 2", _noisy),
)
"""Each is what a working station shows between two cleanings; a judgement that does not bear it is of no use there."""
