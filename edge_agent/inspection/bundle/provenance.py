"""How a bundle scores and how its limit came about, for a person: from its manifest, which the bundle's id covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_agent.inspection.bundle.learned import learned_of
from edge_agent.inspection.bundle.limit_changes import limit_changes
from edge_agent.inspection.bundle.manifest import Section
from edge_agent.inspection.bundle.promise import Promise
from edge_agent.inspection.networks.channels import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_agent.inspection.bundle.reference_bundle import Bundle

__all__ = ["provenance"]


def provenance(bundle: Bundle) -> dict[str, object]:
    """Its channels, the limit's promise in words, who set it, what it learned, whom people took out, what defects said.

    Raises BundleRejected where the manifest lacks them.
    """
    manifest = Section(dict(bundle.manifest), str(bundle.folder))
    left_out, kept = (
        [Section(row, key) for row in bundle.manifest.get(key, [])] for key in ("left_out_images", "kept_images")
    )
    promise, learned = Promise.of(bundle.manifest), learned_of(bundle.manifest)
    return {
        "channels": _channels(bundle.manifest["method"]),
        "limit_statement": manifest.section("limit").text("statement"),
        "limit_changes": [str(change) for change in limit_changes(bundle.manifest)],
        "learned": None if learned is None else str(learned),
        "worse_than_before": [] if learned is None else [str(one) for one in learned.worse],
        "left_out": [f"{row.text('name')} {row.text('sha256')}" for row in left_out],
        "kept": [f"{row.text('name')} {row.text('sha256')}" for row in kept],
        "defective": manifest.section("defective").text("statement") if "defective" in bundle.manifest else None,
        "time": None if promise is None else promise.words,
    }


def _channels(method: Mapping[str, Any]) -> list[str]:
    """Each channel or view of the score, what it looks at, what it counts. Of others nobody has read the names."""
    if method["score"] == "views":
        return [
            f"{name} ({CHANNELS[name].view}): {'beside' if facts.get('is_beside', False) else 'in'} the mean"
            for name, facts in method["views"].items()
        ]
    of_local = method["channels"] if method["score"] == "local" else {}
    return [f"{name} ({CHANNELS[name].view}): weight {CHANNELS[name].weight:g}" for name in of_local]
