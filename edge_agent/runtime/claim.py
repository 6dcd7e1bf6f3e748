"""One agent at a time on one output, and on one folder. What is held is what is reached, not how it is written.

A host has many names: its own, ``localhost``, an address with or without ``::ffff:`` in front; a serial port has the
name in ``/dev/serial/by-id`` and ``/dev/ttyUSB0``. So a host is held by its addresses, a port by its device number, a
folder by its inode. Names are asked for once, at the start; on each new connection the address that answered has the
last word.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import stat
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from edge_agent.errors import AlreadyRunning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edge_agent.settings import OutputSettings

__all__ = ["Claim", "claimed", "claimed_folders", "is_own"]

_DIGITS = 16
_REGISTERS = 8
_SEATS = 16
"""So many agents may write register blocks into one PLC. One that writes coils takes every seat."""
_THIS_PC = "this PC"


class _Taken(Exception):
    """Another process holds this name."""


class Claim:
    """What one agent holds of the output that it drives, until it ends. Nothing is given back before.

    Coils are held together with all the rest of their remote I/O: the watchdog that drops them is one for the whole
    module, and another agent's writes would feed it for a dead one's PASS. A register block is held by its registers,
    because the PLC looks at the heartbeat of each block. The unit number is not looked at: most modules answer to any.
    A serial line is held whole, whatever is written there.
    """

    def __init__(self, output: OutputSettings) -> None:
        self._output = output
        self._held = ExitStack()
        self._names: set[str] = set()

    def admit(self, address: str, port: int) -> str:
        """Hold the output at the peer that answered too; why it must not be written to, or empty. Never waits."""
        try:
            self.hold(_device(address) if self._output.serial is not None else _peer(address, port))
        except AlreadyRunning as err:
            return f"{err}; {err.hint}"
        return ""

    def hold(self, way: str) -> None:
        """Hold the output as it is reached this way. Raises AlreadyRunning if another agent of this PC holds it."""
        output = self._output
        with ExitStack() as taken:
            try:
                if output.serial is not None:
                    self._take(taken, way)
                elif output.kind == "modbus-coils":
                    for seat in range(_SEATS):
                        self._take(taken, f"{way} seat {seat}")
                else:
                    self._take_any(taken, [f"{way} seat {seat}" for seat in range(_SEATS)])
                    for register in range(output.first_register, output.first_register + _REGISTERS):
                        self._take(taken, f"{way} register {register}")
            except _Taken:
                raise AlreadyRunning(
                    f"another edge-agent drives the output {self._said} ({way})",
                    hint="stop it first (systemctl stop edge-agent), or take another remote I/O, or other registers",
                ) from None
            self._held.push(taken.pop_all())

    def close(self) -> None:
        """Give all of it back."""
        self._held.close()
        self._names.clear()

    @property
    def _said(self) -> str:
        """The output as line.toml names it."""
        output = self._output
        if output.serial is not None:
            return output.serial.device
        first = output.first_coil if output.kind == "modbus-coils" else output.first_register
        return f"{output.host}:{output.port}, {output.kind} from {first} on"

    def _take(self, taken: ExitStack, name: str) -> None:
        if name not in self._names:
            taken.enter_context(_bound(name))
            self._names.add(name)
            taken.callback(self._names.discard, name)

    def _take_any(self, taken: ExitStack, names: list[str]) -> None:
        if not self._names.isdisjoint(names):
            return
        for name in names:
            try:
                self._take(taken, name)
            except _Taken:
                continue
            return
        raise _Taken


@contextmanager
def claimed(output: OutputSettings) -> Iterator[Claim]:
    """Hold an output while the block lasts, at every address that its name has now. Resolves names: not in a loop.

    Raises AlreadyRunning if another agent of this PC holds it. A name that cannot be resolved now is held as it is
    written, and by its address when somebody answers (``Claim.admit``).

    A name in Linux' abstract namespace: it leaves no file, needs no permission, and is gone with the process however
    that ends. On other systems nothing is held; a second PC is seen by the output's read-back alone.
    """
    claim = Claim(output)
    try:
        for way in _ways(output):
            claim.hold(way)
        yield claim
    finally:
        claim.close()


@contextmanager
def claimed_folders(folders: Iterable[Path]) -> Iterator[None]:
    """Hold folders that no other agent may take files from or put its own into. Raises AlreadyRunning."""
    with ExitStack() as held:
        for folder in folders:
            for name in _folder_names(folder):
                try:
                    held.enter_context(_bound(name))
                except _Taken:
                    raise AlreadyRunning(
                        f"another edge-agent works in the folder {folder}",
                        hint="stop it first (systemctl stop edge-agent), or give each line its own folders",
                    ) from None
        yield


@contextmanager
def _bound(name: str) -> Iterator[None]:
    """Hold a name among all processes of this PC. Raises _Taken."""
    if not sys.platform.startswith("linux"):
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as held:
        try:
            held.bind("\0edge-agent-claim-" + hashlib.sha256(name.encode()).hexdigest()[:_DIGITS])
        except OSError as err:
            raise _Taken from err
        yield


def _ways(output: OutputSettings) -> list[str]:
    """Each way to an output, as far as it can be known before somebody answers."""
    if output.serial is not None:
        return [_device(output.serial.device)]
    assert output.host is not None  # noqa: S101 - settings name exactly one way to the output
    try:
        found = socket.getaddrinfo(output.host, output.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [f"{output.host.rstrip('.').casefold()}:{output.port}"]
    return sorted({_peer(str(address[0]), output.port) for *_, address in found})


def _peer(address: str, port: int) -> str:
    """A TCP port by whose it is. Each address of this PC is this PC: a server on all of them answers at each."""
    at = ipaddress.ip_address(address)
    if isinstance(at, ipaddress.IPv6Address) and at.ipv4_mapped is not None:
        at = at.ipv4_mapped
    return f"{_THIS_PC if is_own(at) else at}:{port}"


def is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether this PC has the address. Nothing is sent, nobody is asked."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))  # of datagrams: nobody listens, and nothing is sent
    except OSError:
        return False
    return True


def _device(path: str) -> str:
    """A serial port by its number in the kernel, under whatever name; by its path while it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - on Windows the name of a port is no path
    except (OSError, ValueError):
        return f"device {os.path.realpath(path)}"
    if not stat.S_ISCHR(found.st_mode):
        return f"device {os.path.realpath(path)}"
    return f"device {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _folder_names(folder: Path) -> list[str]:
    """A folder by its path, which it has before it is made, and by its inode, which every path to it shares."""
    names = [f"folder {folder.resolve()}"]
    try:
        found = folder.stat()
    except OSError:
        return names
    return [*names, f"folder {found.st_dev}:{found.st_ino}"]
