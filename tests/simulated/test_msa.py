"""edge-agent msa: a study over recorded images and over the running line, broken off and taken up again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.store.journal import JournalReader
from edge_agent.store.study import StudyFile, read_study
from tests.command_line import edge_agent_here
from tests.simulated.line import bad_image, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.line import Line


def told(journal: Path) -> list[dict[str, Any]]:
    """The journal's events of studies, oldest first."""
    with JournalReader.open(journal) as reader:
        return [json.loads(event.detail) for event in reversed(reader.newest_events("MSA", 20))]


@pytest.fixture
def config(tmp_path: Path, thumbnail_bundle: Path) -> Path:
    """A line.toml of a line where no agent runs."""
    path = tmp_path / "line.toml"
    path.write_text(
        'schema_version = 1\n[line]\nname = "caps"\ndeadline_ms = 700\nmin_part_spacing_ms = 1000\n'
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        f'[[bundle]]\nprogram = 1\npath = "{thumbnail_bundle}"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
    )
    return path


def put(folder: Path, images: dict[str, bytes]) -> Path:
    for name, data in images.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def three_of_each() -> dict[str, bytes]:
    """Two good and two defective parts, three images of each."""
    good = {f"good/{part}/{run}.bmp": good_image(10 * part + run) for part in (1, 2) for run in (1, 2, 3)}
    return good | {f"residue/{part}/{run}.bmp": bad_image(10 * part + run) for part in (1, 2) for run in (1, 2, 3)}


def msa_images(config: Path, folder: Path, *more: str) -> Any:
    at = ("--study", str(config.parent / "msa.jsonl"), "--config", str(config))
    return edge_agent_here("msa", "images", str(folder), *at, *more)


def test_a_study_of_recorded_images(config: Path, tmp_path: Path) -> None:
    folder, report = put(tmp_path / "parts", three_of_each()), tmp_path / "msa.html"

    ran = msa_images(config, folder, "--by", "Ada", "--seed", "5", "--report", str(report), "--json")

    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["verdict"], said["parts"], said["runs"], said["shown_again"]) == ("accepted", 4, 3, 0)
    assert said["effectiveness"]["value"] == 1.0
    assert said["effectiveness"]["bounds_95"] == pytest.approx([0.3976, 1.0], abs=1e-4)
    assert (said["misses"]["of"], said["false_alarms"]["of"]) == (6, 6)
    assert said["kappa_reference"] == [1.0, 1.0, 1.0]
    assert said["spread_good"]["deviation"] > 0, "three images of one part are not the same image"
    begun, ended = told(tmp_path / "j.sqlite3")
    assert (begun["what"], begun["by"], ended["what"], ended["verdict"]) == ("begun", "Ada", "ended", "accepted")
    assert ended["rates"] == {"effectiveness": [4, 4], "misses": [0, 6], "false_alarms": [0, 6]}
    assert ended["report_sha256"] == hashlib.sha256(report.read_bytes()).hexdigest()
    assert ended["study_sha256"] == said["study_sha256"]
    page = report.read_text()
    assert "ACCEPTED: effectiveness 100.0%, misses 0.0%, false alarms 0.0%; 4 parts in 3 runs" in page
    assert "AIAG asks for 50 parts, these are 4" in page
    assert page.count('style="max-height:48px"') == 4
    assert not re.search(r"(?:src|href)=.(?!data:)", page), "nothing is loaded from elsewhere"


def test_a_study_that_finds_misses_and_false_alarms(config: Path, tmp_path: Path) -> None:
    """A good part that is known as defective, and the other way round: what a wrong list looks like."""
    images = {f"good/{n}.bmp": good_image(n) for n in (1, 2, 3)} | {f"residue/{n}.bmp": bad_image(n) for n in (1, 2)}
    images |= {"good/bad.bmp": bad_image(7), "residue/good.bmp": good_image(7)}
    report = tmp_path / "msa.html"

    ran = msa_images(config, put(tmp_path / "parts", images), "--report", str(report), "--language", "de")

    assert ran.code == 1, ran.err
    assert "misses: 33.3% (3 of 9; 95 % bounds 7.5% to 70.1%) of defective showings: not accepted" in ran.out
    assert "NOT ACCEPTED" in ran.out
    assert "judged again in every run" in ran.out
    page = report.read_text()
    assert "<p>NICHT ANGENOMMEN" in page
    assert page.count('<figure class="first">') == 2, "both wrong parts with the heat that decided"


