"""A small labelled data set, rendered: plates with two bores, some of them stained, and masks that mark the stains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_HEIGHT, _WIDTH = 96, 128


def write_labelled(root: Path, *, train: int = 24, good: int = 3, stained: int = 3) -> Path:
    """The data set ``root`` in MVTec's layout, of so many images of each kind; the same ones each time."""
    for seed in range(train):
        _write(root / f"train/good/{seed:03}.png", _plate(seed))
    for seed in range(good):
        _write(root / f"test/good/{seed:03}.png", _plate(100 + seed))
    for seed in range(stained):
        where = _where(seed)
        _write(root / f"test/stain/{seed:03}.png", _plate(200 + seed, where))
        mask = cv2.circle(np.zeros((_HEIGHT, _WIDTH), np.uint8), where, 8, 255, -1)
        _write(root / f"ground_truth/stain/{seed:03}_mask.png", mask)
    return root


def _where(seed: int) -> tuple[int, int]:
    x, y = np.random.default_rng((7, seed)).integers((45, 35), (85, 60))
    return int(x), int(y)


def _plate(seed: int, stain: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    image = np.full((_HEIGHT, _WIDTH), 30.0, np.float32)
    x, y = 24 + rng.integers(-2, 3), 20 + rng.integers(-2, 3)
    image[y : y + 56, x : x + 80] = 150 + rng.uniform(-3, 3)
    cv2.circle(image, (x + 22, y + 20), 9, 70, -1, cv2.LINE_AA)
    cv2.circle(image, (x + 60, y + 38), 12, 90, -1, cv2.LINE_AA)
    if stain is not None:
        cv2.circle(image, stain, 8, 240, -1)
    noisy = cv2.GaussianBlur(image, (3, 3), 0) + rng.normal(0, 2, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
