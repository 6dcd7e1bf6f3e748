"""How the agent's times grow with the rate of parts: the real agent, simulated camera, controller and PLC.

Run: ``make bench-rate``, or ``python -m tests.benchmark.rate [--bundle FOLDER] [--from 1 --to 12] [--seconds 20]
[--out FOLDER]``; ``--rate 10 --minutes 10`` runs one rate for as long as that. Images have 1600 x 1200 px and are
rendered beforehand; one part in twenty is defective. The bundle has to be of that camera: without ``--bundle`` one is
calibrated first, which takes minutes. It prints a Markdown table; ``--out`` gets ``rate.md`` and ``rate.svg``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.simulated.parts import ControllerTiming
from drivers.simulated.plc import SimulatedPlc
from drivers.timing import monotonic_s
from edge_agent.domain import Reason, Verdict
from edge_agent.store.journal import JournalReader
from tests.simulated.conftest import calibrated
from tests.simulated.line import FULL_SIZE, bad_image, good_image, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_agent.store.journal import PartRow
    from tests.simulated.line import Line

OUTPUT = 'kind = "modbus-registers"\npass_hold_ms = 50\nwatchdog_ms = 100\nwrite_timeout_ms = 50\nrefresh_ms = 50'
"""A PLC, for a part a tenth of a second: with coils the watchdog alone is longer (docs/decisions/0017)."""
_HOLD_MS = 50
_BAD_EVERY = 20
_IMAGES = 16
_BETWEEN_S = 1.0
_JUDGED = frozenset({Reason.OK, Reason.SCORE, Reason.OVERRUN, Reason.LATE})
_QUICK = ControllerTiming(exposure_s=0.0005, processing_s=0.0005)


@dataclass(slots=True)
class Step:
    """What became of the parts of one rate. Seconds from a part's first sign to its verdict, of all that have a row."""

    rate: float
    counts: list[int] = field(default_factory=list)
    not_taken: int = 0
    latencies_s: list[float] = field(default_factory=list)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)

    def read(self, rows: Sequence[PartRow]) -> None:
        """Take its own parts' rows."""
        mine = set(self.counts)
        for row in rows:
            if row.count in mine:
                self.latencies_s.append(row.decided_mono_s - row.first_sign_mono_s)
                self.verdicts[row.verdict] += 1
                self.reasons[row.reason] += 1

    def ms(self, percent: float) -> float:
        """That percentile, milliseconds; NaN where no part has a row."""
        return float(np.percentile(self.latencies_s, percent)) * 1000 if self.latencies_s else float("nan")

    @property
    def others(self) -> int:
        """Parts without a verdict of their inspection, beside OVERRUN and LATE: nobody should see any."""
        lost = len(self.counts) - sum(self.verdicts.values())
        return lost + self.not_taken + sum(number for reason, number in self.reasons.items() if reason not in _JUDGED)


