"""A journal of a million parts into a store: seconds and the highest memory, in a process of its own.

    python -m tests.benchmark.export [--parts 1000000] [--runs 3] [--keep FOLDER]
    python -m tests.benchmark.export --beside BUNDLE [--blocks 12] [--block-parts 100]

Each part has one image: a million parts are two million rows of the store. The journal takes minutes to write;
``--keep`` uses it again. After the first export a thousand parts more are exported, as a timer would.

``--beside`` measures what exports cost an inspection: the real agent at a simulated line, in turn a block of parts with
nothing beside it and one while exports of that journal run one after the other, at nice 19 and idle as by the timer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.base import Published
from edge_agent.store.journal import Journal
from tests.benchmark.ask import CHILD
from tests.benchmark.everyday import write_journal
from tests.benchmark.shadow import Found, block, table
from tests.security.web_site import part_row
from tests.simulated.line import FULL_SIZE, good_image, line

if TYPE_CHECKING:
    from collections.abc import Iterator

_MORE = 1000
_SKIPPED = 3
_IMAGES = 4
_IDLE = ("nice", "-n", "19", "chrt", "--idle", "0", "ionice", "-c", "3")
_AGAIN = """
import shutil, sys
from pathlib import Path
from edge_agent.warehouse.exporting import Line, export
from edge_agent.warehouse.targets import target_of
journal, store = Path(sys.argv[1]), Path(sys.argv[2])
while True:
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    export(Line("line", journal, ("06:00", "14:00", "22:00")), target_of(str(store)), begin=True)
    print("exported", flush=True)
"""


def _export(journal: Path, store: Path) -> dict[str, float]:
    """One export as a person types it: the seconds that pass, the processors', the highest memory, the rows."""
    asked = ["journal", "export", str(store), "--format", "store", "--begin", "--json"]
    command = [sys.executable, "-c", CHILD, *asked, "--journal", str(journal), "--line", "line"]
    begin = time.perf_counter()
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    took_s = time.perf_counter() - begin
    peak_kb, used_s = ran.stderr.rsplit("USED", 1)[1].split()
    rows = sum(json.loads(ran.stdout)["rows"].values())
    return {"took_s": took_s, "processors_s": float(used_s), "peak_mb": int(peak_kb) / 1024, "rows": rows}


async def _add(path: Path, first: int) -> None:
    journal = Journal.open(path)
    try:
        for seq in range(first, first + _MORE):
            await journal.append(part_row(seq))
            await journal.publication(seq, Published.PUBLISHED, 1.0)
    finally:
        journal.close()


def _measure(folder: Path, parts: int, runs: int) -> dict[str, Any]:
    kept, store, journal = folder / "kept.sqlite3", folder / "store", folder / "journal.sqlite3"
    if not kept.exists():
        write_journal(kept, parts)
    found: dict[str, list[dict[str, float]]] = {"whole": [], "more": []}
    for _ in range(runs):
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        shutil.copy(kept, journal)
        found["whole"].append(_export(journal, store))
        asyncio.run(_add(journal, parts + 1))
        found["more"].append(_export(journal, store))
    size_mb = sum(file.stat().st_size for file in store.rglob("*.parquet")) / 1e6
    return {
        "parts": parts,
        "journal_mb": round(kept.stat().st_size / 1e6),
        "store_mb": round(size_mb),
        **{name: _medians(times) for name, times in found.items()},
    }


def _medians(times: list[dict[str, float]]) -> dict[str, float]:
    names = ("took_s", "processors_s", "rows")
    return {
        **{name: round(statistics.median(one[name] for one in times), 2) for name in names},
        "peak_mb": round(max(one["peak_mb"] for one in times)),
    }


@contextmanager
def _exporting(journal: Path, store: Path) -> Iterator[subprocess.Popen[str]]:
    """Exports of the whole journal, one after the other."""
    command = [*_IDLE, sys.executable, "-c", _AGAIN, str(journal), str(store)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


async def _beside(folder: Path, journal: Path, bundle: Path, blocks: int, parts: int) -> tuple[Found, Found]:
    images = [good_image(number, FULL_SIZE) for number in range(1, _IMAGES + 1)]
    alone, beside = Found(), Found()
    async with line(folder, bundle, spacing_ms=2500, deadline_ms=2000) as at:
        for number in range(blocks):
            if number % 2:
                with _exporting(journal, folder / "store"):
                    rows = await block(at, images, parts + _SKIPPED, 0.5)
            else:
                rows = await block(at, images, parts + _SKIPPED, 0.5)
            for row in rows[_SKIPPED:]:
                (beside if number % 2 else alone).take(row)
        assert await at.stop_agent() == 0, at.log_tail()
    return alone, beside


def main() -> None:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--beside", type=Path, metavar="BUNDLE", help="a bundle of 1600 x 1200 px of the tests' camera")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--block-parts", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        if asked.beside is None:
            said = {"schema_version": 1, **_measure(folder, asked.parts, asked.runs), "load_after": os.getloadavg()}
            sys.stdout.write(json.dumps(said, indent=2) + "\n")
            return
        journal, at = folder / "kept.sqlite3", folder / "line"
        if not journal.exists():
            write_journal(journal, asked.parts)
        at.mkdir()
        both = asyncio.run(_beside(at, journal, asked.beside.absolute(), asked.blocks, asked.block_parts))
    sys.stdout.write("\n".join(table(*both, "exports")) + f"\n\nload {os.getloadavg()}\n")


if __name__ == "__main__":
    main()
