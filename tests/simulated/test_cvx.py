"""``edge-agent cvx`` against the simulated controller: directly, and by way of an agent that runs."""

from __future__ import annotations

import asyncio
import json
import stat
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drivers.base import ControllerDown, ControllerStatus, ControllerUp
from drivers.keyence.link import CvxLink
from drivers.simulated.controller import ControllerTiming, SimulatedController
from drivers.timing import monotonic_s
from drivers.transport import open_tcp
from edge_agent.desk.client import desk_path
from edge_agent.desk.desk import Desk, serve_desk
from edge_agent.errors import Unavailable, UsageError
from edge_agent.settings import Settings, load_settings
from edge_agent.settings.models import SerialSettings
from edge_agent.tools.cvx import Refused, changes_something, listen, send, status
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from drivers.base import ByteStream, StreamListener
    from drivers.timing import Deadline

EXAMPLE = Path(__file__).parents[2] / "deploy" / "line.example.toml"
QUICK = ControllerTiming(exposure_s=0.001, processing_s=0.005, program_switch_s=0.02, ready_after_switch_s=0.0)


def settings_for(folder: Path, port: int) -> tuple[Settings, Path]:
    config = folder / "line.toml"
    text = EXAMPLE.read_text().replace('host = "192.168.10.10"\n', 'host = "127.0.0.1"\n')
    text = text.replace("port = 8500", f"port = {port}").replace("/var/lib/edge-agent/", f"{folder}/")
    config.write_text(text)
    config.chmod(0o640)
    return load_settings(config), config


@pytest.fixture
async def peer() -> AsyncIterator[SimulatedController]:
    made = SimulatedController(timing=QUICK, program=3)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def settings(tmp_path: Path, peer: SimulatedController) -> Settings:
    return settings_for(tmp_path, peer.port)[0]


class AgentDesk:
    """A desk as the agent has it: a link that runs, and how the line stands."""

    def __init__(self, link: CvxLink) -> None:
        self.link = link

    def status(self) -> Mapping[str, object]:
        return {"state": "READY", "is_up": self.link.status().is_up}

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        return await self.link.command(name, *args, by=by)

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        return self.link.listen(on_line)


@asynccontextmanager
async def agent(settings: Settings, peer: SimulatedController) -> AsyncIterator[CvxLink]:
    async def dial(listener: StreamListener) -> ByteStream:
        return await open_tcp("127.0.0.1", peer.port, listener, timeout_s=1.0)

    link = CvxLink(dial, "controller", result_items=("count", "judgement"), reply_timeout_s=0.5)
    desk: Desk = AgentDesk(link)
    task = asyncio.create_task(link.run())
    try:
        async with serve_desk(desk_path(settings.store.journal), desk):
            await until(lambda: link.status().is_up)
            yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_without_an_agent_the_controller_is_asked_itself(settings: Settings, peer: SimulatedController) -> None:
    answer = await send(settings, "EC,hello, you")

    assert (answer.via, answer.values) == ("controller", ("hello", " you"))
    assert peer.commands == ["EC,hello, you"]
    facts = await status(settings)
    assert facts["controller"] == {
        "version": "CV-X470F 6.0.0000",
        "mode": "1",
        "program": "1,003",
        "execute_condition": "0",
        "clock": facts["controller"]["clock"],  # type: ignore[index]
        "time_zone": "20",
    }
    await until(lambda: peer.connections == 0)


async def test_with_an_agent_its_own_connection_is_used_and_stays(
    settings: Settings, peer: SimulatedController
) -> None:
    async with agent(settings, peer) as link:
        answer = await send(settings, "EC,hello")
        facts = await status(settings)

        assert (answer.via, answer.values) == ("agent", ("hello",))
        assert facts["agent"] == {"state": "READY", "is_up": True}
        assert link.status().is_up
        assert peer.connections == 1
    assert (await send(settings, "EC,hello")).via == "controller"


async def test_the_desk_is_for_its_owner_alone_and_gone_with_the_agent(
    settings: Settings, peer: SimulatedController
) -> None:
    path = desk_path(settings.store.journal)
    async with agent(settings, peer):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_socket_that_a_killed_agent_left_is_no_agent(settings: Settings, peer: SimulatedController) -> None:
    path = desk_path(settings.store.journal)
    server = await asyncio.start_unix_server(lambda *_: None, path)
    server.close()
    await server.wait_closed()
    assert path.exists()

    assert (await send(settings, "EC,hello")).via == "controller"
    async with agent(settings, peer):
        assert (await send(settings, "EC,hello")).via == "agent"


@pytest.mark.parametrize("has_agent", [False, True])
async def test_a_refusal_and_a_line_that_is_no_command_are_said_in_words(
    settings: Settings,
    peer: SimulatedController,
    has_agent: bool,  # noqa: FBT001
) -> None:
    async def refused() -> None:
        with pytest.raises(Refused, match="PW refused with 22"):
            await send(settings, "PW,1,1000")
        with pytest.raises(Refused, match="MR refused with 02"):
            await send(settings, "MR,%Trg1Ready")
        with pytest.raises(UsageError if not has_agent else Unavailable, match="no command name"):
            await send(settings, "ec,hello")

    if has_agent:
        async with agent(settings, peer):
            await refused()
    else:
        await refused()


