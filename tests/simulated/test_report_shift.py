"""edge-agent report shift: from the journal and the archive of a line that ran."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import shutil
import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest

from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.store.shrink import received_bytes
from tests.command_line import edge_agent_here
from tests.simulated.browser import CHROMIUM
from tests.simulated.line import bad_image, good_image, line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulated.line import Line

HOSTILE = '<img src=x onerror=\\"alert(1)\\">'


async def _shift(at: Line) -> None:
    """Two good parts, two bad ones and one whose image is lost on the way."""
    for number, image in enumerate((good_image(1), bad_image(1), good_image(2), bad_image(2)), start=1):
        await at.controller.wire_trigger(image)
        await at.until_rows(number)
    await at.until("four images", lambda: len(list((at.folder / "archive").rglob("part_*"))) == 4)
    assert await at.stop_agent() == 0


def _is_told_in_words(folder: Path, out: Path, *on: str) -> None:
    """A challenge in the shift: not as the JSON of its record."""
    samples = folder / "samples"
    samples.mkdir()
    (samples / "dent.bmp").write_bytes(bad_image(1))
    challenged = edge_agent_here("challenge", str(samples), *on, "--by", "Ada")
    assert challenged.code == 0, challenged.err
    edge_agent_here("report", "shift", *on, "--out", str(out))
    assert "PASSED: 1 of 1 reject samples rejected; with recorded images, by Ada" in out.read_text()
    assert "schema_version" not in out.read_text()


async def test_the_report_of_a_line_that_ran(tmp_path: Path, thumbnail_bundle: Path) -> None:
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        at.config.write_text(at.config.read_text().replace("[line]\n", f'[line]\nname = "{HOSTILE}"\n'))
        await at.start_agent()
        await at.until_ready()
        await _shift(at)
    out, on = tmp_path / "shift.html", ("--config", str(tmp_path / "line.toml"))

    ran = edge_agent_here("report", "shift", *on, "--out", str(out), "--json")

    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["parts"], said["PASS"], said["REJECT"], said["passed_to_output"]) == (4, 2, 2, 2)
    assert said["bundles"] == [read_manifest(thumbnail_bundle).text("id")]
    text = out.read_text()
    assert said["bundles"][0] in text
    assert "What share of defects is found cannot be told from good parts" in text
    assert text.count('alt="heat map"') == 2
    assert "The record is whole" in text
    assert said["chain_head"] in text
    assert "<img src=x" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "4 parts: 2 PASS, 2 REJECT, 0 FAULT. The record is whole" in text
    assert "Looks different from the good parts" in text
    assert "PUBLISHED" not in text

    page = edge_agent_here("report", "part", "2", *on, "--out", str(tmp_path / "part.html"))
    assert page.code == 0, page.err
    assert (tmp_path / "part.html").read_text().count('alt="heat map"') == 1

    # No pictures asked for is not the same as no part rejected.
    edge_agent_here("report", "shift", *on, "--out", str(out), "--pictures", "0")
    assert "2 parts were rejected by their score; no pictures were asked for (--pictures 0)." in out.read_text()
    assert "No part was rejected by its score" not in out.read_text()

    await asyncio.to_thread(_is_told_in_words, tmp_path, out, *on)

    # A picture that is not the one that was judged is not shown as that part's.
    one, two = sorted((tmp_path / "archive").rglob("part_*_REJECT_*"))
    one.write_bytes(two.read_bytes())
    edge_agent_here("report", "shift", *on, "--out", str(out))
    text = out.read_text()
    assert "not the image that was judged" in text
    assert text.count('alt="heat map"') == 1

    # Tampered with, the same report says so and so does the exit code.
    with sqlite3.connect(tmp_path / "journal.sqlite3") as journal:
        journal.execute("DROP TRIGGER part_is_not_changed")
        journal.execute("UPDATE part SET verdict = 'PASS', reason = 'OK' WHERE part_seq = 2")
    journal.close()
    forged = edge_agent_here("report", "shift", *on, "--out", str(out))
    assert forged.code == 1
    assert "The record is not as it was written" in out.read_text()

    # Pictures that are gone and a bundle that is gone are said; the numbers stand.
    shutil.rmtree(tmp_path / "archive")
    edge_agent_here("report", "shift", *on, "--out", str(out))
    assert "not in the archive" in out.read_text()


def test_times_and_a_shift_without_parts(tmp_path: Path, thumbnail_bundle: Path) -> None:
    config = tmp_path / "line.toml"
    config.write_text(
        "schema_version = 1\n[line]\ndeadline_ms = 700\nmin_part_spacing_ms = 1000\n"
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        f'[[bundle]]\nprogram = 1\npath = "{thumbnail_bundle}"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
    )
    on = ("--config", str(config), "--out", str(tmp_path / "shift.html"))

    assert edge_agent_here("report", "shift", *on, "--from", "soon").code == 64
    missing = edge_agent_here("report", "shift", *on)
    assert missing.code == 65
    assert "there is no journal" in missing.err
    assert not (tmp_path / "shift.html").exists()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_pdf_by_the_browser_that_is_there(tmp_path: Path) -> None:
    from edge_agent.tools.shift import print_pdf

    (tmp_path / "a.html").write_text("<h1>Shift</h1>")

    print_pdf(tmp_path / "a.html", tmp_path / "a.pdf")

    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")


async def test_images_archived_as_png_are_shown_as_the_very_images_that_were_judged(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    """In the shift's report, in a part's and in that of a challenge on the running line."""
    archive = tmp_path / "archive"
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        as_png = at.config.read_text().replace('archive = "archive"\n', 'archive = "archive"\nkeep_bmp_as = "png"\n')
        assert as_png != at.config.read_text()
        at.config.write_text(as_png)
        await at.start_agent()
        await at.until_ready(120)
        challenged = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent", "challenge", "--parts", "2", "--config", str(at.config)),
            *("--within-s", "60", "--report", str(tmp_path / "challenge.html")),
            stderr=asyncio.subprocess.PIPE,
        )
        assert challenged.stderr is not None
        assert b"put 2 reject samples" in await challenged.stderr.readline()
        for number in (1, 2):
            await at.controller.wire_trigger(bad_image(number))
            await at.until_rows(number)
        _, err = await challenged.communicate()
        await at.until("two PNGs alone", lambda: [f.suffix for f in archive.rglob("part_*")] == [".png"] * 2)
        assert await at.stop_agent() == 0
    on = ("--config", str(tmp_path / "line.toml"))

    def reports() -> list[str]:
        """Each picture of both reports, as the bytes that stand in them."""
        pictures = []
        for asked in (("shift",), ("part", "2")):
            out = tmp_path / f"{asked[0]}.html"
            ran = edge_agent_here("report", *asked, *on, "--out", str(out))
            assert ran.code == 0, ran.err
            pictures += re.findall(r'src="(data:image/[^"]+)"', out.read_text())
        return pictures

    of_pngs = reports()
    heat_maps = [(tmp_path / f"{name}.html").read_text().count('alt="heat map"') for name in ("shift", "part")]
    for path in list(archive.rglob("part_*")):
        received = received_bytes(path)
        assert hashlib.sha256(received).hexdigest().startswith(path.stem[-8:])
        path.with_suffix(".bmp").write_bytes(received)
        path.unlink()

    assert challenged.returncode == 0, err
    page = (tmp_path / "challenge.html").read_text()
    assert page.count('alt="heat map"') == 2
    assert "not in the archive" not in page
    assert heat_maps == [2, 1]
    assert len(of_pngs) >= 3
    assert of_pngs == reports()
