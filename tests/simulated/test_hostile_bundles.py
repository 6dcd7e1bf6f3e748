"""Bundles that somebody made to break the agent: each refused in words, with exit code 65, and cheaply."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import shutil
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from calibration.calibrate import calibrate
from calibration.options import CalibrationOptions
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from tests.command_line import edge_agent_here
from tests.simulated.line import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MOST_BYTES = 3 << 30


@pytest.fixture(scope="module")
def local_bundle(thumbnail_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the score with channels; what can be wrong with one of views is in tests/unit/test_manifest_fuzz.py."""
    out = tmp_path_factory.mktemp("local") / "bundle"
    return calibrate(thumbnail_bundle.parent / "good", out, CalibrationOptions(program=PROGRAM, method="local")).path


@pytest.fixture
def copy(local_bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(local_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What claims gigabytes and gets them would end here with a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        in_use = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MOST_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return found


def changed(folder: Path, path: str, value: object) -> None:
    """Another value in the manifest, and the id that goes with it."""
    manifest = manifest_of(folder)
    *holders, key = path.split(".")
    node = manifest
    for holder in holders:
        node = node[holder]
    node[key] = value
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))


def put(folder: Path, name: str, data: bytes) -> None:
    """Another file, and the sha256 and id that go with it."""
    (folder / name).write_bytes(data)
    manifest = manifest_of(folder)
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(BundleRejected, match=words) as caught:
        Bundle.load(folder)
    assert caught.value.exit_code == 65
    assert caught.value.hint
    str(caught.value).encode("utf-8")  # it can be printed


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda s: re.sub(r'"value": [0-9.e+-]+', '"value": NaN', s, count=1), "NaN is no number"),
        (lambda s: re.sub(r'"value": [0-9.e+-]+', '"value": -Infinity', s, count=1), "-Infinity is no number"),
        (lambda s: re.sub(r'"value": [0-9.e+-]+', '"value": 1e999', s, count=1), "too large"),
        (lambda s: re.sub(r'"program": \d+', f'"program": {"9" * 5000}', s, count=1), "5000 digits"),
        (lambda _: "[" * 100_000, "nested"),
        (lambda _: '{"a":' * 100_000, "nested"),
        (lambda s: s.replace('"seed": 0', f'"seed": {"[" * 60}{"]" * 60}', 1), "nested"),
        (lambda s: s.replace('"part": "', '"part": "\\ud800', 1), "surrogates"),
        (lambda s: s.replace('"seed"', '"\\udfff"', 1), "surrogates"),
        (lambda s: s.replace('"program": 1', '"program": 1, "program": 2', 1), "'program' is there twice"),
        (lambda s: s + "{}", "not JSON"),
        (lambda _: "", "not JSON"),
    ],
)
def test_a_manifest_of_hostile_text_is_refused(copy: Path, edit: Callable[[str], str], words: str) -> None:
    (copy / MANIFEST).write_text(edit((copy / MANIFEST).read_text()))

    refused(copy, words)


@pytest.mark.parametrize("data", [b"\xff\xfe{}", "{}".encode("utf-16"), b'{"part": "\xc3\x28"}'])
def test_a_manifest_that_is_not_utf_8_is_refused(copy: Path, data: bytes) -> None:
    (copy / MANIFEST).write_bytes(data)

    refused(copy, "not UTF-8")


def test_a_file_of_the_wrong_kind_or_size_is_refused_without_reading_it(copy: Path) -> None:
    os.truncate(copy / MANIFEST, 1 << 40)
    refused(copy, "bytes, at most")
    (copy / MANIFEST).unlink()
    os.mkfifo(copy / MANIFEST)
    refused(copy, "not a regular file")


