"""What the process asks of its garbage collector."""

from __future__ import annotations

import gc
import weakref

from edge_agent.runtime.process import keep_for_good


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
