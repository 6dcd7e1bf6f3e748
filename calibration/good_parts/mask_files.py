"""Pictures that mark places, as painting programs and data sets write them: of 1, 8 or 16 bits, with a palette, colour.

Nothing but a measure or a search hangs on them: a decoder's word is enough that they are whole.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from drivers.base import ImageRefused, Reason
from edge_agent.inspection.containers.decode import MAX_PIXELS
from edge_agent.inspection.containers.image_files import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MaskPicture", "read_mask_file"]

_FORMATS: Final = ("PNG", "BMP", "JPEG", "TIFF", "GIF", "WEBP")


@dataclass(frozen=True, slots=True, eq=False)
class MaskPicture:
    """How light each pixel is (H, W), from 0 to ``full``; of colours the strongest counts. ``is_lossy``: a JPEG."""

    values: NDArray[Any]
    full: int
    is_lossy: bool

    @property
    def light(self) -> NDArray[np.bool_]:
        """Where it is lighter than half."""
        return np.asarray(self.values > self.full / 2)

    @property
    def marked(self) -> NDArray[np.bool_]:
        """Where it is not black. A JPEG's black is not quite black: there it is what is light."""
        return self.light if self.is_lossy else np.asarray(self.values > 0)


def read_mask_file(path: Path) -> MaskPicture:
    """Read a mask. Raises ImageRefused in words, with the file's name, for what is no picture."""
    try:
        with Image.open(io.BytesIO(read_file(path)), formats=_FORMATS) as image:
            _check_pixels(image.width * image.height)
            image.load()
            mode, is_lossy = image.mode, image.format == "JPEG"
            values = np.asarray(image.convert("RGB") if mode in {"P", "CMYK", "YCbCr"} else image)
    except ImageRefused as err:
        raise ImageRefused(err.reason, f"{path.name}: {err.detail}") from err
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, Image.DecompressionBombError) as err:
        raise ImageRefused(Reason.IMAGE_BROKEN, f"{path.name} cannot be read: {err}") from err
    if values.ndim == 3:
        values = values[..., : 1 if mode == "LA" else 3].max(axis=2)
    full = 1 if values.dtype == np.bool_ else 255 if values.dtype == np.uint8 else 65535
    return MaskPicture(values, full, is_lossy)


def _check_pixels(count: int) -> None:
    if count > MAX_PIXELS:
        raise ImageRefused(Reason.IMAGE_BROKEN, f"{count} pixels are more than the limit of {MAX_PIXELS}")
