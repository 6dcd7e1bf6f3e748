"""Room on the disks: what a part needs, and whether the archive may grow as large as line.toml says."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_agent.store.held import held_in, reach_of
from edge_agent.store.journal import JournalReader
from edge_agent.store.room import archive_reserve_bytes, existing, in_words, places_of, wanted_bytes
from edge_agent.tools.doctor.finding import Finding, Site, fail, ok, warn

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.held import Held, HeldKind

__all__ = ["archive_limit", "archive_reach", "disk_space", "folders"]

_DAY_S, _LEAST_SPAN_DAYS = 86_400.0, 1 / 24
_FREE_FAIL_SHARE, _FREE_WARN_SHARE, _FREE_FAIL_BYTES = 0.05, 0.10, 2 * 2**30


def disk_space(site: Site) -> Finding:
    """Journal first: without room for a row nothing passes."""
    for place in places_of(site.settings):
        _, free = _disk(place.folder)
        if free < place.needed_bytes:
            return fail(
                f"{existing(place.folder)}: {in_words(free)} free, the {place.name} needs "
                f"{in_words(place.needed_bytes)}: the line is FAULT",
                "free space: nothing passes before there is room",
            )
    said, is_short = [], False
    for folder in folders(site):
        total, free = _disk(folder)
        said.append(f"{folder}: {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
        if free < _FREE_FAIL_BYTES or free < _FREE_FAIL_SHARE * total:
            return fail(said[-1], "free space, or lower store.archive_max_gib")
        is_short |= free < _FREE_WARN_SHARE * total
    if is_short:
        return warn("; ".join(said), "less than a tenth is free: lower store.archive_max_gib")
    return ok("; ".join(said))


def archive_limit(site: Site) -> Finding:
    """Whether the archive can grow to its limit before its disk makes it give way."""
    store = site.settings.store
    total, free = _disk(store.archive)
    try:
        held = _held(site).size_bytes
    except OSError as err:
        return fail(f"{store.archive}: {err.strerror}", "the archive must be readable: see archive_writable")
    reserve, limit = archive_reserve_bytes(total, wanted_bytes(site.settings)), int(store.archive_max_gib * 2**30)
    room = free + held - reserve
    said = (
        f"store.archive_max_gib allows {in_words(limit)}, the disk of {existing(store.archive)} has room for "
        f"{in_words(max(0, room))}: {in_words(free)} free and {in_words(held)} of images, less {in_words(reserve)} "
        "that stay free"
    )
    if store.keep == "none" or room >= limit:
        return ok(said)
    if room < site.settings.images.max_mib * 2**20:
        return fail(said, "free space, or use a larger disk: no image is archived")
    return warn(
        said,
        f"set store.archive_max_gib = {room / 2**30:.2f} or less, or use a larger disk: images go before the limit",
    )


def archive_reach(site: Site) -> Finding:
    """How far back images are there, and whether that is what line.toml asks for."""
    store = site.settings.store
    try:
        reach = reach_of(_held(site), store.journal)
    except OSError as err:
        return fail(f"{store.archive}: {err.strerror}", "the archive must be readable: see archive_writable")
    said = f"{store.archive} {reach.words}"
    asked = (
        (True, "keep_pass_days", store.pass_days, reach.held.passes, reach.passes_s),
        (False, "keep_reject_days", store.reject_days, reach.held.others, reach.others_s),
    )
    for are_passes, key, days, held, span_s in asked:
        if days is None or span_s is None or not _went_too_early(site, days, held, are_passes=are_passes):
            continue
        wanted = held.size_bytes / max(span_s / _DAY_S, _LEAST_SPAN_DAYS) * days
        return warn(
            f"{said}; {key} asks for {days} days",
            f"{days} days of these images are about {in_words(wanted)}: raise store.archive_max_gib as far as the disk "
            f"allows (archive_limit), or lower {key}",
        )
    return ok(said)


def _went_too_early(site: Site, days: int, held: HeldKind, *, are_passes: bool) -> bool:
    """Whether the journal has parts of those days whose images went before the oldest one that is held."""
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    where = (
        "part_seq < ? AND decided_utc >= ? AND (verdict = 'PASS') = ? AND part_seq % ? = 0 "
        "AND part_seq IN (SELECT part_seq FROM camera WHERE image_sha256 <> '')"
    )
    every = site.settings.store.keep_pass_every if are_passes else 1
    with JournalReader.open(site.settings.store.journal) as journal:
        return bool(journal.tally(where, (held.oldest_seq or 0, since, int(are_passes), every)))


def _held(site: Site) -> Held:
    if site.held is None:
        site.held = held_in(site.settings.store.archive)
    return site.held


def folders(site: Site) -> list[Path]:
    """Where the agent writes, or the nearest folder that is there already."""
    store = site.settings.store
    return sorted({existing(path) for path in (store.journal.parent, store.archive, site.settings.images.spool)})


def _disk(folder: Path) -> tuple[int, int]:
    """Bytes of its disk, and those of them that are free for us."""
    disk = os.statvfs(existing(folder))
    return max(1, disk.f_blocks * disk.f_frsize), disk.f_bavail * disk.f_frsize
