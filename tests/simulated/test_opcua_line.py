"""The OPC UA server of a real agent on a simulated line."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from drivers.timing import monotonic_s
from edge_agent.wiring.free_ports import free_port
from tests.fault.test_opcua import becomes, value
from tests.opcua_site import NEEDS_ASYNCUA, connected, opcua_tables
from tests.simulated.line import good_image, line

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, NEEDS_ASYNCUA, pytest.mark.timeout(300)]
_ROOT = "ns=2;s=VisionSystem"
_WITHIN_S = 60.0


async def listens(port: int) -> None:
    begin = monotonic_s()
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert monotonic_s() - begin < _WITHIN_S
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def test_an_agent_tells_its_state_its_bundle_and_its_parts(tmp_path: Path, thumbnail_bundle: Path) -> None:
    port = free_port()
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        config = tmp_path / "line.toml"
        config.write_text(config.read_text() + opcua_tables(tmp_path, port))
        await at.start_agent()
        await listens(port)
        client = await connected(tmp_path, port)
        try:
            await becomes(client, f"{_ROOT}.VisionStateMachine.CurrentState", "Operational")
            program = await value(client, f"{_ROOT}.RecipeManagement.ActiveProgram")
            recipe = f"{_ROOT}.RecipeManagement.Recipes.Program{program}Camera1"
            assert await value(client, f"{recipe}.IsPrepared") is True
            await at.controller.wire_trigger(good_image(1))
            (row,) = await at.until_rows(1)
            latest = f"{_ROOT}.ResultManagement.LatestResult"
            await becomes(client, f"{latest}.ResultId", "1")
            await becomes(client, f"{_ROOT}.Health.Shift.Pass", 1)

            assert await value(client, f"{latest}.InternalRecipeId") == await value(client, f"{recipe}.InternalId")
            assert await value(client, f"{latest}.Verdict") == row.verdict == "PASS"
            assert json.loads(await value(client, f"{latest}.ResultContent"))["published"] == "PUBLISHED"
            assert len(await value(client, f"{_ROOT}.ConfigurationManagement.ActiveConfiguration.InternalId")) == 64
        finally:
            await client.disconnect()
        assert await at.stop_agent() == 0
