"""The bytes on the protocol page are the bytes on the wire."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from drivers.base import Published, Verdict
from drivers.modbus import CoilOutput
from drivers.timing import Deadline
from tests.fault.modbus_peer import WRITE_COILS, running_peer

PAGE = (Path(__file__).parents[2] / "drivers" / "modbus" / "PROTOCOL.md").read_text()


def documented(direction: str) -> list[str]:
    """The frames of the page, without their transaction number."""
    return [
        re.sub(r"\s", "", line[6:]) for line in PAGE.splitlines() if re.match(rf"{direction} [0-9a-f.]{{4}} ", line)
    ]


async def test_every_request_and_reply_of_the_page_is_seen_on_the_wire() -> None:
    async with running_peer() as peer:
        output = CoilOutput(peer.host, peer.port, part_present_input=0, pass_hold_s=5, refresh_s=0.01)
        peer.inputs[0] = True
        task = asyncio.create_task(output.run(lambda: True))
        await peer.until(lambda: output.is_confirmed)
        assert await output.publish(1, Verdict.PASS, Deadline.after(5)) is Published.PUBLISHED
        await output.read_part_present()
        passes = len(peer.writes)
        await peer.until(lambda: len(peer.writes) >= passes + 2)
        task.cancel()
        await asyncio.wait([task])

    sent = {request.frame(bytes([request.function]) + request.body).hex()[4:] for request in peer.requests}
    assert set(documented(">")) <= sent
    assert peer.requests[0].function == WRITE_COILS
    assert [request.transaction for request in peer.requests[:2]] == [1, 2]

    answered = {peer.requests[0].frame(bytes.fromhex("0f00000004")).hex()[4:]}
    answered |= {f"00000004010{function}010{bits}" for function, bits in [(1, 2), (2, 1)]}
    assert set(documented("<")) == answered
