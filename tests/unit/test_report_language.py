"""Reports in another language: nothing of them stays English but codes, names and what a person wrote."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_agent import wording
from edge_agent.domain import Reason, Verdict
from edge_agent.drift.chart import Change
from edge_agent.drift.charts import Standing
from edge_agent.drift.traces import Bin, Trace
from edge_agent.drift.usual import Usual
from edge_agent.report.collected import CollectedFacts, CollectedPart, write_collected
from edge_agent.report.doubts import DoubtFacts, write_doubts
from edge_agent.report.facts import AnswerRow, LeftOutPart, LightAndLens, LimitOffer, MoreParts, PartPictures
from edge_agent.report.figures import score_histogram
from edge_agent.report.part import write_part_page
from edge_agent.report.phrases import said
from edge_agent.report.shift import BundleFact, Period, ShiftFacts, write_shift_report
from edge_agent.report.tally import ReasonCount
from edge_agent.report.words import event_words
from edge_agent.settings import load_settings
from edge_agent.tools.part_page import part_page
from edge_agent.wording import speaking, tr
from tests.command_line import edge_agent_here
from tests.unit.test_report_html import (
    DEFECTIVE,
    HOSTILE,
    Page,
    calibration_page,
    head,
    part,
    pictures,
    run_page,
    without_places,
)
from tests.unit.test_report_part import line_of_two_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITTEN = {
    "Night shift",
    "Calibration of flange",
    "22 parts were judged",
    "program 9",
    "no heat map",
    "caption",
    "onerror=",
}
"""What the facts of these tests say themselves, as if somebody had written it."""

LIMIT = "What share of defects is found cannot be told from good parts."


class Marked:
    """A language in which every text stands between marks: what lies between none was not translated."""

    def gettext(self, text: str) -> str:
        return f"«{text}»"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return f"«{one if n == 1 else many}»"


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(wording, "_catalogue", lambda _: Marked())
    with speaking("zh"):
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return line_of_two_parts(tmp_path)


def untranslated(page: Page) -> list[str]:
    """Pieces of a page with two words beside each other that nobody translated, charts and descriptions included."""
    charts = [source for source in page.attributes("src") if source.startswith("data:image/svg+xml")]
    drawn = " | ".join(base64.b64decode(chart.partition(",")[2]).decode() for chart in charts)
    texts = [*page.words, *page.attributes("alt"), *re.findall(r"<text[^>]*>([^<]*)", drawn)]
    # A sentence around an element is several texts: joined, its marks meet again.
    left = "\n".join(texts).replace("\n", " ¦ ")
    while (shorter := re.sub(r"«[^«»]*»", "", left)) != left:
        left = shorter
    assert "«" not in left, left
    return [
        piece.strip()
        for piece in left.split("¦")
        if re.search(r"[a-z]{2,} [a-z]{2,}", piece) and not any(written in piece for written in WRITTEN)
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("marks")
def test_nothing_of_a_run_stays_english(tmp_path: Path) -> None:
    refused = PartPictures("part 9", "caption", None, problem="the file is empty")
    shown = (
        part(1),
        part(2, verdict=Verdict.REJECT, reason=Reason.NO_IMAGE, detail="no image of camera 1 by the deadline"),
    )
    for changes in (
        {"pictures": (pictures("part 20", 2.0), without_places("part 1", 1.0), refused), "simulated": True},
        {"parts": shown, "differences": (said("recorded score 1, now 2"),), "notes": ()},
        {"parts": tuple(part(seq, gate="", detail="") for seq in range(300)), "deadline_ms": None},
    ):
        page = run_page(tmp_path, **changes)

        assert untranslated(page) == []
        assert '<html lang="zh-Hans">' in page.html


@pytest.mark.slow
@pytest.mark.usefixtures("marks")
def test_nothing_of_a_calibration_stays_english(tmp_path: Path) -> None:
    more = MoreParts("not tried on an inspected area this narrow", ((10, 0.8),))
    for changes in (
        {"limit_statement": LIMIT, "review_from": 1.5},
        {
            "limit_statement": LIMIT,
            "defective": DEFECTIVE,
            "left_out": (LeftOutPart("odd.bmp", "ab" * 32),),
            "offers": (LimitOffer(1.0, 0.02, 0.1, "2%", 1), LimitOffer(1.2, 0.01, 0.1, "", 1, tr("as set"))),
            "answers": (AnswerRow("place", "images are compared as they come", (), "as asked"),),
            "more_parts": more,
            "light_and_lens": LightAndLens("not tried on an inspected area this narrow", (("10 % darker", 0.4, True),)),
            "timings_s": {"read": 1.0, "light and lens": 2.0},
            "crop_px": None,
        },
        {"limit_statement": LIMIT, "oddest": (), "left_out": (LeftOutPart("odd.bmp", "ab" * 32),)},
    ):
        left = untranslated(calibration_page(tmp_path, **changes))

        assert left == [text for text in left if "known-defective parts would pass: dent.bmp." in text]


def charts() -> tuple[Trace, ...]:
    """One that has changed, one that has not, one that is not known yet."""
    usual = Usual(50.0, 5.0, 40)
    change = Change("2026-11-24T06:00:00+00:00", 7, True, "EWMA", "2026-11-24T06:10:00+00:00", 9)
    bins = tuple(Bin(f"2026-11-24T0{hour}:00:00+00:00", 40.0, 60.0, 50.0, 0) for hour in range(5, 9))
    lamp = "look at the lamp, the exposure and the lens"
    told = f"camera 2: the images are 6.1% darker since Tuesday, 2026-11-24 07:00: {lamp}"
    changed = Standing(2, "b", "brightness", usual, 0, 40.0, -3.0, 2.0, change)
    calm = [Standing(2, "b", name, usual, 0, 50.0, 0.1, 2.0, None) for name in ("score", "share_native", "angle_deg")]
    learned = Standing(2, "b", "latency_ms", None, 30, None, 0.0, 0.0, None)
    return (
        Trace(changed, "grey", 50.0, 40.0, 60.0, 39.0, bins, told),
        *(Trace(one, "percent", 50.0, 40.0, 60.0, 50.0, bins) for one in calm),
        Trace(learned, "ms", None, None, None, None, ()),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("marks")
def test_nothing_of_a_shift_stays_english(tmp_path: Path) -> None:
    bundle = BundleFact("ab" * 32, 3, "/bundles/a", "2026-11-24T06:00:00+00:00", 1.6, 40, LIMIT, "numpy 2")
    whole = Period("all", 3, 1, 1, 2)
    facts = ShiftFacts(
        head=head(),
        simulated=1,
        dry_run=1,
        whole=whole,
        hours=(whole,),
        reasons=(ReasonCount(Verdict.REJECT, Reason.SCORE, 1),),
        published={"PUBLISHED": 2, "": 1},
        bundles=(bundle, BundleFact("cd" * 32, 1, "", "", None, None, "", "")),
        latencies_ms=(100.0, 120.0),
        deadline_ms=700.0,
        shown=(part(1),),
        by_score=2,
        worst=(pictures("part 2", 2.0),),
        events=tuple(
            ("2026-11-24T06:00:00+00:00", *event_words(kind, told))
            for kind, told in (
                ("START", "the agent is up"),
                ("BYPASS", "ends: its time is over; it was begun by Ada"),
                (
                    "CHALLENGE",
                    '{"ok": true, "rejected": 2, "of": 2, "golden_passed": 1, "golden": 1, "through": "line"}',
                ),
                ("DISK", "begins: the disk has not answered for 5 s"),
            )
        ),
        confirmed=1,
        overturned=0,
        passes_confirmed=1,
        escapes=1,
        chain_problems=("part 4 is gone, its images are not",),
        chain_head="12:ab",
        versions={"edge-agent": "0.1.0"},
        drift=charts(),
    )
    bare = replace(facts, worst=(), chain_problems=(), bundles=(), latencies_ms=(), events=())
    for changed in (facts, bare, replace(bare, by_score=0)):
        write_shift_report(tmp_path / "shift.html", changed)

        assert untranslated(Page((tmp_path / "shift.html").read_text(encoding="utf-8"))) == []


@pytest.mark.usefixtures("marks")
def test_nothing_of_what_a_person_has_to_look_at_stays_english(tmp_path: Path) -> None:
    views = tuple(without_places(name) for name in ("a.bmp", "b.bmp"))
    facts = DoubtFacts(head(), views, ("--leave-out a", "--leave-out b"), ("--keep a", "--keep b"), views[0], {})
    write_doubts(tmp_path / "doubts.html", facts)
    write_collected(
        tmp_path / "collected.html",
        CollectedFacts(
            head(),
            (CollectedPart("a.bmp", "registers at 0.99", None),),
            (CollectedPart("b.bmp", "the same picture as a.bmp", None),),
            {},
        ),
    )

    for name in ("doubts.html", "collected.html"):
        assert untranslated(Page((tmp_path / name).read_text(encoding="utf-8"))) == []


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize("number", [1, 2])
def test_nothing_of_one_part_stays_english(folder: Path, number: int) -> None:
    facts = part_page(load_settings(folder / "line.toml"), number)
    write_part_page(folder / "part.html", facts)

    assert untranslated(Page((folder / "part.html").read_text(encoding="utf-8"))) == []


def test_a_value_in_a_translated_text_is_escaped_and_a_broken_one_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless(Marked):
        def gettext(self, text: str) -> str:
            return f"<b>{text}</b>"

    monkeypatch.setattr(wording, "_catalogue", lambda _: Careless())
    with speaking("ja"):
        page = run_page(tmp_path, head=head(bundles=(), line=HOSTILE), differences=(HOSTILE,))

    assert "<script>alert" not in page.html
    assert "&lt;b&gt;" in page.html
    assert "\x1b" not in page.html


@pytest.mark.parametrize(
    ("asked", "tag"), [((), "de"), (("--language", "zh"), "zh-Hans"), (("--language", "en"), "en")]
)
def test_a_report_speaks_the_lines_language_or_the_one_asked_for(
    folder: Path, asked: tuple[str, ...], tag: str
) -> None:
    toml = folder / "line.toml"
    toml.write_text(toml.read_text().replace("[line]\n", '[line]\nlanguage = "de"\n'))

    ran = edge_agent_here("report", "part", "1", "-c", str(toml), "-o", str(folder / "p.html"), "--json", *asked)

    assert ran.code == 0, ran.err
    assert f'<html lang="{tag}">' in (folder / "p.html").read_text(encoding="utf-8")
    assert "The part was rejected." in ran.out, "a program reads this: English"


def test_a_language_that_nobody_speaks_is_refused_by_name(folder: Path) -> None:
    toml = folder / "line.toml"
    toml.write_text(toml.read_text().replace("[line]\n", '[line]\nlanguage = "fr"\n'))

    ran = edge_agent_here("report", "part", "1", "-c", str(toml))

    assert ran.code == 78
    assert "line.language" in ran.err


def test_a_chart_is_text_that_any_font_can_show_and_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Japanese(Marked):
        def gettext(self, text: str) -> str:
            return "良品" if text == "good parts" else text

    monkeypatch.setattr(wording, "_catalogue", lambda _: Japanese())
    scores = np.linspace(0.5, 1.0, 20).tolist()
    with speaking("ja"):
        charts = [score_histogram(scores, 1.2) for _ in range(2)]

    drawn = base64.b64decode(charts[0].light_uri.partition(",")[2]).decode()
    assert charts[0] == charts[1]
    assert ">良品<" in drawn
    assert "Noto Sans CJK JP" in drawn
