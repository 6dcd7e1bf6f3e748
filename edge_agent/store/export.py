"""Parts of the journal for other programs: CSV, JSON Lines, Parquet. One record an image, or a part without one.

Times of day are UTC labels of this PC's clock; the order is that of ``part_seq``.
"""

from __future__ import annotations

import csv
import json
import math
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Literal

from edge_agent.errors import Unavailable
from edge_agent.store.reviewed import ReviewBook, said_record
from edge_agent.store.stock import NAME

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from drivers.base import Published, Reason, Verdict
    from edge_agent.reviews.settling import Standing
    from edge_agent.store.reader import JournalReader
    from edge_agent.store.reviewed import Reviewed
    from edge_agent.store.rows import CameraRow, PartRow

__all__ = ["COLUMNS", "Encoded", "Format", "Selection", "record_of", "records_of", "safe_text", "write_export"]

Format = Literal["csv", "jsonl", "parquet"]

_PART = ("part_seq", "decided_utc", "verdict", "reason", "published", "detail", "count", "session", "program")
_PART_NUMBERS = ("score", "limit", "first_sign_mono_s", "decided_mono_s", "deadline_mono_s")
_PART_MORE = ("bundle_id", "controller_judgement", "simulated", "boot_id")
_CAMERA = ("camera", "outcome", "camera_reason", "camera_detail", "image_sha256", "image_name", "camera_bundle_id")
_CAMERA_NUMBERS = ("camera_score", "camera_limit")
_POSE = ("quality", "shift_x_px", "shift_y_px", "angle_deg", "gain", "offset", "scale")
COLUMNS = (
    *_PART,
    *_PART_NUMBERS,
    *_PART_MORE,
    *_CAMERA,
    *_CAMERA_NUMBERS,
    *(f"align_{name}" for name in _POSE),
    "shares",
    "timings_ms",
    "measured",
    "condition",
    "review",
    "defect",
    "drawings",
)
"""The columns of every format, in their order: a promise to who reads the files."""

_INTEGERS = {"part_seq", "count", "program", "camera"}
_REALS = {*_PART_NUMBERS, *_CAMERA_NUMBERS, *(f"align_{name}" for name in _POSE)}
_BATCH = 5000
_AT_ONCE = 250
_HAS_IMAGE = "part_seq IN (SELECT part_seq FROM camera WHERE '/' || replace(image_name, '\\', '/') GLOB ?)"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which parts; None is any. Times are ISO 8601 in UTC as the journal writes them, ``until`` not included."""

    since_utc: str | None = None
    until_utc: str | None = None
    verdict: Verdict | None = None
    reason: Reason | None = None
    program: int | None = None
    part: int | None = None
    count: int | None = None
    image: str | None = None
    """The controller's name of an image, or the archive's; a ``*`` stands for anything."""

    def where(self) -> tuple[str, list[str | int]]:
        """The condition for SQLite and its values."""
        asked: list[tuple[str, str | int | None]] = [
            ("decided_utc >= ?", self.since_utc),
            ("decided_utc < ?", self.until_utc),
            ("verdict = ?", self.verdict and str(self.verdict)),
            ("reason = ?", self.reason and str(self.reason)),
            ("program = ?", self.program),
            ("part_seq = ?", self.part),
            ("controller_count = ?", self.count),
            (_HAS_IMAGE, self._image_pattern()),
            ("part_seq = ?", self._archived_part()),
        ]
        given = [(words, value) for words, value in asked if value is not None]
        return " AND ".join(words for words, _ in given) or "1", [value for _, value in given]

    def _archived_part(self) -> int | None:
        """The part that an archived file's own name tells."""
        found = NAME.fullmatch(self._image_name())
        return int(found["seq"]) if found else None

    def _image_pattern(self) -> str | None:
        name = self._image_name()
        if not name or NAME.fullmatch(name):
            return None
        # In GLOB these letters stand for others; in brackets each stands for itself. A person's ``*`` stays what it is.
        return "*/" + "".join(f"[{letter}]" if letter in "?[" else letter for letter in name)

    def _image_name(self) -> str:
        """Without folders: the controller makes those by the day."""
        return (self.image or "").replace("\\", "/").rsplit("/", 1)[-1]


