"""Which of several bundles is in use: one small file, replaced in one step, with every switch that there ever was.

``[[bundle]] path`` may name a bundle, or a registry: a folder of bundles and ``active.json``. The file names the folder
in use by its bundle's id as well, so a folder whose content was exchanged is not what was activated. It holds the
switches oldest first; the last one says what is in use now, and a rollback is a switch too.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_agent.errors import BundleRejected, UsageError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.inspection.bundle.manifest import MANIFEST, Section, read_manifest
from edge_agent.inspection.bundle.signature import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "POINTER",
    "Switch",
    "activate",
    "before",
    "brought",
    "bundle_in_use",
    "bundles_in",
    "find",
    "rollback",
    "switches",
]

POINTER = "active.json"
_SCHEMA_VERSION = 1
_LONGEST_TEXT = 200
_MOST_BYTES = 16 << 20
"""Twenty thousand switches, with the longest names and reasons."""
_ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch: who put which bundle to use, when (UTC, a label) and why."""

    what: Literal["activate", "rollback"]
    folder: str
    bundle_id: str
    by: str
    at_utc: str
    why: str

    def __str__(self) -> str:
        because = f": {self.why}" if self.why else ""
        done = "activated" if self.what == "activate" else "gone back to"
        return f"{self.folder} {self.bundle_id[:_ID_DIGITS]} {done} by {self.by} at {self.at_utc}{because}"


def bundle_in_use(path: Path) -> tuple[Path, str | None]:
    """The bundle's folder for a ``[[bundle]] path``, and the id that it must have (None where nothing pins it).

    Raises BundleRejected for a registry in which nothing is active: the newest bundle is never taken by itself.
    """
    if (path / MANIFEST).exists() or not path.is_dir():
        return path, None
    history = switches(path)
    if not history:
        raise BundleRejected(
            f"{path} holds bundles, and none of them is active"
            if bundles_in(path)
            else f"{path} holds no bundle: no {MANIFEST}, neither there nor in a folder of it",
            hint="edge-agent bundle activate FOLDER --config line.toml",
        )
    return path / history[-1].folder, history[-1].bundle_id


def bundles_in(registry: Path) -> list[Path]:
    """The folders in a registry that have a manifest, by name. They are not proven."""
    return sorted(m.parent for m in registry.glob(f"*/{MANIFEST}") if not m.parent.name.startswith("."))


def find(path: Path, bundle_id: str) -> Path | None:
    """The folder of a bundle with this id at a ``[[bundle]] path``: in use or not. None where there is none."""
    for folder in (path, *bundles_in(path)):
        try:
            if read_manifest(folder).text("id") == bundle_id:
                return folder
        except BundleRejected:
            continue
    return None


def switches(registry: Path) -> list[Switch]:
    """Every switch, oldest first; empty where there never was one. Raises BundleRejected for a damaged file."""
    path = registry / POINTER
    try:
        content = strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as err:
        raise BundleRejected(f"{path} cannot be read: {err}", hint="activate a bundle again") from err
    section = Section(content, str(path))
    if section.integer("schema_version") != _SCHEMA_VERSION or not isinstance(section.content.get("switches"), list):
        raise BundleRejected(f"{path} is of another version", hint="use the edge-agent that wrote it")
    return [_switch(Section(entry, f"{path}: switches")) for entry in section.content["switches"]]


def activate(
    registry: Path, folder: Path, *, by: str, why: str, prove: Callable[[Path], str], instead_of: str | None = None
) -> Switch:
    """Put a bundle to use: copied into the registry unless it lies there, proven there, then one atomic switch.

    ``prove`` loads a bundle and returns its id, or raises BundleRejected: then nothing has changed. A plain bundle at
    ``registry`` becomes a registry's first one. Raises UsageError if it is in use already, or if the bundle in use has
    another id than ``instead_of``: somebody switched meanwhile.
    """
    # Before anything is touched: what cannot be loaded leaves the registry as it was.
    prove(folder)
    registry.parent.mkdir(parents=True, exist_ok=True)
    with _held(registry):
        registry.mkdir(exist_ok=True)
        if instead_of is not None and (found := _id_in_use(registry)) != instead_of:
            raise UsageError(
                f"bundle {found[:_ID_DIGITS]} is in use at {registry} now, not {instead_of[:_ID_DIGITS]}: somebody "
                "switched meanwhile",
                hint="look at the one that is in use, and decide again: edge-agent bundle list",
            )
        if (registry / MANIFEST).exists():
            _make_registry(registry, by)
        inside = registry / folder.name if folder.absolute() == registry.absolute() else folder
        if inside.absolute().parent != registry.absolute():
            inside = _brought_in(registry, folder)
        bundle_id, history = prove(inside), switches(registry)
        if history and (history[-1].folder, history[-1].bundle_id) == (inside.name, bundle_id):
            raise UsageError(f"{inside} is in use already")
        return _write(registry, history, Switch("activate", inside.name, bundle_id, *_signed(by, why)))


