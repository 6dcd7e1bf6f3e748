"""The changes that ``make mutants`` makes: each of its own kind, one at a time, and none that nothing could notice."""

from __future__ import annotations

import ast

import pytest

from tests.mutations import mutants_of


def changed(source: str) -> list[str]:
    return [altered for _, altered in mutants_of(source)]


@pytest.mark.parametrize(
    ("source", "altered"),
    [
        ("a < b", "a <= b"),
        ("a >= b", "a > b"),
        ("a is None", "a is not None"),
        ("a and b", "a or b"),
        ("not a", "+a"),
        ("f(is_loud=True)", "f(is_loud=False)"),
        ("a if b else c", "c if b else a"),
    ],
)
def test_an_expression_is_turned_round(source: str, altered: str) -> None:
    assert changed(source) == [altered]


@pytest.mark.parametrize(
    "block",
    [
        "def f():\n    {}",
        "@property\ndef f():\n    {}",
        "async def f():\n    {}",
        "def f():\n    while True:\n        pass\n    else:\n        {}",
        "def f():\n    try:\n        pass\n    except E:\n        {}",
        "def f():\n    try:\n        pass\n    finally:\n        {}",
    ],
)
@pytest.mark.parametrize("statement", ["return a", "return", "a()", "a = b", "a += b"])
def test_a_statement_is_dropped_wherever_it_stands(block: str, statement: str) -> None:
    without = ast.unparse(ast.parse(block.format("pass")))
    assert without in changed(block.format(statement))


def test_each_change_is_said_with_its_line_and_made_alone() -> None:
    source = "def f(a, b):\n    g(a)\n    if a and b:\n        return a == b\n"
    assert [words for words, _ in mutants_of(source)] == [
        "2: dropped: `g(a)`",
        "3: and/or: `a and b`",
        "4: dropped: `return a == b`",
        "4: turned round: `a == b`",
    ]
    whole = ast.unparse(ast.parse(source)).splitlines()
    for altered in changed(source):
        assert sum(line not in whole for line in altered.splitlines()) == 1


def test_words_for_people_and_what_says_how_a_mistake_of_ours_would_be_found_stay() -> None:
    assert changed('"""A file."""') == []
    assert changed('def f():\n    """What it does."""') == []
    assert changed("@dataclass(frozen=True)\nclass A: ...") == []
    assert changed("for a in zip(b, c, strict=True):\n    pass") == []
    assert changed("a = monotonic_s() >= until_mono_s") == []
    assert changed("def f():\n    return None") == []
    assert changed("def f():\n    if a:\n        return None\n    g()") != []
