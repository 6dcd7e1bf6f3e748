"""A whole line for a newcomer: simulated peers, a calibration, the real agent as its own process, a report.

Nothing here reaches into the agent: it is started as a person would start it, and judged by what the simulated
remote I/O saw on its wire and by the journal it left.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from calibration.collecting.packages import need_packages
from edge_agent.errors import EdgeAgentError, Unavailable, UsageError
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.settings import load_settings
from edge_agent.store.journal import JournalReader
from edge_agent.tools.demo.pace import busy_words, pace_for
from edge_agent.tools.demo.report import write_demo_report
from edge_agent.tools.demo.result import DemoPart, DemoResult
from edge_agent.wiring.free_ports import free_port
from edge_agent.wiring.shown_parts import ShownPart, TruePart, render_good, render_line, words
from edge_agent.wiring.simulation import DemoLine
from edge_agent.wording import language

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge_agent.tools.demo.plan import DemoPlan


__all__ = ["run_demo"]

_MARK = ".made-by-edge-agent-demo"
_READY_WITHIN_S = 180.0
"""Far more than any machine needs that is not busy with something else."""
_STOP_WITHIN_S = 10.0
_PROGRAM = 1
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


def run_demo(plan: DemoPlan, progress: Callable[[str, int, int], None], say: Callable[[str], None]) -> DemoResult:
    """Run the whole demonstration; the files stay in ``plan.out``.

    Raises UsageError if ``plan.out`` holds something else, Unavailable where this PC cannot calibrate, ConfigError for
    times that no line can have, all before anything else is done; EdgeAgentError if the agent did not get READY.
    """
    if plan.defective > plan.parts:
        raise UsageError(f"{plan.defective} defective parts of {plan.parts}", hint="fewer --defective or more --parts")
    need_packages()
    _clear(plan.out)
    _write_settings(plan, {name: free_port() for name in ("controller", "ftp", "output")}, "not chosen yet")
    render_good(plan.out / "good", plan.good, width=plan.width, seed=plan.seed, progress=progress)
    shown = render_line(plan.parts, plan.defective, width=plan.width, seed=plan.seed, progress=progress)
    say(f"calibrating from {plan.good} good parts (edge-agent calibrate-reference)")
    calibrate = ["calibrate-reference", str(plan.out / "good"), "--out", str(plan.out / "bundle")]
    calibrate += ["--language", language()]
    done = subprocess.run(  # noqa: S603 - our own command
        [*_EDGE_AGENT, *calibrate, "--part", "zipper cursor", "--program", str(_PROGRAM), "--seed", str(plan.seed)],
        check=False,
        stdout=subprocess.DEVNULL,
    )
    if done.returncode:
        raise _ended("the calibration", done.returncode)
    inspector = Inspector(Bundle.load(plan.out / "bundle"))
    pace_s = pace_for(plan.spacing_s, lambda: inspector.inspect(shown[0].image))
    if pace_s > plan.spacing_s:
        say(f"this machine judges slowly ({busy_words()}): a part every {pace_s} s, not every {plan.spacing_s} s")
        plan = replace(plan, spacing_s=pace_s)
    parts, agent_exit = asyncio.run(_run_line(plan, shown, say))
    report = plan.out / "report.html"
    write_demo_report(report, plan, parts, inspector)
    return DemoResult(tuple(parts), report, inspector.bundle.id, agent_exit)


_EDGE_AGENT = [sys.executable, "-m", "edge_agent"]


def _ended(what: str, code: int) -> EdgeAgentError:
    """The error for a process of ours that did not do its work; it has said why itself."""
    if code < 0:
        hint = "mostly there was no memory left: end what else runs here, or take smaller images (--width 640)"
        return Unavailable(f"{what} was ended by signal {-code} ({busy_words()})", hint=hint)
    err = EdgeAgentError(f"{what} ended with exit code {code}: see the lines above")
    err.exit_code = code
    return err


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
    # On a busy machine a row may come after the next part was due; at its end the agent has one for each.
    with JournalReader.open(plan.out / "journal.sqlite3") as journal:
        parts = [part if part.row else _judged(plan, journal, part.truth, part.image) for part in parts]
    return parts, agent.returncode if agent.returncode is not None else -1


async def _until_ready(line: DemoLine, agent: asyncio.subprocess.Process, log_path: Path) -> None:
    """Wait for READY; an agent that ends first is said with the last lines of its log."""
    ready, ended = asyncio.create_task(line.wait_ready(_READY_WITHIN_S)), asyncio.create_task(agent.wait())
    await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
    is_ready = ready.done() and ready.exception() is None
    for task in (ready, ended):
        task.cancel()
    await asyncio.gather(ready, ended, return_exceptions=True)
    if is_ready:
        return
    tail = "\n".join(_last_lines(log_path))
    if agent.returncode is not None:
        raise _ended(f"{tail}\nthe agent", agent.returncode)
    raise Unavailable(
        f"{tail}\nthe agent did not get READY within {_READY_WITHIN_S:.0f} s ({busy_words()})",
        hint=f"end what else runs here, then try again; the agent's log is {log_path}",
    )


def _last_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[-10:]


async def _watch_parts(
    plan: DemoPlan, line: DemoLine, shown: list[ShownPart], say: Callable[[str], None]
) -> list[DemoPart]:
    """One part after the other, as the belt brings them; the row is read when the next part is due."""
    parts: list[DemoPart] = []
    with JournalReader.open(plan.out / "journal.sqlite3") as journal:
        async for true in line.run(len(shown)):
            parts.append(_judged(plan, journal, true, shown[true.index - 1].image))
            say(parts[-1].line())
    return parts


def _judged(plan: DemoPlan, journal: JournalReader, true: TruePart, image: bytes) -> DemoPart:
    """A part with its row, as far as there is one yet."""
    row = next((found for found in journal.rows(first_seq=true.index) if found.count == true.count), None)
    publication = journal.publications().get(row.part_seq) if row else None
    return DemoPart(true, image, row, publication, words(true, plan.width))
