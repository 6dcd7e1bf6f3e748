"""Deadlines count down on the monotonic clock; the back-off never waits longer than its cap."""

from __future__ import annotations

from drivers.timing import Backoff, Deadline, monotonic_s


def test_a_deadline_in_the_past_has_nothing_left() -> None:
    passed = Deadline(monotonic_s() - 1.0)

    assert passed.has_passed
    assert passed.left_s() == 0.0


def test_a_deadline_ahead_counts_down() -> None:
    ahead = Deadline.after(60.0)

    assert not ahead.has_passed
    assert 59.0 < ahead.left_s() <= 60.0


async def test_backoff_doubles_to_its_cap_and_starts_again_after_reset() -> None:
    backoff = Backoff(first_s=0.001, cap_s=0.003)
    waits = []
    for _ in range(4):
        await backoff.sleep()
        waits.append(backoff._next_s)
    backoff.reset()
    await backoff.sleep()

    assert waits == [0.001, 0.002, 0.003, 0.003]
    assert backoff._next_s == 0.001
