"""Addresses, ports and serial ports that are right alone and wrong together: one place belongs to one thing.

Loopback addresses are left out where only a real line knows better: tests, simulated lines and tunnels live there.
Names are not looked up here: a file is right or wrong on every PC.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge_agent.settings.models import Settings
    from edge_agent.settings.outputs import OutputSettings

__all__ = ["REGISTER_NUMBERS", "Address", "OwnPort", "address_of", "addresses", "own_ports"]

Loc = tuple[str | int, ...]
Address = IPv4Address | IPv6Address
REGISTER_NUMBERS, _INPUT_NUMBERS = range(40_001, 50_000), range(10_001, 11_000)
"""How documents of PLCs number holding registers and discrete inputs. No remote I/O has coils or inputs at these."""


def address_of(text: str) -> Address | None:
    """The IP address that is meant, None for a name. ``localhost`` is one, and ``::ffff:`` in front means nothing."""
    if text.casefold().rstrip(".") == "localhost":
        return IPv4Address("127.0.0.1")
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def addresses(settings: Settings) -> list[tuple[Loc, str]]:
    """Each problem with the key to point at."""
    return [
        *_ports(settings),
        *_controller(settings),
        *_serial_ports(settings),
        *_numbers_of_documents(settings.output),
    ]


class OwnPort(NamedTuple):
    """A port that this PC listens at, and the key that names it."""

    key: str
    host: str
    port: int


def own_ports(settings: Settings) -> list[OwnPort]:
    """Every single port that the agent of this line listens at.

    The passive ports are left out: two lines may share them, for each transfer takes one that is free.
    """
    return [OwnPort(one.key, one.host, one.first) for one in _listening(settings) if one.first == one.last]


class _Ports(NamedTuple):
    """Ports at one address, that this PC listens at or that a peer does."""

    loc: Loc
    host: str
    first: int
    last: int
    is_own: bool

    @property
    def key(self) -> str:
        return ".".join(map(str, self.loc))

    def meets(self, other: _Ports) -> bool:
        """Whether one connection could be meant for either."""
        if self.first > other.last or other.first > self.last:
            return False
        one, two = address_of(self.host), address_of(other.host)
        if one is None or two is None:
            return self.host.casefold() == other.host.casefold()
        for listening, reached in ((self, two), (other, one)):
            at = address_of(listening.host)
            if listening.is_own and at is not None and at.is_unspecified:
                return reached.is_loopback or (self.is_own and other.is_own)
        return one == two

    def said(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def _listening(settings: Settings) -> list[_Ports]:
    known, ftp = list[_Ports](), settings.images.ftp
    if ftp is not None:
        known.append(_Ports(("images", "ftp", "port"), ftp.host, ftp.port, ftp.port, is_own=True))
        known.append(_Ports(("images", "ftp", "passive_ports"), ftp.host, *ftp.passive_ports, is_own=True))
    for name, table in (("web", settings.web), ("metrics", settings.metrics), ("opcua", settings.opcua)):
        if table is not None:
            known.append(_Ports((name, "port"), table.host, table.port, table.port, is_own=True))
    return known


def _ports(settings: Settings) -> list[tuple[Loc, str]]:
    """No two things at one port of one address."""
    known = _listening(settings)
    controller, output = settings.controller, settings.output
    if controller.serial is None:
        known.append(_Ports(("controller", "port"), controller.host, controller.port, controller.port, is_own=False))
    if output.host is not None and output.device is None:
        known.append(_Ports(("output", "port"), output.host, output.port, output.port, is_own=False))
    brokers = [
        (name, at) for name, at in (("mqtt", settings.mqtt), ("sparkplug", settings.sparkplug)) if at is not None
    ]
    ports = [_Ports((name, "port"), at.host, at.port, at.port, is_own=False) for name, at in brokers]
    # JSON and Sparkplug may go to one broker.
    known += ports[:1] if len({(at.host.casefold(), at.port) for _, at in brokers}) == 1 else ports
    return [(two.loc, _one_port(one, two)) for one, two in combinations(known, 2) if one.meets(two)]


def _one_port(one: _Ports, two: _Ports) -> str:
    if one.first != one.last:
        return f"expected a port outside {one.key}, which are {one.said()} (got {two.said()})"
    if two.first != two.last:
        return f"expected ports without {one.key}, which is {one.said()} (got {two.said()})"
    return f"expected a port of its own (got {two.said()}, which is {one.key})"


def _controller(settings: Settings) -> list[tuple[Loc, str]]:
    """The controller has an address of its own, and its images are taken."""
    if settings.controller.serial is not None:
        return []
    host, problems = settings.controller.host, list[tuple[Loc, str]]()
    at, ftp = address_of(host), settings.images.ftp
    if at is None or at.is_loopback:
        return []
    ours = [
        (f"{name}.host", table.host)
        for name, table in (
            ("images.ftp", ftp),
            ("web", settings.web),
            ("metrics", settings.metrics),
            ("opcua", settings.opcua),
        )
        if table is not None
    ]
    for key, other in ours:
        if at == address_of(other):
            message = f"expected the address of the controller (got {host}, which is {key}: an address of this PC)"
            problems.append((("controller", "host"), message))
            break
    output = settings.output
    if output.device is None and output.host is not None and at == address_of(output.host):
        message = f"expected an address of its own (got {host}, which is controller.host): two devices never share one"
        problems.append((("output", "host"), message))
    if ftp is not None and ftp.allowed_peers is not None and not _is_among(at, ftp.allowed_peers):
        message = (
            f"expected controller.host ({host}) among them, or this key left out: no image of the controller would be "
            f"taken (got {', '.join(ftp.allowed_peers)})"
        )
        problems.append((("images", "ftp", "allowed_peers"), message))
    return problems


def _is_among(at: Address, peers: tuple[str, ...]) -> bool:
    return any(at in ip_network(peer, strict=False) for peer in peers)


def _serial_ports(settings: Settings) -> list[tuple[Loc, str]]:
    """One serial port, one device: who opens it second has a port that somebody else writes to."""
    controller, lamp = settings.controller.serial, settings.lamp
    named: list[tuple[Loc, str | None]] = [
        (("controller", "serial", "url"), None if controller is None else controller.url),
        (("output", "serial", "device"), settings.output.device),
        (("lamp", "device"), None if lamp is None else lamp.device),
    ]
    seen: dict[str, Loc] = {}
    problems: list[tuple[Loc, str]] = []
    for loc, port in named:
        if port is None:
            continue
        # The port has many names: the one in /dev/serial/by-id is a link to the others.
        other = seen.setdefault(port if "://" in port else os.path.realpath(port), loc)
        if other != loc:
            message = f"expected a serial port of its own (got {port}, which is {'.'.join(map(str, other))})"
            problems.append((loc, message))
    return problems


def _numbers_of_documents(output: OutputSettings) -> list[tuple[Loc, str]]:
    """Numbers as PLC documents write them, where the address on the wire is meant."""
    problems: list[tuple[Loc, str]] = []
    inputs = ("part_present_input", "mode_input", "acknowledge_input", "reject_confirm_input")
    for key in ("first_coil", *inputs):
        place = getattr(output, key, None)
        if place is None:
            continue
        if place in REGISTER_NUMBERS:
            kind = "coil" if key == "first_coil" else "input"
            message = (
                f"expected the zero-based address of a {kind} (got {place}, a number of PLC documents for a holding "
                f"register; coil 00017 in a manual is 16 here, input 10001 is 0)"
            )
            problems.append((("output", key), message))
        elif key in inputs and place in _INPUT_NUMBERS:
            message = (
                f"expected the zero-based address of an input (got {place}, a number of PLC documents: {place} in a "
                f"manual is {place - _INPUT_NUMBERS[0]} here)"
            )
            problems.append((("output", key), message))
    return problems
