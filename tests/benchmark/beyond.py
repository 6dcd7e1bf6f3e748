"""What a part costs beside its inspection: from the last byte of its image to its PASS, read back on the remote I/O.

Run: ``make bench-beyond``, or ``python -m tests.benchmark.beyond [--parts 300] [--bundle FOLDER] [--folder FOLDER]``.
The agent is the real one, in a process of its own: sockets, FTP, SQLite, Modbus. Camera, controller and remote I/O are
simulated, in this process; an image comes at a gigabit a second, as over the controller's cable. Without ``--bundle``
the inspector sleeps for ``--inspection-ms``; that, or what the real one takes, is taken off. The journal lies in
``--folder``, whose disk is what is measured: by default the folder for temporary files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.simulated.parts import ControllerTiming
from drivers.timing import monotonic_s
from edge_agent.store.journal import JournalReader
from tests.benchmark.wire import Times
from tests.simulated.line import FULL_SIZE, PASS, good_image, line

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = (
    ("last byte of the image → received", "last byte", "received"),
    ("→ proven", "received", "proven"),
    ("→ its inspection begins", "proven", "prepare begins"),
    ("inspection: decode and registration (not counted)", "prepare begins", "prepare ends"),
    ("→ networks begin", "prepare ends", "judge begins"),
    ("inspection: networks and score (not counted)", "judge begins", "judge ends"),
    ("→ decided", "judge ends", "decided"),
    ("→ row durable", "decided", "durable"),
    ("→ coil written and echoed", "durable", "written"),
    ("→ read back", "written", "read back"),
)
BESIDE = ("(beside the inspection: last byte → image durable)", "last byte", "stored")
PROMISED_MS = 15.0
"""All steps together, p99, without the inspection."""
_IMAGES = 4
_GIGABIT = 1e9 / 8
_SKIPPED = 5
"""The first parts find nothing warm."""
_WITHIN_S = 5.0

Stamps = dict[str, float]


async def measure(
    folder: Path,
    parts: int,
    *,
    bundle: Path | None = None,
    inspection_ms: float = 20.0,
    spacing_s: float = 0.25,
    size: tuple[int, int] = FULL_SIZE,
) -> list[Stamps]:
    """Bring so many good parts, one after the other, and wait for each one's PASS; the stamps of their steps."""
    images = [good_image(number, size) for number in range(1, _IMAGES + 1)]
    stamps, last_bytes = folder / "stamps.json", dict[int, float]()
    nothing = folder / "no-bundle"
    nothing.mkdir()
    async with line(folder, bundle or nothing, start=False, spacing_ms=2500) as at:
        at.environment = {
            "EDGE_AGENT_STAMPS": str(stamps),
            "EDGE_AGENT_BUNDLE": str(bundle or ""),
            "EDGE_AGENT_INSPECTION_MS": str(inspection_ms),
        }
        at.controller.timing = ControllerTiming(exposure_s=0.0005, processing_s=0.0005)
        await at.start_agent(module="tests.benchmark.beyond_agent")
        await at.until_ready()
        assert at.controller._outlet is not None
        camera = at.controller._outlet._sink
        for number in range(parts + _SKIPPED):
            begun_s = monotonic_s()
            count = await at.controller.wire_trigger(images[number % _IMAGES])
            assert count is not None, "the controller takes no part"
            await at.until("PASS", lambda: at.remote_io.coils[PASS], _WITHIN_S)
            last_bytes[count] = camera.last_byte_mono_s
            await asyncio.sleep(max(0.0, begun_s + spacing_s - monotonic_s()))
            await at.until("the end of PASS", lambda: not at.remote_io.coils[PASS], _WITHIN_S)
        assert await at.stop_agent() == 0, at.log_tail()
    found: dict[str, Stamps] = json.loads(stamps.read_text())
    with JournalReader.open(folder / "journal.sqlite3") as journal:
        assert not journal.problems()
        assert not journal.audit().problems
    return [found[str(count)] | {"last byte": at_s} for count, at_s in list(last_bytes.items())[_SKIPPED:]]


def steps_of(stamps: Sequence[Stamps]) -> list[tuple[str, Times]]:
    """Each step's times, then those of all together without the inspection."""
    rows = [(name, Times.of([part[end] - part[begin] for part in stamps])) for name, begin, end in (*STEPS, BESIDE)]
    return [*rows, ("**all without the inspection**", Times.of([beyond_s(part) for part in stamps]))]


def beyond_s(part: Stamps) -> float:
    """From the last byte to what was read back, without the inspection."""
    whole_s = part["read back"] - part["last byte"]
    return whole_s - sum(part[f"{step} ends"] - part[f"{step} begins"] for step in ("prepare", "judge"))


def table(rows: Sequence[tuple[str, Times]]) -> list[str]:
    """The rows as a Markdown table, in milliseconds."""
    head = ["| step | p50 ms | p90 ms | p99 ms | max ms |", "|---|---|---|---|---|"]
    return head + [
        f"| {name} | {t.p50_ms:.2f} | {t.p90_ms:.2f} | {t.p99_ms:.2f} | {t.max_ms:.2f} |" for name, t in rows
    ]


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", type=int, default=300)
    options.add_argument("--bundle", type=Path, help="judge with the real inspector and this bundle of 1600 x 1200 px")
    options.add_argument("--inspection-ms", type=float, default=20.0, help="without --bundle: so long it sleeps")
    options.add_argument("--folder", type=Path, help="where journal and spool lie: the disk that is measured")
    options.add_argument("--spacing-ms", type=float, default=250.0, help="at least 100: so long PASS stands")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        bundle = None if chosen.bundle is None else chosen.bundle.absolute()
        spacing_s, inspection_ms = chosen.spacing_ms / 1000, chosen.inspection_ms
        work = measure(Path(folder), chosen.parts, bundle=bundle, inspection_ms=inspection_ms, spacing_s=spacing_s)
        rows = steps_of(asyncio.run(work))
    load = " ".join(f"{number:.1f}" for number in os.getloadavg())
    say = sys.stdout.write
    say("\n".join(table(rows)) + "\n\n")
    say(f"{chosen.parts} parts of 1600 x 1200 px, {os.cpu_count()} cores, load {load} (1, 5, 15 min) at the end\n")
    say(f"p99 of all without the inspection: {rows[-1][1].p99_ms:.1f} ms, promised at most {PROMISED_MS:g} ms\n")


if __name__ == "__main__":
    main()
