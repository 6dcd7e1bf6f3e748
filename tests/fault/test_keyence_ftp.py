"""The FTP inbox against clients that fail or attack: nothing incomplete is judged, nothing leaves the spool."""

from __future__ import annotations

import asyncio
import errno
import ftplib
import io
import os
import re
import resource
import socket
import struct
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import Reason
from drivers.keyence import spool
from drivers.keyence.ftp_inbox import FtpInbox
from tests.fault.keyence_peer import WAIT_S, bmp, image_name, prove_bmp, soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

PASSWORD = "correct horse"  # noqa: S105


@asynccontextmanager
async def inbox_in(folder: Path, **changes: Any) -> AsyncIterator[FtpInbox]:
    options: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "user": "cvx",
        "password": PASSWORD,
        "allowed_peers": ("127.0.0.1",),
        "passive_ports": (0, 0),
        "spool": folder / "spool",
        "max_bytes": 100_000,
        "prove": prove_bmp,
        "login_failed_wait_s": 0.0,
        "min_free_bytes": 0,
    }
    inbox = FtpInbox(**options | changes)
    task = asyncio.create_task(inbox.run())
    try:
        await until(lambda: inbox.is_bound, "the port")
        yield inbox
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextmanager
def logged_in(port: int, *, is_passive: bool = False) -> Iterator[ftplib.FTP]:
    client = ftplib.FTP(encoding="utf-8")  # noqa: S321
    try:
        client.connect("127.0.0.1", port, timeout=WAIT_S)
        client.login("cvx", PASSWORD)
        client.set_pasv(is_passive)
        yield client
    finally:
        client.close()


def store(client: ftplib.FTP, name: str, data: bytes, command: str = "STOR") -> str:
    """Upload; the last reply, whatever it was."""
    try:
        try:
            return client.storbinary(f"{command} {name}", io.BytesIO(data))
        except ConnectionError:  # the inbox gave up in mid-transfer; why stands on the control connection
            return client.voidresp()
    except ftplib.Error as err:
        return str(err)


