"""The hardened unit under a real systemd, booted by systemd-nspawn over a root where install.sh has been.

EDGE_AGENT_ROOT names that root; docs/decisions/0044 says how to make one. Its line.toml and state are replaced, the
program is the one of this working tree. Peers are simulated, here, on the loopback interface that both share.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drivers.timing import monotonic_s
from edge_agent.wiring.free_ports import free_port
from tests.simulated.line import PASS, READY, REJECT, good_image, line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.results import Figure
    from tests.simulated.line import Line

REPOSITORY = Path(__file__).parents[2]
ROOT = Path(os.environ.get("EDGE_AGENT_ROOT", "/nowhere"))
WITHIN_S = 180.0
"""A machine that does many things at once takes long to boot, and to start Python."""
RESTARTED_WITHIN_S = 4.0
STATE = "/var/lib/edge-agent"
DEADLINE_S = 4.0
NOTICED_S = {"hangs": DEADLINE_S + 0.5, "holds the interpreter": 0.0, "leaves the output": 0.0}
"""An inspection may take until its deadline and a little: only then it hangs."""
FAULTY = """[Service]
ExecStart=
ExecStart=/opt/edge-agent/{bin}/python -m tests.simulated.faulty_agent run --config /etc/edge-agent/line.toml
Environment=EDGE_AGENT_TEST_FAULT={state}/fault
"""
"""``bin`` is the folder itself: by a link to it Python does not find its environment."""

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("EDGE_AGENT_CHAOS"), reason="long: EDGE_AGENT_CHAOS=1"),
    pytest.mark.skipif(not (ROOT / "opt/edge-agent/bin").exists(), reason="EDGE_AGENT_ROOT names no installed root"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("systemd-nspawn"), reason="root and systemd-nspawn only"),
]


@dataclass
class Machine:
    """A booted root: commands in it, and what its systemd says of the service."""

    leader: int

    async def run(self, *command: str) -> str:
        """A command's output; it has to succeed."""
        inside = ("nsenter", "-t", str(self.leader), "-m", "-p", "-i", "-u", "--", *command)
        process = await asyncio.create_subprocess_exec(
            *inside, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, f"{command}: {out.decode()}"
        return out.decode().strip()

    async def start_agent(self, at: Line) -> None:
        """Until the line is READY."""
        await self.run("chown", "-R", "edge-agent:edge-agent", STATE)
        await self.run("chgrp", "-R", "edge-agent", "/etc/edge-agent")
        await self.run("systemctl", "start", "edge-agent")
        assert await self.show("ActiveState") == "active"  # Type=notify: READY=1 was said
        await self.until("READY", lambda: at.remote_io.coils[READY])

    async def show(self, name: str) -> str:
        """One property of the service."""
        return await self.run("systemctl", "show", "edge-agent", "--value", "-p", name)

    async def main_pid(self) -> int:
        """The agent's process, as this machine numbers it; 0 while there is none."""
        number = await self.show("MainPID")
        if number == "0":
            return 0
        for entry in Path("/proc").glob("[0-9]*/status"):  # noqa: ASYNC240 - no disk
            try:
                status = dict(row.split(":\t", 1) for row in entry.read_text().splitlines() if ":\t" in row)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if status["NSpid"].split()[-1] == number and status["Name"] in ("edge-agent", "python"):
                return int(entry.parent.name)
        return 0

    async def until(self, what: str, condition: Callable[[], bool]) -> float:
        """Wait for it; the time. Says what systemd logged where it does not come."""
        begin = monotonic_s()
        while not condition():
            if monotonic_s() - begin > WITHIN_S:
                raise AssertionError(f"no {what}\n{await self.log()}")
            await asyncio.sleep(0.02)
        return monotonic_s()

    async def until_started(self, after_us: int) -> float:
        """Wait until systemd started the agent's process anew and it said READY=1; when it was started."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                began = int(await self.show("ExecMainStartTimestampMonotonic") or 0)
                if began > after_us and await self.show("ActiveState") == "active":
                    return began / 1e6
                await asyncio.sleep(0.1)

    async def log(self) -> str:
        """The last of the service's log."""
        return await self.run("journalctl", "-u", "edge-agent", "-o", "cat", "--no-pager", "-n", "40")


def _put_into_root(at: Line, bundle: Path, web_port: int, *, faulty: bool = False) -> None:
    text = at.config.read_text().replace(str(bundle), f"{STATE}/bundle")
    for name in ("spool", "journal.sqlite3", "archive"):
        text = text.replace(f'"{name}"', f'"{STATE}/{name}"')
    text += f"[web]\nport = {web_port}\n"
    etc, state = ROOT / "etc/edge-agent", ROOT / STATE[1:]
    for name, content in (("line.toml", text), ("ftp.password", (at.folder / "ftp.password").read_text())):
        (etc / name).write_text(content)
        (etc / name).chmod(0o640)
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(bundle, state / "bundle")
    units = ROOT / "etc/systemd/system"
    shutil.copy(REPOSITORY / "deploy" / "edge-agent.service", units)
    shutil.rmtree(units / "edge-agent.service.d", ignore_errors=True)
    if faulty:
        drop_in = units / "edge-agent.service.d" / "fault.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(FAULTY.format(bin=(ROOT / "opt/edge-agent/bin").readlink(), state=STATE))


@asynccontextmanager
async def _booted(log: Path) -> AsyncIterator[Machine]:
    packages = next((ROOT / "opt/edge-agent").glob("*/lib/python*/site-packages"))
    inside = Path("/") / packages.relative_to(ROOT)
    binds = [
        f"--bind-ro={REPOSITORY / name}:{inside / name}" for name in ("edge_agent", "drivers", "calibration", "tests")
    ]
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *("systemd-nspawn", "-q", "-D", str(ROOT), "--register=no", "--keep-unit", *binds),
            *("--machine=edge-agent-test", "--kill-signal=SIGRTMIN+3", "/lib/systemd/systemd"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        async with asyncio.timeout(WITHIN_S):
            while "login:" not in (said := await asyncio.to_thread(log.read_text, errors="replace")):
                assert process.returncode is None, said
                await asyncio.sleep(0.1)
        yield Machine(int((await asyncio.to_thread(children.read_text)).split()[0]))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _page_answers(port: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.write(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 200 " in await reader.readline()
            writer.close()
            return


@pytest.mark.promise("T-22", "real systemd (nspawn): kill -9, SIGSTOP", "REJECT by ExecStopPost, started again in 4 s")
async def test_the_hardened_unit_starts_judges_and_comes_back(
    tmp_path: Path, thumbnail_bundle: Path, figure: Figure
) -> None:
    web_port = free_port()
    async with line(tmp_path, thumbnail_bundle, start=False, deadline_ms=int(DEADLINE_S * 1000), spacing_ms=4500) as at:
        await asyncio.to_thread(_put_into_root, at, thumbnail_bundle, web_port)
        async with _booted(tmp_path / "boot.log") as machine:
            await machine.start_agent(at)
            status = Path(f"/proc/{await machine.main_pid()}/status").read_text()  # noqa: ASYNC240 - no disk
            assert "Seccomp:\t2" in status
            assert "NoNewPrivs:\t1" in status
            assert "CapBnd:\t0000000000000000" in status
            await at.controller.wire_trigger(good_image(1))
            await machine.until("PASS of a good part", lambda: at.remote_io.coils[PASS])
            await _page_answers(web_port)

            told = []
            for number, name in ((signal.SIGKILL, "kill -9"), (signal.SIGSTOP, "SIGSTOP")):
                await machine.until("READY", lambda: at.remote_io.coils[READY])
                pid, writes = await machine.main_pid(), len(at.remote_io.history)
                assert pid
                done_s = monotonic_s()
                os.kill(pid, number)
                again_s = await machine.until_started(int(done_s * 1e6)) - done_s
                # The watchdog of the remote I/O drops all outputs; REJECT is written by ExecStopPost and by the next.
                await machine.until("REJECT", lambda: at.remote_io.coils[REJECT])
                assert not any(change.coil == PASS and change.value for change in at.remote_io.history[writes:])
                log = await machine.log()
                assert log.count("REJECT written and read back") > len(told), log  # ExecStopPost, each time
                told.append((name, again_s))
            await machine.until("READY again", lambda: at.remote_io.coils[READY])
            await machine.run("systemctl", "stop", "edge-agent")
            assert await machine.show("Result") == "success"
    for name, again_s in told:
        figure(f"{name}: started again after {again_s:.1f} s", is_reached=again_s <= RESTARTED_WITHIN_S)


@pytest.mark.promise(
    "T-22i", "real systemd (nspawn): each that is watched hangs in turn", "started again in 4 s, no PASS"
)
async def test_whatever_of_the_agent_hangs_it_is_started_again(
    tmp_path: Path, thumbnail_bundle: Path, figure: Figure
) -> None:
    times = {"deadline_ms": int(DEADLINE_S * 1000), "spacing_ms": 4500}
    async with line(tmp_path, thumbnail_bundle, start=False, **times) as at:
        await asyncio.to_thread(_put_into_root, at, thumbnail_bundle, free_port(), faulty=True)
        async with _booted(tmp_path / "boot.log") as machine:
            await machine.start_agent(at)
            told = []
            for fault, noticed_s in NOTICED_S.items():
                await machine.until("READY", lambda: at.remote_io.coils[READY])
                writes = len(at.remote_io.history)
                (ROOT / STATE[1:] / "fault").write_text(fault)
                begin_s = monotonic_s() + noticed_s
                await at.controller.wire_trigger(good_image(1))
                again_s = await machine.until_started(int((begin_s - noticed_s) * 1e6)) - begin_s
                await machine.until("REJECT", lambda: at.remote_io.coils[REJECT])
                assert not any(change.coil == PASS and change.value for change in at.remote_io.history[writes:])
                told.append((fault, again_s))
            await machine.until("READY again", lambda: at.remote_io.coils[READY])
    for fault, again_s in told:
        figure(f"{fault}: started again after {again_s:.1f} s", is_reached=again_s <= RESTARTED_WITHIN_S)
