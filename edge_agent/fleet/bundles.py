"""The bundles that a fleet holds, as files to be sent to the lines that they are offered to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["files_of", "folder_of"]


def folder_of(fleet: Path, bundle_id: str) -> Path:
    """Where a bundle lies."""
    return fleet / "bundles" / bundle_id


def files_of(fleet: Path, bundle_id: str) -> dict[str, int]:
    """The files of a bundle that is held, with their sizes in bytes; empty where it is not."""
    place = folder_of(fleet, bundle_id)
    return {one.name: one.stat().st_size for one in sorted(place.iterdir())} if place.is_dir() else {}
