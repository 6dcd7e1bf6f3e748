"""Bytes between the real agent and its peers come late, in pieces, twice, never, or as others: nothing passes by it."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from edge_agent.domain import Verdict
from edge_agent.store.journal import JournalReader
from tests import invariants
from tests.simulated.killing import killing_line
from tests.simulated.wires import PROXY_HOST, Wires, faithful_troubles, unfaithful_troubles, wired

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.byte_proxy import Trouble
    from tests.results import Figure
    from tests.simulated.killing import KillingLine, Kind
    from tests.simulated.line import Line

WHOLE = 500
"""Every kind on every wire and way ten times and more."""
ROUNDS = int(os.environ.get("EDGE_AGENT_BENDS", WHOLE if os.environ.get("EDGE_AGENT_CHAOS") else 3))
SEED = int(os.environ.get("EDGE_AGENT_SEED", "1"))
STRIKES_WITHIN_S = 30.0
"""A controller whose FTP command lost its end waits for an answer first, then for another connection."""
PULLED_SHARE = 0.2
"""Of the rounds in which the controller's cable is pulled as well, so that image and result come late together."""

pytestmark = pytest.mark.timeout(30 * ROUNDS + 120)


@asynccontextmanager
async def bent_line(folder: Path, bundle: Path, kind: Kind) -> AsyncIterator[tuple[KillingLine, Wires]]:
    """Parts before a real agent, a proxy on every wire."""
    wires: list[Wires] = []

    @asynccontextmanager
    async def put_in(at: Line) -> AsyncIterator[None]:
        async with wired(at) as they:
            wires.append(they)
            yield

    async with killing_line(folder, bundle, kind, SEED, ftp_host=PROXY_HOST, prepared=put_in) as parts:
        parts.images = parts.images[-4:]  # half of them bad: a PASS of the part before shows
        await parts.at.until("a part that passes", lambda: bool(parts.went_through()))
        yield parts, wires[0]


async def strike(
    parts: KillingLine, wires: Wires, troubles: Iterator[tuple[str, Trouble]], rounds: int = ROUNDS
) -> Counter[str]:
    """One trouble after the other, some before the line has recovered from the last; how often each kind struck."""
    struck: Counter[str] = Counter()
    for name, trouble in islice(troubles, rounds):
        wire, shown = wires.by_name(name), len(parts.shown)
        await parts.at.until("a part", lambda shown=shown: len(parts.shown) > shown)  # type: ignore[misc]
        wire.arm(trouble)
        await parts.at.until(f"{trouble} on {name}", lambda wire=wire: not wire.is_armed, STRIKES_WITHIN_S)  # type: ignore[misc]
        struck[trouble.bend] += 1
        if parts.draw.random() < PULLED_SHARE:
            async with wires.pulled():
                await asyncio.sleep(trouble.for_s)
            struck["pulled"] += 1
        if parts.draw.random() < 0.5:
            await asyncio.sleep(trouble.for_s)
            await parts.until_ready()
        await asyncio.sleep(parts.draw.uniform(0.0, 1.0))
    await parts.settle()
    return struck


@pytest.mark.parametrize("kind", ["coils", "registers"])
@pytest.mark.promise(
    "T-33",
    "bytes between agent and peers late, in pieces, twice, cut, half-open, lost, altered",
    "500 times: 0 wrong, every part accounted for, no restart",
)
async def test_whatever_happens_to_bytes_on_their_way(
    tmp_path: Path, thumbnail_bundle: Path, kind: Kind, figure: Figure
) -> None:
    async with bent_line(tmp_path, thumbnail_bundle, kind) as (parts, wires):
        agent = parts.at.agent
        struck = await strike(parts, wires, faithful_troubles(random.Random(SEED)))
        facts = parts.check()

    assert parts.at.agent is agent, "the agent was started again"
    bends = ", ".join(f"{bend} {times}" for bend, times in sorted(struck.items()))
    figure(
        f"{kind}: {struck.total()} ({bends}), {facts['parts']:.0f} parts, {facts['passed']:.0f} passed, 0 wrong",
        is_whole=ROUNDS >= WHOLE,
    )


async def test_altered_counts_and_names_let_nothing_through(tmp_path: Path, thumbnail_bundle: Path) -> None:
    """Parts that never were may have a row; but what passes was judged by its own image and is good."""
    async with bent_line(tmp_path, thumbnail_bundle, "coils") as (parts, wires):
        await strike(parts, wires, unfaithful_troubles(random.Random(SEED)), rounds=ROUNDS // 10 + 3)
        with JournalReader.open(parts.at.folder / "journal.sqlite3") as reader:
            passed = {
                (row.count, camera.image_sha256)
                for row in reader.rows()
                if row.verdict is Verdict.PASS
                for camera in row.cameras
            }
        through = parts.went_through()

    for part in through:
        judged = frozenset({part.count} if (part.count, part.sha256) in passed else ())
        invariants.no_stale_pass([invariants.Passed(part.count, judged, part.is_good)])
