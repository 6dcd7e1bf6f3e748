"""Which process has a port or a name of this PC: what a person has to stop. Linux tells what this user may see."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Holder", "holder_of_name", "is_bound", "listener_at", "plain_address"]

_LISTENS = "0A"
_BESIDE = frozenset({"edge_agent.web", "edge_agent.opcua"})
"""What an agent starts beside itself, and listens at a port for it."""
_COMMAND = "edge-agent"
_MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """A process: its number and what it was started as. Its page and its OPC UA server count as the agent."""

    pid: int
    command: tuple[str, ...]
    is_page: bool = False

    @property
    def config(self) -> Path | None:
        """The line.toml that an agent was started with; None where its command does not tell."""
        words = self._words
        for option, value in zip(words, (*words[1:], ""), strict=True):
            name, equals, joined = option.partition("=")
            if name in ("--config", "-c"):
                return Path(f"/proc/{self.pid}/cwd") / (joined if equals else value)
        return None

    def __str__(self) -> str:
        """In words: of an agent the whole command, which names its line.toml; of another program its name alone."""
        words = (_COMMAND, *self._words) if self._words else (Path(self.command[0]).name,)
        return f"process {self.pid} ({_plain(' '.join(words))})"

    @property
    def _words(self) -> tuple[str, ...]:
        """What stands behind the name of an agent's command; none of another program."""
        at = next((at for at, word in enumerate(self.command) if _is_agent(word)), len(self.command))
        return self.command[at + 1 :]


def listener_at(address: str, port: int) -> Holder | None:
    """Who listens at this port of this address, or of all addresses; None where nobody does, or it cannot be known."""
    ours = plain_address(ip_address(address))
    for name in ("tcp", "tcp6"):
        for line in _lines(f"/proc/net/{name}"):
            _, local, _, state, *_, inode = line.split()[:10]
            hexadecimal, _, its_port = local.partition(":")
            if state != _LISTENS or int(its_port, 16) != port:
                continue
            its = _address(hexadecimal)
            if its == ours or its.is_unspecified or ours.is_unspecified:
                return _process_with(int(inode))
    return None


def holder_of_name(name: str) -> Holder | None:
    """Who has bound this name in Linux' abstract namespace of sockets (without the leading zero byte)."""
    for line in _lines("/proc/net/unix"):
        fields = line.split()
        if fields[-1] == f"@{name}":
            return _process_with(int(fields[6]))
    return None


def is_bound(name: str) -> bool:
    """Whether any process of this PC has bound this name; it notices nothing. Elsewhere than on Linux nobody has."""
    if not sys.platform.startswith("linux"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            # Connecting a datagram socket sends nothing: whoever holds the name does not notice.
            asking.connect(f"\0{name}")
        except ConnectionRefusedError:
            return False
    return True


def _lines(path: str) -> Iterator[str]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux, or hidden from this process
        return
    yield from text.splitlines()[1:]


def _address(hexadecimal: str) -> IPv4Address | IPv6Address:
    """An address as the kernel prints it: words of four bytes, each in this processor's order."""
    words = [hexadecimal[at : at + 8] for at in range(0, len(hexadecimal), 8)]
    return plain_address(ip_address(b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)))


def plain_address(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as one of IPv6 (``::ffff:192.168.0.5``) as that IPv4 address."""
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _process_with(inode: int) -> Holder | None:
    """The process that has this socket open. Those of other users are not seen, unless root asks."""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(file.readlink()) == wanted for file in (process / "fd").iterdir()):
                return _agent_of(int(process.name))
        except OSError:  # another user's, or gone meanwhile
            continue
    return None


def _agent_of(pid: int) -> Holder | None:
    """The process; for the page and the OPC UA server the agent that started it."""
    command = _command(pid)
    if _BESIDE.isdisjoint(command):
        return Holder(pid, command) if command else None
    try:
        # Behind the last bracket: a program's name may hold blanks and brackets itself.
        parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return Holder(pid, command, is_page=True)
    agent = _command(parent)
    is_agent = any(map(_is_agent, agent))
    return Holder(parent, agent, is_page=True) if is_agent else Holder(pid, command, is_page=True)


def _command(pid: int) -> tuple[str, ...]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(text.rstrip("\0").split("\0")) if text else ()


def _is_agent(word: str) -> bool:
    return word == "edge_agent" or Path(word).name == _COMMAND


def _plain(text: str) -> str:
    """Without what a terminal would take for a command, and short."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + "..."
