"""kill -9 and SIGSTOP at random instants of the real agent, in shards; EDGE_AGENT_KILLS is how many this one has."""

from __future__ import annotations

import math
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.shards import add_shard
from tests.simulated.killing import Kind, killing_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

KILLS = int(os.environ.get("EDGE_AGENT_KILLS", "10" if os.environ.get("EDGE_AGENT_CHAOS") else "0"))
PASS_OFF_S = 0.6
SEED = int(os.environ.get("EDGE_AGENT_SEED", "1"))

pytestmark = [
    pytest.mark.skipif(not KILLS, reason="a shard of kills: make kills"),
    pytest.mark.timeout(30 * KILLS + 900),
]


async def shard(folder: Path, bundle: Path, kind: Kind, by: signal.Signals) -> dict[str, float]:
    """One shard; the sums of its kind so far."""
    async with killing_line(folder, bundle, kind, SEED) as killing:
        for _ in range(KILLS):
            await killing.random_instant()
            await killing.kill(by)
        await killing.settle()
        facts = killing.check()
    return add_shard(f"{by.name} {kind}", facts)


def tell(figure: Figure, total: dict[str, float], *, to_reach: int, ready_s: float = math.inf) -> None:
    """Fewer than ``to_reach``, all shards together, are told as a short form."""
    words = (
        f"{total['kills']:.0f} in {total['shards']:.0f} shards, {total['stood']:.0f} of them while PASS stood, "
        f"{total['parts']:.0f} parts, {total['passed']:.0f} passed, 0 wrong; "
        f"PASS off in {total['pass_off_s_max'] * 1000:.0f} ms at most; "
        f"READY {total['ready_s_max']:.1f} s after the start at most"
    )
    if total["told"]:
        words += f"; {total['told']:.0f} told PASS or REJECT, each had its row"
    is_quick = total["pass_off_s_max"] <= PASS_OFF_S and total["ready_s_max"] <= ready_s
    figure(words, is_reached=is_quick, is_whole=total["kills"] >= to_reach)


@pytest.mark.promise("T-01c", "kill -9 at random instants, coils, 1 part/s", "1,000: 0 wrong, PASS off in 600 ms")
async def test_kill_9_coils(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    tell(figure, await shard(tmp_path, thumbnail_bundle, "coils", signal.SIGKILL), to_reach=1000)


@pytest.mark.promise(
    "T-01r",
    "kill -9 at random instants, register block, 5 parts/s",
    "1,000: 0 wrong, PASS off in 600 ms, 0 rows lost of what was told",
)
async def test_kill_9_registers(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    tell(figure, await shard(tmp_path, thumbnail_bundle, "registers", signal.SIGKILL), to_reach=1000)


@pytest.mark.promise("T-01f", "kill -9 at random instants, 1600 x 1200", "30: 0 wrong, READY in 5 s")
async def test_kill_9_full_size(tmp_path: Path, full_size_bundle: Path, figure: Figure) -> None:
    tell(figure, await shard(tmp_path, full_size_bundle, "full size", signal.SIGKILL), to_reach=30, ready_s=5.0)


@pytest.mark.promise("T-02s", "SIGSTOP at random instants, coils, 1 part/s", "30: 0 wrong, PASS off in 600 ms")
async def test_sigstop_coils(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    tell(figure, await shard(tmp_path, thumbnail_bundle, "coils", signal.SIGSTOP), to_reach=30)
