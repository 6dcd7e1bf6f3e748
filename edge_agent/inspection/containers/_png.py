"""PNG as a container: every chunk's checksum up to the end mark, and the length of the pixel stream."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from drivers.base import ImageRefused, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Png", "prove_png", "prove_png_stream"]

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG whose every chunk has its right checksum. ``stream`` is the compressed pixel data.

    ``note`` says in words what is odd about the file, and empty where nothing is.
    """

    width: int
    height: int
    channels: int
    stream: bytes
    note: str = ""


def prove_png(data: bytes) -> Png:
    """Walk the chunks: CRCs right, IHDR first, up to IEND. Raises ImageRefused(IMAGE_BROKEN).

    What follows IEND is no part of the picture: the checksums before it prove that the picture is whole.
    """
    header, stream, notes, end = b"", [], [], 0
    for kind, body, end in _chunks(data):  # noqa: B007 - the end of the last one
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            stream.append(body)
        elif kind == b"acTL":
            notes.append("an animated PNG file: its first picture is judged")
    if end != len(data):
        notes.append(f"{len(data) - end} bytes follow the end mark (IEND) of the PNG file")
    return replace(_png_header(header, b"".join(stream)), note="; ".join(notes))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Kind, content and end of every chunk up to IEND, its checksum proven."""
    at = 8
    while True:
        if at + 12 > len(data):
            raise _broken(f"cut off at {len(data)} bytes, the end mark (IEND) is missing")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise _broken(f"chunk {kind!r} ends at {end}, the file at {len(data)}")
        body = data[at + 8 : end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end - 4 : end], "big"):
            raise _broken(f"chunk {kind!r} at {at} has a wrong checksum")
        if (kind == b"IHDR") != (at == 8):
            raise _broken("it does not start with its one header chunk (IHDR)")
        yield kind, body, end
        if kind == b"IEND":
            return
        at = end


def prove_png_stream(png: Png) -> None:
    """Inflate all pixel data: right length, right Adler checksum, nothing left over. Raises ImageRefused."""
    expected = png.height * (1 + png.width * png.channels)
    inflate = zlib.decompressobj()
    try:
        # One byte more than there may be: a stream that does not end there is caught without unpacking a bomb.
        raw = inflate.decompress(png.stream, expected + 1)
        if not inflate.eof:
            raw += inflate.decompress(inflate.unconsumed_tail, 1)
    except zlib.error as err:
        raise _broken(f"its pixel data does not inflate: {err}") from err
    if len(raw) != expected or not inflate.eof or inflate.unused_data:
        raise _broken(f"its pixel data is not the {expected} bytes of {png.width} x {png.height} pixels")


def _png_header(header: bytes, stream: bytes) -> Png:
    if len(header) != 13:
        raise _broken(f"its header has {len(header)} bytes instead of 13")
    width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if not width or not height or colour not in _CHANNELS:
        raise _broken(f"impossible header: {width} x {height}, colour type {colour}")
    if bits != 8:
        raise _not_read(f"{bits} bits a channel are not supported: save it with 8")
    if interlace:
        raise _not_read("an interlaced file is not supported: save it without interlacing")
    return Png(width, height, _CHANNELS[colour], stream)


def _broken(what: str) -> ImageRefused:
    return ImageRefused(Reason.IMAGE_BROKEN, f"broken PNG file: {what}")


def _not_read(what: str) -> ImageRefused:
    return ImageRefused(Reason.IMAGE_BROKEN, f"a PNG file that is not understood: {what}")
