"""The limit of a line's bundle, moved by a person who signs for it: a new bundle, used from the next start."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.limits.relimit import relimited, write_relimited
from edge_agent.bundles.line_bundles import check_place, load_bundle, proven
from edge_agent.bundles.prospect import NEXT_START, LimitWish, Prospect, _check_words, foresee
from edge_agent.errors import DataError, UsageError
from edge_agent.inspection.bundle.limit_changes import LimitChange
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.inspection.bundle.registry import activate
from edge_agent.runtime.claim import claimed_limits

if TYPE_CHECKING:
    from edge_agent.bundles.signing import SigningKey
    from edge_agent.settings import Settings

__all__ = ["LimitMoved", "move_limit"]


@dataclass(frozen=True, slots=True)
class LimitMoved:
    """What was done: the new bundle, where it lies, and the words for the journal. ``is_active``: it was activated."""

    bundle_id: str
    folder: Path
    change: LimitChange
    place: str
    is_active: bool
    signed: str

    @property
    def detail(self) -> str:
        """What the journal's event says of it: place, change, bundle, folder, and when it takes effect."""
        signed = f"; {self.signed}" if self.signed else ""
        return f"{self.place}: {self.change}; {self.bundle_id} in {self.folder}{signed}; {NEXT_START}"


def move_limit(
    settings: Settings,
    wish: LimitWish,
    *,
    key: SigningKey | None = None,
    out: Path | None = None,
    prospect: Prospect | None = None,
) -> LimitMoved:
    """Make the bundle with that limit and put it to use; with ``out`` it is only written there, to be signed elsewhere.

    Takes seconds: it is proven on this PC as every bundle is. ``prospect`` is what the person was told; where another
    bundle is in use by now, or another defect is known, nothing is done. The journal's event is the caller's. Raises
    DataError where known defects would pass and nobody said although, AlreadyRunning while another limit of this line
    is being moved, UsageError, BundleRejected, OSError.
    """
    _check_words(wish)
    with claimed_limits(settings.store.journal):
        told = foresee(settings, wish)  # now that nobody else moves one: what was told before may have changed
        if prospect is not None and prospect.bundle_id != told.bundle_id:
            raise UsageError("another bundle was activated meanwhile", hint="look again what the limit would do")
        seen = wish.told if prospect is None else prospect.defects_digest
        return _moved(settings, replace(wish, told=seen), told, key, out)


def _moved(settings: Settings, wish: LimitWish, told: Prospect, key: SigningKey | None, out: Path | None) -> LimitMoved:
    if told.refusal and not wish.although_known_defects_pass:
        raise DataError(
            told.refusal, hint="say --although-known-defects-pass if they shall; it will stand in the bundle"
        )
    if told.refusal and wish.told and wish.told != told.defects_digest:
        raise DataError(f"what is known has changed meanwhile: {told.refusal}", hint="look again, and decide again")
    if settings.trusted_keys and key is None and out is None:
        raise UsageError(
            "line.toml asks for bundles that a trusted key signed, and the new limit makes another bundle of it",
            hint="--key KEYFILE signs it here; or --out FOLDER only writes it: sign it where the key is "
            "(edge-agent bundle sign), then edge-agent bundle activate FOLDER",
        )
    entry, parent = told.entry, load_bundle(settings, told.entry.path)
    check_place(entry, parent)
    if parent.id != told.bundle_id:
        raise UsageError("another bundle was activated meanwhile", hint="look again what the limit would do")
    change = LimitChange(
        told.bundle_id,
        told.new.before,
        wish.to,
        wish.by.strip(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        wish.why.strip(),
        told.known_defects,
    )
    manifest = relimited(told.manifest, told.new, change)
    place = f"program {entry.program}, camera {entry.camera}"
    if out is not None:
        if out.exists():
            raise UsageError(f"{out} exists already", hint="name another folder")
        bundle_id = write_relimited(parent.folder, out, manifest)
        signed = "" if key is None else _signed(out, key, change.by)
        return LimitMoved(bundle_id, out, change, place, is_active=False, signed=signed)
    with tempfile.TemporaryDirectory(prefix=".relimit-", dir=_beside(entry.path)) as folder:
        made = Path(folder) / "bundle"
        bundle_id = write_relimited(parent.folder, made, manifest)
        signed = "" if key is None else _signed(made, key, change.by)
        because = f"limit {change.limit:.6g} -> {change.to:.6g}: {change.why}"
        switch = activate(
            entry.path, made, by=change.by, why=because, prove=proven(settings, entry), instead_of=told.bundle_id
        )
    return LimitMoved(bundle_id, entry.path / switch.folder, change, place, is_active=True, signed=signed)


def _signed(folder: Path, key: SigningKey, by: str) -> str:
    from edge_agent.bundles.signing import sign_bundle  # noqa: PLC0415 - most lines have no signature: as in signature.py

    return str(sign_bundle(folder, key, by))


def _beside(path: Path) -> Path:
    """Where a new bundle is made: on the same disk, and not where a plain bundle is about to be moved."""
    return path.parent if (path / MANIFEST).exists() else path
