"""What every source of images promises: the same for the FTP inbox and the watched folder."""

from __future__ import annotations

import asyncio
import ftplib
import hashlib
import io
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import pytest

from drivers.base import Judgement, Reason
from drivers.keyence.folder import WatchedFolder
from drivers.keyence.ftp_inbox import FtpInbox
from drivers.timing import monotonic_s
from tests.fault.keyence_peer import bmp, image_name, prove_bmp, soon, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from drivers.base import CaptureSource, ProveImage

FOLDER = "SD1_022/221020_103900/CAM1"
PASSWORD = "correct horse"  # noqa: S105


class Bench(Protocol):
    """A source, and how the controller gives it images."""

    def make(self, prove: ProveImage = prove_bmp) -> CaptureSource: ...

    def send(self, name: str, data: bytes) -> None: ...


class FtpBench:
    def __init__(self, root: Path) -> None:
        self._spool = root / "spool"
        self._inbox: FtpInbox | None = None

    def make(self, prove: ProveImage = prove_bmp) -> CaptureSource:
        self._inbox = FtpInbox(
            host="127.0.0.1",
            port=0,
            user="cvx",
            password=PASSWORD,
            allowed_peers=(),
            passive_ports=(0, 0),
            spool=self._spool,
            max_bytes=100_000,
            prove=prove,
            min_free_bytes=0,
        )
        return self._inbox

    def send(self, name: str, data: bytes) -> None:
        """As a CV-X does it: active mode, one folder after the other, the bare name at the end."""
        assert self._inbox is not None
        with ftplib.FTP(timeout=5) as client:  # noqa: S321
            client.connect("127.0.0.1", self._inbox.port)
            client.login("cvx", PASSWORD)
            client.set_pasv(False)
            *folders, bare = f"{FOLDER}/{name}".split("/")
            for folder in folders:
                client.mkd(folder)
                client.cwd(folder)
            with suppress(ftplib.error_temp):
                client.storbinary(f"STOR {bare}", io.BytesIO(data))


class FolderBench:
    def __init__(self, root: Path) -> None:
        self._root = root
        (root / "in").mkdir()

    def make(self, prove: ProveImage = prove_bmp) -> CaptureSource:
        return WatchedFolder(
            path=self._root / "in",
            spool=self._root / "spool",
            rescan_s=0.1,
            settle_s=0.04,
            max_bytes=100_000,
            prove=prove,
        )

    def send(self, name: str, data: bytes) -> None:
        folder = self._root / "in" / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture(params=[FtpBench, FolderBench])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    maker: Callable[[Path], Bench] = request.param
    return maker(tmp_path)


class Running:
    def __init__(self, source: CaptureSource) -> None:
        self.source = source

    async def __aenter__(self) -> CaptureSource:
        self._task = asyncio.create_task(self.source.run())
        await until(lambda: self.source.is_bound, "the source")
        return self.source

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_whole_image_comes_with_everything_its_name_tells(bench: Bench) -> None:
    before = monotonic_s()
    async with Running(bench.make()) as source:
        await asyncio.to_thread(bench.send, image_name(31, "NG"), bmp())
        capture = await soon(source.next())

    assert (capture.count, capture.camera, capture.session) == (31, 1, "221020_103900")
    assert (capture.program, capture.judgement, capture.name) == (22, Judgement.NG, image_name(31, "NG"))
    assert capture.broken is None
    assert capture.sha256 == hashlib.sha256(bmp()).hexdigest()
    assert before <= capture.received_mono_s <= monotonic_s()
    assert capture.path is not None
    assert capture.path.read_bytes() == bmp()


@pytest.mark.parametrize("data", [b"", b"B", bmp()[:-1], bmp() + b"\0", b"no image at all"])
async def test_what_is_not_proven_complete_surfaces_with_the_reason(bench: Bench, data: bytes) -> None:
    async with Running(bench.make()) as source:
        await asyncio.to_thread(bench.send, image_name(31), data)
        capture = await soon(source.next())

    assert (capture.count, capture.broken) == (31, Reason.IMAGE_BROKEN)
    assert capture.detail


async def test_images_come_in_their_order(bench: Bench) -> None:
    async with Running(bench.make()) as source:
        counts = []
        for count in range(5):
            await asyncio.to_thread(bench.send, image_name(count), bmp())
            counts.append((await soon(source.next())).count)

    assert counts == list(range(5))


async def test_the_same_name_twice_surfaces_twice(bench: Bench) -> None:
    async with Running(bench.make()) as source:
        for fill in (1, 2):
            await asyncio.to_thread(bench.send, image_name(31), bmp(fill))
            assert (await soon(source.next())).sha256 == hashlib.sha256(bmp(fill)).hexdigest()


async def test_a_name_that_tells_nothing_still_surfaces(bench: Bench) -> None:
    async with Running(bench.make()) as source:
        await asyncio.to_thread(bench.send, "part.bmp", bmp())
        capture = await soon(source.next())

    assert (capture.count, capture.judgement, capture.program) == (None, None, 22)


async def test_a_proof_with_a_bug_rejects_the_part_and_the_source_lives_on(bench: Bench) -> None:
    is_buggy = True

    def prove(data: bytes) -> None:
        if is_buggy:
            raise ZeroDivisionError(len(data))

    async with Running(bench.make(prove)) as source:
        await asyncio.to_thread(bench.send, image_name(31), bmp())
        assert (await soon(source.next())).broken is Reason.INTERNAL
        is_buggy = False
        await asyncio.to_thread(bench.send, image_name(32), bmp())
        assert (await soon(source.next())).broken is None


async def test_stopped_is_not_bound_and_a_second_run_works(bench: Bench) -> None:
    made = bench.make()
    assert not made.is_bound
    for count in (1, 2):
        async with Running(made) as source:
            await asyncio.to_thread(bench.send, image_name(count), bmp())
            assert (await soon(source.next())).count == count
        assert not made.is_bound
