"""The real agent with a stamp at each step of a part: ``python -m tests.benchmark.beyond_agent run --config ...``.

Stamps are seconds of the monotonic clock, which is one for all processes of a machine. They are written when the agent
ends, into the file that EDGE_AGENT_STAMPS names. Without EDGE_AGENT_BUNDLE the inspector
sleeps for EDGE_AGENT_INSPECTION_MS.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections import defaultdict
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from drivers.keyence.ftp_inbox import FtpInbox
from drivers.keyence.upload import Upload
from drivers.modbus.wires import CoilConnection
from drivers.timing import monotonic_s
from edge_agent.commands.main import main
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.inspection.inspector import Inspector
from edge_agent.runtime import inference
from edge_agent.runtime.engine import Engine
from edge_agent.runtime.part_handler import PartHandler
from edge_agent.store.journal import Journal
from edge_agent.wiring import agent as app

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.base import Capture
    from edge_agent.settings import Settings

stamps: dict[int, dict[str, float]] = defaultdict(dict)
"""By the controller's count."""
_counts: dict[int, int] = {}
"""Of parts, by part_seq."""
_files: dict[str, int] = {}
"""The same of images, by their paths in the spool."""
_here = SimpleNamespace(count=None)
"""The part whose image was read last."""
_publishing: ContextVar[int] = ContextVar("publishing")


class Sleeping:
    """An inspector that waits for as long as it is told, beside which the machine is idle. What it finds is OK."""

    def prepare(self, data: bytes) -> str:
        """The hash of the bytes, which is all that is computed."""
        return hashlib.sha256(data).hexdigest()

    def judge(self, prepared: str, certain: Callable[[], None] | None = None) -> Inspection:
        """Good."""
        time.sleep(float(os.environ["EDGE_AGENT_INSPECTION_MS"]) / 1000)
        return Inspection(Outcome.OK, Reason.OK, 1.0, 2.0, 64 * "0", prepared)


def stamp(count: int | None, step: str) -> None:
    """Note that this step of a part ends now."""
    if count is not None:
        stamps[count][step] = monotonic_s()


def _before(owner: Any, name: str, note: Callable[..., None]) -> None:
    found = getattr(owner, name)

    @functools.wraps(found)
    def noted(*args: Any, **more: Any) -> Any:
        note(*args)
        return found(*args, **more)

    setattr(owner, name, noted)


def put_stamps() -> None:
    """Wrap the steps. What they do stays as it is."""

    def proven(_inbox: FtpInbox, capture: Capture) -> None:
        stamp(capture.count, "proven")
        if capture.path is not None and capture.count is not None:
            _files[str(capture.path)] = capture.count

    def received(upload: Upload) -> None:
        if not upload.closed:
            stamp(upload._blank.count, "received")

    def decided(_handler: PartHandler, live: Any) -> None:
        if live.part.count is not None:
            _counts[live.part.seq] = live.part.count
            stamp(live.part.count, "decided")

    def reading(path: Path) -> None:
        _here.count = _files.get(str(path))

    _stamp_results()
    _before(FtpInbox, "_deliver", proven)
    _before(Upload, "close", received)
    _before(Engine, "_on_result", lambda _engine, result: stamp(result.count, "result"))
    _before(PartHandler, "decide", decided)
    _before(inference, "_read_again", reading)


def _stamp_results() -> None:
    """Of what is awaited: stamped when it is done."""
    append, publish, write = Journal.append, PartHandler.publish, CoilConnection.write
    wait_stored = Engine._wait_stored

    async def stored(self: Engine, live: Any, capture: Capture, storing: Any) -> None:
        await wait_stored(self, live, capture, storing)
        stamp(capture.count, "stored")

    async def appended(self: Journal, row: Any) -> None:
        await append(self, row)
        stamp(row.count, "durable")

    async def published(self: PartHandler, live: Any, decision: Any) -> Any:
        _publishing.set(live.part.seq)
        became = await publish(self, live, decision)
        stamp(live.part.count, "read back")
        return became

    async def written(self: CoilConnection, state: Any) -> None:
        await write(self, state)
        stamp(_counts.get(_publishing.get(-1)), "written")

    Engine._wait_stored = stored  # type: ignore[method-assign]
    Journal.append = appended  # type: ignore[method-assign]
    PartHandler.publish = published  # type: ignore[method-assign]
    CoilConnection.write = written  # type: ignore[method-assign]


def stamped(kind: Any) -> None:
    """Stamp begin and end of an inspector's two steps. Parts come one after the other: the count is the last one's."""
    for step in ("prepare", "judge"):
        setattr(kind, step, _timed(getattr(kind, step), step))


def _timed(call: Callable[..., Any], step: str) -> Callable[..., Any]:
    def timed(*args: Any, **more: Any) -> Any:
        stamp(_here.count, f"{step} begins")
        found = call(*args, **more)
        stamp(_here.count, f"{step} ends")
        return found

    return timed


def without_bundle(settings: Settings, **_: Any) -> dict[tuple[int, int], Sleeping]:
    """In the place of ``load_inspectors``."""
    return {(entry.program, entry.camera): Sleeping() for entry in settings.bundle}


if __name__ == "__main__":
    put_stamps()
    if os.environ.get("EDGE_AGENT_BUNDLE"):
        stamped(Inspector)
    else:
        stamped(Sleeping)
        Sleeping.bundle = None  # type: ignore[attr-defined]
        app.load_inspectors = without_bundle  # type: ignore[assignment]
        app.in_use_words = lambda *_: "an inspector that sleeps"  # type: ignore[assignment]
    try:
        main()
    finally:
        Path(os.environ["EDGE_AGENT_STAMPS"]).write_text(json.dumps(stamps))
