"""The Parquet parts of a replay: what was judged, a part a chunk, and the results that were made of it.

A part gets its name only once it is whole and on the disk: a part that is there is a chunk that is done.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_agent.errors import DataError
from edge_agent.store.fs import write_durably
from edge_agent.tools.replay.image import Judged, ReplayedImage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from edge_agent.tools.plant.manifest import Plan

__all__ = ["Parts", "Results"]

_ALIGNMENT = ("quality", "shift_x_px", "shift_y_px", "angle_deg", "gain", "offset", "scale")
_NUMBERS = ("timings_ms", "shares", "condition")
_RECORDED = {"count": "controller_count", "verdict": "recorded_verdict", "reason": "recorded_reason"}


class Parts:
    """What was judged of a plan: ``chunks/000000012-MARK.parquet``."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder / "chunks", plan
        self._folder.mkdir(exist_ok=True)

    def path(self, chunk: int) -> Path:
        """Where a chunk's part is, once it is done."""
        return self._folder / f"{chunk:09d}-{self._plan.mark}.parquet"

    def missing(self) -> list[int]:
        """The chunks that are not done."""
        done = {path.name for path in self._folder.iterdir()}
        return [chunk for chunk in range(self._plan.chunks) if self.path(chunk).name not in done]

    def write(self, chunk: int, rows: list[dict[str, Any]], proof: str) -> None:
        """Keep what was judged of a chunk; ``proof`` tells the arithmetic of the machine that did it."""
        flat = [_flat_judged(row) for row in rows]
        _write(self.path(chunk), flat, _schema(with_verdict=False), {"proof": proof})

    def proof(self, chunk: int) -> str:
        """As it was given to ``write``."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

        with _damage_said(self.path(chunk)):
            metadata = pq.read_schema(self.path(chunk)).metadata or {}
        return str(metadata.get(b"proof", b"").decode())

    def judged(self, chunk: int) -> Iterator[Judged]:
        """What ``write`` kept, in its order. Raises DataError for a part that is damaged."""
        rows = _read(self.path(chunk))
        if len(rows) != self._plan.size(chunk):
            raise DataError(
                f"{self.path(chunk)} has {len(rows)} images, and not {self._plan.size(chunk)}",
                hint="remove this one file: the same command judges its images again",
            )
        for row in rows:
            inspection = None if row["outcome"] is None else _nested(row)
            yield Judged.of_row({"file": row["file"], "sha256": row["sha256"], "inspection": inspection})


class Results:
    """Every image with its verdict: ``results/000000012-MARK.parquet``. May be walked through more than once."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder / "results", plan
        self._folder.mkdir(exist_ok=True)

    def __len__(self) -> int:
        return self._plan.images

    def __contains__(self, image: object) -> bool:
        return any(one == image for one in self)

    def __iter__(self) -> Iterator[ReplayedImage]:
        for chunk in range(self._plan.chunks):
            for row in _read(self._path(chunk)):
                yield ReplayedImage.of_row(_nested_image(row))

    def write(self, chunk: int, images: Collection[ReplayedImage]) -> None:
        """Write the part of a chunk."""
        _write(self._path(chunk), [_flat_image(image.to_row()) for image in images], _schema(with_verdict=True), {})

    def _path(self, chunk: int) -> Path:
        return self._folder / f"{chunk:09d}-{self._plan.mark}.parquet"


def _schema(*, with_verdict: bool) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    text, real, whole, yes_no = pa.string(), pa.float64(), pa.int64(), pa.bool_()
    inspection = [
        ("sha256", text),
        *((name, text) for name in ("outcome", "inspection_reason", "detail", "bundle_id")),
        *((name, real) for name in ("score", "score_limit")),
        *((f"align_{name}", real) for name in _ALIGNMENT),
        *((name, pa.map_(text, real)) for name in _NUMBERS),
    ]
    verdict = [
        *((name, text) for name in ("verdict", "reason", "difference")),
        ("is_altered", yes_no),
        ("part_seq", whole),
        ("controller_count", whole),
        *((name, text) for name in ("recorded_verdict", "recorded_reason", "decided_utc")),
        ("simulated", yes_no),
    ]
    return pa.schema([("file", text), *(verdict if with_verdict else []), *inspection])


def _write(path: Path, rows: list[dict[str, Any]], schema: Any, metadata: dict[str, str]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    import pyarrow.parquet as pq  # noqa: PLC0415

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.with_metadata(metadata)), buffer)
    write_durably(path, buffer.getvalue())


def _read(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

    with _damage_said(path):
        rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


@contextmanager
def _damage_said(path: Path) -> Iterator[None]:
    """Raise DataError with the file's name where it is no whole Parquet file: a disk or a person damaged it."""
    from pyarrow import ArrowException  # noqa: PLC0415 - an extra

    try:
        yield
    except (ArrowException, OSError) as err:
        if isinstance(err, OSError) and err.errno is not None:
            raise
        raise DataError(
            f"{path} is damaged: {str(err).splitlines()[0][:200]}",
            hint="remove this one file: the same command judges its images again",
        ) from err


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """An inspection as columns."""
    aligned = found["alignment"] or {}
    return {
        "sha256": found["image_sha256"],
        "outcome": found["outcome"],
        "inspection_reason": found["reason"],
        "detail": found["detail"],
        "bundle_id": found["bundle_id"],
        "score": found["score"],
        "score_limit": found["limit"],
        **{f"align_{name}": aligned.get(name) for name in _ALIGNMENT},
        **{name: list(found[name].items()) for name in _NUMBERS},
    }


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """The inspection that ``_flat`` made columns of."""
    aligned = {name: row[f"align_{name}"] for name in _ALIGNMENT}
    return {
        "outcome": row["outcome"],
        "reason": row["inspection_reason"],
        "score": row["score"],
        "limit": row["score_limit"],
        "bundle_id": row["bundle_id"],
        "image_sha256": row["sha256"],
        "alignment": None if aligned["quality"] is None else aligned,
        "detail": row["detail"],
        **{name: dict(row[name] or ()) for name in _NUMBERS},
    }


def _flat_judged(row: dict[str, Any]) -> dict[str, Any]:
    columns = {} if row["inspection"] is None else _flat(row["inspection"])
    return {"file": row["file"], **columns, "sha256": row["sha256"]}


def _flat_image(row: dict[str, Any]) -> dict[str, Any]:
    recorded = row["recorded"] or {}
    columns = {_RECORDED.get(name, name): value for name, value in recorded.items()}
    told = {name: row[name] for name in ("file", "verdict", "reason", "difference", "is_altered")}
    return {**columns, **told, **_flat(row["inspection"])}


def _nested_image(row: dict[str, Any]) -> dict[str, Any]:
    recorded = None
    if row["part_seq"] is not None:
        names = ("part_seq", "count", "verdict", "reason", "simulated", "decided_utc")
        recorded = {name: row[_RECORDED.get(name, name)] for name in names}
    told = {name: row[name] for name in ("file", "verdict", "reason", "difference", "is_altered")}
    return {**told, "recorded": recorded, "inspection": _nested(row)}
