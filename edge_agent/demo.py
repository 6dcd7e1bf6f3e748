"""A whole line for a newcomer: simulated peers, a calibration, the real agent as its own process, a report.

Nothing here reaches into the agent: it is started as a person would start it, and judged by what the simulated
remote I/O saw on its wire and by the journal it left.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_agent.demo_report import DemoPart, write_demo_report
from edge_agent.domain import Verdict
from edge_agent.errors import EdgeAgentError, UsageError
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.settings import load_settings
from edge_agent.simulation import DemoLine, ShownPart, free_port, render_good, render_line, words
from edge_agent.store.journal import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge_agent.report.head import Paper

__all__ = ["DemoPlan", "DemoResult", "run_demo"]

_MARK = ".made-by-edge-agent-demo"
_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 10.0
_PROGRAM = 1
_ROOM = 2.0
"""So many times an inspection must fit into the deadline: image and result have to arrive too."""

_LINE_TOML = """\
# The simulated line of `edge-agent demo`.
schema_version = 1

[line]
name = "demo"
deadline_ms = {deadline_ms}
min_part_spacing_ms = {spacing_ms}

[controller]
host = "127.0.0.1"
port = {controller_port}

[images]
spool = "spool"

[images.ftp]
port = {ftp_port}
password_file = "ftp.password"

[output]
host = "127.0.0.1"
port = {output_port}
module = "beckhoff-bk9000"
pass_hold_ms = {hold_ms}
refresh_ms = {refresh_ms}
write_timeout_ms = {answer_ms}
watchdog_ms = {watchdog_ms}

[[bundle]]
program = {program}
path = "bundle"

[store]
journal = "journal.sqlite3"
archive = "archive"

