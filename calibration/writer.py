"""Writes a reference bundle: whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge_agent.errors import CalibrationRefused
from edge_agent.inspection.bundle.manifest import FILES, MANIFEST, OPTIONAL_FILES, encode_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.scoring.knn import standardisation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.memory.view_memory import ViewMemory
    from edge_agent.inspection.scoring.typical_distances import TypicalDistances

__all__ = ["bank_bytes", "check_target", "local_bank_bytes", "png_bytes", "view_bank_bytes", "write_bundle"]


def check_target(out: Path, *, overwrite: bool) -> None:
    """Raise CalibrationRefused where a bundle cannot be written. Only a bundle is ever replaced."""
    if out.exists() and not overwrite:
        raise CalibrationRefused(f"{out} exists already", hint="name another folder, or ask to overwrite it")
    if out.exists() and not (out / MANIFEST).is_file():
        raise CalibrationRefused(f"{out} exists and is not a bundle", hint="name another folder")
    if not out.parent.is_dir():
        raise CalibrationRefused(f"{out.parent} is not a folder", hint=f"make it first: mkdir -p {out.parent}")
    if not os.access(out.parent, os.W_OK):
        raise CalibrationRefused(f"{out.parent} is not writable", hint="name another folder, or change its permissions")


def write_bundle(out: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> str:
    """Write the folder beside its place and move it there; returns the bundle's id.

    ``manifest`` gets the files' sha256. What does not load is not moved there (BundleRejected). A crash leaves the old
    bundle or none, never half of one. Raises ValueError for other files than a bundle has.
    """
    if set(files) - OPTIONAL_FILES != set(FILES):
        raise ValueError(f"a bundle has the files {FILES}, not {sorted(files)}")
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in files}
    encoded = encode_manifest({**manifest, "files": hashes})
    with _beside(out) as folder:
        for name, data in {**files, MANIFEST: encoded}.items():
            with (folder / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync(folder)
        bundle_id = Bundle.load(folder).id
        _replace(folder, out)
    return bundle_id


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """A lossless PNG of grey (H, W) or RGB (H, W, 3). Raises ValueError for what does not encode."""
    ok, encoded = cv2.imencode(".png", image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1]))
    if not ok:
        raise ValueError(f"an image of shape {image.shape} does not encode as PNG")
    return encoded.tobytes()


def bank_bytes(embeddings: NDArray[np.float32], depths: Sequence[int]) -> bytes:
    """The bank's file: embeddings (n, d) float32 of these ``depths``, their mean and scale (d) float64."""
    mean, scale = standardisation(embeddings, depths)
    buffer = io.BytesIO()
    np.savez(buffer, embeddings=embeddings, mean=mean, scale=scale)
    return buffer.getvalue()


def local_bank_bytes(channels: Mapping[str, tuple[NDArray[np.float16], NDArray[np.float32]]]) -> bytes:
    """The local bank's file: of each channel features (n, h, w, d) float16 and the projection (d, d) float32."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, (features, projection) in channels.items():
        arrays |= {f"{name}_features": features, f"{name}_projection": projection}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def view_bank_bytes(views: Mapping[str, tuple[ViewMemory, TypicalDistances]]) -> bytes:
    """The bank file of the mean of views.

    Of each view: the stored parts' ``features`` (m, K, d) float16 at the K places around those that count, ``places``
    (h, w) 1 where they do, the ``projection`` (d, r), ``usual`` and ``spread`` (P) float32. Free of the place the
    features are from anywhere, and what is usual stands in the manifest.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, (memory, usual) in views.items():
        arrays |= {
            f"{name}_features": memory.stored,
            f"{name}_places": memory.places.astype(np.float16),
            f"{name}_projection": memory.projection,
        }
        if memory.is_tied:
            arrays |= {f"{name}_usual": usual.usual, f"{name}_spread": usual.spread}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, out: Path) -> None:
    """Move ``folder`` to ``out``. An old bundle there steps aside first: folders cannot be swapped in one call."""
    if not out.exists():
        folder.rename(out)
    else:
        with _beside(out) as aside:
            out.rename(aside / "old")
            try:
                folder.rename(out)
            except OSError:
                (aside / "old").rename(out)
                raise
    _sync(out.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