def rollback(registry: Path, *, by: str, why: str, prove: Callable[[Path], str]) -> Switch:
    """Go back to the bundle that was in use before the one in use now. Raises UsageError if there was none.

    Raises BundleRejected if that one is not what it was then: nothing has changed.
    """
    if not registry.is_dir():
        raise UsageError(f"{registry} is not there", hint="see [[bundle]] path in line.toml")
    with _held(registry):
        history = switches(registry)
        target = before(history)
        if target is None:
            raise UsageError(f"{registry}: there is no bundle to go back to", hint="edge-agent bundle list shows all")
        found = prove(registry / target.folder)
        if found != target.bundle_id:
            raise BundleRejected(
                f"{registry / target.folder} is bundle {found[:_ID_DIGITS]} now, and was "
                f"{target.bundle_id[:_ID_DIGITS]} when it was in use"
            )
        return _write(registry, history, Switch("rollback", target.folder, target.bundle_id, *_signed(by, why)))


def before(history: Sequence[Switch]) -> Switch | None:
    """The switch that a rollback would lead back to; None where there is none."""
    stack = _standing(history)
    return stack[-2] if len(stack) > 1 else None


def brought(history: Sequence[Switch]) -> Switch | None:
    """The activation by which the bundle in use is in use, also where a rollback led back to it; None: no switch."""
    stack = _standing(history)
    return stack[-1] if stack else None


def _standing(history: Sequence[Switch]) -> list[Switch]:
    stack: list[Switch] = []
    for switch in history:
        # A rollback takes the last activation back, so that a second one leads to the bundle before that and not
        # forward again.
        stack = stack[:-1] if switch.what == "rollback" else [*stack, switch]
    return stack


def _id_in_use(registry: Path) -> str:
    folder, pinned = bundle_in_use(registry)
    return pinned or read_manifest(folder).text("id")


def _switch(section: Section) -> Switch:
    what, folder = section.text("what"), section.text("folder")
    if what not in ("activate", "rollback") or folder != Path(folder).name or folder in ("", ".", ".."):
        raise BundleRejected(f"{POINTER}: {what} of {folder!r} is no switch", hint="activate a bundle again")
    return Switch(
        "activate" if what == "activate" else "rollback",
        folder,
        section.text("bundle_id"),
        section.text("by"),
        section.text("at_utc"),
        section.text("why"),
    )


def _signed(by: str, why: str) -> tuple[str, str, str]:
    return _text(by), datetime.now(UTC).isoformat(timespec="seconds"), _text(why)


def _text(words: str) -> str:
    """As the file can hold it: a command line may have bytes that are no characters."""
    return words[:_LONGEST_TEXT].encode("utf-8", "replace").decode()


@contextmanager
def _held(registry: Path) -> Iterator[None]:
    """One person at a time. The lock is the parent's: the registry itself may be about to be made."""
    descriptor = os.open(registry.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_registry(bundle: Path, by: str) -> None:
    """Move a bundle into a registry of its own name, in use as it was. A crash between leaves no bundle: no PASS."""
    bundle_id = read_manifest(bundle).text("id")
    folder = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.", dir=bundle.parent))
    folder.chmod(0o755)
    first = Switch("activate", bundle.name, bundle_id, *_signed(by, "it was the only one"))
    _write(folder, [], first)
    bundle.rename(folder / bundle.name)
    folder.rename(bundle)
    _sync(bundle)
    _sync(bundle.parent)


def _brought_in(registry: Path, folder: Path) -> Path:
    manifest = read_manifest(folder)
    words = re.sub(r"[^a-z0-9]+", "-", manifest.text("part").lower()).strip("-") or "bundle"
    day = re.sub(r"[^0-9]", "", manifest.text("created"))[:8]
    place = registry / f"{words[:40]}-{day}-{manifest.text('id')[:8]}"
    if place.exists():
        if read_manifest(place).text("id") != manifest.text("id"):
            raise BundleRejected(
                f"{place} is there already, and is another bundle", hint="rename it, and activate again"
            )
        _bring_signature(folder, place)
        return place
    part = Path(tempfile.mkdtemp(prefix=".incoming-", dir=registry))
    try:
        for source in (MANIFEST, *manifest.section("files").content):
            if source != Path(source).name:
                raise BundleRejected(f"{folder}: {source!r} is no file of a bundle")
            shutil.copyfile(folder / source, part / source)
            (part / source).chmod(0o644)
            _sync(part / source)
        _bring_signature(folder, part)
        part.chmod(0o755)
        _sync(part)
        # Copied under a name that starts with a point, which ``bundles_in`` passes over: a crash in between leaves no
        # half bundle to be chosen.
        part.rename(place)
        _sync(registry)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return place


def _bring_signature(folder: Path, to: Path) -> None:
    """A bundle may be signed after it was copied: then its signature follows it."""
    if not (folder / SIGNATURE).exists():
        return
    descriptor, name = tempfile.mkstemp(prefix=f".{SIGNATURE}.", dir=to)
    os.close(descriptor)
    try:
        shutil.copyfile(folder / SIGNATURE, name)
        Path(name).chmod(0o644)
        _sync(Path(name))
        Path(name).replace(to / SIGNATURE)
    finally:
        Path(name).unlink(missing_ok=True)
    _sync(to)


def _write(registry: Path, history: list[Switch], switch: Switch) -> Switch:
    text = json.dumps(
        {"schema_version": _SCHEMA_VERSION, "switches": [asdict(s) for s in (*history, switch)]}, indent=2
    )
    descriptor, name = tempfile.mkstemp(prefix=f".{POINTER}.", dir=registry)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(registry / POINTER)
    finally:
        Path(name).unlink(missing_ok=True)
    _sync(registry)
    return switch


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
