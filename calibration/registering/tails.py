"""Black ends of the good images' files, asked across the set: where good parts are black, and whose file was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.good_parts.images import read_good, read_pixels
from calibration.workers import ONE_THREAD, Work
from edge_agent.inspection.registration.tail import DarkGround, shown_in, stray_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from calibration.good_parts.images import GoodImage
    from calibration.workers import Workers
    from edge_agent.domain import Alignment
    from edge_agent.inspection.registration.register import Registration

__all__ = ["dark_ground", "filled_with_zeros"]

# One image alone must not decide: a speck of dust on it would end the black for all parts (docs/decisions/0052).
_SOME, _MOST = 0.25, 0.75
# Of less black ground a share of stray pixels says nothing.
_LEAST_GROUND_PX = 1000


def dark_ground(
    images: Sequence[GoodImage],
    registration: Registration,
    alignments: Sequence[Alignment],
    *,
    workers: Workers = ONE_THREAD,
) -> tuple[DarkGround, DarkGround]:
    """Where good parts are black: where three in four show nothing, and where one in four shows nothing.

    The first is what a part is judged by: it is black wherever a part may show something. The second is what a good
    image itself is judged by: it takes most of the others to say that something is missing from it.
    """
    votes = np.zeros(registration.shape[:2], np.int32)
    # With no image at all every pixel may be a stray one: no run of zeros is believed.
    strays = [1.0]
    looked = workers.each(Work(_look, (registration,)), zip(images, alignments, strict=True))
    for shown, share in looked:
        votes += np.unpackbits(shown, count=votes.size).reshape(votes.shape)
        strays.append(share)
    grounds = [np.where(votes > share * len(images), 255, 0).astype(np.uint8) for share in (_SOME, _MOST)]
    return DarkGround(grounds[0], min(strays)), DarkGround(grounds[1], 0.0)


def filled_with_zeros(
    images: Sequence[GoodImage], registration: Registration, alignments: Sequence[Alignment], most: DarkGround
) -> dict[str, str]:
    """Images whose file ends in zeros where most good parts show something: the words, by file name."""
    found = {}
    for image, alignment in zip(images, alignments, strict=True):
        if image.zero_tail.rows:
            rows = most.most_rows(read_good(image.path), registration, alignment)
            if image.zero_tail.rows > rows:
                found[image.path.name] = (
                    f"its file ends in {image.zero_tail.rows} rows of zeros, most of the others are black in {rows} "
                    "there: its end is lost"
                )
    return found


def _look(registration: Registration, one: tuple[GoodImage, Alignment]) -> tuple[NDArray[np.uint8], float]:
    """What an image shows in the reference's frame, its H x W bits packed, and its share of stray pixels."""
    image, alignment = one
    pixels = read_pixels(image.path)
    # Packed: an eighth of the bytes, for whoever is sent them from another process.
    return np.packbits(_in_frame(registration, shown_in(pixels), alignment)), _strays(pixels, image)


def _in_frame(registration: Registration, shown: NDArray[np.uint8], alignment: Alignment) -> NDArray[np.bool_]:
    """What an image shows (H, W), in the reference's frame."""
    alike = shown if len(registration.shape) == 2 else np.repeat(shown[..., None], registration.shape[2], axis=2)
    # Resampled, an edge is spread over two pixels: a quarter of it is still no picture, as in ``DarkGround.most_rows``.
    laid = registration.warp(alike, alignment) > np.float32(0.25)
    return laid if laid.ndim == 2 else laid[..., 0]


def _strays(pixels: NDArray[np.uint8], image: GoodImage) -> float:
    """The share of stray pixels on an image's dark ground, without the black end that is in question."""
    rows = image.zero_tail.rows
    rest = np.ascontiguousarray(pixels[rows:] if image.zero_tail.is_at_top else pixels[: len(pixels) - rows])
    if not rest.size:
        return 1.0
    shown = shown_in(rest)
    return stray_share(rest, shown) if int((shown == 0).sum()) >= _LEAST_GROUND_PX else 1.0
