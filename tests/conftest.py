"""What every test gets: a failure if it leaves a task, a thread or a socket behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import pytest_asyncio
import structlog

from tests.results import (  # noqa: F401 - hooks and a fixture: pytest finds them by name in this file
    figure,
    pytest_addoption,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_sessionfinish,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# A busy machine is no fault of a test: no example of Hypothesis has a time of its own.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")

# A shell starts what goes on in the background with Ctrl+C ignored, and every command that a test starts would
# inherit that: those that stop one with Ctrl+C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SLOW = [Path(__file__).parent / name for name in ("fault", "simulated")]
_LONG = [Path(__file__).parent / name for name in ("calibrations", "installations")]
"""A calibration of large images takes a minute of a quiet machine. The time is a stop for what hangs, not a promise."""
_GRACE_S = 10.0
# Pools of libraries that live as long as the process by design.
_PROCESS_LIFE_THREADS = ("asyncio_", "pytest_timeout", "ThreadPoolExecutor-libs", "tqdm", "OpenBLAS")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole processes, and peers that fail in real time: all of it is slow."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in _SLOW):
            item.add_marker(pytest.mark.slow)
        if any(item.path.is_relative_to(folder) for folder in _LONG) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(600))


def pytest_collection_finish() -> None:
    """Half a million objects: one look through all of them holds every loop for a second.

    An agent under test takes that for a standstill of its process (0035), and is right to.
    """
    gc.collect()
    gc.freeze()


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.name.startswith(_PROCESS_LIFE_THREADS)}


def _sockets() -> set[str]:
    found = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture(autouse=True)
def _no_lower_priority() -> Iterator[None]:
    """A command that stands back behind an agent does so for its process, which here is that of all later tests.

    They would be the last in line on a busy machine, with the agents that they start.
    """
    yield
    if os.name == "posix" and os.sched_getscheduler(0) == getattr(os, "SCHED_IDLE", None):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(PermissionError, ProcessLookupError):  # only root may go back; a thread may have ended
                os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
                os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)


@pytest.fixture(autouse=True)
def _no_leaked_log_settings() -> Iterator[None]:
    """A command run in the test's own process sets its log level for the process: the next test would hear less."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def reserve_bytes(monkeypatch: pytest.MonkeyPatch) -> int:
    """A test of a hundred journals would take 6 GiB of disk; whole processes hold what the line's do."""
    small = 64 * 2**10
    monkeypatch.setattr("edge_agent.store.reserve._BYTES", small)
    return small


@pytest.fixture
def quiet_logs() -> None:
    """No log lines: a hundred thousand parts would say a million."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(autouse=True)
def _no_leaked_threads_or_sockets() -> Iterator[None]:
    threads_before, sockets_before = _threads(), _sockets()
    yield
    until = time.monotonic() + _GRACE_S
    while True:
        threads = _threads() - threads_before
        sockets = _sockets() - sockets_before
        if not threads and not sockets:
            return
        gc.collect()
        if time.monotonic() > until:
            break
        time.sleep(0.02)

    assert not threads, f"threads left behind: {sorted(t.name for t in threads)}"
    assert not sockets, f"sockets left behind: {sorted(sockets)}"


@pytest_asyncio.fixture(autouse=True)
async def _no_leaked_tasks(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Runs around asynchronous tests only: a synchronous test has no loop to leak into."""
    before = asyncio.all_tasks()
    yield
    leaked = {t for t in asyncio.all_tasks() - before if not t.done() and t is not asyncio.current_task()}

    assert not leaked, f"tasks left behind by {request.node.name}: {leaked}"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A PC in Berlin: one hour ahead of UTC in winter, two in summer."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
