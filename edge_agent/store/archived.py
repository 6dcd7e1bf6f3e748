"""An archived image read back: found by what the journal says of it, and proven to be the one that was judged."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.store.shrink import SHRUNK_SUFFIX, received_bytes
from edge_agent.store.stock import BYPASS

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["archived_image", "read_archived"]


def archived_image(archive: Path, row: PartRow, camera: CameraRow) -> Path:
    """Where the image lies, found by what the journal says of it. Raises DataError if it is not kept."""
    stem = f"part_{row.part_seq:012d}_CAM{camera.camera}_"
    # As it came, or smaller: the journal does not say which, for the archive decides that after the row is written.
    suffixes = {PurePath(camera.image_name).suffix.lower(), SHRUNK_SUFFIX}
    likely = [
        f"{stem}{became}_{camera.image_sha256[:8]}{suffix}" for became in (row.verdict, BYPASS) for suffix in suffixes
    ]
    decided = date.fromisoformat(row.decided_utc[:10])
    for day in (decided, decided + timedelta(days=1)):  # filed after midnight
        # A day's folder is long: a name that can be told is asked for, not looked for.
        for name in likely:
            if (path := archive / day.isoformat() / name).is_file():
                return path
        for path in (archive / day.isoformat()).glob(f"{stem}*_{camera.image_sha256[:8]}.*"):
            return path
    raise DataError("this image is not in the archive", hint="it was not to be kept, had to make room, or comes yet")


def read_archived(archive: Path, row: PartRow, camera: CameraRow) -> bytes:
    """The bytes that were judged. Raises DataError where they are not kept, or the file has other ones now."""
    try:
        data = received_bytes(archived_image(archive, row, camera))
    except OSError as err:
        raise DataError(f"the archived image cannot be read: {err.strerror}") from err
    if hashlib.sha256(data).hexdigest() != camera.image_sha256:
        raise DataError(
            "the archived file is not the image that was judged: its hash differs from the journal's",
            hint="somebody changed it, or the disk did; keep it for the record",
        )
    return data