async def upload(inbox: FtpInbox, name: str, data: bytes, **options: Any) -> str:
    def body() -> str:
        with logged_in(inbox.port, **options) as client:
            return store(client, name, data)

    return await asyncio.to_thread(body)


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_226_comes_after_the_image_is_proven_and_in_its_place(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:
        in_time: list[bool] = []

        def body() -> None:
            with logged_in(inbox.port) as client:
                assert store(client, image_name(31), bmp()).startswith("226")
                in_time.append(len(files_of(tmp_path / "spool" / "ready")) == 1)

        await asyncio.to_thread(body)
        capture = await soon(inbox.next())

        assert in_time == [True]
        assert capture.broken is None
        assert capture.path is not None
        assert capture.path.read_bytes() == bmp()


async def test_an_image_is_stored_where_the_machine_gives_no_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "spool-sync":
            raise RuntimeError("can't start new thread")
        start(thread)

    async with inbox_in(tmp_path, tells_while_storing=True) as inbox:
        monkeypatch.setattr(threading.Thread, "start", refused)
        uploading = asyncio.create_task(upload(inbox, image_name(31), bmp()))
        capture = await soon(inbox.next())
        assert capture.storing is not None
        stored, reply = await soon(capture.storing), await soon(uploading)

    assert stored.broken is None
    assert reply.startswith("226")


@pytest.mark.parametrize("is_refused", [False, True])
async def test_an_image_is_told_while_it_is_stored_and_226_comes_once_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    may_sync = threading.Event()

    def sync(_file: Path) -> None:
        assert may_sync.wait(WAIT_S)
        if is_refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(spool, "sync_file", sync)
    async with inbox_in(tmp_path, tells_while_storing=True) as inbox:
        uploading = asyncio.create_task(upload(inbox, image_name(31), bmp()))
        capture = await soon(inbox.next())
        assert capture.broken is None
        assert capture.path is not None
        assert capture.path.read_bytes() == bmp()
        assert capture.storing is not None
        assert not capture.storing.done()
        assert not uploading.done()
        may_sync.set()
        stored, reply = await soon(capture.storing), await soon(uploading)

    assert stored.storing is None
    if is_refused:
        assert reply.startswith("451 DISK")
        assert stored.broken is Reason.DISK
    else:
        assert reply.startswith("226")
        assert (stored.path, stored.sha256, stored.broken) == (capture.path, capture.sha256, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("is_told_early", [False, True])
async def test_an_image_whose_sync_ends_in_an_error_of_ours_is_not_taken_for_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_told_early: bool
) -> None:
    def fails(_file: Path) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(spool, "sync_file", fails)
    async with inbox_in(tmp_path, tells_while_storing=is_told_early) as inbox:
        reply = await upload(inbox, image_name(31), bmp())
        capture = await soon(inbox.next())
        stored = capture if capture.storing is None else await soon(capture.storing)

    assert reply.startswith("451 DISK")
    assert stored.broken is Reason.DISK


@pytest.mark.parametrize("is_told_early", [False, True])
async def test_an_image_that_is_not_proven_is_told_once(tmp_path: Path, *, is_told_early: bool) -> None:
    async with inbox_in(tmp_path, tells_while_storing=is_told_early) as inbox:
        await upload(inbox, image_name(31), bmp()[:-10])
        broken = await soon(inbox.next())
        await upload(inbox, image_name(32), bmp())
        after = await soon(inbox.next())

        assert (broken.broken, broken.storing) == (Reason.IMAGE_BROKEN, None)
        assert after.count == 32
        assert (after.storing is not None) is is_told_early


def send_then(client: ftplib.FTP, part: bytes, how: str) -> None:
    """Send ``part`` of an image and end the transfer the way ``how`` says."""
    data = client.transfercmd(f"STOR {image_name(31)}")
    data.sendall(part)
    if how == "fin":
        data.close()
        with suppress(ftplib.Error):
            client.voidresp()
    elif how == "rst":
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
        with suppress(ftplib.Error):
            client.voidresp()
    elif how == "abor":
        client.putcmd("ABOR")
        with suppress(ftplib.Error):
            client.getmultiline()
        data.close()
    elif how == "control":
        client.close()
        data.close()
    elif how == "stall":
        with suppress(ftplib.Error, EOFError):
            client.voidresp()
        data.close()
    elif how == "port":
        client.makeport().close()
        data.close()


@pytest.mark.parametrize("how", ["fin", "rst", "abor", "control", "stall", "port"])
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.35, 0.999])
async def test_a_cut_upload_is_never_complete(tmp_path: Path, how: str, share: float) -> None:
    async with inbox_in(tmp_path, stall_timeout_s=0.15) as inbox:
        part = bmp()[: int(len(bmp()) * share)]

        def body() -> None:
            with logged_in(inbox.port) as client:
                send_then(client, part, how)

        await asyncio.to_thread(body)
        capture = await soon(inbox.next())

        assert capture.broken is Reason.IMAGE_BROKEN
        assert (capture.count, capture.name) == (31, image_name(31))
        assert capture.detail
        assert not files_of(tmp_path / "spool" / "ready")
        assert not files_of(tmp_path / "spool" / ".incoming")


