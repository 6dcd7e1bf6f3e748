"""What the agent, its links and its inspection say in English is read back, and said with the same values."""

from __future__ import annotations

import ast
import asyncio
import io
import re
import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from calibration.choosing.learning_curve import PartsCurve
from calibration.disturbances import DISTURBANCES
from calibration.good_parts.known import KnownImage
from calibration.limits.defects import Defect, Findings
from calibration.limits.disturbance_tolerance import DisturbanceEffect, DisturbanceTolerance
from calibration.limits.limit import LimitWishes, choose_limit
from calibration.registering.gate import NO_GATE, WrongQualities, gate_warnings, gate_words, likeness_words
from drivers.base import ControllerDown, ImageRefused
from drivers.keyence.link import CvxLink
from drivers.keyence.spool import Spool
from drivers.transport.tcp import open_tcp
from edge_agent import wording
from edge_agent.domain import Alignment, Capture, ControllerResult, Inspection, Judgement, Outcome, Reason
from edge_agent.drift.chart import Change
from edge_agent.drift.charts import Standing
from edge_agent.drift.known import Known
from edge_agent.drift.quantities import LATENCY, POSE, QUALITY, SCORE, SHARE
from edge_agent.drift.usual import Usual
from edge_agent.drift.words import change_words
from edge_agent.golden.clock import Standing as Due
from edge_agent.golden.known import KnownSamples, odd_words
from edge_agent.golden.usual import Odd, control_of
from edge_agent.inspection.containers.decode import decode, prove_complete
from edge_agent.inspection.networks.channels import CHANNELS, View
from edge_agent.inspection.registration.pose import PoseLimits, Span
from edge_agent.inspection.scoring.condition import Allowed, ConditionLimits
from edge_agent.inspection.scoring.outcome import decide_outcome
from edge_agent.inspection.scoring.quantity import Quantity
from edge_agent.report.phrases import is_known, said, sentence
from edge_agent.runtime.bypass import decide_in_bypass
from edge_agent.runtime.dry_run import marked
from edge_agent.runtime.interlock import Health
from edge_agent.runtime.programs import Programs
from edge_agent.runtime.rejects import RejectWatch
from edge_agent.runtime.requests import ProgramRequests
from edge_agent.runtime.supervisor import CONDITIONS
from edge_agent.runtime.verdict import Evidence, decide_verdict
from edge_agent.settings import SampleSettings
from edge_agent.store.held import Held, HeldKind, Reach
from edge_agent.store.receivers import ReceiverStatus
from edge_agent.web.drift import Drift
from edge_agent.wording import speaking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.runtime.verdict import Decision

ROOT = Path(__file__).resolve().parents[2]
_SQL = re.compile(r"(SELECT|INSERT|UPDATE|PRAGMA|BEGIN|WHERE|AND|ORDER BY)\s|[a-z_0-9]+(,\s[a-z_0-9]+)+$")
A_PHRASE = "not ready"
"""Stands for every value: a name that takes any text takes it, and one that takes a phrase too."""

