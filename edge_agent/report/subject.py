"""Which line, part, program, cameras and bundles a report is of, as line.toml and the bundles themselves tell it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.inspection.bundle.registry import switches
from edge_agent.report.head import BundleName, Head
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.inspection.bundle.registry import Switch
    from edge_agent.settings import BundleSettings, Settings

__all__ = ["bundle_name", "identity", "versions"]


def identity(settings: Settings | None, bundles: Iterable[Bundle]) -> Head:
    """A head that says what the report is of; title, result and what to do are still to be said."""
    known = sorted(bundles, key=lambda bundle: (bundle.program, bundle.camera))
    cameras = {bundle.camera for bundle in known} | set(settings.line.cameras if settings else ())
    return Head(
        title="",
        result="",
        made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        line=settings.line.name if settings else tr("not known: no line.toml was given"),
        part=_listed(bundle.part for bundle in known),
        program=_listed(str(bundle.program) for bundle in known),
        cameras=_listed(str(camera) for camera in sorted(cameras)),
        bundles=tuple(bundle_name(settings, bundle) for bundle in known),
        version=version_of("edge-agent"),
    )


def bundle_name(settings: Settings | None, bundle: Bundle) -> BundleName:
    """The bundle, and who activated it and when, where line.toml leads to a folder in which that is written."""
    made_with = str(bundle.manifest["versions"].get("edge-agent", ""))
    place = (bundle.program, bundle.camera)
    entry = next((e for e in settings.bundle if (e.program, e.camera) == place), None) if settings else None
    last = next((switch for switch in reversed(_switches(entry)) if switch.bundle_id == bundle.id), None)
    if last is None:
        return BundleName(bundle.id, made_with=made_with)
    return BundleName(bundle.id, last.by, last.at_utc, made_with)


def versions() -> dict[str, str]:
    """Versions of what decides a score, for the report."""
    return {
        name: version_of(name) for name in ("edge-agent", "numpy", "onnxruntime", "opencv-python-headless", "pillow")
    }


def _switches(entry: BundleSettings | None) -> list[Switch]:
    if entry is None or (entry.path / MANIFEST).exists():
        return []
    try:
        return switches(entry.path)
    except BundleRejected:  # a damaged list of switches says nothing of who activated what: doctor tells of it
        return []


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
