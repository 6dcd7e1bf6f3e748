"""An ONNX file before ONNX Runtime gets it: alone, and of a plain kind.

The runtime opens other files that a network names, and runs loops as often as a network says. The networks of a bundle
have neither. The file is walked field by field as protocol buffers lay it out; nothing is unpacked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_onnx"]

_MOST_FIELDS: Final = 500_000
"""Fields of one file. The largest network that is known here has 9,000."""
# The two names of the standard's own operators; those of a runtime's extensions have others.
_PLAIN_DOMAINS: Final = (b"", b"ai.onnx")
_MOST_KEY: Final = 1 << 32
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5

# The numbers of fields in the messages of onnx.proto.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14


def check_onnx(data: bytes) -> None:
    """Raise ValueError, in words, for a file that is cut off, names other files, or holds networks in its network."""
    walk = _Walk()
    graphs = 0
    for number, content in walk.fields(memoryview(data)):
        if number in (_MODEL_FUNCTIONS, _MODEL_TRAINING):
            raise ValueError("it defines functions of its own, or how to train it: only plain operators are run")
        if number == _MODEL_GRAPH:
            walk.graph(content)
            graphs += 1
    if graphs != 1:
        raise ValueError("it is no ONNX file: there is no network in it" if not graphs else "it holds several networks")


class _Walk:
    """One walk through a file, which ends after so many fields whatever the file says."""

    def __init__(self) -> None:
        self._left = _MOST_FIELDS

    def fields(self, message: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Number and content of every field of one message; of a number the content is its bytes."""
        at = 0
        while at < len(message):
            # One count for the whole file, so that messages within messages cannot multiply it.
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {_MOST_FIELDS} fields: no network of a bundle has so many")
            key, at = _varint(message, at)
            begin, kind = at, key & 7
            if key >= _MOST_KEY:  # other readers take its lower half for a field that is known
                raise ValueError("it is no ONNX file, or damaged")
            if kind == _VARINT:
                _, at = _varint(message, at)
            elif kind == _BYTES:
                length, begin = _varint(message, at)
                at = begin + length
            elif kind in (_EIGHT, _FOUR):
                at += 8 if kind == _EIGHT else 4
            else:
                raise ValueError("it is no ONNX file, or damaged")
            if at > len(message):
                raise ValueError("it is cut off, or no ONNX file")
            yield key >> 3, message[begin:at]

    def graph(self, graph: memoryview) -> None:
        for number, content in self.fields(graph):
            if number == _GRAPH_NODE:
                self._node(content)
            elif number == _GRAPH_TENSOR:
                self._tensor(content)
            elif number == _GRAPH_SPARSE:
                self._sparse(content)

    def _node(self, node: memoryview) -> None:
        name = b"?"
        for number, content in self.fields(node):
            if number == _NODE_OPERATOR:
                name = bytes(content[:64])
            elif number == _NODE_DOMAIN and bytes(content[:64]) not in _PLAIN_DOMAINS:
                raise ValueError(f"it has operators of {bytes(content[:64])!r}: only those of plain ONNX are run")
            elif number == _NODE_ATTRIBUTE:
                self._attribute(content, name)

    def _attribute(self, attribute: memoryview, operator: bytes) -> None:
        for number, content in self.fields(attribute):
            if number in _ATTRIBUTE_GRAPHS:
                words = "something in it runs as often as it says itself (If, Loop or Scan)"
                raise ValueError(f"{words}, in the operator {operator!r}: such a network could run for ever")
            if number in _ATTRIBUTE_TENSORS:
                self._tensor(content)
            elif number in _ATTRIBUTE_SPARSE:
                self._sparse(content)

    def _sparse(self, sparse: memoryview) -> None:
        for number, content in self.fields(sparse):
            if number in _SPARSE_TENSORS:
                self._tensor(content)

    def _tensor(self, tensor: memoryview) -> None:
        for number, content in self.fields(tensor):
            if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and any(content)):
                raise ValueError("it keeps weights in another file: a bundle's networks are whole in themselves")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    # 64 bits, seven in each byte: a longer one is no number.
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        # As protocol buffers have it: seven bits in each byte, the lowest first; the eighth says that more follow.
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
    raise ValueError("it is cut off, or no ONNX file")
