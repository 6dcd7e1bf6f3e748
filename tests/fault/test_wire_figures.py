"""The wire's benchmark: in small at every run, in full for ``make fuzz`` and ``make chaos`` (ten minutes and more).

What it proves must hold at every run; how fast it is, is told and fails no test.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.benchmark import wire

if TYPE_CHECKING:
    from tests.results import Figure

IS_LONG = bool(os.environ.get("EDGE_AGENT_CHAOS"))
SPLITS, FUZZ_S, CUTS, TIMES = (100_000, 600.0, 400, 1000) if IS_LONG else (1000, 1.0, 3, 20)
GROWTH_MAX_KIB = 4096
"""Memory that is flat: what an allocator may still take once three quarters of the time are left."""


@pytest.mark.promise("T-09", "splits and merges of a stream", "100,000 give the same lines; 20,000 lines a second")
def test_a_stream_cut_and_merged_in_any_way_gives_the_same_lines(figure: Figure) -> None:
    wire.try_splits(SPLITS, seed=7)
    lines = wire.lines_per_second(0.5)

    figure(f"{SPLITS:,} the same; {lines:,.0f} lines a second", is_reached=lines >= 20_000, is_whole=IS_LONG)


@pytest.mark.promise("T-09f", "fuzzing of all that reads a peer's bytes", "10 min, no exception, flat memory")
async def test_everything_that_reads_a_peers_bytes_takes_fuzzing(figure: Figure) -> None:
    streams, grew_kib = await wire.fuzz(FUZZ_S, seed=7)

    assert streams > 10
    assert not IS_LONG or grew_kib <= GROWTH_MAX_KIB
    figure(f"{streams:,} streams in {FUZZ_S:g} s, 0 exceptions, grew by {grew_kib} KiB", is_whole=IS_LONG)


@pytest.mark.promise(
    "T-12", "uploads cut by FIN, RST, ABOR, stall, control drop", "400 places of each format, 0 complete"
)
@pytest.mark.parametrize("form", wire.FORMATS)
async def test_no_cut_upload_of_any_format_passes_for_complete(form: str, figure: Figure) -> None:
    uploads, complete = await wire.cut_uploads(CUTS, 0.2, [form])

    assert (uploads, complete) == (CUTS * len(wire.HOWS), 0)
    figure(f"{form}: {complete} of {uploads:,}", is_whole=IS_LONG)


@pytest.mark.promise("T-13", "the last 1 to 99 % of a file are zeros", "0 complete")
@pytest.mark.parametrize("form", wire.FORMATS)
def test_no_zero_filled_file_of_any_format_passes_for_complete(form: str, figure: Figure) -> None:
    files, complete = wire.zero_filled(form)

    assert complete == 0
    figure(f"{form}: {complete} of {files}")


@pytest.mark.promise("T-06e", "trigger to echo, through link and simulated controller", "p99 under 5 ms")
async def test_every_trigger_that_is_timed_ends_well(figure: Figure) -> None:
    times = await wire.trigger_times(TIMES)

    assert times.times == TIMES
    figure(str(times), is_reached=times.p99_ms < 5, is_whole=IS_LONG)


@pytest.mark.promise("T-06o", "verdict to read back, coils and registers", "p99 under 5 ms")
@pytest.mark.parametrize(("name", "is_plc"), [("coils", False), ("registers", True)])
async def test_every_verdict_that_is_timed_ends_well(figure: Figure, name: str, *, is_plc: bool) -> None:
    times = await wire.output_times(TIMES, is_plc=is_plc)

    assert times.times == TIMES
    figure(f"{name}: {times}", is_reached=times.p99_ms < 5, is_whole=IS_LONG)
