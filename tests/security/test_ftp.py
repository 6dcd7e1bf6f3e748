"""The FTP server against a peer that means harm: 500 names, 25 attacks. Nothing gets in, nothing out of its place."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from drivers.base import Reason
from edge_agent.settings import load_settings
from edge_agent.wiring.free_ports import free_port
from edge_agent.wiring.images import open_images
from tests.fault.keyence_peer import WAIT_S, bmp, image_name, soon
from tests.fault.test_keyence_ftp import PASSWORD, files_of, inbox_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.results import Figure

PIECES = (
    *("..", "../..", "../../../../etc/cron.d/x", "..\\..", "/etc/passwd", "//host/share", "C:\\Windows", "~", "~root"),
    *("-rf", "--help", ".htaccess", ".ssh/authorized_keys", "CON", "nul.txt", "aux.", "a.bmp::$DATA", "a|b", "$(id)"),
    *(
        "`id`",
        ";reboot",
        "&& x",
        "%00",
        "%2e%2e%2f",
        "%n%s%x",
        "{0}",
        "${jndi:ldap://x}",
        "<script>",
        "'\"><img src=x>",
    ),
    *("\x00", "\x01\x02", "\x07", "\x08\x08\x08", "\x1b[2J", "\x1b]0;x\x07", "\x7f", "\x85", "\x9b31m", "a\nb", "\xad"),
    *(
        "\u202egpj",
        "\u2066x\u2069",
        "\u200b",
        "\ufeff",
        "\uff23\uff21\uff2d\uff11",
        "\u0421AM1",
        "é",
        "e\u0301",
        "\U0001f600",
        "\ud800",
    ),
    *("x" * 300, "x/" * 200, " ", ".", "...", "a" * 250 + ".png.exe", "226 Transfer complete.", "=cmd|' /C calc'!A0"),
)
SHAPES = (
    *("{0}", "{0}.bmp", "a{0}b.bmp", "{0}/221020_103912_0000000031_CAM1_OK.bmp", "SD1_001/{0}/CAM1/x.png"),
    *("221020_103912_0000000031_CAM1_{0}_OK.bmp", "221020_103912_0000000031_CAM1_OK{0}.bmp", "{0}{0}.jpg", "x.{0}"),
)
LAST = 999_999
NAMES = tuple(dict.fromkeys(shape.format(piece) for piece in PIECES for shape in SHAPES))


class Peer:
    """A control connection and nothing that minds what is sent over it."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S, source_address=(source, 0))
        self.file = self.sock.makefile("rb")

    def reply(self) -> str:
        return self.file.readline().decode("latin-1").strip()

    def ask(self, line: str | bytes) -> str:
        data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
        self.sock.sendall(data + b"\r\n")
        return self.reply()

    def login(self) -> None:
        assert self.reply().startswith("220")
        assert self.ask("USER cvx").startswith("331")
        assert self.ask(f"PASS {PASSWORD}").startswith("230")

    def passive_port(self) -> int:
        numbers = re.findall(r"\d+", self.ask("PASV"))
        return int(numbers[-2]) * 256 + int(numbers[-1])

    def store(self, name: str, data: bytes) -> list[str]:
        """Every reply to a STOR, over a passive connection."""
        with socket.create_connection(("127.0.0.1", self.passive_port()), timeout=WAIT_S) as wire:
            replies = [self.ask(b"STOR " + name.encode("utf-8", "surrogatepass"))]
            if replies[0].startswith(("125", "150")):
                wire.sendall(data)
                wire.close()
                replies.append(self.reply())
        return replies

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@contextmanager
def peer(port: int, *, is_in: bool = True) -> Iterator[Peer]:
    made = Peer(port)
    try:
        if is_in:
            made.login()
        else:
            assert made.reply().startswith("220")
        yield made
    finally:
        made.close()


@contextmanager
def rendered_logs() -> Iterator[io.StringIO]:
    """What a log of this program looks like on a disk, as JSON and as text."""
    before, text = structlog.get_config(), io.StringIO()
    console = structlog.dev.ConsoleRenderer(colors=False)

    def both(logger: Any, name: str, event: dict[str, Any]) -> str:
        return json.dumps(event, default=str) + "\n" + str(console(logger, name, dict(event)))

    structlog.configure(processors=[structlog.processors.add_log_level, both],
                        logger_factory=structlog.PrintLoggerFactory(text))  # fmt: skip
    try:
        yield text
    finally:
        structlog.configure(**before)


