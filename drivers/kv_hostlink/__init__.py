"""KV host link (upper link) over TCP: a block of data memory DM of a KEYENCE KV."""

from __future__ import annotations

from drivers.kv_hostlink.connection import HostLinkConnection

__all__ = ["HostLinkConnection"]
