"""One agent at a time on one output, one folder and one port. What is held is what is reached, not how it is written.

A host has many names: its own, ``localhost``, an address with or without ``::ffff:`` in front; a serial port has the
name in ``/dev/serial/by-id`` and ``/dev/ttyUSB0``. So a host is held by its addresses, a serial port by its device
number, a folder by its inode. Names are asked for once, at the start; on each new connection the address that answered
has the last word.
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
from edge_agent.runtime.holders import holder_of_name, is_bound, plain_address
from edge_agent.settings.addresses import own_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edge_agent.runtime.holders import Holder
    from edge_agent.settings import OutputSettings, Settings
    from edge_agent.settings.addresses import OwnPort

__all__ = [
    "Claim",
    "address_to_listen_at",
    "claimed",
    "claimed_folders",
    "claimed_learning",
    "claimed_limits",
    "claimed_line",
    "claimed_ports",
    "claimed_restore",
    "claimed_state",
    "is_own",
    "journal_holder",
]

# 64 bits of the hash: two names do not meet by chance, and no name is too long for a socket's.
_DIGITS = 16
_SEATS = 16
"""So many agents may write register blocks into one PLC, or listen at one port, each at an address of its own. One that
writes coils, or listens at every address, takes every seat."""
_THIS_PC = "this PC"
_OTHER_OUTPUT = "stop it first (systemctl stop edge-agent), or take another remote I/O, or other registers"
_OTHER_WORDS = "give the block of each agent, and the words that the PLC writes for it, places of their own"


class _Taken(Exception):
    """Another process holds this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @property
    def who(self) -> str:
        """Which process, in words behind a colon; empty where nobody can tell. Looks at every process of this PC."""
        holder = holder_of_name(_socket_name(self.name))
        return "" if holder is None else f": {holder}"


class _Overlapping(_Taken):
    """What another process holds is not the same, and lies over it."""


class Claim:
    """What one agent holds of the output that it drives, until it ends. Nothing is given back before.

    Coils are held together with all the rest of their remote I/O: the watchdog that drops them is one for the whole
    module, and another agent's writes would feed it for a dead one's PASS. A register block is held by its registers,
    because the PLC looks at the heartbeat of each block; by which of the PLC's ports it is reached is no matter where
    all lead to one memory. The unit number is not looked at: most modules answer to any.
    A serial line is held whole, whatever is written there.

    A block may not lie over words that the PLC writes for another agent: that one would take this one's for an answer.
    Nor does one agent drive coils of a PLC, and another one a block of its words.
    """

    def __init__(self, output: OutputSettings) -> None:
        self._output = output
        self._held = ExitStack()
        self._names: set[str] = set()

    def admit(self, address: str, port: int) -> str:
        """Hold the output at the peer that answered too; why it must not be written to, or empty. Never waits."""
        try:
            self.hold(_device(address) if self._output.device is not None else _peer(self._output, address, port))
        except AlreadyRunning as err:
            return f"{err}; {err.hint}"
        except OSError as err:  # so many files are open that none is left to ask with
            return f"whether another edge-agent drives the output {self._said} cannot be found out: {err}"
        return ""

    def hold(self, way: str, *, finds_out_who: bool = False) -> None:
        """Hold the output as it is reached this way. Raises AlreadyRunning if another agent of this PC holds it.

        To find out who that is takes a while: not in a loop.
        """
        if way in self._names:  # whoever came since then saw that, and was refused
            return
        # All of it or nothing: what was taken on the way is given back where a later name is refused.
        with ExitStack() as taken:
            try:
                if self._output.device is not None:
                    self._take(taken, way)
                elif (words := self._output.shared_words) is None:
                    self._take_whole(taken, way)
                else:
                    self._take_words(taken, way, words)
            except _Taken as err:
                who, hint = err.who if finds_out_who else "", _OTHER_OUTPUT
                what = f"drives the output {self._said} ({way}){who}"
                if isinstance(err, _Overlapping):
                    what, hint = f"has words that overlap those of {self._said} ({way}){who}", _OTHER_WORDS
                raise AlreadyRunning(f"another edge-agent {what}", hint=hint) from None
            self._held.push(taken.pop_all())
            self._names.add(way)

    def close(self) -> None:
        """Give all of it back."""
        self._held.close()
        self._names.clear()

    @property
    def _said(self) -> str:
        """The output as line.toml names it."""
        output = self._output
        return output.device or f"{output.host}:{output.port}, {output.place}"

    def _take_whole(self, taken: ExitStack, way: str) -> None:
        """A remote I/O: its watchdog is one for all that is written there (docs/decisions/0049)."""
        for seat in _seats(way):
            self._take(taken, seat)
        # A PLC's words are behind all ports of its address; of this PC's own simulated devices each has a port.
        host = way.rpartition(":")[0]
        if host != _THIS_PC:
            self._take_any(taken, _seats(f"{host} coils"))
            self._refuse_where_held(_seats(host), _Taken)

    def _take_words(self, taken: ExitStack, way: str, words: range) -> None:
        """A block of words, and those that the PLC writes: more than one agent may read them, and none may write."""
        own, answers = self._take_any(taken, _seats(way)), self._output.answer_words
        for word in words:
            self._take(taken, f"{way} register {word}")
        for word in answers:
            self._take(taken, f"{own} reads register {word}")
        # Looked at once all is held: of two that come at the same time one sees the other.
        self._refuse_where_held((f"{way} register {word}" for word in answers), _Overlapping)
        readers = (f"{seat} reads register {word}" for seat in _seats(way) for word in words)
        self._refuse_where_held(readers, _Overlapping)
        self._refuse_where_held(_seats(f"{way} coils"), _Taken)

    def _refuse_where_held(self, names: Iterable[str], refusal: type[_Taken]) -> None:
        for name in names:
            if name not in self._names and is_bound(_socket_name(name)):
                raise refusal(name)

    def _take(self, taken: ExitStack, name: str) -> None:
        # A name with two addresses may lead twice to what is held already.
        if name not in self._names:
            taken.enter_context(_bound(name))
            self._names.add(name)
            taken.callback(self._names.discard, name)

    def _take_any(self, taken: ExitStack, names: list[str]) -> str:
        """One of these names: that which is held already, or the first that is free."""
        for name in sorted(names, key=lambda name: name not in self._names):
            try:
                self._take(taken, name)
            except _Taken:
                continue
            return name
        raise _Taken(names[0])


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
            claim.hold(way, finds_out_who=True)
        yield claim
    finally:
        claim.close()


