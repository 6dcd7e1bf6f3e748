"""The agent's desk under bad visitors: every request is answered or ends the visit, and the agent lives on."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from drivers.base import NotNow
from edge_agent.desk.client import DeskClient, DeskError, desk_path
from edge_agent.desk.desk import serve_desk
from edge_agent.errors import Unavailable
from edge_agent.runtime.bypass import BypassRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from drivers.timing import Deadline


class Desk:
    def __init__(self) -> None:
        self.commands: list[tuple[str, ...]] = []
        self.ears = 0

    def status(self) -> Mapping[str, object]:
        return {"state": "READY"}

    async def command(self, name: str, *args: str, by: Deadline | None = None) -> tuple[str, ...]:
        if name == "T1":
            raise NotNow("T1", "03", "not READY")
        self.commands.append((name, *args))
        return args

    async def bypass(self, *, begins: bool, by: str, why: str, for_s: float) -> Mapping[str, object]:
        if begins and not by:
            raise BypassRefused("a bypass has a name", hint="say who you are")
        self.commands.append(("bypass", str(begins), by, why, str(for_s)))
        return self.status()

    async def acknowledge(self, by: str) -> Mapping[str, object]:
        self.commands.append(("acknowledge", by))
        return {**self.status(), "acknowledged_part": 7}

    def listen(self, on_line: Callable[[tuple[str, ...]], object]) -> Callable[[], None]:
        self.ears += 1

        def stop() -> None:
            self.ears -= 1

        return stop


async def answer_to(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        await leave(writer)


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    "request_line",
    [
        b"\n",
        b"hello\n",
        b"[]\n",
        b"null\n",
        b"1\n",
        b"\xff\xfe\n",
        b"{}\n",
        b'{"v":2,"ask":"status"}\n',
        b'{"v":1}\n',
        b'{"v":1,"ask":"reboot"}\n',
        b'{"v":1,"ask":["status"]}\n',
        b'{"v":1,"ask":"command"}\n',
        b'{"v":1,"ask":"note"}\n',
        b'{"v":1,"ask":"note","kind":"CHALLENGE"}\n',
        b'{"v":1,"ask":"note","kind":"START","detail":""}\n',
        b'{"v":1,"ask":"note","kind":["CHALLENGE"],"detail":""}\n',
        b'{"v":1,"ask":"note","kind":"CHALLENGE","detail":7}\n',
        b'{"v":1,"ask":"note","kind":"CHALLENGE","detail":"' + b"x" * 32001 + b'"}\n',
        b'{"v":1,"ask":"note","kind":"MSA","detail":"' + b"x" * 2001 + b'"}\n',
        b'{"v":1,"ask":"command","name":7}\n',
        b'{"v":1,"ask":"command","name":"EC","args":"x"}\n',
        b'{"v":1,"ask":"command","name":"EC","args":[1]}\n',
        b'{"v":1,"ask":"command","name":"EC","args":["x"],"within_s":0}\n',
        b'{"v":1,"ask":"command","name":"EC","args":["x"],"within_s":true}\n',
        b'{"v":1,"ask":"command","name":"EC","args":["x"],"within_s":1e9}\n',
        b'{"v":1,"ask":"command","name":"EC","args":["x"],"within_s":NaN}\n',
        b'{"v":1,"ask":"command","name":"EC","args":' + json.dumps(["x"] * 33).encode() + b"}\n",
        b'{"v":1,"ask":"bypass"}\n',
        b'{"v":1,"ask":"bypass","do":"begin"}\n',
        b'{"v":1,"ask":"bypass","do":"on","by":"me"}\n',
        b'{"v":1,"ask":"bypass","do":"begin","by":1,"why":"w","for_s":60}\n',
        b'{"v":1,"ask":"bypass","do":"begin","by":"me","why":["w"],"for_s":60}\n',
        b'{"v":1,"ask":"bypass","do":"begin","by":"me\\u001b[2J","why":"w","for_s":60}\n',
        b'{"v":1,"ask":"bypass","do":"begin","by":"me","why":"w\\nx","for_s":60}\n',
        b'{"v":1,"ask":"acknowledge"}\n',
        b'{"v":1,"ask":"acknowledge","by":""}\n',
        b'{"v":1,"ask":"acknowledge","by":"me\\u0007"}\n',
        b'{"v":1,"ask":"acknowledge","by":["me"]}\n',
        b'{"v":1,"ask":"bypass","do":"begin","by":"me","why":"w","for_s":true}\n',
        b'{"v":1,"ask":"bypass","do":"begin","by":"me","why":"w","for_s":"900"}\n',
        b"[" * 50_000 + b"\n",
    ],
)
async def test_a_request_that_is_none_is_told_so_and_nothing_is_done(tmp_path: Path, request_line: bytes) -> None:
    desk, path = Desk(), tmp_path / "desk"
    async with serve_desk(path, desk):
        told = json.loads(await answer_to(path, request_line))
        assert (told["ok"], told["v"], desk.commands) == (False, 1, [])
        assert told["message"]
        assert json.loads(await answer_to(path, b'{"v":1,"ask":"status"}\n'))["status"] == {"state": "READY"}


async def test_a_refusal_keeps_its_code(tmp_path: Path) -> None:
    async with serve_desk(tmp_path / "desk", Desk()):
        told = json.loads(await answer_to(tmp_path / "desk", b'{"v":1,"ask":"command","name":"T1"}\n'))

    assert (told["ok"], told["error"], told["code"]) == (False, "NotNow", "03")


async def test_a_bypass_is_begun_and_ended_and_a_refusal_comes_with_what_to_do(tmp_path: Path) -> None:
    desk, path = Desk(), tmp_path / "desk"
    async with serve_desk(path, desk), DeskClient.open(path) as client:
        assert client is not None
        assert await client.bypass("begin", "A. Rossi", "lamp replaced", 60.0) == {"state": "READY"}
        assert await client.bypass("end", "A. Rossi") == {"state": "READY"}
        assert (await client.acknowledge("A. Rossi"))["acknowledged_part"] == 7
        with pytest.raises(DeskError, match=r"a bypass has a name \(say who you are\)") as caught:
            await client.bypass("begin", "", "lamp replaced", 60.0)

    assert caught.value.kind == "BypassRefused"
    assert desk.commands == [
        ("bypass", "True", "A. Rossi", "lamp replaced", "60.0"),
        ("bypass", "False", "A. Rossi", "", "0.0"),
        ("acknowledge", "A. Rossi"),
    ]


async def test_a_line_without_an_end_ends_the_visit(tmp_path: Path) -> None:
    path = tmp_path / "desk"
    async with serve_desk(path, Desk()):
        assert await answer_to(path, b"x" * 200_000) == b""
        assert json.loads(await answer_to(path, b'{"v":1,"ask":"status"}\n'))["ok"]


async def test_more_visitors_than_chairs_are_sent_away_and_a_free_chair_is_given_again(tmp_path: Path) -> None:
    path = tmp_path / "desk"
    async with serve_desk(path, Desk()):
        visitors = [await asyncio.open_unix_connection(path) for _ in range(4)]
        assert await answer_to(path, b'{"v":1,"ask":"status"}\n') == b""
        for _, writer in visitors:
            await leave(writer)
        told = b""
        while not told:
            told = await answer_to(path, b'{"v":1,"ask":"status"}\n')
        assert json.loads(told)["ok"]


async def test_a_listener_that_goes_is_no_longer_told(tmp_path: Path) -> None:
    desk, path = Desk(), tmp_path / "desk"
    async with serve_desk(path, desk):
        assert json.loads(await answer_to(path, b'{"v":1,"ask":"listen"}\n'))["ok"]
        async with asyncio.timeout(5):
            while desk.ears:
                await asyncio.sleep(0.005)


async def test_the_agent_stops_with_visitors_at_the_desk(tmp_path: Path) -> None:
    async with serve_desk(tmp_path / "desk", Desk()):
        visitors = [await asyncio.open_unix_connection(tmp_path / "desk") for _ in range(2)]
        for (reader, writer), ask in zip(visitors, (b"status", b"listen"), strict=True):
            writer.write(b'{"v":1,"ask":"' + ask + b'"}\n')
            assert json.loads(await reader.readline())["ok"]
    for reader, writer in visitors:
        assert await reader.read() == b""
        await leave(writer)


async def test_a_desk_that_cannot_be_opened_is_said_and_the_agent_runs_without(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with serve_desk(tmp_path / "no such folder" / "desk", Desk()):
            pass
        async with serve_desk(tmp_path / ("x" * 100), Desk()):
            pass

    assert [entry["event"] for entry in logs] == ["desk_not_open", "desk_not_open"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may ask everyone")
async def test_an_agent_of_another_user_is_never_gone_round(tmp_path: Path) -> None:
    path = desk_path(tmp_path / "journal.sqlite3")
    async with serve_desk(path, Desk()):
        path.chmod(0o000)
        with pytest.raises(Unavailable, match="cannot be asked"):
            async with DeskClient.open(path):
                pass
