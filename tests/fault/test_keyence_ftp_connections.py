"""The connections of the FTP inbox: used up, dead, too many. None harms a newer one, and none needs a restart."""

from __future__ import annotations

import asyncio
import ftplib
import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import Reason
from drivers.keyence import ftp_peers
from tests.fault.keyence_peer import WAIT_S, bmp, image_name, soon, until
from tests.fault.test_keyence_ftp import PASSWORD, inbox_in, logged_in, store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.keyence.ftp_inbox import FtpInbox


@contextmanager
def connected(inbox: FtpInbox, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A control connection that says nothing of itself; it was greeted."""
    with socket.create_connection(("127.0.0.1", inbox.port), timeout=WAIT_S, source_address=(source, 0)) as peer:
        assert peer.recv(100).startswith(b"220")
        yield peer


def ask(peer: socket.socket, line: str) -> bytes:
    peer.sendall(line.encode("ascii") + b"\r\n")
    return peer.recv(200)


def log_in(peer: socket.socket) -> None:
    assert ask(peer, "USER cvx").startswith(b"331")
    assert ask(peer, f"PASS {PASSWORD}").startswith(b"230")


def refusal(client: ftplib.FTP, line: str) -> str:
    """What a command is refused with."""
    with pytest.raises(ftplib.Error) as refused:
        client.sendcmd(line)
    return str(refused.value)


@pytest.mark.parametrize("is_passive", [False, True], ids=["active", "passive"])
async def test_an_old_connection_that_ends_leaves_the_newer_one_its_hearing(
    tmp_path: Path, *, is_passive: bool
) -> None:
    """The newer one gets the number of the descriptor that the old one's data connection had."""
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with ExitStack() as stack:
                old = stack.enter_context(logged_in(inbox.port, is_passive=is_passive))
                assert store(old, image_name(1), bmp()).startswith("226")
                new = stack.enter_context(logged_in(inbox.port, is_passive=is_passive))
                old.close()
                with connected(inbox):  # greeted after the inbox has seen the end of the old one
                    assert new.sendcmd("NOOP").startswith("200")
                assert store(new, image_name(2), bmp()).startswith("226")

        await asyncio.to_thread(body)

        assert [(await soon(inbox.next())).count for _ in range(2)] == [1, 2]


async def test_a_used_up_port_serves_no_second_image(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                assert store(client, image_name(1), bmp()).startswith("226")
                refused = refusal(client, f"STOR {image_name(2)}")
                assert store(client, image_name(3), bmp()).startswith("226")
                return refused

        assert (await asyncio.to_thread(body)).startswith("425")
        captures = [await soon(inbox.next()) for _ in range(3)]
        assert [(it.count, it.broken) for it in captures] == [(1, None), (2, Reason.IMAGE_BROKEN), (3, None)]


async def test_a_port_that_could_not_be_reached_serves_no_image(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                with socket.create_server(("127.0.0.1", 0)) as gone:
                    port = gone.getsockname()[1]
                assert refusal(client, f"PORT 127,0,0,1,{port >> 8},{port & 255}").startswith("425")
                refused = refusal(client, f"STOR {image_name(1)}")
                assert store(client, image_name(2), bmp()).startswith("226")
                return refused

        assert (await asyncio.to_thread(body)).startswith("425")
        captures = [await soon(inbox.next()) for _ in range(2)]
        assert [(it.count, it.broken) for it in captures] == [(1, Reason.IMAGE_BROKEN), (2, None)]


async def test_a_passive_port_that_nobody_came_to_serves_no_image(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, stall_timeout_s=0.15) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                client.makepasv()
                assert client.getline().startswith("421")  # the time to come to it is over
                refused = refusal(client, f"STOR {image_name(1)}")
                assert store(client, image_name(2), bmp()).startswith("226")
                return refused

        assert (await asyncio.to_thread(body)).startswith("425")
        captures = [await soon(inbox.next()) for _ in range(2)]
        assert [(it.count, it.broken) for it in captures] == [(1, Reason.IMAGE_BROKEN), (2, None)]


async def test_a_new_port_in_the_middle_of_an_image_ends_that_image_alone(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client, client.transfercmd(f"STOR {image_name(1)}") as data:
                data.sendall(bmp()[:100])
                with client.makeport() as listener:
                    client.putcmd(f"STOR {image_name(2)}")
                    listener.settimeout(WAIT_S)
                    second, _ = listener.accept()
                    with second:
                        second.sendall(bmp())
                assert client.getline().startswith("1")
                assert client.getline().startswith("226")

        await asyncio.to_thread(body)
        captures = [await soon(inbox.next()) for _ in range(2)]
        assert [(it.count, it.broken) for it in captures] == [(1, Reason.IMAGE_BROKEN), (2, None)]


@pytest.mark.parametrize("is_passive", [False, True], ids=["active", "passive"])
async def test_aborting_in_the_middle_of_an_image_leaves_the_connection_as_it_was(
    tmp_path: Path, *, is_passive: bool
) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port, is_passive=is_passive) as client:
                with client.transfercmd(f"STOR {image_name(1)}") as data:
                    data.sendall(bmp()[:100])
                    client.putcmd("ABOR")
                    while not client.getline().startswith("22"):
                        pass
                assert store(client, image_name(2), bmp()).startswith("226")

        await asyncio.to_thread(body)
        captures = [await soon(inbox.next()) for _ in range(2)]
        assert [(it.count, it.broken) for it in captures] == [(1, Reason.IMAGE_BROKEN), (2, None)]


async def test_a_listing_without_a_data_connection_is_refused_and_takes_no_images_place(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                refused = refusal(client, "LIST")
                assert store(client, image_name(1), bmp()).startswith("226")
                assert client.nlst() == []
                assert store(client, image_name(2), bmp()).startswith("226")
                return refused

        assert (await asyncio.to_thread(body)).startswith("425")
        captures = [await soon(inbox.next()) for _ in range(2)]
        assert [(it.count, it.broken) for it in captures] == [(1, None), (2, None)]


async def test_a_listing_in_the_middle_of_an_image_does_not_end_it(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client:
                with client.transfercmd(f"STOR {image_name(1)}") as data:
                    data.sendall(bmp()[:100])
                    refused = refusal(client, "LIST")
                    data.sendall(bmp()[100:])
                assert client.voidresp().startswith("226")
                return refused

        assert (await asyncio.to_thread(body)).startswith("450")
        assert (await soon(inbox.next())).broken is None


async def test_a_second_listing_does_not_wait_behind_one_that_nobody_fetched(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, stall_timeout_s=0.15) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as client:
                client.makepasv()
                assert client.sendcmd("LIST").startswith("150")
                assert client.getline().startswith("421")
                assert store(client, image_name(1), bmp()).startswith("226")

        await asyncio.to_thread(body)
        assert (await soon(inbox.next())).broken is None


async def test_a_fifth_connection_of_a_peer_takes_the_place_of_the_one_that_was_silent_longest(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> list[bytes]:
            with ExitStack() as stack:
                dead = [stack.enter_context(connected(inbox)) for _ in range(4)]
                for peer in (*dead[1:], dead[0]):  # the second one spoke first
                    log_in(peer)
                with logged_in(inbox.port) as camera:
                    assert store(camera, image_name(1), bmp()).startswith("226")
                return [dead[1].recv(200)[:3], dead[1].recv(200), ask(dead[0], "NOOP")[:3]]

        assert await asyncio.to_thread(body) == [b"421", b"", b"200"]
        assert (await soon(inbox.next())).broken is None


async def test_connections_that_do_not_log_in_never_take_the_place_of_a_camera(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with logged_in(inbox.port) as camera, ExitStack() as stack:
                for _ in range(20):
                    stack.enter_context(connected(inbox))
                assert store(camera, image_name(1), bmp()).startswith("226")

        await asyncio.to_thread(body)
        assert (await soon(inbox.next())).broken is None


async def test_a_connection_in_the_middle_of_an_image_keeps_its_place(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> bytes:
            with ExitStack() as stack:
                cameras = [stack.enter_context(logged_in(inbox.port)) for _ in range(4)]
                wires = [stack.enter_context(it.transfercmd(f"STOR {image_name(at)}")) for at, it in enumerate(cameras)]
                for wire in wires:
                    wire.sendall(bmp()[:100])
                with socket.create_connection(("127.0.0.1", inbox.port), timeout=WAIT_S) as fifth:
                    word = fifth.recv(200)
                for camera, wire in zip(cameras, wires, strict=True):
                    wire.sendall(bmp()[100:])
                    wire.close()
                    assert camera.voidresp().startswith("226")
                with logged_in(inbox.port) as later:
                    assert store(later, image_name(9), bmp()).startswith("226")
                return word

        assert (await asyncio.to_thread(body)).startswith(b"421")
        captures = [await soon(inbox.next()) for _ in range(5)]
        assert [it.broken for it in captures] == [None] * 5


async def test_when_every_place_is_taken_a_camera_still_gets_in_and_gets_its_image_through(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, allowed_peers=("127.0.0.0/8",)) as inbox:

        def body() -> None:
            with ExitStack() as stack:
                for number in range(2, 8):
                    for _ in range(4):
                        log_in(stack.enter_context(connected(inbox, f"127.0.0.{number}")))
                for is_passive in (False, True):
                    with logged_in(inbox.port, is_passive=is_passive) as camera:
                        assert store(camera, image_name(1), bmp()).startswith("226")

        await asyncio.to_thread(body)
        assert [(await soon(inbox.next())).broken for _ in range(2)] == [None, None]


async def test_a_control_connection_that_asks_for_nothing_is_ended_with_a_word(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, idle_timeout_s=0.2) as inbox:

        def body() -> bytes:
            with connected(inbox) as peer:
                log_in(peer)
                word = peer.recv(200)
                assert peer.recv(200) == b""
                return word

        assert (await asyncio.to_thread(body)).startswith(b"421")


async def test_an_image_that_comes_slowly_is_no_idle_connection(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, idle_timeout_s=1.0) as inbox:

        def body() -> str:
            with logged_in(inbox.port) as client, connected(inbox) as other:
                data = client.transfercmd(f"STOR {image_name(1)}")
                data.sendall(bmp()[:100])
                assert other.recv(200).startswith(b"421")  # the time is over for one that does nothing
                data.sendall(bmp()[100:])
                data.close()
                return client.voidresp()

        assert (await asyncio.to_thread(body)).startswith("226")
        assert (await soon(inbox.next())).broken is None


async def test_a_peer_that_never_reads_its_answers_is_cut_off(tmp_path: Path) -> None:
    async with inbox_in(tmp_path) as inbox:

        def body() -> None:
            with connected(inbox) as peer, suppress(ConnectionError):
                while True:  # it ends when the inbox cuts it
                    peer.sendall(b"NOOP\r\n" * 10_000)

        await asyncio.to_thread(body)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux gives up an answer that is not taken")
async def test_the_system_is_told_to_give_up_a_peer_whose_cable_was_pulled(tmp_path: Path) -> None:
    """Keep-alive does not look while an answer is on its way: it would be sent again for a quarter of an hour."""
    async with inbox_in(tmp_path) as inbox:
        with connected(inbox) as peer, end_at(peer.getsockname()) as end:
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert 0 < end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000


def end_at(peer: tuple[str, int]) -> socket.socket:
    """Another handle to the inbox's end of a connection."""
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # this folder's own descriptor, which is gone by now
            if not str(link.readlink()).startswith("socket:"):
                continue
            end = socket.socket(fileno=os.dup(int(link.name)))
            try:
                if end.getpeername() == peer:
                    return end.dup()
            finally:
                end.close()
    raise AssertionError("the inbox has no such connection")


class Names:
    """A name server: what it says can be changed, and asking is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address = ""
        self.asked = 0
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)
        monkeypatch.setattr(ftp_peers, "_LOOK_UP_EVERY_S", 0.01)

    def _answer(self, name: Any, *args: Any, **options: Any) -> Any:
        if name != "controller.line":
            return self._real(name, *args, **options)
        self.asked += 1
        if not self.address:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._real(self.address, *args, **options)


def is_greeted(inbox: FtpInbox) -> bool:
    with socket.create_connection(("127.0.0.1", inbox.port), timeout=WAIT_S) as peer:
        return peer.recv(100).startswith(b"220")


async def test_a_controller_that_is_named_is_let_in_by_its_address_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    names.address = "127.0.0.9"
    with capture_logs() as logs:
        async with inbox_in(tmp_path, allowed_peers=("controller.line",)) as inbox:
            assert not await asyncio.to_thread(is_greeted, inbox)
            names.address = "127.0.0.1"
            await until(lambda: any(entry["event"] == "ftp_peers_changed" for entry in logs))
            assert await asyncio.to_thread(is_greeted, inbox)
            names.address = ""
            await until(lambda: any(entry["event"] == "ftp_peer_not_found" for entry in logs))
            asked = names.asked
            await until(lambda: names.asked > asked + 2)
            assert await asyncio.to_thread(is_greeted, inbox)

    assert [entry["event"] for entry in logs].count("ftp_peer_not_found") == 1


async def test_a_controller_whose_name_nobody_knows_is_said_and_the_inbox_opens_when_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch)
    with capture_logs() as logs:
        opening = asyncio.create_task(soon(opened(tmp_path)))
        await until(lambda: names.asked > 1)
        names.address = "127.0.0.1"
        assert await opening

    (said,) = [entry for entry in logs if entry["event"] == "ftp_inbox_not_bound"]
    assert "controller.line" in said["why"]


async def opened(folder: Path) -> bool:
    """Whether the inbox of a named controller opens and greets."""
    async with inbox_in(folder, allowed_peers=("controller.line",)) as inbox:
        return await asyncio.to_thread(is_greeted, inbox)
