"""How one received image gets its name in the archive, durably, and leaves the spool."""

from __future__ import annotations

import errno
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edge_agent.store.days import today
from edge_agent.store.shrink import SHRUNK_SUFFIX, received_bytes, shrunk

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.fs import FileSystem

__all__ = ["STUMP", "Filing", "Received"]

log = structlog.get_logger(__name__)

STUMP = ".part"
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Received:
    """An image in the spool, and what became of its part. ``small``: kept as these bytes instead of its own."""

    part_seq: int
    camera: int
    became: str
    spooled: Path
    sha256: str
    small: bytes | None = None


class Filing:
    """The steps on the disk below an archive's root. None of them knows what else the archive holds."""

    def __init__(self, root: Path, fs: FileSystem) -> None:
        self._root = root
        self._fs = fs

    def shrunk(self, spooled: Path, sha256: str) -> bytes | None:
        """A smaller file from which the very image that was judged comes back; None to keep the one that came."""
        try:
            data = self._fs.read(spooled)
        except OSError:  # filing it says so
            return None
        return shrunk(data) if hashlib.sha256(data).hexdigest() == sha256 else None

    def size_bytes(self, image: Received) -> int:
        """What it takes in the archive. Raises OSError."""
        return self._fs.size_bytes(image.spooled) if image.small is None else len(image.small)

    def target(self, image: Received) -> Path:
        """Its place, in today's folder. Raises OSError."""
        suffix = image.spooled.suffix.lower() if image.small is None else SHRUNK_SUFFIX
        if not _SUFFIX.fullmatch(suffix):
            suffix = ".bin"
        folder = self._root / today()
        self._fs.make_folder(folder)
        # Part, camera and time tell images apart; the hash ties the file to its row, also where it was moved elsewhere.
        hash_begin = image.sha256[:8].lower()
        return folder / f"part_{image.part_seq:012d}_CAM{image.camera}_{image.became}_{hash_begin}{suffix}"

    def put(self, image: Received, target: Path) -> None:
        """Bring it to its place, durably; it leaves the spool. Raises OSError: it is in the spool still."""
        if image.small is not None:
            self._put_small(image.small, image.spooled, target)
            return
        try:
            # The bytes before the name: after a power cut a name without its bytes would look like an image.
            self._fs.fsync(image.spooled)
            self._fs.replace(image.spooled, target)
        except OSError as err:
            # No name can be moved to another disk: the archive lies on one of its own.
            if err.errno != errno.EXDEV:
                raise
            self._move_to_other_disk(image.spooled, target)
        # And the name: in the spool there is nothing any more.
        self._fs.fsync(target.parent)

    def why_altered(self, kept: Path, sha256: str) -> str:
        """Why a file that is kept is not the image of that hash, in words; empty if it is."""
        try:
            is_shrunk = kept.suffix == SHRUNK_SUFFIX
            found = hashlib.sha256(received_bytes(kept)).hexdigest() if is_shrunk else self._fs.sha256(kept)
        except OSError as err:
            return f"{kept.name} cannot be read back: {err.strerror or err}"
        if found == sha256:
            return ""
        return f"{kept.name} has sha256 {found}, the image that came had {sha256}: something else wrote into it"

    def drop(self, path: Path) -> None:
        """Remove a received file without keeping it; one that cannot be removed is logged."""
        try:
            self._fs.unlink(path)
        except OSError as err:
            log.warning("file_not_removed", name=path.name, error=str(err))

    def _put_small(self, small: bytes, spooled: Path, target: Path) -> None:
        """The one that came goes when the small one is durable."""
        stump = target.with_name(target.name + STUMP)
        try:
            self._fs.unlink(stump)
            self._fs.write(stump, small)
            self._fs.replace(stump, target)
            self._fs.fsync(target.parent)
        except OSError:
            self.drop(stump)
            raise
        self.drop(spooled)

    def _move_to_other_disk(self, spooled: Path, target: Path) -> None:
        stump = target.with_name(target.name + STUMP)
        try:
            self._fs.unlink(stump)
            # Under another name first: a copy that a power cut ended must not look like an image.
            self._fs.copy(spooled, stump)
            self._fs.replace(stump, target)
        except OSError:
            self.drop(stump)
            raise
        self.drop(spooled)
