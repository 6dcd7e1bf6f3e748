"""Parquet: the columns' types, and what stands in the foot of each file. The only place of pyarrow."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, Any

from edge_agent.errors import DataError, Unavailable
from edge_agent.warehouse.columns import CONDITIONS, DATASETS, POSES, SCHEMA_VERSION, SHARES

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.warehouse.reading import Block

__all__ = ["Foot", "as_bytes", "foot_of", "joined", "library", "rows_of", "table_of"]

_KEY = b"edge_agent"
_GROUP_ROWS = 100_000
_FOOT_BYTES = 1 << 17
_MANY_VALUES = frozenset(
    [
        *("part_seq", "decided_utc", "decided_local", "score", "serial", "controller_count", "decided_ms"),
        *("published_ms", "spare_ms", "measured", "measured_text", "image_sha256", "image_name", "inspection_ms"),
        *("event_id", "at_utc", "at_local"),
        *(f"share_{name}" for name in SHARES),
        *(f"condition_{name}" for name in CONDITIONS),
        *(f"align_{name}" for name in POSES),
    ]
)
"""Columns that hardly repeat a value: the list of values that Parquet writes for others is only in the way there."""


@dataclass(frozen=True, slots=True)
class Foot:
    """What a file says of itself: which links of which stretch it holds, with the hash of the last.

    ``problems`` are links within them that have no row in the journal.
    """

    dataset: str
    line: str
    history: str
    first_link: int
    last_link: int
    last_sha256: str
    rows: int
    last_part_seq: int = 0
    problems: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION


def library() -> Any:
    """The package pyarrow. Raises Unavailable where it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as err:
        raise Unavailable(
            "a store of Parquet files needs the package pyarrow, which is not installed",
            hint="pip install 'edge-agent[parquet]'",
        ) from err
    return pa


def table_of(dataset: str, history: str, block: Block) -> Any:
    """The rows of a block as a table of the data set's columns."""
    pa = library()
    kinds = _kinds(pa)
    number = len(block.links)
    arrays, fields = [], []
    for column in DATASETS[dataset].columns:
        values = [history] * number if column.name == "history" else block.columns[column.name]
        arrays.append(pa.array(values, kinds[column.kind]))
        fields.append(pa.field(column.name, kinds[column.kind]))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def joined(tables: list[Any]) -> Any:
    """Several tables of one data set as one."""
    return library().concat_tables(tables)


def as_bytes(table: Any, foot: Foot) -> bytes:
    """A whole file."""
    pa = library()
    said = {_KEY: json.dumps({**asdict(foot), "edge_agent": version("edge-agent")})}
    with pa.BufferOutputStream() as to:
        pa.parquet.write_table(
            table.replace_schema_metadata(said),
            to,
            compression="zstd",
            row_group_size=_GROUP_ROWS,
            use_dictionary=[name for name in table.column_names if name not in _MANY_VALUES],
        )
        return bytes(to.getvalue())


def foot_of(name: str, end_of: Callable[[int], bytes]) -> Foot:
    """What a file of the store says of itself, read from its end alone: ``end_of`` gives its last so many bytes.

    Raises DataError for another file, or one of a newer version.
    """
    pa = library()
    try:
        data = end_of(_FOOT_BYTES)
        length = int.from_bytes(data[-8:-4], "little") + 8
        if length > len(data):
            data = end_of(length)
        told = json.loads(pa.parquet.read_metadata(BytesIO(data)).metadata[_KEY])
        schema = told["schema_version"]
        if schema == SCHEMA_VERSION:
            told["problems"] = tuple(told["problems"])
            return Foot(**{name: told[name] for name in Foot.__slots__})
    except (pa.ArrowException, KeyError, TypeError, ValueError) as err:
        raise DataError(
            f"{name} is no file of this store, or is damaged: {err}",
            hint="move it away; what it held is exported again",
        ) from err
    raise DataError(
        f"{name} has the columns of version {schema}, this edge-agent writes version {SCHEMA_VERSION}",
        hint="export with the version that wrote it, or a newer one",
    )


def rows_of(data: bytes) -> Any:
    """All rows of a file, as a table."""
    pa = library()
    return pa.parquet.read_table(BytesIO(data)).replace_schema_metadata(None)


def _kinds(pa: Any) -> dict[str, Any]:
    return {
        "int64": pa.int64(),
        "int32": pa.int32(),
        "bool": pa.bool_(),
        "text": pa.string(),
        "float64": pa.float64(),
        "float32": pa.float32(),
        "utc": pa.timestamp("ms", "UTC"),
        "local": pa.timestamp("ms"),
        "date": pa.date32(),
        "numbers": pa.map_(pa.string(), pa.float64()),
        "texts": pa.map_(pa.string(), pa.string()),
    }
