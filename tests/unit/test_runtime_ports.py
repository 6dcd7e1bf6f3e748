"""Two lines at one port of one PC: the second is told so before it does anything, and by whom."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_agent.errors import AlreadyRunning, Unavailable
from edge_agent.runtime.claim import claimed_line, claimed_ports, journal_holder
from edge_agent.runtime.holders import Holder, listener_at
from edge_agent.settings import load_settings
from edge_agent.settings.addresses import OwnPort, own_ports
from edge_agent.tools.doctor.finding import Finding, Result, Site, ok
from edge_agent.tools.doctor.peers import page_ports
from edge_agent.web.process import listening_socket

if TYPE_CHECKING:
    from edge_agent.settings import Settings

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace and /proc")

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()
PORT = 58_480


def settings(folder: Path, *changes: tuple[str, str]) -> Settings:
    text = EXAMPLE.replace("/var/lib/edge-agent", str(folder))
    text = text.replace("#[metrics]", "[metrics]").replace("#port = 9464", "port = 9464")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "line.toml"
    path.write_text(text)
    path.chmod(0o640)
    return load_settings(path)


def refusal(one: str, other: str, port: int = PORT) -> str:
    """Why the second address is refused while the first is there; empty if both are let in."""
    try:
        with claimed_ports([OwnPort("web.port", one, PORT)]), claimed_ports([OwnPort("web.port", other, port)]):
            return ""
    except AlreadyRunning as err:
        return str(err)


def test_the_ports_of_a_line_are_those_that_it_listens_at(tmp_path: Path) -> None:
    assert own_ports(settings(tmp_path)) == [
        ("images.ftp.port", "192.168.10.1", 2121),
        ("web.port", "127.0.0.1", 8480),
        ("metrics.port", "127.0.0.1", 9464),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("127.0.0.1", "0.0.0.0"),  # noqa: S104 - held, not bound
        ("::1", "::"),
        ("0.0.0.0", "::"),  # noqa: S104
        ("192.0.2.7", "::"),
    ],
)
def test_one_port_of_one_address_belongs_to_one_line(one: str, other: str) -> None:
    assert f"web.port: another edge-agent has port {PORT} of {other}" in refusal(one, other)
    assert f"web.port: another edge-agent has port {PORT} of {one}" in refusal(other, one)
    assert not refusal(one, other, PORT + 1)


@pytest.mark.parametrize(("one", "other"), [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "::1"), ("192.0.2.7", "::1")])
def test_the_same_port_of_another_address_is_another_port(one: str, other: str) -> None:
    assert not refusal(one, other)


def test_a_name_that_nobody_knows_is_left_to_the_socket() -> None:
    assert not refusal("line7.invalid", "line7.invalid")


def test_what_was_held_before_a_refusal_is_given_back(tmp_path: Path) -> None:
    first, second = OwnPort("web.port", "127.0.0.1", PORT), OwnPort("metrics.port", "127.0.0.1", PORT + 1)
    with claimed_ports([second]):
        with pytest.raises(AlreadyRunning), claimed_ports([first, second]):
            pass
        with claimed_ports([first]):
            pass


@pytest.mark.parametrize(
    ("same", "words"),
    [
        ("journal.sqlite3", "another edge-agent holds the journal"),
        ("/spool", "another edge-agent works in the folder"),
        ("/archive", "another edge-agent works in the folder"),
        ("port = 8480", "web.port: another edge-agent has port 8480"),
        ("port = 9464", "metrics.port: another edge-agent has port 9464"),
        ("port = 2121", "images.ftp.port: another edge-agent has port 2121"),
    ],
)
def test_two_lines_that_share_one_thing_are_told_which(tmp_path: Path, same: str, words: str) -> None:
    own = {
        "journal.sqlite3": "two.sqlite3",
        "/spool": "/spool2",
        "/archive": "/archive2",
        "port = 8480": "port = 8481",
        "port = 9464": "port = 9465",
        "port = 2121": "port = 2122",
    }
    one, two = settings(tmp_path), settings(tmp_path, *own.items())
    shared = settings(tmp_path, *((old, new) for old, new in own.items() if old != same))

    with claimed_line(one), claimed_line(two):
        pass
    with claimed_line(one), pytest.raises(AlreadyRunning) as caught, claimed_line(shared):
        pass

    assert words in str(caught.value)
    assert caught.value.exit_code == 75
    assert re.search("give each line|its own store.journal", caught.value.hint)


def test_simulated_peers_send_their_images_elsewhere(tmp_path: Path) -> None:
    one = settings(tmp_path)
    with claimed_ports([OwnPort("images.ftp.port", "192.168.10.1", 2121)]), claimed_line(one, is_simulated=True):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_who_listens_is_found(host: str) -> None:
    if ":" in host and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with closing(listening_socket(host, 0)) as mine:
        port = mine.getsockname()[1]
        found = [listener_at(asked, port) for asked in (host, "::" if ":" in host else "0.0.0.0")]  # noqa: S104
        with pytest.raises(Unavailable, match=r"cannot be listened on: Address already in use, by process \d+ \("):
            listening_socket(host, port)
    assert [holder and holder.command for holder in found] == [tuple(_command_line())] * 2
    assert listener_at("127.0.0.1", port) is None


def _command_line() -> list[str]:
    return Path("/proc/self/cmdline").read_bytes().decode().rstrip("\0").split("\0")


def test_a_listener_at_another_address_is_not_meant() -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        port = other.getsockname()[1]

        assert listener_at("127.0.0.1", port) is None
        assert listener_at("127.0.0.2", port) is not None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            ("/opt/edge-agent/bin/python3", "/opt/edge-agent/bin/edge-agent", "run", "--config", "/etc/line 2.toml"),
            "process 7 (edge-agent run --config /etc/line 2.toml)",
        ),
        (("python", "-m", "edge_agent", "run", "-c", "x\x1b[2J"), "process 7 (edge-agent run -c x?[2J)"),
        (("/usr/sbin/nginx", "-g", "secret"), "process 7 (nginx)"),
        (("edge-agent", "run", "x" * 300), f"process 7 (edge-agent run {'x' * 185}...)"),
    ],
)
def test_a_process_is_said_in_words(command: tuple[str, ...], words: str) -> None:
    assert str(Holder(7, command)) == words


def test_the_journal_of_an_agent_tells_its_line_toml(tmp_path: Path) -> None:
    one = settings(tmp_path)
    assert journal_holder(one.store.journal) is None
    hold = (
        "import sys, pathlib; from edge_agent.runtime.claim import claimed_line; from edge_agent.settings import "
        "load_settings; here = pathlib.Path('line.toml')\n"
        "with claimed_line(load_settings(here)): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, "edge-agent", "run", "--config", "line.toml"]
    with ExitStack() as ending:
        agent = ending.enter_context(
            subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"held\n"
        holder = journal_holder(one.store.journal)
        with pytest.raises(AlreadyRunning) as caught, claimed_line(one):
            pass
        assert holder is not None
        assert holder.config is not None
        assert holder.config.samefile(tmp_path / "line.toml")
        assert agent.stdin is not None
        agent.stdin.close()

    assert str(caught.value) == (
        f"another edge-agent holds the journal {one.store.journal}: "
        f"process {agent.pid} (edge-agent run --config line.toml)"
    )
    with claimed_line(one):
        pass


def examined(folder: Path, port: int, *, host: str = "127.0.0.1", is_running: bool = False) -> Finding:
    """What the doctor's check finds of a page at this place."""
    one = settings(folder)
    assert one.web is not None
    page = one.web.model_copy(update={"host": host, "port": port})
    site = Site(folder / "line.toml", one.model_copy(update={"web": page, "metrics": None}))
    site.agent = {"state": "READY"} if is_running else None
    return page_ports(site)