@contextmanager
def claimed_folders(folders: Iterable[Path]) -> Iterator[None]:
    """Hold folders that no other agent may take files from or put its own into. Raises AlreadyRunning."""
    with ExitStack() as held:
        for folder in folders:
            try:
                _take_place(held, folder)
            except _Taken as err:
                raise AlreadyRunning(
                    f"another edge-agent works in the folder {folder}{err.who}",
                    hint="stop it first (systemctl stop edge-agent), or give each line its own folders",
                ) from None
        yield


@contextmanager
def claimed_line(settings: Settings, *, is_simulated: bool = False) -> Iterator[None]:
    """Hold all that two lines of one PC may not share, but for the output: journal, folders, ports.

    Resolves names: not in a loop. Raises AlreadyRunning. Simulated peers send their images to a port of their own.
    """
    ports = own_ports(settings)
    if is_simulated:
        ports = [port for port in ports if port.key != "images.ftp.port"]
    with _claimed_journal(settings.store.journal), claimed_folders(settings.folders), claimed_ports(ports):
        yield


@contextmanager
def claimed_state(lines: Iterable[Settings]) -> Iterator[None]:
    """Hold journals and folders of lines, and not their ports: nobody runs there meanwhile. Raises AlreadyRunning.

    Two of these lines may share them: one of them is to take the other's place.
    """
    found = list(lines)
    with ExitStack() as held:
        for journal in dict.fromkeys(line.store.journal.resolve() for line in found):
            held.enter_context(_claimed_journal(journal))
        held.enter_context(
            claimed_folders(dict.fromkeys(folder.resolve() for line in found for folder in line.folders))
        )
        yield


@contextmanager
def _claimed_journal(journal: Path) -> Iterator[None]:
    """Hold a journal, and with it the desk beside it. Raises AlreadyRunning.

    Its lock keeps a second writer out as well, and does not tell who it is.
    """
    with ExitStack() as held:
        try:
            _take_place(held, journal)
        except _Taken as err:
            raise AlreadyRunning(
                f"another edge-agent holds the journal {journal}{err.who}",
                hint="stop it first (systemctl stop edge-agent), or give this one its own store.journal",
            ) from None
        yield


@contextmanager
def claimed_ports(ports: Iterable[OwnPort]) -> Iterator[None]:
    """Hold the ports that this line listens at. Resolves names: not in a loop. Raises AlreadyRunning.

    Of agents alone: two that start at once are told apart before either listens, and a page that is still on its
    way out after its agent was killed holds up nobody.
    """
    with ExitStack() as held:
        for port in ports:
            try:
                _take_port(held, port)
            except _Taken as err:
                raise AlreadyRunning(
                    f"{port.key}: another edge-agent has port {port.port} of {port.host}{err.who}",
                    hint=f"give each line of this PC ports of its own: another {port.key} in one of the two line.toml",
                ) from None
        yield


