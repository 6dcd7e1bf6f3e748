"""edge-agent challenge: seeded samples as images and on the running line, the record, and a line that waits for one."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.store.journal import JournalReader
from tests.command_line import edge_agent_here
from tests.simulated.line import bad_image, good_image, line

if TYPE_CHECKING:
    from pathlib import Path


def challenges(journal: Path) -> list[dict[str, Any]]:
    with JournalReader.open(journal) as reader:
        return [json.loads(event.detail) for event in reader.newest_events("CHALLENGE", 10)]


@pytest.fixture
def config(tmp_path: Path, thumbnail_bundle: Path) -> Path:
    """A line.toml of a line where no agent runs."""
    path = tmp_path / "line.toml"
    path.write_text(
        "schema_version = 1\n[line]\ndeadline_ms = 700\nmin_part_spacing_ms = 1000\n"
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        f'[[bundle]]\nprogram = 1\npath = "{thumbnail_bundle}"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
    )
    return path


def samples(folder: Path, *, reject: list[bytes], good: list[bytes]) -> Path:
    for name, images in {"reject": reject, "good": good}.items():
        (folder / name).mkdir(parents=True)
        for number, data in enumerate(images):
            (folder / name / f"{number}.bmp").write_bytes(data)
    return folder


def test_samples_that_are_all_rejected_pass_and_are_recorded(config: Path, tmp_path: Path) -> None:
    folder = samples(tmp_path / "s", reject=[bad_image(1), bad_image(2)], good=[good_image(1)])
    report = tmp_path / "challenge.html"

    ran = edge_agent_here(
        "challenge", str(folder), "--config", str(config), "--by", "Ada", "--report", str(report), "--json"
    )

    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["rejected"], said["of"], said["golden_passed"], said["golden"]) == (2, 2, 1, 1)
    (kept,) = challenges(tmp_path / "j.sqlite3")
    assert (kept["ok"], kept["by"], kept["through"]) == (True, "Ada", "images")
    assert kept["bundles"] == said["bundles"] != []
    page = report.read_text()
    assert page.index("PASSED: 2 of 2 reject samples rejected, 1 of 1 golden samples passed") < page.index(
        "verdict PASS"
    )
    assert "0 of 2 defective parts passed" in page
    assert page.count('alt="heat map"') == 3
    assert "path" not in said["samples"][0]


@pytest.mark.parametrize(
    ("reject", "good"),
    [([bad_image(1), good_image(1)], []), ([bad_image(1)], [bad_image(2)]), ([bad_image(1)[:3000]], [])],
    ids=["a good part among the rejects", "a golden sample that is rejected", "a broken file proves nothing"],
)
def test_one_wrong_sample_fails_and_is_recorded_too(
    config: Path, tmp_path: Path, reject: list[bytes], good: list[bytes]
) -> None:
    folder, report = samples(tmp_path / "s", reject=reject, good=good), tmp_path / "challenge.html"
    ran = edge_agent_here("challenge", str(folder), "--config", str(config), "--report", str(report))

    assert ran.code == 1
    assert "<p>NOT PASSED: " in report.read_text()
    assert "WRONG: this sample must" in report.read_text()
    assert "NOT PASSED" in ran.out
    assert [kept["ok"] for kept in challenges(tmp_path / "j.sqlite3")] == [False]


def test_no_sample_is_no_challenge(config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert edge_agent_here("challenge", str(tmp_path / "empty"), "--config", str(config)).code == 65
    assert edge_agent_here("challenge", "--config", str(config)).code == 64
    assert edge_agent_here("challenge", "--parts", "2", "--config", str(config)).code == 69
    assert not (tmp_path / "j.sqlite3").exists()


@pytest.mark.promise("T-29", "reject samples on the running line", "all rejected, recorded; overdue is DEGRADED")
async def test_samples_on_the_running_line_and_a_line_that_was_degraded(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text() + "[challenge]\nevery_h = 8\n")
        await at.start_agent()
        await at.until_ready()  # DEGRADED stops no part
        async with DeskClient.open(desk_path(tmp_path / "journal.sqlite3")) as agent:
            assert agent is not None
            assert "no challenge was passed yet" in str((await agent.status())["degraded"])
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "edge_agent", "challenge", "--parts", "2"),
                *("--config", str(at.config), "--within-s", "30", "--json", "--report", str(tmp_path / "report.html")),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert running.stderr is not None
            assert b"put 2 reject samples" in await running.stderr.readline()
            for number in (1, 2):
                await at.controller.wire_trigger(bad_image(number))
                await at.until_rows(number)
            out, err = await running.communicate()
            after = (await agent.status())["degraded"]

    assert running.returncode == 0, err
    assert json.loads(out)["recorded_via"] == "agent"
    assert after == {}
    (kept,) = challenges(tmp_path / "journal.sqlite3")
    assert (kept["through"], kept["parts"]) == ("line", [1, 2])
    page = (tmp_path / "report.html").read_text()
    assert "PASSED: 2 of 2 reject samples rejected; on the running line" in page
    assert "SIMULATED." not in page
