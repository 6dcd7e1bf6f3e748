"""The versions that a verdict hangs on: those of client and workers have to be the same."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from edge_agent.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_versions", "versions"]

_ARITHMETIC = ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "scipy")
"""What decides about bits: a worker that has another version of one of them is refused."""


def versions() -> dict[str, str]:
    """Those of this process."""
    return {name: version(name) for name in _ARITHMETIC}


def check_versions(worker: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> None:
    """Raise Unavailable where a worker has not the client's versions."""
    for name, number in ours.items():
        if theirs.get(name) != number:
            raise Unavailable(
                f"{worker} has {name} {theirs.get(name)}, this machine has {number}: their verdicts may differ",
                hint="install the same versions on all machines",
            )
