"""The changes that ``make mutants`` makes of a file: one at a time, each said in words."""

from __future__ import annotations

import ast
import copy
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Change = Callable[[ast.AST], object]

_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Gt: ast.GtE,
    ast.Lt: ast.LtE,
    ast.GtE: ast.Gt,
    ast.LtE: ast.Lt,
}
_BODIES = ("body", "orelse", "finalbody")
_DROPPED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Return)


def mutants_of(source: str) -> list[tuple[str, str]]:
    """(what was changed, the changed source), one change each, in the order of the lines.

    Comparisons turned round or moved by one; and/or, True/False and the branches of an expression exchanged; not
    dropped; statements dropped: calls, assignments, returns, those in except, else and finally and in properties too.
    Not what decorators are given, nor ``strict`` of ``zip``: they say how a mistake of ours would be found.
    """
    tree = ast.parse(source)
    left_alone = {id(node) for node in _left_alone(tree)}
    mutants = []
    for index, node in enumerate(ast.walk(tree)):
        for line, words, change in _changes(node) if id(node) not in left_alone else ():
            altered = copy.deepcopy(tree)
            change(list(ast.walk(altered))[index])
            mutants.append((line, f"{line}: {words}", ast.unparse(altered)))
    return [(words, altered) for _, words, altered in sorted(mutants, key=itemgetter(0))]


def _left_alone(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", ()):
            yield from ast.walk(decorator)
        if isinstance(node, ast.keyword) and node.arg == "strict":
            yield node.value


def _changes(node: ast.AST) -> Iterator[tuple[int, str, Change]]:
    for words, change in _expression_changes(node):
        yield node.lineno, f"{words}: `{ast.unparse(node).splitlines()[0][:70]}`", change  # type: ignore[attr-defined]
    if not isinstance(node, (ast.Module, ast.ClassDef)):
        for body in _BODIES:
            yield from _dropped(node, body)


def _expression_changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _TURNED and not _are_instants(node):
        yield "turned round", lambda n: n.ops.__setitem__(0, _TURNED[type(n.ops[0])]())
    if isinstance(node, ast.BoolOp):
        yield "and/or", lambda n: setattr(n, "op", ast.And() if isinstance(n.op, ast.Or) else ast.Or())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", lambda n: setattr(n, "op", ast.UAdd())
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "turned round", lambda n: setattr(n, "value", not n.value)
    if isinstance(node, ast.IfExp):
        yield "branches exchanged", _exchange


def _are_instants(node: ast.Compare) -> bool:
    """Whether it is asked which came first: two looks at the clock are never the same, so ``<`` and ``<=`` are."""
    return type(node.ops[0]) in (ast.Lt, ast.LtE, ast.Gt, ast.GtE) and "monotonic_s()" in ast.unparse(node)


def _exchange(node: ast.IfExp) -> None:
    node.body, node.orelse = node.orelse, node.body


def _dropped(node: ast.AST, body: str) -> Iterator[tuple[int, str, Change]]:
    statements = getattr(node, body, None)
    for at, statement in enumerate(statements if isinstance(statements, list) else ()):
        if isinstance(statement, _DROPPED) and not _does_nothing(node, statement):
            yield (
                statement.lineno,
                f"dropped: `{ast.unparse(statement).splitlines()[0][:70]}`",
                lambda n, at=at: getattr(n, body).__setitem__(at, ast.Pass()),
            )


def _does_nothing(node: ast.AST, statement: ast.stmt) -> bool:
    """Text, and the None that a function ends with anyhow."""
    is_constant = isinstance(getattr(statement, "value", None), ast.Constant)
    is_none = isinstance(statement, ast.Return) and is_constant and statement.value.value is None
    is_end = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and statement is node.body[-1]
    return (isinstance(statement, ast.Expr) and is_constant) or (is_none and is_end)
