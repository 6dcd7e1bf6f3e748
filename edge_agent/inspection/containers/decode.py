"""Image bytes to pixels, and the proof that the bytes are all there.

A crashed sender looks like a finished one, and a file system that lost power can leave zeros where pixels
should be. Pillow's ``verify()`` accepts almost every truncated file and its decoder accepts zero-filled ones,
so each format's own structure is walked first: lengths, checksums, end marks.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from drivers.base import ImageRefused, Reason
from edge_agent.inspection.containers._bmp import bmp_pixels, bmp_zero_tail_rows, read_bmp
from edge_agent.inspection.containers._jpeg import prove_jpeg
from edge_agent.inspection.containers._png import prove_png, prove_png_stream

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "MAX_PIXELS",
    "DecodedImage",
    "ZeroTail",
    "check_shape",
    "decode",
    "prove_complete",
    "read_image",
    "zero_tail_rows",
]

MAX_PIXELS: Final = 40_000_000
"""Above every camera of the controller (21 megapixels), below what 128 MB of pixels would need."""

_GREY_MODES: Final = frozenset({"L", "LA"})
_COLOUR_MODES: Final = frozenset({"RGB", "RGBA"})
# What Pillow's decoders raise on bytes that are not what they claim to be.
_DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


# How files begin that people take for images we understand.
_FOREIGN: Final = (
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"GIF8", "a GIF"),
    (b"RIFF", "a WebP"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP"),
    (b"version https://git-lfs", "a Git LFS pointer, not the picture itself: a text"),
)
# Bits in turn, and the other way round: no Huffman code reads the same in both.
_FILLERS: Final = (b"\x55", b"\xaa")
# More than a decoder reads ahead for one block of pixels.
_FILLER_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class ZeroTail:
    """The raw zero bytes at the end of an uncompressed file's pixels: so many rows, at the image's top or bottom.

    They are black pixels, or pixels that never came. A row that is zero in part counts as one.
    """

    rows: int = 0
    is_at_top: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """What a whole image file holds. ``pixels`` are as ``decode`` returns them.

    ``note`` says in words what is odd about the file although its picture is whole; empty where nothing is.
    """

    pixels: npt.NDArray[np.uint8]
    zero_tail: ZeroTail
    note: str


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode a BMP, PNG or JPEG file into its pixels.

    Returns (H, W) for grey and (H, W, 3) RGB for colour, C-contiguous and writable. Three equal channels stay
    three: the shape is a property of the file. Alpha is dropped. Raises ImageRefused(IMAGE_BROKEN).
    """
    return read_image(data).pixels


def read_image(data: bytes) -> DecodedImage:
    """Decode a BMP, PNG or JPEG file, and say what is odd about it. Raises ImageRefused(IMAGE_BROKEN)."""
    if data[:2] == b"BM":
        bmp = read_bmp(data)
        _check_pixels(bmp.width, bmp.height)
        pixels = bmp_pixels(data, bmp)
        return DecodedImage(pixels, ZeroTail(bmp_zero_tail_rows(data, bmp), bmp.is_bottom_up), bmp.note)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        png = prove_png(data)
        _check_pixels(png.width, png.height)
        return DecodedImage(_pillow_pixels(data, "PNG"), ZeroTail(), png.note)
    if data[:3] == b"\xff\xd8\xff":
        return _read_jpeg(data)
    if not data:
        raise ImageRefused(Reason.IMAGE_BROKEN, "the file is empty")
    if not data.strip(b"\0"):
        raise ImageRefused(Reason.IMAGE_BROKEN, f"the file holds nothing but {len(data)} zero bytes")
    for start, kind in _FOREIGN:
        if data.startswith(start):
            raise ImageRefused(Reason.IMAGE_BROKEN, f"{kind} file, not a BMP, PNG or JPEG file")
    raise ImageRefused(Reason.IMAGE_BROKEN, f"not a BMP, PNG or JPEG file: it starts with {data[:8]!r}")


