"""What the process asks of its garbage collector, its C library and its interpreter."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref

import pytest

from edge_agent.runtime.process import keep_for_good, take_turns_sooner

_FAULTS = """
import resource, sys, threading
from edge_agent.runtime.process import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
def blocks():
    for number in range(50):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        [bytearray(b"1") * 2_000_000 for _ in range(6)]
    print(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
thread = threading.Thread(target=blocks)
thread.start()
thread.join()
"""
"""How many pages some blocks of the size of an image bring, when there were such blocks before, in a thread."""


class Node:
    """Refers to itself: only the garbage collector ends it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_loaded_is_not_looked_through_again_and_garbage_was_taken_out_before() -> None:
    loaded, garbage = Node(), weakref.ref(Node())

    keep_for_good()

    assert garbage() is None
    assert loaded.itself is loaded
    assert not any(thing is loaded for thing in gc.get_objects())


def test_garbage_that_comes_later_is_still_collected() -> None:
    keep_for_good()
    later = weakref.ref(Node())

    gc.collect()

    assert later() is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_that_was_freed_is_there_for_the_next_image() -> None:
    told = [
        subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True).stdout
        for how in ("kept", "as ever")
    ]
    kept, as_ever = map(int, told)

    assert kept < 10
    assert as_ever > 100, "the check cannot fail"


def test_a_thread_that_has_work_does_not_wait_five_milliseconds() -> None:
    before = sys.getswitchinterval()
    try:
        take_turns_sooner()
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    finally:
        sys.setswitchinterval(before)
