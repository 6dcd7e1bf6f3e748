"""Many small parts over the real sockets with a null inspector, and an hour at full size: nothing may grow or drift."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drivers.simulated.camera import encode_bmp
from drivers.simulated.parts import ControllerTiming
from drivers.simulated.plc import SimulatedPlc
from edge_agent.domain import Verdict
from edge_agent.store.journal import JournalReader
from tests.simulated.line import line
from tests.simulated.soaking import Soak

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

PARTS = int(os.environ.get("EDGE_AGENT_SOAK_SMALL", "200"))
BAD_EVERY = 20
MOST_GROWN_BYTES, MOST_DRIFT = 8 * 2**20, 0.05
OUTPUT = 'kind = "modbus-registers"\npass_hold_ms = 50\nwatchdog_ms = 100\nwrite_timeout_ms = 50\nrefresh_ms = 50'

pytestmark = pytest.mark.slow


def small_images(count: int) -> list[bytes]:
    """64 x 48, all different; the null inspector reads the last byte."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 100, (count, 48, 64), np.uint8)
    return [encode_bmp(image) for image in pixels]


@pytest.mark.promise(
    "T-25",
    "parts of 64 x 48, null inspector, real sockets, one after the other",
    "100,000: memory +8 MiB, threads and files the same, p99 drift under 5 %",
)
@pytest.mark.timeout(PARTS + 120)
async def test_small_parts(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    images = small_images(50)

    def image_of(number: int) -> tuple[bytes, bool]:
        image, is_good = images[number % len(images)], number % BAD_EVERY != BAD_EVERY - 1
        return image if is_good else image[:-1] + b"\xff", is_good

    plc, soak = SimulatedPlc(scan_s=0.001), Soak()
    async with line(
        tmp_path, thumbnail_bundle, deadline_ms=450, spacing_ms=500, output=OUTPUT, remote_io=plc, start=False
    ) as at:
        at.controller.timing = ControllerTiming(exposure_s=0.0005, processing_s=0.0005)
        await at.start_agent(module="tests.simulated.null_agent")
        await at.until("READY", lambda: plc.is_agent_ready)
        await soak.run(
            at,
            plc,
            image_of,
            PARTS,
        )
        assert await at.stop_agent() == 0
    with JournalReader.open(tmp_path / "journal.sqlite3") as reader:
        verdicts = [row.verdict for row in reader.rows()]

    is_bad = [number % BAD_EVERY == BAD_EVERY - 1 for number in range(PARTS)]
    assert not any(is_bad[number] for number in soak.wrong), "a bad part went through"
    assert len(verdicts) == PARTS
    assert len(soak.wrong) <= PARTS // 100, "a line that rejects everything proves nothing"
    assert verdicts.count(Verdict.PASS) >= PARTS - sum(is_bad) - len(soak.wrong)
    is_reached = (
        PARTS >= 100_000
        and soak.grown_bytes <= MOST_GROWN_BYTES
        and soak.usual(1) == soak.usual(3)
        and soak.drift < MOST_DRIFT
    )
    figure(str(soak), is_reached=is_reached)
