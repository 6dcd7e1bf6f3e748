"""The reports: one file that loads nothing, says what happened, and escapes what came from outside."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import shutil
import subprocess
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.local_time import in_local_time, in_utc
from edge_agent.report.facts import (
    AnswerRow,
    CalibrationFacts,
    DefectiveFacts,
    GoodPartScore,
    LeftOutPart,
    LimitOffer,
    MoreParts,
    OddPart,
    PartFact,
    PartPictures,
    RegistrationRow,
    RunFacts,
    TradeOffPoint,
    TrainingStep,
)
from edge_agent.report.head import BundleName, Head
from edge_agent.report.html import write_calibration_report, write_run_report
from edge_agent.report.words import PUBLISHED_WORDS, REASON_WORDS, event_words
from edge_agent.tools.shift import print_pdf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe'\"&{{ 7*7 }}$\\frac{1}"
HOSTILE_CSS = '</style><script>alert(1)</script>"; } body { display: none } \\'
_VOID = {"meta", "img", "source", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """A parsed report: its text, its tags, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "script"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]

    def images(self, words: str) -> list[Image.Image]:
        uris = [attrs["src"] or "" for tag, attrs in self.tags if tag == "img" and attrs.get("alt") == words]
        return [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris]


def pictures(label: str, peak: float = 1.0, *, size: tuple[int, int] = (60, 80)) -> PartPictures:
    heat_map = np.zeros(size, np.float32)
    heat_map[10, 20] = peak
    return PartPictures(label, "caption", np.full(size, 120, np.uint8), heat_map=heat_map)


def without_places(label: str, peak: float = 1.0, *, size: tuple[int, int] = (60, 80)) -> PartPictures:
    """What a score that knows no places looks at."""
    anomaly_map = np.zeros(size, np.float32)
    anomaly_map[10:30, 20:40] = peak
    image = np.full(size, 120, np.uint8)
    return PartPictures(label, "caption", image, image.astype(np.float32) / 255, anomaly_map, problem="no heat map")


def head(**changes: Any) -> Head:
    known = Head(
        title="Night shift",
        result="22 parts were judged",
        made_utc="2026-11-24T06:00:00+00:00",
        line="line 4",
        pc="pc-4",
        part="flange",
        program="3",
        cameras="1",
        bundles=(BundleName("3fa9c1d2" * 8, "Ada", "2026-11-20T06:00:00+00:00", "0.1.0"),),
        version="0.1.0",
        from_utc="2026-11-24T05:00:00+00:00",
        to_utc="2026-11-24T13:00:00+00:00",
    )
    return replace(known, **changes)


def part(seq: int, **changes: Any) -> PartFact:
    fact = PartFact(
        part_seq=seq,
        verdict=Verdict.PASS,
        reason=Reason.OK,
        label=f"CAM1_{seq}.bmp",
        count=100 + seq,
        score=0.5,
        limit=1.0,
        latency_ms=100.0 + seq,
        is_defective=False,
        truth="good",
        gate="passed",
        published=Published.PUBLISHED,
    )
    return replace(fact, **changes)


