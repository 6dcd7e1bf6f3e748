"""Trains several networks at once, each on one torch thread: faster than one after the other on all threads.

A network that is trained alone shares its batches among the threads.

A pool of torch threads waits by spinning, which starves whatever else runs on a small line PC; and a sum over one
thread does not depend on how many cores there are.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from calibration.training.train import Training

__all__ = ["one_torch_thread", "run_all"]

_REPORT_EVERY_S = 0.2


class _Stopped(Exception):
    """Another training failed, or the caller gave up."""


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Have torch compute on this thread alone: a sum by several threads hangs on how many cores a PC has."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_all(trainings: Sequence[Training], *, threads: int, progress: Callable[[int, int], None]) -> None:
    """Run every training to its end, ``threads`` at a time. ``progress(done, total)`` in steps, from this thread."""
    done, stop = [0] * len(trainings), threading.Event()
    total = sum(training.total_steps for training in trainings)
    each = max(1, threads // len(trainings))
    pool = ThreadPoolExecutor(threads, thread_name_prefix="training")
    with one_torch_thread():
        try:
            futures = [pool.submit(_run, training, i, done, stop, each) for i, training in enumerate(trainings)]
            left = set(futures)
            while left:
                finished, left = wait(left, timeout=_REPORT_EVERY_S, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                progress(sum(done), total)
            progress(total, total)
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _run(training: Training, index: int, done: list[int], stop: threading.Event, threads: int) -> None:
    import torch

    torch.set_num_threads(1)  # the setting belongs to the thread

    def on_step(step: int) -> None:
        done[index] = step
        if stop.is_set():
            raise _Stopped

    training.run(on_step, threads=threads)
