"""RMS error and time of the registration over known synthetic motion.

Run: ``python -m tests.benchmark.registration``
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge_agent.inspection._refine import Fit, Pose, refine
from edge_agent.inspection.registration import Registration, RegistrationSettings

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_agent.domain import Alignment

_OVERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """A part drawn at twice the camera's resolution: motion is applied there, then the camera averages."""

    fine: npt.NDArray[np.float32]
    size: tuple[int, int]  # width, height of the camera image
    part: tuple[int, int, int, int]  # left, top, right, bottom of the part in camera pixels

    def image(
        self,
        rng: np.random.Generator,
        pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
        *,
        gain: float = 1.0,
        noise: float = 2.0,
        defects: int = 0,
        background: float = 45.0,
    ) -> npt.NDArray[np.uint8]:
        """The camera's image of the part at angle (degrees), x and y (pixels)."""
        fine = self.fine.copy()
        for _ in range(defects):
            _spoil(fine, rng, self.part)
        angle, x, y = pose
        height, width = fine.shape
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
        matrix[:, 2] += np.array([x, y]) * _OVERSAMPLING
        moved = cv2.warpAffine(fine, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=background)
        seen = cv2.resize(moved, self.size, interpolation=cv2.INTER_AREA) * gain
        return np.clip(np.rint(seen + rng.normal(0.0, noise, seen.shape)), 0, 255).astype(np.uint8)


def textured_part(width: int, height: int, seed: int) -> Scene:
    """A plate with holes, slots, letters and a grain of its own, on a plain background."""
    rng = np.random.default_rng(seed)
    w, h = width * _OVERSAMPLING, height * _OVERSAMPLING
    plate = np.full((h, w), 45, np.uint8)
    left, top, right, bottom = int(0.2 * w), int(0.2 * h), int(0.8 * w), int(0.8 * h)
    cv2.rectangle(plate, (left, top), (right, bottom), 150.0, -1)
    for _ in range(14):
        x, y = int(rng.integers(left, right)), int(rng.integers(top, bottom))
        size = int(rng.integers(h // 80, h // 16))
        cv2.circle(plate, (x, y), size, float(rng.integers(30, 230)), -1)
    for _ in range(10):
        corner = int(rng.integers(left, right)), int(rng.integers(top, bottom))
        other = corner[0] + int(rng.integers(w // 60, w // 8)), corner[1] + int(rng.integers(h // 80, h // 20))
        cv2.rectangle(plate, corner, other, float(rng.integers(30, 230)), -1)
    cv2.putText(plate, "EA-17", (left + w // 20, bottom - h // 15), cv2.FONT_HERSHEY_SIMPLEX, w / 500, 220.0, w // 200)
    fine = plate.astype(np.float32)
    grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, (h, w)).astype(np.float32), (0, 0), 3.0)
    inside = np.zeros((h, w), np.float32)
    inside[top:bottom, left:right] = 1.0
    fine += grain * (8.0 / float(grain.std())) * inside
    fine = cv2.GaussianBlur(fine, (0, 0), 1.5)
    box = tuple(v // _OVERSAMPLING for v in (left, top, right, bottom))
    return Scene(np.asarray(fine, dtype=np.float32), (width, height), box)  # type: ignore[arg-type]


def rms_px(scene: Scene, found: Alignment, pose: tuple[float, float, float]) -> float:
    """Root mean square distance over the part between where a pixel went and where it was found, in pixels."""
    width, height = scene.size
    left, top, right, bottom = scene.part
    x, y = np.meshgrid(np.linspace(left, right, 30) - (width - 1) / 2, np.linspace(top, bottom, 30) - (height - 1) / 2)

    def place(angle_deg: float, dx: float, dy: float) -> npt.NDArray[np.float64]:
        a = math.radians(angle_deg)
        return np.stack([math.cos(a) * x + math.sin(a) * y + dx, math.cos(a) * y - math.sin(a) * x + dy])

    gap = place(*pose) - place(found.angle_deg, found.shift_x_px, found.shift_y_px)
    return float(np.sqrt((gap**2).sum(axis=0).mean()))


def _spoil(fine: npt.NDArray[np.float32], rng: np.random.Generator, part: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = (v * _OVERSAMPLING for v in part)
    centre = int(rng.integers(left, right)), int(rng.integers(top, bottom))
    axes = int(rng.integers(20, 160)), int(rng.integers(20, 160))
    cv2.ellipse(fine, centre, axes, float(rng.integers(0, 180)), 0, 360, float(rng.integers(0, 255)), -1)


def _measure(scene: Scene, registration: Registration, reach: tuple[float, float], *, noise: float) -> None:
    angle_max, shift_max = reach
    rng = np.random.default_rng(7)
    count, errors, times, qualities = 40, [], [], []
    for n in range(count):
        pose = (
            rng.uniform(-angle_max, angle_max),
            rng.uniform(-shift_max, shift_max),
            rng.uniform(-shift_max, shift_max),
        )
        image = scene.image(rng, pose, gain=rng.uniform(0.95, 1.05), noise=noise, defects=3 * (n % 2))
        start = time.perf_counter()
        found = registration.register(image)
        times.append(1e3 * (time.perf_counter() - start))
        errors.append(rms_px(scene, found, pose))
        qualities.append(found.quality)
    _say(
        f"+-{shift_max:g} px, +-{angle_max:g} deg, noise {noise:g}, n={count}: RMS median {np.median(errors):.3f}, "
        f"p90 {np.quantile(errors, 0.9):.3f}, worst {max(errors):.3f} px; quality {min(qualities):.3f} to "
        f"{max(qualities):.3f}; {np.median(times):.1f} ms median, {max(times):.1f} ms worst"
    )


def _reject(scene: Scene, registration: Registration) -> None:
    rng = np.random.default_rng(11)
    shape = scene.size[::-1]
    odd = {
        "turned by 180 deg": scene.image(rng, (180.0, 3.0, -2.0)),
        "turned by 90 deg": scene.image(rng, (90.0, 0.0, 0.0)),
        "empty nest": np.clip(rng.normal(45.0, 2.0, shape), 0, 255).astype(np.uint8),
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "noise": rng.integers(0, 256, shape, dtype=np.uint8),
        "another part": textured_part(*scene.size, seed=99).image(rng),
    }
    for name, image in odd.items():
        _say(f"{name}: quality {registration.register(image).quality:.3f}")


def _off(scene: Scene, registration: Registration) -> None:
    image = scene.image(np.random.default_rng(13), (1.0, 5.0, -3.0))
    level, grey = registration._levels[-1], registration._pyramid(image)[-1]
    for gap in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0):
        fit = Fit(Pose(math.radians(1.0), 5.0 + gap * 0.8, -3.0 + gap * 0.6), 1.0, 0.0, 0.0)
        _say(f"{gap:g} px off: quality {refine(level, grey, fit, iterations=0, stop_px=0.0).quality:.3f}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    """Print accuracy and time over known motion, and the quality of images that must not register."""
    scene = textured_part(1600, 1200, seed=3)
    reference = scene.image(np.random.default_rng(1))
    start = time.perf_counter()
    registration = Registration(reference, RegistrationSettings())
    _say(f"1600 x 1200 grey, built in {time.perf_counter() - start:.2f} s")
    for angle_max, shift_max, noise in ((2.0, 15.0, 2.0), (8.0, 60.0, 2.0), (8.0, 60.0, 15.0)):
        _measure(scene, registration, (angle_max, shift_max), noise=noise)
    _off(scene, registration)
    _reject(scene, registration)


if __name__ == "__main__":
    main()
