"""Writes ONNX files node by node: the same weights give the same bytes, and no path of this machine gets in.

An exporter that traces writes stack traces, versions and file paths into the file; a bundle's id must not
depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, checker, compose, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto

__all__ = ["OnnxGraph"]

_OPSET = 17
_IR_VERSION = 9
_PREFIX = "included/"


class OnnxGraph:
    """A graph with one float32 input and one float32 output, built from front to back."""

    def __init__(self, name: str, input_name: str, input_shape: Sequence[int | str]) -> None:
        self._name = name
        self._input = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, list(input_shape))
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._opsets, self._ir_version = [helper.make_opsetid("", _OPSET)], _IR_VERSION

    def include(self, model: ModelProto, x: str) -> None:
        """Go on with another file's graph of one input, fed with ``x``. Its tensors keep their names in ``included``.

        The file's versions of ONNX become this one's.
        """
        graph = compose.add_prefix(model, _PREFIX).graph
        self._nodes += [helper.make_node("Identity", [x], [graph.input[0].name], name="feed"), *graph.node]
        self._constants += graph.initializer
        self._opsets, self._ir_version = list(model.opset_import), model.ir_version

    @staticmethod
    def included(tensor: str) -> str:
        """The name here of a tensor of the included graph."""
        return _PREFIX + tensor

    def constant(self, value: NDArray[Any]) -> str:
        """Put an array of any shape and type into the file as it is; returns its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def scalar(self, value: float) -> str:
        """Put one float32 into the file; returns its name."""
        return self.constant(np.asarray(value, np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node; returns the name of its one output."""
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def finish(self, output: str, output_name: str, output_shape: Sequence[int | str]) -> bytes:
        """The finished file, with ``output`` under its public name."""
        self._nodes.append(helper.make_node("Identity", [output], [output_name], name="output"))
        info = helper.make_tensor_value_info(output_name, TensorProto.FLOAT, list(output_shape))
        graph = helper.make_graph(self._nodes, self._name, [self._input], [info], self._constants)
        model = helper.make_model(graph, opset_imports=self._opsets, producer_name="edge-agent")
        model.ir_version = self._ir_version
        checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
