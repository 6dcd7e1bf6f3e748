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
from edge_agent.store.fs import write_durably

__all__ = ["bring_in"]


def bring_in(fleet: Path, folder: Path) -> Bundle:
    """Prove a bundle whole and copy it in. Raises BundleRejected, also for one that nobody signed; UsageError, OSError.

    Whose signature it is, each line judges for itself.
    """
    bundle = Bundle.load(folder)
    if bundle.signature is None:
        raise UsageError(f"{folder}: nobody signed it, and no line takes it then", hint="edge-agent bundle sign FOLDER")
    place = folder_of(fleet, bundle.id)
    if place.is_dir() and place.samefile(bundle.folder):
        return bundle
    if _is_whole(place, bundle.id):
        write_durably(place / SIGNATURE, (bundle.folder / SIGNATURE).read_bytes())
        return bundle
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".incoming-", dir=place.parent))
    try:
        for name in (MANIFEST, SIGNATURE, *bundle.manifest["files"]):
            write_durably(part / name, (bundle.folder / name).read_bytes())
        if Bundle.load(part).id != bundle.id:
            raise BundleRejected(f"{folder} was changed while it was copied")
        shutil.rmtree(place, ignore_errors=True)  # what a power cut or a disk has left of it
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return bundle


def _is_whole(place: Path, bundle_id: str) -> bool:
    """Whether it is there as it was brought in: lines would refuse another one for good."""
    try:
        return place.is_dir() and Bundle.load(place).id == bundle_id
    except BundleRejected:
        return False
