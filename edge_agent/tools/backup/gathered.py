"""What of a line goes into a backup, and which secrets do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_agent.errors import DataError
from edge_agent.inspection.bundle.manifest import MANIFEST, read_manifest
from edge_agent.inspection.bundle.registry import POINTER, before, bundle_in_use, find, switches
from edge_agent.inspection.bundle.signature import SIGNATURE
from edge_agent.store.kept import closed_journals, kept_files
from edge_agent.tools.backup.contents import LINE_TOML

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge_agent.settings import Settings

__all__ = ["bundle_files", "closed_files", "left_out", "other_files"]


def other_files(settings: Settings, config: Path) -> dict[str, Path]:
    """line.toml and the kept files beside the journal, by their names in the backup."""
    return {LINE_TOML: config} | {f"state/{path.name}": path for path in kept_files(settings.store.journal)}


def closed_files(journal: Path) -> dict[str, Path]:
    """The journals that were rotated away, by their names in the backup."""
    return {f"journal/closed/{path.name}": path for path in closed_journals(journal)}


def bundle_files(settings: Settings, judged: Iterable[str]) -> dict[str, Path]:
    """The files of each [[bundle]]: in use, the one before it, and those with an id that ``judged`` names.

    Raises BundleRejected where the one in use cannot be read.
    """
    found: dict[str, Path] = {}
    seen: set[Path] = set()
    for entry in settings.bundle:
        at = f"bundles/{entry.program}-{entry.camera}"
        if entry.path in seen:
            continue  # one path for two places: brought once
        seen.add(entry.path)
        if (entry.path / MANIFEST).exists():
            found |= _files(at, entry.path)
            continue
        in_use, _ = bundle_in_use(entry.path)
        history = switches(entry.path)
        last = before(history)
        also = [find(entry.path, bundle_id) for bundle_id in sorted(judged)]
        folders = {in_use, *([entry.path / last.folder] if last else []), *filter(None, also)}
        found[f"{at}/{POINTER}"] = entry.path / POINTER
        for folder in sorted(folders):
            # The one in use has to be there; of the others what is gone was removed by somebody.
            if folder == in_use or (folder / MANIFEST).exists():
                found |= _files(f"{at}/{folder.name}", folder)
    return found


def left_out(settings: Settings) -> dict[str, str]:
    """Each file or folder with a secret, or a certificate, that line.toml names: by its key, with its path."""
    return dict(sorted(_secrets("", settings.model_dump(mode="json"))))


def _files(at: str, folder: Path) -> dict[str, Path]:
    names = [MANIFEST, *read_manifest(folder).section("files").content]
    if (folder / SIGNATURE).exists():
        names.append(SIGNATURE)
    for name in names:
        if "/" in name or name in ("", ".", ".."):
            raise DataError(f"{folder}: {name!a} is no file of a bundle", hint="edge-agent bundle list shows all")
    return {f"{at}/{name}": folder / name for name in sorted(names)}


def _secrets(at: str, value: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(value, dict):
        return
    for name, below in value.items():
        key = f"{at}{name}"
        if isinstance(below, str) and (name.endswith("_file") or name == "trusted_clients"):
            yield key, below
        yield from _secrets(f"{key}.", below)
