"""The bundles of a line: proven for their place in line.toml, listed for a person."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import structlog

from drivers.base import DriverError
from edge_agent.desk.noted import noted
from edge_agent.errors import BundleRejected, DataError, EdgeAgentError, Unavailable, UsageError
from edge_agent.inspection.bundle.learned import check_compared
from edge_agent.inspection.bundle.limit_changes import limit_changes
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.inspection.bundle.promise import Promise
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.registry import bundles_in, switches
from edge_agent.inspection.bundle.signature import untrusted_why
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.side_by_side import arranged
from edge_agent.inspection.tuning import tuned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge_agent.files.public_key import PublicKey
    from edge_agent.inspection.bundle.registry import Switch
    from edge_agent.settings import BundleSettings, Settings

__all__ = [
    "BUNDLE_CHOSEN",
    "BundlePlace",
    "check_place",
    "chosen",
    "entry_of",
    "find_replay",
    "in_use_words",
    "inspector_of",
    "listed",
    "load_bundle",
    "load_inspectors",
    "load_replay",
    "proven",
    "side_by_side",
    "signed_words",
]

log = structlog.get_logger(__name__)

BUNDLE_CHOSEN = "BUNDLE_CHOSEN"
"""The kind of the event that says at once who put which bundle to use; BUNDLE says at a start which one judges."""
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
        """The object that a command prints with ``--json``."""
        return {
            "program": self.program,
            "camera": self.camera,
            "path": str(self.path),
            "bundles": list(self.bundles),
            "switches": [asdict(switch) for switch in self.history],
            "problem": self.problem or None,
        }


def load_bundle(settings: Settings, folder: Path) -> Bundle:
    """A bundle that this line may judge by: proven, and signed by whom line.toml trusts, where it names anybody.

    Raises BundleRejected, also for one that learned from its line and was never compared with the one before. Whatever
    judges parts, or puts a bundle to use, loads it here.
    """
    bundle = Bundle.load(folder, trusted=settings.trusted_keys)
    try:
        check_compared(bundle.manifest)
    except BundleRejected as err:
        raise BundleRejected(f"{bundle.folder}: {err}", hint=err.hint) from None
    return bundle


def signed_words(bundle: Bundle, trusted: Iterable[PublicKey] = ()) -> str:
    """Who signed, in words: by the name that goes with a trusted key in line.toml, else by what the signature says."""
    if bundle.signature is None:
        return "not signed"
    names = {key.key: key.name for key in trusted}
    said, key = bundle.signature, bundle.signature.key.key
    if key not in names:
        return str(said)
    return f"signed by {names[key] or said.by} at {said.at_utc}, with a trusted key"


def load_inspectors(settings: Settings, *, within_ms: float = math.inf) -> dict[tuple[int, int], Inspector]:
    """Load, verify and warm up every [[bundle]], by (program, camera).

    Raises BundleRejected: a line never gets READY on a bundle that is missing, altered or made for another place.
    Raises Unavailable where an inspection takes longer than ``within_ms``: every part would be LATE.
    """
    inspectors = {}
    for entry in settings.bundle:
        bundle = load_bundle(settings, entry.path)
        check_place(entry, bundle)
        inspector = _quickest(bundle, settings)
        took_ms = _warmed_up(inspector, within_ms)
        log.info("bundle_loaded", path=str(entry.path), bundle_id=bundle.id, inspection_ms=round(took_ms, 1))
        inspectors[entry.program, entry.camera] = inspector
    return inspectors


def side_by_side(
    settings: Settings, inspectors: dict[tuple[int, int], Inspector]
) -> tuple[dict[tuple[int, int], Inspector], int]:
    """These inspectors, or others of the same bundles, and how many of them are quickest at a time.

    One at a time where line.toml names a number of threads. Raises BundleRejected.
    """
    found = arranged(inspectors) if settings.inference.threads is None else None
    if found is None:
        return inspectors, 1
    log.info("cameras_measured", workers=found.workers, why=found.words)
    return dict(found.inspectors), found.workers


def _quickest(bundle: Bundle, settings: Settings) -> Inspector:
    """With as many threads as line.toml names, else as are quickest here."""
    if settings.inference.threads is not None:
        return Inspector(bundle, threads=settings.inference.threads)
    inspector, found = tuned(bundle)
    log.info("threads_measured", bundle_id=bundle.id, chosen=found.threads, why=found.words)
    return inspector


def _warmed_up(inspector: Inspector, within_ms: float) -> float:
    times_ms: list[float] = []
    while not times_ms or (times_ms[-1] > within_ms and len(times_ms) < _WARM_UPS):
        times_ms.append(inspector.warm_up())
    if times_ms[-1] > within_ms:
        promise = Promise.of(inspector.bundle.manifest)
        raise Unavailable(
            f"{inspector.bundle.folder}: {'' if promise is None else f'this bundle {promise.made}; '}"
            f"an inspection takes {min(times_ms):.0f} ms at least here, line.deadline_ms allows {within_ms:.0f}",
            hint="see what else runs on this PC; calibrate on this PC with --within; or give a part more time, if the "
            "line does",
        )
    return times_ms[-1]


def load_replay(
    settings: Settings | None, bundle: Path | None, journal: Path | None, threads: int
) -> tuple[dict[tuple[int, int], Inspector], Path | None]:
    """The inspectors, warm, and the journal that a replay uses; what is named on the command line goes first.

    Raises UsageError, BundleRejected: also where this machine computes other values than the one that calibrated.
    """
    journal = _journal_of_replay(settings, bundle, journal)
    if bundle is not None:
        inspector = Inspector(_named_bundle(settings, bundle), threads=threads)
        inspector.warm_up()
        return {(inspector.bundle.program, inspector.bundle.camera): inspector}, journal
    return load_inspectors(cast("Settings", settings)), journal


def find_replay(
    settings: Settings | None, bundle: Path | None, journal: Path | None
) -> tuple[dict[tuple[int, int], Bundle], Path | None]:
    """As ``load_replay``, the bundles alone: proven, and nothing is computed with them here. Raises as that does."""
    journal = _journal_of_replay(settings, bundle, journal)
    if bundle is not None:
        loaded = _named_bundle(settings, bundle)
        return {(loaded.program, loaded.camera): loaded}, journal
    found = {}
    for entry in cast("Settings", settings).bundle:
        loaded = load_bundle(cast("Settings", settings), entry.path)
        check_place(entry, loaded)
        found[entry.program, entry.camera] = loaded
    return found, journal


def _journal_of_replay(settings: Settings | None, bundle: Path | None, journal: Path | None) -> Path | None:
    if settings is None and bundle is None:
        raise UsageError("nothing to judge with", hint="name line.toml with --config, or a bundle with --bundle")
    if journal is None and settings is not None and settings.store.journal.exists():
        return settings.store.journal
    return journal


def _named_bundle(settings: Settings | None, bundle: Path) -> Bundle:
    return Bundle.load(bundle) if settings is None else load_bundle(settings, bundle)


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


def inspector_of(settings: Settings, entry: BundleSettings) -> Inspector:
    """The inspector of one entry, proven and warm. Raises BundleRejected."""
    bundle = load_bundle(settings, entry.path)
    check_place(entry, bundle)
    inspector = Inspector(bundle, threads=settings.inference.threads_unmeasured)
    inspector.warm_up()
    return inspector


def proven(settings: Settings, entry: BundleSettings) -> Callable[[Path], str]:
    """What proves a bundle for this entry: whole, signed, for this place, and this PC computes its golden values."""

    def prove(folder: Path) -> str:
        return inspector_of(settings, entry.model_copy(update={"path": folder})).bundle.id

    return prove


def listed(settings: Settings, entry: BundleSettings) -> BundlePlace:
    """Everything at one entry's path, proven as far as that goes without computing."""
    history: tuple[Switch, ...] = ()
    try:
        history = tuple(switches(entry.path))
        check_place(entry, load_bundle(settings, entry.path))
        problem = ""
    except DataError as err:
        problem = str(err)
    folders = [entry.path] if (entry.path / MANIFEST).exists() else bundles_in(entry.path)
    active = history[-1].folder if history else entry.path.name
    return BundlePlace(
        entry.program,
        entry.camera,
        entry.path,
        tuple(_words(folder, settings.trusted_keys, is_active=folder.name == active) for folder in folders),
        history,
        problem,
    )


