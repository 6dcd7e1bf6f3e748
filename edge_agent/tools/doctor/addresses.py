"""Whose the addresses of line.toml are: what a file alone cannot tell, because it takes this PC and its names."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING

from edge_agent.runtime.claim import is_own
from edge_agent.settings import ModbusRegistersSettings
from edge_agent.settings.addresses import REGISTER_NUMBERS, Address, address_of
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

if TYPE_CHECKING:
    from edge_agent.settings import OutputSettings

__all__ = ["addresses"]


async def addresses(site: Site) -> Finding:
    """Controller and output are other devices than this PC, and the controller is one whose images are taken."""
    controller, output = site.settings.controller, site.settings.output
    said = []
    if controller.serial is None:
        own, at = await _looked_up(controller.host)
        if own:
            return fail(
                f"controller.host is {controller.host}, which is this PC ({own})",
                "write the controller's own address: its Ethernet settings show it, edge-agent init --search finds it",
            )
        if at and not any(_is_taken(site, address) for address in at):
            return fail(
                f"controller.host is {controller.host} ({', '.join(map(str, at))}), of which no image is taken",
                "name that address in images.ftp.allowed_peers, or leave the key out",
            )
        said.append(f"controller {controller.host}")
    if output.device is None and output.host is not None:
        own, _ = await _looked_up(output.host)
        if own:
            return warn(
                f"output.host is {output.host}, which is this PC ({own})",
                "let an output of another device open the gate: one in this PC may stand where this PC is dead",
            )
        said.append(f"output {output.host}")
    return _high_registers(output) or ok(", ".join(said) or "controller and output are on serial lines")


async def _looked_up(host: str) -> tuple[str, list[Address]]:
    """Which address of this PC a host has, and all that it has. Loopback is asked for: a simulated line, a tunnel."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "", []  # nobody knows the name: the checks of the peers say that they do not answer
    known = [address for *_, place in found if (address := address_of(str(place[0]))) is not None]
    own = [str(address) for address in known if not address.is_loopback and is_own(address)]
    return ", ".join(own), known


def _is_taken(site: Site, address: Address) -> bool:
    ftp = site.settings.images.ftp
    if ftp is None or ftp.allowed_peers is None or address.is_loopback:
        return True
    return any(address in ip_network(peer, strict=False) for peer in ftp.allowed_peers)


def _high_registers(output: OutputSettings) -> Finding | None:
    """Registers as documents number them: a PLC that has so many takes the words, and its program never sees them."""
    if not isinstance(output, ModbusRegistersSettings):
        return None
    for key in ("first_register", "plc_register"):
        place = getattr(output, key)
        if place in REGISTER_NUMBERS:
            return warn(
                f"output.{key} is {place}: in documents of PLCs that is register {place - REGISTER_NUMBERS[0]} on the "
                "wire",
                f"write {place - REGISTER_NUMBERS[0]} if {place} is the number that the PLC's manual shows",
            )
    return None
