"""A BMP kept as a PNG from which its very bytes come back: half the size, and any viewer still shows it.

The pixels are the PNG's. What a PNG has no place for (the BMP's headers, the padding of its rows, what came behind
them) lies in a chunk of our own. The bytes are put together again before anything is kept: an image of which they do
not come back stays as it came, and so does everything that is no plain BMP.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from edge_agent.store.stock import NAME

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SHRUNK_SUFFIX", "received_bytes", "received_of", "shrunk"]

SHRUNK_SUFFIX = ".png"
_PNG, _CHUNK, _END = b"\x89PNG\r\n\x1a\n", b"eaBm", b"IEND"
_CHUNK_FRAME = 12
"""Of a PNG's chunk: its length, its name, its checksum."""
_FACTS = struct.Struct("<BBII")
"""In our chunk: version, whether the first row is the top one, bytes before the rows, bytes of padding in each row."""
_VERSION = 1
_MOST_PIXELS = 100_000_000
_MOST_BESIDE = 1 << 20
"""Bytes of headers, and of what comes behind the rows: more is no plain BMP."""
_GREY = bytes(value for grey in range(256) for value in (grey, grey, grey))


class _Layout(NamedTuple):
    """Where the pixels of a BMP are."""

    begin: int
    width: int
    height: int
    channels: int
    padding: int
    is_top_down: bool


def shrunk(data: bytes) -> bytes | None:
    """The bytes of a smaller PNG from which ``data`` comes back; None where it is no plain BMP, or gains nothing.

    A grey image of 1600 x 1200 takes 40 ms to make and 20 ms to be proven, mostly without the interpreter's lock.
    """
    layout = _layout_of(data)
    if layout is None:
        return None
    import cv2  # noqa: PLC0415 - the page and the command line start without it
    import numpy as np  # noqa: PLC0415

    row = layout.width * layout.channels
    end = layout.begin + layout.height * (row + layout.padding)
    rows = np.frombuffer(data[layout.begin : end], np.uint8).reshape(layout.height, row + layout.padding)
    pixels = rows[:, :row] if layout.is_top_down else rows[::-1, :row]
    shape = (layout.height, layout.width, layout.channels)[: 2 if layout.channels == 1 else 3]
    try:
        is_made, png = cv2.imencode(SHRUNK_SUFFIX, np.ascontiguousarray(pixels).reshape(shape))
    except cv2.error:
        return None
    if not is_made:
        return None
    facts = _FACTS.pack(_VERSION, layout.is_top_down, layout.begin, layout.padding)
    # The padding too: it is mostly zeros, but the bytes that came have to come back.
    beside = zlib.compress(facts + data[: layout.begin] + rows[:, row:].tobytes() + data[end:], 6)
    made: bytes = png.tobytes()
    # In front of the last chunk, IEND: readers pass over whatever comes behind that.
    small = made[:-_CHUNK_FRAME] + _framed(beside) + made[-_CHUNK_FRAME:]
    # Put together again before it takes the place of what came (docs/decisions/0068).
    return small if len(small) < len(data) and _restored(small) == data else None


def received_bytes(path: Path) -> bytes:
    """The bytes that came of an archived image, however it is kept; any other file's own bytes. Raises OSError.

    Which bytes came the file's name tells by their hash. Where they do not come back, the file's own are given: whoever
    compares them with the journal's hash sees that they are others.
    """
    return received_of(path.name, path.read_bytes())


def received_of(file_name: str, data: bytes) -> bytes:
    """As ``received_bytes``, of a file's name and its bytes."""
    name = NAME.fullmatch(file_name)
    if name is None or not data.startswith(_PNG) or hashlib.sha256(data).hexdigest().startswith(name["sha256"]):
        return data
    restored = _restored(data)
    return data if restored is None else restored


def _layout_of(data: bytes) -> _Layout | None:
    """Of a BMP of 8 bits grey or 24 bits colour, not compressed, with all its rows."""
    if len(data) < 54 or data[:2] != b"BM":
        return None
    begin, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    channels = {8: 1, 24: 3}.get(bits, 0)
    if not channels or compression or header < 40 or width <= 0 or height == 0:
        return None
    if width * abs(height) > _MOST_PIXELS or not 14 + header <= begin <= _MOST_BESIDE:
        return None
    # Rows of a BMP end at a multiple of four bytes.
    padding = -(width * channels) % 4
    behind = len(data) - begin - abs(height) * (width * channels + padding)
    if not 0 <= behind <= _MOST_BESIDE or (channels == 1 and not _is_grey(data[14 + header : begin])):
        return None
    return _Layout(begin, width, abs(height), channels, padding, is_top_down=height < 0)


def _is_grey(palette: bytes) -> bool:
    """Whether the palette is that of grey values: a viewer of the PNG then shows what the BMP shows."""
    return b"".join(palette[at : at + 3] for at in range(0, 1024, 4)) == _GREY


def _framed(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + _CHUNK + content + struct.pack(">I", zlib.crc32(_CHUNK + content))


def _restored(png: bytes) -> bytes | None:
    """The BMP's bytes; None where the file does not tell them, whatever is wrong with it."""
    beside = _content_of(png)
    pixels = None if beside is None else _pixels_of(png)
    if beside is None or pixels is None:
        return None
    import numpy as np  # noqa: PLC0415

    height, row = pixels.shape
    inflating = zlib.decompressobj()
    try:
        # Bounded: a damaged chunk must not unpack into gigabytes.
        told = inflating.decompress(beside, _FACTS.size + 2 * _MOST_BESIDE + 3 * height)
        version, is_top_down, begin, padding = _FACTS.unpack_from(told)
    except (zlib.error, struct.error):
        return None
    padded = _FACTS.size + begin + height * padding
    if version != _VERSION or padding > 3 or not inflating.eof or len(told) < padded:
        return None
    rows = np.empty((height, row + padding), np.uint8)
    rows[:, :row] = pixels if is_top_down else pixels[::-1]
    rows[:, row:] = np.frombuffer(told[_FACTS.size + begin : padded], np.uint8).reshape(height, padding)
    return told[_FACTS.size : _FACTS.size + begin] + rows.tobytes() + told[padded:]


def _content_of(png: bytes) -> bytes | None:
    """What our chunk holds; None where there is none, or it is not whole."""
    at = len(_PNG)
    while at + _CHUNK_FRAME <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        content = png[at + 8 : at + 8 + length]
        if name == _CHUNK:
            is_whole = png[at + 8 + length : at + _CHUNK_FRAME + length] == struct.pack(
                ">I", zlib.crc32(name + content)
            )
            return content if is_whole else None
        if name == _END:
            return None
        at += _CHUNK_FRAME + length
    return None


def _pixels_of(png: bytes) -> NDArray[np.uint8] | None:
    """(height, bytes of a row), the top row first, colour as blue, green, red; None where they are not to be had."""
    width, height = struct.unpack_from(">II", png, len(_PNG) + 8)
    if width * height > _MOST_PIXELS:
        return None
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    try:
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype != np.uint8:
        return None
    return np.asarray(pixels, np.uint8).reshape(pixels.shape[0], -1)
