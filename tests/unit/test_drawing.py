"""A defect that is named and drawn: what is no drawing, and what the journal keeps of one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.people.roles import Role
from edge_agent.reviews.drawing import MOST_POINTS, MOST_SHAPES
from edge_agent.reviews.review import Review

RECTANGLE = {"kind": "rectangle", "points": [[10, 20], [110, 60]]}
OUTLINE = {"kind": "outline", "points": [[0, 0], [320, 0], [320, 240]]}


def drawing(*shapes: Any, **changes: Any) -> dict[str, Any]:
    return {"camera": 1, "width": 320, "height": 240, "shapes": list(shapes or (RECTANGLE,)), **changes}


def review(**changes: Any) -> str:
    return json.dumps({"part_seq": 7, "says": "CONFIRMED", "by": "Ada", "drawings": [drawing()], **changes})


def outline(*points: Any) -> dict[str, Any]:
    return {"kind": "outline", "points": list(points)}


HUGE = 10**4000
NO_DRAWING = {
    "right of the image": drawing({"kind": "rectangle", "points": [[10, 20], [321, 60]]}),
    "below the image": drawing(outline([0, 0], [10, 241], [20, 20])),
    "left of the image": drawing(outline([-1, 0], [10, 40], [20, 20])),
    "a part of a pixel": drawing(outline([0.5, 0], [10, 40], [20, 20])),
    "no number": drawing(outline([float("nan"), 0], [10, 40], [20, 20])),
    "infinite": drawing(outline([float("inf"), 0], [10, 40], [20, 20])),
    "a huge number": drawing(outline([HUGE, 0], [10, 40], [20, 20])),
    "a whole number with a point": drawing(outline([1.0, 0], [10, 40], [20, 20])),
    "text": drawing(outline(["1", 0], [10, 40], [20, 20])),
    "true": drawing(outline([True, 0], [10, 40], [20, 20])),
    "three coordinates": drawing(outline([1, 2, 3], [10, 40], [20, 20])),
    "a line": drawing(outline([0, 0], [100, 0], [50, 0])),
    "two points": drawing(outline([0, 0], [100, 100])),
    "one point three times": drawing(outline([5, 5], [5, 5], [5, 5])),
    "no points": drawing(outline()),
    "an empty rectangle": drawing({"kind": "rectangle", "points": [[10, 20], [10, 60]]}),
    "a rectangle backwards": drawing({"kind": "rectangle", "points": [[110, 60], [10, 20]]}),
    "a rectangle of three points": drawing({"kind": "rectangle", "points": [[0, 0], [9, 9], [20, 30]]}),
    "another kind": drawing({"kind": "star", "points": [[0, 0], [9, 9]]}),
    "a colour": drawing({**RECTANGLE, "colour": "red"}),
    "too many points": drawing(outline(*([x % 300, x % 200] for x in range(MOST_POINTS + 1)))),
    "a million points": drawing(outline(*([x % 300, x % 200] for x in range(1_000_000)))),
    "too many shapes": drawing(*[RECTANGLE] * (MOST_SHAPES + 1)),
    "no shape": {**drawing(), "shapes": []},
    "an image of nothing": drawing(width=0),
    "a huge image": drawing(width=10**9),
    "no camera": drawing(camera=0),
    "camera ten": drawing(camera=10),
}


@pytest.mark.parametrize("wrong", NO_DRAWING.values(), ids=NO_DRAWING)
def test_what_is_no_drawing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Review.model_validate_json(review(drawings=[wrong]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"drawings": [drawing(), drawing()]},
        {"drawings": [drawing(camera=n) for n in range(1, 6)]},
        {"drawings": [drawing(*[outline(*([x, x % 7] for x in range(60)))] * 11)]},
        {"says": "OVERTURNED"},
        {"says": "OVERTURNED", "drawings": [], "defect": "scratch"},
        {"defect": "x" * 10_240},
        {"defect": ""},
        {"defect": "  "},
        {"defect": "two\nlines"},
        {"defect": "nul\u0000"},
        {"seen": -1},
        {"blind": "yes"},
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Review.model_validate_json(review(**wrong))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from(sorted(Review.model_fields)), anything)
def test_anything_in_a_field_is_a_review_that_holds_or_is_refused(field: str, value: Any) -> None:
    try:
        found = Review.model_validate_json(review(**{field: value}))
    except ValidationError:
        return
    assert Review.model_validate_json(found.detail()) == found


@given(st.lists(st.tuples(st.integers(-2, 322), st.integers(-2, 242)), min_size=2, max_size=70))
def test_an_outline_is_kept_just_where_all_of_it_lies_inside_and_has_an_area(points: list[tuple[int, int]]) -> None:
    xs, ys = {x for x, _ in points}, {y for _, y in points}
    lies = min(xs) >= 0 and min(ys) >= 0 and max(xs) <= 320 and max(ys) <= 240
    is_one = len(points) <= MOST_POINTS and len(set(points)) >= 3 and len(xs) > 1 and len(ys) > 1
    try:
        found = Review.model_validate_json(review(drawings=[drawing(outline(*points))]))
    except ValidationError:
        assert not (lies and is_one)
        return
    assert lies
    assert is_one
    assert found.drawings[0].shapes[0].points == tuple(points)


def test_a_drawing_comes_back_as_it_was() -> None:
    said = Review.model_validate_json(review(drawings=[drawing(RECTANGLE, OUTLINE)], defect="<b>scratch</b>"))
    assert Review.model_validate_json(said.detail()) == said
    assert said.defect == "<b>scratch</b>", "kept as it was typed: whoever shows it shows text"
    assert said.drawings[0].shapes[1].box == (0, 0, 320, 240)


def test_a_review_without_them_is_what_it_always_was() -> None:
    plain = Review(part_seq=2, says="OVERTURNED", by="Ada")
    assert plain.detail() == '{"part_seq":2,"says":"OVERTURNED","by":"Ada","note":""}'
    signed = Review(part_seq=2, says="OVERTURNED", by="Ada", role=Role.QUALITY)
    assert signed.detail() == '{"part_seq":2,"says":"OVERTURNED","by":"Ada","note":"","role":"quality"}'
    assert Review.model_validate_json(plain.detail()) == plain