async def measure(
    folder: Path, bundle: Path, rates: Sequence[float], seconds: float, *, deadline_ms: int, module: str = "edge_agent"
) -> list[Step]:
    """One agent, and a stretch of parts of each rate, one after the other."""
    good = [good_image(number, FULL_SIZE) for number in range(1, _IMAGES + 1)]
    bad = [bad_image(number, FULL_SIZE) for number in (1, 2, 3)]

    def shown(number: int) -> bytes:
        is_bad = number % _BAD_EVERY == _BAD_EVERY - 1
        return bad[number // _BAD_EVERY % len(bad)] if is_bad else good[number % len(good)]

    steps, plc = [Step(rate) for rate in rates], SimulatedPlc(scan_s=0.001)
    times = {"deadline_ms": deadline_ms, "spacing_ms": deadline_ms + _HOLD_MS}
    async with line(folder, bundle, output=OUTPUT, remote_io=plc, start=False, **times) as at:
        at.controller.timing = _QUICK
        await at.start_agent(module=module)
        await at.until("READY", lambda: plc.is_agent_ready, 60.0)
        for step in steps:
            await _bring(at, plc, step, shown, seconds)
            await asyncio.sleep(_BETWEEN_S)
        assert await at.stop_agent() == 0, at.log_tail()
    with JournalReader.open(folder / "journal.sqlite3") as journal:
        rows = list(journal.rows())
    for step in steps:
        step.read(rows)
    return steps


async def _bring(at: Line, plc: SimulatedPlc, step: Step, shown: Callable[[int], bytes], seconds: float) -> None:
    begun_s = monotonic_s()
    for number in range(max(1, round(seconds * step.rate))):
        await asyncio.sleep(max(0.0, begun_s + number / step.rate - monotonic_s()))
        plc.part_arrives()
        count = await at.controller.wire_trigger(shown(number))
        if count is None:
            step.not_taken += 1
        else:
            step.counts.append(count)


def table(steps: Sequence[Step]) -> list[str]:
    """The steps as a Markdown table."""
    head = [
        "| parts a second | parts | p50 ms | p99 ms | OVERRUN | LATE | other |",
        "|---|---|---|---|---|---|---|",
    ]
    return head + [
        f"| {step.rate:g} | {len(step.counts)} | {step.ms(50):.1f} | {step.ms(99):.1f} | "
        f"{step.reasons[Reason.OVERRUN]} | {step.reasons[Reason.LATE]} | {step.others} |"
        for step in steps
    ]


def why_other(steps: Sequence[Step]) -> list[str]:
    """What the last column is of, where it has anything."""
    found = sum((step.reasons for step in steps), Counter[Reason]())
    others = {reason: n for reason, n in found.items() if reason not in _JUDGED}
    refused = sum(step.not_taken for step in steps)
    without = sum(len(step.counts) - sum(step.verdicts.values()) for step in steps)
    words = [f"{reason} {number}" for reason, number in others.items()]
    words += [f"{refused} triggers that the controller refused"] if refused else []
    words += [f"{without} parts without a row"] if without else []
    return [f"other: {', '.join(words)}", ""] if words else []


def svg(steps: Sequence[Step]) -> bytes:
    """The table drawn: p50 and p99 over the rate, and how much time there is until the next part."""
    from edge_agent.report.drawing import add_legend, draw_chart, label_axes

    rates = [step.rate for step in steps]

    def draw(axes: Any, theme: Any) -> None:
        axes.plot(rates, [step.ms(50) for step in steps], marker="o", color=theme.good, label="p50")
        axes.plot(rates, [step.ms(99) for step in steps], marker="s", color=theme.defective, label="p99")
        axes.plot(
            rates, [1000 / rate for rate in rates], linestyle="--", color=theme.limit, label="the next part comes"
        )
        axes.set_ylim(0, 1.3 * max(1.0, *(step.ms(99) for step in steps)))
        add_legend(axes, theme)
        label_axes(axes, "parts a second", "first sign to verdict, ms")

    uri = draw_chart(
        draw, 3.2, "Milliseconds from a part's first sign to its verdict, over the rate of parts"
    ).light_uri
    return base64.b64decode(uri.partition(",")[2])


@contextmanager
def _bundle_of(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory() as folder:
        sys.stderr.write("no --bundle: calibrating one of 1600 x 1200 px, which takes minutes\n")
        yield calibrated(Path(folder), FULL_SIZE)


def main() -> None:
    """Print the table; write it and its picture where asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", type=Path, help="calibrated for the simulated camera at 1600 x 1200 px")
    options.add_argument("--from", dest="first", type=int, default=1, help="parts a second, at first")
    options.add_argument("--to", dest="last", type=int, default=12, help="parts a second, at last")
    options.add_argument("--seconds", type=float, default=20.0, help="how long each rate is held")
    options.add_argument("--rate", type=float, help="this rate alone, parts a second")
    options.add_argument("--minutes", type=float, help="how long, in the place of --seconds")
    options.add_argument("--deadline-ms", type=int, default=450, help="of line.toml")
    options.add_argument("--out", type=Path, help="folder for rate.md and rate.svg")
    chosen = options.parse_args()
    rates = [chosen.rate] if chosen.rate else [float(rate) for rate in range(chosen.first, chosen.last + 1)]
    seconds = chosen.seconds if chosen.minutes is None else 60 * chosen.minutes
    with _bundle_of(chosen.bundle) as bundle, tempfile.TemporaryDirectory() as folder:
        steps = asyncio.run(measure(Path(folder), bundle, rates, seconds, deadline_ms=chosen.deadline_ms))
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    words = [
        *table(steps),
        "",
        *why_other(steps),
        f"1600 x 1200 px, {os.cpu_count()} cores, load {load} (1, 5, 15 min) at the end",
    ]
    sys.stdout.write("\n".join(words) + "\n")
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "rate.md").write_text("\n".join(words) + "\n", encoding="utf-8")
        (chosen.out / "rate.svg").write_bytes(svg(steps))


if __name__ == "__main__":
    main()
