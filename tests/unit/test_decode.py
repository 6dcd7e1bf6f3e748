"""Decoding: what comes out of good files, and what is refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from drivers.base import ImageRefused, Reason
from edge_agent.inspection.containers.decode import (
    MAX_PIXELS,
    check_shape,
    decode,
    prove_complete,
    read_image,
    zero_tail_rows,
)


def _scene(height: int = 120, width: int = 163) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    wave = 128 + 80 * np.sin(x / 7.0) * np.cos(y / 9.0)
    return np.clip(wave + np.random.default_rng(3).normal(0, 6, (height, width)), 1, 255).astype(np.uint8)


def _colour(height: int = 120, width: int = 163) -> np.ndarray:
    grey = _scene(height, width)
    return np.dstack([grey, grey[::-1], 255 - grey])


def _file(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def _bmp(pixels: np.ndarray, palette: np.ndarray, *, top_down: bool = False, colours: int = 0) -> bytes:
    """An 8-bit BMP with a palette of (N, 3) RGB, as a controller would write it."""
    height, width = pixels.shape
    stride = (width + 3) // 4 * 4
    rows = np.zeros((height, stride), np.uint8)
    rows[:, :width] = pixels if top_down else pixels[::-1]
    table = b"".join(bytes([b, g, r, 0]) for r, g, b in palette)
    at = 54 + len(table)
    head = struct.pack("<2sIHHI", b"BM", at + rows.size, 0, 0, at)
    info = struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, 8, 0, rows.size, 0, 0, colours, 0)
    return head + info + table + rows.tobytes()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, raw: bytes, *, bits: int = 8, interlace: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, interlace)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _refusal(data: bytes) -> str:
    with pytest.raises(ImageRefused) as refused:
        prove_complete(data)
    assert refused.value.reason is Reason.IMAGE_BROKEN
    return refused.value.detail


@pytest.mark.parametrize("kind", ["BMP", "PNG"])
@pytest.mark.parametrize("pixels", [_scene(), _colour(), np.dstack([_scene()] * 3)], ids=["grey", "rgb", "equal-rgb"])
def test_lossless_files_come_back_as_they_were_drawn(kind: str, pixels: np.ndarray) -> None:
    data = _file(pixels, kind)
    prove_complete(data)
    found = decode(data)

    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.flags.writeable
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"quality": 20}])
@pytest.mark.parametrize("pixels", [_scene(), _colour()], ids=["grey", "rgb"])
def test_jpeg_files_come_back_with_their_own_shape(pixels: np.ndarray, options: dict[str, object]) -> None:
    data = _file(pixels, "JPEG", **options)
    prove_complete(data)

    assert decode(data).shape == pixels.shape


@pytest.mark.parametrize("top_down", [False, True])
def test_a_palettised_grey_bmp_is_grey_whatever_the_order_of_its_palette(*, top_down: bool) -> None:
    pixels = _scene()
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)

    np.testing.assert_array_equal(decode(_bmp(pixels, ramp, top_down=top_down)), pixels)
    np.testing.assert_array_equal(decode(_bmp(pixels, ramp[::-1], top_down=top_down)), 255 - pixels)


def test_a_colour_palette_makes_a_colour_image() -> None:
    palette = np.random.default_rng(1).integers(0, 256, (256, 3), dtype=np.uint8)
    pixels = _scene()

    np.testing.assert_array_equal(decode(_bmp(pixels, palette)), palette[pixels])


def test_a_pixel_beyond_a_short_palette_is_refused() -> None:
    ramp = np.repeat(np.arange(16, dtype=np.uint8)[:, None], 3, axis=1)

    assert "palette of 16" in _refusal(_bmp(_scene(), ramp, colours=16))


@pytest.mark.parametrize("kind", ["BMP", "PNG"])
def test_alpha_is_dropped(kind: str) -> None:
    alpha = np.dstack([_colour(), np.full((120, 163), 77, np.uint8)])

    np.testing.assert_array_equal(decode(_file(alpha, kind)), _colour())


def test_a_palettised_png_is_grey_or_colour_as_its_palette_is() -> None:
    image = Image.fromarray(_scene()).convert("P")
    image.putpalette([v for v in range(256) for _ in range(3)])
    out = io.BytesIO()
    image.save(out, "PNG")

    assert decode(out.getvalue()).shape == (120, 163)
    assert decode(_file(_colour(), "PNG")).shape == (120, 163, 3)


@pytest.mark.parametrize("kind", ["BMP", "PNG", "JPEG"])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_constant_image_is_complete(kind: str, value: int) -> None:
    prove_complete(_file(np.full((96, 128), value, np.uint8), kind))
    prove_complete(_file(np.full((96, 128, 3), value, np.uint8), kind))
    if kind == "JPEG":
        prove_complete(_file(np.full((960, 1280), value, np.uint8), kind, optimize=True))
        prove_complete(_file(np.full((960, 1280), value, np.uint8), kind, progressive=True))


@pytest.mark.parametrize("kind", ["BMP", "PNG", "JPEG"])
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    data = _file(_scene(), kind)
    for end in np.unique(np.linspace(0, len(data) - 1, 400).astype(int)):
        _refusal(data[:end])


_JPEGS: list[dict[str, object]] = [
    {},
    {"progressive": True},
    {"optimize": True},
    {"restart_marker_blocks": 3},
    {"restart_marker_rows": 1, "progressive": True},
]


@pytest.mark.parametrize(
    ("kind", "options"), [("BMP", {}), ("PNG", {}), *(("JPEG", options) for options in _JPEGS)], ids=str
)
@pytest.mark.parametrize("after", ["zero", "zeros", "noise", "another"])
def test_bytes_after_a_proven_end_are_told_and_change_nothing(
    kind: str, options: dict[str, object], after: str
) -> None:
    data = _file(_colour(), kind, **options)
    more = {"zero": b"\0", "zeros": bytes(700), "noise": np.random.default_rng(5).bytes(999), "another": data}[after]
    padded = data + more
    prove_complete(padded)
    found = read_image(padded)

    np.testing.assert_array_equal(found.pixels, decode(data))
    assert read_image(data).note == ""
    assert found.note.startswith(f"{len(more)} bytes follow" if kind != "BMP" else "the BMP file's header says")


@pytest.mark.parametrize("options", _JPEGS, ids=str)
@pytest.mark.parametrize("pixels", [_scene(), _colour()], ids=["grey", "rgb"])
def test_an_end_mark_in_the_middle_of_a_jpeg_is_no_end(pixels: np.ndarray, options: dict[str, object]) -> None:
    data = _file(pixels, "JPEG", **options)
    begin = data.index(b"\xff\xda") + 14
    whole = decode(data)
    places = {int(at) for at in np.linspace(begin, len(data) - 3, 150)}
    places |= {at for at in range(begin, len(data) - 2) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7}
    refused = 0
    for at in sorted(places):
        for rest in (data[at + 2 :], bytes(64)):
            try:
                found = read_image(data[:at] + b"\xff\xd9" + rest)
            except ImageRefused as err:
                refused += "end mark (EOI) at" in err.detail
                continue
            # In a header the two bytes are no mark; and bits that no pixel needs may end a scan.
            if found.note:
                np.testing.assert_array_equal(found.pixels, whole, err_msg=f"at {at}")

    assert refused > len(places)


def test_a_bmp_that_says_less_than_it_is_is_whole_and_one_that_says_more_was_cut() -> None:
    good = _file(_colour(), "BMP")
    for said in (0, 54, len(good) - 54, len(good) - 2):
        data = bytearray(good)
        struct.pack_into("<I", data, 2, said)

        found = read_image(bytes(data))

        assert found.note == f"the BMP file's header says {said} bytes, {len(good)} came"
        np.testing.assert_array_equal(found.pixels, _colour())
        assert "bytes from" in _refusal(bytes(data[:-1]))
    struct.pack_into("<I", data, 2, len(good) + 2)
    assert "its header says" in _refusal(bytes(data))


def test_a_bmp_without_its_palette_is_told_so() -> None:
    pixels = _scene()
    none = _bmp(pixels, np.zeros((0, 3), np.uint8))

    assert "without a palette" in _refusal(none)
    assert "palette of 256 colours does not fit" in _refusal(_bmp(pixels, np.zeros((100, 3), np.uint8)))


def test_of_an_animated_png_the_first_picture_is_judged_and_that_is_told() -> None:
    out = io.BytesIO()
    Image.fromarray(_scene()).save(out, "PNG", save_all=True, append_images=[Image.fromarray(255 - _scene())])

    found = read_image(out.getvalue())

    np.testing.assert_array_equal(found.pixels, _scene())
    assert "animated" in found.note


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"optimize": True})]
)
@pytest.mark.parametrize("pixels", [_scene(480, 640), _colour(240, 320)], ids=["grey", "rgb"])
def test_a_zero_filled_tail_of_a_png_or_jpeg_is_refused(
    kind: str, options: dict[str, object], pixels: np.ndarray
) -> None:
    data = _file(pixels, kind, **options)
    for percent in range(1, 100):
        kept = len(data) - len(data) * percent // 100

        _refusal(data[:kept] + bytes(len(data) - kept))


@pytest.mark.parametrize("pixels", [_scene(480, 640), _scene(48, 64), _scene(121, 163), _colour(121, 163)])
def test_a_zero_filled_tail_of_a_bmp_is_refused_or_counted(pixels: np.ndarray) -> None:
    data = _file(pixels, "BMP")

    assert zero_tail_rows(data) == 0
    for percent in range(1, 100):
        kept = len(data) - len(data) * percent // 100
        filled = data[:kept] + bytes(len(data) - kept)
        try:
            prove_complete(filled)
        except ImageRefused:
            continue
        assert zero_tail_rows(filled) >= 1


def test_zero_rows_are_counted_at_the_end_of_the_file_which_is_the_top_of_the_image() -> None:
    pixels = _scene()
    pixels[:5] = 0
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)

    assert zero_tail_rows(_bmp(pixels, ramp)) == 5
    assert zero_tail_rows(_bmp(pixels, ramp, top_down=True)) == 0
    assert zero_tail_rows(_bmp(pixels[::-1], ramp, top_down=True)) == 5


def test_a_part_of_a_row_counts_but_not_its_padding_nor_a_few_dark_pixels() -> None:
    pixels = _scene()
    pixels[0, -40:] = 0
    assert zero_tail_rows(_file(pixels, "BMP")) == 1

    pixels = _scene()
    pixels[0, -5:] = 0
    assert zero_tail_rows(_file(pixels, "BMP")) == 0
    assert zero_tail_rows(_file(np.zeros((20, 30), np.uint8), "BMP")) == 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_png_and_jpeg_need_no_count_of_zero_rows(kind: str) -> None:
    assert zero_tail_rows(_file(np.zeros((20, 30), np.uint8), kind)) == 0


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_hole_of_zeros_inside_a_jpeg_is_refused(options: dict[str, object]) -> None:
    data = bytearray(_file(_scene(480, 640), "JPEG", quality=92, **options))
    middle = len(data) // 2
    data[middle : middle + 4096] = bytes(4096)

    assert "zeros" in _refusal(bytes(data))


def test_a_flipped_byte_in_a_png_is_refused() -> None:
    data = bytearray(_file(_scene(), "PNG"))
    for at in range(8, len(data), 997):
        data[at] ^= 0x40
        _refusal(bytes(data))
        data[at] ^= 0x40


def test_a_png_with_too_few_or_too_many_pixels_is_refused_although_its_checksums_fit() -> None:
    row = b"\0" + bytes(range(100))
    prove_complete(_png(100, 50, row * 50))

    assert "pixel data" in _refusal(_png(100, 50, row * 49))
    assert "pixel data" in _refusal(_png(100, 50, row * 51))
    assert "pixel data" in _refusal(_png(100, 50, b""))


def test_what_cannot_be_judged_is_named() -> None:
    assert "empty" in _refusal(b"")
    assert "zero bytes" in _refusal(bytes(5000))
    assert "not a BMP" in _refusal(b"a few words")
    assert "a GIF file" in _refusal(b"GIF89a" + bytes(100))
    assert "a TIFF file" in _refusal(_file(_scene(), "TIFF"))
    assert "not understood: 16 bits" in _refusal(_png(10, 10, bytes(210), bits=16))
    assert "OS/2" in _refusal(b"BM" + struct.pack("<IHHIIHHHH", 200, 0, 0, 26, 12, 5, 5, 1, 24) + bytes(174))
    assert "interlaced" in _refusal(_png(10, 10, bytes(110), interlace=1))
    assert "1 bits" in _refusal(_file(_scene() > 100, "BMP"))
    assert "CMYK" in _refusal(_cmyk())


def _cmyk() -> bytes:
    out = io.BytesIO()
    Image.fromarray(_colour()).convert("CMYK").save(out, "JPEG")
    return out.getvalue()


def test_pixel_bombs_are_refused_before_they_are_decoded() -> None:
    side = 20_000
    bmp = bytearray(_file(_scene(), "BMP"))
    struct.pack_into("<ii", bmp, 18, 60_000, 60_000)
    jpeg = bytearray(_file(_scene(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    struct.pack_into(">HH", jpeg, frame + 5, side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert str(MAX_PIXELS) in _refusal(_png(side, side, bytes(1000)))
        assert str(MAX_PIXELS) in _refusal(bytes(jpeg))
        _refusal(bytes(bmp))


def test_pillow_is_not_told_to_accept_truncated_files() -> None:
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("kind", ["BMP", "PNG", "JPEG"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_raises_anything_but_a_refusal(kind: str, data: st.DataObject) -> None:
    good = bytearray(_file(_scene(40, 50), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, min(len(good) - 1, 700)))] = data.draw(st.integers(0, 255))
    try:
        prove_complete(bytes(good))
        zero_tail_rows(bytes(good))
    except ImageRefused:
        return
    assert decode(bytes(good)).dtype == np.uint8


def test_another_shape_is_refused_in_words() -> None:
    check_shape(np.zeros((1200, 1600), np.uint8), (1200, 1600))
    with pytest.raises(ImageRefused, match=r"got 800 x 600 RGB, the reference is 1600 x 1200 grey") as refused:
        check_shape(np.zeros((600, 800, 3), np.uint8), (1200, 1600))

    assert refused.value.reason is Reason.IMAGE_SIZE
