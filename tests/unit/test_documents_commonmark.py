"""What MkDocs' parser needs beyond CommonMark's rules is put in, and nothing else is changed."""

from __future__ import annotations

import pytest

from tests.documents.commonmark import outside_code, set_apart


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Text.\n- one\n- two", "Text.\n\n- one\n- two"),
        ("Text.\n\n- one\n  goes on\n- two", "Text.\n\n- one\n    goes on\n- two"),
        ("- one\n  - below\n    goes on\n- two", "- one\n    - below\n        goes on\n- two"),
        ("1. one\n   goes on\n2. two\n\nText.", "1. one\n    goes on\n2. two\n\nText."),
        ("The PASS of\n543. Each verdict", "The PASS of\n543. Each verdict"),
        ("Text.\n| a | b |\n|---|---|\n| 1 | 2 |", "Text.\n\n| a | b |\n|---|---|\n| 1 | 2 |"),
        ("- one\n\n  | a |\n  |---|\n  | 1 |\n\nText.", "- one\n\n    | a |\n    |---|\n    | 1 |\n\nText."),
        ("Text.\n```\n- no list\n```", "Text.\n\n```\n- no list\n```"),
        ("- one\n\n  ```\n  code\n    more\n  ```", "- one\n\n    ```\n    code\n      more\n    ```"),
        ("- one\nlazily on\n\nText.", "- one\n    lazily on\n\nText."),
    ],
)
def test_lists_tables_and_code_are_set_apart(written: str, read: str) -> None:
    assert set_apart(written) == read


def test_code_is_left_alone() -> None:
    page = "change\n```\nkeep\n~~~\nkeep\n```\nchange"

    assert outside_code(page, str.upper) == "CHANGE\n```\nkeep\n~~~\nkeep\n```\nCHANGE"
