"""Two agents on one output, or in one folder: the second is refused before it writes anything, whatever the names."""

from __future__ import annotations

import asyncio
import os
import pty
import resource
import socket
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drivers.simulated.remote_io import SimulatedRemoteIo
from edge_agent.errors import AlreadyRunning
from edge_agent.runtime.claim import Claim, claimed, claimed_folders
from edge_agent.settings import Settings, load_settings
from edge_agent.settings.models import RtuSettings
from edge_agent.store.journal import Journal
from edge_agent.wiring.output import make_output
from tests.changed_output import with_output
from tests.simulated.line import edge_agent
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")

REGISTERS: dict[str, object] = {"kind": "modbus-registers"}


def settings(folder: Path, host: str = "192.0.2.77", **output: object) -> Settings:
    path = folder / "line.toml"
    path.write_text(EXAMPLE.replace("/var/lib/edge-agent", str(folder)).replace("#watchdog_tested", "watchdog_tested"))
    path.chmod(0o640)
    loaded = load_settings(path)
    return with_output(loaded, **{"host": host, **output})


def refusal(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> str:
    """Why the second is refused while the first is there; empty if both are let in."""
    try:
        with claimed(settings(folder, **first).output), claimed(settings(folder, **second).output):
            return ""
    except AlreadyRunning as err:
        return str(err)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.77", "192.0.2.77"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "LOCALHOST"),
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "::1"),
        ("127.0.0.1", "0.0.0.0"),  # noqa: S104 - connected to, it is this machine
        ("127.0.0.1", "127.1"),
        ("192.0.2.77", "::ffff:192.0.2.77"),
        ("192.0.2.77", "192.0.2.0115"),  # a number that begins with 0 is octal to the system's resolver
        ("2001:db8::77", "2001:0DB8:0:0::0077"),
        ("Coupler.invalid", "coupler.invalid."),
    ],
)
def test_one_host_by_two_names_is_one_output(tmp_path: Path, one: str, other: str) -> None:
    assert "another edge-agent drives the output" in refusal(tmp_path, {"host": one}, {"host": other})
    assert refusal(tmp_path, {"host": other}, {"host": one})
    assert not refusal(tmp_path, {"host": one}, {"host": other, "port": 1502})


def test_an_address_of_this_pc_is_this_pc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a network card and the loopback address lead to one server that listens on all of them."""

    class Card(socket.socket):
        def bind(self, address: Any) -> None:
            if address != ("192.0.2.78", 0):
                super().bind(address)

    monkeypatch.setattr(socket, "socket", Card)

    assert refusal(tmp_path, {"host": "127.0.0.1"}, {"host": "192.0.2.78"})
    assert not refusal(tmp_path, {"host": "127.0.0.1"}, {"host": "192.0.2.79"})


def test_a_name_with_two_addresses_is_held_at_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "coupler":
            return ask(host, port, *args, **options)
        return [*ask("192.0.2.77", port, *args, **options), *ask("192.0.2.78", port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    for host in ("192.0.2.77", "192.0.2.78", "coupler"):
        assert refusal(tmp_path, {"host": "coupler"}, {"host": host})
        assert refusal(tmp_path, {"host": host}, {"host": "coupler"})
    assert not refusal(tmp_path, {"host": "coupler"}, {"host": "192.0.2.79"})


@pytest.mark.parametrize("other", [{"unit": 255}, {"first_coil": 3}, {"first_coil": 64}, REGISTERS])
def test_a_remote_io_with_coils_is_held_whole(tmp_path: Path, other: dict[str, object]) -> None:
    """Its watchdog is one for all its outputs: the writes of one agent would keep the PASS of another, dead one."""
    assert refusal(tmp_path, {}, other)
    assert refusal(tmp_path, other, {})


@pytest.mark.parametrize("other", [{}, {"unit": 255}, {"first_register": 7}])
def test_blocks_of_one_plc_that_share_a_register_are_one_output(tmp_path: Path, other: dict[str, object]) -> None:
    assert refusal(tmp_path, REGISTERS, REGISTERS | other)


def test_blocks_of_one_plc_that_share_none_live_beside_each_other(tmp_path: Path) -> None:
    assert not refusal(tmp_path, REGISTERS, REGISTERS | {"first_register": 20})


def test_a_refused_agent_holds_nothing_and_the_next_one_gets_the_output(tmp_path: Path) -> None:
    first, second = settings(tmp_path, **REGISTERS).output, settings(tmp_path, **REGISTERS, first_register=5).output
    with claimed(first), pytest.raises(AlreadyRunning), claimed(second):
        pass
    with claimed(second):
        pass
    with claimed(settings(tmp_path).output):
        pass


@pytest.fixture
def serial_port() -> Iterator[str]:
    ours, theirs = pty.openpty()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def on_serial(device: str) -> dict[str, Any]:
    return {"host": None, "serial": RtuSettings(device=device)}


def test_a_serial_port_by_two_names_is_one_output(tmp_path: Path, serial_port: str) -> None:
    by_id = tmp_path / "usb-FTDI-if00-port0"
    by_id.symlink_to(serial_port)

    assert refusal(tmp_path, on_serial(str(by_id)), on_serial(serial_port))
    assert refusal(tmp_path, on_serial(serial_port), on_serial(str(by_id)) | {"unit": 2, "first_coil": 8})
    assert not refusal(tmp_path, on_serial(serial_port), on_serial(str(tmp_path / "ttyUSB9")))


def test_a_port_that_comes_later_is_held_by_what_it_is_then(tmp_path: Path, serial_port: str) -> None:
    by_id = tmp_path / "usb-FTDI-if00-port0"
    with claimed(settings(tmp_path, **on_serial(str(by_id))).output) as late:
        with claimed(settings(tmp_path, **on_serial(serial_port)).output):
            by_id.symlink_to(serial_port)

            assert "another edge-agent drives the output" in late.admit(str(by_id), 0)
        assert late.admit(str(by_id), 0) == ""
        with pytest.raises(AlreadyRunning), claimed(settings(tmp_path, **on_serial(serial_port)).output):
            pass


async def test_a_name_that_leads_to_a_held_output_later_is_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start nobody could resolve it; what counts is who answers."""
    peer = SimulatedRemoteIo()
    await peer.start()
    held = claimed(settings(tmp_path, "127.0.0.1", port=peer.port).output)
    held.__enter__()
    with monkeypatch.context() as dead:
        dead.setattr(socket, "getaddrinfo", lambda *_args, **_options: (_ for _ in ()).throw(socket.gaierror("no DNS")))
        second = settings(tmp_path, "localhost", port=peer.port)
        cm = claimed(second.output)
        claim = cm.__enter__()
    output = make_output(second, claim=claim)
    run = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: "another edge-agent drives the output" in output.problem)
        written = list(peer.history)
        held.__exit__(None, None, None)
        await until(lambda: output.is_confirmed)
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        cm.__exit__(None, None, None)
        await peer.stop()

    assert not written


