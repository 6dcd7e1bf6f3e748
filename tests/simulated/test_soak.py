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
from tests.simulated.line import FULL_SIZE, bad_image, good_image, line
from tests.simulated.soaking import Held, Soak, Yardstick

if TYPE_CHECKING:
    from pathlib import Path

    from tests.results import Figure

PARTS = int(os.environ.get("EDGE_AGENT_SOAK_SMALL", "200"))
MINUTES = float(os.environ.get("EDGE_AGENT_SOAK_MINUTES", "0"))
IS_WHOLE, IS_WHOLE_HOUR = PARTS >= 100_000, MINUTES >= 60
BAD_EVERY = 20
SMALL = (64, 48)
BLURS = {SMALL: 50, FULL_SIZE: 15}
"""Some milliseconds, and an eighth of a second."""
MOST_GROWN_BYTES, MOST_DRIFT = 8 * 2**20, 0.05
OUTPUT = 'kind = "modbus-registers"\npass_hold_ms = 50\nwatchdog_ms = 100\nwrite_timeout_ms = 50\nrefresh_ms = 50'


def small_images(count: int) -> list[bytes]:
    """64 x 48, all different; the null inspector reads the last byte."""
    rng = np.random.default_rng(1)
    width, height = SMALL
    pixels = rng.integers(0, 100, (count, height, width), np.uint8)
    return [encode_bmp(image) for image in pixels]


@pytest.mark.promise(
    "T-25",
    "parts of 64 x 48, null inspector, real sockets, one after the other",
    "100,000: memory +8 MiB, threads and files the same, p99 drift under 5 % of a fixed calculation's",
)
@pytest.mark.timeout(PARTS + 120)
async def test_small_parts(tmp_path: Path, thumbnail_bundle: Path, figure: Figure) -> None:
    images = small_images(50)
    bad = [image[:-1] + b"\xff" for image in images]
    soak = await soaked(
        tmp_path,
        thumbnail_bundle,
        images,
        bad,
        size=SMALL,
        deadline_ms=450,
        module="tests.simulated.null_agent",
        parts=PARTS,
    )

    figure(str(soak), is_reached=soak.drift < MOST_DRIFT, is_whole=IS_WHOLE)
    if IS_WHOLE:  # a shorter run is still warming up
        nothing_grew(soak)


@pytest.mark.promise(
    "T-25f",
    "parts of 1600 x 1200, one after the other",
    "60 min: memory +8 MiB, threads and files the same, p99 drift under 5 % of a fixed calculation's",
)
@pytest.mark.skipif(not MINUTES, reason="an hour: make soak")
@pytest.mark.timeout(60 * MINUTES + 900)
async def test_full_size(tmp_path: Path, full_size_bundle: Path, figure: Figure) -> None:
    good = [good_image(number, FULL_SIZE) for number in range(1, 20)]
    bad = [bad_image(number, FULL_SIZE) for number in (1, 2, 3)]
    soak = await soaked(tmp_path, full_size_bundle, good, bad, size=FULL_SIZE, deadline_ms=1450, for_s=60 * MINUTES)

    figure(str(soak), is_reached=soak.drift < MOST_DRIFT, is_whole=IS_WHOLE_HOUR)
    if IS_WHOLE_HOUR:
        nothing_grew(soak)


def test_drift_is_the_agents_own(tmp_path: Path) -> None:
    yardstick = Yardstick.like(tmp_path, SMALL, BLURS[SMALL])
    grew, stood = [1.0] * 30 + [1.1] * 10, [0.5] * 40

    assert Soak(yardstick, grew, stood).drift == pytest.approx(0.1)
    assert Soak(yardstick, grew, [time / 2 for time in grew]).drift == pytest.approx(0)
    assert Soak(yardstick, stood, grew).drift < 0
    assert yardstick.measure_s() > 0


@pytest.mark.parametrize("grows", [Held(MOST_GROWN_BYTES + 1, 0, 0), Held(0, 1, 0), Held(0, 0, 1)])
def test_what_grows_is_noticed(tmp_path: Path, grows: Held) -> None:
    """A check that cannot fail is none."""
    yardstick, times_s, held = Yardstick.like(tmp_path, SMALL, BLURS[SMALL]), [1.0] * 40, Held(2**27, 12, 28)
    grown = Held(held.resident_bytes + grows.resident_bytes, held.threads + grows.threads, held.files + grows.files)

    nothing_grew(Soak(yardstick, times_s, times_s, held=[held] * 40))
    with pytest.raises(AssertionError):
        nothing_grew(Soak(yardstick, times_s, times_s, held=[held] * 30 + [grown] * 10))


def nothing_grew(soak: Soak) -> None:
    """The process holds no more in the last quarter than in the second. Its times are told, not asserted."""
    assert soak.grown_bytes <= MOST_GROWN_BYTES, str(soak)
    assert soak.usual(3) == soak.usual(1), f"threads and files: {soak}"


async def soaked(
    folder: Path,
    bundle: Path,
    good: list[bytes],
    bad: list[bytes],
    *,
    size: tuple[int, int],
    deadline_ms: int,
    module: str = "edge_agent",
    parts: int | None = None,
    for_s: float | None = None,
) -> Soak:
    """What was seen of that many parts, or of that long: every one is in the journal."""

    def image_of(number: int) -> tuple[bytes, bool]:
        is_good = number % BAD_EVERY != BAD_EVERY - 1
        return (good[number % len(good)], True) if is_good else (bad[number // BAD_EVERY % len(bad)], False)

    plc, soak = SimulatedPlc(scan_s=0.001), Soak(Yardstick.like(folder, size, BLURS[size]))
    times = {"deadline_ms": deadline_ms, "spacing_ms": deadline_ms + 50}
    async with line(folder, bundle, output=OUTPUT, remote_io=plc, start=False, **times) as at:
        at.controller.timing = ControllerTiming(exposure_s=0.0005, processing_s=0.0005)
        await at.start_agent(module=module)
        await at.until("READY", lambda: plc.is_agent_ready)
        await soak.run(at, plc, image_of, parts=parts, for_s=for_s)
        assert await at.stop_agent() == 0
    with JournalReader.open(folder / "journal.sqlite3") as reader:
        verdicts = [row.verdict for row in reader.rows()]

    shown = len(soak.latencies_s)
    assert len(verdicts) == shown
    assert len(soak.rejected) <= shown // 3, "a line that rejects everything proves nothing"
    assert verdicts.count(Verdict.PASS) >= shown - shown // BAD_EVERY - len(soak.rejected)
    return soak
