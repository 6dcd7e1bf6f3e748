"""How a bundle's limit came about, for a person: read from its manifest, which the bundle's id covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.inspection.manifest import Section

if TYPE_CHECKING:
    from edge_agent.inspection.bundle import Bundle

__all__ = ["provenance"]


def provenance(bundle: Bundle) -> dict[str, object]:
    """The limit's promise in words, who was left out (name and sha256), and what defective parts said.

    Raises BundleRejected where the manifest lacks them.
    """
    manifest = Section(dict(bundle.manifest), str(bundle.folder))
    left_out = [Section(row, "left_out_images") for row in bundle.manifest.get("left_out_images", [])]
    return {
        "limit_statement": manifest.section("limit").text("statement"),
        "left_out": [f"{row.text('name')} {row.text('sha256')}" for row in left_out],
        "defective": manifest.section("defective").text("statement") if "defective" in bundle.manifest else None,
    }