async def test_who_reached_the_output_first_keeps_it_through_a_cut(tmp_path: Path) -> None:
    peer = SimulatedRemoteIo()
    await peer.start()
    first, second = settings(tmp_path, "localhost", port=peer.port), settings(tmp_path, "127.0.0.1", port=peer.port)
    claim = Claim(first.output)
    output = make_output(first, claim=claim)
    run = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed)
        await peer.stop()
        await until(lambda: not output.is_confirmed)

        with pytest.raises(AlreadyRunning), claimed(second.output):
            pass
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        claim.close()


@contextmanager
def no_file_is_left() -> Iterator[None]:
    """As many files are open as this process may open: the next one is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with suppress(OSError):
            while True:
                opened.callback(os.close, os.dup(0))
        yield


@pytest.mark.parametrize("kind", ["modbus-coils", "modbus-registers", "slmp"])
def test_a_connection_that_is_made_anew_is_admitted_also_where_no_file_can_be_opened(tmp_path: Path, kind: str) -> None:
    """What is held is held: nobody who came since can have it. An exception here would end the agent."""
    of_kind = {} if kind == "modbus-coils" else {"kind": kind}
    with claimed(settings(tmp_path, **of_kind).output) as claim, no_file_is_left():
        again, elsewhere = claim.admit("192.0.2.77", 502), claim.admit("192.0.2.78", 502)

    assert again == ""
    assert "whether another edge-agent drives" in elsewhere
    assert "Too many open files" in elsewhere


@pytest.mark.slow
def test_a_second_agent_on_the_output_ends_with_75(tmp_path: Path) -> None:
    loaded = settings(tmp_path, "192.168.20.20")
    with claimed(loaded.output):
        for command in (["run"], ["output", "test", "--yes"]):
            ran = edge_agent(*command, "--config", str(tmp_path / "line.toml"))

            assert ran.returncode == 75, ran.stderr
            assert "another edge-agent drives the output 192.168.20.20:502" in ran.stderr
            assert "hint:" in ran.stderr


def test_a_folder_by_two_paths_is_one_folder(tmp_path: Path) -> None:
    spool, link = tmp_path / "spool", tmp_path / "link"
    link.symlink_to(spool)
    with claimed_folders([spool, tmp_path / "archive"]):  # not made yet
        for path in (spool, link, tmp_path / "x" / ".." / "spool"):
            with pytest.raises(AlreadyRunning, match="another edge-agent works in the folder"), claimed_folders([path]):
                pass
    spool.mkdir()
    with claimed_folders([link]), pytest.raises(AlreadyRunning), claimed_folders([spool]):
        pass
    with claimed_folders([spool]), claimed_folders([tmp_path / "archive"]):
        pass


def test_a_journal_by_two_paths_is_one_journal(tmp_path: Path) -> None:
    journal, link = tmp_path / "journal.sqlite3", tmp_path / "same.sqlite3"
    link.symlink_to(journal)
    with closing(Journal.open(journal)), pytest.raises(AlreadyRunning):
        Journal.open(link)