def prove_complete(data: bytes) -> None:
    """Return if the bytes are a whole image file; raise ImageRefused(IMAGE_BROKEN) otherwise.

    Everything that needs no reference image: known format, no shorter than the header says, checksums, end mark, the
    whole pixel stream, decodable. A zero-filled tail of a BMP still looks like a black border: whoever knows the
    reference image has to judge it (``ZeroTail``). Thread-safe.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        png = prove_png(data)
        _check_pixels(png.width, png.height)
        prove_png_stream(png)
    decode(data)


def zero_tail_rows(data: bytes) -> int:
    """Rows of raw zero bytes at the end of a BMP's pixel data; a row that is zero in part counts as one.

    The end of the file is the top of a bottom-up image. Always 0 for PNG and JPEG: their checksums and end marks
    betray a zero-filled tail by themselves. Raises ImageRefused(IMAGE_BROKEN) for a BMP that is not whole.
    """
    return bmp_zero_tail_rows(data, read_bmp(data)) if data[:2] == b"BM" else 0


def check_shape(image: npt.NDArray[np.uint8], expected_shape: tuple[int, ...]) -> None:
    """Raise ImageRefused(IMAGE_SIZE) unless the image (H, W) or (H, W, 3) has the reference's size and channels."""
    if tuple(image.shape) != tuple(expected_shape):
        raise ImageRefused(
            Reason.IMAGE_SIZE, f"got {_describe(image.shape)}, the reference is {_describe(expected_shape)}"
        )


def _describe(shape: tuple[int, ...]) -> str:
    if len(shape) not in {2, 3}:
        return f"an array of shape {tuple(shape)}"
    kind = "grey" if len(shape) == 2 else "RGB" if shape[2] == 3 else f"{shape[2]} channels"
    return f"{shape[1]} x {shape[0]} {kind}"


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageRefused(Reason.IMAGE_BROKEN, f"{width} x {height} pixels are more than the limit of {MAX_PIXELS}")


def _read_jpeg(data: bytes) -> DecodedImage:
    """A JPEG file; where bytes follow its end mark, with the proof that the mark is the encoder's own.

    Damage that turns a byte into an end mark leaves a decoder without bits, and it makes pixels up without a word. So
    the coded pixels are decoded again with other bytes behind them: a picture that is whole does not change.
    """
    jpeg = prove_jpeg(data)
    _check_pixels(jpeg.width, jpeg.height)
    pixels = _pillow_pixels(data, "JPEG")
    if jpeg.end == len(data):
        return DecodedImage(pixels, ZeroTail(), "")
    for byte in _FILLERS:
        filler = byte * _FILLER_BYTES
        other = data[: jpeg.coded_end] + filler + jpeg.next_restart + filler + b"\xff\xd9"
        if not np.array_equal(_pillow_pixels(other, "JPEG"), pixels):
            raise ImageRefused(
                Reason.IMAGE_BROKEN,
                f"broken JPEG file: an end mark (EOI) at {jpeg.end - 2} of {len(data)} bytes, in the middle of the "
                "picture",
            )
    return DecodedImage(pixels, ZeroTail(), f"{len(data) - jpeg.end} bytes follow the end mark (EOI) of the JPEG file")


def _pillow_pixels(data: bytes, kind: str) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            image.load()
            mode = image.mode
            if mode == "P":
                return _palette_pixels(image)
            pixels = np.array(image)
    except _DECODER_ERRORS as err:
        raise ImageRefused(Reason.IMAGE_BROKEN, f"the {kind} file does not decode: {err}") from err
    if mode in _GREY_MODES:
        return np.ascontiguousarray(pixels if pixels.ndim == 2 else pixels[..., 0])
    if mode in _COLOUR_MODES:
        return np.ascontiguousarray(pixels[..., :3])
    raise ImageRefused(
        Reason.IMAGE_BROKEN, f"a {kind} file of mode {mode} is not supported: save it as 8-bit grey or RGB"
    )


def _palette_pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    rgb = np.array(image.convert("RGBA"))[..., :3]
    palette = np.asarray(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    is_grey = bool((palette == palette[:, :1]).all())
    return np.ascontiguousarray(rgb[..., 0] if is_grey else rgb)