SCANNED: dict[str, tuple[str, ...]] = {
    "edge_agent/runtime/verdict.py": (),
    "edge_agent/runtime/pairing.py": (),
    "edge_agent/runtime/counter.py": (),
    "edge_agent/runtime/decided.py": (),
    "edge_agent/runtime/part.py": (),
    "edge_agent/runtime/programs.py": (),
    "edge_agent/runtime/requests.py": ("; program not ready has no [[bundle]]",),
    "edge_agent/runtime/rejects.py": (
        ", nor not ready after it",
        "part not ready was rejected and not seen leavingnot ready: look for it, then acknowledge",
    ),
    "edge_agent/golden/clock.py": (
        "in not ready parts",
        "in not ready",
        "not ready min",
        "not ready h",
        "samples are due not ready",
    ),
    "edge_agent/golden/known.py": (
        "its first not ready times not ready to not ready",
        "not ready scored not ready; line.toml expects not ready to not ready",
        "reject sample not ready",
        "golden sample not ready",
    ),
    "edge_agent/runtime/locking.py": (),
    "edge_agent/runtime/dry_run.py": (),
    "edge_agent/runtime/gaps.py": ("; before them counts not ready to not ready, which have no rows of their own",),
    "edge_agent/runtime/inputs.py": ("the button",),
    "edge_agent/runtime/disk.py": (),
    "edge_agent/runtime/bypass.py": (
        "not ready not ready",
        ": not ready",
        "a bypass has a name and a reason, of not ready characters at most",
        "a bypass lasts not ready minutes at most, and its reason is one line",
        "not ready has not ended",
        "there is no bypass to end",
    ),
    "edge_agent/runtime/supervisor.py": ("STOPPING=1\nSTATUS=not ready", "DEGRADED (not ready)", "STATUS=not ready"),
    "edge_agent/runtime/engine.py": ("the engine is not running",),
    "edge_agent/runtime/link_health.py": (),
    "edge_agent/runtime/inference.py": ("inference-not ready",),
    "edge_agent/runtime/early.py": (),
    "edge_agent/runtime/archiving.py": ("not ready_not ready",),
    "edge_agent/inspection/scoring/outcome.py": (
        "; the score not ready is at or above the limit not ready too: it may be the part itself",
        ", seen in not ready",
        "the band from not ready to the limit not ready",
        "to be reviewed: score not ready is in not readynot ready",
    ),
    "edge_agent/inspection/registration/pose.py": (
        "turned by not ready degrees",
        "shifted to the right by not ready px",
        "shifted down by not ready px",
        "larger by a factor of not ready",
        "of a contrast multiplied by not ready",
        "brighter by not ready grey values",
        "not ready, not ready",
        "the good parts by not ready to not ready (limit not ready)",
    ),
    "edge_agent/inspection/scoring/quantity.py": (),
    "edge_agent/inspection/scoring/condition.py": (
        ", allowed is not ready not ready",
        "theirs have not ready to not ready",
        "not ready% ",
    ),
    "edge_agent/inspection/containers/decode.py": (
        "not ready x not ready not ready",
        "not ready file, not a BMP, PNG or JPEG file",
        "a TIFF",
        "a GIF",
        "a WebP",
        "a JPEG 2000",
        "a PDF",
        "a ZIP",
        "a Git LFS pointer, not the picture itself: a text",
    ),
    "edge_agent/inspection/containers/_bmp.py": (),
    "edge_agent/inspection/containers/_png.py": (),
    "edge_agent/inspection/containers/_jpeg.py": (),
    "edge_agent/inspection/inspector.py": (),
    "edge_agent/store/held.py": (
        "not ready hours",
        "not ready days",
        "no not ready",
        "not ready from before this journal",
        "not ready of not ready",
    ),
    "edge_agent/store/receivers.py": (
        "not ready did not get not ready resultnot ready, which not ready set aside: edge-agent results list",
    ),
    "edge_agent/store/chain.py": ("not ready:not ready", "not ready\nnot ready\nnot ready"),
    "edge_agent/tools/output_walk.py": (
        "a PLC looks at the heartbeat by itself",
        "ends: not ready; REJECT not ready",
        "ends: not ready; PASS is not ready",
        "not ready has no table [output] of its own lines",
        "not ready = not ready",
    ),
    "edge_agent/web/drift.py": (),
    "edge_agent/drift/words.py": (
        ": not ready",
        "a verdict takes not ready ms, usual is not ready ms,",
        "camera not ready: not ready since not readynot ready",
        "good parts have a score of not ready% of the limit, usual is not ready%,",
        "good parts have not ready% of the limit in the view not ready, usual is not ready%,",
        "not ready% ",
        "not ready, not ready%",
        "the images are not readynot ready",
        "the images fit the reference not ready (not ready, usual is not ready)",
        "the part lies not ready px further not ready",
        "the part lies turned by not ready degrees not ready",
        "the part looks not ready% not ready",
    ),
    "edge_agent/web/pictures.py": (),
    "edge_agent/web/reviews.py": (),
    "drivers/keyence/link_status.py": (
        "it was up for a moment only, and the controller ended it: does another program connect to it?",
        "it was up for a moment only: look at the plugs, the cable and the power",
        "not ready: not ready; the connection is dropped",
    ),
    "drivers/keyence/session.py": ("edge-agent not ready", "EC,not ready"),
    "drivers/keyence/clock.py": (),
    "drivers/keyence/spool.py": (
        "not ready.not ready",
        "not readynot readynot ready",
        "syncing it ended in an error of ours: the log has it",
    ),
    "drivers/keyence/upload.py": (
        "226 Transfer complete.",
        "426 not ready.",
        "not ready not ready: not ready.",
        "not ready, after not ready bytes",
    ),
    "drivers/keyence/folder.py": (),
    "drivers/keyence/ftp_data.py": (
        "426 not ready.",
        "the transfer was aborted",
        "nothing came for not ready s",
        "the data connection broke (not ready)",
    ),
    "drivers/keyence/arrivals.py": (),
    "drivers/transport/tcp.py": (),
}
"""Files that make such text; beside each what in it is no text to show, or a piece of one that a test below makes."""


