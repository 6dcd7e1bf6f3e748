"""Candidate bundles for the tests of shadows: the same bundle with another limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.limits.relimit import new_limit, relimited, write_relimited
from edge_agent.inspection.bundle.limit_changes import LimitChange
from edge_agent.inspection.bundle.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["candidate_of"]


def candidate_of(bundle: Path, folder: Path, limit: float) -> str:
    """Write a bundle into ``folder`` that judges as ``bundle`` does, by another limit; its id."""
    manifest = read_manifest(bundle).content
    new = new_limit(manifest, limit)
    change = LimitChange(
        str(manifest["id"]), new.before, limit, "a test", "2026-11-30T10:00:00+00:00", "a candidate", ()
    )
    return write_relimited(bundle, folder, relimited(manifest, new, change))
