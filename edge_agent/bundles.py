"""The bundles of a line: proven for their place in line.toml, listed for a person."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import structlog

from edge_agent.errors import BundleRejected, DataError, Unavailable, UsageError
from edge_agent.inspection.bundle import Bundle
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.manifest import MANIFEST
from edge_agent.inspection.registry import bundles_in, switches

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_agent.inspection.registry import Switch
    from edge_agent.settings import BundleSettings, Settings

__all__ = [
    "BundlePlace",
    "check_place",
    "entry_of",
    "in_use_words",
    "inspector_of",
    "listed",
    "load_inspectors",
    "load_replay",
    "proven",
]

log = structlog.get_logger(__name__)

_WARM_UPS = 5
"""A PC that has just started is busy: one that is never quick enough, in so many, is too slow."""


@dataclass(frozen=True, slots=True)
class BundlePlace:
    """One ``[[bundle]]``: its bundles in words, its switches, and why it cannot be used (empty where it can)."""

    program: int
    camera: int
    path: Path
    bundles: tuple[str, ...]
    history: tuple[Switch, ...]
    problem: str

    def to_json(self) -> dict[str, object]:
        """The object of ``--json``."""
        return {
            "program": self.program,
            "camera": self.camera,
            "path": str(self.path),
            "bundles": list(self.bundles),
            "switches": [asdict(switch) for switch in self.history],
            "problem": self.problem or None,
        }


def load_inspectors(settings: Settings, *, within_ms: float = math.inf) -> dict[tuple[int, int], Inspector]:
    """Load, verify and warm up every [[bundle]], by (program, camera).

    Raises BundleRejected: a line never gets READY on a bundle that is missing, altered or made for another place.
    Raises Unavailable where an inspection takes longer than ``within_ms``: every part would be LATE.
    """
    inspectors = {}
    for entry in settings.bundle:
        bundle = Bundle.load(entry.path)
        check_place(entry, bundle)
        inspector = Inspector(bundle, threads=settings.inference.threads)
        took_ms = _warmed_up(inspector, within_ms)
        log.info("bundle_loaded", path=str(entry.path), bundle_id=bundle.id, inspection_ms=round(took_ms, 1))
        inspectors[entry.program, entry.camera] = inspector
    return inspectors


def _warmed_up(inspector: Inspector, within_ms: float) -> float:
    times_ms: list[float] = []
    while not times_ms or (times_ms[-1] > within_ms and len(times_ms) < _WARM_UPS):
        times_ms.append(inspector.warm_up())
    if times_ms[-1] > within_ms:
        raise Unavailable(
            f"{inspector.bundle.folder}: an inspection takes {min(times_ms):.0f} ms at least here, "
            f"line.deadline_ms allows {within_ms:.0f}",
            hint="see what else runs on this PC; set inference.threads; or give a part more time, if the line does",
        )
    return times_ms[-1]


def load_replay(
    settings: Settings | None, bundle: Path | None, journal: Path | None, threads: int
) -> tuple[dict[tuple[int, int], Inspector], Path | None]:
    """The inspectors, warm, and the journal that a replay uses; what is named on the command line goes first.

    Raises UsageError, BundleRejected: also where this machine computes other values than the one that calibrated.
    """
    if settings is None and bundle is None:
        raise UsageError("nothing to judge with", hint="name line.toml with --config, or a bundle with --bundle")
    if journal is None and settings is not None and settings.store.journal.exists():
        journal = settings.store.journal
    if bundle is not None:
        inspector = Inspector(Bundle.load(bundle), threads=threads)
        inspector.warm_up()
        return {(inspector.bundle.program, inspector.bundle.camera): inspector}, journal
    return load_inspectors(cast("Settings", settings)), journal


def check_place(entry: BundleSettings, bundle: Bundle) -> None:
    """Raise BundleRejected for a bundle that was made for another program or camera."""
    if (bundle.program, bundle.camera) != (entry.program, entry.camera):
        raise BundleRejected(
            f"{entry.path} was calibrated for program {bundle.program}, camera {bundle.camera}; "
            f"line.toml names it for program {entry.program}, camera {entry.camera}",
            hint="correct the [[bundle]] entry, or calibrate again with --program and --camera",
        )


def entry_of(settings: Settings, program: int | None, camera: int) -> BundleSettings:
    """The [[bundle]] of a program (None: the only one) and camera. Raises UsageError, naming those that there are."""
    found = [e for e in settings.bundle if e.camera == camera and program in (None, e.program)]
    if len(found) != 1:
        asked = "which program?" if program is None else f"program {program}, camera {camera} has no [[bundle]]"
        have = ", ".join(f"program {e.program} camera {e.camera}" for e in settings.bundle)
        raise UsageError(asked, hint=f"line.toml has: {have}")
    return found[0]


def inspector_of(entry: BundleSettings, threads: int) -> Inspector:
    """The inspector of one entry, proven and warm. Raises BundleRejected."""
    bundle = Bundle.load(entry.path)
    check_place(entry, bundle)
    inspector = Inspector(bundle, threads=threads)
    inspector.warm_up()
    return inspector


def proven(entry: BundleSettings, threads: int) -> Callable[[Path], str]:
    """What proves a bundle for this entry: whole, for this place, and this PC computes its golden values."""

    def prove(folder: Path) -> str:
        return inspector_of(entry.model_copy(update={"path": folder}), threads).bundle.id

    return prove


def listed(entry: BundleSettings) -> BundlePlace:
    """Everything at one entry's path, proven as far as that goes without computing."""
    history: tuple[Switch, ...] = ()
    try:
        history = tuple(switches(entry.path))
        check_place(entry, Bundle.load(entry.path))
        problem = ""
    except DataError as err:
        problem = str(err)
    folders = [entry.path] if (entry.path / MANIFEST).exists() else bundles_in(entry.path)
    active = history[-1].folder if history else entry.path.name
    return BundlePlace(
        entry.program,
        entry.camera,
        entry.path,
        tuple(_words(folder, is_active=folder.name == active) for folder in folders),
        history,
        problem,
    )


def in_use_words(entry: BundleSettings, bundle: Bundle) -> str:
    """For the journal: what judges from now on, and who put it to use."""
    history = [] if (entry.path / MANIFEST).exists() else switches(entry.path)
    signed = f"; {history[-1]}" if history else ""
    return (
        f"program {entry.program}, camera {entry.camera}: {bundle.id} limit {bundle.limit:.6g} {bundle.folder}{signed}"
    )


def _words(folder: Path, *, is_active: bool) -> str:
    mark = "*" if is_active else " "
    try:
        bundle = Bundle.load(folder)
    except BundleRejected as err:
        return f"{mark} {folder.name}  DAMAGED: {err}"
    images = len(bundle.manifest["training_images"])
    return f"{mark} {folder.name}  {bundle.id[:12]}  {bundle.created}  {images} images, limit {bundle.limit:.4g}"
