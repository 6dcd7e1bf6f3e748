"""This process itself: what stops it, which boot it belongs to, and what its garbage collector leaves alone."""

from __future__ import annotations

import asyncio
import gc
import signal
from pathlib import Path

__all__ = ["boot_id", "keep_for_good", "stop_on_signal"]


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


def keep_for_good() -> None:
    """Tell the garbage collector that what was loaded stays: looking through all of it holds the event loop (0012)."""
    gc.collect()
    gc.freeze()
