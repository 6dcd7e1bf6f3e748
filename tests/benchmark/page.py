"""The operator's page: first paint, from a verdict to the word on the screen, questions to a journal of 24 hours.

    python -m tests.benchmark.page [--parts 86400] [--updates 40]

One object of JSON. Times are of this machine as it is: what else runs on it is in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from drivers.base import Published
from drivers.timing import monotonic_s
from edge_agent.runtime.process import boot_id
from edge_agent.store.journal import Journal
from edge_agent.store.writer import JournalWriter
from tests.security.web_site import Served, agent_state, part_row, reject_row, served, speaking, web_settings
from tests.simulated.browser import CHROMIUM, browser

_REPEATS = 7
_REJECT_EVERY = 50
_WATCH = """
window.shown = {};
new MutationObserver(() => {
  const part = /[0-9]+/.exec(document.getElementById('which').textContent);
  if (part && !(part[0] in window.shown)) window.shown[part[0]] = Date.now();
}).observe(document.getElementById('verdict'), {subtree: true, childList: true, characterData: true});
"""


def _write(path: Path, first: int, last: int) -> None:
    """Parts as an agent writes them, every fiftieth a reject, but not synced one by one."""
    writer = JournalWriter(path)
    try:
        writer._connection.execute("PRAGMA synchronous = OFF")
        for seq in range(first, last + 1):
            utc = f"2026-11-23T{seq // 3600 % 24:02d}:{seq // 60 % 60:02d}:{seq % 60:02d}.000+00:00"
            row = reject_row(seq, decided_utc=utc) if seq % _REJECT_EVERY == 0 else part_row(seq, decided_utc=utc)
            writer.append(row)
            writer.publication(seq, Published.PUBLISHED, row.decided_mono_s + 0.01, "")
    finally:
        writer.close()


async def _questions(at: Served, parts: int) -> dict[str, Any]:
    day = "since=2026-11-23T00:00:00Z&until=2026-11-24T00:00:00Z"
    addresses = {
        "newest 100": "/api/parts?most=100",
        "rejects, newest 50": "/api/parts?verdict=REJECT",
        "an hour's rejects": "/api/parts?verdict=REJECT&since=2026-11-23T10:00:00Z&until=2026-11-23T11:00:00Z",
        "nothing fits, every row looked at": f"/api/parts?score_min=1e9&{day}",
        "one part": f"/api/parts/{parts // 2}",
        "another limit for all of it": "/api/reviewed?bundle=bundle&limit=0.3&since=2026-11-23T00:00:00Z",
    }
    found = {}
    for name, address in addresses.items():
        took_ms = []
        for _ in range(_REPEATS):
            begin = time.perf_counter()
            reply = await at.ask(address)
            took_ms.append((time.perf_counter() - begin) * 1000)
            assert reply.status == 200, (address, reply.body[:200])
        found[name] = {"median_ms": round(statistics.median(took_ms), 1), "worst_ms": round(max(took_ms), 1)}
    return found


async def _screen(at: Served, journal: Path, first: int, updates: int) -> dict[str, Any]:
    async with browser(f"http://127.0.0.1:{at.port}/") as tab:
        await tab.until("document.getElementById('word').textContent.length > 1")
        paint = await tab.evaluate(
            "performance.getEntriesByType('paint').find((p) => p.name === 'first-contentful-paint').startTime"
        )
        await tab.evaluate(_WATCH)
        written: dict[int, float] = {}
        agent = await asyncio.to_thread(Journal.open, journal)
        for seq in range(first, first + updates):
            now = {"boot_id": boot_id(), "decided_mono_s": monotonic_s()}
            await agent.append(part_row(seq, decided_utc="2026-11-24T00:00:00.000+00:00", **now))
            await agent.publication(seq, Published.PUBLISHED, 100.6)
            written[seq] = time.time() * 1000
            await asyncio.sleep(0.35)
        await asyncio.to_thread(agent.close)
        await tab.until(f"{first + updates - 1} in window.shown")
        shown = await tab.evaluate("window.shown")
    waited = [shown[str(seq)] - at_ms for seq, at_ms in written.items() if str(seq) in shown]
    return {
        "first_contentful_paint_ms": round(paint, 1),
        "updates": len(waited),
        "update_median_ms": round(statistics.median(waited), 1),
        "update_p95_ms": round(sorted(waited)[int(0.95 * (len(waited) - 1))], 1),
        "update_worst_ms": round(max(waited), 1),
    }


async def _run(parts: int, updates: int, folder: Path) -> dict[str, Any]:
    settings = web_settings(folder)
    begin = time.perf_counter()
    await asyncio.to_thread(_write, settings.store.journal, 1, parts)
    result: dict[str, Any] = {
        "schema_version": 1,
        "parts": parts,
        "journal_mb": round(settings.store.journal.stat().st_size / 1e6, 1),
        "written_in_s": round(time.perf_counter() - begin, 1),
        "load_before": os.getloadavg(),
    }
    async with served(settings) as at:
        result["questions"] = await _questions(at, parts)
        if CHROMIUM is not None:
            async with speaking(at, agent_state):
                result["screen"] = await _screen(at, settings.store.journal, parts + 1, updates)
    return result


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", type=int, default=86_400)
    parser.add_argument("--updates", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(json.dumps(asyncio.run(_run(asked.parts, asked.updates, Path(folder))), indent=2) + "\n")


if __name__ == "__main__":
    main()
