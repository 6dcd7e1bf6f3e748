"""What a fault makes of an image file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import cv2
import numpy as np

from drivers.simulated.camera import encode_image
from drivers.simulated.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["broken"]


def broken(data: bytes, extension: str, faults: AbstractSet[Fault], seed: int) -> bytes:
    """The file as the fault leaves it; unchanged without a fault of its content."""
    if Fault.ZERO_FILLED_IMAGE in faults:
        half = len(data) // 2
        return data[:half] + bytes(len(data) - half)
    if Fault.WRONG_SIZE_IMAGE in faults:
        return _half_height(data, extension)
    if Fault.GARBAGE_IMAGE in faults:
        return random.Random(seed).randbytes(len(data))
    if Fault.EMPTY_IMAGE in faults:
        return b""
    return data


def _half_height(data: bytes, extension: str) -> bytes:
    whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if whole is None:
        raise ValueError(f"the file of {len(data)} bytes that was put before the camera is no image")
    return encode_image(np.ascontiguousarray(whole[: max(1, whole.shape[0] // 2)], dtype=np.uint8), extension)
