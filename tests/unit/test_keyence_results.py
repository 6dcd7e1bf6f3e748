"""A result line is believed as a whole or not at all, and never vanishes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import ControllerResult, Judgement
from drivers.keyence.results import ResultParser


def test_count_and_judgement_are_read_from_their_places() -> None:
    assert ResultParser(["count", "judgement"]).parse(("0000000031", "0"), 1.5) == ControllerResult(
        31, None, Judgement.OK, ("0000000031", "0"), 1.5
    )


def test_one_is_ng() -> None:
    assert ResultParser(["skip", "judgement"]).parse(("00004422", "1"), 0.0).judgement is Judgement.NG


def test_program_and_skipped_items_keep_their_places() -> None:
    result = ResultParser(["skip", "program", "skip", "count"]).parse(("|", "022", "abc ", "0000000007"), 0.0)

    assert (result.count, result.program, result.judgement) == (7, 22, None)


@pytest.mark.parametrize("text", ["+0000000031", " 0000000031", "31", "0000000031 ", "+0000000031.000000"])
def test_sign_padding_and_a_zero_fraction_are_tolerated(text: str) -> None:
    assert ResultParser(["count", "skip"]).parse((text, "x"), 0.0).count == 31


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("",),
        ("0000000031",),
        ("0000000031", "0", "0"),
        ("0000000031", "2"),
        ("0000000031", ""),
        ("0000000031", "OK"),
        ("-000000031", "0"),
        ("0000000031.5", "0"),
        ("-9999.999", "0"),
        ("٣١", "0"),
        ("1e3", "0"),
        ("9" * 13, "0"),
    ],
)
def test_a_line_that_does_not_fit_is_believed_in_nothing(fields: tuple[str, ...]) -> None:
    assert ResultParser(["count", "judgement"]).parse(fields, 2.0) == ControllerResult(None, None, None, fields, 2.0)


def test_a_program_that_cannot_be_is_believed_in_nothing() -> None:
    assert ResultParser(["count", "program"]).parse(("1", "1000"), 0.0).count is None


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        (["count", "judgement", "rest"], ("31", "1")),
        (["count", "judgement", "rest"], ("31", "1", "00004422", "0")),
        (["count", "rest", "judgement"], ("31", "1")),
        (["count", "rest", "judgement"], ("31", "7", "7", "7", "1")),
        (["rest", "count", "judgement"], ("7", "31", "1")),
    ],
)
def test_skipped_tools_may_change_the_number_of_fields_where_rest_stands(
    items: list[str], fields: tuple[str, ...]
) -> None:
    result = ResultParser(items).parse(fields, 0.0)

    assert (result.count, result.judgement, result.fields) == (31, Judgement.NG, fields)


@pytest.mark.parametrize("fields", [("31",), (), ("31", "7", "x")])
def test_a_line_with_rest_that_lacks_a_named_field_is_believed_in_nothing(fields: tuple[str, ...]) -> None:
    result = ResultParser(["count", "rest", "judgement"]).parse(fields, 0.0)

    assert (result.count, result.judgement) == (None, None)


@given(st.lists(st.text(), max_size=5).map(tuple))
def test_any_fields_give_a_result_that_carries_them(fields: tuple[str, ...]) -> None:
    assert ResultParser(["count", "judgement"]).parse(fields, 0.0).fields == fields


@pytest.mark.parametrize("items", [[], ["counts"], ["count", "count"]])
def test_a_list_of_items_that_makes_no_sense_is_refused(items: list[str]) -> None:
    with pytest.raises(ValueError, match="result item"):
        ResultParser(items)
