"""What a line's settings change about the hardened unit: whom it may talk to, which port and device it needs."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from edge_agent.settings import Settings

__all__ = ["unit_drop_in"]

_PRIVATE = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fd00::/8 fe80::/10"
_FIRST_FREE_PORT = 1024


def unit_drop_in(settings: Settings) -> str:
    """A systemd drop-in for edge-agent.service, from line.toml alone. Names no peer that line.toml does not name."""
    allowed, open_to = _peers(settings)
    lines = [
        "# Written by `edge-agent config unit` from line.toml: write it anew when that changes.",
        "[Service]",
        "# An empty value takes back what the unit allows.",
        "IPAddressAllow=",
        f"IPAddressAllow=localhost {' '.join(allowed)}".rstrip(),
        *(line for why in open_to for line in (f"# {why}", f"IPAddressAllow={_PRIVATE}")),
    ]
    ftp, needs_user = settings.images.ftp, False
    if ftp is not None and ftp.port < _FIRST_FREE_PORT:
        lines += ["CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "AmbientCapabilities=CAP_NET_BIND_SERVICE"]
        needs_user = True
    if settings.controller.serial is not None or settings.output.device is not None:
        lines += ["PrivateDevices=no", "DeviceAllow=char-ttyUSB rw", "DeviceAllow=char-ttyACM rw"]
        lines += ["DeviceAllow=char-ttyS rw", "SupplementaryGroups=dialout"]
        needs_user = True
    lines += ["PrivateUsers=no"] if needs_user else []
    folder = settings.images.folder
    lines += [f"ReadWritePaths={folder.path}"] if folder is not None else []
    return "\n".join(lines) + "\n"


def _peers(settings: Settings) -> tuple[list[str], list[str]]:
    """Addresses that the agent talks to, and why the private networks have to be allowed as well."""
    open_to: list[str] = []
    for table, served, who in (
        ("web", settings.web, "browsers"),
        ("metrics", settings.metrics, "browsers"),
        ("opcua", settings.opcua, "OPC UA clients"),
    ):
        if served is not None and not _is_loopback(served.host):
            open_to.append(f"{table}.host is {served.host}: {who} may come from any private address.")
    addresses: list[str] = []
    for key, text in _named(settings):
        if not _is_address(text):
            open_to.append(f"{key} is a name, {text}: systemd filters by address, and its own may change.")
        elif not _is_loopback(text) and text not in addresses:
            addresses.append(text)
    return addresses, open_to


def _named(settings: Settings) -> list[tuple[str, str]]:
    """Every peer that line.toml names, with its key."""
    ftp = settings.images.ftp
    named = [("images.ftp.allowed_peers", peer) for peer in ((ftp and ftp.allowed_peers) or ())]
    if settings.controller.serial is None:
        named.insert(0, ("controller.host", settings.controller.host))
    if settings.output.host is not None and settings.output.device is None:
        named.append(("output.host", settings.output.host))
    if settings.mqtt is not None:
        named.append(("mqtt.host", settings.mqtt.host))
    if settings.sparkplug is not None:
        named.append(("sparkplug.host", settings.sparkplug.host))
    if settings.webhook is not None:
        named.append(("webhook.url", urlsplit(settings.webhook.url).hostname or ""))
    return named


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text == "localhost"
    return True


def _is_loopback(text: str) -> bool:
    return text == "localhost" or (_is_address(text) and ipaddress.ip_network(text, strict=False).is_loopback)
