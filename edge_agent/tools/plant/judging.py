"""What a worker does: judge one chunk. Everything it needs comes with the chunk, or lies where every worker sees it.

A worker keeps what it loaded: a bundle is proven and warmed up once in a process. ONNX Runtime has one thread here, for
the processes are as many as the cores; what is computed does not hang on it (docs/decisions/0061).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.golden import golden_of
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.tools.plant.sources import open_source
from edge_agent.tools.plant.versions import check_versions, versions
from edge_agent.tools.replay.image import Judged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.tools.plant.sources import Source

__all__ = ["BundleAt", "Chunk", "JudgedChunk", "carried", "judge_chunk"]

carried: dict[str, Path] = {}
"""Where this process has the bundles that came by their content, by their ids."""
_source = lru_cache(4)(open_source)
_one_at_a_time = threading.Lock()
"""A worker that was started with several threads judges one image at a time all the same."""


@dataclass(frozen=True, slots=True)
class BundleAt:
    """The bundle of that ``id``: as it was carried here, else in the first of these ``folders`` that has it."""

    id: str
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Images of a source by name, each with the number of the bundle that judges it.

    ``versions`` are the client's: a worker that came later was not asked for its own.
    """

    number: int
    source: str
    bundles: tuple[BundleAt, ...]
    images: tuple[tuple[str, int], ...]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class JudgedChunk:
    """The rows of a chunk (``Judged.to_row``) in its order. ``proof`` is the arithmetic of the machine, as a hash."""

    number: int
    rows: list[dict[str, Any]]
    proof: str


def judge_chunk(chunk: Chunk) -> JudgedChunk:
    """Judge the images of a chunk.

    Raises Unavailable on a worker of other versions, BundleRejected, DataError, and OSError for an image that cannot be
    read.
    """
    check_versions("a worker", versions(), chunk.versions)
    with _one_at_a_time:
        source = _source(chunk.source)
        loaded = [_inspector(bundle) for bundle in chunk.bundles]
        rows = [_judged(source, name, loaded[which][0]) for name, which in chunk.images]
        proof = hashlib.sha256(" ".join(proof for _, proof in loaded).encode()).hexdigest()
        return JudgedChunk(chunk.number, rows, proof)


def _judged(source: Source, name: str, inspector: Inspector) -> dict[str, Any]:
    found = inspector.inspect(source.read(name))
    return Judged(Path(name), found.image_sha256, found).to_row()


@lru_cache(16)
def _inspector(wanted: BundleAt) -> tuple[Inspector, str]:
    """The inspector of a bundle, proven and warm, and the bits that this machine computes with it, as a hash."""
    inspector = Inspector(_bundle(wanted), threads=1)
    inspector.warm_up()
    golden = golden_of(inspector.bundle, inspector.inspect)
    return inspector, hashlib.sha256(golden.to_bytes()).hexdigest()


def _bundle(wanted: BundleAt) -> Bundle:
    said = []
    for folder in filter(None, (carried.get(wanted.id), *map(Path, wanted.folders))):
        if not folder.is_dir():
            said.append(f"{folder} is not there")
            continue
        bundle = Bundle.load(folder)
        if bundle.id == wanted.id:
            return bundle
        said.append(f"{folder} has bundle {bundle.id[:12]}")
    raise BundleRejected(
        f"a worker has no bundle {wanted.id[:12]}: {'; '.join(said)}", hint="was the bundle changed meanwhile?"
    )
