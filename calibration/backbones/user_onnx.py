"""A user's own network from an ONNX file: taps by name, input scaling as stated, proven to fit before all else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx.inliner import inline_local_functions

from calibration.backbones.heads import finish_grid, finish_pooled
from calibration.onnx_graph import OnnxGraph
from edge_agent.errors import DataError
from edge_agent.files.bounded import read_bounded
from edge_agent.inspection.networks.onnx_file import check_onnx
from edge_agent.inspection.networks.sessions import Network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Scaling", "UserOnnx"]

_LEAST_OPSET = 15
_MOST_BYTES = 2**31 - 1  # of one message of protocol buffers
_SIZES_PX = ((160, 224), (323, 451))
"""Two images that a network of any size must take; the second is no multiple of anything."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the network was trained on: (x - mean) / std, x RGB in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Tap:
    """A tensor of the file, how many features it has, and its rows in both images."""

    name: str
    features: int
    rows: tuple[int, int]


class UserOnnx:
    """``pooled_onnx`` pools the last tap; ``grid_onnx`` has all taps, at the stride of the coarsest."""

    def __init__(self, file: Path, taps: Sequence[str], scaling: Scaling) -> None:
        """Raises DataError for a file or a tap that cannot be used."""
        self._file, self._scaling = file, scaling
        data = _read(file)
        self._sha256 = hashlib.sha256(data).hexdigest()
        self._model = _parsed(file, data)
        _check_input(file, self._model)
        _check_taps(file, self._model, taps)
        self._model = _up_to(self._model, taps)
        _check_plain(file, self._model)
        self._taps = [self._measured(tap) for tap in taps]

    @property
    def facts(self) -> dict[str, object]:
        """The file, its taps and its scaling."""
        return {
            "name": self._file.name,
            "sha256": self._sha256,
            "taps": [tap.name for tap in self._taps],
            "mean": list(self._scaling.mean),
            "std": list(self._scaling.std),
        }

    @property
    def taps(self) -> tuple[str, ...]:
        """The name of the last tap: the only one that the paper's score looks at in a file."""
        return (self._taps[-1].name,)

    @property
    def has_own_taps(self) -> bool:
        """Never: what it taps is where every score looks."""
        return False

    @property
    def depths(self) -> tuple[int, ...]:
        """How many features the last tap has: the only one that the paper's score looks at in a file."""
        return (self._taps[-1].features,)

    def depths_onnx(self) -> bytes:
        """As ``pooled_onnx``."""
        return self._pooled

    def pooled_onnx(self) -> bytes:
        """To ``embedding`` (1, 3 d), d the features of the last tap."""
        return self._pooled

    def grid_onnx(self) -> bytes:
        """To ``features`` (1, d, rows, columns), d the features of all taps."""
        return self._grid

    def overview_onnx(self, *, grey: bool = False) -> bytes:
        """To ``features`` of the last tap."""
        del grey  # the file takes what it takes
        return self._grid_of(self._taps[-1:])

    def native_onnx(self, *, grey: bool = False) -> bytes:
        """As ``overview_onnx``."""
        return self.overview_onnx(grey=grey)

    def fine_onnx(self) -> bytes:
        """To ``features`` of the first tap, at the stride of the coarsest."""
        return self._grid_of(self._taps[:1])

    def original(self, model: bytes, image: NDArray[np.float32]) -> None:  # noqa: ARG002 - as every backbone
        """None, whatever the shape of the image: the file is all there is of it."""
        return

    @cached_property
    def _pooled(self) -> bytes:
        last = self._taps[-1]
        return finish_pooled(self._begun(), OnnxGraph.included(last.name), last.features)

    @cached_property
    def _grid(self) -> bytes:
        return self._grid_of(self._taps)

    def _grid_of(self, chosen: Sequence[_Tap]) -> bytes:
        coarsest = min(tap.rows[1] for tap in self._taps)
        taps = [(OnnxGraph.included(tap.name), max(1, round(tap.rows[1] / coarsest))) for tap in chosen]
        return finish_grid(self._begun(), taps, sum(tap.features for tap in chosen), rounds_up=False)

    def _begun(self) -> OnnxGraph:
        graph = OnnxGraph("user-backbone", "image", [1, 3, "height", "width"])
        mean, std = (np.asarray(v, np.float32).reshape(1, 3, 1, 1) for v in (self._scaling.mean, self._scaling.std))
        scaled = graph.add("Div", graph.add("Sub", "image", graph.constant(mean)), graph.constant(std))
        graph.include(self._model, scaled)
        return graph

    def _measured(self, name: str) -> _Tap:
        """Run it: what a file declares of inner tensors is often nothing, and sometimes wrong."""
        shapes, probe = [], onnx.ModelProto()
        probe.CopyFrom(self._model)
        probe.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
        for height, width in _SIZES_PX:
            try:
                network = Network(probe.SerializeToString(), 1)
                shapes.append(network.run(np.full((1, 3, height, width), 0.5, np.float32)).shape)
            except Exception as err:  # ONNX Runtime raises exceptions of its own
                raise DataError(
                    f"{self._file} does not run up to {name} on an image of {width} x {height} px: {err}",
                    hint="export it for any height and width, as float32, with the operators of plain ONNX",
                ) from err
        small, large = shapes
        is_spatial = len(small) == 4 and small[1] == large[1] and small[2] < large[2] and small[3] < large[3]
        if not is_spatial:
            raise DataError(
                f"{name} of {self._file} is not spatial: its shape is {small}, of a larger image {large}",
                hint="tap what is (1, features, rows, columns) and grows with the image, before any global pooling",
            )
        return _Tap(name, small[1], (small[2], large[2]))


