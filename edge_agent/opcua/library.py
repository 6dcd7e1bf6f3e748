"""The OPC UA library, an extra: is it there?"""

from __future__ import annotations

from importlib.util import find_spec

from edge_agent.errors import Unavailable

__all__ = ["need_library"]


def need_library() -> None:
    """Raise Unavailable where the OPC UA library is not installed. Imports nothing of it."""
    if find_spec("asyncua") is None:
        raise Unavailable(
            "line.toml has [opcua], and the OPC UA library is not installed",
            hint="pip install 'edge-agent[opcua]', or remove [opcua] from line.toml",
        )
