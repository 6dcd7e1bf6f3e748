"""The parts of a study and what they are known to be: a labelled folder of images, or a list as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from typing import TYPE_CHECKING

from edge_agent.errors import DataError
from edge_agent.files.bounded import read_bounded
from edge_agent.inspection.containers.image_files import every_one, look_into, named, unreadable
from edge_agent.store.shrink import received_bytes
from edge_agent.store.study import MOST_PARTS, StudyPart
from edge_agent.wording import tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge_agent.store.study import Plan

__all__ = ["notes_of", "parts_in_folder", "parts_in_list", "runs_of"]

_LIST_MAX_BYTES = 2**20
_KNOWN = {"good": False, "defective": True}
_AIAG_PARTS = 50
_DEFAULT_RUNS = 3


def parts_in_list(path: Path) -> tuple[StudyPart, ...]:
    """The parts of a CSV with the columns ``part`` and ``known`` (good or defective), for a study on the line.

    Raises DataError, naming the row, and OSError.
    """
    rows = _rows(path, ("part", "known"))
    names = Counter(row["part"] for row in rows)
    if twice := [name for name, times in names.items() if times > 1]:
        raise DataError(f"{path}: part {named(twice)} is there twice", hint="each part has one row, and its own name")
    return _checked(tuple(StudyPart(row["part"], _known(path, row)) for row in rows), path)


def parts_in_folder(folder: Path, listed: Path | None = None) -> tuple[StudyPart, ...]:
    """The parts of a labelled folder, or of a CSV with the columns ``image``, ``part`` and ``known``, its images there.

    A folder holds ``good/``; every other folder in it holds defective parts. In each, a folder is one part with its
    images, and an image beside them is a part of its own. Raises DataError, OSError.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", hint="name a folder with good/ and a folder of defective parts")
    found = _by_list(folder, listed) if listed else _by_folder(folder)
    images = [path for _, paths in found.values() for path in paths]
    if closed := unreadable(images):
        raise DataError(every_one(closed, len(images)), hint="remove them, or make them readable")
    parts = tuple(
        StudyPart(name, is_defective, tuple((str(p.relative_to(folder)), _digest(p)) for p in paths))
        for name, (is_defective, paths) in found.items()
    )
    return _checked(parts, folder)


def runs_of(parts: Sequence[StudyPart], asked: int | None) -> int:
    """In how many runs parts are shown: three by default, or as often as the part with the fewest images has some.

    Where every part has one image, it is judged again in each run. Raises DataError where a part lacks an image.
    """
    have = [len(part.images) for part in parts]
    if max(have) <= 1:
        return asked or _DEFAULT_RUNS
    runs = asked or max(2, min(have))
    if short := [f"{part.name} ({len(part.images)})" for part in parts if len(part.images) < runs]:
        raise DataError(
            f"{named(short)}: fewer images than the {runs} runs of the study",
            hint="give every part an image for every run, or leave that part out; two runs are the least",
        )
    return runs


def notes_of(plan: Plan) -> tuple[str, ...]:
    """What is to be known of a study before its numbers are read, in the language that is spoken."""
    have = [len(part.images) for part in plan.parts]
    more = sum(number > plan.runs for number in have)
    said = []
    if max(have) == 1:
        said.append(
            tr(
                "Each part has one image, which was judged again in every run: this says nothing of how well camera "
                "and light repeat."
            )
        )
    if more:
        said.append(
            tr(
                "{number} parts have more images than the study has runs: of each, the first {runs} by name count.",
                number=more,
                runs=plan.runs,
            )
        )
    if len(plan.parts) < _AIAG_PARTS:
        said.append(
            tr(
                "AIAG asks for {wanted} parts, these are {number}: the bounds are wide.",
                wanted=_AIAG_PARTS,
                number=len(plan.parts),
            )
        )
    return tuple(said)


def _by_folder(folder: Path) -> Mapping[str, tuple[bool, list[Path]]]:
    found: dict[str, tuple[bool, list[Path]]] = {}
    for label in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        is_defective = label.name != "good"
        lies = look_into(label)
        for part in lies.folders:
            found[f"{label.name}/{part.name}"] = is_defective, look_into(part).images
        for image in lies.images:
            found[f"{label.name}/{image.name}"] = is_defective, [image]
    return found


def _by_list(folder: Path, listed: Path) -> Mapping[str, tuple[bool, list[Path]]]:
    found: dict[str, tuple[bool, list[Path]]] = {}
    for row in _rows(listed, ("image", "part", "known")):
        is_defective, image = _known(listed, row), folder / row["image"]
        if not image.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{listed}, {row['image']}: not in {folder}", hint="name images within the folder")
        before = found.setdefault(row["part"], (is_defective, []))
        if before[0] is not is_defective:
            raise DataError(
                f"{listed}: part {row['part']} is good in one row and defective in another", hint="say one of them"
            )
        before[1].append(image)
    return found


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        text = read_bounded(path, _LIST_MAX_BYTES).decode("utf-8-sig")
        head, _, _ = text.partition("\n")
        found = list(csv.DictReader(io.StringIO(text), delimiter=";" if ";" in head else ",", strict=True))
    except (ValueError, csv.Error) as err:  # UnicodeDecodeError is a ValueError
        raise DataError(f"{path} is no list of parts: {err}", hint=_list_hint(columns)) from None
    if not found or any(name not in found[0] for name in columns):
        raise DataError(f"{path} lacks rows, or one of the columns {', '.join(columns)}", hint=_list_hint(columns))
    rows = [{name: (row[name] or "").strip() for name in columns} for row in found]
    for number, row in enumerate(rows, 2):
        if not all(row.values()) or not all(value.isprintable() for value in row.values()):
            raise DataError(f"{path}, line {number}: a field is empty, or no plain text", hint=_list_hint(columns))
    return rows


def _list_hint(columns: Sequence[str]) -> str:
    return f"a CSV file with the columns {', '.join(columns)}; known is good or defective"


def _known(path: Path, row: Mapping[str, str]) -> bool:
    word = row["known"].lower()
    if word not in _KNOWN:
        raise DataError(
            f"{path}: part {row['part']} is {row['known']!r}, which is neither good nor defective",
            hint="a part whose state is not known does not belong into a study",
        )
    return _KNOWN[word]


def _checked(parts: tuple[StudyPart, ...], where: Path) -> tuple[StudyPart, ...]:
    good = sum(not part.is_defective for part in parts)
    if not good or good == len(parts):
        lacks = "good" if not good else "defective"
        raise DataError(
            f"{where} holds no {lacks} part",
            hint="a study needs both: a folder good/ and one of defective parts, or both words in the list",
        )
    if len(parts) > MOST_PARTS:
        raise DataError(f"{where} holds {len(parts)} parts, at most {MOST_PARTS} are one study", hint="take fewer")
    return parts


def _digest(path: Path) -> str:
    return hashlib.sha256(received_bytes(path)).hexdigest()