def record_of(
    row: PartRow,
    camera: CameraRow | None,
    published: Published | None,
    told: Sequence[Reviewed] = (),
    standing: Standing | None = None,
) -> dict[str, Any]:
    """One record: what COLUMNS names, None where there is nothing. ``shares``, ``timings_ms`` and so on are JSON.

    ``told`` are the reviews of the part, and ``standing`` is what they mean together.
    """
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    for name in (*_PART, *_PART_NUMBERS, *_PART_MORE):
        found[name] = published if name == "published" else getattr(row, name)
    said = said_record(told, standing, None if camera is None else camera.camera)
    found |= said | {"drawings": json.dumps(said["drawings"]) if said["drawings"] else None}
    found["measured"] = json.dumps(dict(row.measured))
    if camera is not None:
        for name in (*_CAMERA, *_CAMERA_NUMBERS):
            found[name] = getattr(camera, name.removeprefix("camera_"))
        for name in _POSE:
            found[f"align_{name}"] = None if camera.alignment is None else getattr(camera.alignment, name)
        found["shares"], found["timings_ms"] = json.dumps(camera.shares), json.dumps(camera.timings_ms)
        found["condition"] = json.dumps(camera.condition)
    return {name: _plain(value) for name, value in found.items()}


def records_of(
    reader: JournalReader, wanted: Selection, *, is_newest_first: bool = False
) -> Generator[dict[str, Any], None, None]:
    """The records of a selection, one an image, in the order of the parts or the newest first. Raises DataError."""
    where, values = wanted.where()
    book = ReviewBook()
    reviews, standing = book.of(reader), book.settled(reader)
    with closing(reader.select(where, values, is_newest_first=is_newest_first)) as rows:
        while batch := list(islice(rows, _AT_ONCE)):
            published = reader.published_of([row.part_seq for row in batch])
            for row in batch:
                for camera in row.cameras or (None,):
                    seq = row.part_seq
                    yield record_of(row, camera, published.get(seq), reviews.get(seq, ()), standing.get(seq))


def write_export(records: Iterable[dict[str, Any]], to: IO[bytes], fmt: Format) -> int:
    """Write every record; how many there were. Raises Unavailable for Parquet without pyarrow."""
    writers = {"csv": _write_csv, "jsonl": _write_jsonl, "parquet": _write_parquet}
    return writers[fmt](records, to)


def _write_csv(records: Iterable[dict[str, Any]], to: IO[bytes]) -> int:
    lines = csv.writer(Encoded(to))
    lines.writerow(COLUMNS)
    number = 0
    for record in records:
        lines.writerow([safe_text(record[name]) for name in COLUMNS])
        number += 1
    return number


def _write_jsonl(records: Iterable[dict[str, Any]], to: IO[bytes]) -> int:
    number = 0
    for record in records:
        # JSON has no infinity: such a number stands as its name.
        clean = {k: str(v) if isinstance(v, float) and math.isinf(v) else v for k, v in record.items()}
        to.write(json.dumps(clean, allow_nan=False).encode() + b"\n")
        number += 1
    return number


def _write_parquet(records: Iterable[dict[str, Any]], to: IO[bytes]) -> int:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional, and a second to import
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as err:
        raise Unavailable(
            "Parquet needs the package pyarrow, which is not installed",
            hint="pip install 'edge-agent[parquet]', or take --format csv or jsonl",
        ) from err
    kinds = {name: pa.int64() for name in _INTEGERS} | {name: pa.float64() for name in _REALS}
    kinds["simulated"] = pa.bool_()
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    number = 0
    with pq.ParquetWriter(to, schema) as file:
        for batch in _batches(records):
            file.write_table(pa.Table.from_pylist(batch, schema=schema))
            number += len(batch)
    return number


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file of bytes that the csv module can write its text to."""

    to: IO[bytes]

    def write(self, text: str) -> int:
        """Write the text as UTF-8; returns the number of bytes."""
        return self.to.write(text.encode())


def safe_text(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is marked as text: names come from the wire."""
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