@pytest.mark.promise("T-30", "hostile names of images over FTP", "500 names: nothing outside the spool, logs clean")
async def test_of_500_hostile_names_none_leaves_the_spool_or_reaches_a_log_as_it_is(
    tmp_path: Path, figure: Figure
) -> None:
    names = NAMES[:500]
    assert len(names) == 500

    def upload_all(port: int) -> list[str]:
        with peer(port) as camera:
            return [camera.store(name, bmp())[-1] for name in (*names, image_name(LAST))]

    with rendered_logs() as logs:
        async with inbox_in(tmp_path) as inbox:
            uploading = asyncio.create_task(asyncio.to_thread(upload_all, inbox.port))
            captures = [await soon(inbox.next())]
            while captures[-1].name != image_name(LAST):
                captures.append(await soon(inbox.next()))
            replies = await uploading
    files = files_of(tmp_path)

    assert all(reply.startswith(("226", "500", "501", "550")) for reply in replies)
    assert len(captures) >= 450  # the others are no command lines
    assert all(path.is_relative_to(tmp_path / "spool") for path in files)
    assert all(re.fullmatch(r"[0-9a-f]{32}\.(bmp|png|jpg|jpeg|bin)", path.name) for path in files)
    assert all(capture.name.isprintable() and len(capture.name) <= 255 for capture in captures)
    assert all(character == "\n" or character.isprintable() for character in logs.getvalue())
    figure(f"{len(names)} names, {len(captures) - 1} images of them, 0 outside")


ATTACKS: dict[str, tuple[str | bytes, ...]] = {
    "bounce by PORT": ("PORT 10,0,0,1,31,144",),
    "bounce by EPRT": ("EPRT |1|10.0.0.1|8080|",),
    "PORT to a service of ours": ("PORT 127,0,0,1,0,22",),
    "PORT that is none": ("PORT 1,2,3",),
    "read a file": ("RETR ../../etc/passwd",),
    "delete": ("DELE x.bmp",),
    "rename": ("RNFR x.bmp",),
    "remove a folder": ("RMD /",),
    "SITE CHMOD": ("SITE CHMOD 777 x",),
    "SITE EXEC": ("SITE EXEC id",),
    "resume in the middle": ("REST 100",),
    "append to an image": ("PASV", "APPE x.bmp"),
    "unique names": ("STOU",),
    "time stamps": ("MFMT 20200101000000 x.bmp",),
    "look at sizes": ("SIZE /etc/passwd",),
    "machine listing": ("MLST /etc/passwd",),
    "another login": ("USER root",),
    "a transfer without a connection": ("STOR x.bmp",),
    "an unknown command": ("EVIL",),
    "a command of bytes": (b"\xff\xfe\x00\x01",),
    "a line without an end": (b"STOR " + b"x" * 5000,),
}
DOORS: dict[str, tuple[str, str]] = {
    "anonymous": ("anonymous", "a@b"),
    "the right name": ("cvx", "cvx"),
    "the right password": ("root", PASSWORD),
    "no password": ("cvx", ""),
}


@pytest.mark.promise("T-31", "attacks on the FTP server", "25, all refused")
async def test_25_attacks_are_refused_and_the_camera_still_gets_its_image_through(
    tmp_path: Path, figure: Figure
) -> None:
    def attack(port: int) -> dict[str, str]:
        said = {}
        for name, lines in ATTACKS.items():
            with peer(port) as attacker:
                said[name] = [attacker.ask(line) for line in lines][-1]
        for name, (user, password) in DOORS.items():
            with peer(port, is_in=False) as attacker:
                attacker.ask(f"USER {user}")
                said[name] = attacker.ask(f"PASS {password}")
        return said

    async with inbox_in(tmp_path) as inbox:
        said = await asyncio.to_thread(attack, inbox.port)
        surfaced = [await soon(inbox.next()) for _ in range(2)]
        with peer(inbox.port) as camera:
            last = (await asyncio.to_thread(camera.store, image_name(1), bmp()))[-1]
        good = await soon(inbox.next())

    assert len(said) == 25
    assert {name: reply for name, reply in said.items() if not reply.startswith(("4", "5"))} == {}
    # Two of them named an image: a part may be behind it, so it surfaces, as broken.
    assert [capture.broken for capture in surfaced] == [Reason.IMAGE_BROKEN] * 2
    assert (last[:3], good.count, good.broken) == ("226", 1, None)
    figure(f"{len(said)} of {len(said)} refused")


