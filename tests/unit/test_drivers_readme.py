"""drivers/README.md is for whoever takes the drivers without the rest: what it shows runs as it stands."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.simulated.catalogue import CATALOGUE
from edge_agent.wiring.free_ports import free_port
from tests.fault.keyence_peer import bmp

if TYPE_CHECKING:
    import pytest

README = Path(__file__).parents[2] / "drivers" / "README.md"


def shown() -> dict[str, Any]:
    """Every block of the page, run; what they define."""
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(block.replace("2121", str(PORT)), found)  # noqa: S102 - our own page
    return found


PORT = free_port()


async def test_the_three_examples_work_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = shown()
    peer = await page["controller"]()
    peer.put_part(bmp())
    try:
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(page["images"](tmp_path / "spool", 2))
            tasks.create_task(page["results"]("127.0.0.1", peer.port))
    finally:
        await peer.stop()
    said = capsys.readouterr().out

    assert "ControllerUp(program=7" in said
    assert "ProgramId(card=1, number=7) hello" in said
    assert said.count("ControllerResult(count=") == 2
    assert "'pitch_mm': 4.95" in said
    assert re.search(r"^1 1 OK 7 .*/spool/ready/[0-9a-f]{32}\.bmp$", said, re.MULTILINE)


def test_the_page_names_every_fault_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", README.read_text(), re.MULTILINE))

    assert rows == CATALOGUE