def sentences(path: Path) -> Iterator[str]:
    """Every string with a space in it that may be shown, each value in it replaced; no docstring, log line or hint."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            passed.update(below for below in ast.walk(node) if below is not node)
        elif (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0] in ("log", "_log")) or (
            isinstance(node, ast.keyword) and node.arg == "hint"
        ):
            passed.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(_sample(part) for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.replace("{}", A_PHRASE)
        else:
            continue
        if " " in text.strip() and not _SQL.match(text.strip()):
            yield text


def _sample(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    is_percent = isinstance(part, ast.FormattedValue) and "%" in ast.unparse(part.format_spec or ast.Constant(""))
    return A_PHRASE + "%" * is_percent


@pytest.mark.parametrize("file", sorted(SCANNED))
def test_every_sentence_of_the_code_is_read_back(file: str) -> None:
    found = set(sentences(ROOT / file))

    assert found, file
    unknown = {text for text in found if not is_known(text)}
    assert unknown == set(SCANNED[file]), "add a phrase to edge_agent/report/phrases"


# --- what the code makes when it runs ------------------------------------------------------------------


class Marked:
    """A language in which every text stands between marks: what lies between none was not understood."""

    def gettext(self, text: str) -> str:
        return f"«{text}»"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return f"«{one if n == 1 else many}»"


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(wording, "_catalogue", lambda _: Marked())
    with speaking("de"):
        yield


CAPTURE = Capture(count=7, camera=1, session="s", name="n.bmp", path=None, sha256="", received_mono_s=0.0)
GOOD = Inspection(Outcome.OK, Reason.OK, 1.0, 2.0, "b", "s")
PROVEN = Evidence(
    cameras=(1,),
    judgement_policy="both",
    captures={1: CAPTURE},
    inspections={1: GOOD},
    result=ControllerResult(7, 1, Judgement.OK, ("7", "0"), 0.0),
    not_ready="",
    unproven="",
    deadline_passed=False,
    next_part_is_here=False,
    locked="",
)


def scored(score: float, *, review_from: float = 2.0, seen_in: str = "") -> Inspection:
    outcome, reason, detail = decide_outcome(
        score=score, limit=2.0, review_from=review_from, quality=1.0, quality_min=0.5, unseen_fraction=0.0,
        unseen_max=0.1, seen_in=seen_in,
    )  # fmt: skip
    return Inspection(outcome, reason, score, 2.0, "b", "s", detail=detail)


def decisions() -> Iterator[Decision]:
    refused = Capture(7, 1, "s", "n.bmp", None, "", 0.0, broken=Reason.IMAGE_BROKEN, detail="the file is empty")
    for change in (
        {"captures": {1: replace(refused, broken=Reason.DISK, detail="could not be stored: No space left on device")}},
        {"captures": {1: refused}},
        {"captures": {1: replace(CAPTURE, count=None)}},
        {"captures": {}, "result": None},
        {"captures": {}},
        {"cameras": (1, 2, 3)},
        {"result": None},
        {"inspections": {}},
        {"inspections": {1: scored(3.0)}},
        {"inspections": {1: scored(3.0, seen_in=CHANNELS[View.TONE].view)}},
        {"inspections": {1: scored(1.9, review_from=1.8, seen_in=CHANNELS[View.NATIVE].view)}},
        {"inspections": {1: scored(1.9, review_from=1.8)}},
        {"inspections": {1: scored(float("nan"))}},
        {"result": ControllerResult(7, 1, Judgement.NG, (), 0.0)},
        {"result": ControllerResult(7, 1, None, (), 0.0)},
        {"captures": {}, "repeats_count": True},
        {"unproven": Evidence((1,), "agent").unproven},
        {"deadline_passed": True},
        {"next_part_is_here": True},
        {"locked": Evidence((1,), "agent").locked},
        {"not_ready": str(Health.waiting_for(*CONDITIONS))},
        {"not_ready": str(Health({"output": "the remote I/O is not there or not read back"}))},
        {"program_problem": Programs(frozenset(), (1,), 4).problem()},
    ):
        evidence = replace(PROVEN, **change)
        yield decide_verdict(evidence)
        yield marked(decide_verdict(evidence))
        yield decide_in_bypass(evidence, "A. Rossi")
    yield decide_in_bypass(PROVEN, "A. Rossi")


def poses() -> Iterator[str]:
    limits = PoseLimits({name: Span(-1.0, 1.0, -2.0, 2.0) for name in PoseLimits.of([LAID], 100).spans})
    for change in ("angle_deg", "shift_x_px", "shift_y_px", "scale", "gain", "offset"):
        yield f"the part is {limits.judge(replace(LAID, **{change: 5.0}))}"
    yield f"the part is {limits.judge(replace(LAID, shift_x_px=5.0, offset=9.0))}"


LAID = Alignment(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def conditions() -> Iterator[str]:
    for quantity, value, most in product(Quantity, (0.5, 9.0), (3.0, None)):
        for usual in (2.0, 0.0):
            limits = ConditionLimits({quantity: Allowed(usual, -0.5 if usual == 0 else 1.5, 2.5, -0.9, most)})
            fault = limits.judge({quantity: value if value > usual else -5.0})
            if fault is not None:
                yield fault.words
                yield f"{fault.words}; the score 3 is at or above the limit 2 too: it may be the part itself"


def broken_files() -> Iterator[str]:
    picture = Image.fromarray(np.zeros((40, 40), np.uint8))
    for kind in ("BMP", "PNG", "JPEG"):
        file = io.BytesIO()
        picture.save(file, kind)
        data = file.getvalue()
        for broken in (data[: len(data) // 2], data[:20], data[:-3]):
            yield refusal(broken)
    for data in (b"", bytes(9), b"GIF89a", b"PK\x03\x04", b"hello", b"version https://git-lfs"):
        yield refusal(data)


def refusal(data: bytes) -> str:
    with pytest.raises(ImageRefused) as refused:
        decode(data)
    return refused.value.detail


def beside() -> Iterator[str]:
    for quantity, share in product(Quantity, (-0.9, 0.8)):
        yield Drift(2, quantity, share, 20).words
    yield from changes()
    for passes, others in product((HeldKind(), HeldKind(2**31, 5)), repeat=2):
        for age in (None, 9000.0, 900_000.0):
            yield Reach(Held(passes, others), age, age).words
    for aside in (1, 2):
        yield ReceiverStatus("mqtt", 0, aside).degraded
    for others in (1, 2):
        health = Health()
        watch = RejectWatch(0.0, health, clock=lambda: 0.0)
        for part in range(others):
            watch.decided(part, passed=False)
        watch.look()
        yield health.reasons["rejects"]
    for wanted, current, known in product((2,), (None, 1), (frozenset(), frozenset({2}))):
        health = Health()
        requests = ProgramRequests(
            "checked", partial(_same, wanted), partial(_same, current), known, bool, _nothing, health
        )
        yield health.reasons["request"]
        requests.look()
        yield health.reasons["request"]


def changes() -> Iterator[str]:
    """Of every watched quantity, to both sides, at the one camera or beside another change."""
    known = Known(raw={"brightness": (120.0, 80.0, 160.0)})
    usual = Usual(0.9, 0.1, 40)
    change = Change("2026-11-24T10:00:00+00:00", 7, True, "EWMA", "2026-11-24T10:01:00+00:00", 9)
    names = (*Quantity, *POSE, QUALITY, SCORE, f"{SHARE}native", LATENCY)
    for name, now in product(names, (0.2, 1.7)):
        yield change_words(Standing(2, "b", name, usual, 0, now, 3.0, 2.5, change), known)
    for day in range(23, 30):
        later = replace(change, since_utc=f"2026-11-{day}T10:00:00+00:00")
        yield change_words(Standing(2, "b", "red", usual, 0, 0.2, 3.0, 2.5, later), known)
    told = "camera 2: a verdict takes 2 ms, usual is 1 ms, since Monday, 2026-11-23 11:00"
    yield f"{told}; and 3 more: see the drift view"


def samples() -> Iterator[str]:
    """When they are due, and everything that can be odd about one of either kind."""
    for due_s, due_parts in product((None, 60.0, 9e4), (None, 20)):
        if due_s is not None or due_parts is not None:
            yield Due(is_asked=True, due_s=due_s, due_parts=due_parts).words
    control = control_of([3.0, 3.1, 3.2, 3.3, 3.4], 1.0)
    assert control is not None
    for kind, odd, like in product(("reject", "good"), Odd, ("", "R3")):
        one = SampleSettings(name="R2", kind=kind, program=1, score=(3.0, 3.5))
        yield odd_words(one, 1.9, control, odd, like)
        yield KnownSamples((one,), {}).odd(one, 1.9, 1.0, "b")[1]


def _same(value: int | None) -> int | None:
    return value


async def _nothing(_: int) -> None:
    return


def calibrated() -> Iterator[str]:
    scores = np.random.default_rng(1).gamma(4.0, 1.0, 120)
    limits = [
        choose_limit(scores),
        choose_limit(scores, by_tail=True),
        choose_limit(np.append(scores, 90.0), by_tail=True),
        choose_limit(scores, LimitWishes(0.05)),
        choose_limit(scores, LimitWishes(0.01)),
        choose_limit(scores, LimitWishes(0.02, 0.05)),
        choose_limit(scores, LimitWishes(0.002, extrapolate=True)),
        *(choose_limit(scores, LimitWishes(share)) for share in (0.018, 0.027, 0.036, 0.1)),
    ]
    for limit in limits:
        yield limit.statement
    found, missed = (
        Defect(KnownImage(Path("scratch.png"), "s"), outcome, reason, score)
        for outcome, reason, score in ((Outcome.NG, Reason.SCORE, 90.0), (Outcome.OK, Reason.OK, 1.0))
    )
    for defects in ((found,), (found, missed), (replace(missed, score=0.0),), (replace(found, reason=Reason.ALIGN),)):
        for had_a_say in (False, True):
            yield Findings(defects, limits[0], scores, had_a_say=had_a_say).statement
    for upside_down, gate in product((0.2, 0.9), (0.5, NO_GATE)):
        wrong = WrongQualities({2: 0.4, 8: 0.3}, 0.4, 0.3, upside_down)
        yield from gate_words(gate, [0.95, 0.99], wrong)
        yield from gate_words(gate, [0.55, 0.6], wrong)
        yield from gate_warnings(gate, wrong)
    for least in (0.4, NO_GATE):
        yield likeness_words(least, [0.8, 0.9], [0.2, 0.3])
    for is_tied, told in product((True, False), ((0.8, 0.9), (0.9, 0.9), ())):
        yield PartsCurve(
            60, is_tied=is_tied, parts=(20, 40)[: len(told)], told_apart=told, problem=_problem(told)
        ).statement
    for ways in ((-0.1, -0.2), (0.4, 0.1), (1.4, 1.2)):
        rows = tuple(DisturbanceEffect(str(one.title), way) for one, way in zip(DISTURBANCES, ways, strict=False))
        yield DisturbanceTolerance(rows).statement
    for disturbance in DISTURBANCES:
        yield disturbance.title


def _problem(told: tuple[float, ...]) -> str:
    return "" if told else "not tried on an inspected area this narrow"


def made_texts() -> list[str]:
    texts = [decision.detail for decision in decisions()]
    texts += [*poses(), *conditions(), *broken_files(), *beside(), *samples(), *calibrated()]
    return sorted({text for text in texts if text})


@pytest.mark.usefixtures("marks")
def test_what_the_code_makes_is_said_with_the_same_values() -> None:
    texts = made_texts()

    assert len(texts) > 150
    for text in texts:
        assert is_known(text), text
        if not any(text.startswith(f"{name}: ") or f" {name}: " in text for name in CONDITIONS):
            assert said(text).replace("«", "").replace("»", "") == text


@pytest.mark.usefixtures("marks")
def test_what_the_spool_and_a_dead_port_say_is_known(tmp_path: Path) -> None:
    spool = Spool(tmp_path, prove_complete, 10)
    spool.prepare()
    refused = [spool.check(data) for data in (b"", bytes(11), b"hello")]

    dial = partial(open_tcp, "127.0.0.1", 1, timeout_s=1.0)

    async def down() -> str:
        link = CvxLink(dial, "controller 127.0.0.1:1", result_items=["count"], reply_timeout_s=0.5)
        running = asyncio.create_task(link.run())
        event = await link.next()
        running.cancel()
        assert isinstance(event, ControllerDown)
        return event.why

    for text in [refusal.detail for refusal in refused if refusal is not None] + [asyncio.run(down())]:
        assert is_known(text), text


@pytest.mark.usefixtures("marks")
def test_several_conditions_are_said_each_by_its_name() -> None:
    text = "controller: 10.0.0.5:8500: the connection is closed; journal: odd; sessions: FAULT"

    closed, odd, fault = "«10.0.0.5:8500: «the connection is closed»»", "odd", "«FAULT»"
    controller, journal, sessions = (
        f"««{name}»: {why}»"
        for name, why in (("Controller", closed), ("Journal", odd), ("Sessions of the counter", fault))
    )
    assert said(text) == f"«{controller}; «{journal}; {sessions}»»"


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nobody ever said this", "nobody ever said this"),
        ("", ""),
        ("camera 1: {0.__class__} %s {", "«camera 1: {0.__class__} %s {»"),
        ("camera 1: could not be stored: {0} {x", "«camera 1: «could not be stored: {0} {x»»"),
        (
            "the image is of session '\x00\n\u202e', which was over",
            "«the image is of session '\x00\n\u202e', which was over»",
        ),
        ("the image is of session , which was over", "the image is of session , which was over"),
    ],
)
def test_hostile_and_unknown_text_stays_as_it_is(text: str, wanted: str) -> None:
    assert said(text) == wanted


@settings(deadline=None)  # the first one reads the catalogue
@given(st.text(max_size=300), st.lists(st.sampled_from(["camera 1: ", "; ", "; journal: ", "BYPASS by ", "not ready"])))
def test_no_text_is_too_odd_to_be_shown(text: str, pieces: list[str]) -> None:
    with speaking("ja"):
        assert said("".join(pieces) + text + "; ".join(pieces)) is not None


def test_a_text_of_separators_costs_no_more_than_its_length() -> None:
    begun = time.process_time()
    with speaking("zh"):
        for text in (
            "camera 1: " * 390,
            "; " * 1900,
            "x: " * 1300,
            "BYPASS by " * 380,
            "journal: ; " * 350,
            "a" * 10**6,
        ):
            said(text)

    assert time.process_time() - begun < 2.0


def test_english_is_shown_as_it_stands_and_a_sentence_is_one() -> None:
    assert said("not ready") == "not ready"
    assert sentence("not tried on an inspected area this narrow") == "Not tried on an inspected area this narrow."
