"""The folder of one learning: the images that it learns from, what was made, and whether it may be gone on with.

``good`` holds every good image, those of the bundle before and those that are added: the next learning names it with
``--good``, for the archive will not keep them. ``defects`` holds the known defects. ``calibrated`` is what nobody may
put to use yet, ``bundle`` what is offered. All of it is made anew from journal, archive and good parts at any time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from calibration.collecting.holding import held_target
from calibration.good_parts.images import examine_image, find_same, images_in, read_each
from edge_agent.errors import BundleRejected, DataError, UsageError
from edge_agent.files.bounded import read_bounded
from edge_agent.files.strict_json import strict_json
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.containers.image_files import read_file
from edge_agent.store.archived import read_archived
from edge_agent.store.fs import write_durably
from edge_agent.tools.learn.found import Found
from edge_agent.tools.learn.proposal import LeftOut, Why

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_agent.tools.learn.proposal import Material, Proposal

__all__ = ["SPOOL", "Workshop", "collect_good", "opened", "read_result", "without_copies"]

SPOOL = ".looking-"
"""How the folder of pictures begins that are only looked at."""
_PLAN = "plan.json"
_NAMED = 5
_MOST_BYTES = 64 << 20
"""A hundred thousand parts by both bundles take less."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where it all lies."""

    folder: Path

    @property
    def good(self) -> Path:
        """Good images, old and added."""
        return self.folder / "good"

    @property
    def defects(self) -> Path:
        """Known defects."""
        return self.folder / "defects"

    @property
    def calibrated(self) -> Path:
        """The new bundle before it was compared."""
        return self.folder / "calibrated"

    @property
    def bundle(self) -> Path:
        """The new bundle, as it is offered."""
        return self.folder / "bundle"

    @property
    def result(self) -> Path:
        """What was found, for the report."""
        return self.folder / "result.json"

    def begin(self, plan: dict[str, Any]) -> bool:
        """Whether the same was begun here before and may be gone on with; else what was made of another plan is gone.

        Raises UsageError for a folder that holds anything else, OSError.
        """
        text = json.dumps(plan, indent=2, sort_keys=True, ensure_ascii=True)
        path = self.folder / _PLAN
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return True
        for made in (self.good, self.defects, self.calibrated, self.bundle):
            if made.exists():
                shutil.rmtree(made)
        self.result.unlink(missing_ok=True)
        write_durably(path, text.encode())
        return False

    def fill(self, proposal: Proposal, originals: dict[str, tuple[str, Path]], archive: Path) -> None:
        """Bring every image here, proven by its hash. ``originals``: sha256 to name and file of each good image.

        Raises DataError where one is gone or altered by now, OSError where the disk is full.
        """
        self.good.mkdir(exist_ok=True)
        self.defects.mkdir(exist_ok=True)
        for sha256, (name, source) in originals.items():
            self._put(self.good / name, sha256, lambda source=source: read_file(source))
        for part in proposal.added:
            self._put(self.good / part.file, part.sha256, lambda part=part: _archived(archive, part))
        for part in proposal.defects:
            self._put(self.defects / part.file, part.sha256, lambda part=part: _archived(archive, part))

    def calibrated_of(self, sha256s: frozenset[str]) -> Bundle | None:
        """The bundle that was calibrated here of exactly these images; None where none is, or it is not whole."""
        try:
            bundle = Bundle.load(self.calibrated)
        except BundleRejected:
            return None
        made_of = {image["sha256"] for image in bundle.manifest["training_images"]}
        return bundle if made_of <= sha256s else None

    def _put(self, path: Path, sha256: str, read: Any) -> None:
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
            return
        data = read()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"{path.name} is not the image that it was", hint="look who writes to that folder")
        write_durably(path, data)


