"""What a line sets about its images: the judged type of several, an early 226, a share that only polling sees."""

from __future__ import annotations

import asyncio
import ftplib
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from structlog.testing import capture_logs

from drivers.base import ImageRefused, Reason
from drivers.keyence import folder_hints
from drivers.keyence.folder import WatchedFolder
from drivers.keyence.ftp_inbox import FtpInbox
from drivers.keyence.names import NameRule
from tests.fault.keyence_peer import bmp, image_name, prove_bmp, soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from drivers.base import CaptureSource

PASSWORD = "correct horse"  # noqa: S105
TYPED = "230516_082343_{count:010d}_CAM1_{kind}_OK.bmp"


def inbox(tmp_path: Path, **changes: Any) -> FtpInbox:
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "user": "cvx",
        "password": PASSWORD,
        "allowed_peers": (),
        "passive_ports": (0, 0),
        "spool": tmp_path / "spool",
        "max_bytes": 100_000,
        "prove": prove_bmp,
        "min_free_bytes": 0,
    }
    return FtpInbox(**options | changes)


@asynccontextmanager
async def running(source: CaptureSource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    await until(lambda: source.is_bound, "the source")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def stored(port: int, *files: tuple[str, bytes]) -> list[str]:
    """The replies to the files, one session for all."""
    replies = []
    with ftplib.FTP(timeout=5) as client:  # noqa: S321
        client.connect("127.0.0.1", port)
        client.login("cvx", PASSWORD)
        for name, data in files:
            try:
                replies.append(client.storbinary(f"STOR {name}", io.BytesIO(data)))
            except ftplib.Error as err:
                replies.append(str(err))
    return replies


async def test_the_type_of_an_image_is_told(tmp_path: Path) -> None:
    source = inbox(tmp_path)
    async with running(source):
        await asyncio.to_thread(stored, source.port, (TYPED.format(count=1, kind="SHAPE1"), bmp()))
        assert (await soon(source.next())).kind == "SHAPE1"


async def test_images_beside_the_judged_one_are_taken_and_are_no_part(tmp_path: Path) -> None:
    source = inbox(tmp_path, names=NameRule.of("cv-x", "NORMAL"))
    async with running(source):
        files = [(TYPED.format(count=1, kind=kind), bmp()) for kind in ("SHAPE1", "TEXTURE", "NORMAL")]
        replies = await asyncio.to_thread(stored, source.port, *files, (image_name(2), bmp()), ("part.bmp", bmp()))
        captures = [await soon(source.next()) for _ in range(2)]

    assert [reply[:3] for reply in replies] == ["226"] * 5
    assert [(capture.count, capture.kind) for capture in captures] == [(1, "NORMAL"), (None, "")]
    assert len(list((tmp_path / "spool" / "ready").iterdir())) == 2


async def test_in_a_folder_images_beside_the_judged_one_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = WatchedFolder(
        path=tmp_path / "in", spool=tmp_path / "spool", rescan_s=0.05, settle_s=0.02, max_bytes=100_000,
        prove=prove_bmp, names=NameRule.of("cv-x", "NORMAL"),
    )  # fmt: skip
    async with running(source):
        for kind in ("SHAPE1", "NORMAL"):
            (tmp_path / "in" / TYPED.format(count=1, kind=kind)).write_bytes(bmp())
        assert (await soon(source.next())).kind == "NORMAL"
        assert [path.name for path in (tmp_path / "in").iterdir()] == [TYPED.format(count=1, kind="SHAPE1")]


async def test_226_may_come_before_the_proof_and_what_is_broken_is_rejected_all_the_same(tmp_path: Path) -> None:
    def prove(data: bytes) -> None:
        if data != bmp():
            raise ImageRefused(Reason.IMAGE_BROKEN, "not what was expected")

    source = inbox(tmp_path, prove=prove, replies_when_proven=False)
    async with running(source):
        replies = await asyncio.to_thread(
            stored, source.port, (image_name(1), bmp()), (image_name(2), bmp()[:-5]), (image_name(3), b"")
        )
        captures = [await soon(source.next()) for _ in range(3)]

    assert [reply[:3] for reply in replies] == ["226"] * 3
    assert [capture.broken for capture in captures] == [None, Reason.IMAGE_BROKEN, Reason.IMAGE_BROKEN]


async def test_a_folder_on_another_machine_is_polled_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_hints, "network_filesystem", lambda _: "cifs")
    monkeypatch.setattr(folder_hints, "_RETRY_S", 0.0)
    (tmp_path / "in").mkdir()
    source = WatchedFolder(
        path=tmp_path / "in", spool=tmp_path / "spool", rescan_s=0.05, settle_s=0.02, max_bytes=100_000, prove=prove_bmp
    )
    with capture_logs() as logs:
        async with running(source):
            for count in range(3):
                (tmp_path / "in" / image_name(count)).write_bytes(bmp())
                assert (await soon(source.next())).count == count

    assert [entry["filesystem"] for entry in logs if entry["event"] == "folder_polled"] == ["cifs"]
