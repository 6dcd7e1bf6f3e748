"""The cable between controller and PC is pulled for three seconds while parts go on: none of them may pass later."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from drivers.base import Verdict
from drivers.simulated.ftp_push import ImageOutlet
from edge_agent.simulation import free_port
from tests.simulated.line import PASS, good_image, line

if TYPE_CHECKING:
    from pathlib import Path


class Cable:
    """A TCP way that can be pulled: what is sent then waits in it, as it does in the peers' kernels."""

    def __init__(self, target_port: int) -> None:
        self.plugged = asyncio.Event()
        self.plugged.set()
        self.port = 0
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for talk in tuple(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        writers = [writer]
        try:
            await self.plugged.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            writers.append(far_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer))
                both.create_task(self._pump(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in writers:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.plugged.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.mark.slow
@pytest.mark.parametrize("is_cleared", [True, False], ids=["OE,0 clears the images", "OE,0 leaves the images"])
async def test_of_ten_parts_whose_images_waited_in_a_pulled_cable_none_passes(
    tmp_path: Path, thumbnail_bundle: Path, monkeypatch: pytest.MonkeyPatch, *, is_cleared: bool
) -> None:
    if not is_cleared:
        monkeypatch.setattr(ImageOutlet, "clear", lambda _: None)
    async with line(tmp_path, thumbnail_bundle, start=False) as at:
        text = at.config.read_text()
        ftp_port, agents_ftp_port = int(re.findall(r"\[images.ftp\]\nport = (\d+)", text)[0]), free_port()
        command, images = Cable(at.controller.port), Cable(agents_ftp_port)
        await command.start()
        await images.start(ftp_port)
        text = text.replace(f"port = {ftp_port}", f"port = {agents_ftp_port}")
        at.config.write_text(text.replace(f"port = {at.controller.port}", f"port = {command.port}"))
        try:
            await at.start_agent()
            await at.until_ready()
            await at.controller.wire_trigger(good_image(1))
            assert (await at.until_rows(1))[0].verdict is Verdict.PASS
            await at.until("the end of PASS", lambda: not at.remote_io.coils[PASS])

            changes_before = len(at.remote_io.history)
            for cable in (command, images):
                cable.plugged.clear()
            for _ in range(10):
                await at.until("the controller", lambda: at.controller.is_ready)
                assert await at.controller.wire_trigger(good_image(2)) is not None
                await asyncio.sleep(0.3)
            for cable in (command, images):
                cable.plugged.set()
            sent = 2 if is_cleared else 11  # the one that was under way comes in any case
            await at.until("the images", lambda: len(at.controller.images_sent) >= sent and at.controller.is_idle)
            await at.until_ready()
            await at.until_rows(sent)

            since = at.remote_io.history[changes_before:]
            assert not [change for change in since if change.coil == PASS and change.value]
            assert [row.verdict for row in at.rows() if row.verdict is Verdict.PASS] == [Verdict.PASS]
            await at.until("the controller", lambda: at.controller.is_ready)
            await at.controller.wire_trigger(good_image(3))
            await at.until("PASS again", lambda: [row.verdict for row in at.rows()].count(Verdict.PASS) == 2)
        finally:
            await command.stop()
            await images.stop()


async def test_a_person_asks_by_way_of_the_agent_and_the_line_stays_ready(
    tmp_path: Path, thumbnail_bundle: Path
) -> None:
    async with line(tmp_path, thumbnail_bundle) as at:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "edge_agent", "cvx", "status", "--json", "--config", str(at.config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        out, _ = await process.communicate()
        facts = json.loads(out)

        assert (process.returncode, facts["via"], facts["agent"]["state"]) == (0, "agent", "READY")
        assert facts["agent"]["link"]["is_up"]
        assert facts["controller"]["program"] == "1,001"
        assert at.controller.connections == 1
        await at.controller.wire_trigger(good_image(1))
        assert (await at.until_rows(1))[0].verdict is Verdict.PASS