async def test_a_whole_file_whose_connection_was_reset_is_not_believed(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client:
                send_then(client, bmp(), "rst")

        await asyncio.to_thread(body)
        capture = await soon(inbox.next())

        # The reset may overtake the data or not; a whole image is only ever called broken, never half a one whole.
        assert capture.broken in (None, Reason.IMAGE_BROKEN)


async def test_a_connection_that_is_reset_before_it_was_accepted_is_answered_and_surfaces(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                host, port = client.makepasv()
                data = socket.create_connection((host, port))
                data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.putcmd(f"STOR {image_name(31)}")
                data.close()
                replies = [client.getmultiline()]
                if replies[0].startswith("1"):
                    replies.append(client.getmultiline())
                return replies[-1]

        assert (await asyncio.to_thread(body))[:3] in ("425", "426", "451")
        assert (await soon(inbox.next())).broken is Reason.IMAGE_BROKEN


async def test_stor_without_a_data_connection_is_refused_and_surfaces(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client, pytest.raises(ftplib.Error) as refused:
                client.sendcmd(f"STOR {image_name(31)}")
            return str(refused.value)

        assert (await asyncio.to_thread(body)).startswith("425")
        assert (await soon(inbox.next())).broken is Reason.IMAGE_BROKEN


async def test_a_data_connection_that_never_comes_surfaces(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, stall_timeout_s=0.15) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client:
                client.makepasv()
                assert client.sendcmd(f"STOR {image_name(31)}").startswith("150")
                with suppress(ftplib.Error, EOFError):
                    client.voidresp()

        await asyncio.to_thread(body)
        capture = await soon(inbox.next())

        assert capture.broken is Reason.IMAGE_BROKEN
        assert "no data connection" in capture.detail


async def test_a_second_stor_during_a_transfer_is_refused_and_harms_neither(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client:
                data = client.transfercmd(f"STOR {image_name(31)}")
                data.sendall(bmp()[:100])
                with pytest.raises(ftplib.Error, match="450"):
                    client.sendcmd(f"STOR {image_name(32)}")
                data.sendall(bmp()[100:])
                data.close()
                assert client.voidresp().startswith("226")

        await asyncio.to_thread(body)
        second, first = await soon(inbox.next()), await soon(inbox.next())

        assert (second.count, second.broken) == (32, Reason.IMAGE_BROKEN)
        assert (first.count, first.broken) == (31, None)


async def test_ascii_mode_changes_no_byte(tmp_path: Path) -> None:
    data = bmp(fill=0x0D)[:-2] + b"\r\n"
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client:
                client.sendcmd("TYPE A")
                connection = client.transfercmd(f"STOR {image_name(31)}")
                connection.sendall(data)
                connection.close()
                assert client.voidresp().startswith("226")

        await asyncio.to_thread(body)
        capture = await soon(inbox.next())

        assert capture.path is not None
        assert capture.path.read_bytes() == data


async def test_too_large_is_552_and_surfaces(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, max_bytes=2000) as inbox:
        reply = await upload(inbox, image_name(31), bmp())

        assert reply.startswith("552")
        capture = await soon(inbox.next())
        assert capture.broken is Reason.IMAGE_BROKEN
        assert "larger than the 2000 bytes" in capture.detail


async def test_a_full_disk_is_said_before_the_transfer(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, min_free_bytes=1 << 62) as inbox:
        reply = await upload(inbox, image_name(31), bmp())

        assert reply.startswith("452")
        capture = await soon(inbox.next())
        assert (capture.count, capture.broken) == (31, Reason.DISK)
        assert "Disk full" in capture.detail


@contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_that_fails_in_mid_transfer_is_answered_and_the_next_image_is_taken(tmp_path: Path) -> None:
    large = bmp(width=1024, height=1024)
    async with inbox_in(tmp_path, max_bytes=2_000_000) as inbox:
        with files_limited_to(500_000):
            reply = await upload(inbox, image_name(31), large)
        broken = await soon(inbox.next())
        again = await upload(inbox, image_name(32), large)
        whole = await soon(inbox.next())

        assert reply.startswith("426")
        assert broken.broken is Reason.DISK
        assert os.strerror(errno.EFBIG) in broken.detail
        assert again.startswith("226")
        assert whole.broken is None


async def test_a_spool_that_goes_away_is_answered_and_surfaces(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:
        (tmp_path / "spool" / ".incoming").rmdir()
        reply = await upload(inbox, image_name(31), bmp())

        assert reply.startswith("451")
        assert (await soon(inbox.next())).broken is Reason.DISK


async def test_a_proof_that_fails_itself_rejects_the_part_and_the_inbox_lives_on(tmp_path: Path) -> None:
    def prove(data: bytes) -> None:
        raise ZeroDivisionError(len(data))

    async with inbox_in(tmp_path, prove=prove) as inbox:
        reply = await upload(inbox, image_name(31), bmp())
        assert reply.startswith("451")
        assert (await soon(inbox.next())).broken is Reason.INTERNAL
        await upload(inbox, image_name(32), bmp())
        assert (await soon(inbox.next())).count == 32


@pytest.mark.parametrize(
    "command",
    [
        "DELE a.bmp",
        "RNFR a.bmp",
        "RMD SD1_022",
        "RETR a.bmp",
        "STOU",
        "REST 100",
        "SITE CHMOD 777 a.bmp",
        "SITE HELP",
        "MFMT 20260101000000 a.bmp",
        "MDTM a.bmp",
        "REIN",
        "USER other",
        "PORT 10,0,0,1,8,0",
        "PORT 127,0,0,1,0,22",
        "EPRT |1|10.0.0.1|2000|",
    ],
)
async def test_what_a_camera_does_not_need_is_refused(tmp_path: Path, command: str) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client, pytest.raises(ftplib.Error) as refused:
                client.sendcmd(command)
            return str(refused.value)

        assert (await asyncio.to_thread(body))[0] == "5"


async def test_result_text_is_taken_and_dropped(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> list[str]:
            with logged_in(inbox.port) as client:
                return [
                    store(client, "result.txt", b"0000000031,0\r"),
                    store(client, "result.txt", b"0000000032,0\r", "APPE"),
                    store(client, "log.dat", b"BM is how this begins"),
                    store(client, image_name(33), bmp()),
                ]

        replies = await asyncio.to_thread(body)

        assert [reply[:3] for reply in replies] == ["226"] * 4
        assert (await soon(inbox.next())).count == 33
        assert len(files_of(tmp_path)) == 1


async def test_an_image_under_a_strange_extension_is_no_text(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:
        await upload(inbox, "part.tmp", bmp())

        assert (await soon(inbox.next())).name == "part.tmp"


async def test_appending_to_an_image_is_refused_and_surfaces(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                return store(client, image_name(31), bmp(), "APPE")

        assert (await asyncio.to_thread(body)).startswith("550")
        assert (await soon(inbox.next())).broken is Reason.IMAGE_BROKEN


HOSTILE = [
    "../../evil.bmp",
    "/etc/../../../evil.bmp",
    "..\\..\\evil.bmp",
    "-rf.bmp",
    "a\x1b[31mb.bmp",
    "a\x00b.bmp",
    "a\x7fb\x01.bmp",
    "x" * 300 + ".bmp",
    "x/" * 300 + "a.bmp",
    "\u202egpj.bmp",
    "CON.bmp",
    "<script>alert(1)</script>.bmp",
    "%n%s.bmp",
    " .bmp",
    "~root.bmp",
    "a;rm -rf.bmp",
    "221020_103912_0000000031_CAM1_OK.bmp.bmp",
]


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_only_text(tmp_path: Path, name: str) -> None:
    with capture_logs() as logs:
        async with inbox_in(tmp_path) as inbox:
            await upload(inbox, name, bmp())
            capture = await soon(inbox.next())

    assert capture.name.isprintable()
    assert len(capture.name) <= 255
    assert capture.count is None
    assert all(path.is_relative_to(tmp_path / "spool") for path in files_of(tmp_path))
    assert all(re.fullmatch(r"[0-9a-f]{32}\.bmp", path.name) for path in files_of(tmp_path))
    assert all(str(value).isprintable() for entry in logs for value in entry.values())


async def test_a_command_line_that_never_ends_is_refused(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> bytes:
            with socket.create_connection(("127.0.0.1", inbox.port), timeout=WAIT_S) as peer:
                peer.recv(100)
                peer.sendall(b"STOR " + b"x" * 5000)
                return peer.recv(100)

        assert (await asyncio.to_thread(body)).startswith(b"500")


@pytest.mark.parametrize(
    "login", [("anonymous", "a@b"), ("cvx", "wrong"), ("cvx", ""), ("other", PASSWORD), ("cvx", "é")]
)
async def test_no_one_else_gets_in(tmp_path: Path, login: tuple[str, str]) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            client = ftplib.FTP(encoding="utf-8")  # noqa: S321
            client.connect("127.0.0.1", inbox.port, timeout=WAIT_S)
            try:
                with pytest.raises(ftplib.Error):
                    client.login(*login)
                with pytest.raises(ftplib.Error, match="530"):
                    client.sendcmd(f"STOR {image_name(31)}")
            finally:
                client.close()

        await asyncio.to_thread(body)


@pytest.mark.parametrize("peers", [("10.1.2.3",), ("192.168.0.0/24", "fe80::1")])
async def test_a_peer_that_is_not_on_the_list_gets_no_word(tmp_path: Path, peers: tuple[str, ...]) -> None:
    async with inbox_in(tmp_path, allowed_peers=peers) as inbox:

        def body() -> bytes:
            with socket.create_connection(("127.0.0.1", inbox.port), timeout=WAIT_S) as peer:
                return peer.recv(100)

        with capture_logs() as logs:
            assert [await asyncio.to_thread(body) for _ in range(20)] == [b""] * 20

        said = [entry["times"] for entry in logs if entry["event"] == "ftp_peer_refused"]
        assert said == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("peer", ["::ffff:127.0.0.1", "::FFFF:127.0.0.1"])
async def test_an_address_of_ipv4_that_is_written_as_one_of_ipv6_is_the_same_peer(tmp_path: Path, peer: str) -> None:
    async with inbox_in(tmp_path, allowed_peers=(peer,)) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                return client.sendcmd("NOOP")

        assert (await asyncio.to_thread(body)).startswith("200")


async def test_a_port_in_use_is_said_once_and_bound_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind, attempts = FtpInbox._bind, list[FtpInbox]()
    monkeypatch.setattr(FtpInbox, "_bind", lambda inbox: attempts.append(inbox) or bind(inbox))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        inbox = FtpInbox(
            host="127.0.0.1",
            port=port,
            user="cvx",
            password=PASSWORD,
            allowed_peers=(),
            passive_ports=(0, 0),
            spool=tmp_path / "spool",
            max_bytes=100_000,
            prove=prove_bmp,
        )
        with capture_logs() as logs:
            task = asyncio.create_task(inbox.run())
            await until(lambda: len(attempts) > 3, "a few attempts")
            assert not inbox.is_bound
            other.close()
            await until(lambda: inbox.is_bound)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert [entry["event"] for entry in logs] == ["ftp_inbox_not_bound", "ftp_inbox_bound"]
    assert inbox.port == port
    assert not inbox.is_bound


async def test_more_images_than_anyone_takes_surface_as_overrun(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client:
                for count in range(70):
                    store(client, image_name(count), bmp())

        await asyncio.to_thread(body)
        captures = [await soon(inbox.next()) for _ in range(70)]

        assert [capture.count for capture in captures] == list(range(70))
        assert [capture.broken for capture in captures] == [None] * 64 + [Reason.OVERRUN] * 6


async def test_an_upload_that_stopping_cuts_surfaces_and_leaves_nothing_open(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> tuple[ftplib.FTP, socket.socket]:
            client = ftplib.FTP()  # noqa: S321
            client.connect("127.0.0.1", inbox.port, timeout=WAIT_S)
            client.login("cvx", PASSWORD)
            data = client.transfercmd(f"STOR {image_name(31)}")
            data.sendall(bmp()[:100])
            return client, data

        client, data = await asyncio.to_thread(body)
    try:
        assert (await soon(inbox.next())).broken is Reason.IMAGE_BROKEN
        with suppress(ConnectionResetError):
            assert data.recv(10) == b""
        assert not any(thread.name == "ftp-inbox" for thread in threading.enumerate())
    finally:
        client.close()
        data.close()


async def test_what_an_earlier_run_left_is_put_away_and_never_judged(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    for folder, name in ((".incoming", "stump"), ("ready", "old.bmp")):
        (spool / folder).mkdir(parents=True)
        (spool / folder / name).write_bytes(bmp())
    async with inbox_in(tmp_path) as inbox:
        await upload(inbox, image_name(31), bmp())

        assert (await soon(inbox.next())).count == 31
        assert sorted(path.parent.name for path in files_of(spool)) == ["left", "ready"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"password": ""}, "password"),
        ({"user": "anonymous"}, "anonymous"),
    ],
)
def test_settings_that_open_the_door_are_refused(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "user": "cvx", "password": PASSWORD}
    options |= {"allowed_peers": (), "passive_ports": (0, 0), "spool": tmp_path, "max_bytes": 1, "prove": prove_bmp}
    with pytest.raises(ValueError, match=match):
        FtpInbox(**options | change)


async def test_an_ftp_thread_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = FtpInbox._turn
    deaths: list[int] = []

    def dying(inbox: FtpInbox, listener: socket.socket, stop: threading.Event) -> None:
        if not deaths:
            deaths.append(1)
            raise ZeroDivisionError("out of nowhere")
        turn(inbox, listener, stop)

    monkeypatch.setattr(FtpInbox, "_turn", dying)
    with capture_logs() as logs:
        async with inbox_in(tmp_path) as inbox:
            await until(lambda: sum(entry["event"] == "ftp_inbox_bound" for entry in logs) == 2)
            assert (await upload(inbox, image_name(31), bmp())).startswith("226")

    assert "ftp_thread_failed" in [entry["event"] for entry in logs]
