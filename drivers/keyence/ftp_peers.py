"""Whom the FTP server lets in: addresses, networks of addresses, and names, which are looked up now and then."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import structlog

from drivers.keyence.codec import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

__all__ = ["AllowedPeers"]

_log = structlog.get_logger()

_MAPPED = "::ffff:"
_LOOK_UP_EVERY_S = 60.0
"""A controller that is named may get another address while the agent runs."""


class AllowedPeers:
    """The peers whose images are taken; none given means everybody. What is no address is a name to be looked up.

    Asked in the FTP thread, looked up on the event loop.
    """

    def __init__(self, peers: Sequence[str]) -> None:
        self._peers = tuple(peers)
        networks = [_network(peer) for peer in peers]
        self._networks = tuple(network for network in networks if network is not None)
        self._names = tuple(peer for peer, network in zip(peers, networks, strict=True) if network is None)
        self._found: tuple[IPv4Network | IPv6Network, ...] = ()
        self._complaint = ""

    def __str__(self) -> str:
        return ", ".join(self._peers)

    def admits(self, address: str) -> bool:
        """Whether a peer with this address may push images."""
        # A socket that listens on IPv6 gives an IPv4 peer in this longer form.
        peer = ip_address(address.removeprefix(_MAPPED))
        return not self._peers or any(peer in network for network in (*self._networks, *self._found))

    async def look_up(self) -> None:
        """Learn the addresses of names. Raises OSError for a name that nobody knows."""
        self._found = tuple([network for name in self._names for network in await _addresses(name)])

    async def follow(self) -> None:
        """Look names up again, until cancelled. While nobody knows a name its last addresses stay."""
        while self._names:
            await asyncio.sleep(_LOOK_UP_EVERY_S)
            before, complaint = self._found, ""
            try:
                await self.look_up()
            except OSError as err:
                complaint = str(err)
                if complaint != self._complaint:
                    _log.warning("ftp_peer_not_found", why=complaint)
            self._complaint = complaint
            if before != self._found:
                _log.info("ftp_peers_changed", peers=str(self), addresses=", ".join(map(str, self._found)))


async def _addresses(name: str) -> list[IPv4Network | IPv6Network]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as err:
        raise OSError(f"no address is known for {shown(name)}, whose images are to be taken: {err}") from err
    # Without the name of the network card that stands behind a link-local address.
    addresses = sorted({str(address[0]).split("%")[0] for *_, address in found})
    return [ip_network(address) for address in addresses]


def _network(peer: str) -> IPv4Network | IPv6Network | None:
    """What is written as an address; one of IPv4 within IPv6 is the IPv4 address, as that of whoever connects is."""
    try:
        return ip_network(peer.casefold().removeprefix(_MAPPED) if "." in peer else peer, strict=False)
    except ValueError:
        return None
