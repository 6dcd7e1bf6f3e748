"""The reference bundles: proven, warm, fast enough."""

from __future__ import annotations

from edge_agent.bundles.line_bundles import check_place, load_bundle, signed_words
from edge_agent.errors import BundleRejected
from edge_agent.inspection.bundle.learned import learned_of
from edge_agent.inspection.bundle.manifest import MANIFEST
from edge_agent.inspection.bundle.promise import Promise
from edge_agent.inspection.inspector import Inspector
from edge_agent.inspection.side_by_side import arranged
from edge_agent.inspection.tuning import tuned
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

__all__ = ["bundle_verified", "bundle_warm", "inference_time"]

_RUNS = 3
_BUDGET_SHARE = 0.8


def bundle_verified(site: Site) -> Finding:
    """Every [[bundle]]: the manifest, every file's sha256, the program and camera it was made for, who signed it."""
    site.bundles.clear()
    for entry in site.settings.bundle:
        try:
            bundle = load_bundle(site.settings, entry.path)
            check_place(entry, bundle)
        except BundleRejected as err:
            return fail(str(err), err.hint)
        site.bundles.append((entry, bundle))
    if unasked := _put_to_use_by_hand(site):
        return warn(
            unasked, 'edge-agent bundle activate FOLDER --config line.toml --why "..." asks, and keeps the answer'
        )
    trusted = site.settings.trusted_keys
    return ok(", ".join(f"{b.part} {b.id[:12]} ({signed_words(b, trusted)})" for _, b in site.bundles))


def _put_to_use_by_hand(site: Site) -> str:
    """What is worse by a bundle that learned and that line.toml names itself: only ``bundle activate`` asks for it."""
    said = []
    for entry, bundle in site.bundles:
        learned = learned_of(bundle.manifest)
        if learned is not None and learned.worse and (entry.path / MANIFEST).exists():
            worse = "; ".join(map(str, learned.worse))
            said.append(
                f"{entry.path} was not put to use by bundle activate, and nobody said why it may be worse: {worse}"
            )
    return "; ".join(said)


def bundle_warm(site: Site) -> Finding:
    """The golden values: this machine computes what the calibrating one did."""
    if len(site.bundles) < len(site.settings.bundle):
        return fail("not every bundle is verified", "see the check bundle_verified")
    site.warm_ms.clear()
    threads, measured, site.part_ms = site.settings.inference.threads, [], None
    inspectors = {}
    for entry, bundle in site.bundles:
        try:
            if threads is None:
                inspector, found = tuned(bundle)
                measured.append(f"; {bundle.part}: {found.words}")
            else:
                inspector = Inspector(bundle, threads=threads)
                inspector.warm_up()
        except BundleRejected as err:
            return fail(str(err), err.hint)
        reference = (bundle.folder / "reference.png").read_bytes()
        took = [sum(inspector.inspect(reference).timings_ms.values()) for _ in range(_RUNS)]
        site.warm_ms.append(sorted(took)[_RUNS // 2])
        inspectors[entry.program, entry.camera] = inspector
    if threads is None and (way := arranged(inspectors)) is not None:
        measured.append(f"; {way.words}")
        site.part_ms = way.part_ms if way.workers > 1 else None
    return ok(f"golden values as at calibration, {len(site.bundles)} bundle(s){''.join(measured)}")


def inference_time(site: Site) -> Finding:
    """All cameras of a part, as the agent judges them, against the deadline."""
    if not site.warm_ms:
        return fail("no bundle could be timed", "see the check bundle_warm")
    one, deadline = max(site.warm_ms), site.settings.line.deadline_ms
    part = one * len(site.settings.line.cameras) if site.part_ms is None else site.part_ms
    said = f"{part:.0f} ms a part (median of {_RUNS}, the slowest bundle), line.deadline_ms = {deadline}"
    slowest = site.bundles[site.warm_ms.index(one)][1] if len(site.bundles) == len(site.warm_ms) else None
    promise = None if slowest is None else Promise.of(slowest.manifest)
    if promise is not None:
        said += f"; this bundle {promise.made}"
    if part >= deadline:
        return fail(
            said,
            "every part would be late: calibrate on this PC with --within, inspect less of the part, take a faster PC, "
            "or a longer deadline",
        )
    if part >= _BUDGET_SHARE * deadline:
        return warn(
            said, "a fifth of the deadline should be left for transfer, disk and output: calibrate with --within"
        )
    return ok(said)
