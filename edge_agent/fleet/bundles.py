"""The bundles that a fleet holds: copied in when a person promotes them, sent to lines that they are offered to."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from edge_agent.errors import BundleRejected, UsageError
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.signature import SIGNATURE

__all__ = ["bring_in", "files_of", "folder_of"]


def folder_of(fleet: Path, bundle_id: str) -> Path:
    """Where a bundle lies."""
    return fleet / "bundles" / bundle_id


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


def files_of(fleet: Path, bundle_id: str) -> dict[str, int]:
    """The files of a bundle that is held, with their sizes in bytes; empty where it is not."""
    place = folder_of(fleet, bundle_id)
    return {one.name: one.stat().st_size for one in sorted(place.iterdir())} if place.is_dir() else {}