@contextmanager
def opened(folder: Path) -> Iterator[Workshop]:
    """Make the folder, or take one up that a learning made; held until the end.

    Raises UsageError for a folder with anything else in it, AlreadyRunning where another learning works there, OSError.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="name a new folder with --out")
    others = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    if others and not (folder / _PLAN).is_file():
        raise UsageError(
            f"{folder} holds something else than a learning that was begun", hint="name a new folder with --out"
        )
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"{folder.absolute().parent} is not a folder", hint="make it first: mkdir -p")
    with held_target(folder):
        folder.mkdir(exist_ok=True)
        for pattern in (f"{SPOOL}*", ".bundle.*", ".calibrated.*"):  # left behind by one that was killed
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            yield Workshop(folder)
        finally:
            if not any(folder.iterdir()):  # nothing was begun
                folder.rmdir()


def read_result(folder: Path) -> Found:
    """What a learning found in this folder. Raises DataError where nothing was found there yet."""
    path = Workshop(folder).result
    try:
        return Found.of_json(strict_json(read_bounded(path, _MOST_BYTES), most_bytes=_MOST_BYTES))
    except FileNotFoundError as err:
        raise DataError(f"{path} is not there: no learning came to its end in {folder}", hint="learn run") from err
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{path} cannot be read: {err!r}", hint="give learn run again: it goes on with what is made"
        ) from err


def collect_good(parent: Bundle, folders: Sequence[Path], without: frozenset[str]) -> dict[str, tuple[str, Path]]:
    """The images that the bundle was made of, found by their hash in these folders: sha256 to name and file.

    ``without`` are those that are left out by now. Raises DataError where one is missing or altered, naming it;
    CalibrationRefused for a folder that is none.
    """
    wanted = {
        image["sha256"]: str(image["name"])
        for image in parent.manifest["training_images"]
        if image["sha256"] not in without
    }
    found: dict[str, tuple[str, Path]] = {}
    names: dict[str, str] = {}
    for path in (path for folder in folders for path in images_in(folder).images):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        names[path.name] = sha256
        if sha256 in wanted and sha256 not in found:
            found[sha256] = (path.name, path)
    missing = [name for sha256, name in wanted.items() if sha256 not in found]
    if missing:
        altered = [name for name in missing if name in names]
        raise DataError(
            f"{len(missing)} of the {len(wanted)} good images that the bundle was made of are not in "
            f"{', '.join(map(str, folders))}: {_listed(missing)}"
            + (f"; of that name, with other bytes: {_listed(altered)}" if altered else ""),
            hint="name every folder that holds them with --good: the one that was calibrated, and the folder good of "
            "an earlier learning",
        )
    return _with_names_of_their_own(found)


def without_copies(proposal: Proposal, originals: dict[str, tuple[str, Path]], spool: Path, archive: Path) -> Proposal:
    """Without parts that show the same picture as a good part of before: a copy has nothing to teach.

    Raises CalibrationRefused for a good image that is none, DataError for one that is gone from the archive, OSError.
    """
    images = read_each([path for _, path in originals.values()], lambda path: examine_image(path, read_file(path)))
    added: list[Material] = []
    left_out = list(proposal.left_out)
    looked = spool / ".looked-at"
    try:
        for part in proposal.added:
            data = _archived(archive, part)
            looked.write_bytes(data)
            same = find_same(images, examine_image(looked, data))
            if same is None:
                added.append(part)
            else:
                left_out.append(LeftOut(part.part_seq, part.says, Why.SAME_PICTURE, same.path.name))
    finally:
        looked.unlink(missing_ok=True)
    return replace(proposal, added=tuple(added), left_out=tuple(left_out))


def _with_names_of_their_own(found: dict[str, tuple[str, Path]]) -> dict[str, tuple[str, Path]]:
    taken: set[str] = set()
    named = {}
    for sha256, (name, path) in found.items():
        own = name if name not in taken else f"{sha256[:8]}_{name}"
        taken.add(own)
        named[sha256] = (own, path)
    return named


def _archived(archive: Path, part: Material) -> bytes:
    return read_archived(archive, part.row, part.camera)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