def test_the_doctor_says_how_the_pages_port_stands(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken, taken_beside_an_agent = examined(tmp_path, port), examined(tmp_path, port, is_running=True)
    free, not_come = examined(tmp_path, port), examined(tmp_path, port, is_running=True)
    elsewhere = examined(tmp_path, port, host="192.0.2.1")
    with claimed_ports([OwnPort("web.port", "127.0.0.1", port)]):
        another_line = examined(tmp_path, port)

    for found in (taken, taken_beside_an_agent):
        assert found.result is Result.FAIL
        assert f"127.0.0.1:{port} is in use by process {os.getpid()} (" in found.evidence
        assert found.fix == "stop that, or take another web.port"
    assert (free.result, free.evidence) == (Result.OK, f"127.0.0.1:{port} is free")
    assert (not_come.result, not_come.fix) == (
        Result.WARN,
        "what listens there starts, or has ended: see the agent's log",
    )
    assert (elsewhere.result, elsewhere.fix) == (Result.FAIL, "web.host must be an address of this PC: ip addr")
    assert another_line.result is Result.FAIL
    assert another_line.evidence.startswith(f"web.port: another edge-agent has port {port} of 127.0.0.1: process ")


def test_a_line_without_a_page_has_no_ports_for_one(tmp_path: Path) -> None:
    one = settings(tmp_path).model_copy(update={"web": None, "metrics": None})

    assert page_ports(Site(tmp_path / "line.toml", one)) == ok("line.toml has no [web], no [metrics] and no [opcua]")
