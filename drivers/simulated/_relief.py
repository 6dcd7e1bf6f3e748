"""The zipper cursor as a relief, and how a low-angle ring light shows it. Lengths are px of the 1600 x 1200 frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_HEIGHT", "FRAME_WIDTH", "Layers", "render_layers", "scale_of", "soften"]

Plane = NDArray[np.float32]

FRAME_WIDTH = 1600
FRAME_HEIGHT = 1200

_BEVEL_PX = 34.0
_BEVEL_SPREAD_PX = 5.0
_CORNER_PX = 120.0
_CORE = ((-450.0, -245.0), (-150.0, -245.0), (460.0, -75.0), (460.0, 75.0), (-150.0, 245.0), (-450.0, 245.0))
_NOTCH = (-690.0, 0.0, 185.0)
_HOLE = (432.0, 0.0, 66.0)
_BRIDGE = (-100.0, 0.0, 275.0, 86.0, 62.0)
_BACKGROUND = 0.055
_LIGHT_ELEVATION_DEG = 27.0
_LIGHT_AZIMUTH_RAD = 0.9


@dataclass(frozen=True, slots=True)
class Layers:
    """What does not change from part to part, all (H, W) float32 in fractions of full scale.

    ``diffuse + specular`` is the mean part; ``bevel`` is what one standard deviation of bevel width adds;
    ``face`` is 1 on flat metal, where brushing shows, and 0 on slopes and background; ``depth_px`` is the distance
    to the nearest place that is not face, in px of this frame.
    """

    diffuse: Plane
    specular: Plane
    bevel: Plane
    face: Plane
    depth_px: Plane


def scale_of(width: int, height: int) -> float:
    """How much smaller the frame is than 1600 x 1200."""
    return min(width / FRAME_WIDTH, height / FRAME_HEIGHT)


def soften(plane: Plane, sigma_x: float, sigma_y: float) -> Plane:
    """A wide blur in constant time per px: three boxes are nearly a Gaussian. Sigmas in px of this plane."""
    size = tuple(max(1, 2 * round(sigma - 0.5) + 1) for sigma in (sigma_x, sigma_y))
    for _ in range(3):
        plane = np.asarray(cv2.blur(plane, size), np.float32)
    return plane


def render_layers(width: int, height: int) -> Layers:
    """Compute the layers once per camera; about a second at full size."""
    scale = scale_of(width, height)
    finer = 1 if scale >= 0.5 else 2 if scale > 0.25 else 3
    layers = _render_layers(width * finer, height * finer)
    if finer == 1:
        return layers
    diffuse, specular, bevel, face, depth = (
        _plane(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))
        for plane in (layers.diffuse, layers.specular, layers.bevel, layers.face, layers.depth_px)
    )
    return Layers(diffuse, specular, bevel, face, depth / np.float32(finer))


def _render_layers(width: int, height: int) -> Layers:
    scale = scale_of(width, height)
    shape = _shape(width, height)
    relief = _relief(shape, _BEVEL_PX)
    diffuse, specular = _shade(relief, shape.inside, scale)
    wide_diffuse, wide_specular = _shade(_relief(shape, _BEVEL_PX + _BEVEL_SPREAD_PX), shape.inside, scale)
    tilt = np.hypot(*_slopes(relief, scale))
    flat = _plane(shape.inside * np.clip(1.6 - 6.0 * tilt, 0.0, 1.0))
    depth = cv2.distanceTransform((flat > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    return Layers(diffuse, specular, wide_diffuse + wide_specular - diffuse - specular, flat, _plane(depth))


def _plane(values: object) -> Plane:
    return np.ascontiguousarray(values, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Signed distances to the outlines (positive inside), the fine relief in px, 1 inside the metal."""

    body: Plane
    hole: Plane
    bridge: Plane
    fine: Plane
    inside: Plane


