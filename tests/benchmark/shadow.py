"""What a candidate bundle beside the line costs a part: the same line with and without it, in turn, in one run.

Run: ``python -m tests.benchmark.shadow --bundle FOLDER [--blocks 12] [--parts 25] [--spacing-ms 500]``. The agent is
the real one; camera, controller and remote I/O are simulated, in this process. Every second block of parts has the
candidate beside it: the bundle itself with another limit, so that it does the very same work once more. Whatever else
the machine does hits both kinds of blocks. All parts are good. What is counted is the agent's own: the inspection's
stages, and from the first sign of a part to its decision.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from drivers.timing import monotonic_s
from edge_agent.settings import load_settings
from edge_agent.shadow.orders import begin_shadow, end_shadow
from edge_agent.store.shadow import ShadowFile
from tests.shadowed import candidate_of
from tests.simulated.line import FULL_SIZE, good_image, line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.store.rows import PartRow
    from tests.simulated.line import Line

_IMAGES = 4
_SKIPPED = 3
"""The first parts of a block: the candidate is loading, or has just gone."""
_LIMIT = 1000.0


@dataclass(slots=True)
class Found:
    """Milliseconds of one kind of block: of the inspections, and from first sign to decision."""

    inspection: list[float] = field(default_factory=list)
    decision: list[float] = field(default_factory=list)

    def take(self, row: PartRow) -> None:
        """Count one part."""
        self.inspection.append(sum(row.cameras[0].timings_ms.values()))
        self.decision.append((row.decided_mono_s - row.first_sign_mono_s) * 1000)


async def measure(folder: Path, bundle: Path, blocks: int, parts: int, spacing_s: float) -> tuple[Found, Found, int]:
    """The times without and with the candidate, and how many parts it judged."""
    candidate = folder / "candidate"
    candidate_of(bundle, candidate, _LIMIT)
    images = [good_image(number, FULL_SIZE) for number in range(1, _IMAGES + 1)]
    alone, beside = Found(), Found()
    async with line(folder, bundle, spacing_ms=2500, deadline_ms=2000) as at:
        settings = load_settings(at.config)
        for number in range(blocks):
            is_beside = bool(number % 2)
            if is_beside:
                await asyncio.to_thread(begin_shadow, settings, candidate, by="the benchmark", why="")
                begun = number // 2 + 1
                await at.until("the candidate", lambda n=begun: at.log_text().count("shadow_judges") == n)
            rows = await block(at, images, parts + _SKIPPED, spacing_s)
            for row in rows[_SKIPPED:]:
                (beside if is_beside else alone).take(row)
            if is_beside:
                await asyncio.to_thread(end_shadow, settings, by="the benchmark", why="")
        assert await at.stop_agent() == 0, at.log_tail()
    file = ShadowFile.open(folder / "journal.sqlite3")
    assert file is not None
    with file:
        judged = sum(one.outcome is not None for shadow in file.shadows() for one in file.results(shadow))
    return alone, beside, judged


async def block(at: Line, images: Sequence[bytes], parts: int, spacing_s: float) -> list[PartRow]:
    """The rows of so many parts, one after the other."""
    before, taken = len(at.rows()), 0
    for number in range(parts):
        begun_s = monotonic_s()
        taken += await at.controller.wire_trigger(images[number % len(images)]) is not None
        await asyncio.sleep(max(0.0, begun_s + spacing_s - monotonic_s()))
    rows = await at.until_rows(before + taken)
    return rows[before:]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies, the next one above where it falls between two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(alone: Found, beside: Found, what: str = "the candidate") -> list[str]:
    """Both kinds of blocks as a Markdown table, and their ratio. ``what`` was beside the line."""
    lines = [f"| | without | with {what} | ratio |", "|---|---|---|---|"]
    for name in ("inspection", "decision"):
        one, two = getattr(alone, name), getattr(beside, name)
        for words, at in (
            ("p50", median),
            ("p95", lambda v: percentile(v, 0.95)),
            ("p99", lambda v: percentile(v, 0.99)),
        ):
            a, b = at(one), at(two)
            lines.append(f"| {name}, {words} | {a:.1f} ms | {b:.1f} ms | {b / a:.3f} |")
    return lines


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bundle", type=Path, required=True, help="a bundle of 1600 x 1200 px of the tests' camera")
    options.add_argument("--blocks", type=int, default=12, help="every second one has the candidate beside it")
    options.add_argument("--parts", type=int, default=25, help="of each block, that count")
    options.add_argument("--spacing-ms", type=float, default=500.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = measure(Path(folder), chosen.bundle.absolute(), chosen.blocks, chosen.parts, chosen.spacing_ms / 1000)
        alone, beside, judged = asyncio.run(work)
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    say = sys.stdout.write
    say("\n".join(table(alone, beside)) + "\n\n")
    say(f"{len(alone.decision)} parts without and {len(beside.decision)} with it, of 1600 x 1200 px, one every ")
    say(
        f"{chosen.spacing_ms:g} ms; the candidate judged {judged}; {os.cpu_count()} cores, load {load} (1, 5, 15 min)\n"
    )


if __name__ == "__main__":
    main()
