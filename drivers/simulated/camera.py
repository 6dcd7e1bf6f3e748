"""A 2-megapixel mono camera under a low-angle ring light that looks at zipper cursors, good ones and others."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivers.simulated._relief import FRAME_HEIGHT, FRAME_WIDTH, render_layers, scale_of, soften
from drivers.simulated.defects import Defect, DefectSpec, defect_catalogue, draw_defect

__all__ = [
    "Defect",
    "DefectSpec",
    "RenderedPart",
    "ZipperCamera",
    "defect_catalogue",
    "encode_bmp",
    "encode_image",
]

Plane = NDArray[np.float32]
Gray = NDArray[np.uint8]

_LEAST_WIDTH = 64
_BRUSH_LENGTH_PX = 46.0
_SPECKS_MAX = 6
_BLUR_PX = 0.85
_READ_NOISE = 0.0045
_SHOT_NOISE = 0.0065
_FIXED_NOISE = 0.0025


@dataclass(frozen=True, slots=True)
class RenderedPart:
    """One image and the truth about it.

    ``image`` is (H, W) uint8; ``defect_mask`` (H, W) bool, all False on a good part; ``shift_px`` is (x, y) in px
    of this frame and ``angle_deg`` counts counter-clockwise, both about the middle of the frame.
    """

    image: Gray
    defect: DefectSpec | None
    defect_mask: NDArray[np.bool_]
    shift_px: tuple[float, float]
    angle_deg: float


class ZipperCamera:
    """Renders parts. The part's design comes from ``seed`` only in its surface; drawing is deterministic in ``rng``.

    ``jitter_px`` (in px of the 1600 x 1200 frame), ``jitter_deg`` and ``light_drift`` are the largest deviations,
    uniformly drawn; ``brushing`` is the standard deviation of the brushed texture, whose phase differs from part to
    part. A frame of another size shows the same part, scaled.
    """

    def __init__(
        self,
        *,
        width: int = FRAME_WIDTH,
        height: int = FRAME_HEIGHT,
        seed: int = 0,
        jitter_px: float = 12.0,
        jitter_deg: float = 1.5,
        light_drift: float = 0.06,
        brushing: float = 0.02,
    ) -> None:
        if width < _LEAST_WIDTH or height < _LEAST_WIDTH:
            raise ValueError(f"a frame has at least {_LEAST_WIDTH} x {_LEAST_WIDTH} px (got {width} x {height})")
        self.width, self.height = width, height
        self._scale = scale_of(width, height)
        self._jitter_px, self._jitter_deg, self._light_drift = jitter_px * self._scale, jitter_deg, light_drift
        self._layers = render_layers(width, height)
        rng = np.random.default_rng(seed)
        self._brushing = self._brush(rng, brushing)
        self._fixed = rng.standard_normal((height, width), dtype=np.float32) * np.float32(_FIXED_NOISE)
        self._grain = rng.standard_normal((height + 64, 2 * width), dtype=np.float32)
        self._across = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
        self._down = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
        self._face_y, self._face_x = np.nonzero(self._layers.depth_px > 1.0)
        self._face_depth_px = self._layers.depth_px[self._face_y, self._face_x]

    def render(self, rng: np.random.Generator, defect: DefectSpec | None = None) -> RenderedPart:
        """One part in front of the camera: a good one, or one with that defect somewhere on its face."""
        surface = self._surface(rng)
        mask = np.zeros((self.height, self.width), np.uint8)
        if defect is not None:
            self._add_defect(surface, mask, defect, rng)
        shift_px = tuple(rng.uniform(-self._jitter_px, self._jitter_px, 2).tolist())
        angle_deg = float(rng.uniform(-self._jitter_deg, self._jitter_deg))
        motion = cv2.getRotationMatrix2D(((self.width - 1) / 2, (self.height - 1) / 2), angle_deg, 1.0)
        motion[:, 2] += shift_px
        size = (self.width, self.height)
        seen = cv2.warpAffine(surface, motion, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        if defect is not None:
            mask = np.asarray(cv2.warpAffine(mask, motion, size, flags=cv2.INTER_LINEAR), np.uint8)
        image = self._expose(np.asarray(seen, np.float32), rng)
        return RenderedPart(image, defect, mask > 127, (shift_px[0], shift_px[1]), angle_deg)

    def _brush(self, rng: np.random.Generator, strength: float) -> Plane:
        """Brushed metal: noise drawn out along x, larger than a frame so that each part gets its own piece."""
        spare_y, spare_x = self.height // 4, self.width // 4
        noise = rng.standard_normal((self.height + spare_y, self.width + spare_x), dtype=np.float32)
        drawn_out = soften(noise, _BRUSH_LENGTH_PX * self._scale, 0.5)
        fine = cv2.GaussianBlur(drawn_out, (1, 5), max(0.3, 0.8 * self._scale))
        coarse = soften(drawn_out[::-1], 0.5, 5.0 * self._scale)
        mixed = 0.8 * fine / fine.std() + 0.6 * coarse / coarse.std()
        return np.ascontiguousarray(mixed * strength, dtype=np.float32)

    def _surface(self, rng: np.random.Generator) -> Plane:
        """The part before the camera moves it: plating tone, bevel width, brushing and specks are its own."""
        layers = self._layers
        tone, polish = rng.normal(1.0, 0.02), rng.normal(1.0, 0.03)
        bevel = float(np.clip(rng.normal(0.0, 0.5), -1.0, 1.0))
        surface: Plane = np.asarray(
            cv2.addWeighted(layers.diffuse, tone, layers.specular, tone * polish, 0.0), np.float32
        )
        cv2.scaleAdd(layers.bevel, bevel, surface, surface)
        top = int(rng.integers(0, self._brushing.shape[0] - self.height + 1))
        left = int(rng.integers(0, self._brushing.shape[1] - self.width + 1))
        piece = self._brushing[top : top + self.height, left : left + self.width]
        brushed = cv2.multiply(layers.face, piece, scale=float(rng.uniform(0.75, 1.15)))
        cv2.add(surface, brushed, surface)
        for _ in range(int(rng.integers(0, _SPECKS_MAX + 1))):
            self._add_speck(surface, rng)
        return surface

    def _add_speck(self, surface: Plane, rng: np.random.Generator) -> None:
        """Dust: at most a few px and hardly brighter or darker than the metal. No defect."""
        at = int(rng.integers(0, self._face_x.size))
        x, y = int(self._face_x[at]), int(self._face_y[at])
        radius = max(0.5, float(rng.uniform(0.6, 1.6)) * self._scale)
        strength = float(rng.uniform(0.02, 0.06)) * (1 if rng.random() < 0.5 else -1)
        half = int(np.ceil(2 * radius))
        rows, columns = slice(max(0, y - half), y + half + 1), slice(max(0, x - half), x + half + 1)
        patch = surface[rows, columns]
        dy = np.arange(rows.start, rows.start + patch.shape[0], dtype=np.float32)[:, None] - y
        dx = np.arange(columns.start, columns.start + patch.shape[1], dtype=np.float32)[None, :] - x
        patch += np.float32(strength) * np.exp(-(dx**2 + dy**2) / np.float32(2 * radius**2))

    def _add_defect(self, surface: Plane, mask: Gray, defect: DefectSpec, rng: np.random.Generator) -> None:
        radius = defect.size_px * self._scale / 2
        pattern = draw_defect(defect.kind, radius, self._scale, rng)
        half = pattern.change.shape[0] // 2
        x, y = self._place(radius, half, rng)
        rows = slice(max(0, y - half), min(self.height, y + half + 1))
        columns = slice(max(0, x - half), min(self.width, x + half + 1))
        part = (
            slice(rows.start - y + half, rows.stop - y + half),
            slice(columns.start - x + half, columns.stop - x + half),
        )
        surface[rows, columns] += pattern.change[part] * np.float32(defect.contrast)
        mask[rows, columns] = np.where(pattern.mask[part], 255, 0)

    def _place(self, radius: float, half: int, rng: np.random.Generator) -> tuple[int, int]:
        """A place on flat metal: with room for the whole defect where the face has any, else where it has most."""
        room = min(radius, 0.6 * float(self._face_depth_px.max()))
        inside = (
            (self._face_depth_px >= room)
            & (np.abs(self._face_x - self.width / 2) < self.width / 2 - half)
            & (np.abs(self._face_y - self.height / 2) < self.height / 2 - half)
        )
        found = np.flatnonzero(inside)
        at = int(found[rng.integers(0, found.size)]) if found.size else int(np.argmax(self._face_depth_px))
        return int(self._face_x[at]), int(self._face_y[at])

    def _expose(self, seen: Plane, rng: np.random.Generator) -> Gray:
        """Optics, light and sensor."""
        blur_px = max(0.35, float(rng.normal(_BLUR_PX, 0.06)) * self._scale)
        light: Plane = np.asarray(cv2.GaussianBlur(seen, (5, 5), blur_px), np.float32)
        gain = 1.0 + float(rng.uniform(-self._light_drift, self._light_drift))
        slope_x, slope_y = rng.uniform(-0.03, 0.03, 2).tolist()
        light *= (gain + slope_x * self._across) + slope_y * self._down
        noise = self._noise(rng)
        strength: Plane = np.sqrt(np.maximum(light, 0.0))
        strength *= np.float32(_SHOT_NOISE)
        strength += np.float32(_READ_NOISE)
        light += noise * strength
        light += self._fixed
        return np.asarray(cv2.convertScaleAbs(np.maximum(light, 0.0), alpha=255.0), np.uint8)

    def _noise(self, rng: np.random.Generator) -> Plane:
        """A piece of a larger field, twice, crossed: as random as fresh noise for the eye, at a tenth of its price."""
        pieces = []
        for _ in range(2):
            top = int(rng.integers(0, self._grain.shape[0] - self.height + 1))
            left = int(rng.integers(0, self._grain.shape[1] - self.width + 1))
            pieces.append(self._grain[top : top + self.height, left : left + self.width])
        return np.asarray(cv2.addWeighted(pieces[0], 0.7071, pieces[1][::-1, ::-1], 0.7071, 0.0), np.float32)


def encode_bmp(image: NDArray[np.uint8]) -> bytes:
    """An 8-bit palettised, uncompressed, bottom-up BMP, as a CV-X writes mono images. ``image`` is (H, W) uint8."""
    _check_gray(image)
    height, width = image.shape
    stride = (width + 3) // 4 * 4
    offset = 14 + 40 + 4 * 256
    rows = np.zeros((height, stride), np.uint8)
    rows[:, :width] = image[::-1]
    size = offset + stride * height
    header = struct.pack("<2sIHHI", b"BM", size, 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 0, stride * height, 2835, 2835, 256, 256)
    gray = np.arange(256, dtype=np.uint8)
    palette = np.stack([gray, gray, gray, np.zeros_like(gray)], axis=1)
    return b"".join((header, info, palette.tobytes(), rows.tobytes()))


def encode_image(image: NDArray[np.uint8], extension: str = "bmp") -> bytes:
    """The image, grey levels (h, w) uint8, as ``bmp``, ``png`` or ``jpg``.

    Raises ValueError for another extension or another kind of array.
    """
    _check_gray(image)
    if extension == "bmp":
        return encode_bmp(image)
    if extension not in ("png", "jpg"):
        raise ValueError(f"the controller writes bmp, jpg or png, not {extension!r}")
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1] if extension == "png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    is_done, data = cv2.imencode(f".{extension}", image, options)
    if not is_done:
        raise ValueError(f"an image of shape {image.shape} could not be encoded as {extension}")
    return bytes(data.tobytes())


def _check_gray(image: NDArray[np.uint8]) -> None:
    if image.ndim != 2 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"expected an (H, W) uint8 image (got shape {image.shape}, {image.dtype})")
