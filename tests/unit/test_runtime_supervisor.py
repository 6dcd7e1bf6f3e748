"""The watchdog is fed by the agent's own progress; what only a new process mends ends the agent, in order."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import Capture, ControllerResult, ControllerUp, Judgement, Published
from drivers.timing import monotonic_s
from edge_agent.domain import Inspection, Outcome, Reason, Verdict
from edge_agent.runtime.engine import Engine, EngineOptions
from edge_agent.runtime.inference import InferenceHung
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.notify import notify
from edge_agent.runtime.supervisor import CONDITIONS, Supervisor, TriggerPlan
from edge_agent.runtime.worker import Worker
from edge_agent.store.archive import Archive
from edge_agent.store.journal import Journal, JournalError, JournalReader
from edge_agent.store.writer import JournalWriter
from tests.two_steps import AtOnce
from tests.virtual_peers import NullInspector, Source, sha256_of
from tests.virtual_time import InlineExecutor, run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from drivers.timing import Deadline


class Output:
    """A VerdictOutput that is confirmed, and refreshes as long as it is told to."""

    is_confirmed = True
    is_refreshing = True
    refresh_s = 0.1
    said: list[str]
    passed: list[int]

    def __init__(self) -> None:
        self.said, self.passed = [], []

    async def run(self, is_ready: Callable[[], bool]) -> None:
        try:
            while True:
                if self.is_refreshing:
                    is_ready()
                await asyncio.sleep(self.refresh_s)
        finally:
            self.said.append("REJECT left")

    async def publish(self, seq: int, verdict: Verdict, _by: Deadline, *_about: object, **_asked: object) -> Published:
        self.said.append(str(verdict))
        if verdict is Verdict.PASS:
            self.passed.append(seq)
        return Published.PUBLISHED

    async def begin_part(self, part_seq: int, first_sign_mono_s: float) -> None:
        await self.withdraw()

    async def withdraw(self) -> None:
        return

    async def read_part_present(self) -> bool:
        return False


class Stuck(Executor):
    """A disk that takes nothing while ``is_stuck``: what was asked of it waits."""

    def __init__(self) -> None:
        self.is_stuck = False
        self._waiting: list[tuple[Future[Any], Callable[..., Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self.is_stuck:
            return InlineExecutor().submit(fn, *args, **kwargs)
        future: Future[Any] = Future()
        self._waiting.append((future, fn))
        return future

    def free(self) -> None:
        """Take everything now, in order."""
        self.is_stuck = False
        for future, fn in self._waiting:
            future.set_result(fn())


class Hangs(AtOnce):
    """An inspection that comes back only when the test lets it."""

    def __init__(self) -> None:
        self.may_return = threading.Event()

    def inspect(self, data: bytes) -> Inspection:
        self.may_return.wait(30)
        return Inspection(Outcome.OK, Reason.OK, 1.0, 2.0, "c0de", sha256_of(data))


class Agent:
    """A supervisor with its journal; peers in memory."""

    def __init__(
        self, folder: Path, inspector: Any, thread: Executor, deadline_s: float = 0.3, refresh_s: float = 0.1
    ) -> None:
        self.folder, self.output, self.health = folder, Output(), Health.waiting_for(*CONDITIONS)
        self.output.refresh_s = refresh_s
        self.events: Source[Any] = Source()
        self.images: Source[Capture] = Source()
        # SQLite's connection belongs to the thread that opened it.
        self.writer = thread.submit(JournalWriter, folder / "journal.sqlite3").result()
        journal = Journal(self.writer, thread, 1)  # type: ignore[arg-type]
        self.engine = Engine(
            EngineOptions((1,), deadline_s, "both", 1, "boot", is_simulated=False),
            inspectors={(1, 1): inspector},
            journal=journal,
            archive=Archive(folder / "archive", max_bytes=10**9),
            output=self.output,
            health=self.health,
        )
        self._supervisor = Supervisor(
            engine=self.engine,
            health=self.health,
            link=self.events,  # type: ignore[arg-type]
            images=self.images,  # type: ignore[arg-type]
            output=self.output,
            journal=journal,
            trigger=TriggerPlan("wired", 0),
            refresh_s=refresh_s,
        )
        self.events.put(ControllerUp(1, "CV-X", monotonic_s()))

    async def run(self, stop: asyncio.Event) -> None:
        try:
            await self._supervisor.run(stop)
        finally:
            self.writer.close()

    def part(self, count: int) -> None:
        """Image and result of a good part."""
        path = self.folder / f"{count}.bmp"
        path.write_bytes(b"1,1")
        self.images.put(Capture(count, 1, "s", path.name, path, sha256_of(b"1,1"), monotonic_s()))
        self.events.put(ControllerResult(count, 1, Judgement.OK, (), monotonic_s()))


@contextmanager
def notified(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[str]]]:
    """Systemd's socket; gives what came since it was last asked."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("\0edge-agent-supervisor-test")
        ear.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "@edge-agent-supervisor-test")

        def said() -> list[str]:
            lines: list[str] = []
            while True:
                try:
                    lines += ear.recv(4096).decode().splitlines()
                except BlockingIOError:
                    return lines

        yield said


