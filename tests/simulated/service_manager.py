"""systemd as far as deploy/edge-agent.service asks for it: a notification socket, the watchdog, restarts, ExecStopPost.

The figures are read from the unit itself. What a service manager sees is kept with its time, so that a test can say
how long the line was without its agent.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

UNIT = Path(__file__).parents[2] / "deploy" / "edge-agent.service"


def unit_values(key: str) -> list[str]:
    """The values of one key of the unit, in its order."""
    pairs = (line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] not in "#[")
    return [value for name, value in pairs if name == key]


@dataclass
class ServiceManager:
    """Runs one agent as the unit says. ``seen`` holds (monotonic seconds, what)."""

    config: Path
    log: Path
    module: tuple[str, ...] = ("edge_agent",)
    environment: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[float, str]] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    _fed_s: float | None = None

    def times_of(self, what: str) -> list[float]:
        """When that was seen."""
        return [at for at, said in self.seen if said.startswith(what)]

    async def run(self) -> None:
        """Start, watch and restart until cancelled, or until an exit code that the unit does not restart on."""
        watchdog_s, restart_s = float(unit_values("WatchdogSec")[0]), float(unit_values("RestartSec")[0])
        final = {int(code) for value in unit_values("RestartPreventExitStatus") for code in value.split()}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            name = f"edge-agent-test-{secrets.token_hex(8)}"
            ear.bind("\0" + name)
            ear.setblocking(False)
            loop = asyncio.get_running_loop()
            loop.add_reader(ear, self._hear, ear)
            try:
                while await self._run_once(f"@{name}", watchdog_s) not in final:
                    await self._run("output", "fail-safe", "--config", str(self.config))
                    self._see("stop-post done")
                    await asyncio.sleep(restart_s)
            finally:
                loop.remove_reader(ear)

    async def _run_once(self, address: str, watchdog_s: float) -> int:
        self._fed_s = None
        environment = {**os.environ, **self.environment, "NOTIFY_SOCKET": address}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self.module, "run", "--config", str(self.config), stderr=log, env=environment
            )
        self._see("started")
        try:
            ended = asyncio.ensure_future(self.process.wait())
            while not (await asyncio.wait({ended}, timeout=0.02))[0]:
                if self._fed_s is not None and monotonic_s() - self._fed_s > watchdog_s:
                    self._see("watchdog")
                    self._fed_s = None
                    self.process.send_signal(signal.SIGABRT)
                    self.process.send_signal(signal.SIGCONT)
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
        self._see(f"exited {self.process.returncode}")
        return self.process.returncode or 0

    async def _run(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            ran = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge_agent", *arguments, stdout=log, stderr=log
            )
        await ran.wait()

    def _hear(self, ear: socket.socket) -> None:
        for said in ear.recv(4096).decode().splitlines():
            if said in ("WATCHDOG=1", "READY=1"):
                self._fed_s = monotonic_s()
            if said != "WATCHDOG=1":
                self._see(said)

    def _see(self, what: str) -> None:
        self.seen.append((monotonic_s(), what))


@asynccontextmanager
async def managed(manager: ServiceManager) -> AsyncIterator[ServiceManager]:
    """The agent under its service manager; killed at the end."""
    task = asyncio.create_task(manager.run())
    try:
        yield manager
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
