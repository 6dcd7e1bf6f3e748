"""The bundle's manifest.json: written once at calibration, proven at every load."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from edge_agent.errors import BundleRejected
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.inspection.bundle.manifest_rules import broken_rule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "FILES",
    "MANIFEST",
    "OPTIONAL_FILES",
    "SCHEMA_VERSION",
    "Section",
    "encode_manifest",
    "manifest_id",
    "read_manifest",
]

MANIFEST = "manifest.json"
FILES = ("reference.png", "cpcae.onnx", "backbone.onnx", "bank.npz", "golden.npz")
OPTIONAL_FILES = frozenset({"fine.onnx", "mask.png", "part.png", "shown.png"})
SCHEMA_VERSION = 2

_REMAKE = "calibrate again, or copy the whole folder again from where it was made"
_MOST_BYTES = 16 << 20
"""A hundred thousand good images take as much."""
_NOT_IN_ID = frozenset({"id", "created"})


def manifest_id(manifest: Mapping[str, Any]) -> str:
    """The bundle's id: sha256 of the manifest, which holds the files' sha256, without ``created`` and ``id``."""
    content = {key: value for key, value in manifest.items() if key not in _NOT_IN_ID}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
    """The file's bytes, with the id in them."""
    whole = {"id": manifest_id(manifest), **{k: v for k, v in manifest.items() if k != "id"}}
    return (json.dumps(whole, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()


def read_manifest(folder: Path) -> Section:
    """The manifest of a bundle folder: schema, id and the bounds of every value proven. Raises BundleRejected."""
    path = folder / MANIFEST
    try:
        manifest = Section(strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES), str(path))
    except OSError as err:
        hint = "name the folder that edge-agent calibrate-reference wrote: it holds manifest.json"
        raise BundleRejected(f"{path} cannot be read: {err.strerror or err}", hint=hint) from err
    except ValueError as err:
        raise BundleRejected(f"{path} is no manifest: {err}", hint=_REMAKE) from err
    schema = manifest.integer("schema_version")
    if schema != SCHEMA_VERSION:
        raise BundleRejected(
            f"{path} has schema_version {schema}, this program reads {SCHEMA_VERSION}",
            hint="calibrate again with this version of edge-agent",
        )
    found = manifest_id(manifest.content)
    if manifest.text("id") != found:
        raise BundleRejected(
            f"{path} was altered: its id is {manifest.text('id')}, its content's {found}", hint=_REMAKE
        )
    if broken := broken_rule(manifest.content):
        raise BundleRejected(f"{path}: {broken}", hint=_REMAKE)
    return manifest


class Section:
    """A JSON object whose values are asked for by type. A wrong one raises BundleRejected and names the key."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise BundleRejected(f"{where} is not an object", hint=_REMAKE)
        self.content: dict[str, Any] = content
        self._where = where

    def section(self, key: str) -> Section:
        """The object under this key, as a section of its own. Raises BundleRejected for anything else."""
        return Section(self._get(key), f"{self._where}: {key}")

    def text(self, key: str) -> str:
        """The text under this key. Raises BundleRejected for anything else."""
        value = self._get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def integer(self, key: str) -> int:
        """The whole number under this key. Raises BundleRejected for anything else."""
        value = self._get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "a whole number")
        return value

    def number(self, key: str) -> float:
        """The number under this key, with or without a point. Raises BundleRejected for anything else."""
        value = self._get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(key, "a number")
        return float(value)

    def integers(self, key: str, length: int) -> tuple[int, ...]:
        """A list of that many whole numbers."""
        value = self._get(key)
        if not isinstance(value, list) or len(value) != length or not all(type(v) is int for v in value):
            raise self._wrong(key, f"a list of {length} whole numbers")
        return tuple(value)

    def _get(self, key: str) -> object:
        if key not in self.content:
            raise BundleRejected(f"{self._where}: {key} is missing", hint=_REMAKE)
        return self.content[key]

    def _wrong(self, key: str, expected: str) -> BundleRejected:
        return BundleRejected(f"{self._where}: {key} is not {expected}: {self.content[key]!r:.80}", hint=_REMAKE)