async def test_a_data_connection_is_not_for_another_machine(tmp_path: Path) -> None:
    """A neighbour that guesses the passive port would put its own image under the camera's name."""

    def steal(port: int) -> tuple[bytes, str]:
        with peer(port) as camera:
            passive = camera.passive_port()
            thief = socket.create_connection(("127.0.0.1", passive), timeout=WAIT_S, source_address=("127.0.0.2", 0))
            with thief:
                word = thief.recv(100)
            return word, camera.reply()

    async with inbox_in(tmp_path, allowed_peers=()) as inbox:
        word, reply = await asyncio.to_thread(steal, inbox.port)

    assert not word or word.startswith(b"425")
    assert reply.startswith("425")


async def test_a_peer_that_is_not_on_the_list_is_not_even_greeted(tmp_path: Path) -> None:
    async with inbox_in(tmp_path, allowed_peers=("127.0.0.1",)) as inbox:
        port = inbox.port

        def knock() -> bytes:
            stranger = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S, source_address=("127.0.0.2", 0))
            with stranger:
                return stranger.recv(100)

        assert await asyncio.to_thread(knock) == b""


LINE = """
schema_version = 1
[line]
name = "line-7"
deadline_ms = 700
min_part_spacing_ms = 1000
[controller]
host = "{host}"
[images]
spool = "spool"
[images.ftp]
port = {port}
password_file = "ftp.password"
{more}
[output]
host = "127.0.0.1"
module = "wago-750"
pass_hold_ms = 100
[store]
journal = "journal.sqlite3"
archive = "archive"
[[bundle]]
program = 1
path = "bundle"
"""


@pytest.mark.parametrize(
    ("host", "more", "let_in"),
    [
        ("127.0.0.7", "", {"127.0.0.7"}),
        ("localhost", "", {"127.0.0.1"}),
        ("127.0.0.7", 'allowed_peers = ["127.0.0.8"]', {"127.0.0.8"}),
        ("127.0.0.7", 'allowed_peers = ["127.0.0.0/8"]', {"127.0.0.1", "127.0.0.7", "127.0.0.8"}),
    ],
)
async def test_images_are_the_controllers_alone_unless_line_toml_names_another_sender(
    tmp_path: Path, host: str, more: str, let_in: set[str]
) -> None:
    """Two controllers on one network count alike: the image of the other one would be taken for this line's part."""
    port = free_port()
    (tmp_path / "line.toml").write_text(LINE.format(host=host, port=port, more=more))
    (tmp_path / "ftp.password").write_text(PASSWORD)
    (tmp_path / "ftp.password").chmod(0o600)

    def greeted(source: str) -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S, source_address=(source, 0)) as peer:
            return peer.recv(100).startswith(b"220")

    with structlog.testing.capture_logs() as logs:
        async with open_images(load_settings(tmp_path / "line.toml"), within_s=20):
            found = {it for it in ("127.0.0.1", "127.0.0.7", "127.0.0.8") if await asyncio.to_thread(greeted, it)}

    assert found == let_in
    refused = [entry for entry in logs if entry["event"] == "ftp_peer_refused"]
    assert bool(refused) == (len(found) < 3)
    assert all("allowed_peers" in entry["hint"] and entry["allowed"] for entry in refused)


async def test_a_flood_of_wrong_passwords_is_said_a_handful_of_times(tmp_path: Path) -> None:
    def try_all(port: int) -> None:
        for number in range(100):
            with peer(port, is_in=False) as attacker:
                attacker.ask("USER cvx")
                assert attacker.ask(f"PASS {number}").startswith("530")

    with structlog.testing.capture_logs() as logs:
        async with inbox_in(tmp_path) as inbox:
            await asyncio.to_thread(try_all, inbox.port)
    said = [entry["times"] for entry in logs if entry["event"] == "ftp_login_failed"]

    assert said == [1, 2, 4, 8, 16, 32, 64]


async def test_a_disk_that_is_nearly_full_takes_no_image_however_often_it_is_asked(tmp_path: Path) -> None:
    def fill(port: int) -> list[str]:
        with peer(port) as attacker:
            return list(itertools.chain.from_iterable(attacker.store(image_name(n), bmp()) for n in range(20)))

    async with inbox_in(tmp_path, min_free_bytes=1 << 60) as inbox:
        replies = await asyncio.to_thread(fill, inbox.port)
        surfaced = [await soon(inbox.next()) for _ in range(20)]

    assert {reply[:3] for reply in replies} == {"452"}
    assert all(capture.broken is Reason.DISK and capture.path is None for capture in surfaced)
