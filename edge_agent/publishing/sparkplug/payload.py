"""Sparkplug B's payload on the wire: protobuf, with the field numbers of the public definition.

Only what an edge node of plain metrics writes and what it reads of a command. A field that is not named here (data
sets, templates, properties) is passed over when a payload is read, as protobuf does with every field it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_agent.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DataType", "Metric", "Read", "Value", "decoded", "encoded", "payload_library"]

Value = bool | int | float | str | None
_PACKAGE = "edge_agent.sparkplug"
_OPTIONAL, _REPEATED = 1, 3
_DOUBLE, _UINT64, _BOOL, _STRING, _MESSAGE, _UINT32 = 1, 4, 8, 9, 11, 13
_PAYLOAD_FIELDS = (("timestamp", 1, _UINT64), ("metrics", 2, _MESSAGE), ("seq", 3, _UINT64))
_METRIC_FIELDS = (
    ("name", 1, _STRING),
    ("timestamp", 3, _UINT64),
    ("datatype", 4, _UINT32),
    ("is_historical", 5, _BOOL),
    ("is_null", 7, _BOOL),
    ("int_value", 10, _UINT32),
    ("long_value", 11, _UINT64),
    ("double_value", 13, _DOUBLE),
    ("boolean_value", 14, _BOOL),
    ("string_value", 15, _STRING),
)


class DataType(IntEnum):
    """The data types that are used here, by their number on the wire."""

    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13

    @property
    def words(self) -> str:
        """As Sparkplug's documents write it."""
        return {"INT64": "Int64", "DATE_TIME": "DateTime"}.get(self.name, self.name.capitalize())


_FIELD_OF = {
    DataType.INT64: "long_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.DATE_TIME: "long_value",
}
_WHOLE = frozenset({DataType.INT64, DataType.DATE_TIME})
_BITS = 64


@dataclass(frozen=True, slots=True)
class Metric:
    """One value with its name; ``at_ms`` is UTC since 1970. ``value`` None is null, whatever the type."""

    name: str
    datatype: DataType
    value: Value
    at_ms: int
    is_historical: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A payload that came in: each metric's name, and its value where that is a plain one."""

    metrics: tuple[tuple[str, Value], ...]


def encoded(metrics: Sequence[Metric], at_ms: int, seq: int | None) -> bytes:
    """A payload's bytes. ``seq`` None in a node's death alone.

    Each metric says its type, also in data, where Sparkplug would rather not have it: the decoder of Eclipse Tahu for
    JavaScript reads every value without a type as null.

    Raises ValueError for a value that its type cannot hold; Unavailable where the protobuf library is not installed.
    """
    payload = _classes()[0]()
    payload.timestamp = at_ms
    if seq is not None:
        payload.seq = seq
    for metric in metrics:
        one = payload.metrics.add()
        one.name, one.timestamp, one.datatype = metric.name, metric.at_ms, metric.datatype
        if metric.is_historical:
            one.is_historical = True
        if metric.value is None:
            one.is_null = True
        else:
            setattr(one, _FIELD_OF[metric.datatype], _on_the_wire(metric))
    return bytes(payload.SerializeToString())


def decoded(data: bytes) -> Read:
    """What came in. Raises ValueError for bytes that are no payload."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - an extra

    payload = _classes()[0]()
    try:
        payload.ParseFromString(data)
    except DecodeError as err:
        raise ValueError(f"no Sparkplug payload: {err}") from err
    if any(not isinstance(one.name, str) for one in payload.metrics):  # bytes, where it is no UTF-8
        raise ValueError("no Sparkplug payload: a metric's name is no UTF-8")
    return Read(tuple((one.name, _value(one)) for one in payload.metrics))


def payload_library() -> None:
    """Raises Unavailable where the protobuf library is not installed, with what to do."""
    _classes()


def _on_the_wire(metric: Metric) -> Value:
    """Signed numbers stand in unsigned fields, as their two's complement."""
    if metric.datatype not in _WHOLE:
        return metric.value
    number = int(metric.value or 0)
    if not -(1 << (_BITS - 1)) <= number < 1 << (_BITS - 1):
        raise ValueError(f"{metric.name}: {number} does not fit into {metric.datatype.words}")
    return number & ((1 << _BITS) - 1)


def _value(one: Any) -> Value:
    field = one.WhichOneof("value")
    found: Value = None if field is None else getattr(one, field)
    return found


@cache
def _classes() -> tuple[Any, Any]:
    """The classes of a payload and of a metric, made of the tables above."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise Unavailable(
            "results shall go out as Sparkplug B, and the protobuf library is not installed",
            hint="pip install 'edge-agent[sparkplug]', or remove [sparkplug] from line.toml",
        ) from err
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b", package=_PACKAGE, syntax="proto2")
    payload, metric = file.message_type.add(name="Payload"), file.message_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for name, number, kind in _PAYLOAD_FIELDS:
        is_many = kind == _MESSAGE
        label = _REPEATED if is_many else _OPTIONAL
        type_name = f".{_PACKAGE}.Metric" if is_many else None
        payload.field.add(name=name, number=number, label=label, type=kind, type_name=type_name)
    for name, number, kind in _METRIC_FIELDS:
        field = metric.field.add(name=name, number=number, label=_OPTIONAL, type=kind)
        if name.endswith("_value"):
            field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _NAMES]
    return made[0], made[1]


_NAMES = ("Payload", "Metric")
