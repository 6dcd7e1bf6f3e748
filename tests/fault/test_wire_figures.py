"""The wire's benchmark in small: what it proves must hold at every run; how fast it is, is said by the benchmark."""

from __future__ import annotations

import pytest

from tests.benchmark import wire


def test_a_stream_cut_and_merged_in_a_thousand_ways_gives_the_same_lines() -> None:
    wire.try_splits(1000, seed=7)


async def test_everything_that_reads_a_peers_bytes_takes_a_second_of_fuzzing() -> None:
    streams, _ = await wire.fuzz(1.0, seed=7)

    assert streams > 10


@pytest.mark.parametrize("form", wire.FORMATS)
async def test_no_cut_upload_of_any_format_passes_for_complete(form: str) -> None:
    uploads, complete = await wire.cut_uploads(3, 0.2, [form])

    assert (uploads, complete) == (3 * len(wire.HOWS), 0)


async def test_every_exchange_that_is_timed_ends_well() -> None:
    for times in (
        await wire.trigger_times(20),
        await wire.output_times(20, is_plc=False),
        await wire.output_times(20, is_plc=True),
    ):
        assert times.times == 20
