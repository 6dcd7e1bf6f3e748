"""A bundle that goes to the workers by its content: those of other machines do not see the client's folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin

from edge_agent.tools.plant import judging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.inspection.bundle.reference_bundle import Bundle

__all__ = ["CarriedBundle"]


class CarriedBundle(WorkerPlugin):
    """The files of one bundle; a worker writes them into its own folder when it begins, or when this one comes.

    What comes is proven as any bundle is, and its id has to be the one that was asked for.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Read the bundle's files. Raises OSError."""
        self.name = f"edge-agent-bundle-{bundle.id}"
        self._id = bundle.id
        self._files: Mapping[str, bytes] = {
            path.name: path.read_bytes() for path in sorted(bundle.folder.iterdir()) if path.is_file()
        }

    def setup(self, worker: Any) -> None:
        """Called in the worker's process."""
        folder = Path(worker.local_directory) / "edge-agent-bundles" / self._id
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self._files.items():
            (folder / name).write_bytes(data)
        judging.carried[self._id] = folder
