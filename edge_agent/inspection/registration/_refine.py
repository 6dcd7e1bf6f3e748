"""Sub-pixel alignment: robust inverse-compositional Gauss-Newton on the reference's strongest edges.

The pose maps reference to image, ``W(x) = s R(angle) (x - c) + c + t``, c the image centre, s 1 unless asked for.
One level of the pyramid minimises ``sum rho(I(W(x)) - gain T(x) - offset)`` with Cauchy's rho, so that
a defect pulls on nothing (Baker & Matthews, "Lucas-Kanade 20 years on", part 2 and 4). All derivatives belong to the
reference and are computed once. Sums go through ``einsum``, never BLAS: the same image gives the same bits under any
thread count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Fit", "Level", "Pose", "build_level", "refine", "start"]

_CAUCHY: Final = 2.385  # 95 % efficiency on Gaussian noise
# The usual absolute deviation of a normal law, times this, is its standard deviation: outliers do not move it.
_MAD_TO_SIGMA: Final = 1.4826
_SIGMA_FLOOR: Final = 0.5  # grey values: below the rounding of the images themselves nothing is an outlier
_BORDER_PX: Final = 3
_STRUCTURE_FLOOR: Final = 0.5  # grey values a pixel: weaker gradients are noise
_CELLS: Final = 24  # along the long side
_CELL_SHARE: Final = 3  # a cell may hold this many times its fair share of the pixels
# So far beside an edge its bright and its dark side show, and no longer its slope.
_FLANK_PX: Final = 3.0
_MAX_STEP_PX: Final = 3.0
# Of what the edges' lever arms could tell, and the share of a turn's effect from which damping decides instead of the
# picture (docs/decisions/0005).
_ANGLE_DAMPING: Final = 0.02
_ROUND: Final = 0.2
_GAIN_RANGE: Final = (0.25, 4.0)  # what light and exposure can do to a part that still is the same
_FULL_VIEW: Final = 0.75
_FLAT: Final = 1e-3
# Of fewer pixels neither a fit nor a correlation says anything.
_MIN_INSIDE: Final = 16
_MIN_IN_CELL: Final = 6
_CONTRAST_FLOOR: Final = 4.0  # grey values squared: less contrast in a cell is none
_LIGHT: Final = 2  # the last two of a level's columns: gain and offset


@dataclass(frozen=True, slots=True)
class Pose:
    """Reference to image: radians (positive is counter-clockwise as seen) and full-resolution pixels."""

    angle_rad: float
    x_px: float
    y_px: float
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Fit:
    """A pose with the grey-value line that belongs to it, and the correlation of the chosen pixels."""

    pose: Pose
    gain: float
    offset: float
    quality: float


@dataclass(frozen=True, slots=True)
class Level:
    """One pyramid level of the reference: N chosen pixels and everything about them that no image changes.

    ``dx``, ``dy`` (N,) pixels of this level from the image centre; ``grey`` (N,) grey values; ``columns`` (K, N)
    derivatives to angle (in pixels at ``radius_px``), x, y, scale (likewise; only if ``max_scale`` is above 0), gain,
    offset; ``products`` (K (K + 1) / 2, N) their pairwise products. All float32: its
    rounding moves a pose by less than 1e-4 pixels. The pixels lie cell by cell of a grid:
    ``cell_starts`` and ``cell_sizes``.
    """

    scale: float
    centre_px: tuple[float, float]
    radius_px: float
    dx: npt.NDArray[np.float32]
    dy: npt.NDArray[np.float32]
    grey: npt.NDArray[np.float32]
    columns: npt.NDArray[np.float32]
    products: npt.NDArray[np.float32]
    cell_starts: npt.NDArray[np.intp]
    cell_sizes: npt.NDArray[np.intp]
    angle_damping: float
    max_scale: float

    @property
    def is_round(self) -> bool:
        """Whether a turn changes so little that damping, not the picture, would decide how far it goes."""
        return self.angle_damping > _ROUND * float(np.square(self.columns[0]).mean())


def build_level(
    image: npt.NDArray[np.uint8],
    scale: float,
    centre_px: tuple[float, float],
    count: int,
    mask: npt.NDArray[np.bool_] | None,
    *,
    max_scale: float,
) -> Level:
    """Choose up to ``count`` strong-gradient pixels of (H, W) and precompute; ``centre_px`` in this level's pixels."""
    grey = image.astype(np.float32)
    gx, gy = (np.asarray(cv2.filter2D(grey, cv2.CV_32F, kernel), np.float32) for kernel in _derivatives())
    ys, xs = _choose(np.hypot(gx, gy), (count + 1) // 2, mask)
    ys, xs = _with_flanks(ys, xs, gx, gy, mask)
    cell = _cells(ys, xs, grey.shape)
    # Cell by cell, as ``reduceat`` in ``_quality`` needs them.
    order = np.argsort(cell, kind="stable")
    ys, xs = ys[order], xs[order]
    _, starts, sizes = np.unique(cell[order], return_index=True, return_counts=True)
    tx, ty = gx[ys, xs].astype(np.float64), gy[ys, xs].astype(np.float64)
    dx, dy = xs - centre_px[0], ys - centre_px[1]
    values = grey[ys, xs].astype(np.float64)
    radius = math.hypot(*centre_px) / 2.0
    # In px at the radius, not in radians: steps in all parameters are of one size then.
    turn = (tx * dy - ty * dx) / radius
    zoom = [(tx * dx + ty * dy) / radius] if max_scale else []
    # Of the reference, and so the same for every image: that is the inverse-compositional idea (Baker & Matthews).
    columns = np.stack([turn, tx, ty, *zoom, values, np.ones_like(values)])
    # On a part that looks the same at every angle only noise turns it: its edges' lever arms are all there is.
    lever = (tx * tx + ty * ty) * (dx * dx + dy * dy) / radius**2
    first, second = _pairs(len(columns))[0]
    # With these each step's normal matrix is one weighted sum.
    products = columns[first] * columns[second]
    damping = _ANGLE_DAMPING * float(lever.mean()) if lever.size else 0.0
    return Level(
        scale=scale,
        centre_px=centre_px,
        radius_px=radius,
        dx=_single(dx),
        dy=_single(dy),
        grey=_single(values),
        columns=_single(columns),
        products=_single(products),
        cell_starts=starts,
        cell_sizes=sizes,
        angle_damping=damping,
        max_scale=max_scale,
    )


def _single(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    return values.astype(np.float32)


def start(level: Level, image: npt.NDArray[np.uint8], pose: Pose) -> Fit:
    """A fit to begin with: the pose as given, gain and offset by least squares, kept to what light can do.

    ``image`` is this level's, grey (h, w) uint8; offset in grey levels. Where fewer than 16 chosen pixels fall into the
    image: gain 1, offset 0. The quality is 0, not measured yet.
    """
    values, inside = _sample(level, image, pose)
    if np.count_nonzero(inside) < _MIN_INSIDE:
        return Fit(pose, 1.0, 0.0, 0.0)
    grey, seen = level.grey[inside], values[inside]
    grey_mean, seen_mean = float(grey.mean()), float(seen.mean())
    spread = _dot(grey - grey_mean, grey - grey_mean)
    gain = _dot(grey - grey_mean, seen - seen_mean) / spread if spread > _FLAT else 1.0
    gain = min(max(gain, _GAIN_RANGE[0]), _GAIN_RANGE[1])
    return Fit(pose, gain, seen_mean - gain * grey_mean, 0.0)


def refine(
    level: Level, image: npt.NDArray[np.uint8], fit: Fit, *, iterations: int, stop_px: float, damped: bool = True
) -> Fit:
    """Improve ``fit`` on this level's image until a step is below ``stop_px`` (of this level). Always finite.

    ``image`` is this level's, grey (h, w) uint8; offset in grey levels. Undamped, a part that looks nearly the same at
    every angle turns by what little tells one from another.
    """
    pose, gain, offset = fit.pose, fit.gain, fit.offset
    values, inside = _sample(level, image, pose)
    for _ in range(iterations):
        residual = values - np.float32(gain) * level.grey - np.float32(offset)
        step = _solve(level, _cauchy(residual, inside), residual, gain, damping=level.angle_damping * damped)
        if step is None:
            break
        # The step was found in the reference's frame, so its inverse is put before the pose: inverse-compositional.
        pose = _compose(pose, step, level)
        gain = min(max(gain + float(step[-2]), _GAIN_RANGE[0]), _GAIN_RANGE[1])
        # A bound that no light reaches: it keeps numbers finite where nothing fits.
        offset = min(max(offset + float(step[-1]), -1e4), 1e4)
        values, inside = _sample(level, image, pose)
        # Only where the part lies has to stand still; gain and offset need not.
        if float(np.abs(step[:-_LIGHT]).max()) < stop_px:
            break
    return Fit(pose, gain, offset, _quality(level, values, inside))


def _sample(
    level: Level, image: npt.NDArray[np.uint8], pose: Pose
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Bilinear grey values of the image at the chosen pixels' places, and which of them lie inside."""
    height, width = image.shape
    cos = np.float32(pose.scale * math.cos(pose.angle_rad))
    sin = np.float32(pose.scale * math.sin(pose.angle_rad))
    # Sampled by hand: OpenCV's ``remap`` rounds places to a 32nd of a pixel.
    x = cos * level.dx + sin * level.dy + np.float32(level.centre_px[0] + pose.x_px / level.scale)
    y = cos * level.dy - sin * level.dx + np.float32(level.centre_px[1] + pose.y_px / level.scale)
    inside = (x >= 0.0) & (x < width - 1) & (y >= 0.0) & (y < height - 1)
    # Kept and marked instead of dropped: every array keeps its length, and ``inside`` takes them out of the sums.
    np.clip(x, 0.0, width - 1.001, out=x)
    np.clip(y, 0.0, height - 1.001, out=y)
    column, row = x.astype(np.int32), y.astype(np.int32)
    x -= column
    y -= row
    at = (row * width + column).astype(np.intp)
    flat = image.reshape(-1)
    top, top_right = flat.take(at).astype(np.float32), flat.take(at + 1)
    low, low_right = flat.take(at + width).astype(np.float32), flat.take(at + (width + 1))
    top += x * (top_right - top)
    low += x * (low_right - low)
    return top + y * (low - top), inside


def _cauchy(residual: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    # Every fourth pixel is plenty for a scale.
    sigma = max(_MAD_TO_SIGMA * float(np.median(np.abs(residual[::4]))), _SIGMA_FLOOR)
    scaled = residual * np.float32(1.0 / (_CAUCHY * sigma))
    return np.asarray(inside / (np.float32(1.0) + scaled * scaled), dtype=np.float32)


def _solve(
    level: Level,
    weights: npt.NDArray[np.float32],
    residual: npt.NDArray[np.float32],
    gain: float,
    *,
    damping: float,
) -> npt.NDArray[np.float64] | None:
    """One damped Gauss-Newton step: angle (pixels at the radius), x, y (level pixels), perhaps scale, gain, offset."""
    count = len(level.columns)
    pairs, diagonal = _pairs(count)
    normal = np.empty((count, count))
    normal[pairs] = np.einsum("kn,n->k", level.products, weights)
    normal.T[pairs] = normal[pairs]
    right = np.einsum("kn,n->k", level.columns, weights * residual)
    # On the angle alone, so that noise does not spin a round part (docs/decisions/0005).
    normal[0, 0] += damping * float(weights.sum())
    # Enough to be solvable where a direction has no structure at all, too little to move a pose.
    normal[diagonal] *= 1.0 + 1e-9
    normal[diagonal] += 1e-9
    try:
        step = np.linalg.solve(normal, right)
    except np.linalg.LinAlgError:
        return None
    # The derivatives are the reference's; the image is steeper by its gain.
    step[:-_LIGHT] /= max(gain, _GAIN_RANGE[0])
    longest = float(np.abs(step[:-_LIGHT]).max())
    if not math.isfinite(longest) or not np.isfinite(step).all():
        return None
    # The linear model holds for a few pixels, not further.
    if longest > _MAX_STEP_PX:
        step *= _MAX_STEP_PX / longest
    return step


@cache
def _pairs(count: int) -> tuple[tuple[npt.NDArray[np.intp], ...], tuple[npt.NDArray[np.intp], ...]]:
    """Where a symmetric matrix has its upper triangle, and its diagonal."""
    return np.triu_indices(count), np.diag_indices(count)


def _compose(pose: Pose, step: npt.NDArray[np.float64], level: Level) -> Pose:
    """W(pose) after the inverse of W(step)."""
    angle = pose.angle_rad - float(step[0]) / level.radius_px
    scale = pose.scale
    if level.max_scale:
        scale /= max(1.0 + float(step[3]) / level.radius_px, 0.5)
        scale = min(max(scale, 1.0 - level.max_scale), 1.0 + level.max_scale)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    dx, dy = float(step[1]) * level.scale, float(step[2]) * level.scale
    return Pose(angle, pose.x_px - (cos * dx + sin * dy), pose.y_px - (cos * dy - sin * dx), scale)


def _quality(level: Level, values: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_]) -> float:
    """Plain (not robust) zero-mean correlation within each cell of the grid, averaged over the chosen pixels.

    Within cells, because an outline's gross contrast would otherwise hide that nothing inside it fits: a plate turned
    upside down is not registered. Not robust, because weights would forgive a wrong pose what they forgive a defect.
    Below three quarters of the pixels in view the figure falls with their share.
    """
    count = np.add.reduceat(inside, level.cell_starts, dtype=np.float64)
    seen_enough = count >= _MIN_IN_CELL
    if not seen_enough.any():
        return 0.0
    safe = np.maximum(count, 1.0)

    def mean(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(array * inside, level.cell_starts, dtype=np.float64) / safe

    grey_mean, seen_mean = mean(level.grey), mean(values)
    grey = level.grey - np.repeat(grey_mean, level.cell_sizes).astype(np.float32)
    seen = values - np.repeat(seen_mean, level.cell_sizes).astype(np.float32)
    contrast = np.sqrt(np.maximum(mean(grey * grey), _CONTRAST_FLOOR))
    fits = mean(grey * seen) / (contrast * np.sqrt(np.maximum(mean(seen * seen), _CONTRAST_FLOOR)))
    fits, weights = fits[seen_enough], (count * contrast)[seen_enough]
    share = float(count[seen_enough].sum()) / level.grey.size
    correlation = float((fits * weights).sum() / weights.sum())
    return max(-1.0, min(1.0, correlation * min(1.0, share / _FULL_VIEW)))


def _with_flanks(
    ys: npt.NDArray[np.int64],
    xs: npt.NDArray[np.int64],
    gx: npt.NDArray[np.float32],
    gy: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_] | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Add, for each edge pixel, one on its bright or its dark side in turn.

    The steepest pixels of an edge all have its middle grey. They tell places, the flanks tell contrast: without them a
    good part with glints of its own has no gain to fit and no correlation to show.
    """
    length = np.hypot(gx[ys, xs], gy[ys, xs])
    # One side each in turn, not both: the number of pixels is what takes the time.
    side = np.where(np.arange(ys.size) % 2, _FLANK_PX, -_FLANK_PX)
    beside_y = ys + np.rint(side * gy[ys, xs] / length).astype(np.int64)
    beside_x = xs + np.rint(side * gx[ys, xs] / length).astype(np.int64)
    height, width = gx.shape
    inside = (beside_y >= 1) & (beside_y < height - 1) & (beside_x >= 1) & (beside_x < width - 1)
    if mask is not None:
        inside[inside] = mask[beside_y[inside], beside_x[inside]]
    at = np.union1d(ys * width + xs, beside_y[inside] * width + beside_x[inside])
    # Row-major order: neighbours in memory are sampled one after the other.
    rows, columns = np.divmod(at, width)
    return rows.astype(np.int64), columns.astype(np.int64)


def _cell_px(shape: tuple[int, ...]) -> int:
    return max(8, -(-max(shape) // _CELLS))


def _cells(ys: npt.NDArray[np.int64], xs: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    size = _cell_px(shape)
    return np.asarray((ys // size) * -(-shape[1] // size) + xs // size)


def _dot(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    return float(np.einsum("n,n->", a, b))


def _derivatives() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    row = np.array([[-0.5, 0.0, 0.5]], np.float32)
    return row, row.T


def _choose(
    strength: npt.NDArray[np.float32], count: int, mask: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows and columns of the strongest pixels, spread over a grid of cells, none from the border."""
    height, width = strength.shape
    usable = strength > _STRUCTURE_FLOOR
    usable[:_BORDER_PX], usable[-_BORDER_PX:] = False, False
    usable[:, :_BORDER_PX], usable[:, -_BORDER_PX:] = False, False
    if mask is not None:
        usable &= mask
    ys, xs = np.nonzero(usable)
    order = np.argsort(-strength[ys, xs], kind="stable")
    ys, xs = ys[order], xs[order]
    cell = _cells(ys, xs, strength.shape)
    size = _cell_px(strength.shape)
    # The strongest pixels alone may all lie on one edge, and the pose would depend on it.
    quota = max(4, _CELL_SHARE * count // (-(-width // size) * -(-height // size)))
    by_cell = np.argsort(cell, kind="stable")
    grouped = cell[by_cell]
    rank = np.arange(grouped.size) - np.searchsorted(grouped, grouped, side="left")
    kept = np.sort(by_cell[rank < quota])[:count]
    kept = kept[np.lexsort((xs[kept], ys[kept]))]
    return ys[kept].astype(np.int64), xs[kept].astype(np.int64)
