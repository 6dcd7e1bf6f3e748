"""T-11: the watcher stands still while files land, as a process under SIGSTOP; then each is seen once, and stale."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fault.keyence_peer import bmp, image_name

if TYPE_CHECKING:
    from tests.results import Figure

IS_LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
FILES = 8000 if IS_LONG else 800
"""``make chaos`` has so many that inotify's own queue overflows."""
WATCHER = """
import asyncio, json, sys, time
from pathlib import Path
from drivers.keyence.folder import WatchedFolder
from edge_agent.inspection.containers.decode import prove_complete
from edge_agent.logs import configure_logs

async def main(folder, files):
    configure_logs("error", "json")
    source = WatchedFolder(path=folder / "in", spool=folder / "spool", rescan_s=1.0, settle_s=0.3,
                           max_bytes=1_000_000, prove=prove_complete)
    watching = asyncio.create_task(source.run())
    while not source.is_bound:
        await asyncio.sleep(0.01)
    print("watching", flush=True)
    seen = [await source.next() for _ in range(files)]
    print(json.dumps([time.monotonic(), [[capture.name, capture.broken] for capture in seen]]), flush=True)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


@pytest.mark.promise("T-11", "files land while the watcher stands still (SIGSTOP)", "all seen once, in 2 s of waking")
async def test_what_lands_while_the_watcher_stands_still_is_seen_once_and_never_judged(
    tmp_path: Path, figure: Figure
) -> None:
    (tmp_path / "in").mkdir()
    command = (sys.executable, "-c", WATCHER, str(tmp_path), str(FILES))
    watcher = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, limit=1 << 24, cwd=Path(__file__).parents[2]
    )
    assert watcher.stdout is not None
    try:
        assert await watcher.stdout.readline() == b"watching\n"
        watcher.send_signal(signal.SIGSTOP)
        names = [image_name(count) for count in range(FILES)]
        for name in names:
            (tmp_path / "in" / name).write_bytes(bmp())
        woken_mono_s = time.monotonic()
        watcher.send_signal(signal.SIGCONT)
        at_mono_s, seen = json.loads(await watcher.stdout.readline())
        await watcher.wait()
    finally:
        if watcher.returncode is None:
            watcher.kill()
            await watcher.wait()

    assert Counter(name for name, _ in seen) == Counter(names)
    assert {broken for _, broken in seen} == {"STALE"}
    assert not list((tmp_path / "in").iterdir())
    took_s = at_mono_s - woken_mono_s
    words = f"{FILES} of {FILES} once, the last {took_s:.1f} s after waking"
    figure(words, is_reached=took_s <= 2.0, is_whole=IS_LONG)
