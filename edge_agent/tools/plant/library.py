"""The libraries of the extra ``plant``: are they there?"""

from __future__ import annotations

from importlib.util import find_spec

from edge_agent.errors import Unavailable

__all__ = ["need_libraries"]

_NEEDED = ("dask", "distributed", "fsspec", "pyarrow")


def need_libraries(what: str = "replay") -> None:
    """Raise Unavailable where one of them is not installed. Imports nothing of them."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise Unavailable(
            f"a {what} by several processes needs {', '.join(missing)}, which is not installed",
            hint="pip install 'edge-agent[plant]', or leave --workers and --scheduler out",
        )
