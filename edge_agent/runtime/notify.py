"""systemd's notification socket (sd_notify). Without NOTIFY_SOCKET in the environment there is nobody to tell."""

from __future__ import annotations

import os
import socket

import structlog

__all__ = ["notify"]

log = structlog.get_logger(__name__)


def notify(state: str) -> bool:
    """Send ``READY=1``, ``WATCHDOG=1``, ``STATUS=...``; false if systemd is there and did not take it.

    Never waits: a systemd that is busy takes ten datagrams and then none, and the output must be refreshed meanwhile.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return True
    if address.startswith("@"):  # abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect(address)
            sock.send(state.encode())
        except OSError as err:
            log.debug("systemd_not_told", state=state, error=str(err))
            return False
    return True
