"""What the words of several people mean together: one vote a person, a dispute, who decides it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.people.roles import Role
from edge_agent.reviews.settling import (
    BAD,
    DISPUTED,
    GOOD,
    Standing,
    Word,
    is_read_twice,
    settle,
    word_of,
)

OPERATOR, QUALITY, ENGINEER = Role.OPERATOR, Role.QUALITY, Role.ENGINEER


def words(*said: tuple[str, Role | None, str]) -> list[Word]:
    return [Word(1, says, by, role) for by, role, says in said]


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "detail",
    [
        "",
        "nothing",
        "[]",
        "[" * 100_000,
        "null",
        "{}",
        '{"part_seq": "1", "says": "ESCAPE"}',
        '{"part_seq": 1, "says": 5}',
        '{"part_seq": 1.5, "says": "ESCAPE"}',
    ],
)
def test_what_is_no_word_is_none(detail: str) -> None:
    assert word_of(detail) is None


def test_of_a_later_versions_word_what_is_known_is_read() -> None:
    later = {"part_seq": 3, "says": "ESCAPE", "by": ["Ada"], "role": ["king"], "blind": "yes", "more": {}}
    assert word_of(json.dumps(later)) == Word(3, "ESCAPE", "", None)
    ours = {"part_seq": 3, "says": "ESCAPE", "by": "Ada", "role": "quality", "blind": True}
    assert word_of(json.dumps(ours)) == Word(3, "ESCAPE", "Ada", QUALITY, is_blind=True)


# --- the rule --------------------------------------------------------------------------------------------


def test_nobody_and_one_person() -> None:
    assert settle([]).says == ""
    assert settle(words(("Lin", OPERATOR, "CONFIRMED"))).says == "CONFIRMED"


def test_a_person_has_one_word_her_last_one_however_the_name_is_typed() -> None:
    standing = settle(words(("Lin", OPERATOR, "CONFIRMED"), (" LIN", OPERATOR, "OVERTURNED")))
    assert (standing.says, len(standing.words)) == ("OVERTURNED", 1)


def test_two_who_differ_make_a_dispute_and_one_who_changes_her_mind_ends_it() -> None:
    said = words(("Lin", OPERATOR, "CONFIRMED"), ("Ada", ENGINEER, "OVERTURNED"))
    assert settle(said).says == DISPUTED
    assert settle([*said, *words(("Lin", OPERATOR, "OVERTURNED"))]).says == "OVERTURNED"
    assert settle([*said, *words(("Ada", ENGINEER, "OVERTURNED"))]).says == DISPUTED, "whoever spoke decides nothing"


def test_a_third_person_with_the_role_decides_and_an_operator_does_not() -> None:
    said = words(("Lin", OPERATOR, "CONFIRMED"), ("Ada", ENGINEER, "OVERTURNED"))
    assert settle([*said, *words(("Ben", OPERATOR, "CONFIRMED"))]).says == DISPUTED, "two to one is no decision"
    decided = [*said, *words(("Quinn", QUALITY, "CONFIRMED"))]
    assert settle(decided).says == "CONFIRMED"
    assert settle([*decided, *words(("Eve", ENGINEER, "OVERTURNED"))]).says == "CONFIRMED"
    assert settle([*decided, *words(("Lin", OPERATOR, "OVERTURNED"))]).says == "CONFIRMED"
    assert settle([*decided, *words(("Quinn", QUALITY, "OVERTURNED"))]).says == "OVERTURNED", "she changed her own"


def test_without_roles_any_third_name_decides_and_beside_roles_none_does() -> None:
    said = words(("Lin", None, "CONFIRMED"), ("Ada", None, "OVERTURNED"))
    assert settle([*said, *words(("Ben", None, "CONFIRMED"))]).says == "CONFIRMED"
    assert settle([*said, *words(("Ben", OPERATOR, "CONFIRMED"))]).says == DISPUTED
    mixed = words(("Lin", None, "CONFIRMED"), ("Ada", ENGINEER, "OVERTURNED"))
    assert settle([*mixed, *words(("Ben", None, "CONFIRMED"))]).says == DISPUTED


PEOPLE = {"Lin": OPERATOR, "Ben": OPERATOR, "Quinn": QUALITY, "Ada": ENGINEER, "Eve": ENGINEER}
said_words = st.lists(
    st.tuples(st.sampled_from(sorted(PEOPLE)), st.sampled_from(["CONFIRMED", "OVERTURNED"])), max_size=12
).map(lambda said: words(*((by, PEOPLE[by], says) for by, says in said)))


@given(said_words)
def test_what_stands_is_somebodys_last_word_or_a_dispute(said: list[Word]) -> None:
    standing = settle(said)
    last = {word.person: word.says for word in said}
    assert {word.person: word.says for word in standing.words} == last, "one word a person, the last one"
    assert standing.says in {*last.values(), DISPUTED} if last else standing.says == ""
    if len(set(last.values())) == 1:
        assert standing.says in last.values(), "all agree"
    if standing.is_disputed:
        assert standing.says not in BAD | GOOD
        assert len(set(last.values())) > 1


@given(said_words)
def test_only_a_decider_who_came_to_the_dispute_settles_against_others(said: list[Word]) -> None:
    standing = settle(said)
    if standing.says not in ("", DISPUTED) and len({word.says for word in standing.words}) > 1:
        decider = next(word for word in standing.words if word.person == standing.decided_by)
        assert decider.role in (QUALITY, ENGINEER)
        assert decider.says == standing.says
        first = next(at for at, word in enumerate(said) if word.person == decider.person)
        assert settle(said[:first]).is_disputed


@given(said_words, st.integers(0, 11))
def test_saying_the_same_once_more_changes_nothing(said: list[Word], at: int) -> None:
    if at < len(said):
        assert settle([*said[: at + 1], said[at], *said[at + 1 :]]) == settle(said)


@given(said_words)
def test_word_by_word_is_the_same_as_all_at_once(said: list[Word]) -> None:
    standing = Standing()
    for word in said:
        assert standing.may_decide(word.by, word.role) <= standing.is_disputed
        standing = standing.after(word)
    assert standing == settle(said)


# --- which parts are read twice --------------------------------------------------------------------------


def test_the_share_that_is_read_twice_is_drawn_by_the_number_alone() -> None:
    parts = range(1, 20_001)
    assert not any(is_read_twice(part, 0.0) for part in parts)
    assert all(is_read_twice(part, 1.0) for part in parts)
    tenth = {part for part in parts if is_read_twice(part, 0.1)}
    assert 1850 < len(tenth) < 2150
    assert tenth <= {part for part in parts if is_read_twice(part, 0.2)}, "more of them keeps those that were drawn"
    assert 800 < sum(part % 2 for part in tenth) < 1200