def _grid(width: int, height: int) -> tuple[Plane, Plane]:
    scale = scale_of(width, height)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / np.float32(scale)
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / np.float32(scale)
    return _plane(np.broadcast_to(x, (height, width))), _plane(np.broadcast_to(y[:, None], (height, width)))


def _polygon_distance(x: Plane, y: Plane) -> Plane:
    """Signed distance to the convex outline with rounded corners, positive inside."""
    core = np.asarray(_CORE, dtype=np.float32)
    nearest = np.full_like(x, np.inf)
    inside = np.full_like(x, np.inf)
    for (ax, ay), (bx, by) in zip(core, np.roll(core, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        length = float(np.hypot(ex, ey))
        along = np.clip(((x - ax) * ex + (y - ay) * ey) / length**2, 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * ex, y - ay - along * ey))
        inside = np.minimum(inside, ((y - ay) * ex - (x - ax) * ey) / length)
    return _plane(np.where(inside > 0, nearest, -nearest) + _CORNER_PX)


def _box_distance(x: Plane, y: Plane, box: tuple[float, ...]) -> Plane:
    cx, cy, half_x, half_y, corner = box
    dx = np.abs(x - cx) - (half_x - corner)
    dy = np.abs(y - cy) - (half_y - corner)
    outside = np.hypot(np.maximum(dx, 0.0), np.maximum(dy, 0.0))
    return _plane(corner - outside - np.minimum(np.maximum(dx, dy), 0.0))


def _circle_distance(x: Plane, y: Plane, circle: tuple[float, float, float]) -> Plane:
    cx, cy, radius = circle
    return _plane(radius - np.hypot(x - cx, y - cy))


def _smooth_least(a: Plane, b: Plane, reach: float) -> Plane:
    mix = np.clip(0.5 + 0.5 * (b - a) / reach, 0.0, 1.0)
    return _plane(b + (a - b) * mix - reach * mix * (1.0 - mix))


def _rounded_step(distance: Plane, width: float, rise: float) -> Plane:
    """A bevel: from 0 at the edge to ``rise`` at ``width`` inside, steep first, then easing out."""
    t = np.clip(distance / width, 0.0, 1.0)
    return _plane(rise * (1.0 - (1.0 - t) ** 2))


def _engraving(width: int, height: int) -> Plane:
    """The logo and the size number, 0 to 1: drawn at full size, so that every frame size shows the same strokes."""
    canvas = np.zeros((FRAME_HEIGHT, FRAME_WIDTH), np.uint8)
    font = cv2.FONT_HERSHEY_TRIPLEX
    cv2.putText(canvas, "ASCONA", (498, 632), font, 3.0, 255, 11, cv2.LINE_AA)
    cv2.putText(canvas, "8", (1036, 632), font, 2.6, 255, 9, cv2.LINE_AA)
    for sign in (-1, 1):
        centre = (470, 600 + sign * 185)
        cv2.ellipse(canvas, centre, (64, 40), 0, 0, 360, 255, 8, cv2.LINE_AA)
        cv2.line(canvas, (centre[0] - 30, centre[1]), (centre[0] + 30, centre[1]), 255, 8, cv2.LINE_AA)
        for at in range(4):
            x = 640 + at * 62
            y = 600 + sign * 172
            cv2.line(canvas, (x, y - 34), (x + 30, y + 34), 255, 8, cv2.LINE_AA)
    scale = scale_of(width, height)
    # Blurred so far that every pixel of the smaller frame sees all of its own area.
    soft = cv2.GaussianBlur(canvas, (0, 0), max(3.0, 0.5 / scale)).astype(np.float32) / 255.0
    left, top = (width / scale - FRAME_WIDTH) / 2, (height / scale - FRAME_HEIGHT) / 2
    to_full = np.array([[1 / scale, 0, 0.5 / scale - 0.5 - left], [0, 1 / scale, 0.5 / scale - 0.5 - top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _plane(cv2.warpAffine(soft, to_full, (width, height), flags=flags))


def _shape(width: int, height: int) -> _Shape:
    x, y = _grid(width, height)
    body = _smooth_least(_polygon_distance(x, y), -_circle_distance(x, y, _NOTCH), 40.0)
    hole = -_circle_distance(x, y, _HOLE)
    bridge = _box_distance(x, y, _BRIDGE)
    rim = np.minimum(body, hole + 26.0)
    groove = np.exp(-(((rim - 76.0) / 5.5) ** 2)) * np.clip(-bridge / 16.0, 0.0, 1.0)
    # A crowned face: flat enough to stay in focus, curved enough that light falls off towards the edges.
    crown = (x / 560.0) ** 2 + (y / 340.0) ** 2
    fine = -4.0 * groove - 5.0 * _engraving(width, height) - 14.0 * crown
    inside = np.clip(0.5 + np.minimum(body, hole) * scale_of(width, height), 0.0, 1.0)
    return _Shape(body, hole, bridge, _plane(fine), _plane(inside))


def _relief(shape: _Shape, bevel_px: float) -> Plane:
    """Height of the surface in px."""
    edge = np.minimum(_rounded_step(shape.body, bevel_px, 26.0), _rounded_step(shape.hole, 0.8 * bevel_px, 26.0))
    return _plane(edge + _rounded_step(shape.bridge, 0.85 * bevel_px, 30.0) + shape.fine)


def _slopes(relief: Plane, scale: float) -> tuple[Plane, Plane]:
    smooth = cv2.GaussianBlur(relief, (0, 0), max(0.6, 1.2 * scale))
    gain = scale / 8.0
    return (
        _plane(cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=gain)),
        _plane(cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=gain)),
    )


def _ring_tables() -> tuple[Plane, Plane]:
    """Diffuse and specular light of a uniform ring at 1024 tilts from 0 to pi/2: by symmetry nothing else matters."""
    tilt = np.linspace(0.0, np.pi / 2, 1024)
    around = np.linspace(0.0, 2 * np.pi, 180, endpoint=False)
    rise = np.deg2rad(_LIGHT_ELEVATION_DEG)
    facing = np.sin(tilt)[:, None] * np.cos(rise) * np.cos(around) + np.cos(tilt)[:, None] * np.sin(rise)
    diffuse = np.maximum(facing, 0.0).mean(axis=1)
    # Metal mirrors the ring to the camera where twice the tilt is the ring's angle to the optical axis.
    best = (np.pi / 2 - rise) / 2
    specular = np.exp(-(((tilt - best) / 0.20) ** 2)) + 0.16 * np.exp(-((tilt / 0.16) ** 2))
    return _plane(diffuse), _plane(specular)


def _shade(relief: Plane, inside: Plane, scale: float) -> tuple[Plane, Plane]:
    """Diffuse (with the background) and specular light, fractions of full scale."""
    slope_x, slope_y = _slopes(relief, scale)
    steepness = np.hypot(slope_x, slope_y)
    at = (np.arctan(steepness) * np.float32(1023 / (np.pi / 2))).astype(np.int32)
    diffuse_of, specular_of = _ring_tables()
    # The light plate is a little brighter on one side, as they are.
    towards = -(slope_x * np.cos(_LIGHT_AZIMUTH_RAD) + slope_y * np.sin(_LIGHT_AZIMUTH_RAD))
    side = 1.0 + 0.22 * towards / (steepness + np.float32(0.05))
    around = soften(relief, 16.0 * scale, 16.0 * scale)
    shadow = np.clip(1.0 - 0.035 * np.maximum(around - relief, 0.0), 0.35, 1.0)
    seen = _plane(inside * shadow * side)
    return (
        _plane(0.55 * seen * diffuse_of[at] + _BACKGROUND * (1.0 - inside)),
        _plane(0.68 * seen * specular_of[at]),
    )
