"""From days and hours to GiB, and what of them a small disk has room for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_agent.store.plan import ArchivePlan

GIB = 2**30
PLAN = ArchivePlan(
    reject_days=10,
    pass_hours=8,
    parts_per_minute=60,
    image_mib=2.0,
    reject_share=0.05,
    total_bytes=1000 * GIB,
    free_bytes=900 * GIB,
)


def test_the_room_is_what_the_parts_of_days_and_hours_take() -> None:
    assert PLAN.rejects_bytes == 10 * 86_400 * 0.05 * 2 * 2**20
    assert PLAN.passes_bytes == 8 * 3600 * 0.95 * 2 * 2**20
    assert PLAN.fits
    assert PLAN.max_gib == 137.9
    assert PLAN.words == (
        "10 days of rejects (5 % of 60 parts a minute, 2 MiB each) need 84.4 GiB, 8 hours of passes 53.4 GiB: "
        "archive_max_gib = 137.9"
    )


@pytest.mark.parametrize(
    ("free_gib", "max_gib", "words"),
    [
        (
            198,
            98.0,
            "archive_max_gib = 98, enough for 10 days of rejects and 2.0 hours of passes",
        ),
        (142.19, 42.1, "archive_max_gib = 42.1, enough for 5 days of rejects and 0.0 hours of passes"),
        (99, 0.1, "the disk has room for 0.0 MiB: archive_max_gib = 0.1, enough for 0.0 hours of rejects"),
    ],
)
def test_what_the_disk_has_no_room_for_is_said(free_gib: float, max_gib: float, words: str) -> None:
    plan = replace(PLAN, free_bytes=int(free_gib * GIB))

    assert not plan.fits
    assert plan.max_gib == max_gib
    assert words in plan.words


def test_a_line_that_keeps_nothing_has_a_size_that_line_toml_takes() -> None:
    assert replace(PLAN, reject_share=0, pass_hours=0).max_gib == 0.1
