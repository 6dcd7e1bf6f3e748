"""A small line for whole-process tests: simulated peers, a thumbnail bundle, the real `edge-agent run`."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import tomllib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from drivers.simulated.camera import ZipperCamera, encode_bmp
from drivers.simulated.controller import FtpTarget, SimulatedController
from drivers.simulated.defects import Defect, DefectSpec
from drivers.simulated.remote_io import SimulatedRemoteIo
from drivers.timing import monotonic_s
from edge_agent.errors import DataError
from edge_agent.store.journal import JournalReader
from edge_agent.wiring.free_ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from edge_agent.store.journal import PartRow

THUMBNAIL, FULL_SIZE = (160, 120), (1600, 1200)
PROGRAM = 1
PASS, REJECT, READY = 0, 1, 2
# The peers share a busy machine with other tests: a device that answers late by 150 ms is no fault here.
OUTPUT = "pass_hold_ms = 100\nwatchdog_ms = 1000\nwrite_timeout_ms = 500"
_LOOPBACK = "127.0.0.1"

_TOML = """\
schema_version = 1
[line]
deadline_ms = {deadline_ms}
min_part_spacing_ms = {spacing_ms}
[controller]
port = {controller_port}
result_items = {result_items}
[trigger]
{trigger}
[images]
spool = "spool"
{images}
[output]
host = "127.0.0.1"
port = {output_port}
part_present_input = 0
watchdog_tested = 2026-11-29
watchdog_tested_by = "the tests of the simulated remote I/O"
{output}
[[bundle]]
program = 1
path = "{bundle}"
[store]
journal = "journal.sqlite3"
archive = "archive"
[log]
format = "json"
"""


@lru_cache
def camera(size: tuple[int, int] = THUMBNAIL) -> ZipperCamera:
    """The camera that the bundle for images of that size was calibrated with."""
    width, height = size
    return ZipperCamera(width=width, height=height, seed=3)


@lru_cache
def good_image(number: int, size: tuple[int, int] = THUMBNAIL) -> bytes:
    """A good part that calibration has not seen."""
    return encode_bmp(camera(size).render(np.random.default_rng([3, 2, number])).image)


@lru_cache
def bad_image(number: int, size: tuple[int, int] = THUMBNAIL) -> bytes:
    """A part with a large dark residue."""
    defect = DefectSpec(Defect.RESIDUE, size_px=260.0, contrast=0.5)
    return encode_bmp(camera(size).render(np.random.default_rng([3, 4, number]), defect).image)


@dataclass
class Line:
    """The peers, the agent's process, and what the test looks at."""

    folder: Path
    controller: SimulatedController
    remote_io: SimulatedRemoteIo
    config: Path
    drop: Path
    ftp_port: int
    agent: asyncio.subprocess.Process | None = None
    environment: dict[str, str] = field(default_factory=dict)

    async def start_agent(self, *arguments: str, module: str = "edge_agent") -> None:
        """Start ``edge-agent run`` as its own process."""
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                "run",
                "--config",
                str(self.config),
                *arguments,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    async def stop_agent(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.agent is not None
        if self.agent.returncode is None:
            self.agent.terminate()
        async with asyncio.timeout(30):
            return await self.agent.wait()

    async def until(self, what: str, condition: Callable[[], bool], within_s: float = 60.0) -> None:
        """Wait for a condition, or fail with the agent's last log lines."""
        begin = monotonic_s()
        while not condition():
            assert monotonic_s() - begin < within_s, f"no {what} within {within_s} s:\n{self.log_tail()}"
            await asyncio.sleep(0.02)

    async def until_ready(self, within_s: float = 60.0) -> None:
        """Wait until the READY coil is energised."""
        await self.until("READY", lambda: self.remote_io.coils[READY], within_s)

    def rows(self) -> list[PartRow]:
        """The rows of the parts whose verdict has gone its way: a row alone is written before its PASS."""
        try:
            with JournalReader.open(self.folder / "journal.sqlite3") as journal:
                published = journal.publications()
                return [row for row in journal.rows() if row.part_seq in published]
        except DataError:  # the agent has not made it yet
            return []

    async def until_rows(self, number: int) -> list[PartRow]:
        """Wait until the journal has that many rows."""
        await self.until(f"{number} rows", lambda: len(self.rows()) >= number)
        return self.rows()

    def log_text(self) -> str:
        """All that the agent logged."""
        path = self.folder / "agent.log"
        return path.read_text() if path.exists() else "(no log)"

    def log_tail(self) -> str:
        """The last lines of the agent's log."""
        return "\n".join(self.log_text().splitlines()[-12:])


@asynccontextmanager
async def line(
    folder: Path,
    bundle: Path,
    *,
    images: str = "ftp",
    trigger: str = 'source = "wired"',
    deadline_ms: int = 1500,
    spacing_ms: int = 2000,
    result_items: tuple[str, ...] = ("count", "judgement"),
    start: bool = True,
    output: str = OUTPUT,
    remote_io: SimulatedRemoteIo | None = None,
    ftp_host: str = _LOOPBACK,
) -> AsyncIterator[Line]:
    """Peers up, agent up and READY (unless ``start`` is off); everything down at the end.

    The controller opens both connections of FTP to another ``ftp_host``: there is a proxy.
    """
    password, ftp_port, drop = secrets.token_urlsafe(16), free_port(), folder / "drop"
    drop.mkdir()
    good_image(1), bad_image(1)  # drawn before the peers are up: drawing would hold their event loop
    (folder / "ftp.password").write_text(password)
    (folder / "ftp.password").chmod(0o600)
    target = FtpTarget(ftp_host, ftp_port, user="cvx", password=password, passive=ftp_host != _LOOPBACK)
    controller = SimulatedController(
        program=PROGRAM,
        result_items=result_items,
        ftp=target if images == "ftp" else None,
        image_to="ftp" if images == "ftp" else drop,
    )
    remote_io = remote_io or SimulatedRemoteIo(watchdog_s=tomllib.loads(output)["watchdog_ms"] / 1000)
    await remote_io.start()
    await controller.start()
    source = {
        "ftp": f'[images.ftp]\nport = {ftp_port}\npassword_file = "ftp.password"',
        "folder": '[images.folder]\npath = "drop"\nrescan_ms = 200\nsettle_ms = 50',
    }[images]
    config = folder / "line.toml"
    config.write_text(
        _TOML.format(
            deadline_ms=deadline_ms,
            spacing_ms=spacing_ms,
            controller_port=controller.port,
            result_items=list(result_items),
            output_port=remote_io.port,
            output=output,
            trigger=trigger,
            images=source,
            bundle=bundle,
        )
    )
    at = Line(folder, controller, remote_io, config, drop, ftp_port)
    try:
        if start:
            await at.start_agent()
            await at.until_ready()
        yield at
    finally:
        if at.agent is not None and at.agent.returncode is None:
            at.agent.kill()
            await at.agent.wait()
        await controller.stop()
        await remote_io.stop()


def edge_agent(
    *args: str, cwd: Path | None = None, within_s: float = 100, said: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end; ``said`` is typed into it."""
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", *args],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=within_s,
        input=said,
    )
