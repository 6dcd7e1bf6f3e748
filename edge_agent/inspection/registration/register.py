"""Registration: where the part lies against the reference image, to a few hundredths of a pixel.

Coarse: a bank of turned (where asked for, scaled) references, by phase correlation at a scale of about 200 pixels.
Fine: robust Gauss-Newton on the reference's strong edges at the coarse scale, at twice to four times that, and at
full resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from edge_agent.domain import Alignment
from edge_agent.errors import DataError
from edge_agent.inspection.registration._coarse import WholeReference, build_bank, candidates
from edge_agent.inspection.registration._refine import Fit, Pose, build_level, refine, start

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Registration", "RegistrationSettings"]

# Small enough for a bank of dozens of turns, large enough that a part's outline still tells one from another.
_COARSE_SIDE_PX: Final = 200
# Smaller pictures have no structure for three levels, nor enough strong edges at the coarse one.
_MIN_SIDE_PX: Final = 32
_MIN_PIXELS: Final = 64
_CERTAIN: Final = 0.9  # a coarse correlation above this needs no other candidate
_DOUBTFUL: Final = 0.7  # one below this earns a second look
_ALIKE: Final = 0.99  # correlations above this all say the same, and Fisher's z of 1 would be infinite
_ANOTHER_WAY: Final = math.radians(20.0)
_CLEARLY: Final = 0.1  # in Fisher's z: a larger motion has to be more alike by so much, or the smaller one is taken
_GRID: Final = np.linspace(0.0, 1.0, 64)
_EDGE_PX: Final = 0.5
# However little lacks to 1, a larger motion has to be better by so much.
_LEAST_MARGIN: Final = 0.01
# Of what the smaller motion lacks to 1: where it fits nearly, a small step is a large one (docs/decisions/0005).
_GAP_SHARE: Final = 1 / 3
_WORTH_A_TURN: Final = 0.95  # a turn has to leave less than so much of what lacked to 1; noise makes up a thousandth
_SPARSE: Final = 1.5
"""Px between two samples: a line of one px between them shows by a quarter in either, as in an average over both."""
_UNMOVED: Final = Alignment(quality=1.0, shift_x_px=0.0, shift_y_px=0.0, angle_deg=0.0, gain=1.0, offset=0.0)
_LOST: Final = Alignment(quality=0.0, shift_x_px=0.0, shift_y_px=0.0, angle_deg=0.0, gain=1.0, offset=0.0)


@dataclass(frozen=True, slots=True)
class RegistrationSettings:
    """The search range and the effort.

    ``max_angle_deg`` up to 180 each way; ``max_shift_fraction`` of width and height, below one half; ``pixels`` chosen
    at full resolution; ``motion_margin`` is how much better (in correlation) a larger motion must be than a smaller
    one, at most: it need not close more than a third of what lacks to 1; ``max_scale`` is how much larger or smaller a
    part may look (0.1: by a tenth), 0 for not at all. ``off`` measures nothing and moves nothing: for images that no
    motion lays onto each other, of a surface or of parts without fixed features. ``still`` moves nothing either, but
    takes the quality of the unmoved image: older bundles ask for it.
    """

    max_angle_deg: float = 10.0
    max_shift_fraction: float = 1 / 3
    pixels: int = 12_000
    motion_margin: float = 0.05
    max_scale: float = 0.0
    still: bool = False
    off: bool = False


class Registration:
    """Registers images to one reference. Immutable after construction; ``register`` may run in any thread.

    ``reference`` is uint8 (H, W) or (H, W, 3); ``mask`` (H, W), non-zero where the reference may be trusted.
    Raises ValueError for arrays or settings that cannot be, DataError for a reference without structure, unless
    registration is off.
    """

    def __init__(
        self,
        reference: npt.NDArray[np.uint8],
        settings: RegistrationSettings | None = None,
        mask: npt.NDArray[np.generic] | None = None,
    ) -> None:
        self.settings = settings = settings or RegistrationSettings()
        _check_settings(settings)
        _check_image(reference)
        self._shape = reference.shape
        height, width = reference.shape[:2]
        if min(height, width) < _MIN_SIDE_PX:
            raise ValueError(f"a reference of {width} x {height} is too small: {_MIN_SIDE_PX} pixels a side are needed")
        if mask is not None and mask.shape != (height, width):
            raise ValueError(f"the mask is {mask.shape}, the reference {(height, width)}")
        self._centre = ((width - 1) / 2.0, (height - 1) / 2.0)
        if settings.off:
            return
        self._depths = _depths(max(height, width))
        pyramid = self._pyramid(reference)
        chosen = None if mask is None else np.ascontiguousarray(mask != 0)
        # Every so many pixels: ``pyrDown`` keeps pixel 2 i over pixel i.
        masks = [None if chosen is None else chosen[:: 1 << depth, :: 1 << depth] for depth in self._depths]
        self._levels = [
            build_level(
                image, 1 << depth, self._centre_at(depth), self._count(image, depth), part, max_scale=settings.max_scale
            )
            for depth, image, part in zip(self._depths, pyramid, masks, strict=True)
        ]
        if min(level.grey.size for level in self._levels) < _MIN_PIXELS:
            raise DataError(
                "the reference image has too little structure to register to",
                hint="take a sharp, well-lit reference image, and let the mask leave edges of the part in view",
            )
        self._whole = WholeReference(pyramid[0], 1 << self._depths[0], self._centre_at(self._depths[0]), masks[0])
        self._bank = build_bank(
            pyramid[0],
            1 << self._depths[0],
            self._centre_at(self._depths[0]),
            max_angle_rad=math.radians(settings.max_angle_deg),
            max_scale=settings.max_scale,
            max_shift_fraction=settings.max_shift_fraction,
            mask=masks[0],
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the reference, and of every image."""
        return self._shape

    def register(self, image: npt.NDArray[np.uint8]) -> Alignment:
        """Find the part in an image of the reference's shape.

        Content never raises: an image that shows no such part comes back with a quality near 0 and finite numbers.
        ``quality`` is the plain correlation of the chosen edge pixels, ``offset`` in grey values of 0 to 255.
        Where registration is off, every image lies as the reference does. Raises ValueError for another shape or dtype.
        """
        self._check_same_shape(image)
        if self.settings.off:
            return _UNMOVED
        if self.settings.still:
            return self._fitted(image, Pose(0.0, 0.0, 0.0))
        pyramid = self._pyramid(image)
        coarse, rival = self._coarse_fit(pyramid[0])
        fit = self._descend(pyramid, coarse, damped=True)
        if rival is not None:
            other = self._descend(pyramid, rival, damped=True)
            # In order of motion: of near equals the first is taken.
            fit = self._most_alike(pyramid[0], sorted([fit, other], key=self._motion_px))
        # Damping, not the picture, would say how far a round part turned: a second descent without it
        # (docs/decisions/0005).
        if self._levels[-1].is_round:
            turned = self._descend(pyramid, coarse, damped=False)
            if 1.0 - turned.quality < _WORTH_A_TURN * (1.0 - fit.quality):
                fit = turned
        return _alignment(fit)

    def quality_at(self, image: npt.NDArray[np.uint8], alignment: Alignment) -> float:
        """The quality that this pose has, with nothing improved. Raises ValueError as ``register`` does."""
        self._check_same_shape(image)
        if self.settings.off:
            return _UNMOVED.quality
        pose = Pose(
            math.radians(alignment.angle_deg), alignment.shift_x_px, alignment.shift_y_px, scale=alignment.scale
        )
        return self._fitted(image, pose).quality

    def warp(self, image: npt.NDArray[np.uint8], alignment: Alignment) -> npt.NDArray[np.float32]:
        """The image resampled (bilinear) into the reference's frame: float32 in [0, 1], same shape.

        Outside the image the border is repeated; gain and offset stay as they are.
        """
        self._check_same_shape(image)
        scaled = np.multiply(image, np.float32(1.0 / 255.0), dtype=np.float32)
        height, width = self._shape[:2]
        warped = cv2.warpAffine(
            scaled,
            self._matrix(alignment),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(warped, dtype=np.float32)

    def warp_to(
        self, image: npt.NDArray[np.uint8], alignment: Alignment, box: tuple[int, int, int, int], size: tuple[int, int]
    ) -> npt.NDArray[np.uint8]:
        """A ``box`` (x, y, width, height) of the reference's frame at a ``size`` (height, width), in one step.

        Bilinear, in 8 bits; (height, width) or (height, width, 3). Where it is to be half as large or less the image is
        averaged first, and blurred where samples would lie further apart than they see, so that no pixel goes unseen.
        Outside the image the border is repeated. Raises ValueError as ``register`` does.
        """
        self._check_same_shape(image)
        x, y, width, height = box
        times = max(1, min(width // size[1], height // size[0]))
        # A pixel's centre stays where it is, whatever the size of pixels: hence the halves.
        step_x, step_y = width / size[1], height / size[0]
        to_frame = np.array([[step_x, 0.0, x + step_x / 2 - 0.5], [0.0, step_y, y + step_y / 2 - 0.5], [0.0, 0.0, 1.0]])
        matrix = self._matrix(alignment) @ to_frame
        if times > 1:
            image = _averaged(image, times)
            matrix /= times
            # The mean of a block lies in the block's middle.
            matrix[:, 2] += 0.5 / times - 0.5
        if max(step_x, step_y) / times > _SPARSE:
            image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)
        warped = cv2.warpAffine(
            image,
            matrix,
            (size[1], size[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(warped, np.uint8)

    def warp_back(
        self, array_2d: npt.NDArray[np.floating], alignment: Alignment, *, repeat_border: bool = False
    ) -> npt.NDArray[np.float32]:
        """An (H, W) array in the reference's frame, laid over the image: float32.

        Where nothing is known it is 0, or what the nearest border of the array is.
        """
        height, width = self._shape[:2]
        if array_2d.shape != (height, width):
            raise ValueError(f"the array is {array_2d.shape}, the reference {(height, width)}")
        warped = cv2.warpAffine(
            np.ascontiguousarray(array_2d, dtype=np.float32),
            self._matrix(alignment),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE if repeat_border else cv2.BORDER_CONSTANT,
            borderValue=0.0,
        )
        return np.asarray(warped, dtype=np.float32)

    def valid_region(self, alignment: Alignment) -> tuple[int, int, int, int]:
        """A rectangle of the reference that came from inside the image: (left, top, right, bottom), ends exclusive.

        Cut it as ``warped[top:bottom, left:right]``. (0, 0, 0, 0) if there is none.
        """
        height, width = self._shape[:2]
        matrix = self._matrix(alignment)
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
        back = (corners - matrix[:, 2]) @ matrix[:, :2] / alignment.scale**2  # a turn's inverse is its transpose
        # The two middle values of a turned rectangle's corners bound a rectangle inside it.
        xs, ys = np.sort(back[:, 0]), np.sort(back[:, 1])
        left, top = (max(0, math.ceil(v - 1e-6)) for v in (xs[1], ys[1]))
        right = min(width, math.floor(xs[2] + 1e-6) + 1)
        bottom = min(height, math.floor(ys[2] + 1e-6) + 1)
        return (left, top, right, bottom) if left < right and top < bottom else (0, 0, 0, 0)

    def unseen_fraction(self, alignment: Alignment, box: tuple[int, int, int, int]) -> float:
        """Share of a box (x, y, width, height) of the reference that lies outside the image, to a thousandth or so."""
        left, top, width, height = box
        x, y = np.meshgrid(left + _GRID * (width - 1), top + _GRID * (height - 1))
        matrix = self._matrix(alignment)
        # By a grid of points: for a turned rectangle inside another there is a formula, and it has more cases than this
        # has lines.
        at_x, at_y = (row[0] * x + row[1] * y + row[2] for row in matrix)
        seen_x = (at_x > -_EDGE_PX) & (at_x < self._shape[1] - 1 + _EDGE_PX)
        seen_y = (at_y > -_EDGE_PX) & (at_y < self._shape[0] - 1 + _EDGE_PX)
        return 1.0 - float(np.mean(seen_x & seen_y))

    def _descend(self, pyramid: list[npt.NDArray[np.uint8]], fit: Fit, *, damped: bool) -> Fit:
        """Refine from the coarse level to the full one."""
        if not damped:
            fit = refine(self._levels[0], pyramid[0], fit, iterations=8, stop_px=0.04, damped=False)
        for level, pixels in zip(self._levels[1:], pyramid[1:], strict=True):
            is_full = level is self._levels[-1]
            # Coarser levels only have to come near enough for the next one; a hundredth of a pixel at full size is
            # below what parts of one design agree in (docs/decisions/0005, Measured).
            most, stop_px = (4, 0.01) if is_full else (5, 0.04)
            fit = refine(level, pixels, fit, iterations=most, stop_px=stop_px, damped=damped)
        return fit

    def _fitted(self, image: npt.NDArray[np.uint8], pose: Pose) -> Alignment:
        pixels, level = self._pyramid(image)[-1], self._levels[-1]
        return _alignment(refine(level, pixels, start(level, pixels, pose), iterations=0, stop_px=0.0))

    def _coarse_fit(self, image: npt.NDArray[np.uint8]) -> tuple[Fit, Fit | None]:
        """The best candidate after a first refinement; of near equals the one that moves the part least.

        Where all of them are in doubt, also the best of those that are turned another way: only at full resolution it
        shows which is right.
        """
        level = self._levels[0]

        def settle(pose: Pose) -> Fit:
            return refine(level, image, start(level, image, pose), iterations=8, stop_px=0.04)

        fits: list[Fit] = []
        poses, unturned = candidates(self._bank, image)
        for pose in poses:
            fits.append(settle(pose))
            if fits[-1].quality > _CERTAIN:
                break
        if level.is_round and unturned not in poses[: len(fits)]:
            fits.append(settle(unturned))  # a round part looks alike at every turn: only noise would choose one
        if max(fit.quality for fit in fits) < _DOUBTFUL:
            fits.append(settle(Pose(0.0, 0.0, 0.0)))  # a fixture holds the part about where it was
        fits.sort(key=self._motion_px)
        # Here edges say little: likeness as a whole has a say as well (docs/decisions/0058, Which pose is taken).
        if max(fit.quality for fit in fits) < _DOUBTFUL and not level.is_round:
            best = self._most_alike(image, fits)
            others = [fit for fit in fits if _turned(fit, best) > _ANOTHER_WAY]
            return best, self._most_alike(image, others) if others else None
        best = fits[0]
        for fit in fits[1:]:
            # Of two poses that are alike noise alone would choose: a larger motion has to be clearly better
            # (docs/decisions/0005).
            needed = min(self.settings.motion_margin, max(_LEAST_MARGIN, (1.0 - best.quality) * _GAP_SHARE))
            if fit.quality > best.quality + needed:
                best = fit
        return best, None

    def _most_alike(self, image: npt.NDArray[np.uint8], fits: list[Fit]) -> Fit:
        """Of fits whose edges say little, in order of motion, the one that is most like the reference as a whole too.

        Edges of a part that glitters are its own; where it is light and dark, and where it is at all, is every part's.
        """
        best, most = fits[0], -math.inf
        for fit in fits:
            alike = self._whole.alike(image, fit.pose)
            # Fisher's z of each, added: a step from 0.8 to 0.9 then counts about as much as one from 0 to 0.36: that
            # is how sure the two are.
            found = math.atanh(np.clip(fit.quality, -_ALIKE, _ALIKE)) + math.atanh(np.clip(alike, -_ALIKE, _ALIKE))
            if found > most + _CLEARLY:
                best, most = fit, found
        return best

    def _motion_px(self, fit: Fit) -> float:
        """How far the farthest pixel moves."""
        turn = abs(math.remainder(fit.pose.angle_rad, math.tau))
        reach = math.hypot(*self._centre)
        return (turn + abs(fit.pose.scale - 1.0)) * reach + math.hypot(fit.pose.x_px, fit.pose.y_px)

    def _pyramid(self, image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        """The image's luma at the levels' scales, coarsest first. ``pyrDown`` keeps pixel 2 i over pixel i."""
        # One plane of brightness instead of three colours: a third of the work.
        grey = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        grey = np.ascontiguousarray(grey)
        # Half a pixel of blur: bilinear sampling then costs no accuracy, and noise less.
        found = {0: cv2.GaussianBlur(grey, (3, 3), 0)}
        for depth in range(1, self._depths[0] + 1):
            grey = cv2.pyrDown(grey)
            found[depth] = grey
        return [np.ascontiguousarray(found[depth], dtype=np.uint8) for depth in self._depths]

    def _centre_at(self, depth: int) -> tuple[float, float]:
        return self._centre[0] / (1 << depth), self._centre[1] / (1 << depth)

    def _count(self, image: npt.NDArray[np.uint8], depth: int) -> int:
        # A coarse level has to bring the pose near enough for the next one, no more.
        share = {self._depths[0]: 8, 0: 1} if depth else {0: 1}
        return min(image.size // 6, self.settings.pixels // share.get(depth, 3))

    def _matrix(self, alignment: Alignment) -> npt.NDArray[np.float64]:
        """Reference pixel to image pixel, (2, 3)."""
        angle = math.radians(alignment.angle_deg)
        cos, sin = alignment.scale * math.cos(angle), alignment.scale * math.sin(angle)
        cx, cy = self._centre
        turn = np.array([[cos, sin], [-sin, cos]])
        shift = np.array([cx + alignment.shift_x_px, cy + alignment.shift_y_px]) - turn @ np.array([cx, cy])
        return np.column_stack([turn, shift])

    def _check_same_shape(self, image: npt.NDArray[np.uint8]) -> None:
        _check_image(image)
        if image.shape != self._shape:
            raise ValueError(f"the image is {image.shape}, the reference {self._shape}")


def _averaged(image: npt.NDArray[np.uint8], times: int) -> npt.NDArray[np.uint8]:
    """An image so many times smaller; at its right and lower border its last pixels are repeated to a whole step."""
    below, right = -image.shape[0] % times, -image.shape[1] % times
    if below or right:
        image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    size = image.shape[1] // times, image.shape[0] // times
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _turned(a: Fit, b: Fit) -> float:
    return abs(math.remainder(a.pose.angle_rad - b.pose.angle_rad, math.tau))


def _alignment(fit: Fit) -> Alignment:
    pose = fit.pose
    angle_deg = math.degrees(math.remainder(pose.angle_rad, math.tau))
    values = (fit.quality, pose.x_px, pose.y_px, angle_deg, fit.gain, fit.offset, pose.scale)
    return Alignment(*values) if all(math.isfinite(v) for v in values) else _LOST


def _depths(long_side_px: int) -> list[int]:
    """Pyramid depths from coarse to full: the coarsest nearest to 200 pixels, one between, 0."""
    coarse = max(0, round(math.log2(long_side_px / _COARSE_SIDE_PX)))
    between = [(coarse + 1) // 2] if coarse > 1 else []
    return sorted({coarse, *between, 0}, reverse=True)


def _check_image(image: npt.NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(f"an image is uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")


def _check_settings(settings: RegistrationSettings) -> None:
    if not 0.0 <= settings.max_angle_deg <= 180.0:
        raise ValueError(f"max_angle_deg must lie between 0 and 180, not {settings.max_angle_deg}")
    if not 0.0 < settings.max_shift_fraction < 0.5:
        raise ValueError(f"max_shift_fraction must lie between 0 and 0.5, not {settings.max_shift_fraction}")
    if not 0.0 <= settings.max_scale <= 0.3:
        raise ValueError(f"max_scale must lie between 0 and 0.3, not {settings.max_scale}")
    if settings.pixels < 500:
        raise ValueError(f"pixels must be at least 500, not {settings.pixels}")