@pytest.mark.parametrize("name", ["reference.png", "bank.npz", "golden.npz", "cpcae.onnx", "backbone.onnx"])
def test_a_huge_file_or_a_pipe_of_a_bundle_is_refused_without_reading_it(copy: Path, name: str) -> None:
    os.truncate(copy / name, 1 << 40)
    refused(copy, f"{name}: it has .* bytes, at most")
    (copy / name).unlink()
    os.mkfifo(copy / name)
    refused(copy, f"{name}: it is not a regular file")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("limit.value", 1e300, "limit.value is 1e.300, allowed is"),
        ("limit.value", -1.0, "nothing could be judged"),
        ("limit.review_from", 1e300, "limit.review_from"),
        ("limit.expected", "many", "limit.expected is not a number"),
        ("limit.statement", 7, "limit.statement is not a string"),
        ("align.quality_min", -1e300, "align.quality_min"),
        ("align.unseen_max", 1e300, "align.unseen_max"),
        ("align.pose.gain", {"low": 0, "high": 0, "least": -1e308, "most": 1e308}, "align.pose.gain.least"),
        ("align.pose.gain", {"low": 0, "high": 0, "least": 0}, "align.pose.gain.most is missing"),
        ("align.pose.gain", 3, "align.pose.gain is not an object"),
        ("align.pose", {"colour": {}}, "'colour' is not known"),
        ("registration", {"__class__": 1}, "'__class__' is not known"),
        ("registration.pixels", 10**12, "registration.pixels"),
        ("registration.still", 1, "registration.still is not true or false"),
        ("patches.working_height", 10**9, "patches.working_height"),
        ("patches.stride", 0, "patches.stride"),
        ("patches", {"working_height": 2048, "working_width": 2048, "patch": 512, "stride": 4}, "a larger stride"),
        ("image.height", 2**40, "image.height"),
        ("image", {"height": 100_000, "width": 100_000, "channels": 1, "zero_tail_rows": 0}, "larger than any"),
        ("image.zero_tail_rows", -1, "image.zero_tail_rows"),
        ("crop", [0, 0, 2**62, 2**62], "crop"),
        ("crop", [], "a list of 4"),
        ("method.channels", {}, "no channel"),
        ("method.channels", {"sound": {"usual": 1.0, "odd": 2.0}}, "sound"),
        ("method.channels.image.odd", 1e300, "method.channels.image.odd"),
        ("method.channels.image.odd", 0.1, "no scale"),
        ("training_images", 7, "training_images is not a list"),
        ("training_images", [{"name": "a"}], "sha256 is missing"),
        ("versions", None, "versions is not an object"),
        ("part", "\x1b[2J", "control characters"),
        ("part", "x" * 100_000, "part has 100000 characters"),
        ("notes", 1e300, "no figure of a calibration"),
        ("files.reference.png", 7, "files"),
        ("seed", 2**70, "too large"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_bounds(copy: Path, path: str, value: object, words: str) -> None:
    if path.startswith("files."):
        manifest = manifest_of(copy)
        manifest["files"][path.removeprefix("files.")] = value
        (copy / MANIFEST).write_bytes(encode_manifest(manifest))
    else:
        changed(copy, path, value)

    refused(copy, words)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "", "reference.png/../x"])
def test_a_file_outside_the_folder_is_refused(copy: Path, name: str) -> None:
    manifest = manifest_of(copy)
    manifest["files"][name] = "0" * 64
    (copy / MANIFEST).write_bytes(encode_manifest(manifest))

    refused(copy, "files are")


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def members(folder: Path, name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / name) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def claim(shape: tuple[int, ...], kind: str = "<f2") -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": kind, "fortran_order": False, "shape": shape})
    return header.getvalue()


def header(rest: str) -> bytes:
    text = f"{{'descr': '<f2', 'fortran_order': False, {rest}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    return buffer.getvalue()