def test_the_watchdog_is_fed_while_peers_are_absent_and_not_while_the_output_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> tuple[list[str], list[str], list[str]]:
        agent, stop = Agent(tmp_path, NullInspector(), InlineExecutor()), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(2)
        well = said()
        agent.output.is_refreshing = False
        await asyncio.sleep(1.5)
        said()
        await asyncio.sleep(2)
        still = said()
        agent.output.is_confirmed = False
        await asyncio.sleep(2)
        cable_pulled = said()
        stop.set()
        await running
        return well, still, cable_pulled

    with notified(monkeypatch) as said:
        well, still, cable_pulled = run_in_virtual_time(main)

    assert "READY=1" in well
    assert well.count("WATCHDOG=1") >= 3
    assert "WATCHDOG=1" not in still
    assert any(line.startswith("STATUS=") for line in still), "it still says how it stands"
    assert "WATCHDOG=1" in cable_pulled, "a restart mends no cable"


def test_an_output_that_is_seldom_refreshed_feeds_the_watchdog_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[str]:
        agent, stop = Agent(tmp_path, NullInspector(), InlineExecutor(), refresh_s=3.0), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(1.5)
        seldom: list[str] = []
        said()
        for _ in range(9):
            await asyncio.sleep(1)
            seldom += said()
        stop.set()
        await running
        return seldom

    with notified(monkeypatch) as said:
        seldom = run_in_virtual_time(main)

    assert seldom.count("WATCHDOG=1") >= 17, "twice a second"


def test_a_systemd_that_is_busy_or_gone_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[bool, list[str]]:
        agent, stop = Agent(tmp_path, NullInspector(), InlineExecutor()), asyncio.Event()
        while notify("STATUS=full"):
            pass
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(2)
        said()
        await asyncio.sleep(2)
        heard = said()
        monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-there")
        await asyncio.sleep(2)
        is_ready = agent.engine.is_ready()
        stop.set()
        await running
        return is_ready, heard

    with notified(monkeypatch) as said, capture_logs() as logs:
        is_ready, heard = run_in_virtual_time(main)

    assert is_ready
    assert heard.count("READY=1") == 1, "told as soon as it is taken"
    events = [line["event"] for line in logs if line["log_level"] == "warning"]
    said_of_systemd = [event for event in events if event.startswith("systemd_")]
    assert said_of_systemd == ["systemd_does_not_hear", "systemd_hears_again", "systemd_does_not_hear"], "once each"


def test_a_disk_that_takes_a_write_and_never_answers_is_fault_until_it_does(tmp_path: Path) -> None:
    async def main() -> tuple[str, list[str], bool]:
        disk = Stuck()
        agent, stop = Agent(tmp_path, NullInspector(), disk), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(1)
        disk.is_stuck = True
        agent.part(1)
        await asyncio.sleep(2)
        why = str(agent.health)
        disk.free()
        await asyncio.sleep(3)
        stop.set()
        is_ready = agent.engine.is_ready()
        await running
        return why, agent.output.said, is_ready

    why, said, is_ready_again = run_in_virtual_time(main)

    assert "journal" in why
    assert "waiting for the disk" in why
    assert "PASS" not in said, "its row became durable long after the deadline"
    assert is_ready_again


