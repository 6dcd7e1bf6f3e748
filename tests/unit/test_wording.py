"""Words in the languages of the page: every text has all of them, and a browser is answered in the one it asks for."""

from __future__ import annotations

import asyncio
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from edge_agent.domain import Reason
from edge_agent.report.words import CONDITION_WORDS, REASON_WORDS
from edge_agent.runtime.supervisor import CONDITIONS
from edge_agent.web.language import shell
from edge_agent.wording import LANGUAGES, language, preferred, speaking, table, tr, trn

ROOT = Path(__file__).resolve().parents[2]
KEYWORDS = {"tr": None, "trn": (1, 2), "mark": None}


@cache
def words_in_the_code() -> set[Any]:
    """As ``make words`` finds them."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    found = extract_from_dir(
        ROOT,
        [(one["pattern"], one["method"]) for one in mappings],
        {one["pattern"]: {k: v for k, v in one.items() if k not in ("pattern", "method")} for one in mappings},
        keywords=KEYWORDS,
    )
    return {message[0] if isinstance(message, tuple) else message for _, _, message, _, _ in found}


def names_in(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w*)\}", text))


@pytest.mark.parametrize("code", sorted(set(LANGUAGES) - {"en"}))
def test_a_language_has_all_words_and_each_fills_the_same_names(code: str) -> None:
    with (ROOT / "edge_agent" / "locale" / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    ids = {m.id[0] if isinstance(m.id, tuple) else m.id: m for m in catalogue if m.id}

    assert set(ids) == words_in_the_code(), "make words"
    empty = [
        text for text, m in ids.items() if m.fuzzy or not all([m.string] if isinstance(m.string, str) else m.string)
    ]
    assert not empty, "to be translated"
    for text, message in ids.items():
        for said in [message.string] if isinstance(message.string, str) else message.string:
            assert names_in(said) == names_in(text), text


@pytest.mark.slow
def test_words_are_found_in_all_kinds_of_files() -> None:
    assert {"No deviation", "Live", "Anomaly map"} <= words_in_the_code()


def test_every_reason_and_every_condition_has_words() -> None:
    assert set(REASON_WORDS) == set(Reason)
    assert set(CONDITIONS) <= set(CONDITION_WORDS)


def test_a_text_is_filled_and_a_number_of_things_has_its_form() -> None:
    assert tr("Part {number} of {of}", number=4, of="{x}") == "Part 4 of {x}"
    assert tr("50 % of {them}, as it stands") == "50 % of {them}, as it stands"
    assert (trn("{n} part", "{n} parts", 1), trn("{n} part", "{n} parts", 3)) == ("1 part", "3 parts")


async def test_each_task_speaks_its_own_language() -> None:
    async def spoken(code: str) -> str:
        with speaking(code):
            await asyncio.sleep(0)
            return language()

    assert await asyncio.gather(*(spoken(code) for code in LANGUAGES)) == list(LANGUAGES)
    assert language() == "en"
    with pytest.raises(KeyError), speaking("xx"):
        pass


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, ja;q=0.5, de;q=0.7", "de"),
        ("zh-Hans-CN", "zh"),
        ("", "en"),
        ("de;q=x, *, ;;;", "en"),
        ("fr", "en"),
    ],
)
def test_a_browser_is_answered_in_the_first_of_its_languages_that_there_is(accepted: str, wanted: str) -> None:
    assert preferred(accepted) == wanted


def test_the_shell_says_its_language_and_offers_the_others() -> None:
    with speaking("zh"):
        html = shell()

    assert '<html lang="zh-Hans">' in html
    assert '<option value="zh" selected>简体中文</option>' in html
    assert table("en") == {}
