"""Where received images wait: proven, durable and under a name of our own, before anyone hears of them.

Folders of the spool: ``.incoming`` (being received), ``ready`` (proven complete), ``broken`` (kept as evidence, the
newest few), ``left`` (found in ``ready`` at start: the agent stopped before they were archived).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from drivers.base import Capture, ImageRefused, Reason
from drivers.keyence.names import place_of, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.base import ProveImage
    from drivers.keyence.names import NameRule

__all__ = ["IMAGE_EXTENSIONS", "Spool", "capture_of", "extension_of", "is_image", "sync_file", "sync_folder"]

_log = structlog.get_logger()

IMAGE_EXTENSIONS = frozenset({"bmp", "jpg", "jpeg", "png"})
# The controller may send its results as files too; they are taken and dropped (PROTOCOL.md, "Image output over FTP").
_TEXT_EXTENSIONS = frozenset({"txt", "csv", "log"})
_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
# Evidence for a person who looks into it, with a bound: a sender of broken images must not fill the disk.
_BROKEN_KEPT = 100
_LEFT_KEPT = 200
_DETAIL_MAX_CHARS = 300
# 64 files took 268 ms one by one and 18 ms by eight threads (docs/decisions/0033).
_SYNC_THREADS = 8


def extension_of(name: str) -> str:
    """The lower-case extension of a peer's file name, '' if there is none."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if dot and stem else ""


def is_image(name: str, head: bytes) -> bool:
    """Whether a received file is one to judge: by its extension, and by its first bytes where that says nothing."""
    extension = extension_of(name)
    if extension in IMAGE_EXTENSIONS:
        return True
    if extension in _TEXT_EXTENSIONS:
        return False
    # A BMP has two reserved words that are zero.
    # "BM" alone is also the begin of a text.
    return head.startswith(_SIGNATURES) or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0")


