"""This process towards its operating system: what stops it, and which boot it belongs to."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

__all__ = ["boot_id", "stop_on_signal"]


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