HOSTILE_MEMBERS = {
    "20 GB": (claim((10**6, 10**4)) + bytes(1 << 20), "claims 1000000 x 10000 values"),
    "more than 64 bits": (claim((10**11, 10**11)), "claims"),
    "digits": (header("'shape': (" + "1" * 110 + "x), }"), "does not begin"),
    "sizes without commas": (header("'shape': (1 2 3), }"), "no numbers"),
    "an empty array": (claim((0, 6, 9, 112)), "shapes"),
    "brackets": (b"\x93NUMPY\x02\x00" + (1 << 20).to_bytes(4, "little") + b"(" * (1 << 20), "does not begin"),
    "code": (b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').abort()".ljust(64), "does not begin"),
    "a pickle": (pickled(), "does not begin"),
    "not finite": (claim((1,)) + np.float16(np.inf).tobytes(), "not finite"),
    "nothing": (b"", "does not begin"),
}


@pytest.mark.parametrize("name", ["bank.npz", "golden.npz"])
@pytest.mark.parametrize("what", HOSTILE_MEMBERS)
@pytest.mark.usefixtures("little_memory")
def test_an_array_that_is_not_what_it_claims_is_refused(copy: Path, name: str, what: str) -> None:
    content, words = HOSTILE_MEMBERS[what]
    put(copy, name, zipped(dict.fromkeys(members(copy, name), content)))

    with pytest.raises(BundleRejected, match=f"{name}: .*{words}" if name == "bank.npz" else name):
        Inspector(Bundle.load(copy)).warm_up()


def spoilt_archives(folder: Path) -> dict[str, tuple[bytes, str]]:
    good, plain = members(folder, "bank.npz"), (folder / "bank.npz").read_bytes()
    directory = plain.index(b"PK\x01\x02")
    encrypted, strange = bytearray(plain), bytearray(plain)
    encrypted[directory + 8] |= 1
    strange[directory + 10] = 99
    npy = io.BytesIO()
    np.save(npy, np.zeros(3))
    overlapping = bytearray(plain)
    for at in (m.start() for m in re.finditer(b"PK\x01\x02", plain)):
        overlapping[at + 20 : at + 28] = (len(plain) - 100).to_bytes(4, "little") * 2
    return {
        "encrypted": (bytes(encrypted), "is encrypted"),
        "another compression": (bytes(strange), "is compressed"),
        "compressed zeros": (zipped(dict.fromkeys(good, bytes(1 << 24)), zipfile.ZIP_DEFLATED), "is compressed"),
        "members over each other": (bytes(overlapping), "claim"),
        "ten thousand members": (zipped({f"{i}.npy": b"" for i in range(10_000)}), "table of contents"),
        "an array alone": (npy.getvalue(), "not a file of arrays"),
        "no member": (zipped({}), "missing"),
        "half of it": (plain[: len(plain) // 2], "not a file of arrays"),
        "a bit of an array": (plain[:5000] + bytes([plain[5000] ^ 1]) + plain[5001:], "damaged"),
    }


@pytest.mark.parametrize(
    "what",
    [
        "encrypted",
        "another compression",
        "compressed zeros",
        "members over each other",
        "ten thousand members",
        "an array alone",
        "no member",
        "half of it",
        "a bit of an array",
    ],
)
@pytest.mark.usefixtures("little_memory")
def test_an_archive_that_numpy_did_not_write_is_refused(copy: Path, what: str) -> None:
    data, words = spoilt_archives(copy)[what]
    put(copy, "bank.npz", data)

    refused(copy, f"bank.npz: .*{words}")


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int, height: int, stream: bytes) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


@pytest.mark.usefixtures("little_memory")
def test_a_reference_image_that_unpacks_to_gigabytes_is_refused(copy: Path) -> None:
    put(copy, "reference.png", png(60_000, 60_000, zlib.compress(bytes(1 << 24))))
    refused(copy, "reference.png: 60000 x 60000 pixels are more than the limit")

    put(copy, "reference.png", b"GIF89a")
    refused(copy, "reference.png: a GIF file, not a BMP, PNG or JPEG")


def test_a_reference_image_without_anything_to_see_is_refused(copy: Path) -> None:
    ok, data = cv2.imencode(".png", np.zeros((120, 160), np.uint8))
    assert ok
    put(copy, "reference.png", data.tobytes())

    with pytest.raises(BundleRejected):
        Inspector(Bundle.load(copy)).warm_up()


def onnx_with(change: Callable[[Any], None], folder: Path) -> bytes:
    import onnx

    model = onnx.load_model_from_string((folder / "backbone.onnx").read_bytes())
    change(model)
    data: bytes = model.SerializeToString()
    return data


def other_file(model: Any) -> None:
    """The weights are to be read from a file of this PC."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def other_file_in_an_attribute(model: Any) -> None:
    node = model.graph.node.add()
    node.op_type, node.output[:] = "Constant", ["c"]
    attribute = node.attribute.add()
    attribute.name, attribute.type = "value", 4
    attribute.t.dims[:] = [1]
    attribute.t.data_type = 1
    entry = attribute.t.external_data.add()
    entry.key, entry.value = "location", "/etc/shadow"


def endless(model: Any) -> None:
    node = model.graph.node.add()
    node.op_type = "Loop"
    attribute = node.attribute.add()
    attribute.name, attribute.type = "body", 5
    attribute.g.name = "for ever"


def own_function(model: Any) -> None:
    model.functions.add().name = "mine"


def foreign_operator(model: Any) -> None:
    node = model.graph.node.add()
    node.op_type, node.domain = "EPContext", "com.microsoft"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_file, "in another file"),
        (other_file_in_an_attribute, "in another file"),
        (endless, "for ever"),
        (own_function, "functions of its own"),
        (foreign_operator, "only those of plain ONNX"),
        (lambda model: model.ClearField("graph"), "no ONNX file"),
    ],
)
@pytest.mark.parametrize("name", ["cpcae.onnx", "backbone.onnx"])
def test_a_network_that_reaches_out_of_its_file_or_never_ends_is_refused(
    copy: Path, name: str, change: Callable[[Any], None], words: str
) -> None:
    put(copy, name, onnx_with(change, copy))

    refused(copy, f"{name}: .*{words}")


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x3a\xff\xff\xff\xff\x7f", b"hello", b"\x3a\x02\x08\x01" * 300_000])
def test_what_is_no_network_is_refused(copy: Path, data: bytes) -> None:
    put(copy, "backbone.onnx", data)

    with pytest.raises(BundleRejected):
        Inspector(Bundle.load(copy))


def test_a_bank_of_other_places_than_the_network_gives_is_refused_before_a_part_comes(copy: Path) -> None:
    arrays = dict(np.load(copy / "bank.npz"))
    arrays = {name: array[:, :-1] if name.endswith("_features") else array for name, array in arrays.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    put(copy, "bank.npz", buffer.getvalue())

    with pytest.raises(BundleRejected, match="cannot be judged") as caught:
        Inspector(Bundle.load(copy)).warm_up()
    assert caught.value.hint


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema_version": NaN}', '{"schema_version": 1e999}', "\\ud800"])
def test_a_hostile_pointer_of_a_registry_is_refused(thumbnail_bundle: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(thumbnail_bundle, tmp_path / "bundles" / "one")
    (tmp_path / "bundles" / "active.json").write_text(text)

    refused(tmp_path / "bundles", "active.json cannot be read")


def test_the_command_line_says_it_in_words_with_exit_code_65(copy: Path) -> None:
    changed(copy, "limit.value", 1e300)

    ran = edge_agent_here("bundle", "show", str(copy))

    assert ran.code == 65
    assert "limit.value is 1e+300, allowed is" in ran.err
    assert "hint: calibrate again" in ran.err
