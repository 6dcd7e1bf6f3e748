"""What a replay is of: which images, which bundles, which versions. Written before the first image is judged.

``images.jsonl`` has an image a line, in the order of their names; a chunk is so many lines of it. ``replay.json`` has
everything else. Whoever goes on with a replay finds both again, or is told what differs.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, Self

from edge_agent.errors import DataError, UsageError
from edge_agent.store.fs import write_durably
from edge_agent.tools.plant.sources import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge_agent.tools.plant.sources import Source

__all__ = ["HEAD", "IMAGES", "Plan", "chunk_entries", "list_images", "planned"]

HEAD, IMAGES = "replay.json", "images.jsonl"
_SCHEMA_VERSION = 1
_ELSEWHERE = "name another folder with --out"
_LEAST, _MOST = 64, 5000
_CHUNKS = 1000
"""Chunks that a replay is cut into, where nobody says how large they are and that makes them neither tiny nor huge."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay: ``images`` images of ``source`` in chunks of ``per_chunk``. ``bundles`` are ids by program/camera."""

    source: str
    images: int
    per_chunk: int
    images_sha256: str
    bundles: Mapping[str, str]
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.images // self.per_chunk)

    @property
    def mark(self) -> str:
        """What the names of this replay's files end in: another replay has another one."""
        told = {key: value for key, value in asdict(self).items() if key != "notes"}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def size(self, chunk: int) -> int:
        """How many images a chunk has."""
        return min(self.per_chunk, self.images - chunk * self.per_chunk)

    def to_bytes(self) -> bytes:
        """The content of ``replay.json``."""
        facts = {"schema_version": _SCHEMA_VERSION, **asdict(self), "mark": self.mark}
        return json.dumps(facts, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The plan of a folder; None where none was made. Raises DataError for what is no plan of this version."""
        path = folder / HEAD
        if not path.exists():
            return None
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            version, mark = facts.pop("schema_version"), facts.pop("mark")
            plan = cls(**{**facts, "notes": tuple(facts["notes"])})
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise DataError(f"{path} is no replay to go on with: {err}", hint=_ELSEWHERE) from err
        if version != _SCHEMA_VERSION or mark != plan.mark:
            raise DataError(f"{path} was made by another version, or changed", hint=_ELSEWHERE)
        return plan


def list_images(source: Source, path: Path) -> tuple[int, str]:
    """Write the list of a source's images; how many there are, and the list's sha256. Raises DataError, OSError."""
    number, sha256 = 0, hashlib.sha256()
    with path.open("wb") as file:
        for entry in source.entries():
            number += 1
            line = json.dumps([entry.name, entry.size_bytes, entry.stamp], ensure_ascii=False).encode() + b"\n"
            sha256.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return number, sha256.hexdigest()


def planned(
    source: Source, folder: Path, bundles: Mapping[str, str], versions: Mapping[str, str], per_chunk: int | None
) -> tuple[Plan, bool]:
    """The plan of this folder, and whether it was there before.

    Raises DataError where there are no images, or where the folder has the plan of another replay: it says what
    differs. Raises UsageError for chunks of another size than they were.
    """
    before, new = Plan.read(folder), folder / f"{IMAGES}.new"
    number, sha256 = list_images(source, new)
    if not number:
        new.unlink()
        raise DataError(f"{source.address} holds no images", hint="PNG, BMP or JPEG files are read")
    size = per_chunk or (before.per_chunk if before else min(_MOST, max(_LEAST, number // _CHUNKS)))
    plan = Plan(source.address, number, size, sha256, dict(bundles), dict(versions), source.notes)
    if before is None:
        new.replace(folder / IMAGES)
        write_durably(folder / HEAD, plan.to_bytes())
        return plan, False
    try:
        if problem := _differs(before, plan, folder / IMAGES, new):
            raise DataError(
                f"{folder} has another replay: {problem}",
                hint="name another folder with --out, or give this one back what it had",
            )
        if before.per_chunk != size:
            raise UsageError(
                f"{folder} was begun in chunks of {before.per_chunk} images", hint="leave out --chunk to go on"
            )
        new.replace(folder / IMAGES)  # the same list, and certainly whole
    finally:
        new.unlink(missing_ok=True)
    return before, True


def _differs(before: Plan, now: Plan, old: Path, new: Path) -> str:
    """What is not as it was; empty where nothing is."""
    if before.source != now.source:
        return f"it is of {before.source}, not of {now.source}"
    for place in sorted({*before.bundles, *now.bundles}):
        was, judges = before.bundles.get(place, "none"), now.bundles.get(place, "none")
        if was != judges:
            return f"for program/camera {place} bundle {was[:12]} judged, now it is {judges[:12]}"
    for name in sorted({*before.versions, *now.versions}):
        was, judges = before.versions.get(name, "none"), now.versions.get(name, "none")
        if was != judges:
            return f"it was begun with {name} {was}, this is {judges}: their verdicts may differ"
    if before.images_sha256 != now.images_sha256:
        return f"the images are not those that they were: {_first_difference(old, new)}"
    return ""


def _first_difference(old: Path, new: Path) -> str:
    with old.open("rb") as was, new.open("rb") as now:
        for one, other in zip_longest(was, now):
            if one != other:
                return f"the first that differs was {_told(one)} and is {_told(other)} (name, bytes, changed)"
    return "the list itself was changed"


def _told(line: bytes | None) -> str:
    return "none" if line is None else line.decode("utf-8", "replace").strip()


def chunk_entries(folder: Path, plan: Plan) -> Iterator[tuple[int, list[Entry]]]:
    """The chunks with their images, one after the other. Raises DataError where the list is not the plan's."""
    sha256 = hashlib.sha256()
    with (folder / IMAGES).open("rb") as file:
        for chunk in range(plan.chunks):
            lines = list(islice(file, plan.per_chunk))
            for line in lines:
                sha256.update(line)
            yield chunk, [Entry(*json.loads(line)) for line in lines]
    if sha256.hexdigest() != plan.images_sha256:
        raise DataError(f"{folder / IMAGES} was changed", hint=_ELSEWHERE)