def in_use_words(entry: BundleSettings, bundle: Bundle) -> str:
    """For the journal: what judges from now on, and who put it to use."""
    history = [] if (entry.path / MANIFEST).exists() else switches(entry.path)
    chosen = f"; {history[-1]}" if history else ""
    signed = f"; {bundle.signature}" if bundle.signature else ""
    place = f"program {entry.program}, camera {entry.camera}"
    moved = f"; {changes[-1]}" if (changes := limit_changes(bundle.manifest)) else ""
    return f"{place}: {bundle.id} limit {bundle.limit:.6g} {bundle.folder}{moved}{chosen}{signed}"


async def chosen(settings: Settings, entry: BundleSettings, switch: Switch) -> str:
    """Tell the journal of a switch that was made; '' or why it could not be told: the agent's next start tells it."""
    detail = {"schema_version": 1, "program": entry.program, "camera": entry.camera, **asdict(switch)}
    try:
        await noted(settings, BUNDLE_CHOSEN, json.dumps(detail, ensure_ascii=False))
    except (EdgeAgentError, DriverError) as err:
        return f"the journal is told at the agent's next start, not now: {err}"
    return ""


def _words(folder: Path, trusted: tuple[PublicKey, ...], *, is_active: bool) -> str:
    mark = "*" if is_active else " "
    try:
        bundle = Bundle.load(folder)
    except BundleRejected as err:
        return f"{mark} {folder.name}  DAMAGED: {err}"
    images = len(bundle.manifest["training_images"])
    signed = untrusted_why(bundle.signature, trusted)
    signed = f"NOT TRUSTED: {signed}" if signed else signed_words(bundle, trusted)
    facts = f"{bundle.id[:12]}  {bundle.created}  {images} images, limit {bundle.limit:.4g}"
    moved = f", {changes[-1]}" if (changes := limit_changes(bundle.manifest)) else ""
    return f"{mark} {folder.name}  {facts}, {signed}{moved}"
