"""What a newcomer gets wrong in line.toml, and the answer to each: docs/line-toml-mistakes.md shows them."""

from __future__ import annotations

import re
import sys

import pytest

from edge_agent.commands.main import main
from tests.mistakes import DOCUMENT, EXAMPLE, MISTAKES, TAKEN, Mistake, answer, as_file, document


def by_title(mistakes: tuple[Mistake, ...]) -> dict[str, Mistake]:
    found = {mistake.title: mistake for mistake in mistakes}
    assert len(found) == len(mistakes)
    return found


def test_there_are_more_than_the_52_that_were_tried() -> None:
    assert len(by_title(MISTAKES)) > 52


@pytest.mark.parametrize("mistake", MISTAKES, ids=by_title(MISTAKES))
def test_a_mistake_is_said_at_its_line_with_what_was_expected_and_what_helps(
    mistake: Mistake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["edge-agent", "config", "check", "--config", "line.toml"])
    with as_file(mistake), pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    said, _, hint = printed.err.rstrip("\n").partition("\nhint: ")
    first = said.removeprefix("error: ").split("\n")[0]

    assert (ended.value.code, printed.out) == (78, "")
    assert re.match(f"line.toml:{mistake.number}: " if mistake.line else "line.toml:(1:)? ", first)
    if mistake.key:
        assert first.split(": ")[1] == mistake.key
    for words in mistake.says:
        assert words in first
    key = re.sub(r"\[\d+\]", "", mistake.key)
    assert (mistake.hint or f"{key}: ") in hint
    assert "hunter2" not in printed.err
    assert "\n" not in said, "one mistake is one problem"


def test_a_wrong_value_is_said_beside_a_key_with_a_slip() -> None:
    text = EXAMPLE.replace("\ndeadline_ms = 700\n", "\ndeadline_ms = 0\ndeadline = 700\n")

    err = answer(Mistake("both", content=text.encode()))

    assert [line.split(": ")[1] for line in str(err).split("\n")] == ["line.deadline_ms", "line.deadline"]


@pytest.mark.parametrize("mistake", TAKEN, ids=by_title(TAKEN))
def test_what_is_no_mistake_is_taken(mistake: Mistake) -> None:
    assert answer(mistake) is None


def test_the_document_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "make mistakes writes it anew"
