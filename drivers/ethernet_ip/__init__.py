"""EtherNet/IP: a block of words in tags of a Rockwell ControlLogix or CompactLogix."""

from __future__ import annotations

from drivers.ethernet_ip.connection import EthernetIpConnection, Tags

__all__ = ["EthernetIpConnection", "Tags"]
