"""A signed bundle into the fleet: proven whole and copied, before it is offered to any line."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edge_agent.errors import BundleRejected, UsageError
from edge_agent.fleet.bundles import folder_of
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.signature import SIGNATURE

__all__ = ["bring_in"]


def bring_in(fleet: Path, folder: Path) -> Bundle:
    """Prove a bundle whole and copy it in. Raises BundleRejected, also for one that nobody signed; UsageError, OSError.

    Whose signature it is, each line judges for itself.
    """
    bundle = Bundle.load(folder)
    if bundle.signature is None:
        raise UsageError(f"{folder}: nobody signed it, and no line takes it then", hint="edge-agent bundle sign FOLDER")
    place = folder_of(fleet, bundle.id)
    if place.is_dir():
        shutil.copyfile(bundle.folder / SIGNATURE, place / SIGNATURE)
        return bundle
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".incoming-", dir=place.parent))
    try:
        for name in (MANIFEST, SIGNATURE, *bundle.manifest["files"]):
            shutil.copyfile(bundle.folder / name, part / name)
        if Bundle.load(part).id != bundle.id:
            raise BundleRejected(f"{folder} was changed while it was copied")
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return bundle
