"""edge-agent journal changes, over whole runs of the agent: what changed since the last start, and who did it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from edge_agent.inspection.bundle.registry import activate
from tests.command_line import edge_agent_here
from tests.simulated.line import line
from tests.simulated.test_bundle_commands import prove, variant

if TYPE_CHECKING:
    from pathlib import Path


def changes(config: Path) -> list[dict[str, Any]]:
    ran = edge_agent_here("journal", "changes", "--config", str(config), "--json")
    assert ran.code == 0, ran.err
    found: list[dict[str, Any]] = json.loads(ran.out)["changes"]
    return found


async def test_settings_and_bundles_that_changed_between_two_starts(thumbnail_bundle: Path, tmp_path: Path) -> None:
    registry, second = tmp_path / "bundles", variant(thumbnail_bundle, tmp_path / "second", seed=7)
    activate(registry, thumbnail_bundle, by="Ada", why="first lot", prove=prove)
    async with line(tmp_path, registry) as at:
        by_desk = await asyncio.to_thread(
            edge_agent_here, "bundle", "activate", str(second), "-c", str(at.config), "--by", "Grace", "--why", "lot 2"
        )
        assert by_desk.code == 0, by_desk.err
        assert await at.stop_agent() == 0
        directly = await asyncio.to_thread(
            edge_agent_here, "bundle", "rollback", "--config", str(at.config), "--by", "Ada", "--why", "rejects"
        )
        assert directly.code == 0, directly.err
        assert "next start, not now" not in by_desk.out + directly.out
        at.config.write_text(at.config.read_text() + "[challenge]\nevery_h = 8\n")
        await at.start_agent("--dry-run")
        await at.until("the second start", lambda: len(changes(at.config)) >= 6)
        assert await at.stop_agent() == 0
        found = changes(at.config)

    newest, in_use, back, chosen, first, first_in_use = found
    assert newest["title"] == "agent started with other settings, another mode"
    assert [(value["name"], value["was"], value["is"]) for value in newest["values"]] == [
        ("challenge.every_shift", "not set", "no"),
        ("challenge.shift_grace_min", "not set", "30"),
        ("challenge.every_h", "not set", "8"),
        ("challenge.lock_out", "not set", "no"),
        ("dry run", "no", "yes"),
    ]
    assert newest["facts"]["line_toml"]["path"] == str(at.config)
    assert len(newest["facts"]["line_toml"]["sha256"]) == 64
    assert (in_use["kind"], in_use["by"], in_use["why"]) == ("BUNDLE", "Ada", "rejects")
    assert (back["kind"], back["by"], back["why"]) == ("BUNDLE_CHOSEN", "Ada", "rejects")
    assert (chosen["kind"], chosen["by"], chosen["why"]) == ("BUNDLE_CHOSEN", "Grace", "lot 2")
    assert first["values"] is None
    assert "the first start of this journal" in first["words"]
    assert (first_in_use["by"], first_in_use["why"]) == ("Ada", "first lot")