def claimed_limits(journal: Path) -> AbstractContextManager[None]:
    """Hold the right to move a limit of the line with this journal. Entering raises AlreadyRunning.

    A part passes by the limits of all its cameras: two that are moved at once would each be judged beside the other's
    old one.
    """
    what, hint = "another limit of this line is being moved", "try again in a moment, and look again"
    return _claimed_right(f"limits of {journal.resolve()}", what, hint)


def claimed_learning(journal: Path) -> AbstractContextManager[None]:
    """Hold the right to let a bundle learn from the line with this journal. Entering raises AlreadyRunning.

    Two at once would take twice the time that the line leaves over, and neither would know what the other one offers.
    """
    what = "another learning of this line is going on"
    return _claimed_right(f"learning of {journal.resolve()}", what, "wait until it has ended")


def claimed_restore(config: Path) -> AbstractContextManager[None]:
    """Hold the right to bring back the line with this line.toml. Entering raises AlreadyRunning.

    Two at once would each do the other's renames.
    """
    what = f"another restore of {config} is going on"
    return _claimed_right(f"restore of {config.resolve()}", what, "wait until it has ended, and look what it left")


@contextmanager
def _claimed_right(name: str, what: str, hint: str) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(_bound(name))
        except _Taken as err:
            raise AlreadyRunning(f"{what}{err.who}", hint=hint) from None
        yield


def journal_holder(journal: Path) -> Holder | None:
    """The agent that has this journal; None where none runs, or this user may not see it."""
    found = (holder_of_name(_socket_name(name)) for name in _place_names(journal))
    return next((holder for holder in found if holder is not None), None)


def _take_place(held: ExitStack, path: Path) -> None:
    for name in _place_names(path):
        held.enter_context(_bound(name))


def _take_port(held: ExitStack, port: OwnPort) -> None:
    try:
        at = ipaddress.ip_address(address_to_listen_at(port.host, port.port))
    except (OSError, UnicodeError):
        return  # nobody listens there
    seats = _seats(f"listening at {port.port}")
    if at.is_unspecified:
        for seat in seats:
            held.enter_context(_bound(seat))
        return
    held.enter_context(_bound(f"listening at {port.port} of {plain_address(at)}"))
    for seat in seats:
        try:
            held.enter_context(_bound(seat))
        except _Taken:
            continue
        return
    raise _Taken(seats[0])


def address_to_listen_at(host: str, port: int) -> str:
    """The address that a socket for ``host`` is bound to. Raises OSError, UnicodeError."""
    *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return str(address[0])


@contextmanager
def _bound(name: str) -> Iterator[None]:
    """Hold a name among all processes of this PC. Raises _Taken."""
    # There is no such namespace elsewhere: a second agent is told by the output's read-back alone
    # (docs/decisions/0049).
    if not sys.platform.startswith("linux"):
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as held:
        try:
            held.bind("\0" + _socket_name(name))
        except OSError as err:
            raise _Taken(name) from err
        yield


def _seats(way: str) -> list[str]:
    return [f"{way} seat {seat}" for seat in range(_SEATS)]


def _socket_name(name: str) -> str:
    return "edge-agent-claim-" + hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]


def _ways(output: OutputSettings) -> list[str]:
    """Each way to an output, as far as it can be known before somebody answers."""
    if output.device is not None:
        return [_device(output.device)]
    assert output.host is not None  # noqa: S101 - settings name exactly one way to the output
    try:
        found = socket.getaddrinfo(output.host, output.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        # No answer yet: held as it is written, and by its address as soon as somebody answers (``Claim.admit``).
        return [f"{output.host.rstrip('.').casefold()}:{output.port}"]
    return sorted({_peer(output, str(address[0]), output.port) for *_, address in found})


def _peer(output: OutputSettings, address: str, port: int) -> str:
    """A TCP port by whose it is. Each address of this PC is this PC: a server on all of them answers at each.

    Where another device has its words behind all its ports, the port says nothing.
    """
    at = plain_address(ipaddress.ip_address(address))
    if is_own(at):
        return f"{_THIS_PC}:{port}"
    return str(at) if output.is_one_behind_all_ports else f"{at}:{port}"


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
    # What is no character device has no number that names it: its path has to do.
    if not stat.S_ISCHR(found.st_mode):
        return f"device {os.path.realpath(path)}"
    return f"device {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _place_names(folder: Path) -> list[str]:
    """A folder or file by its path, which it has before it is made, and by its inode, which every path to it shares."""
    names = [f"folder {folder.resolve()}"]
    try:
        found = folder.stat()
    except OSError:
        return names
    return [*names, f"folder {found.st_dev}:{found.st_ino}"]
