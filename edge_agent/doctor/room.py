"""Room on the disks: what a part needs, and whether the archive may grow as large as line.toml says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_agent.doctor.finding import Finding, Site, fail, ok, warn
from edge_agent.store.room import archive_reserve_bytes, existing, in_words, places_of, wanted_bytes
from edge_agent.store.stock import archived

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["archive_limit", "disk_space", "folders"]

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
        held = sum(image.size_bytes for _, image in archived(store.archive))
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


def folders(site: Site) -> list[Path]:
    """Where the agent writes, or the nearest folder that is there already."""
    store = site.settings.store
    return sorted({existing(path) for path in (store.journal.parent, store.archive, site.settings.images.spool)})


def _disk(folder: Path) -> tuple[int, int]:
    """Bytes of its disk, and those of them that are free for us."""
    disk = os.statvfs(existing(folder))
    return max(1, disk.f_blocks * disk.f_frsize), disk.f_bavail * disk.f_frsize