def capture_of(virtual_path: str, names: NameRule, received_mono_s: float) -> Capture:
    """What name and folders of a file tell, as a Capture that has no bytes yet."""
    shown_name = printable(virtual_path.rsplit("/", 1)[-1])
    if (name := names.read(virtual_path)) is not None:
        return Capture(
            count=name.count,
            camera=name.camera,
            session=name.session,
            name=shown_name,
            path=None,
            sha256="",
            received_mono_s=received_mono_s,
            program=name.program,
            judgement=name.judgement,
            kind=name.kind,
            taken=name.taken,
        )
    place = place_of(virtual_path)
    return Capture(
        count=None,
        camera=place.camera or names.default_camera,
        session=place.session,
        name=shown_name,
        path=None,
        sha256="",
        received_mono_s=received_mono_s,
        program=place.program,
    )


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the platform can."""
    # A folder cannot be opened, or synced, on Windows.
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Spool:
    """One source's spool folder. Used by one thread at a time."""

    def __init__(self, root: Path, prove: ProveImage, max_bytes: int) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self._prove = prove
        self._ready = str(self.ready)
        self._broken: deque[Path] = deque()
        self._is_prepared = False

    @property
    def ready(self) -> Path:
        """The folder in which images lie that were proven to be complete."""
        return self.root / "ready"

    def prepare(self) -> None:
        """Make the folders and put away what an earlier process left. Again only once it has failed.

        Stumps of uploads were never acknowledged: they are deleted. Images in ``ready`` were, but whether they were
        judged only the journal knows: they are kept in ``left`` and never judged again.

        Raises:
            OSError: the spool cannot be written.
        """
        if self._is_prepared:  # what lies in ``ready`` now is ours and somebody is at it
            return
        for folder in (".incoming", "ready", "broken", "left"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        stumps = list((self.root / ".incoming").iterdir())
        for stump in stumps:
            stump.unlink()
        left = list(self.ready.iterdir())
        for path in left:
            path.replace(self.root / "left" / path.name)
        if stumps or left:
            _log.warning("spool_left_over", stumps=len(stumps), images=len(left), folder=str(self.root / "left"))
        self._keep_newest(deque(_by_age(self.root / "left")), _LEFT_KEPT)
        self._broken = deque(_by_age(self.root / "broken"))
        self._keep_newest(self._broken, _BROKEN_KEPT)
        self._is_prepared = True

    def free_bytes(self) -> int:
        """What the disk has left for us."""
        return shutil.disk_usage(self.root).free

    def new_incoming(self) -> Path:
        """A fresh name of our own for a file that is being received."""
        return self.root / ".incoming" / uuid.uuid4().hex

    def new_ready(self, name: str) -> Path:
        """A fresh name of our own for a proven file; of the peer's name only a known extension stays."""
        return Path(f"{self._ready}{os.sep}{_own_name(name)}")

    def admit(self, file: Path, blank: Capture, proven: bytes = b"") -> Capture:
        """Prove a received file and move it to ``ready``, durably; or say why not. The file is ours afterwards."""
        return self.secure([self.place(file, blank, proven)])[0]

    def place(self, file: Path, blank: Capture, proven: bytes = b"") -> Capture:
        """As ``admit``, but not durable yet: it may surface only after ``secure``.

        ``blank.sha256`` may be that of the bytes as they came, taken on the way: whoever judges the file compares it.
        ``proven`` are bytes that passed the proof already: the same ones need no second.
        """
        try:
            # From the disk and not from memory: what is proven is what was stored.
            data = file.read_bytes()
            filled = blank if blank.sha256 else replace(blank, sha256=hashlib.sha256(data).hexdigest())
            # It may have changed between the proof in the watched folder and the move to here.
            if (not proven or data != proven) and (refused := self.check(data)):
                return self.refuse(file, filled, refused.reason, refused.detail)
            target = file if file.parent == self.ready else self.new_ready(blank.name)
            if target != file:
                file.replace(target)
        except OSError as err:
            return self.refuse(file, blank, Reason.DISK, f"could not be stored: {err}")
        return replace(filled, path=target)

    def put_by(self, file: Path, blank: Capture, reason: Reason, detail: str) -> Capture:
        """A file in ``ready`` that nobody will judge: kept for the archive, neither proven nor synced."""
        try:
            with open(file, "rb") as opened:  # noqa: PTH123 - thousands of them
                sha256 = hashlib.sha256(opened.read()).hexdigest()
            return replace(blank, path=file, sha256=sha256, broken=reason, detail=detail)
        except OSError as err:
            return self.refuse(file, blank, Reason.DISK, f"could not be read back: {err}")

    def secure(self, captures: Sequence[Capture]) -> list[Capture]:
        """Make placed captures durable, all at once: the first costs what one alone would, the others little.

        Files and folder side by side: each waits for the disk, and a part waits for both.
        """
        placed = [capture.path for capture in captures if capture.broken is None and capture.path is not None]
        failed = self._sync(placed) if placed else {}
        return [
            capture
            if capture.path not in failed
            else self.refuse(
                capture.path,
                replace(capture, path=None),
                Reason.DISK,
                f"could not be stored: {failed[capture.path]}",
            )
            for capture in captures
        ]

    def _sync(self, placed: Sequence[Path]) -> dict[Path, OSError]:
        """Make files of ``ready`` and their names durable; those that could not be, with the reason."""
        # Until it is known that a file was synced, it was not.
        failed = dict.fromkeys(placed, OSError(errno.EIO, "syncing it ended in an error of ours: the log has it"))

        def sync_files() -> None:
            found = _sync_files(placed)
            failed.clear()
            failed.update(found)

        files = threading.Thread(target=sync_files, name="spool-sync", daemon=True)
        try:
            files.start()
        except RuntimeError:  # this machine gives no more threads: then one after the other
            sync_files()
        try:
            sync_folder(self.ready)
        except OSError as err:
            # A file whose name is not durable is gone after a power cut, however well its bytes were synced.
            return dict.fromkeys(placed, err)
        finally:
            if files.ident is not None:
                files.join()
        return failed

    def check(self, data: bytes) -> ImageRefused | None:
        """The proof's answer to these bytes. Never raises."""
        if not data:
            return ImageRefused(Reason.IMAGE_BROKEN, "empty: 0 bytes were received")
        if len(data) > self.max_bytes:
            return ImageRefused(Reason.IMAGE_BROKEN, f"larger than the {self.max_bytes} bytes that are taken")
        try:
            self._prove(data)
        except ImageRefused as refused:
            return refused
        except Exception as err:  # noqa: BLE001 - an image whose proof has a bug must surface, as not judged
            _log.exception("image_proof_failed", size_bytes=len(data))
            return ImageRefused(Reason.INTERNAL, f"the proof itself failed: {type(err).__name__}: {err}")
        return None

    def refuse(self, file: Path | None, blank: Capture, reason: Reason, detail: str) -> Capture:
        """A broken Capture; what there is of the file is kept for a while in ``broken``. Never raises."""
        kept = None
        try:
            if file is not None and file.stat().st_size > 0:
                if not blank.sha256:
                    blank = replace(blank, sha256=_sha256_of(file))
                kept = self.root / "broken" / _own_name(blank.name)
                file.replace(kept)
                self._broken.append(kept)
                self._keep_newest(self._broken, _BROKEN_KEPT)
            elif file is not None:
                file.unlink()
        except OSError as err:
            _log.warning("broken_image_not_kept", file=str(file), why=str(err))
            kept = None
        text = printable(detail, _DETAIL_MAX_CHARS)
        _log.warning("image_broken", image=blank.name, reason=reason.value, detail=text)
        return replace(blank, path=kept, broken=reason, detail=text)

    def drop(self, file: Path) -> None:
        """Remove a file that was received and is not wanted. Never raises."""
        try:
            file.unlink(missing_ok=True)
        except OSError as err:
            _log.warning("file_not_removed", file=str(file), why=str(err))

    def _keep_newest(self, files: deque[Path], kept: int) -> None:
        while len(files) > kept:
            oldest = files.popleft()
            try:
                oldest.unlink(missing_ok=True)
            except OSError as err:
                _log.warning("spool_not_pruned", file=str(oldest), why=str(err))


def _by_age(folder: Path) -> list[Path]:
    return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def sync_file(file: Path) -> None:
    """Make a file's bytes survive a power cut."""
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_files(files: Sequence[Path]) -> dict[Path, OSError]:
    """Sync them; those that could not be, with the reason. Many at once: a file system then joins their commits."""
    failed: dict[Path, OSError] = {}

    def sync(file: Path) -> None:
        try:
            sync_file(file)
        except OSError as err:
            failed[file] = err

    if len(files) < _SYNC_THREADS:
        for file in files:
            sync(file)
    else:
        with ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="spool-sync") as threads:
            list(threads.map(sync, files))
    return failed


def _own_name(name: str) -> str:
    """A fresh name of our own: of the peer's only a known extension stays."""
    extension = extension_of(name)
    return f"{os.urandom(16).hex()}.{extension if extension in IMAGE_EXTENSIONS else 'bin'}"


def _sha256_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