HOSTILE_HEAD = head(
    title=HOSTILE,
    result=HOSTILE,
    to_do=(HOSTILE,),
    warnings=(HOSTILE,),
    line=HOSTILE + HOSTILE_CSS,
    pc=HOSTILE,
    part=HOSTILE,
    program=HOSTILE,
    cameras=HOSTILE,
    bundles=(BundleName(HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
    version=HOSTILE,
    from_utc=HOSTILE,
    to_utc=HOSTILE,
    made_utc=HOSTILE,
)


def run_facts(**changes: Any) -> RunFacts:
    reject = {"verdict": Verdict.REJECT, "reason": Reason.SCORE, "score": 3.0, "gate": "rejected"}
    parts = (
        *(part(seq) for seq in range(1, 19)),
        part(19, **reject),
        part(20, is_defective=True, truth="scratch", **reject),
        part(21, is_defective=True, truth="dent"),
        part(22, verdict=Verdict.FAULT, reason=Reason.PROGRAM, detail="program 9", score=None, gate="rejected"),
    )
    facts = RunFacts(
        head=head(),
        simulated=False,
        versions={"edge-agent": "0.1.0", "onnxruntime": "1.32"},
        parts=parts,
        pictures=(pictures("part 20", 2.0), pictures("part 1", 1.0)),
        deadline_ms=400.0,
    )
    return replace(facts, **changes)


def calibration_facts(**changes: Any) -> CalibrationFacts:
    facts = CalibrationFacts(
        head=head(title="Calibration of flange"),
        part="flange",
        program=3,
        camera=1,
        bundle_id="3fa9c1d2",
        created_utc="2026-11-24T06:00:00Z",
        versions={"edge-agent": "0.1.0"},
        image_count=40,
        image_width_px=160,
        image_height_px=120,
        reference=np.full((120, 160), 90, np.uint8),
        crop_px=(10, 20, 100, 80),
        registrations=tuple(RegistrationRow(f"good_{i}.bmp", i * 0.1, -0.2, 0.05 * i, 0.99) for i in range(12)),
        training=tuple(TrainingStep(step, 1 / (step + 1), 1.2 / (step + 1)) for step in range(0, 50, 10)),
        scores=tuple(GoodPartScore(f"good_{i}.bmp", 0.5 + 0.01 * i) for i in range(12)),
        limit=1.62,
        limit_statement="With 95 % confidence at most 7.2 % of good parts are rejected.",
        seed=7,
        own_variance=0.9,
        mean_image_error=0.8,
        oddest=(odd_part("good_11.bmp", 3.1), odd_part("good_4.bmp", 1.2)),
        timings_s={"train": 61.2},
    )
    return replace(facts, **changes)


def odd_part(file: str, oddity: float, **changes: Any) -> OddPart:
    heat = np.full((60, 80), oddity, np.float32)
    part = OddPart(file, oddity, 0.81, pictures(file).image, heat, leave_out=f"--leave-out {file}")
    return replace(part, **changes)


def run_page(tmp_path: Path, **changes: Any) -> Page:
    path = tmp_path / "run.html"
    write_run_report(path, facts=run_facts(**changes))
    return Page(path.read_text(encoding="utf-8"))


def calibration_page(tmp_path: Path, **changes: Any) -> Page:
    path = tmp_path / "calibration.html"
    write_calibration_report(path, facts=calibration_facts(**changes))
    return Page(path.read_text(encoding="utf-8"))


DEFECTIVE = DefectiveFacts(
    statement="1 of 20 known-defective parts would pass: dent.bmp.",
    count=20,
    missed=(("dent.bmp", 0.6),),
    scores=(0.6, 2.0, 40.0),
    curve=(TradeOffPoint(0.02, 0.1), TradeOffPoint(0.05, 0.05), TradeOffPoint(0.10, 0.0)),
    chosen=TradeOffPoint(0.05, 0.05),
    pictures=(pictures("dent.bmp", 0.4),),
)

NO_CHARTS: dict[str, Any] = {"registrations": (), "training": (), "scores": ()}
"""Charts take most of a report's time; a test that does not look at them leaves them out."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return run_page(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def calibration(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return calibration_page(tmp_path_factory.mktemp("calibration"))


# --- one file -------------------------------------------------------------------------------------------


def test_the_reports_load_nothing_and_run_nothing(run: Page, calibration: Page) -> None:
    for page in (run, calibration):
        sources = page.attributes("src") + page.attributes("srcset") + page.attributes("href")

        assert sources
        kinds = ("data:image/png;base64,", "data:image/jpeg;base64,", "data:image/svg+xml;base64,")
        assert all(source.startswith(kinds) for source in sources)
        charts = [base64.b64decode(source.partition(",")[2]).decode() for source in sources if "svg" in source[:20]]
        assert charts
        for chart in charts:
            assert "<script" not in chart
            assert set(re.findall(r"https?://[^/\"]*", chart)) <= {"http://www.w3.org"}  # names of what SVG is
            assert all(
                link.startswith(("#", "data:image/png;base64,")) for link in re.findall(r'href="([^"]*)"', chart)
            )
        assert "url(" not in page.html
        assert "http://" not in page.html
        assert "https://" not in page.html
        assert not [tag for tag, _ in page.tags if tag in {"script", "link", "iframe", "object"}]
        assert "default-src 'none'" in page.html


def test_charts_come_for_light_and_for_dark_and_paper_is_light(run: Page) -> None:
    by_day = [attrs["src"] for _, attrs in run.tags if attrs.get("class") == "by-day"]
    by_night = [attrs["src"] for _, attrs in run.tags if attrs.get("class") == "by-night"]

    assert len(by_day) == len(by_night) == 2
    assert not set(by_day) & set(by_night)
    assert "@media screen and (prefers-color-scheme: dark) { .by-day { display: none; }" in run.html


def test_the_same_facts_give_the_same_bytes(tmp_path: Path, run: Page) -> None:
    assert run_page(tmp_path).html == run.html


def test_a_report_replaces_the_one_before_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.html"
    write_run_report(path, facts=run_facts(head=head(title="first"), parts=()))
    write_run_report(path, facts=run_facts(head=head(title="second"), parts=()))

    assert "second" in path.read_text(encoding="utf-8")
    assert [found.name for found in path.parent.iterdir()] == ["run.html"]


def test_what_comes_from_outside_is_escaped(tmp_path: Path) -> None:
    words = {"label": HOSTILE, "detail": HOSTILE, "truth": HOSTILE, "gate": HOSTILE}
    hostile_row = part(1, score=None, latency_ms=None, **words)
    pages = (
        run_page(
            tmp_path,
            head=HOSTILE_HEAD,
            parts=(hostile_row,),
            versions={HOSTILE: HOSTILE},
            notes=(HOSTILE,),
            differences=(HOSTILE,),
            pictures=(replace(pictures(HOSTILE), caption=HOSTILE),),
        ),
        calibration_page(
            tmp_path,
            head=HOSTILE_HEAD,
            part=HOSTILE,
            limit_statement=HOSTILE,
            left_out=(LeftOutPart(HOSTILE, HOSTILE),),
            offers=(LimitOffer(1.0, 0.01, 0.05, HOSTILE), LimitOffer(1.0, 0.01, 0.05, "", note=HOSTILE)),
            defective=replace(DEFECTIVE, statement=HOSTILE, missed=((HOSTILE, 0.6),), curve=(), scores=()),
            scores=(GoodPartScore(HOSTILE, 1.0),),
            registrations=(RegistrationRow(HOSTILE, 0.0, 0.0, 0.0, 1.0),),
            training=(),
            limit=math.inf,
            timings_s={HOSTILE: 1.0},
            notes=(HOSTILE,),
            oddest=(odd_part(HOSTILE, 3.0, leave_out=HOSTILE),),
            more_parts=MoreParts(HOSTILE),
        ),
    )
    for page in pages:
        assert not [tag for tag, _ in page.tags if tag == "script"]
        assert "\x1b" not in page.html
        assert "\u202e" not in page.html
        assert "<script>alert(1)</script>\\x1b[31m\\u202egnp.exe" in page.text
        assert "{{ 7*7 }}" in page.text


def test_a_name_of_broken_bytes_is_shown_not_a_crash(tmp_path: Path) -> None:
    page = run_page(tmp_path, parts=(part(1, label="\udcff.bmp", score=None, latency_ms=None),))

    assert "\\udcff.bmp" in page.text


# --- the head -------------------------------------------------------------------------------------------


def test_a_report_begins_with_what_it_is_of_what_came_out_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        said = head(result="PASSED: 5 of 5", tone="good", to_do=("Sign it.",), warnings=("The gate is dead: mend it.",))
        text = run_page(tmp_path, head=said).text
    finally:
        monkeypatch.undo()
        time.tzset()
    begin = text[: text.index("parts 19")]

    assert "line line 4 PC pc-4 part flange program 3 cameras 1" in begin
    assert "bundle 3fa9c1d23fa9 , activated by Ada, 2026-11-20 07:00:00 (UTC+01:00)" in begin
    assert "version edge-agent 0.1.0" in begin
    assert "2026-11-24 06:00:00 to 14:00:00 (UTC+01:00) 2026-11-24 05:00:00 to 13:00:00 UTC" in begin
    assert "PASSED: 5 of 5 What to do Sign it. Warning. The gate is dead: mend it." in begin


def test_what_is_not_known_is_not_said(tmp_path: Path) -> None:
    bare = Head("Replay", "nothing compared", "2026-11-24T06:00:00+00:00", pc="pc")
    page = run_page(tmp_path, head=bare, parts=(), pictures=())

    assert "<dt>written</dt>" in page.html
    assert not [name for name in ("line", "part", "program", "cameras", "bundle") if f"<dt>{name}</dt>" in page.html]
    assert "What to do" not in page.text
    assert "Warning." not in page.text


def test_times_are_of_this_pc_and_a_text_that_is_none_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert in_local_time("2026-07-01T22:30:00Z") == "2026-07-02 00:30:00 (UTC+02:00)"
        over_midnight = in_local_time("2026-11-24T20:00:00+00:00", "2026-11-25T04:00:00+00:00")
        assert over_midnight == "2026-11-24 21:00:00 to 2026-11-25 05:00:00 (UTC+01:00)"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert in_utc("2026-11-24T20:00:00+01:00") == "2026-11-24 19:00:00 UTC"
    assert in_local_time("yesterday", "today") == "yesterday to today"


@pytest.mark.parametrize("paper", ["A4", "letter"])
def test_every_page_on_paper_has_its_number_and_what_it_is_of(tmp_path: Path, paper: Any) -> None:
    write_run_report(tmp_path / "run.html", facts=run_facts(parts=(), pictures=(), head=head(paper=paper)))
    html = (tmp_path / "run.html").read_text("utf-8")

    assert f"@page {{ size: {paper};" in html
    assert 'content: "line 4 \\0000b7 bundle 3fa9c1d23fa9";' in html
    assert 'counter(page) " of " counter(pages)' in html


# --- words ----------------------------------------------------------------------------------------------


def test_every_reason_and_every_way_of_a_verdict_has_words() -> None:
    assert set(REASON_WORDS) == set(Reason)
    assert set(PUBLISHED_WORDS) == set(Published)


def test_codes_are_said_in_words(run: Page) -> None:
    assert "Looks different from the good parts" in run.text
    assert "No bundle for the controller's program program 9" in run.text
    assert "Every verdict was written to the output in time." in run.text
    assert "PUBLISHED" not in run.text


def test_a_verdict_that_did_not_reach_the_wire_is_said_of_its_part(tmp_path: Path) -> None:
    late = part(1, published=Published.LATE, score=None, latency_ms=None)
    text = run_page(tmp_path, parts=(late, part(2)), pictures=()).text

    assert "too late: REJECT stands" in text
    assert "Every verdict was written" not in text


def test_what_the_score_column_says_is_not_said_again(tmp_path: Path) -> None:
    detail = "camera 1: score 3 is at or above the limit 1, seen in brightness and colour"
    text = run_page(tmp_path, parts=(part(1, reason=Reason.SCORE, score=3.0, detail=detail),), pictures=()).text

    assert "Looks different from the good parts seen in brightness and colour" in text
    assert "is at or above" not in text


def test_an_events_json_is_told_in_words() -> None:
    told = {"ok": False, "through": "line", "by": "Ada", "rejected": 2, "of": 3, "golden_passed": 1, "golden": 1}
    words = "NOT PASSED: 2 of 3 reject samples rejected, 1 of 1 golden samples passed; on the running line, by Ada"

    assert event_words("CHALLENGE", json.dumps(told)) == ("challenge", words)
    assert event_words("CHALLENGE", '{"ok": true}') == ("challenge", "ok yes")
    assert event_words("RESULT_ASIDE", '{"receiver": "mqtt", "number": null, "why": ["a", 1]}') == (
        "result set aside",
        "receiver mqtt; number none; why a, 1",
    )
    assert event_words("NEW_KIND", "begins, by Ada") == ("new kind", "begins, by Ada")
    assert event_words("START", "[1]") == ("agent started", "[1]")
    assert event_words("START", "[" * 100_000) == ("agent started", "[" * 100_000)


# --- a run ----------------------------------------------------------------------------------------------


def test_a_run_report_says_what_happened(run: Page) -> None:
    text = run.text

    assert "Night shift" in text
    assert "22 parts" in text
    assert "19 verdict PASS" in text
    assert "2 verdict REJECT" in text
    assert "1 verdict FAULT" in text
    assert "1 of 2 defective parts were let through." in text
    assert "2 of 20 good parts were held back" in text
    assert "program 9" in text
    assert "not a safety device" in text
    assert "signature" in text
    assert "SIMULATED" not in text


def test_what_the_gate_did_counts_and_is_said_where_somebody_watched_it(tmp_path: Path) -> None:
    late = part(1, is_defective=False, gate="rejected", score=None, latency_ms=None)
    stuck = part(2, verdict=Verdict.REJECT, reason=Reason.SCORE, is_defective=True, gate="passed", score=None)
    watched = run_page(tmp_path, parts=(late, stuck), pictures=())
    unwatched = run_page(tmp_path, parts=tuple(replace(row, gate="") for row in (late, stuck)), pictures=())

    assert "Counted is what the gate did with each part: with 2 of them something else" in watched.text
    assert "1 of 1 defective parts were let through." in watched.text
    assert "1 of 1 good parts were held back" in watched.text
    assert [attrs.get("class") for tag, attrs in watched.tags if tag == "tr"].count("miss") == 2
    assert "Counted is the verdict of each part." in unwatched.text
    assert "0 of 1 defective parts passed." in unwatched.text


def test_a_missed_defect_and_a_false_reject_stand_out(run: Page) -> None:
    rows = [attrs.get("class") for tag, attrs in run.tags if tag == "tr"]

    assert rows.count("false-reject") == 2
    assert rows.count("miss") == 2  # the confusion table's row, and the part


def test_a_simulated_run_says_so(tmp_path: Path) -> None:
    assert "SIMULATED" in run_page(tmp_path, simulated=True, parts=()).text


def test_what_differs_from_the_record_is_listed(tmp_path: Path, run: Page) -> None:
    words = "a.bmp: recorded PASS OK, now REJECT SCORE"

    assert words in run_page(tmp_path, differences=(words,), parts=()).text
    assert "recorded" not in run.text


def test_without_the_truth_nothing_is_said_of_it(tmp_path: Path) -> None:
    page = run_page(tmp_path, parts=(part(1, is_defective=None, truth="", score=None, latency_ms=None),))

    assert "really were" not in page.text
    assert "yellow row" not in page.text


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (part(1, score=None, limit=None, latency_ms=None),),
        (part(1, score=math.nan), part(2, score=math.inf), part(3, limit=0.0), part(4, limit=math.nan)),
        (part(1, score=0.0), part(2, score=-1.0), part(3, score=1e30)),
        (part(1, latency_ms=0.0),),
        (part(1, score=10.6), part(2, score=27.2)),  # all above the limit, as in a challenge
        (part(1, score=-3.1), part(2, score=17.0)),
    ],
)
def test_runs_with_odd_numbers_are_reported_too(tmp_path: Path, parts: tuple[PartFact, ...]) -> None:
    assert "Every part" in run_page(tmp_path, parts=parts, pictures=()).text


def test_of_very_many_parts_those_that_did_not_pass_are_all_shown(tmp_path: Path) -> None:
    parts = tuple(part(seq, score=None, latency_ms=None) for seq in range(1, 2000))
    late = part(2000, verdict=Verdict.REJECT, reason=Reason.LATE, label="the-late-one", score=None, latency_ms=None)
    page = run_page(tmp_path, parts=(*parts, late), pictures=())

    assert "the-late-one" in page.text
    assert "250 of 2000" in page.text
    assert len([tag for tag, _ in page.tags if tag == "tr"]) < 300


# --- pictures -------------------------------------------------------------------------------------------


def test_what_decided_is_shown_with_its_heat_and_never_the_autoencoders_map(run: Page) -> None:
    assert len(run.images("heat map")) == len(run.images("image")) == len(run.images("from near")) == 2
    assert not run.images("anomaly map")
    assert "heat, at most 2 times the limit" in run.text
    assert "the white line is the limit" in run.text


def test_the_heat_has_the_same_colours_whatever_stands_beside_it(tmp_path: Path, run: Page) -> None:
    (alone,) = run_page(tmp_path, parts=(), pictures=(pictures("part 1", 1.0),)).images("heat map")

    assert alone.tobytes() == run.images("heat map")[1].tobytes()


def test_a_score_without_places_shows_what_it_looks_at_and_says_so(tmp_path: Path) -> None:
    page = run_page(tmp_path, parts=(), pictures=(without_places("low", 1.0), without_places("high", 4.0)))
    low, high = page.images("anomaly map")

    assert sum(high.getpixel((20, 10))) > sum(low.getpixel((20, 10))), "one colour scale for all"
    assert "no heat map" in page.text
    assert "from 0 to 4:" in page.text
    assert not page.images("heat map")


def test_a_part_that_cannot_be_shown_says_why(tmp_path: Path) -> None:
    gone = PartPictures("part 7", "REJECT", None, problem="this image is not in the archive")

    assert "this image is not in the archive" in run_page(tmp_path, parts=(), pictures=(gone,)).text


def test_a_small_defect_survives_shrinking(tmp_path: Path) -> None:
    page = run_page(tmp_path, parts=(), pictures=(without_places("large", 1.0, size=(1200, 1600)),))
    (shown,) = page.images("anomaly map")

    assert max(shown.size) <= 420
    assert max(shown.convert("L").tobytes()) > 200


def test_values_that_are_no_numbers_have_a_colour_of_their_own(tmp_path: Path) -> None:
    broken = np.zeros((8, 8), np.float32)
    broken[2, 3] = np.nan
    (shown,) = run_page(tmp_path, pictures=(PartPictures("nan", "", np.zeros((8, 8), np.uint8), None, broken),)).images(
        "anomaly map"
    )

    assert shown.getpixel((3, 2)) == (120, 200, 120)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_grey_and_colour_pictures_of_both_types_are_shown(
    tmp_path: Path, shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    picture = np.full(shape, 255 if dtype is np.uint8 else 1.0, dtype)
    (shown,) = run_page(tmp_path, parts=(), pictures=(PartPictures("p", "", picture),)).images("image")

    assert shown.size == (50, 40)
    assert shown.convert("L").getpixel((0, 0)) == 255


def test_an_anomaly_map_with_colours_is_refused(tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        run_page(tmp_path, parts=(), pictures=(PartPictures("p", "", picture, None, picture.astype(np.float32)),))


# --- a calibration --------------------------------------------------------------------------------------


def test_a_calibration_report_says_what_was_found_and_asks_for_a_signature(calibration: Page) -> None:
    text = calibration.text

    assert "Calibration of flange" in text
    assert "With 95 % confidence at most 7.2 % of good parts are rejected." in text
    assert "please confirm that they are good" in text
    assert "good_11.bmp" in text
    assert "100 x 80 px at (10, 20)" in text
    assert "It learned." in text
    assert "61.2 s" in text
    assert "I release reference bundle 3fa9c1d2 for program 3, camera 1." in text
    assert "signature" in text


def test_each_of_the_oddest_parts_is_shown_once_with_where_it_differs_and_what_to_type(calibration: Page) -> None:
    text = calibration.text
    listed = text[text.index("please confirm") : text.index("Did the autoencoder learn?")]

    assert listed.index("good_11.bmp oddity 3.1") < listed.index("good_4.bmp oddity 1.2")
    assert "good_10.bmp" not in listed, "a second list by score"
    assert "score 0.81 when judged as an unseen part, 50 % of the limit" in listed
    assert "☐ not good: --leave-out good_11.bmp" in listed
    assert "If one of these is not a good part, calibrate again with --leave-out NAME :" in listed
    assert "The highest: good_11.bmp 0.61, good_10.bmp 0.6, good_9.bmp 0.59." in text
    assert len(calibration.images("good_11.bmp")) == len(calibration.images("where good_11.bmp differs")) == 1
    brightest = [np.asarray(calibration.images(f"where good_{n}.bmp differs")[0]).max() for n in (11, 4)]
    assert brightest[0] > brightest[1], "one colour scale for all"


def test_a_part_that_a_person_kept_is_said_to_be(tmp_path: Path) -> None:
    kept, other = (
        calibration_page(tmp_path, **NO_CHARTS, oddest=(odd_part("a.bmp", 9.0, is_kept=is_kept),)).text
        for is_kept in (True, False)
    )

    assert "kept as good: a person confirmed it by name" in kept
    assert "kept as good" not in other


def test_nobody_signs_for_parts_that_are_not_shown(tmp_path: Path) -> None:
    text = calibration_page(tmp_path, **NO_CHARTS, oddest=()).text

    assert "The oddest good parts" not in text
    assert "I confirm that the good parts are good." in text


def test_whether_more_good_parts_would_pay_stands_there_with_the_figures(tmp_path: Path, calibration: Page) -> None:
    rows = ((7, 0.8716), (15, 0.9), (30, 0.925))
    text = calibration_page(tmp_path, **NO_CHARTS, more_parts=MoreParts("learned from 7: as many again", rows)).text
    untried = calibration_page(tmp_path, **NO_CHARTS, more_parts=MoreParts("not tried on this")).text

    assert "Would more good parts pay? Learned from 7: as many again." in text
    assert "7 87.2 of 100 times 15 90.0 of 100 times 30 92.5 of 100 times" in text
    assert "Not tried on this." in untried
    assert "of 100 times" not in untried
    assert "Would more good parts pay?" not in calibration.text


def test_an_autoencoder_that_did_not_learn_is_called_that(tmp_path: Path) -> None:
    text = calibration_page(
        tmp_path, **{**NO_CHARTS, "training": (TrainingStep(0, 1.0, 1.1), TrainingStep(10, 0.9, 1.0))}
    ).text

    assert "It did not learn." in text


def test_the_crop_is_drawn_on_the_reference(tmp_path: Path, calibration: Page) -> None:
    with_crop = calibration.images("reference image with the inspected area drawn on it")[0]
    without = calibration_page(tmp_path, crop_px=None, **NO_CHARTS).images("reference image")[0]

    assert with_crop.getpixel((10, 20)) == (255, 176, 0)
    assert without.getpixel((10, 20)) == (90, 90, 90)


@pytest.mark.parametrize(
    "changes",
    [
        {"oddest": (), "own_variance": None, "timings_s": {}},
        {"training": (TrainingStep(0, 1.0, 1.0),), "mean_image_error": None, "own_variance": None},
        {"scores": (GoodPartScore("a", math.nan), GoodPartScore("b", 0.5)), "limit": 0.5},
        {"scores": (GoodPartScore("a", 1.0),), "limit": math.inf},
        {"scores": (GoodPartScore("a", 0.0),), "limit": 0.0},
        {"training": (TrainingStep(0, 0.5),)},
        {"registrations": (RegistrationRow("a", 0.0, 0.0, 0.0, 1.0),)},
    ],
)
def test_calibrations_with_little_to_say_are_reported_too(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert "What the limit promises" in calibration_page(tmp_path, **{**NO_CHARTS, **changes}).text


def test_without_band_and_defective_parts_the_report_says_how_to_have_them(calibration: Page) -> None:
    assert "No review band is set: a part is OK or NG." in calibration.text
    assert "--review-share 5%" in calibration.text
    assert "--defective FOLDER" in calibration.text
    assert "--leave-out" in calibration.text
    assert "Left out as not good" not in calibration.text


def test_why_the_score_looks_at_the_part_as_it_does_stands_there_as_a_table(tmp_path: Path, calibration: Page) -> None:
    answers = (
        AnswerRow("registration", "images are compared as they come", (("on", 0.85), ("off", 0.935)), "told better"),
        AnswerRow("place", "each place with the same place", (), "as asked"),
    )
    text = calibration_page(tmp_path, **NO_CHARTS, answers=answers).text

    assert "Why this score" in text
    assert "images are compared as they come on 0.850, off 0.935 told better" in text
    assert "each place with the same place not tried as asked" in text
    assert "Why this score" not in calibration.text


def test_a_review_band_is_called_a_reject(tmp_path: Path) -> None:
    text = calibration_page(tmp_path, **NO_CHARTS, review_from=1.31).text

    assert "1.31 from here up to the limit: REVIEW, a reject on the line" in text
    assert "No review band" not in text


def test_who_was_left_out_stands_there_with_the_hash_and_above_the_signature(tmp_path: Path) -> None:
    text = calibration_page(tmp_path, **NO_CHARTS, left_out=(LeftOutPart("bad_7.bmp", "5b4f" * 16),)).text

    assert "1 of the images shown as good was left out by a person" in text
    assert "bad_7.bmp " + "5b4f" * 16 in text
    assert "and that what was left out is not" in text


def test_known_defective_parts_are_reported_with_what_passes_and_what_other_limits_would_do(tmp_path: Path) -> None:
    page = calibration_page(
        tmp_path,
        registrations=(),
        training=(),
        defective=DEFECTIVE,
        offers=(LimitOffer(1.62, 0.024, 0.072, "", 1, "as set"), LimitOffer(1.5, 0.05, 0.12, "5.0%", 0)),
    )

    assert "1 of 20 known-defective parts would pass: dent.bmp." in page.text
    assert "dent.bmp 0.6 37 %" in page.text
    assert "1.62 2.4 % 7.2 % 1 of 20 as set" in page.text
    assert "1.5 5 % 12 % 0 of 20 --false-rejects 5.0%" in page.text
    descriptions = page.attributes("alt")
    assert any(
        words.startswith("Good parts rejected against defective parts passed; as set, 5%") for words in descriptions
    )
    assert any("and 3 of known-defective ones" in words for words in descriptions)
    assert "--defective FOLDER" not in page.text


def test_missed_defects_are_shown_by_the_heat_that_did_not_suffice(tmp_path: Path) -> None:
    page = calibration_page(tmp_path, **NO_CHARTS, defective=replace(DEFECTIVE, curve=()))

    assert "heat, at most 0.4 times the limit" in page.text
    assert len(page.images("heat map")) == 1


def long_run(tmp_path: Path) -> Path:
    """A thousand parts of a demonstration, a quarter of them defective, with a dozen pictures."""
    found = {"verdict": Verdict.REJECT, "reason": Reason.SCORE, "score": 9.0, "is_defective": True, "gate": "rejected"}
    detail = "camera 1: score 9 is at or above the limit 1, seen in the part at full size"
    truth = {"truth": "RESIDUE 32 px 12%", "detail": detail}
    parts = tuple(part(seq, label="", **(found | truth if seq % 4 == 0 else {})) for seq in range(1, 1001))
    shown = tuple(pictures(f"part {seq}", 2.0, size=(600, 800)) for seq in range(12))
    write_run_report(tmp_path / "long.html", facts=run_facts(parts=parts, pictures=shown))
    return tmp_path / "long.html"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
@pytest.mark.timeout(600)  # a browser on a busy machine
def test_a_thousand_parts_are_eight_pages_at_most(tmp_path: Path) -> None:
    print_pdf(long_run(tmp_path), tmp_path / "long.pdf")
    pages = len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "long.pdf").read_bytes()))

    assert 3 <= pages <= 8


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_a_browser_renders_a_report(tmp_path: Path) -> None:
    write_run_report(tmp_path / "run.html", facts=run_facts())
    picture = tmp_path / "run.png"
    subprocess.run(
        [
            shutil.which("chromium") or "",
            *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
            *("--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--screenshot={picture}", "--window-size=1000,1200", f"file://{tmp_path / 'run.html'}"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with Image.open(picture) as shown:
        assert len(set(shown.convert("RGB").resize((100, 120)).tobytes())) > 20
