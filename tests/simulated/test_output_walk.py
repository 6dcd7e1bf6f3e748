"""edge-agent output test: each signal in its turn, on the wire and read back; REJECT at the end, whatever happens."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import NotConnected
from drivers.modbus.connection import RtuLine
from drivers.modbus.modules import MODULES
from drivers.modbus.wires import CoilConnection, RegisterConnection
from drivers.output.walk import BlockWalker, Fall, LevelWalker, Step, Walk
from drivers.simulated.plc import PlcPart, SimulatedPlc
from drivers.simulated.remote_io import IoFault, SimulatedRemoteIo
from drivers.simulated.wago import SimulatedWago
from edge_agent.settings import load_settings
from edge_agent.store.journal import Journal, JournalReader
from tests.fault.rtu_peer import RtuPeer
from tests.simulated.line import edge_agent
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from drivers.output.coils import CoilWire

PASS, REJECT = 0, 1
COIL_NAMES = ["REJECT", "PASS", "PASS off", "READY", "HEARTBEAT", "all off", "PASS and REJECT", "REJECT"]
LINE = """\
schema_version = 1
[line]
deadline_ms = 500
min_part_spacing_ms = 1000
[images]
spool = "spool"
[images.folder]
path = "drop"
[output]
host = "127.0.0.1"
port = {port}
[[bundle]]
program = 1
path = "bundle"
[store]
journal = "journal.sqlite3"
archive = "archive"
"""


@asynccontextmanager
async def remote_io() -> AsyncIterator[SimulatedRemoteIo]:
    peer = SimulatedRemoteIo(watchdog_s=0.3)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


def walker(
    port: int,
    *,
    write_timeout_s: float = 0.3,
    watchdog_ms: int = 500,
    inverted: frozenset[str] = frozenset(),
    kind: type[LevelWalker] = LevelWalker,
    **device: Any,
) -> LevelWalker:
    coils = partial(
        CoilConnection,
        "127.0.0.1",
        port,
        unit=1,
        timeout_s=write_timeout_s,
        watchdog_ms=watchdog_ms,
        inverted=inverted,
        **device,
    )
    return kind(coils, write_timeout_s, 0.02, watchdog_ms=watchdog_ms, inverted=inverted)


def at_rest(peer: SimulatedRemoteIo) -> bool:
    return peer.coils[:4] == (False, True, False, False)


def left(peer: SimulatedRemoteIo) -> tuple[bool, ...]:
    """PASS and REJECT as they were written last: when nobody feeds it any more, the watchdog drops REJECT too."""
    written = [change for change in peer.history if change.cause == "write"]
    return tuple(next(change.value for change in reversed(written) if change.coil == coil) for coil in (PASS, REJECT))


async def test_every_coil_is_shown_in_its_turn_and_reject_is_left() -> None:
    seen: dict[str, set[tuple[bool, ...]]] = {}
    async with remote_io() as peer:
        walk_on = walker(peer.port)
        at: list[str] = []

        def tell(_number: int, _total: int, step: Step) -> None:
            at.append(step.name)

        walk_on.tell = tell
        task = asyncio.create_task(walk_on.walk(0.8))
        while not task.done():
            if len(at) not in {0, 1} and at[-1] != "REJECT":
                seen.setdefault(at[-1], set()).add(peer.coils[:4])
            await asyncio.sleep(0.002)
        walk = task.result()

        assert at_rest(peer)

    assert walk.is_good, walk
    assert [step.name for step in walk.steps] == at == COIL_NAMES
    assert {(True, False, True, False), (True, False, True, True)} <= seen["PASS"]
    assert {(False, True, True, False), (False, True, True, True)} <= seen["HEARTBEAT"]
    assert (False, False, False, False) in seen["all off"]
    assert (True, True, True, False) in seen["PASS and REJECT"]
    assert peer.watchdog_trips == 0


@pytest.mark.parametrize("number", range(1, 9))
async def test_a_walk_that_is_cancelled_at_any_step_leaves_reject(number: int) -> None:
    async with remote_io() as peer:
        reached = asyncio.Event()
        walk_on = walker(peer.port)
        walk_on.tell = lambda at, _total, _step: reached.set() if at == number else None
        task = asyncio.create_task(walk_on.walk(2.0 if number == 1 else 0.2))
        await reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert at_rest(peer)


@pytest.mark.parametrize("fault", [IoFault.MUTE, IoFault.EXCEPTION, IoFault.WRONG_ECHO, IoFault.STUCK, IoFault.DROP])
async def test_a_device_that_fails_on_the_way_ends_the_walk_and_is_brought_to_reject(fault: IoFault) -> None:
    async with remote_io() as peer:

        class Mended(LevelWalker):
            """The device behaves again when the failed connection is given up for a new one."""

            def _link(self) -> CoilWire:
                peer.fault = None
                return super()._link()

        def spoil(_number: int, _total: int, step: Step) -> None:
            peer.fault = fault if step.name == "PASS off" else None

        walk_on = walker(peer.port, write_timeout_s=0.5, kind=Mended)
        walk_on.tell = spoil
        walk = await walk_on.walk(0.4)

        assert at_rest(peer)

    assert not walk.is_good
    assert walk.problem
    assert [step.name for step in walk.steps] == ["REJECT", "PASS"]
    assert walk.is_at_rest


async def test_a_device_that_never_recovers_is_said_to_be_unproven() -> None:
    async with remote_io() as peer:
        walk_on = walker(peer.port)

        def spoil(_number: int, _total: int, step: Step) -> None:
            peer.fault = IoFault.EXCEPTION if step.name == "PASS off" else None

        walk_on.tell = spoil
        walk = await walk_on.walk(0.4)
        await until(lambda: not peer.coils[PASS])  # by its own watchdog

    assert not walk.is_at_rest
    assert not walk.is_good


async def test_a_device_that_is_too_slow_for_the_limit_is_left_at_rest_in_time() -> None:
    peer = SimulatedRemoteIo(watchdog_s=5.0, late_s=0.12)
    await peer.start()
    try:
        await peer.misbehave(IoFault.LATE)
        walk = await walker(peer.port, write_timeout_s=1.0).walk(0.1)

        assert at_rest(peer)
    finally:
        await peer.stop()

    assert walk.problem == "the time limit of 0.1 s is over"
    assert 0 < len(walk.steps) < len(COIL_NAMES)
    assert walk.is_at_rest


async def test_nobody_there_is_not_connected_and_not_a_walk() -> None:
    async with remote_io() as peer:
        port = peer.port
    with pytest.raises(NotConnected):
        await walker(port).walk(1.0)


async def test_inverted_coils_are_walked_and_left_as_they_are_wired() -> None:
    async with remote_io() as peer:
        walk = await walker(peer.port, inverted=frozenset({"REJECT", "READY"})).walk(0.5)

        assert peer.coils[:4] == (False, False, True, False)

    assert walk.is_good, walk
    assert "all on" in [step.name for step in walk.steps]


async def test_it_walks_over_a_serial_line() -> None:
    peer = RtuPeer()
    try:
        rtu = RtuLine(baud=115200, parity="none")
        coils = partial(CoilConnection, peer.name, 0, unit=1, timeout_s=0.1, rtu=rtu)
        walk = await LevelWalker(coils, 0.1, 0.05).walk(0.6)
    finally:
        peer.close()

    assert walk.is_good, walk
    assert [step.name for step in walk.steps] == COIL_NAMES
    assert [peer.coils[at] for at in range(4)] == [False, True, False, False]


class NumberBlindPlc(SimulatedPlc):
    """Its program believes a PASS whatever its number."""

    def _lacking(self, part: PlcPart, now_mono_s: float) -> str:
        return super()._lacking(PlcPart(self.block[0]), now_mono_s)


class CheckBlindPlc(SimulatedPlc):
    """Its program looks at no check."""

    def _lacking(self, part: PlcPart, now_mono_s: float) -> str:
        return "" if (self.block[0], self.block[1]) == (part.seq, 0x005A) else "not this part's PASS"


class DeafPlc(SimulatedPlc):
    """Its program runs and believes no block at all."""

    def _lacking(self, part: PlcPart, now_mono_s: float) -> str:
        return "it looks at another register"


@asynccontextmanager
async def plc(kind: type[SimulatedPlc] = SimulatedPlc, *, is_counting: bool = True) -> AsyncIterator[SimulatedPlc]:
    peer = kind(is_counting=is_counting)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


async def walk_block(peer: SimulatedPlc, seconds: float = 0.5, *, is_counted: bool = True) -> Walk:
    registers = partial(RegisterConnection, "127.0.0.1", peer.port, unit=1, timeout_s=0.3)
    return await BlockWalker(registers, 0.3, 0.02, is_counted=is_counted).walk(seconds)


async def test_a_plc_takes_the_pass_of_its_part_and_no_other_block() -> None:
    async with plc() as peer:
        part = peer.part_arrives()
        walk = await walk_block(peer)

        assert peer.block[:5] == (0, 0x00C3, 0xFF3C, 0, 0)

    assert walk.is_good, walk
    assert part.is_let_through
    names = ["REJECT", "READY", "HEARTBEAT", "FAULT", "another part", "bad check", "PASS", "PASS off", "REJECT"]
    assert [step.name for step in walk.steps] == names


async def test_a_plc_that_takes_our_numbers() -> None:
    async with plc(is_counting=False) as peer:
        part = peer.part_arrives()
        walk = await walk_block(peer, is_counted=False)

    assert walk.is_good, walk
    assert part.is_let_through


@pytest.mark.parametrize(("kind", "step"), [(NumberBlindPlc, "another part"), (CheckBlindPlc, "bad check")])
async def test_a_plc_that_believes_too_much_is_found(kind: type[SimulatedPlc], step: str) -> None:
    async with plc(kind) as peer:
        peer.part_arrives()
        walk = await walk_block(peer)

    assert not walk.is_good
    assert "must not believe" in next(done.problem for done in walk.steps if done.name == step)


async def test_a_plc_that_does_not_take_its_part_is_found() -> None:
    async with plc(DeafPlc) as peer:
        peer.part_arrives()
        walk = await walk_block(peer)

    assert [step.name for step in walk.steps if "did not take part 1" in step.problem] == ["PASS"]


async def test_a_plc_whose_program_stands_still_is_found() -> None:
    async with plc() as peer:
        peer.is_scanning = False
        walk = await walk_block(peer)

    assert "stands still" in walk.steps[0].problem


async def test_without_a_part_at_the_gate_nothing_is_asked_of_the_plc() -> None:
    async with plc() as peer:
        walk = await walk_block(peer)

    assert walk.is_good, walk
    assert "no new part" in next(step.expect for step in walk.steps if step.name == "PASS")


# --- the command ---------------------------------------------------------------------------------------------------


def config(folder: Path, port: int) -> Path:
    (folder / "drop").mkdir()
    path = folder / "line.toml"
    path.write_text(LINE.format(port=port))
    path.chmod(0o640)
    return path


def events(folder: Path) -> list[str]:
    with JournalReader.open(folder / "journal.sqlite3") as journal:
        return [event.detail for event in journal.events() if event.kind == "OUTPUT_TEST"]


async def test_the_command_walks_and_the_journal_knows_who(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        arguments = ("output", "test", "--config", str(path), "--yes", "--seconds", "2", "--json")
        ran = await asyncio.to_thread(edge_agent, *arguments)

        assert left(peer) == (False, True)

    said = json.loads(ran.stdout)
    assert ran.returncode == 0, ran.stderr
    assert (said["ok"], said["reject_stands"], said["problem"]) == (True, True, None)
    assert [step["name"] for step in said["steps"]] == COIL_NAMES
    assert "the gate OPENS" in ran.stderr
    begin, end = events(tmp_path)
    assert begin.startswith("begins, by ")
    assert end == "ends: every step was read back; REJECT stands"


async def test_without_yes_and_in_a_dry_run_nothing_is_written(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        refused = await asyncio.to_thread(edge_agent, "output", "test", "--config", str(path))
        dry = await asyncio.to_thread(edge_agent, "output", "test", "--config", str(path), "--dry-run", "--json")
        writes = peer.writes

    assert refused.returncode == 64
    assert "--yes" in refused.stderr
    assert dry.returncode == 0, dry.stderr
    assert [step["name"] for step in json.loads(dry.stdout)["steps"]] == COIL_NAMES
    assert writes == 0
    assert not (tmp_path / "journal.sqlite3").exists()


async def test_while_an_agent_holds_the_journal_it_is_refused(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        agent = Journal.open(tmp_path / "journal.sqlite3")
        try:
            ran = await asyncio.to_thread(edge_agent, "output", "test", "--config", str(path), "--yes")
        finally:
            agent.close()
        writes = peer.writes

    assert ran.returncode == 75, ran.stderr
    assert "stop it first" in ran.stderr
    assert writes == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
async def test_a_walk_that_is_stopped_with_pass_on_ends_in_reject(tmp_path: Path, number: signal.Signals) -> None:
    async with remote_io() as peer:
        arguments = ["output", "test", "--config", str(config(tmp_path, peer.port)), "--yes", "--seconds", "8"]
        ran = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_agent", *arguments, stdout=asyncio.subprocess.PIPE
        )
        await until(lambda: peer.coils[PASS], within_s=40)
        ran.send_signal(number)
        said, _ = await ran.communicate()
        await until(lambda: not peer.coils[PASS])
        coils = peer.coils[:4]
        last = left(peer)

    if number is signal.SIGKILL:  # what is left then is the module's own watchdog
        assert not any(coils)
        return
    assert last == (False, True)
    assert ran.returncode == 1
    assert b"stopped by a person" in said
    assert events(tmp_path)[-1] == "ends: stopped by a person; REJECT stands"


async def test_a_device_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
    ran = await asyncio.to_thread(edge_agent, "output", "test", "--config", str(path), "--yes")

    assert ran.returncode == 69
    assert "no connection" in ran.stderr


# --- the watchdog, with a person at the gate -------------------------------------------------------------------------


async def fallen(peer: SimulatedRemoteIo, **options: Any) -> Fall:
    return await walker(peer.port, **({"watchdog_ms": 300} | options)).let_fall(0.2)


async def test_a_pass_that_the_module_drops_when_nobody_writes_is_measured() -> None:
    async with remote_io() as peer:
        fall = await fallen(peer)

        assert at_rest(peer)

    falls = [change for change in peer.history if change.coil == PASS and not change.value]
    assert falls[0].cause == "watchdog"  # nobody had written REJECT
    assert (fall.problem, fall.is_at_rest) == ("", True)
    assert fall.after_ms >= 300
    assert peer.watchdog_trips == 1


@pytest.mark.parametrize("name", ["wago-750", "beckhoff-bk9000"])
async def test_the_watchdog_of_a_module_is_armed_before_and_after_its_trip(name: str) -> None:
    peer = SimulatedWago(watchdog_s=60.0) if name == "wago-750" else SimulatedRemoteIo(watchdog_s=60.0)
    await peer.start()
    try:
        fall = await fallen(peer, module=MODULES[name], first_coil=MODULES[name].first_coil)

        assert at_rest(peer)
    finally:
        await peer.stop()

    assert (fall.problem, fall.is_at_rest) == ("", True)
    assert peer.watchdog_trips == 1
    assert peer.watchdog_s == 0.3


async def test_a_pass_that_stands_on_is_found_and_taken_back() -> None:
    async with remote_io() as peer:
        peer.watchdog_s = 60.0
        fall = await fallen(peer, watchdog_ms=50)

        assert at_rest(peer)
        assert left(peer) == (False, True)

    assert "nothing drops it" in fall.problem
    assert fall.is_at_rest


async def test_a_watchdog_that_reads_feed_is_none() -> None:
    async with remote_io() as peer:
        peer._is_fed_by_reads = True
        fall = await fallen(peer, watchdog_ms=100)

        assert at_rest(peer)

    assert "nothing drops it" in fall.problem
    assert peer.watchdog_trips == 0


async def test_a_pass_that_falls_later_than_line_toml_says_is_told() -> None:
    async with remote_io() as peer:
        fall = await fallen(peer, watchdog_ms=50, write_timeout_s=0.2)

    assert "watchdog_ms is 50" in fall.problem


@pytest.mark.parametrize("fault", [IoFault.MUTE, IoFault.DROP, IoFault.STUCK])
async def test_a_module_that_fails_while_pass_stands_ends_the_trial_in_words(fault: IoFault) -> None:
    async with remote_io() as peer:
        walk_on = walker(peer.port, watchdog_ms=300)
        trial = asyncio.create_task(walk_on.let_fall(5.0))
        await until(lambda: peer.coils[PASS])
        await peer.misbehave(fault)
        fall = await trial

    assert fall.problem
    assert not fall.is_at_rest


async def test_the_trial_stops_when_a_person_says_so() -> None:
    async with remote_io() as peer:
        walk_on = walker(peer.port, watchdog_ms=300)
        trial = asyncio.create_task(walk_on.let_fall(20.0))
        await until(lambda: peer.coils[PASS])
        walk_on.stop.set()
        fall = await trial

        assert at_rest(peer)

    assert fall.problem == "stopped by a person"


async def test_what_a_person_saw_of_the_watchdog_goes_into_line_toml_and_then_parts_may_pass(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        arguments = ("output", "test", "--config", str(path), "--watchdog", "--by", 'Ada "the first"', "--yes")
        before = await asyncio.to_thread(edge_agent, "config", "check", "--config", str(path))
        ran = await asyncio.to_thread(edge_agent, *arguments, said="y\n")
        after = await asyncio.to_thread(edge_agent, "config", "check", "--config", str(path))

    assert (before.returncode, ran.returncode, after.returncode) == (78, 0, 0), ran.stderr + after.stderr
    assert "PASS fell" in ran.stderr
    output = load_settings(path, drives_pass=True).output
    assert output.watchdog_tested == datetime.now().astimezone().date()
    assert output.watchdog_tested_by == 'Ada "the first"'
    begin, end, seen = events(tmp_path)
    assert begin == 'begins, by Ada "the first": PASS stands, then nothing is written'
    assert "after the last write; PASS is off" in end
    assert seen == 'the gate was seen to close when the writes stopped, by Ada "the first"'


@pytest.mark.parametrize("answer", ["n\n", ""])
async def test_a_gate_that_nobody_saw_closing_is_written_down_nowhere(tmp_path: Path, answer: str) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        before = path.read_bytes()
        arguments = ("output", "test", "--config", str(path), "--watchdog", "--by", "Ada", "--yes")
        ran = await asyncio.to_thread(edge_agent, *arguments, said=answer)

    assert ran.returncode == 1
    assert path.read_bytes() == before


async def test_a_watchdog_that_does_not_drop_pass_is_said_and_nothing_is_written_down(tmp_path: Path) -> None:
    async with remote_io() as peer:
        peer.watchdog_s = 60.0
        path = config(tmp_path, peer.port)
        before = path.read_bytes()
        arguments = ("output", "test", "--config", str(path), "--watchdog", "--yes", "--json")
        ran = await asyncio.to_thread(edge_agent, *arguments)
        rest = left(peer)

    assert ran.returncode == 1
    assert "nothing drops it" in json.loads(ran.stdout)["problem"]
    assert path.read_bytes() == before
    assert rest == (False, True)


async def test_a_line_toml_that_cannot_take_it_is_left_and_the_lines_are_told(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        table = f'[output]\nhost = "127.0.0.1"\nport = {peer.port}\n'
        inline = f'output = {{ host = "127.0.0.1", port = {peer.port} }}\n'
        text = inline + path.read_text().replace(table, "")
        path.write_text(text)
        arguments = ("output", "test", "--config", str(path), "--watchdog", "--by", "Ada", "--yes")
        ran = await asyncio.to_thread(edge_agent, *arguments, said="y\n")

    assert ran.returncode == 0, ran.stderr
    assert path.read_text() == text
    assert "Put this below [output] yourself" in ran.stdout
    assert 'watchdog_tested_by = "Ada"' in ran.stdout


async def test_the_watchdog_of_a_plc_is_not_tried_with_coils(tmp_path: Path) -> None:
    async with remote_io() as peer:
        path = config(tmp_path, peer.port)
        path.write_text(path.read_text().replace("[output]\n", '[output]\nkind = "modbus-registers"\n'))
        ran = await asyncio.to_thread(edge_agent, "output", "test", "--config", str(path), "--watchdog", "--yes")

    assert ran.returncode == 64
    assert "heartbeat" in ran.stderr


def test_a_name_that_does_not_fit_on_a_line_is_refused(tmp_path: Path) -> None:
    path = config(tmp_path, 502)
    ran = edge_agent("output", "test", "--config", str(path), "--watchdog", "--by", "Ada\nLovelace", "--yes")

    assert ran.returncode == 64
    assert "is no name" in ran.stderr
    assert not (tmp_path / "journal.sqlite3").exists()
