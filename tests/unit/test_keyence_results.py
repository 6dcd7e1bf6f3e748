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


@pytest.mark.parametrize(
    ("item", "text", "value"),
    [
        ("value:area", "00004422", 4422.0),
        ("value:area", "+0005.047", 5.047),
        ("value:area", "-12.5", -12.5),
        ("value:area", "0", 0.0),
        ("value:area:0", "00004422", 4422.0),
        ("value:area:0", "0", 0.0),
        ("value:pitch:3", "0005.047", 5.047),
        ("value:pitch:+3", "+0005.047", 5.047),
        ("value:pitch:+3", "-0000.003", -0.003),
        ("value:pitch:+3", " +0005.047 ", 5.047),
        ("value:pitch:+3", "", None),  # skipped by the execute condition: nothing between the commas
        ("value:pitch:+3", "0", None),  # or the 0 that the controller is set to send for it
        ("value:pitch", "-9999.999", None),
        ("value:pitch:+3", "-999999.999", None),
        ("judgement:edge", "0", "OK"),
        ("judgement:edge", "1", "NG"),
        ("judgement:edge", "", None),
        ("text:lot", "AB-7   ", "AB-7"),
        ("text:lot", "", None),
    ],
)
def test_what_a_tool_says_comes_by_its_name(item: str, text: str, value: object) -> None:
    result = ResultParser(["count", item, "judgement"]).parse(("0000000031", text, "0"), 0.0)

    assert (result.count, result.judgement) == (31, Judgement.OK)
    assert dict(result.values) == {item.split(":")[1]: value}


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("value:pitch", "abc"),
        ("value:pitch", "1e3"),
        ("value:pitch", "inf"),
        ("value:pitch:3", "0005.04"),
        ("value:pitch:3", "+0005.047"),
        ("value:pitch:+3", "0005.047"),
        ("value:pitch:0", "4422.0"),
        ("judgement:edge", "2"),
        ("judgement:edge", "OK"),
    ],
)
def test_a_value_of_another_form_is_of_another_list(item: str, text: str) -> None:
    result = ResultParser(["count", item, "judgement"]).parse(("0000000031", text, "0"), 0.0)

    assert (result.count, result.judgement, dict(result.values)) == (None, None, {})


def test_a_real_row_of_measurements_is_read() -> None:
    fields = ("+0005.047", "+0005.045", "+0000.003", "26", "07", "31", "17", "28", "42")
    result = ResultParser(["value:left:+3", "value:right:+3", "value:gap:+3", "rest"]).parse(fields, 0.0)

    assert dict(result.values) == {"left": 5.047, "right": 5.045, "gap": 0.003}


@given(st.lists(st.text(), max_size=5).map(tuple))
def test_any_fields_give_a_result_that_carries_them(fields: tuple[str, ...]) -> None:
    assert ResultParser(["count", "judgement"]).parse(fields, 0.0).fields == fields


@pytest.mark.parametrize(
    "items",
    [
        [],
        ["counts"],
        ["count", "count"],
        ["value:"],
        ["value:7"],
        ["value:a b"],
        ["value:a:x"],
        ["judgement:a:3"],
        ["value:a", "judgement:a"],
        ["value:count"],
    ],
)
def test_a_list_of_items_that_makes_no_sense_is_refused(items: list[str]) -> None:
    with pytest.raises(ValueError, match="result item"):
        ResultParser(items)
