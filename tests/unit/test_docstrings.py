"""What a reader needs of a public function before calling it: the shapes of its arrays, and what it raises."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ROOMS = ("edge_agent", "calibration", "drivers")
SHAPE = re.compile(r"\([A-Za-z0-9_ *+/-]+,[^)]*\)|shape", re.DOTALL)
"""As in (n, h, w)."""
OF_NOBODY = frozenset({"NotImplementedError", "AssertionError", "SystemExit", "CancelledError"})
"""What nobody catches by its name: a bug, or an end."""


@dataclass(frozen=True)
class Function:
    """A public function or method, where it stands, and the docstrings that speak for it."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    doc: str

    @property
    def arrays(self) -> bool:
        arguments = (*self.node.args.posonlyargs, *self.node.args.args, *self.node.args.kwonlyargs)
        annotations = [argument.annotation for argument in arguments] + [self.node.returns]
        return any("NDArray" in ast.unparse(annotation) for annotation in annotations if annotation is not None)

    @property
    def unsaid(self) -> set[str]:
        """What its own lines raise and no docstring names."""
        return {name for name in _raised(self.node) if name not in self.doc} - OF_NOBODY


def _raised(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            name = ast.unparse(child.exc.func if isinstance(child.exc, ast.Call) else child.exc).split(".")[-1]
            if name[:1].isupper():
                yield name
        yield from _raised(child)


def _public(tree: ast.Module, place: str, classes: dict[str, ast.ClassDef]) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield Function(f"{place}:{node.lineno} {node.name}", node, ast.get_docstring(node) or "")
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and not method.name.startswith("_"):
                    docs = _docs(node, method.name, classes)
                    yield Function(f"{place}:{method.lineno} {node.name}.{method.name}", method, "\n".join(docs))


def _docs(node: ast.ClassDef, method: str, classes: dict[str, ast.ClassDef]) -> list[str]:
    """What is said of a method by its own class and by every base, or Protocol named as one, that declares it."""
    own = [one for one in node.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)) and one.name == method]
    said = [ast.get_docstring(one) or "" for one in own] + ([ast.get_docstring(node) or ""] if own else [])
    for base in (ast.unparse(base).split("[")[0] for base in node.bases):
        if base in classes:
            said += _docs(classes[base], method, classes)
    return said


def _classes(trees: dict[str, ast.Module]) -> dict[str, ast.ClassDef]:
    return {node.name: node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)}


@cache
def functions(room: str) -> list[Function]:
    """All public functions of a room but commands, whose docstrings are the help that a person reads."""
    trees = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted((ROOT / room).rglob("*.py"))}
    classes = _classes(trees)
    wanted = {place: tree for place, tree in trees.items() if not place.startswith("edge_agent/commands/")}
    return [found for place, tree in wanted.items() for found in _public(tree, place, classes)]


@pytest.mark.parametrize("room", ROOMS)
def test_a_function_of_arrays_says_their_shapes(room: str) -> None:
    assert [found.name for found in functions(room) if found.arrays and not SHAPE.search(found.doc)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_function_says_what_it_raises(room: str) -> None:
    assert [f"{found.name}: {', '.join(sorted(found.unsaid))}" for found in functions(room) if found.unsaid] == []


def test_the_check_finds_what_is_not_said() -> None:
    code = """
def mean(images: NDArray[np.uint8]) -> float:
    "The mean of all."
    if not images.size:
        raise ValueError("no images")
    return images.mean()
"""
    (found,) = _public(ast.parse(code), "made_up.py", {})
    assert found.arrays
    assert not SHAPE.search(found.doc)
    assert found.unsaid == {"ValueError"}


def test_a_base_speaks_for_what_it_declares_and_for_nothing_else() -> None:
    code = """
class Detector(Protocol):
    "Learns."
    def score(self, crop: NDArray[np.float32]) -> float:
        "Of a crop (H, W, C). Raises ValueError before it has learned."

class Middle(Detector):
    "Shares work."

class Mean(Middle):
    "By the mean."
    def score(self, crop: NDArray[np.float32]) -> float:
        "The mean."
        raise ValueError("not yet")
    def heat(self, crop: NDArray[np.float32]) -> None:
        "None."
        raise ValueError("not yet")

class Stranger:
    "Names no base."
    def score(self, crop: NDArray[np.float32]) -> float:
        "The mean."
"""
    tree = ast.parse(code)
    found = {one.name.split()[1]: one for one in _public(tree, "made_up.py", _classes({"made_up.py": tree}))}

    assert SHAPE.search(found["Mean.score"].doc)
    assert not found["Mean.score"].unsaid
    assert not SHAPE.search(found["Mean.heat"].doc)
    assert found["Mean.heat"].unsaid == {"ValueError"}
    assert not SHAPE.search(found["Stranger.score"].doc)
