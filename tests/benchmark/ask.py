"""The ready questions on a store of many lines: seconds and the highest memory, each in a process of its own.

    python -m tests.benchmark.ask [--parts 50000000] [--lines 50] [--runs 3] [--keep FOLDER]

A part is a row of ``parts`` and one of ``cameras``: 50,000,000 parts are 10^8 rows. The files are written by the
product's own writer, with values that do not repeat: they take about 120 bytes a part, and minutes to write. ``--keep``
uses a store again. The memory is the process's own highest resident set, with Python's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.warehouse.columns import CONDITIONS, DATASETS, POSES, SHARES
from edge_agent.warehouse.layout import begin_store, file_path
from edge_agent.warehouse.reading import Block
from edge_agent.warehouse.tables import Foot, as_bytes, table_of
from edge_agent.warehouse.targets import Folder

PER_DAY = 33_333
"""Parts of a line and day: one every 2.6 seconds."""
_FIRST_DAY = datetime(2026, 9, 1, tzinfo=UTC)
_LIMIT = 1.5
_SPOKEN = ("image", "perceptual", "map", "fine")
_ASKED = {
    "part": ("--line", "line 07", "--with", "part=1000"),
    "channel-drift": ("--with", "channel=share_map"),
}
CHILD = """
import resource, sys
from edge_agent.commands.main import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stderr.write(f"\\nUSED {used.ru_maxrss} {used.ru_utime + used.ru_stime}\\n")
"""


def write_store(root: Path, lines: int, parts: int) -> None:
    """Write so many parts, of each line as many, day by day."""
    root.mkdir(parents=True, exist_ok=True)
    begin_store(Folder(root))
    each = parts // lines
    days = [(line, first, min(PER_DAY, each - first)) for line in range(lines) for first in range(0, each, PER_DAY)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for number, _ in enumerate(pool.map(_write_day, [root] * len(days), *zip(*days, strict=True))):
            if number % 200 == 0:
                sys.stderr.write(f"{number} of {len(days)} days\n")


def _write_day(root: Path, line: int, first: int, number: int) -> None:
    random = np.random.default_rng([line, first])
    day = first // PER_DAY
    begin = _FIRST_DAY + timedelta(days=day)
    seq = np.arange(first + 1, first + number + 1)
    utc_ms = int(begin.timestamp()) * 1000 + np.linspace(0, 86_399_000, number).astype(np.int64)
    score = np.exp(random.normal(-0.9, 0.35, number) + 0.002 * day * (line % 5 == 0))
    is_bad = score >= _LIMIT
    folder = Folder(root)
    name, history = f"line {line:02d}", f"{line:016x}"
    common = {
        "part_seq": seq,
        "decided_utc": utc_ms,
        "program": np.full(number, 1 + line % 3),
        "verdict": np.where(is_bad, "REJECT", "PASS").tolist(),
        "reason": np.where(is_bad, "SCORE", "OK").tolist(),
        "detail": [""] * number,
        "score": score,
        "score_limit": np.full(number, _LIMIT),
        "bundle_id": [f"{line * 100 + day // 20:064x}"] * number,
        "simulated": np.zeros(number, np.bool_),
    }
    values = {"parts": _parts(common, line, begin, random), "cameras": _cameras(common, line, random)}
    values["events"] = _events(seq[is_bad][::3], line, utc_ms, random)
    for dataset, columns in values.items():
        rows = len(columns["event_id" if dataset == "events" else "part_seq"])
        links = range(2 * first + 1, 2 * first + 1 + rows)
        if not rows:
            continue
        full = {column.name: columns.get(column.name, [None] * rows) for column in DATASETS[dataset].columns}
        table = table_of(dataset, history, Block(full, links, (), (), links[-1]))
        foot = Foot(dataset, name, history, links[0], links[-1], "0" * 64, rows, int(seq[-1]))
        folder.put(file_path(dataset, name, f"{begin:%Y-%m-%d}", history, links[0]), as_bytes(table, foot))


def _parts(common: dict[str, Any], line: int, begin: datetime, random: np.random.Generator) -> dict[str, Any]:
    seq, number = common["part_seq"], len(common["part_seq"])
    hours = np.linspace(0, 24, number, endpoint=False)
    # One part in a hundred was at the line before as well.
    own = np.where(seq % 100 == 0, line // 2, line)
    return {
        **common,
        "decided_local": common["decided_utc"] + 3_600_000,
        "shift_day": [begin.date()] * number,
        "shift": np.select([hours < 6, hours < 14, hours < 22], ["22:00", "06:00", "14:00"], "22:00").tolist(),
        "published": ["PUBLISHED"] * number,
        "controller_judgement": ["OK"] * number,
        "cameras": np.ones(number, np.int32),
        "lot": [f"L{line:02d}-{one // 5000:05d}" for one in seq],
        "serial": [f"SN{place:02d}{one:010d}" for place, one in zip(own, seq, strict=True)],
        "controller_count": seq % 10_000,
        "session": ["2026/0001"] * number,
        "decided_ms": random.normal(90, 8, number).astype(np.float32),
        "published_ms": random.normal(6, 1, number).astype(np.float32),
        "spare_ms": random.normal(400, 8, number).astype(np.float32),
    }


def _cameras(common: dict[str, Any], line: int, random: np.random.Generator) -> dict[str, Any]:
    number = len(common["part_seq"])
    hashes = random.bytes(32 * number).hex()
    noise = lambda scale: random.normal(0, scale, number).astype(np.float32)  # noqa: E731 - short, and only here
    return {
        **common,
        "camera": np.ones(number, np.int32),
        "outcome": np.where(common["score"] >= _LIMIT, "NG", "OK").tolist(),
        "image_sha256": [hashes[64 * one : 64 * one + 64] for one in range(number)],
        "image_name": [f"CAM1_{one:08d}.bmp" for one in common["part_seq"]],
        **{
            f"share_{name}": (common["score"] * 0.8).astype(np.float32) + noise(0.02)
            for name in SHARES
            if name in _SPOKEN
        },
        **{f"condition_{name}": noise(0.2) for name in CONDITIONS},
        **{f"align_{name}": 1 + noise(0.1) for name in POSES},
        "inspection_ms": 80 + noise(5),
    }


def _events(rejected: Any, line: int, utc_ms: Any, random: np.random.Generator) -> dict[str, Any]:
    number = len(rejected)
    at = np.full(number, utc_ms[-1]) + 60_000
    says = np.where(random.random(number) < 0.2, "OVERTURNED", "CONFIRMED").tolist()
    return {
        "event_id": rejected,
        "kind": ["REVIEW"] * number,
        "at_utc": at,
        "at_local": at + 3_600_000,
        "part_seq": rejected,
        "says": says,
        "who": [f"person {line % 7}"] * number,
        "note": ["seen"] * number,
        "detail": ["{}"] * number,
    }


def _ask(store: Path, question: str, runs: int, threads: int) -> dict[str, Any]:
    """Medians of the seconds that a person waits, with the start of Python, and of the processors' seconds.

    The memory is the highest of all runs.
    """
    took_s, used_s, peak_mb, rows = [], [], [], 0
    for _ in range(runs):
        begin = time.perf_counter()
        command = [sys.executable, "-c", CHILD, "ask", str(store), question, "--json", "--threads", str(threads)]
        ran = subprocess.run([*command, *_ASKED.get(question, ())], capture_output=True, text=True, check=True)
        took_s.append(time.perf_counter() - begin)
        peak_kb, seconds = ran.stderr.rsplit("USED", 1)[1].split()
        peak_mb.append(int(peak_kb) / 1024)
        used_s.append(float(seconds))
        rows = len(json.loads(ran.stdout)["rows"])
    return {
        "question": question,
        "median_s": round(statistics.median(took_s), 2),
        "slowest_s": round(max(took_s), 2),
        "processors_s": round(statistics.median(used_s), 2),
        "peak_mb": round(max(peak_mb)),
        "rows": rows,
    }


def main() -> None:
    """Measure, and print what was measured."""
    from edge_agent.warehouse.questions import QUESTIONS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=50_000_000)
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="Questions with these words alone.")
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = asked.keep or Path(scratch) / "store"
        if not store.exists():
            write_store(store, asked.lines, asked.parts)
        size = sum(file.stat().st_size for file in store.rglob("*.parquet"))
        said = {"schema_version": 1, "parts": asked.parts, "lines": asked.lines, "store_gb": round(size / 1e9, 2)}
        found = []
        for name in QUESTIONS:
            if asked.only in name:
                found.append(_ask(store, name, asked.runs, asked.threads))
                sys.stderr.write(f"{json.dumps(found[-1])}\n")
    sys.stdout.write(json.dumps({**said, "load_after": os.getloadavg(), "questions": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
