"""A BMP kept as a PNG: its very bytes come back, or it stays as it came; what was changed is never taken for it."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.simulated.camera import encode_bmp
from edge_agent.domain import Verdict
from edge_agent.inspection.containers.decode import decode
from edge_agent.store.archive import Archive
from edge_agent.store.fs import FileSystem
from edge_agent.store.shrink import received_bytes, shrunk

if TYPE_CHECKING:
    from pathlib import Path

GREY = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))


def bmp(
    width: int = 37,
    height: int = 40,
    *,
    bits: int = 24,
    header: int = 40,
    gap: bytes = b"",
    padding: int = 0,
    behind: bytes = b"",
    is_top_down: bool = False,
) -> bytes:
    """A BMP of smooth pixels, with what writers put beside them."""
    channels = bits // 8
    row = width * channels
    pad = -row % 4
    pixels = np.add.outer(np.arange(height), np.arange(row)).astype(np.uint8)
    rows = np.concatenate([pixels, np.full((height, pad), padding, np.uint8)], axis=1).tobytes()
    palette = b"" if bits == 24 else bytes(v for grey in range(256) for v in (grey, grey, grey, 0))
    begin = 14 + header + len(palette) + len(gap)
    told = struct.pack("<IiiHHI", header, width, -height if is_top_down else height, 1, bits, 0)
    info = told + bytes(header - len(told))
    file = struct.pack("<2sIHHI", b"BM", begin + len(rows) + len(behind), 0, 0, begin)
    return file + info + palette + gap + rows + behind


def kept_as(folder: Path, data: bytes, stored: bytes, suffix: str = ".png") -> Path:
    """An archived image whose name tells the hash of ``data``."""
    path = folder / f"part_000000000007_CAM1_PASS_{hashlib.sha256(data).hexdigest()[:8]}{suffix}"
    path.write_bytes(stored)
    return path


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(20, 70),
    height=st.integers(20, 50),
    bits=st.sampled_from([8, 24]),
    header=st.sampled_from([40, 52, 108, 124]),
    gap=st.binary(max_size=9),
    padding=st.integers(0, 255),
    behind=st.binary(max_size=40),
    is_top_down=st.booleans(),
)
def test_the_very_bytes_come_back_whatever_its_writer_put_beside_the_pixels(
    tmp_path_factory: pytest.TempPathFactory, **written: object
) -> None:
    data = bmp(**written)  # type: ignore[arg-type]
    small = shrunk(data)

    assert small is not None
    assert len(small) < len(data)
    assert received_bytes(kept_as(tmp_path_factory.mktemp("kept"), data, small)) == data


@pytest.mark.parametrize("data", [encode_bmp(GREY), bmp(), bmp(bits=8), bmp(is_top_down=True)])
def test_a_viewer_and_the_inspection_see_the_same_picture_in_it(data: bytes) -> None:
    small = shrunk(data)

    assert small is not None
    assert np.array_equal(decode(small), decode(data))


def test_what_is_no_plain_bmp_or_gains_nothing_stays_as_it_came() -> None:
    colours = bytearray(bmp(bits=8))
    colours[14 + 40 + 4] = 99
    noise = bmp(64, 64)[:54] + np.random.default_rng(1).integers(0, 256, 64 * 64 * 3, np.uint8).tobytes()
    compressed = bytearray(bmp())
    compressed[30] = 1
    others = [b"", b"BM", b"image", bytes(colours), bytes(compressed), bmp()[:-200], noise]
    huge = bytearray(bmp())
    struct.pack_into("<ii", huge, 18, 2**31 - 1, -(2**31))

    assert [shrunk(bytes(data)) for data in [*others, huge, shrunk(bmp())]] == [None] * (len(others) + 2)


def test_a_png_that_came_as_one_stays_what_it_is_even_if_it_is_one_of_ours(tmp_path: Path) -> None:
    small = shrunk(bmp())
    assert small is not None

    assert received_bytes(kept_as(tmp_path, small, small)) == small
    (tmp_path / "any.png").write_bytes(small)
    assert received_bytes(tmp_path / "any.png") == small


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), is_cut=st.booleans())
def test_a_file_that_was_changed_never_gives_other_bytes_for_those_that_came(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int, *, is_cut: bool
) -> None:
    data = bmp(padding=7, behind=b"behind")
    small = bytearray(shrunk(data) or b"")
    small[at % len(small)] ^= 1 << bit
    folder = tmp_path_factory.mktemp("changed")
    path = kept_as(folder, data, bytes(small[: at % len(small)] if is_cut else small))

    found = received_bytes(path)
    archive = Archive(folder, max_bytes=1)
    assert bool(archive.why_altered(path, hashlib.sha256(data).hexdigest())) == (found != data)


@pytest.mark.parametrize("content", [b"", b"nothing", zlib.compress(b""), zlib.compress(bytes(2**26)),
                                     zlib.compress(struct.pack("<BBII", 1, 0, 2**31, 3)),
                                     zlib.compress(struct.pack("<BBII", 1, 0, 0, 2**31)),
                                     zlib.compress(struct.pack("<BBII", 9, 0, 0, 0))])  # fmt: skip
def test_a_chunk_that_lies_is_not_believed_and_costs_no_memory(tmp_path: Path, content: bytes) -> None:
    small = shrunk(bmp())
    assert small is not None
    at = small.index(b"eaBm") - 4
    (length,) = struct.unpack_from(">I", small, at)
    lying = struct.pack(">I", len(content)) + b"eaBm" + content + struct.pack(">I", zlib.crc32(b"eaBm" + content))
    stored = small[:at] + lying + small[at + 12 + length :]

    assert received_bytes(kept_as(tmp_path, b"another", stored)) == stored


def test_the_archive_keeps_the_small_one_and_the_spool_is_empty(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive", max_bytes=10**6, min_free_bytes=0, compresses=True)
    data, found = encode_bmp(GREY), []
    sha256 = hashlib.sha256(data).hexdigest()
    for seq, (in_haste, came) in enumerate([(False, data), (True, data), (False, data + b"another")], 1):
        spooled = tmp_path / f"{seq}.bmp"
        spooled.write_bytes(came)
        kept = archive.file(seq, 1, Verdict.PASS, spooled, sha256, in_haste=in_haste)
        assert kept is not None
        assert not spooled.exists()
        is_whole = not archive.why_altered(kept, sha256)
        found.append((kept.suffix, is_whole, received_bytes(kept) == data))
    stored = sum(path.stat().st_size for path in (tmp_path / "archive").rglob("part_*"))

    assert found == [(".png", True, True), (".bmp", True, True), (".bmp", False, False)], (
        "an altered one is kept as it is"
    )
    assert archive.held.size_bytes == stored
    assert list(tmp_path.rglob("*.part")) == []


def test_a_disk_that_does_not_take_the_small_one_may_take_the_move(tmp_path: Path) -> None:
    class Refuses(FileSystem):
        def write(self, path: Path, data: bytes) -> None:
            path.write_bytes(data[:10])
            raise OSError(28, "No space left on device")

    archive = Archive(tmp_path / "archive", max_bytes=10**6, min_free_bytes=0, compresses=True, fs=Refuses())
    data, spooled = encode_bmp(GREY), tmp_path / "1.bmp"
    spooled.write_bytes(data)
    kept = archive.file(1, 1, Verdict.REJECT, spooled, hashlib.sha256(data).hexdigest())

    assert kept is not None
    assert kept.read_bytes() == data
    assert [path for path in (tmp_path / "archive").rglob("*") if path.is_file()] == [kept]
    assert archive.lost == 0
