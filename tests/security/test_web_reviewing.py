"""Reviews by several people at the page's addresses: hostile drawings, disputes, second readings, two at once."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from edge_agent.people.roles import Role
from edge_agent.store.journal import Journal
from edge_agent.web.guard import BODY_MAX_BYTES, REVIEW_MAX_BYTES
from tests.security.people_site import ADA, LIN, QUINN, Visitor, change, team
from tests.security.web_site import TOKEN, part_row, reject_row, served, web_settings, written
from tests.unit.test_drawing import NO_DRAWING, drawing, outline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.settings import Settings
    from tests.security.web_site import Served

ROWS = [part_row(1), *(reject_row(seq) for seq in range(2, 12))]


@pytest.fixture
async def line(tmp_path: Path) -> Settings:
    settings = web_settings(tmp_path)
    await written(settings.store.journal, ROWS)
    return settings


@pytest.fixture
async def at(line: Settings) -> AsyncIterator[Served]:
    """Without users: whoever has the token."""
    async with writing(line) as site:
        yield site


@pytest.fixture
async def people(line: Settings) -> AsyncIterator[Served]:
    """With users, and every reviewed part is read twice."""
    change(line, team())
    twice = line.review.model_copy(update={"read_twice_percent": 100})
    async with writing(line.model_copy(update={"review": twice})) as site:
        yield site


@asynccontextmanager
async def writing(line: Settings) -> AsyncIterator[Served]:
    """The page, whose agent writes reviews into the journal."""
    journal = await asyncio.to_thread(Journal.open, line.store.journal)
    try:
        async with served(line) as at:
            at.write_review = journal.event
            yield at
    finally:
        await asyncio.to_thread(journal.close)


async def signed_in(at: Served, name: str) -> Visitor:
    visitor = Visitor(at)
    assert (await visitor.sign_in(name)).status == 200
    return visitor


# --- hostile drawings ------------------------------------------------------------------------------------


async def test_no_drawing_that_is_none_gets_into_the_journal(at: Served) -> None:
    for name, wrong in NO_DRAWING.items():
        reply = await at.review(says="CONFIRMED", drawings=[wrong])
        assert reply.status == (413 if name == "a million points" else 400), name
        assert len(reply.body) < 1000, name
    assert at.reviews == []


async def test_a_drawing_on_no_image_of_the_part_or_for_a_good_part_is_refused(at: Served) -> None:
    for wrong in (
        {"says": "CONFIRMED", "drawings": [drawing(camera=2)]},
        {"says": "OVERTURNED", "drawings": [drawing()]},
        {"says": "OVERTURNED", "defect": "scratch"},
        {"says": "CONFIRMED", "defect": "x" * 10_240},
        {"says": "CONFIRMED", "defect": "x" * 61},
        {"says": "CONFIRMED", "defect": "two\nlines"},
        {"says": "CONFIRMED", "defect": 5},
        {"says": "CONFIRMED", "drawings": "[]"},
        {"says": "CONFIRMED", "drawings": [[]]},
        {"says": "CONFIRMED", "seen": -1},
        {"says": "CONFIRMED", "blind": True},
    ):
        assert (await at.review(**wrong)).status == 400, wrong
    deep = ("[" * 5000).encode()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert (await at.ask("/api/parts/2/review", method="POST", headers=headers, body=deep)).status == 400
    assert at.reviews == []


async def test_only_a_review_may_be_as_long_as_a_drawing_makes_it(at: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/api/session", "/api/parts/2/review/", "/api/parts/x/review", "/api/limit"):
        body = b" " * (BODY_MAX_BYTES + 1)
        assert (await at.ask(path, method="POST", headers=headers, body=body)).status == 413, path
    shapes = [outline(*([1000 + x, 2000 + x * x] for x in range(60)))] * 10
    largest = {"camera": 1, "width": 20_000, "height": 20_000, "shapes": shapes}
    said = {"says": "CONFIRMED", "note": "n" * 500, "defect": "d" * 60, "drawings": [largest]}
    assert len(json.dumps(said)) < REVIEW_MAX_BYTES, "the largest drawing there is goes through"
    assert (await at.review(**said)).status == 200
    assert at.reviews[0].drawings[0].shapes[0].points[1] == (1001, 2001)


async def test_html_in_a_name_is_a_name(at: Served) -> None:
    name = "<img src=x onerror=alert(1)>"
    assert (await at.review(says="CONFIRMED", defect=name, drawings=[drawing()])).status == 200
    told = (await at.ask("/api/parts/2")).json["reviews"][0]
    assert told["defect"] == name
    assert told["drawings"] == [drawing()]
    assert (await at.ask("/api/defects")).json["names"] == [name]


async def test_a_name_is_spelled_as_it_was_before(at: Served) -> None:
    for part, name in ((2, "Scratch"), (3, " scratch "), (4, "dent"), (5, "SCRATCH"), (6, "")):
        assert (await at.review(str(part), says="CONFIRMED", defect=name)).status == 200
    assert [one.defect for one in at.reviews] == ["Scratch", "Scratch", "dent", "Scratch", None]
    assert (await at.ask("/api/defects")).json["names"] == ["Scratch", "dent"]


# --- disputes --------------------------------------------------------------------------------------------


async def test_two_who_differ_make_a_dispute_that_an_operator_does_not_decide(people: Served, line: Settings) -> None:
    change(line, lambda users: users.with_role(QUINN, Role.OPERATOR))
    change(line, lambda users: users.with_added("Ben", Role.QUALITY, "battery horse staple"))
    lin, quinn, ada = [await signed_in(people, name) for name in (LIN, QUINN, ADA)]
    assert (await lin.review(says="CONFIRMED", defect="scratch", drawings=[drawing()])).json["standing"] == "CONFIRMED"
    assert (await ada.review(says="OVERTURNED")).json["standing"] == "DISPUTED"

    for which in ("mine", "disputed", "all"):
        queue = (await quinn.ask(f"/api/queue?which={which}")).json
        found = [part["part_seq"] for part in queue["parts"] if part["why"] == "DISPUTED"]
        assert found == ([] if which == "mine" else [2]), "an operator cannot settle it"
        assert queue["disputed"] == 1
    refused = await quinn.review(says="CONFIRMED", drawings=[drawing()])
    assert refused.status == 403
    assert refused.body.decode() == "People differ over part 2. Who decides it is: quality assurance, engineer."
    assert (await ada.ask("/api/queue?which=mine")).json["parts"][0]["part_seq"] != 2, "she has spoken"
    assert [p["part_seq"] for p in (await ada.ask("/api/parts?reviewed=DISPUTED")).json["parts"]] == [2]
    assert (await ada.ask("/api/parts?reviewed=CONFIRMED")).json["parts"] == []

    ben = Visitor(people)
    await ben.sign_in("Ben", "battery horse staple")
    shown = (await ben.ask("/api/queue?which=mine")).json["parts"][0]
    assert (shown["part_seq"], shown["why"], shown["may_decide"]) == (2, "DISPUTED", True)
    assert [one["by"] for one in shown["reviews"]] == [LIN, ADA], "who decides weighs both words"
    assert (await ben.review(says="CONFIRMED", seen=2)).json["standing"] == "CONFIRMED"
    part = (await ada.ask("/api/parts/2")).json
    assert (part["standing"], part["settled_by"]) == ("CONFIRMED", "Ben")
    assert (await ada.ask("/api/queue?which=disputed")).json["parts"] == []


async def test_a_person_who_changes_her_mind_replaces_her_own_word(people: Served) -> None:
    lin, ada = await signed_in(people, LIN), await signed_in(people, ADA)
    await lin.review(says="CONFIRMED")
    assert (await ada.review(says="OVERTURNED")).json["standing"] == "DISPUTED"
    assert (await lin.review(says="OVERTURNED", seen=2)).json["standing"] == "OVERTURNED"
    assert len((await ada.ask("/api/parts/2")).json["reviews"]) == 3, "all words stay in the journal"


async def test_without_users_a_third_name_decides(at: Served) -> None:
    for by, says, standing in (
        ("Ada", "CONFIRMED", "CONFIRMED"),
        ("ada", "CONFIRMED", "CONFIRMED"),
        ("Lin", "OVERTURNED", "DISPUTED"),
        ("LIN ", "OVERTURNED", "DISPUTED"),
        ("Quinn", "OVERTURNED", "OVERTURNED"),
    ):
        assert (await at.review(by=by, says=says)).json["standing"] == standing, by


async def test_of_two_who_decide_at_once_the_second_is_told_and_nothing_is_lost(people: Served, line: Settings) -> None:
    change(line, lambda users: users.with_added("Ben", Role.OPERATOR, "battery horse staple"))
    lin, ada, quinn, ben = [await signed_in(people, name) for name in (LIN, ADA, QUINN)] + [Visitor(people)]
    await ben.sign_in("Ben", "battery horse staple")
    await lin.review(says="CONFIRMED")
    await ben.review(says="OVERTURNED")
    replies = await asyncio.gather(
        ada.review(says="CONFIRMED", seen=2), quinn.review(says="OVERTURNED", seen=2, defect="")
    )
    assert sorted(reply.status for reply in replies) == [200, 409]
    late = next(reply for reply in replies if reply.status == 409)
    assert "was first" in late.body.decode()
    assert len(people.reviews) == 3


# --- second readings -------------------------------------------------------------------------------------


async def test_a_second_reader_is_not_shown_the_first_word_until_hers_is_said(people: Served) -> None:
    lin, ada = await signed_in(people, LIN), await signed_in(people, ADA)
    await lin.review(says="CONFIRMED", note="at the edge", defect="scratch", drawings=[drawing()])

    for path in ("/api/parts/2", "/api/queue?which=mine", "/api/parts", "/api/find?text=2"):
        shown = (await ada.ask(path)).body.decode()
        for secret in ("at the edge", "scratch", '"CONFIRMED","by"', '"points"'):
            assert secret not in shown, path
    part = (await ada.ask("/api/parts/2")).json
    assert (part["kept_back"], part["standing"], part["awaits_second"]) == (True, "", True)
    assert len(part["reviews"]) == 1
    assert (await lin.ask("/api/parts/2")).json["kept_back"] is False, "her own"
    assert "at the edge" in (await Visitor(people).ask("/api/parts/2")).body.decode(), "who only looks sees all"

    # Both began before either had spoken: no conflict, for neither was to see the other's word.
    assert (await ada.review(says="CONFIRMED", seen=0)).status == 200
    assert [one.blind for one in people.reviews] == [False, True]
    assert (await ada.ask("/api/parts/2")).json["kept_back"] is False
    assert 2 not in [p["part_seq"] for p in (await ada.ask("/api/queue")).json["parts"]], "read twice"


async def test_who_asked_to_be_shown_the_first_word_reads_no_longer_blind(people: Served) -> None:
    lin, ada = await signed_in(people, LIN), await signed_in(people, ADA)
    await lin.review(says="CONFIRMED")
    shown = (await ada.ask("/api/parts/2?shown=yes")).json
    assert (shown["kept_back"], shown["reviews"][0]["by"]) == (False, LIN)
    assert (await ada.ask("/api/parts/2")).json["kept_back"] is False, "it was seen: hiding it again hides nothing"
    assert (await ada.review(says="CONFIRMED", seen=0)).status == 409
    assert (await ada.review(says="CONFIRMED", seen=1)).status == 200
    assert [(one.blind, one.seen) for one in people.reviews] == [(False, 0), (False, 1)]


async def test_a_queue_that_is_none_is_said(people: Served) -> None:
    for query in ("which=x", "which=", "who=me", "which=mine&which=all&more=1"):
        assert (await people.ask(f"/api/queue?{query}")).status == 400, query


# --- sessions --------------------------------------------------------------------------------------------


async def test_a_session_that_ended_or_was_stolen_writes_nothing(people: Served, line: Settings) -> None:
    ada = await signed_in(people, ADA)
    stolen = Visitor(people, cookie=ada.cookie, origin="https://evil.example")
    assert (await stolen.review(says="CONFIRMED", drawings=[drawing()])).status == 403
    guessed = Visitor(people, cookie=ada.cookie[:-1] + ("A" if ada.cookie[-1] != "A" else "B"))
    assert (await guessed.review(says="CONFIRMED", drawings=[drawing()])).status == 401
    change(line, lambda users: users.with_password(ADA, "something else entirely"))
    assert (await ada.review(says="CONFIRMED", drawings=[drawing()])).status == 401
    assert people.reviews == []
