"""One agent at a time on one output: the second would write over the first one's REJECT."""

from __future__ import annotations

import hashlib
import socket
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from edge_agent.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.settings import OutputSettings

__all__ = ["claimed"]

_DIGITS = 16
_COILS, _REGISTERS = 4, 8


@contextmanager
def claimed(output: OutputSettings) -> Iterator[None]:
    """Hold every coil or register of an output while the block lasts.

    Raises AlreadyRunning if another agent of this machine holds one of them.

    A name in Linux' abstract namespace: it leaves no file, needs no permission, and is gone with the process however
    that ends. On other systems nothing is held; a second PC is seen by the output's read-back alone.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    with ExitStack() as held:
        for place in _places(output):
            name = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
            try:
                name.bind("\0edge-agent-output-" + hashlib.sha256(place.encode()).hexdigest()[:_DIGITS])
            except OSError as err:
                raise AlreadyRunning(
                    f"another edge-agent drives the output {place}",
                    hint="stop it first (systemctl stop edge-agent), or give this one an output of its own",
                ) from err
        yield


def _places(output: OutputSettings) -> list[str]:
    """Each coil or register, with the way to it."""
    way = f"{output.host}:{output.port}" if output.serial is None else output.serial.device
    if output.kind == "modbus-registers":
        what, first, number = "register", output.first_register, _REGISTERS
    else:
        what, first, number = "coil", output.first_coil, _COILS
    return [f"{way} unit {output.unit} {what} {address}" for address in range(first, first + number)]
