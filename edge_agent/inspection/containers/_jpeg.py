"""JPEG as a container: every segment up to the end mark, every coefficient coded, no hole of zeros in between."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from drivers.base import ImageRefused, Reason

__all__ = ["Jpeg", "prove_jpeg"]

_SUPPORTED_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive; all Huffman
_OTHER_FRAMES: Final = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_DHT: Final = 0xC4
_EOI: Final = 0xD9
_SOS: Final = 0xDA
_DC, _AC = 0, 1
# 512 zero bits. With standard Huffman tables they would be blocks of 63 coefficients of minus one.
_ZERO_RUN: Final = bytes(64)


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG file up to its end mark, which ends at ``end``.

    ``coded_end`` is where the coded pixels of its last scan end; ``next_restart`` the mark that would go on with them.
    """

    width: int
    height: int
    coded_end: int
    next_restart: bytes
    end: int


@dataclass(slots=True)
class _Walk:
    """What the segments passed so far have said. ``flat`` tells, a Huffman table, whether zeros mean no change.

    ``missing`` holds the coefficients (0 to 63) of each component that no scan has coded in full yet.
    """

    size: tuple[int, int] | None = None
    is_progressive: bool = False
    flat: dict[tuple[int, int], bool] = field(default_factory=dict)
    missing: dict[int, set[int]] = field(default_factory=dict)
    scans: int = 0
    coded_end: int = 0
    restarts: int = 0


def prove_jpeg(data: bytes) -> Jpeg:
    """Walk the segments to the first EOI.

    Raises ImageRefused(IMAGE_BROKEN), also for a run of zeros inside the coded pixels where the file's own Huffman
    tables cannot mean it (tables fitted to a picture may code flat areas as zeros, and those are let through).
    Where bytes follow the EOI, a damaged byte may have made it: then every coefficient must have been coded before
    it, and whoever decodes has to prove that the coded pixels do not end early (``decode`` does).
    """
    walk, at = _Walk(), 2
    while True:
        marker, body, end = _segment(data, at)
        if marker == _EOI:
            break
        at = end
        if marker in _SUPPORTED_FRAMES or marker in _OTHER_FRAMES:
            _read_frame(walk, marker, body)
        elif marker == _DHT:
            _read_tables(walk, body)
        elif marker == _SOS:
            at, walk.restarts = _prove_scan(data, end, zeros_allowed=_zeros_mean_flat(walk, body))
            walk.coded_end = at
            walk.scans += 1
            _note_coded(walk, body)
    if walk.size is None or not walk.scans:
        raise _broken("it holds no picture")
    if end != len(data) and any(walk.missing.values()):
        raise _broken(f"an end mark (EOI) at {end - 2} of {len(data)} bytes, before all of the picture was told")
    next_restart = bytes((0xFF, 0xD0 + walk.restarts % 8))
    return Jpeg(*walk.size, coded_end=walk.coded_end, next_restart=next_restart, end=end)


def _segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Marker, content and end of the segment at ``at``."""
    while data[at : at + 2] == b"\xff\xff":  # fill bytes
        at += 1
    if at + 2 > len(data) or data[at] != 0xFF:
        raise _broken(f"no marker at {at} of {len(data)} bytes, the end mark (EOI) is missing")
    marker = data[at + 1]
    if marker == _EOI:
        return marker, b"", at + 2
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if end > len(data) or end < at + 4:
        raise _broken(f"segment FF{marker:02X} at {at} is cut off, the end mark (EOI) is missing")
    return marker, data[at + 4 : end], end


def _read_frame(walk: _Walk, marker: int, body: bytes) -> None:
    if marker not in _SUPPORTED_FRAMES or walk.size is not None or len(body) < 6 or body[0] != 8:
        raise _not_read(f"a frame of kind FF{marker:02X} is not supported: save it as 8-bit baseline JPEG")
    height, width = struct.unpack_from(">HH", body, 1)
    if not width or not height:
        raise _broken(f"impossible size {width} x {height}")
    walk.size, walk.is_progressive = (width, height), marker == 0xC2
    walk.missing = {component: set(range(64)) for component in body[6::3]}


def _read_tables(walk: _Walk, body: bytes) -> None:
    at = 0
    while at < len(body):
        total = sum(body[at + 1 : at + 17])
        if not total or at + 17 + total > len(body):
            raise _broken("a Huffman table is cut off")
        kind, number = body[at] >> 4, body[at] & 0x0F
        first = body[at + 17]  # the symbol whose code is all zeros
        # 0xF0 is "sixteen zeros and go on", the one symbol of size 0 that does not end the block.
        ends_block = first & 0x0F == 0 and first != 0xF0
        walk.flat[kind, number] = ends_block if kind == _AC else first == 0
        at += 17 + total


def _zeros_mean_flat(walk: _Walk, scan: bytes) -> bool:
    """Whether every table that this scan uses codes "no change" or "end of block" as zeros."""
    count = scan[0] if scan else 0
    if len(scan) != 4 + 2 * count:
        raise _broken("a scan header is cut off")
    first_coefficient, successive = scan[1 + 2 * count], scan[3 + 2 * count] >> 4
    if walk.is_progressive and first_coefficient == 0 and successive:
        return True  # a refinement of the mean values is plain bits, zeros among them
    used: set[tuple[int, int]] = set()
    for component in range(count):
        tables = scan[2 + 2 * component]
        if not walk.is_progressive or first_coefficient == 0:
            used.add((_DC, tables >> 4))
        if not walk.is_progressive or first_coefficient > 0:
            used.add((_AC, tables & 0x0F))
    return all(walk.flat.get(table, False) for table in used)


def _note_coded(walk: _Walk, scan: bytes) -> None:
    """Take what this scan codes to the last bit from what is missing."""
    count = scan[0]
    first, last, precision = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 0x0F
    if precision:
        return
    for component in scan[1 : 1 + 2 * count : 2]:
        walk.missing.get(component, set()).difference_update(range(first, last + 1))


def _prove_scan(data: bytes, start: int, *, zeros_allowed: bool) -> tuple[int, int]:
    """Where the marker stands that ends the coded pixels from ``start`` on, and how many restart marks they hold."""
    at, restarts = start, 0
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _broken("its coded pixels do not end, the end mark (EOI) is missing")
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:  # stuffing and restart marks go on
            break
        restarts += data[at + 1] != 0
        at += 2
    zeros_at = -1 if zeros_allowed else data.find(_ZERO_RUN, start, at)
    if zeros_at >= 0:
        raise _broken(f"a run of zeros at {zeros_at}, inside the coded pixels")
    return at, restarts


def _broken(what: str) -> ImageRefused:
    return ImageRefused(Reason.IMAGE_BROKEN, f"broken JPEG file: {what}")


def _not_read(what: str) -> ImageRefused:
    return ImageRefused(Reason.IMAGE_BROKEN, f"a JPEG file that is not understood: {what}")
