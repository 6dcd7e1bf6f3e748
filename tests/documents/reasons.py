"""The tables of docs/reference/reasons.md: each reason, what became of a verdict, what must hold before parts pass."""

from __future__ import annotations

import ast
import inspect
import textwrap

from edge_agent.domain import Published, Reason
from edge_agent.report.words import CONDITION_ADVICE, CONDITION_WORDS, PUBLISHED_WORDS, REASON_WORDS
from tests.documents.words import code, table, text

__all__ = ["conditions", "published", "reasons"]


def reasons() -> list[str]:
    """Each reason with what the page says, and with what the code says that it is."""
    meant = _docstrings(Reason)
    rows = [(code(str(one)), text(REASON_WORDS[one]), text(meant.get(one.name, ""))) for one in Reason]
    return table(("reason", "on the page", "what it means"), rows)


def published() -> list[str]:
    """What can become of a verdict on the wire."""
    rows = [(code(str(one)), text(PUBLISHED_WORDS[one])) for one in Published]
    return table(("published", "on the page"), rows)


def conditions() -> list[str]:
    """What must hold before a part may pass, and what a person does first where it does not."""
    rows = [(code(name), text(words), text(CONDITION_ADVICE.get(name, ""))) for name, words in CONDITION_WORDS.items()]
    return table(("condition", "on the page", "what to do first"), rows)


def _docstrings(kind: type) -> dict[str, str]:
    """The sentence that stands below each member."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for member, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(member.targets[0])] = str(below.value.value)
    return found
