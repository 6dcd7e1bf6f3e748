"""Uncompressed BMP files: the header, the pixels, and how much of their end is zeros."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from drivers.base import ImageRefused, Reason

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Bmp", "bmp_pixels", "bmp_zero_tail_rows", "read_bmp"]

_FILE_HEADER: Final = 14
_INFO_HEADER: Final = 40
# Older than Windows' own, with sizes of two bytes: told by its length alone.
_OS2_HEADER: Final = 12
_BI_RGB: Final = 0
_BI_BITFIELDS: Final = 3
_PLAIN_MASKS: Final = (0x00FF0000, 0x0000FF00, 0x000000FF)
# A sensor clipped at black ends in a few zeros by chance; a lost disk block or network packet is longer.
_CHANCE_ZERO_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Bmp:
    """What the headers say. ``palette`` is uint8 (256, 3) RGB, None for true colour; ``note``: what is odd about it."""

    width: int
    height: int
    bits: int
    is_bottom_up: bool
    pixels_at: int
    palette: npt.NDArray[np.uint8] | None
    palette_used: int
    note: str = ""

    @property
    def row_bytes(self) -> int:
        """Bytes of a row that carry pixels."""
        return self.width * self.bits // 8

    @property
    def stride(self) -> int:
        """Bytes of a row in the file: padded to four."""
        return (self.row_bytes + 3) // 4 * 4

    @property
    def pixel_bytes(self) -> int:
        """Bytes of all rows in the file."""
        return self.stride * self.height


def read_bmp(data: bytes) -> Bmp:
    """Read the headers and prove that all pixels that they tell of are there. Raises ImageRefused(IMAGE_BROKEN).

    A file longer than its own size field is whole: many writers leave that field 0, or count the pixels alone. One
    that is shorter was cut, even where all pixels would fit.
    """
    if len(data) < _FILE_HEADER + _INFO_HEADER:
        raise _broken(f"{len(data)} bytes are too few for the headers")
    file_size, pixels_at = struct.unpack_from("<2xI4xI", data)
    if file_size > len(data):
        raise _broken(f"its header says {file_size} bytes, {len(data)} came")
    if data[_FILE_HEADER] == _OS2_HEADER and not any(data[_FILE_HEADER + 1 : _FILE_HEADER + 4]):
        raise _not_read("a header of OS/2 (12 bytes): save it as a Windows BMP or as PNG")
    header_size, width, height, planes, bits, compression = struct.unpack_from("<IiiHHI", data, _FILE_HEADER)
    (colours,) = struct.unpack_from("<I", data, _FILE_HEADER + 32)
    # A height below 0 is no mistake: it says that the rows come from the top.
    if header_size < _INFO_HEADER or planes != 1 or width <= 0 or height == 0:
        raise _broken(f"impossible header: size {header_size}, planes {planes}, {width} x {height}")
    _check_format(data, bits, compression)
    palette_at = _FILE_HEADER + header_size
    palette, used = _read_palette(data, palette_at, pixels_at, colours) if bits == 8 else (None, 0)
    note = f"the BMP file's header says {file_size} bytes, {len(data)} came" if file_size != len(data) else ""
    bmp = Bmp(width, abs(height), bits, height > 0, pixels_at, palette, used, note)
    if pixels_at < palette_at:
        raise _broken(f"its pixels are said to begin at {pixels_at}, inside its header of {palette_at} bytes")
    if pixels_at + bmp.pixel_bytes > len(data):
        raise _broken(
            f"{bmp.width} x {bmp.height} at {bits} bits need {bmp.pixel_bytes} bytes from {pixels_at} on, "
            f"the file has {len(data)}"
        )
    return bmp


def bmp_pixels(data: bytes, bmp: Bmp) -> npt.NDArray[np.uint8]:
    """The pixels as (H, W) grey, or (H, W, 3) RGB where the palette or the file has colour."""
    rows = np.frombuffer(data, np.uint8, bmp.pixel_bytes, bmp.pixels_at).reshape(bmp.height, bmp.stride)
    rows = rows[::-1, : bmp.row_bytes] if bmp.is_bottom_up else rows[:, : bmp.row_bytes]
    if bmp.palette is None:
        # The file has blue first, and a fourth byte that nobody fills.
        return np.ascontiguousarray(rows.reshape(bmp.height, bmp.width, bmp.bits // 8)[..., 2::-1])
    if bmp.palette_used < 256 and int(rows.max()) >= bmp.palette_used:
        raise _broken(f"a pixel names colour {int(rows.max())} of a palette of {bmp.palette_used}")
    palette = bmp.palette
    used = palette[: bmp.palette_used]
    if not (used == used[:, :1]).all():
        return np.ascontiguousarray(palette[rows])
    if (used[:, 0] == np.arange(bmp.palette_used)).all():
        return rows.copy()
    return np.ascontiguousarray(palette[:, 0][rows])


def bmp_zero_tail_rows(data: bytes, bmp: Bmp) -> int:
    """Rows of raw zeros at the end of the pixel data; a part of a row counts from 16 pixel bytes on."""
    pixels = data[bmp.pixels_at : bmp.pixels_at + bmp.pixel_bytes]
    whole, part = divmod(len(pixels) - len(pixels.rstrip(b"\0")), bmp.stride)
    part -= bmp.stride - bmp.row_bytes  # the padding of every good row is zeros
    return whole + (part >= _CHANCE_ZERO_BYTES)


def _check_format(data: bytes, bits: int, compression: int) -> None:
    if bits not in {8, 24, 32}:
        raise _not_read(f"{bits} bits a pixel are not supported: only 8, 24 and 32 are")
    if compression == _BI_BITFIELDS and bits == 32:
        start = _FILE_HEADER + _INFO_HEADER
        if len(data) < start + 12 or struct.unpack_from("<III", data, start) != _PLAIN_MASKS:
            raise _not_read("a 32-bit file with unusual colour masks is not supported")
    elif compression != _BI_RGB:
        raise _not_read(f"compression {compression} is not supported: only uncompressed files prove their length")


def _read_palette(data: bytes, at: int, pixels_at: int, colours: int) -> tuple[npt.NDArray[np.uint8], int]:
    used = colours or 256
    if pixels_at == at:
        raise _not_read("8 bits a pixel without a palette do not tell grey values: save it with its palette, or as PNG")
    if used > 256 or at + 4 * used > min(pixels_at, len(data)):
        raise _broken(f"a palette of {used} colours does not fit between its header and its pixels at {pixels_at}")
    palette = np.zeros((256, 3), np.uint8)
    palette[:used] = np.frombuffer(data, np.uint8, 4 * used, at).reshape(used, 4)[:, 2::-1]
    return palette, used


def _broken(what: str) -> ImageRefused:
    return ImageRefused(Reason.IMAGE_BROKEN, f"broken BMP file: {what}")


def _not_read(what: str) -> ImageRefused:
    return ImageRefused(Reason.IMAGE_BROKEN, f"a BMP file that is not understood: {what}")