def test_a_study_of_images_goes_on_where_it_was_broken_off(config: Path, tmp_path: Path) -> None:
    folder = put(tmp_path / "parts", three_of_each())
    whole = msa_images(config, folder, "--seed", "5", "--json")
    study = tmp_path / "msa.jsonl"
    lines = study.read_bytes().splitlines(keepends=True)
    study.write_bytes(b"".join(lines[:6]) + lines[6][:30])

    again = msa_images(config, folder, "--json")

    assert again.code == 0
    assert "going on: 5 of 12 showings were made" in again.err
    assert "was not whole" in again.err
    one, other = json.loads(whole.out), json.loads(again.out)
    for changing in ("study_sha256", "report_sha256"):
        del one[changing], other[changing]
    assert one == other
    assert [event["what"] for event in told(tmp_path / "j.sqlite3")] == ["begun", "ended", "resumed", "ended"]


def test_a_study_does_not_go_on_with_another_image_limit_or_line(config: Path, tmp_path: Path) -> None:
    folder, study = put(tmp_path / "parts", three_of_each()), tmp_path / "msa.jsonl"
    msa_images(config, folder)
    study.write_bytes(b"".join(study.read_bytes().splitlines(keepends=True)[:4]))
    before = study.read_bytes()

    image = folder / "good/1/1.bmp"
    was = image.read_bytes()
    image.write_bytes(good_image(99))
    other_image = msa_images(config, folder)
    image.write_bytes(was)
    config.write_text(config.read_text().replace('"caps"', '"plugs"'))
    other_line = msa_images(config, folder)
    config.write_text(config.read_text().replace('"plugs"', '"caps"'))
    with StudyFile.resumed(study):
        second = msa_images(config, folder)

    assert (other_image.code, other_line.code, second.code) == (65, 65, 75)
    assert "the parts are not those of the study" in other_image.err
    assert "is of line 'caps', line.toml is of line 'plugs'" in other_line.err
    assert "goes on in another process" in second.err
    assert study.read_bytes() == before
    assert msa_images(config, folder).code == 0


@pytest.mark.parametrize(
    ("images", "more", "expected"),
    [
        ({"good/1.bmp": good_image(1)}, (), (65, "holds no defective part")),
        ({"dent/1.bmp": bad_image(1)}, (), (65, "holds no good part")),
        (
            {"good/1.bmp": good_image(1), "dent/1/1.bmp": bad_image(1), "dent/1/2.bmp": bad_image(2)},
            (),
            (65, "good/1.bmp (1): fewer images than the 2 runs"),
        ),
        ({"good/1.bmp": good_image(1), "dent/1.bmp": bad_image(1)}, ("--runs", "1"), (64, "--runs")),
        ({"good/1.bmp": good_image(1), "dent/1.bmp": bad_image(1)[:3000]}, (), (65, "cannot be judged")),
    ],
    ids=["no defective part", "no good part", "a part with one image", "one run", "a broken image"],
)
def test_what_is_no_study_of_images(
    config: Path, tmp_path: Path, images: dict[str, bytes], more: tuple[str, ...], expected: tuple[int, str]
) -> None:
    ran = msa_images(config, put(tmp_path / "parts", images), *more)

    assert ran.code == expected[0]
    assert expected[1] in ran.err


def parts_csv(folder: Path) -> Path:
    (folder / "parts.csv").write_text("part,known\n1,good\n2,good\n17,defective\n")
    return folder / "parts.csv"


def test_without_a_running_agent_there_is_no_study_of_the_line(config: Path, tmp_path: Path) -> None:
    ran = edge_agent_here(
        *("msa", "line", str(parts_csv(tmp_path)), "--study", str(tmp_path / "msa.jsonl"), "--config", str(config))
    )

    assert ran.code == 69
    assert "no agent runs on this line" in ran.err
    assert not (tmp_path / "msa.jsonl").exists()


