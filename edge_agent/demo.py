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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from calibration.packages import need_packages
from edge_agent.domain import Reason, Verdict
from edge_agent.errors import EdgeAgentError, UsageError
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.replay import versions
from edge_agent.report.facts import PartFact, PartPictures, RunFacts
from edge_agent.report.html import write_run_report
from edge_agent.simulation import DemoLine, ShownPart, TruePart, free_port, render_good, render_line, words
from edge_agent.store.journal import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.store.journal import PartRow, PublicationRow

__all__ = ["DemoPlan", "DemoResult", "run_demo"]

_MARK = ".made-by-edge-agent-demo"
_READY_WITHIN_S = 60.0
_STOP_WITHIN_S = 10.0
_PICTURES = 12
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


@dataclass(frozen=True, slots=True)
class DemoPart:
    """One part: what it was, what the agent said, what the gate did."""

    truth: TruePart
    image: bytes
    row: PartRow | None
    publication: PublicationRow | None

    @property
    def is_defective(self) -> bool:
        """What the agent is not told."""
        return self.truth.defect is not None

    @property
    def latency_ms(self) -> float:
        """First sign of the part to its verdict on the wire (or, where none was sent, to its decision)."""
        if self.row is None:
            return float("nan")
        end = self.publication.at_mono_s if self.publication else self.row.decided_mono_s
        return (end - self.row.first_sign_mono_s) * 1000

    def line(self) -> str:
        """The part in one line for a person."""
        gate = "let through" if self.truth.is_let_through else "held back"
        if self.row is None:
            return f"part {self.truth.index:3d}  no journal row!  truth: {words(self.truth)}  gate: {gate}"
        row = self.row
        score = f"{row.score:8.3f} / {row.limit:.3f}" if row.score is not None and row.limit else " " * 16
        return (
            f"part {self.truth.index:3d}  count {row.count:4d}  {row.verdict:<6}  score {score}  {row.reason:<13}"
            f" {self.latency_ms:5.0f} ms  truth: {words(self.truth):<34}  gate: {gate}"
        )


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
        return [
            "",
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

    Raises UsageError if ``plan.out`` holds something else, Unavailable where this PC cannot calibrate, EdgeAgentError
    if the agent did not get READY.
    """
    if plan.defective > plan.parts:
        raise UsageError(f"{plan.defective} defective parts of {plan.parts}", hint="fewer --defective or more --parts")
    need_packages()
    _clear(plan.out)
    render_good(plan.out / "good", plan.good, width=plan.width, seed=plan.seed, progress=progress)
    shown = render_line(plan.parts, plan.defective, width=plan.width, seed=plan.seed, progress=progress)
    say(f"calibrating from {plan.good} good parts (edge-agent calibrate-reference)")
    calibrate = ["calibrate-reference", str(plan.out / "good"), "--out", str(plan.out / "bundle")]
    subprocess.run(  # noqa: S603 - our own command
        [*_EDGE_AGENT, *calibrate, "--part", "zipper cursor", "--program", str(_PROGRAM), "--seed", str(plan.seed)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    parts, agent_exit = asyncio.run(_run_line(plan, shown, say))
    inspector = Inspector(Bundle.load(plan.out / "bundle"))
    report = plan.out / "report.html"
    _write_report(report, plan, parts, inspector)
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


async def _run_line(plan: DemoPlan, shown: list[ShownPart], say: Callable[[str], None]) -> tuple[list[DemoPart], int]:
    """The line itself: peers up, agent up and READY, every part, agent down."""
    spacing_ms = round(plan.spacing_s * 1000)
    watchdog_ms = min(500, spacing_ms // 2)
    ftp_port = free_port()
    password = secrets.token_urlsafe(16)
    async with DemoLine.open(
        shown,
        spacing_s=plan.spacing_s,
        program=_PROGRAM,
        ftp_port=ftp_port,
        ftp_password=password,
        watchdog_s=watchdog_ms / 1000,
    ) as line:
        (plan.out / "ftp.password").write_text(password, encoding="ascii")
        (plan.out / "ftp.password").chmod(0o600)
        config = plan.out / "line.toml"
        config.write_text(
            _LINE_TOML.format(
                # The rest of the spacing is for what comes before the first sign: exposure and transfer.
                deadline_ms=round(spacing_ms * 0.7),
                hold_ms=round(spacing_ms * 0.15),
                spacing_ms=spacing_ms,
                controller_port=line.controller_port,
                ftp_port=ftp_port,
                output_port=line.output_port,
                watchdog_ms=watchdog_ms,
                program=_PROGRAM,
            ),
            encoding="utf-8",
        )
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
            parts.append(DemoPart(true, shown[true.index - 1].image, row, publication))
            say(parts[-1].line())
    return parts


def _write_report(path: Path, plan: DemoPlan, parts: list[DemoPart], inspector: Inspector) -> None:
    write_run_report(
        path,
        facts=RunFacts(
            title="Demonstration line",
            simulated=True,
            bundle_ids=(inspector.bundle.id,),
            versions=versions(),
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            parts=tuple(_fact(part) for part in parts),
            pictures=tuple(_pictures(part, inspector) for part in _most_telling(parts)),
            deadline_ms=round(plan.spacing_s * 700),
            latency_words="from the first sign of the part to its verdict on the wire",
            notes=(
                (
                    f"Rendered zipper cursors, {plan.parts} parts, {plan.defective} of them defective; "
                    f"calibrated from {plan.good} good ones."
                ),
            ),
        ),
    )


def _fact(part: DemoPart) -> PartFact:
    row = part.row
    return PartFact(
        part_seq=row.part_seq if row else None,
        verdict=row.verdict if row else Verdict.FAULT,
        reason=row.reason if row else Reason.NO_ANSWER,
        label=f"part {part.truth.index}",
        count=row.count if row else None,
        detail=row.detail if row else "",
        score=row.score if row else None,
        limit=row.limit if row else None,
        latency_ms=part.latency_ms if row else None,
        is_defective=part.is_defective,
        truth=words(part.truth),
        gate="passed" if part.truth.is_let_through else "rejected",
        published=part.publication.published if part.publication else None,
    )


def _most_telling(parts: list[DemoPart]) -> list[DemoPart]:
    """Defects nearest to the limit first, then the good parts nearest to it."""
    scored = [part for part in parts if part.row is not None and part.row.score is not None]
    by_score = sorted(scored, key=lambda part: (part.row.score if part.row else None) or 0.0)
    defects = [part for part in by_score if part.is_defective]
    good = [part for part in reversed(by_score) if not part.is_defective]
    return defects[: _PICTURES * 2 // 3] + good[: _PICTURES // 3]


def _pictures(part: DemoPart, inspector: Inspector) -> PartPictures:
    inspection, pictures = inspector.explain(part.image)
    if pictures is None:
        raise EdgeAgentError(f"part {part.truth.index} had a score, but cannot be explained: {inspection.detail}")
    return PartPictures(
        label=f"part {part.truth.index}: {words(part.truth)}",
        caption=f"{inspection.outcome} {inspection.reason}, score {inspection.score:.4g}, limit {inspection.limit:.4g}",
        image=pictures.input,
        reconstruction=pictures.reconstruction,
        anomaly_map=pictures.anomaly_map,
    )
