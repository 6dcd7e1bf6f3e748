"""The versions that a verdict, or a bundle, hangs on: those of client and workers have to be the same."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from edge_agent.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CALIBRATION", "VERDICT", "check_versions", "versions"]

VERDICT = ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "pillow", "scipy")
"""What decides about the bits of a verdict: a worker that has another version of one of them is refused."""
CALIBRATION = (*VERDICT, "onnx", "torch")
"""The same of a bundle."""


def versions(packages: Iterable[str] = VERDICT) -> dict[str, str]:
    """Those of this process; "none" of what is not installed."""
    return {name: _version(name) for name in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def check_versions(worker: str, theirs: Mapping[str, str] | Exception, ours: Mapping[str, str]) -> None:
    """Raise Unavailable where a worker has not the client's versions, or could not say its own."""
    if isinstance(theirs, Exception):
        raise Unavailable(
            f"{worker} cannot work for edge-agent: {theirs}",
            hint="install edge-agent with the same extras and versions on all machines",
        )
    for name, number in ours.items():
        if theirs.get(name) != number:
            raise Unavailable(
                f"{worker} has {name} {theirs.get(name)}, this machine has {number}: what they find may differ",
                hint="install the same versions on all machines, for a calibration with the extra calibrate",
            )
