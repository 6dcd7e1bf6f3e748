"""drivers/README.md is for whoever takes the drivers without the rest: what it shows runs as it stands."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.base import Published, Verdict
from drivers.simulated.catalogue import CATALOGUE
from drivers.timing import Deadline, monotonic_s
from edge_agent.wiring.free_ports import free_port
from tests.fault.keyence_peer import bmp

if TYPE_CHECKING:
    from collections.abc import Callable

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
    assert "ProgramId(card=1, number=7) ('hello',)" in said
    assert said.count("ControllerResult(count=") == 2
    assert "'pitch_mm': 4.95" in said
    assert re.search(r"^1 1 OK 7 .*/spool/ready/[0-9a-f]{32}\.bmp$", said, re.MULTILINE)


async def test_the_output_of_the_page_passes_its_part_and_rests_at_reject() -> None:
    plc: dict[int, int] = {}
    output = shown()["output"](plc)
    running = asyncio.create_task(output.run(lambda: True))

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                plc[102] = plc.get(102, 0) + 1  # the PLC's program runs
                await asyncio.sleep(0.005)

    await until(lambda: output.is_confirmed)
    plc[100] = 1
    await output.begin_part(1, monotonic_s())
    published = await output.publish(1, Verdict.PASS, Deadline.after(5))
    assert (published, plc[0], plc[1]) == (Published.PUBLISHED, 1, 0x005A)
    await until(lambda: plc[1] == 0x00C3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert plc[1] == 0x00C3


def test_the_page_names_every_fault_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", README.read_text(), re.MULTILINE))

    assert rows == CATALOGUE
