"""ONNX Runtime sessions that share two cores with an event loop."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Network"]

_ERRORS_ONLY = 3


class Network:
    """One ONNX file with one input and one output. ``run`` may be called from one thread at a time.

    Of the process it takes NumPy's own threads away.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        _without_blas_threads()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Operators one after the other: these networks are chains, and a second pool of threads would only wait.
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        # A spinning pool would take the core that the event loop needs for its heartbeat.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"expected one input and one output, got {len(inputs)} and {len(outputs)}")
        self._input_name = inputs[0].name
        self.input_shape: tuple[int | str, ...] = tuple(inputs[0].shape)
        self.output_shape: tuple[int | str, ...] = tuple(outputs[0].shape)

    def run(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's output for one float32 array of its input shape."""
        return np.asarray(self._session.run(None, {self._input_name: array})[0], dtype=np.float32)


@cache
def _without_blas_threads() -> None:
    """NumPy's products on the thread that asks for them.

    Between two products its threads wait busily: they take the cores from the network for longer than they help, and
    what they compute hangs on their number (docs/decisions/0061).
    """
    threadpool_limits(1, user_api="blas")
