"""RMS error and time of the registration over known motion: drawn parts, simulated parts, real images.

Run: ``python -m tests.benchmark.registration [--images 40]``. Real images are warped by a known motion where the
environment variable EDGE_AGENT_MVTEC names their folder. Wall times depend on whatever else the machine does; processor
time is printed beside them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from drivers.simulated.camera import RenderedPart, ZipperCamera
from edge_agent.inspection.containers.decode import decode
from edge_agent.inspection.registration._refine import Fit, Pose, refine
from edge_agent.inspection.registration.register import Registration, RegistrationSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from edge_agent.domain import Alignment

    Image = npt.NDArray[np.uint8]
    Motion = npt.NDArray[np.float64]
    Box = tuple[int, int, int, int]
    Row = tuple[str, Registration, Box, Iterator[tuple[Image, Motion]]]

_OVERSAMPLING = 2
_SAME_PART = 6


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
        scale: float = 1.0,
    ) -> npt.NDArray[np.uint8]:
        """The camera's image of the part at angle (degrees), x and y (pixels)."""
        fine = self.fine.copy()
        for _ in range(defects):
            _spoil(fine, rng, self.part)
        angle, x, y = pose
        height, width = fine.shape
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
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
    fine: npt.NDArray[np.float32] = plate.astype(np.float32)
    grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, (h, w)).astype(np.float32), (0, 0), 3.0)
    inside = np.zeros((h, w), np.float32)
    inside[top:bottom, left:right] = 1.0
    fine += grain * (8.0 / float(grain.std())) * inside
    fine = np.asarray(cv2.GaussianBlur(fine, (0, 0), 1.5), np.float32)
    box = tuple(v // _OVERSAMPLING for v in (left, top, right, bottom))
    return Scene(fine, (width, height), box)  # type: ignore[arg-type]


def motion(size: tuple[int, int], pose: Pose) -> Motion:
    """Reference to image as (3, 3), about the middle of an image (width, height)."""
    c, s = pose.scale * math.cos(pose.angle_rad), pose.scale * math.sin(pose.angle_rad)
    cx, cy = (size[0] - 1) / 2, (size[1] - 1) / 2
    placed: Motion = np.array(
        [[c, s, cx + pose.x_px - c * cx - s * cy], [-s, c, cy + pose.y_px + s * cx - c * cy], [0.0, 0.0, 1.0]]
    )
    return placed


def found_motion(size: tuple[int, int], found: Alignment) -> Motion:
    """What registration found, likewise."""
    return motion(size, Pose(math.radians(found.angle_deg), found.shift_x_px, found.shift_y_px, found.scale))


def rms_px(box: Box, true: Motion, found: Motion) -> float:
    """Root mean square distance over a box of the reference between where a pixel went and where it was found."""
    x, y = np.meshgrid(np.linspace(box[0], box[2], 30), np.linspace(box[1], box[3], 30))
    gap = (true - found) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return float(np.sqrt((gap[:2] ** 2).sum(axis=0).mean()))


def _spoil(fine: npt.NDArray[np.float32], rng: np.random.Generator, part: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = (v * _OVERSAMPLING for v in part)
    centre = int(rng.integers(left, right)), int(rng.integers(top, bottom))
    axes = int(rng.integers(20, 160)), int(rng.integers(20, 160))
    cv2.ellipse(fine, centre, axes, float(rng.integers(0, 180)), 0, 360, float(rng.integers(0, 255)), -1)


def _table(rows: Iterable[Row]) -> None:
    """One row a source of images with their true motion."""
    columns = ("images", "RMS median", "p90", "worst px", "quality", "ms median", "processor ms")
    _say(f"{'known motion':<44}" + "".join(f"{column:>14}" for column in columns))
    for name, registration, box, seen in rows:
        errors, wall, processor, qualities = [], [], [], []
        for image, true in seen:
            begin, begin_processor = time.perf_counter(), time.process_time()
            found = registration.register(image)
            wall.append(1e3 * (time.perf_counter() - begin))
            processor.append(1e3 * (time.process_time() - begin_processor))
            height, width = image.shape[:2]
            errors.append(rms_px(box, true, found_motion((width, height), found)))
            qualities.append(found.quality)
        figures = (np.median(errors), np.quantile(errors, 0.9), max(errors))
        quality = f"{min(qualities):.2f} to {max(qualities):.2f}"
        _say(
            f"{name:<44}{len(errors):>14}" + "".join(f"{value:>14.3f}" for value in figures) + f"{quality:>14}"
            f"{np.median(wall):>14.1f}{np.median(processor):>14.1f}"
        )


def _drawn(
    scene: Scene, count: int, reach: tuple[float, float], noise: float, scale: float = 0.0
) -> Iterator[tuple[Image, Motion]]:
    rng, (angle_deg, shift_px) = np.random.default_rng(7), reach
    for number in range(count):
        angle, zoom = rng.uniform(-angle_deg, angle_deg), 1.0 + rng.uniform(-scale, scale)
        x, y = rng.uniform(-shift_px, shift_px, 2)
        image = scene.image(
            rng, (angle, x, y), gain=rng.uniform(0.95, 1.05), noise=noise, defects=3 * (number % 2), scale=zoom
        )
        yield image, motion(scene.size, Pose(math.radians(angle), x, y, zoom))


def _drawn_rows(count: int) -> Iterator[Row]:
    scene = textured_part(1600, 1200, seed=3)
    reference = scene.image(np.random.default_rng(1))
    usual = Registration(reference)
    for angle, shift, noise in ((2.0, 15.0, 2.0), (8.0, 60.0, 2.0), (8.0, 60.0, 15.0)):
        name = f"drawn, {shift:g} px, {angle:g} deg, noise {noise:g}"
        yield name, usual, scene.part, _drawn(scene, count, (angle, shift), noise)
    circle = Registration(reference, RegistrationSettings(max_angle_deg=180.0))
    yield "drawn, 60 px, 180 deg", circle, scene.part, _drawn(scene, count, (180.0, 60.0), 2.0)
    scaled = Registration(reference, RegistrationSettings(max_scale=0.1))
    yield "drawn, 60 px, 8 deg, scale 10 %", scaled, scene.part, _drawn(scene, count, (8.0, 60.0), 2.0, 0.1)


def _simulated_rows(count: int) -> Iterator[Row]:
    """One part put under the camera again and again; then parts of one design, each with its own surface and bevel."""
    camera = ZipperCamera(jitter_px=0.0, jitter_deg=0.0)
    first = camera.render(np.random.default_rng(_SAME_PART))
    yield "simulated, one part re-placed, 24 px, 3 deg", Registration(first.image), _face(camera), _again(camera, count)
    for jitter_px, jitter_deg in ((12.0, 1.5), (60.0, 6.0)):
        camera, rng = ZipperCamera(jitter_px=jitter_px, jitter_deg=jitter_deg), np.random.default_rng(3)
        size, first = (camera.width, camera.height), camera.render(rng)
        seen = _simulated(camera, rng, count, np.asarray(np.linalg.inv(_placed(size, first)), np.float64))
        name = f"simulated, other parts, {jitter_px:g} px, {jitter_deg:g} deg"
        yield name, Registration(first.image), _face(camera), seen


def _face(camera: ZipperCamera) -> Box:
    return camera.width // 5, camera.height // 5, 4 * camera.width // 5, 4 * camera.height // 5


def _again(camera: ZipperCamera, count: int) -> Iterator[tuple[Image, Motion]]:
    """The same surface by the same seed, further and further from its place, under fresh noise."""
    rng = np.random.default_rng(3)
    for amount in np.linspace(0.05, 2.0, count):
        camera._jitter_px, camera._jitter_deg = 12.0 * amount, 1.5 * amount
        camera._grain = rng.standard_normal(camera._grain.shape, dtype=np.float32)
        part = camera.render(np.random.default_rng(_SAME_PART))
        yield part.image, _placed((camera.width, camera.height), part)


def _simulated(
    camera: ZipperCamera, rng: np.random.Generator, count: int, from_first: Motion
) -> Iterator[tuple[Image, Motion]]:
    for _ in range(count):
        part = camera.render(rng)
        yield part.image, _placed((camera.width, camera.height), part) @ from_first


def _placed(size: tuple[int, int], part: RenderedPart) -> Motion:
    return motion(size, Pose(math.radians(part.angle_deg), *part.shift_px))


def _real_rows(count: int) -> Iterator[Row]:
    """Real images, warped; the margin that comes into view was in the picture."""
    for folder in sorted(Path(os.environ.get("EDGE_AGENT_MVTEC", "/nowhere")).glob("*/train/good")):
        image = decode(min(folder.glob("*.png")).read_bytes())
        height, width = image.shape[:2]
        margin = min(height, width) // 8
        inner = np.ascontiguousarray(image[margin : height - margin, margin : width - margin])
        box = (0, 0, inner.shape[1] - 1, inner.shape[0] - 1)
        name = f"real, {folder.parts[-3]} {inner.shape[1]} x {inner.shape[0]}, {margin // 3} px, 3 deg"
        yield name, Registration(inner), box, _warped(image, margin, count)


def _warped(image: Image, margin: int, count: int) -> Iterator[tuple[Image, Motion]]:
    rng = np.random.default_rng(5)
    height, width = image.shape[:2]
    size = (width - 2 * margin, height - 2 * margin)
    for _ in range(count):
        angle_deg, x, y = rng.uniform(-3, 3), *rng.uniform(-margin / 3, margin / 3, 2)
        # About the middle of the whole picture, which is that of its inner part too.
        whole = motion((width, height), Pose(math.radians(angle_deg), x, y))
        moved = cv2.warpAffine(
            image.astype(np.float32),
            whole[:2],
            (width, height),
            flags=cv2.INTER_LANCZOS4,
            borderMode=cv2.BORDER_REFLECT,
        )
        seen = moved[margin : height - margin, margin : width - margin] * rng.uniform(0.95, 1.05)
        noisy = np.rint(seen + rng.normal(0.0, 1.0, seen.shape))
        yield np.clip(noisy, 0, 255).astype(np.uint8), motion(size, Pose(math.radians(angle_deg), x, y))


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    count = parser.parse_args().images
    _table(itertools.chain(_drawn_rows(count), _simulated_rows(count), _real_rows(count)))
    scene = textured_part(1600, 1200, seed=3)
    registration = Registration(scene.image(np.random.default_rng(1)))
    _off(scene, registration)
    _reject(scene, registration)


if __name__ == "__main__":
    main()
