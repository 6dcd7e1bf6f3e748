"""A bundle that learned and that somebody wrote into line.toml himself: nobody was asked what it loosens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from calibration.limits.relimit import write_relimited
from edge_agent.inspection.bundle.learned import LEARNED as SECTION
from edge_agent.inspection.bundle.learned import Learned, Worse
from edge_agent.inspection.bundle.manifest import read_manifest
from edge_agent.settings import load_settings
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.bundles import bundle_verified
from tests.simulated.line import PASS, READY, edge_agent, line

if TYPE_CHECKING:
    from pathlib import Path

WORSE = Worse("limit", "1.5", "1.6")
LEARNED = Learned("ab" * 32, "Quinn", "2026-11-30T10:00:00+00:00", "a mark", (), (), (WORSE,))


def learned_bundle(bundle: Path, folder: Path, learned: Learned) -> Path:
    """The same bundle, which says that it learned."""
    write_relimited(bundle, folder, {**read_manifest(bundle).content, SECTION: learned.to_json()})
    return folder


@pytest.mark.timeout(120)
async def test_the_agent_does_not_judge_by_a_bundle_that_was_never_compared(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    path = learned_bundle(thumbnail_bundle, tmp_path / "calibrated", LEARNED)
    async with line(tmp_path, path, start=False) as at:
        config = ("--config", str(at.config))
        await at.start_agent()
        assert at.agent is not None
        assert await at.agent.wait() == 65
        assert not {PASS, READY} & {change.coil for change in at.remote_io.history if change.value}
    said = (tmp_path / "agent.log").read_text()
    assert f"{path}: this bundle was not compared with the one that it learned from" in said
    assert "edge-agent bundle activate FOLDER --config line.toml" in said

    found = bundle_verified(Site(at.config, load_settings(at.config)))
    assert (found.result, "was not compared" in found.evidence) == (Result.FAIL, True)
    listed = edge_agent("bundle", "list", *config)
    assert (listed.returncode, "not usable: " in listed.stdout) == (65, True)


@pytest.mark.parametrize(
    ("learned", "result"),
    [
        (replace(LEARNED, is_compared=True), Result.WARN),
        (replace(LEARNED, is_compared=True, worse=()), Result.OK),
    ],
)
def test_the_doctor_names_what_is_worse_where_nobody_was_asked(
    tmp_path: Path, thumbnail_bundle: Path, learned: Learned, result: Result
) -> None:
    learned_bundle(thumbnail_bundle, tmp_path / "bundle", learned)
    config = tmp_path / "line.toml"
    config.write_text(
        "schema_version = 1\n[line]\ndeadline_ms = 60000\nmin_part_spacing_ms = 70000\n"
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        '[[bundle]]\nprogram = 1\npath = "bundle"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
    )

    found = bundle_verified(Site(config, load_settings(config)))

    assert found.result is result, found.evidence
    assert (f"nobody said why it may be worse: {WORSE}" in found.evidence) is (result is Result.WARN)