[log]
format = "json"
"""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What the demonstration does. ``spacing_s`` is the time between two parts."""

    out: Path
    parts: int
    defective: int
    good: int
    width: int
    spacing_s: float
    seed: int
    paper: Paper = "A4"

    @property
    def deadline_ms(self) -> int:
        """The rest of the spacing is for what comes before the first sign: exposure and transfer."""
        return round(self.spacing_s * 700)


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The whole demonstration, against the truth."""

    parts: tuple[DemoPart, ...]
    report: Path
    bundle_id: str
    agent_exit: int

    def count(self, *, is_defective: bool, passed: bool) -> int:
        """One cell of the confusion table; ``passed`` is what the gate did."""
        return sum((p.is_defective, p.truth.is_let_through) == (is_defective, passed) for p in self.parts)

    @property
    def escapes(self) -> int:
        """Defective parts that the gate let through."""
        return self.count(is_defective=True, passed=True)

    @property
    def exit_code(self) -> int:
        """0 if no defective part was let through, every part has its row, and the agent stopped in order."""
        is_whole = all(part.row is not None for part in self.parts)
        return 0 if self.escapes == 0 and is_whole and self.agent_exit == 0 else 1

    def latency(self) -> dict[str, float]:
        """p50, p95 and maximum in milliseconds."""
        values = sorted(part.latency_ms for part in self.parts if part.row is not None)
        if not values:
            return {}
        return {
            "p50": statistics.median(values),
            "p95": values[min(len(values) - 1, round(0.95 * (len(values) - 1)))],
            "max": values[-1],
        }

    def to_json(self) -> dict[str, object]:
        """The ``--json`` object."""
        return {
            "schema_version": 1,
            "parts": len(self.parts),
            "good_passed": self.count(is_defective=False, passed=True),
            "good_rejected": self.count(is_defective=False, passed=False),
            "defective_passed": self.escapes,
            "defective_rejected": self.count(is_defective=True, passed=False),
            "reasons": dict(Counter(str(part.row.reason) for part in self.parts if part.row)),
            "latency_ms": {name: round(value, 1) for name, value in self.latency().items()},
            "bundle_id": self.bundle_id,
            "agent_exit": self.agent_exit,
            "report": str(self.report),
        }

    def summary(self) -> list[str]:
        """The closing lines for a person."""
        latency = self.latency()
        good_through = self.count(is_defective=False, passed=True)
        good_held = self.count(is_defective=False, passed=False)
        through = [str(part.truth.index) for part in self.parts if part.truth.is_escape]
        differ = sum(part.truth.is_let_through is not (part.verdict is Verdict.PASS) for part in self.parts)
        return [
            "",
            "counted is what the gate did with each part"
            + (f"; with {differ} of them something else than the verdict asked for" if differ else ""),
            "                 let through   held back",
            f"  good           {good_through:11d} {good_held:11d}",
            f"  defective      {self.escapes:11d} {self.count(is_defective=True, passed=False):11d}",
            "",
            f"the gate opened for {sum(part.truth.is_let_through for part in self.parts)} of {len(self.parts)} parts; "
            + (f"DEFECTIVE ones among them: {', '.join(through)}" if through else "no defective one among them"),
            "latency, first sign of a part to its verdict on the wire: "
            + ", ".join(f"{name} {value:.0f} ms" for name, value in latency.items()),
            f"the agent stopped with exit code {self.agent_exit}",
            f"report: {self.report.resolve()}",
        ]


def run_demo(plan: DemoPlan, progress: Callable[[str, int, int], None], say: Callable[[str], None]) -> DemoResult:
    """Run the whole demonstration; the files stay in ``plan.out``.

    Raises UsageError if ``plan.out`` holds something else, ConfigError for times that no line can have, both before
    anything else is done; EdgeAgentError if the agent did not get READY.
    """
    if plan.defective > plan.parts:
        raise UsageError(f"{plan.defective} defective parts of {plan.parts}", hint="fewer --defective or more --parts")
    _clear(plan.out)
    _write_settings(plan, {name: free_port() for name in ("controller", "ftp", "output")}, "not chosen yet")
    render_good(plan.out / "good", plan.good, width=plan.width, seed=plan.seed, progress=progress)
    shown = render_line(plan.parts, plan.defective, width=plan.width, seed=plan.seed, progress=progress)
    say(f"calibrating from {plan.good} good parts (edge-agent calibrate-reference)")
    calibrate = ["calibrate-reference", str(plan.out / "good"), "--out", str(plan.out / "bundle")]
    subprocess.run(  # noqa: S603 - our own command
        [*_EDGE_AGENT, *calibrate, "--part", "zipper cursor", "--program", str(_PROGRAM), "--seed", str(plan.seed)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    inspector = Inspector(Bundle.load(plan.out / "bundle"))
    plan = _in_time(plan, inspector.warm_up(), say)
    parts, agent_exit = asyncio.run(_run_line(plan, shown, say))
    report = plan.out / "report.html"
    write_demo_report(report, plan, parts, inspector)
    return DemoResult(tuple(parts), report, inspector.bundle.id, agent_exit)


_EDGE_AGENT = [sys.executable, "-m", "edge_agent"]


def _clear(out: Path) -> None:
    """An empty folder of ours; never one that holds somebody's files."""
    if out.exists() and any(out.iterdir()):
        if not (out / _MARK).exists():
            raise UsageError(f"{out} is not empty and not of an earlier demo", hint="name another folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARK).touch()


def _write_settings(plan: DemoPlan, ports: Mapping[str, int], password: str) -> Path:
    """Write line.toml and the password of its FTP, and read them as the agent will. Raises ConfigError."""
    secret, config = plan.out / "ftp.password", plan.out / "line.toml"
    secret.write_text(password, encoding="ascii")
    secret.chmod(0o600)
    spacing_ms = round(plan.spacing_s * 1000)
    text = _LINE_TOML.format(
        deadline_ms=plan.deadline_ms,
        hold_ms=round(spacing_ms * 0.15),
        spacing_ms=spacing_ms,
        controller_port=ports["controller"],
        ftp_port=ports["ftp"],
        output_port=ports["output"],
        refresh_ms=min(100, _watchdog_ms(plan) // 3),
        answer_ms=min(150, spacing_ms // 4),
        watchdog_ms=_watchdog_ms(plan),
        program=_PROGRAM,
    )
    config.write_text(text, encoding="utf-8")
    load_settings(config, drives_pass=True)
    return config


def _watchdog_ms(plan: DemoPlan) -> int:
    return min(500, round(plan.spacing_s * 1000) // 2)


def _in_time(plan: DemoPlan, inspection_ms: float, say: Callable[[str], None]) -> DemoPlan:
    """The plan, with parts further apart where this machine cannot judge them so soon."""
    if _ROOM * inspection_ms <= plan.deadline_ms:
        return plan
    slower = replace(plan, spacing_s=_ROOM * inspection_ms / 700)
    say(
        f"an inspection takes {inspection_ms:.0f} ms here: parts come every {slower.spacing_s * 1000:.0f} ms, "
        f"not every {plan.spacing_s * 1000:.0f} ms"
    )
    return slower


async def _run_line(plan: DemoPlan, shown: list[ShownPart], say: Callable[[str], None]) -> tuple[list[DemoPart], int]:
    """The line itself: peers up, agent up and READY, every part, agent down."""
    ftp_port, password = free_port(), secrets.token_urlsafe(16)
    async with DemoLine.open(
        shown,
        spacing_s=plan.spacing_s,
        program=_PROGRAM,
        ftp_port=ftp_port,
        ftp_password=password,
        watchdog_s=_watchdog_ms(plan) / 1000,
    ) as line:
        ports = {"controller": line.controller_port, "ftp": ftp_port, "output": line.output_port}
        config = _write_settings(plan, ports, password)
        say("starting the agent (edge-agent run)")
        with (plan.out / "agent.log").open("wb") as log_file:
            agent = await asyncio.create_subprocess_exec(*_EDGE_AGENT, "run", "-c", str(config), stderr=log_file)
            try:
                await _until_ready(line, agent, plan.out / "agent.log")
                parts = await _watch_parts(plan, line, shown, say)
            finally:
                if agent.returncode is None:
                    agent.terminate()
                try:
                    async with asyncio.timeout(_STOP_WITHIN_S):
                        await agent.wait()
                except TimeoutError:
                    agent.kill()
                    await agent.wait()
    return parts, agent.returncode if agent.returncode is not None else -1


async def _until_ready(line: DemoLine, agent: asyncio.subprocess.Process, log_path: Path) -> None:
    """Wait for READY; an agent that ends first is said with the last lines of its log."""
    ready, ended = asyncio.create_task(line.wait_ready(_READY_WITHIN_S)), asyncio.create_task(agent.wait())
    await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
    is_ready = ready.done() and ready.exception() is None
    for task in (ready, ended):
        task.cancel()
    await asyncio.gather(ready, ended, return_exceptions=True)
    if not is_ready:
        tail = "\n".join(_last_lines(log_path))
        raise EdgeAgentError(f"the agent did not get READY (exit code {agent.returncode}):\n{tail}")


def _last_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[-10:]


async def _watch_parts(
    plan: DemoPlan, line: DemoLine, shown: list[ShownPart], say: Callable[[str], None]
) -> list[DemoPart]:
    """One part after the other, as the belt brings them; the row is read when the next part is due."""
    parts: list[DemoPart] = []
    with JournalReader.open(plan.out / "journal.sqlite3") as journal:
        async for true in line.run(len(shown)):
            row = next((found for found in journal.rows(first_seq=true.index) if found.count == true.count), None)
            publication = journal.publications().get(row.part_seq) if row else None
            parts.append(DemoPart(true, shown[true.index - 1].image, row, publication, words(true, plan.width)))
            say(parts[-1].line())
    return parts
