"""``make mutants``: change one thing in what decides and what writes a PASS, and run its tests: what goes unnoticed?

Comparisons turned round, and/or exchanged, not dropped, constants moved, returns emptied, statements dropped.
"""

from __future__ import annotations

import ast
import copy
import importlib
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import pytest

from tests.results import write_mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
_DECIDES = tuple(f"tests/unit/test_runtime_{name}.py" for name in ("interlock", "decision", "pairing", "invariants"))
_DRIVES = (
    "tests/unit/test_device_output.py",
    "tests/unit/test_modbus_output.py",
    "tests/contract/test_verdict_output.py",
    "tests/fault/test_modbus_bad_peer.py",
    "tests/fault/test_words_bad_peer.py",
)
_NO_SERIAL_LINE = ("-k", "not RTU")
"""It is the same output, and takes its time."""
_BLOCK = (
    "tests/simulated/test_register_output.py",
    "tests/contract/test_verdict_output.py",
    *("-k", "not RTU and not coils"),
)
_WORDS = ("tests/fault/test_words_bad_peer.py", "tests/unit/test_word_codecs.py")
_TAGS = (
    "tests/unit/test_ethernet_ip_codec.py",
    "tests/fault/test_ethernet_ip_bad_peer.py",
    "tests/fault/test_words_bad_peer.py",
    "tests/simulated/test_word_plcs.py",
)
TESTS_OF = {
    "edge_agent/runtime/interlock.py": _DECIDES,
    "edge_agent/runtime/verdict.py": _DECIDES,
    "edge_agent/runtime/pairing.py": _DECIDES,
    "edge_agent/runtime/counter.py": _DECIDES,
    "edge_agent/runtime/decided.py": _DECIDES,
    "edge_agent/runtime/part.py": _DECIDES,
    "edge_agent/runtime/part_handler.py": ("tests/unit/test_runtime_engine.py",),
    "edge_agent/runtime/link_health.py": ("tests/unit/test_runtime_engine.py",),
    "edge_agent/runtime/engine.py": tuple(
        f"tests/unit/test_runtime_{name}.py" for name in ("engine", "bypass", "supervisor")
    ),
    "drivers/output/device_output.py": (*_DRIVES, *_NO_SERIAL_LINE),
    "drivers/output/questions.py": (*_DRIVES, *_NO_SERIAL_LINE),
    "drivers/output/outage.py": (*_DRIVES, *_NO_SERIAL_LINE),
    "drivers/output/level_output.py": (*_DRIVES, *_NO_SERIAL_LINE),
    "drivers/output/coils.py": ("tests/unit/test_modbus_coils.py", *_DRIVES, *_NO_SERIAL_LINE),
    "drivers/output/block_output.py": _BLOCK,
    "drivers/output/block.py": _BLOCK,
    "drivers/output/words.py": ("tests/simulated/test_word_plcs.py", *_WORDS),
    "drivers/output/plc_connection.py": _WORDS,
    "drivers/transport/exchange.py": _WORDS,
    "drivers/slmp/codec.py": _WORDS,
    "drivers/slmp/connection.py": _WORDS,
    "drivers/kv_hostlink/codec.py": _WORDS,
    "drivers/kv_hostlink/connection.py": _WORDS,
    "drivers/ethernet_ip/codec.py": _TAGS,
    "drivers/ethernet_ip/connection.py": _TAGS,
}
"""What decides, carries and writes a PASS, each with the tests that are to notice a change of it."""
_NOTHING = "nothing"
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Gt: ast.GtE,
    ast.Lt: ast.LtE,
}
_BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.If, ast.For, ast.While, ast.With, ast.AsyncWith, ast.Try)


def mutants_of(source: str) -> Iterator[tuple[str, str]]:
    """(what was changed, the changed source), one change each."""
    tree = ast.parse(source)
    for index, node in enumerate(ast.walk(tree)):
        for words, change in _changes(node):
            altered = copy.deepcopy(tree)
            if change(list(ast.walk(altered))[index]):
                line = getattr(node, "lineno", 0)
                yield f"{line}: {words}: `{ast.unparse(node).splitlines()[0][:70]}`", ast.unparse(altered)


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _TURNED:
        yield "turned round", lambda n: n.ops.__setitem__(0, _TURNED[type(n.ops[0])]()) or True
    if isinstance(node, ast.BoolOp):
        yield "and/or", lambda n: setattr(n, "op", ast.And() if isinstance(n.op, ast.Or) else ast.Or()) or True
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", lambda n: setattr(n, "op", ast.UAdd()) or True
    if isinstance(node, ast.IfExp):
        yield "branches exchanged", _exchange
    if isinstance(node, _BLOCKS):
        for at, statement in enumerate(node.body):
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if isinstance(statement, (ast.Expr, ast.Assign, ast.Return)) and not is_text:
                yield (
                    f"dropped `{ast.unparse(statement)[:50]}`",
                    lambda n, at=at: n.body.__setitem__(at, ast.Pass()) or True,
                )


def _exchange(node: ast.IfExp) -> bool:
    node.body, node.orelse = node.orelse, node.body
    return True


def main() -> None:
    """Print the survivors of every file or of those that are named, and how many changes were tried."""
    # What takes its time to import is imported once: each change is tried by a child of this process.
    for name in ("hypothesis.stateful", "numpy", "structlog"):
        importlib.import_module(name)
    for name in sys.argv[1:] or TESTS_OF:
        changes = [(name, *change) for change in mutants_of((ROOT / name).read_text())]
        if not _try((name, _NOTHING, (ROOT / name).read_text())):
            sys.exit(f"{name}: its tests fail without any change: whatever is changed, they would seem to notice it")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            survivors = [survivor for survivor in pool.map(_try, changes) if survivor]
        print(f"{name}: {len(changes)} changes, {len(survivors)} survived", flush=True)  # noqa: T201
        write_mutants(name, len(changes), survivors)


def _try(change: tuple[str, str, str]) -> str:
    """The change in words, if no test notices it; empty otherwise."""
    name, words, altered = change
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for room in ("edge_agent", "drivers", "tests"):
            copytree(ROOT / room, work / room, ignore=lambda _, names: [n for n in names if n == "__pycache__"])
        (work / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
        (work / name).write_text(altered)
        child = multiprocessing.get_context("fork").Process(target=_run_tests, args=(work, TESTS_OF[name]))
        child.start()
        child.join()
    if child.exitcode != 0:
        return ""
    if words != _NOTHING:
        print("survived", f"{name}:{words}", flush=True)  # noqa: T201
    return words


def _run_tests(work: Path, tests: tuple[str, ...]) -> None:
    """In a child: the tests of the altered copy; ends with pytest's exit code."""
    os.chdir(work)
    sys.path.insert(0, str(work))
    sys.dont_write_bytecode = True
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        quiet = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
        code = pytest.main(["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *quiet, *tests])
    os._exit(code)


if __name__ == "__main__":
    main()
