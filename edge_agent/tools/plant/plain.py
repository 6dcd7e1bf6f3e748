"""What came of an item as bytes that nobody has to trust: arrays and plain values, never a pickle.

A file of NumPy's: the arrays as they are, and beside them a tree of JSON that says where each belongs. Reading it runs
no code of whoever wrote it.
"""

from __future__ import annotations

import io
import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from calibration.choosing.synthetic_defects import DefectKind, SyntheticDefect
from calibration.good_parts.known import KnownImage
from calibration.limits.defects import Defect
from calibration.training.train import CurvePoint
from edge_agent.domain import Alignment, Outcome, Reason
from edge_agent.inspection.networks.channels import Channel, View
from edge_agent.inspection.scoring.quantity import Quantity

__all__ = ["from_bytes", "to_bytes"]

_ENUMS: Final = {one.__name__: one for one in (Channel, DefectKind, Outcome, Quantity, Reason, View)}
_VALUES: Final = {one.__name__: one for one in (Alignment, CurvePoint, Defect, KnownImage, SyntheticDefect)}
_TREE: Final = "tree"


def to_bytes(value: Any) -> bytes:
    """Raises TypeError for what is neither an array nor plain, nor one of the values that calibration knows."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = json.dumps(_written(value, arrays)).encode()
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **{_TREE: np.frombuffer(tree, np.uint8)}, **arrays)
    return data.getvalue()


def from_bytes(data: bytes) -> Any:
    """The same value again, to the last bit. Raises ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return _read(json.loads(arrays[_TREE].tobytes()), arrays)


def _written(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> list[Any]:
    match value:
        case np.ndarray():
            name = f"a{len(arrays)}"
            arrays[name] = value
            return ["array", name]
        case Enum() if _ENUMS.get(type(value).__name__) is type(value):
            return ["enum", type(value).__name__, value.name]
        case None | bool() | int() | float() | str() if not isinstance(value, Enum):
            return ["plain", value]
        case Path():
            return ["path", str(value)]
        case tuple() | list():
            kind = "tuple" if isinstance(value, tuple) else "list"
            return [kind, [_written(one, arrays) for one in value]]
        case dict():
            return ["dict", [[_written(key, arrays), _written(one, arrays)] for key, one in value.items()]]
        case _ if is_dataclass(value) and _VALUES.get(type(value).__name__) is type(value):
            kept = [_written(getattr(value, field.name), arrays) for field in fields(value)]
            return ["value", type(value).__name__, kept]
        case _:
            raise TypeError(f"{type(value).__name__} is no plain value")


def _read(tree: list[Any], arrays: Any) -> Any:
    kind, *rest = tree
    match kind:
        case "array":
            return arrays[rest[0]]
        case "plain":
            return rest[0]
        case "enum":
            return _ENUMS[rest[0]][rest[1]]
        case "path":
            return Path(rest[0])
        case "tuple":
            return tuple(_read(one, arrays) for one in rest[0])
        case "list":
            return [_read(one, arrays) for one in rest[0]]
        case "dict":
            return {_read(key, arrays): _read(one, arrays) for key, one in rest[0]}
        case "value":
            return _VALUES[rest[0]](*(_read(one, arrays) for one in rest[1]))
        case _:
            raise ValueError(f"no kind {kind!r}")
