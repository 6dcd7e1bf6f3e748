"""Several images at a time: in their order, one a tool, no more than there are tools, and the first fault raises."""

from __future__ import annotations

import threading

import pytest

from calibration.at_once import at_once, each_with


def test_results_come_in_the_items_order_whichever_is_ready_first() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)  # the first ends after the second
        elif item == 1:
            second_is_done.set()
        return item * item

    assert list(at_once(work, range(6), threads=2)) == [0, 1, 4, 9, 16, 25]


def test_each_tool_is_used_by_one_thread_at_a_time_and_all_are_used() -> None:
    busy = [threading.Lock(), threading.Lock()]
    both = threading.Barrier(2, timeout=10)

    def work(tool: int, item: int) -> tuple[int, int]:
        assert busy[tool].acquire(blocking=False)
        try:
            both.wait()  # passes only where two work at once
            return tool, item
        finally:
            busy[tool].release()

    found = list(each_with(work, range(8), (0, 1)))

    assert [item for _, item in found] == list(range(8))
    assert {tool for tool, _ in found} == {0, 1}


def test_no_more_is_begun_than_a_few_beyond_what_was_taken() -> None:
    begun: list[int] = []

    def items() -> object:
        for item in range(100):
            begun.append(item)
            yield item

    results = at_once(lambda item: item, items(), threads=2)  # type: ignore[arg-type, var-annotated]
    assert next(results) == 0

    assert len(begun) <= 4
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_fault_raises_and_what_is_under_way_ends(threads: int) -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("the third")
        done.append(item)
        return item

    with pytest.raises(ValueError, match="the third"):
        list(at_once(work, range(50), threads=threads))

    assert len(done) < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("at-once")]


def test_one_thread_is_the_callers_own() -> None:
    assert set(at_once(lambda _item: threading.current_thread(), range(3), threads=1)) == {threading.current_thread()}