def _read(file: Path) -> bytes:
    try:
        return read_bounded(file, _MOST_BYTES)
    except (OSError, ValueError) as err:
        why = getattr(err, "strerror", None) or err
        raise DataError(f"{file} cannot be read: {why}", hint="name an ONNX file") from err


def _parsed(file: Path, data: bytes) -> Any:
    try:
        model = onnx.load_model_from_string(data)
        if model.functions:
            model = inline_local_functions(model)
    except Exception as err:  # protobuf raises exceptions of its own
        raise DataError(f"{file} is not an ONNX file: {err}", hint="export it again") from err
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise DataError(
            f"{file} keeps its weights in another file", hint="export it as one file, without external data"
        )
    opset = next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 0)
    if opset < _LEAST_OPSET:
        raise DataError(f"{file} has opset {opset}", hint=f"export it with opset {_LEAST_OPSET} or later")
    return model


def _check_plain(file: Path, model: Any) -> None:
    try:
        check_onnx(model.SerializeToString())
    except ValueError as err:
        raise DataError(f"{file}: {err}", hint="export it as one file, with the operators of plain ONNX") from err


def _check_input(file: Path, model: Any) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise DataError(f"{file} has {len(inputs)} inputs", hint="it must take one image, nothing else")
    tensor = inputs[0].type.tensor_type
    shape = [d.dim_value if d.dim_value > 0 else (d.dim_param or "?") for d in tensor.shape.dim]
    shown = f"the input {inputs[0].name} of {file} is {shape}"
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise DataError(f"{shown} of {kind}", hint="export it for float32, without its own conversion of pixels")
    if len(shape) != 4 or (shape[1] != 3 and (isinstance(shape[1], int) or shape[3] == 3)):
        raise DataError(f"{shown}, expected (1, 3, height, width)", hint="export it for RGB planes: channels first")
    if isinstance(shape[0], int) and shape[0] != 1:
        raise DataError(
            f"{shown}: it takes {shape[0]} images at once", hint="export it for a batch of 1, or of any size"
        )
    if isinstance(shape[2], int) or isinstance(shape[3], int):
        raise DataError(f"{shown}: its size is fixed", hint="export it with dynamic height and width")


def _check_taps(file: Path, model: Any, taps: Sequence[str]) -> None:
    known = [name for node in model.graph.node for name in node.output if name]
    for tap in taps:
        if tap not in known:
            near = get_close_matches(tap, known, n=5, cutoff=0.4) or known[-5:]
            raise DataError(f"{file} has no tensor {tap}", hint=f"taps are names of tensors, such as {', '.join(near)}")


def _up_to(model: Any, taps: Sequence[str]) -> Any:
    """The same file without what the taps do not need."""
    needed, kept = set(taps), []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_read_by(node))
    pruned = onnx.ModelProto()
    pruned.CopyFrom(model)
    for field, values in (
        ("node", kept[::-1]),
        ("initializer", [t for t in model.graph.initializer if t.name in needed]),
        ("output", []),
        ("value_info", []),
    ):
        del getattr(pruned.graph, field)[:]
        getattr(pruned.graph, field).extend(values)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in [v for v in pruned.graph.input if v.name in constants]:
        pruned.graph.input.remove(value)
    return pruned


def _read_by(node: Any) -> set[str]:
    """Tensors that a node reads, those of its inner graphs too."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for inner_node in inner.node:
                names |= _read_by(inner_node)
            names |= {value.name for value in inner.output}
    return names
