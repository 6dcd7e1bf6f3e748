"""This process itself: what stops it, which boot it belongs to, what it keeps of its memory, who goes before it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["boot_id", "keep_for_good", "keep_memory", "stand_back", "stop_on_signal", "take_turns_sooner"]

# Python's own is five milliseconds; what that cost a part was measured (docs/decisions/0082).
_TURN_S = 0.0005
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT = {_MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 256 << 20, _TOP_PAD: 16 << 20}
"""The first is the most that glibc takes; larger blocks, of images above 30 megapixels, come and go as before."""


def stop_on_signal() -> asyncio.Event:
    """Set at SIGTERM or SIGINT, once the running loop has time for it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def boot_id() -> str:
    """Names the boot that monotonic times belong to; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def keep_memory() -> bool:
    """Tell the C library to keep what is freed, from now on; false where it cannot be told.

    By default some blocks of the size of an image go back to the system when they are freed, and the next ones come in
    pages of 4 KiB, each with a fault of its own: that took more time than the work on the image (0082). What is held is
    what the largest moment needed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt  # glibc's alone
    except (AttributeError, OSError, TypeError):  # another C library, or none that is asked by no name (Windows)
        return False
    took = [mallopt(option, value) for option, value in _KEPT.items()]
    return all(took)


def take_turns_sooner() -> None:
    """Let a thread that has work have the interpreter within half a millisecond, not five.

    The event loop has to write a verdict while the inspection's threads, and the one that receives, are in Python too.
    """
    sys.setswitchinterval(_TURN_S)


def keep_for_good() -> None:
    """Tell the garbage collector that what was loaded stays: looking through all of it holds the event loop (0012)."""
    # Once before it: what is garbage by now would be kept for good as well.
    gc.collect()
    gc.freeze()


def stand_back(agent_pid: int | None) -> None:
    """Make this process the last in line for processor and disk, and the first to go when memory runs out.

    All its threads, and those that they start. Whatever this machine does not allow is left as it is. ``agent_pid`` is
    the agent that goes before it: where the kernel shares the processor between sessions first (autogroup), a whole
    session stands back, unless it is the agent's own.
    """
    for thread in _threads():
        # A unit's seccomp filter may allow none of these, and a thread may have ended: the work is done all the same.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, 19)
            if hasattr(os, "SCHED_IDLE"):
                # A nice process finishes its slice of some milliseconds first, an idle one makes way at once: the
                # inspection's threads wait for each other many times an image. The kernel takes such a process for
                # the last in line at the disk, too, unless somebody said otherwise.
                os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")

    with suppress(OSError):  # as above
        ours = _autogroup("self")
        if agent_pid is not None and ours and ours != _autogroup(str(agent_pid)):
            Path("/proc/self/autogroup").write_text("19", encoding="ascii")


def _autogroup(process: str) -> str:
    """The name of a process's group, without its nice value."""
    return Path(f"/proc/{process}/autogroup").read_text(encoding="ascii").partition(" ")[0]


def _threads() -> list[int]:
    try:
        return [int(path.name) for path in Path("/proc/self/task").iterdir()]
    except OSError:  # not Linux: this one, and those that it starts
        return [0]
