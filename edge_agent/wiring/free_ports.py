"""Ports of the loopback interface that nobody has: for simulated peers."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

__all__ = ["LOOPBACK", "free_port"]

LOOPBACK = "127.0.0.1"
_PORTS, _TRIES = range(20_000, 32_000), 1_000
_given: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on, and that this process was not given before.

    Below those that systems take for outgoing connections: none of these takes it until somebody listens. Raises
    OSError where there is none.
    """
    for _ in range(_TRIES):
        port = secrets.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as sock, suppress(OSError):  # somebody listens there: another one
            sock.bind((LOOPBACK, port))
            _given.add(port)
            return port
    raise OSError(f"no port from {_PORTS[0]} to {_PORTS[-1]} is free")