async def test_a_controller_that_is_away_is_unavailable(tmp_path: Path, peer: SimulatedController) -> None:
    settings = settings_for(tmp_path, peer.port)[0]
    await peer.stop()

    with pytest.raises(Unavailable, match="cannot be reached"):
        await send(settings, "EC,hello")


@pytest.mark.parametrize("has_agent", [False, True])
async def test_listening_hears_every_line_and_ends_after_the_last_one_asked_for(
    settings: Settings,
    peer: SimulatedController,
    has_agent: bool,  # noqa: FBT001
) -> None:
    heard: list[tuple[str, ...]] = []

    async def hear() -> None:
        listening = asyncio.create_task(listen(settings, most=2, seconds=5.0, on_line=heard.append))
        await until(lambda: peer.connections == 1)
        for count in (1, 2):
            await until(lambda: peer.is_ready)
            peer.trigger("TRG1")
            await until(lambda count=count: len(heard) == count)  # type: ignore[misc]
        assert await listening == 2

    if has_agent:
        async with agent(settings, peer):
            await hear()
    else:
        await hear()
    assert heard == [("0000000001", "0"), ("0000000002", "0")]


@pytest.mark.parametrize(
    ("wire", "said"), [("network", "throw out the one before"), ("serial line", "the serial line was lost")]
)
async def test_listening_says_what_ended_it(
    settings: Settings, peer: SimulatedController, wire: str, said: str
) -> None:
    if wire == "serial line":
        serial = SerialSettings(url=await peer.wire.open_line())
        settings = settings.model_copy(update={"controller": settings.controller.model_copy(update={"serial": serial})})
    heard: list[tuple[str, ...]] = []
    listening = asyncio.create_task(listen(settings, most=100, seconds=None, on_line=heard.append))
    while not heard:
        await until(lambda: peer.is_ready)
        peer.trigger("TRG1")
        await until(lambda: peer.is_ready)
    await peer.wire.close_line()
    peer.wire.drop_all()

    with pytest.raises(Unavailable, match=said):
        await listening


async def test_a_program_switched_by_hand_brings_the_line_down_until_it_is_known(
    settings: Settings, peer: SimulatedController
) -> None:
    async with agent(settings, peer) as link:
        assert isinstance(await link.next(), ControllerUp)
        await send(settings, "PW,1,012")
        events = [await link.next(), await link.next()]

        assert isinstance(events[0], ControllerDown)
        assert events[0].why == "PW was sent"
        assert isinstance(events[1], ControllerUp)
        assert events[1].program == 12
        assert not [event for event in events if isinstance(event, ControllerStatus)]


async def test_a_visitor_that_leaves_in_mid_command_leaves_the_link_usable(
    settings: Settings, peer: SimulatedController
) -> None:
    async with agent(settings, peer) as link:
        _, writer = await asyncio.open_unix_connection(desk_path(settings.store.journal))
        writer.write(b'{"v":1,"ask":"command","name":"PW","args":["1","007"]}\n')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await until(lambda: peer.state.program == 7)
        await until(lambda: link.status().is_up)

        assert (await send(settings, "PR")).values == ("1", "007")


@pytest.mark.parametrize(
    ("line", "changes"),
    [("EC,hello", False), ("RM", False), ("PR", False), ("T1", True), ("PW,1,1", True), ("MW,#a,1", True), ("", True)],
)
def test_what_reads_needs_no_yes_and_all_else_does(line: str, changes: bool) -> None:  # noqa: FBT001
    assert changes_something(line) is changes


async def run_cvx(config: Path, *args: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_agent", "cvx", *args, "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_command_line_prints_one_object_and_wants_yes_for_what_changes(
    tmp_path: Path, peer: SimulatedController
) -> None:
    config = settings_for(tmp_path, peer.port)[1]

    code, out, _ = await run_cvx(config, "send", "EC,hello", "--json")
    assert (code, json.loads(out)) == (
        0,
        {"schema_version": 1, "via": "controller", "sent": "EC,hello", "values": ["hello"]},
    )
    code, out, err = await run_cvx(config, "send", "rm")
    assert (code, out) == (64, "")
    assert "did you mean RM?" in err
    code, out, err = await run_cvx(config, "trigger", "1")
    assert (code, out) == (64, "")
    assert "T1 changes something on the controller" in err
    assert peer.imaged == []
    code, out, _ = await run_cvx(config, "trigger", "1", "--yes")
    assert (code, out) == (0, "T1\n")
    assert len(peer.imaged) == 1
    assert monotonic_s() > peer.imaged[0].triggered_mono_s