async def test_a_stop_decides_the_open_part_before_the_agent_is_gone(tmp_path: Path) -> None:
    inspector, thread, stop = Hangs(), Worker("journal"), asyncio.Event()
    try:
        agent = Agent(tmp_path, inspector, thread, 5.0)
        running = asyncio.create_task(agent._supervisor.run(stop))
        async with asyncio.timeout(10):
            while not agent.engine.is_ready():
                await asyncio.sleep(0.01)
            agent.part(1)
            while agent.engine.is_idle:
                await asyncio.sleep(0.01)
            stop.set()
            await running
        thread.submit(agent.writer.close).result()
    finally:
        inspector.may_return.set()
        thread.shutdown()
    with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
        rows, publications = list(reader.rows()), reader.publications()

    assert [(row.count, row.verdict, row.reason) for row in rows] == [(1, Verdict.FAULT, Reason.NOT_READY)]
    assert rows[0].detail == "agent: it is being stopped"
    assert list(publications) == [1], "and what became of it"
    assert agent.output.said == ["FAULT", "REJECT left"]
    assert list((tmp_path / "archive").rglob("*.bmp")), "its image is kept"


async def run_until_hung(folder: Path) -> tuple[Agent, InferenceHung]:
    """The agent, and what it ended with when the inspection of its first part never came back."""
    inspector, thread = Hangs(), Worker("journal")
    try:
        agent = Agent(folder, inspector, thread, 0.05)
        running = asyncio.create_task(agent._supervisor.run(asyncio.Event()))
        async with asyncio.timeout(10):
            while not agent.engine.is_ready():
                await asyncio.sleep(0.01)
        agent.part(1)
        with pytest.raises(InferenceHung) as hung:
            await running
        thread.submit(agent.writer.close).result()
    finally:
        inspector.may_return.set()
        thread.shutdown()
    return agent, hung.value


async def test_an_inspection_that_never_returns_ends_the_agent_with_reject_and_an_event(tmp_path: Path) -> None:
    agent, hung = await run_until_hung(tmp_path)
    with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
        rows, events = list(reader.rows()), [event.detail for event in reader.events() if event.kind == "STOP"]

    assert hung.exit_code == 70
    assert hung.hint
    assert [(row.verdict, row.reason) for row in rows] == [(Verdict.REJECT, Reason.LATE)]
    assert agent.output.said == ["REJECT", "REJECT left"]
    assert "does not come back" in events[0]


def test_a_worker_takes_calls_in_order_hands_on_errors_and_drops_what_is_cancelled() -> None:
    worker, seen, gate = Worker("w"), [], threading.Event()
    first = worker.submit(lambda: (gate.wait(10), seen.append(1)))
    second = worker.submit(lambda: seen.append(2))
    cancelled = worker.submit(lambda: seen.append(3))
    failing = worker.submit(lambda: 1 / 0)
    assert cancelled.cancel()
    gate.set()
    first.result(10), second.result(10)

    assert isinstance(failing.exception(10), ZeroDivisionError)
    assert seen == [1, 2]
    worker.submit(gate.wait)
    worker.shutdown()
    with pytest.raises(RuntimeError):
        worker.submit(gate.wait)


def refuse_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes everything but the last event of a run."""
    event = Journal.event

    async def refusing(journal: Journal, kind: str, detail: str) -> None:
        if kind == "STOP":
            raise JournalError("the disk is full")
        await event(journal, kind, detail)

    monkeypatch.setattr(Journal, "event", refusing)


def test_a_stop_that_the_disk_does_not_take_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[str]:
        agent, stop = Agent(tmp_path, NullInspector(), InlineExecutor()), asyncio.Event()
        running = asyncio.create_task(agent.run(stop))
        await asyncio.sleep(1)
        stop.set()
        await running
        return agent.output.said

    refuse_stop(monkeypatch)

    assert run_in_virtual_time(main)[-1] == "REJECT left"


async def test_an_inspection_that_hangs_is_told_even_if_the_disk_takes_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it raises says that a thread is left in native code: the process must end the hard way."""
    refuse_stop(monkeypatch)
    await run_until_hung(tmp_path)
