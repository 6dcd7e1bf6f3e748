"""Plain words for what the journal holds as names: what a score looked at, light and focus, what to do first."""

from __future__ import annotations

import json

import pytest

from edge_agent.inspection.networks.channels import Channel, View
from edge_agent.inspection.scoring.quantity import Quantity
from edge_agent.report.words import CONDITION_ADVICE, CONDITION_WORDS, QUANTITY_WORDS, SHARE_WORDS
from edge_agent.runtime.handshake import ERROR_CODES
from edge_agent.runtime.supervisor import CONDITIONS
from edge_agent.web.language import words_script


def test_every_channel_every_view_and_every_quantity_has_a_name_and_a_sentence() -> None:
    assert set(SHARE_WORDS) == {*map(str, Channel), *map(str, View)}
    assert set(QUANTITY_WORDS) == set(map(str, Quantity))
    assert all(sentence.endswith(".") for _, sentence in (*SHARE_WORDS.values(), *QUANTITY_WORDS.values()))


@pytest.mark.parametrize("names", [Channel, View, Quantity])
def test_within_one_score_no_two_have_the_same_name(names: type[Channel | View | Quantity]) -> None:
    words = SHARE_WORDS if names is not Quantity else QUANTITY_WORDS

    assert len({words[str(name)][0] for name in names}) == len(names)


def test_whoever_stands_at_the_line_is_told_what_to_do_about_each_condition() -> None:
    assert {*CONDITIONS, "disk", "rejects", "mode", "request"} <= set(CONDITION_ADVICE)
    assert set(CONDITION_ADVICE) <= set(CONDITION_WORDS)
    # What a PLC reads as 100, without a number of its own, has a name for people all the same.
    assert set(CONDITION_WORDS) - set(ERROR_CODES) == {"sessions", "agent", "line"}


def test_the_browser_gets_them() -> None:
    exports = dict(line.removeprefix("export const ").split(" = ", 1) for line in words_script().splitlines())

    assert json.loads(exports["SHARES"].rstrip(";"))["tone"][0] == "Brightness and colour"
    assert json.loads(exports["QUANTITIES"].rstrip(";"))["sharpness"][0] == "Sharpness"
    assert "cable" in json.loads(exports["ADVICE"].rstrip(";"))["output"]