class Operator:
    """Reads what the study asks for, and puts that part in."""

    def __init__(self, at: Line, study: Path) -> None:
        self.at, self.study = at, study
        self.asked: list[str] = []
        self.heard: list[str] = []

    async def begin(self, *more: str) -> asyncio.subprocess.Process:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "msa", "line", str(parts_csv(self.study.parent))),
            *("--study", str(self.study), "--config", str(self.at.config), "--runs", "2", "--json", *more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return self.process

    async def asks_for(self) -> str:
        """The part that is asked for next; empty when the study says something else at its end."""
        assert self.process.stderr is not None
        async with asyncio.timeout(60):
            while heard := (await self.process.stderr.readline()).decode():
                self.heard.append(heard)
                if found := re.search(r"put part (\S+) in", heard):
                    self.asked.append(found[1])
                    return found[1]
        return ""

    async def puts_in(self, name: str) -> None:
        number = len(self.at.rows()) + 1
        image = bad_image(number) if name == "17" else good_image(number)
        await self.at.controller.wire_trigger(image)
        await self.at.until_rows(number)


async def test_a_study_of_the_running_line_that_is_broken_off(tmp_path: Path, thumbnail_bundle: Path) -> None:
    study, report = tmp_path / "msa.jsonl", tmp_path / "msa.html"
    async with line(tmp_path, thumbnail_bundle) as at:
        operator = Operator(at, study)
        broken_off = await operator.begin("--by", "Ada")
        for _ in range(2):
            await operator.puts_in(await operator.asks_for())
        third = await operator.asks_for()
        second = await asyncio.to_thread(
            edge_agent_here,
            *("msa", "line", str(parts_csv(tmp_path)), "--study", str(tmp_path / "other.jsonl")),
            *("--config", str(at.config), "--runs", "2"),
        )
        broken_off.kill()
        await broken_off.communicate()
        await at.controller.wire_trigger(good_image(50))  # a part between the two that nobody asked for
        await at.until_rows(3)

        going_on = await operator.begin("--by", "Grace", "--report", str(report))
        while name := await operator.asks_for():
            await operator.puts_in(name)
        out, _ = await going_on.communicate()
        judged = [row.verdict for row in at.rows()]

    said = json.loads(out)
    assert going_on.returncode == 0, operator.heard
    assert second.code == 75
    assert "another study goes on over this line" in second.err
    assert not (tmp_path / "other.jsonl").exists()
    assert third == operator.asked[2] == operator.asked[3], "what was asked for and did not come is asked for again"
    counted = operator.asked[:2] + operator.asked[3:]
    assert sorted(counted[:3]) == sorted(counted[3:]) == ["1", "17", "2"]
    kept = read_study(study)
    assert [one.part_seq for one in kept.showings] == [1, 2, 4, 5, 6, 7]
    assert [one.verdict for one in kept.showings] == [*judged[:2], *judged[3:]]
    assert (said["verdict"], said["recorded_via"], said["shown_again"]) == ("accepted", "agent", 0)
    assert [event["what"] for event in told(tmp_path / "journal.sqlite3")] == ["begun", "resumed", "ended"]
    page = report.read_text()
    assert "on the running line, by Ada" in page
    assert "good" not in "".join(operator.heard[:4])
    assert page.count('style="max-height:48px"') == 3, "out of the archive"


async def test_a_part_that_nobody_looked_at_is_asked_for_again(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        operator = Operator(at, tmp_path / "msa.jsonl")
        process = await operator.begin()
        first = await operator.asks_for()
        await at.controller.wire_trigger(bad_image(1)[:5000])
        await at.until_rows(1)
        while name := await operator.asks_for():
            await operator.puts_in(name)
        out, _ = await process.communicate()

    assert operator.asked[:2] == [first, first]
    assert any("nobody could look at it (IMAGE_BROKEN" in words for words in operator.heard)
    said = json.loads(out)
    assert said["shown_again"] == 1
    assert said["false_alarms"]["seen"] == (0 if first == "17" else 1)
    assert process.returncode == (0 if first == "17" else 1)


async def test_a_dry_run_is_no_line_to_study(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        await at.start_agent("--dry-run")
        await at.until("desk", (tmp_path / "journal.sqlite3.desk").exists)
        ran = await asyncio.to_thread(
            edge_agent_here,
            *("msa", "line", str(parts_csv(tmp_path)), "--study", str(tmp_path / "msa.jsonl")),
            *("--config", str(at.config)),
        )

    assert ran.code == 69
    assert "every PASS is held back" in ran.err
    assert not (tmp_path / "msa.jsonl").exists()


def test_once_a_line_has_users_one_of_them_signs_the_study(config: Path, tmp_path: Path) -> None:
    folder, journal = put(tmp_path / "parts", three_of_each()), tmp_path / "j.sqlite3"
    password = tmp_path / "password"
    password.write_text("a long enough password\n")
    for name, role in (("A. Weber", "engineer"), ("M. Rossi", "operator")):
        asked = () if name == "A. Weber" else ("--as", "A. Weber", "--password-file", str(password))
        added = edge_agent_here(
            *("users", "add", name, "--role", role, "--config", str(config)),
            *("--new-password-file", str(password), *asked),
        )
        assert added.code == 0, added.err

    said = msa_images(config, folder, "--by", "Ada")
    operator = msa_images(config, folder, "--as", "M. Rossi", "--password-file", str(password))
    assert (said.code, operator.code) == (77, 77)
    assert "engineer or quality" in operator.err
    assert not (tmp_path / "msa.jsonl").exists()

    signed = msa_images(config, folder, "--as", "A. Weber", "--password-file", str(password))

    assert signed.code == 0, signed.err
    assert [event["by"] for event in told(journal)] == ["A. Weber (engineer)"] * 2
