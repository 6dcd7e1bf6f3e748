"""What we write into a tag is read by programs that nobody here wrote, and the other way round.

The servers are cpppo's and cm-ethernetip's, over a real socket; the clients are pylogix, cpppo's and cm-ethernetip's.
None of the three shares a line with another.
"""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from ethernetip.cip import mr_codec
from ethernetip.logix.data_types import DINT, DWORD
from ethernetip.logix.tag_client import TagClient, _build_symbolic_path
from ethernetip.protocol.messages import RegisterSessionMessage, SendRRDataMessage

from drivers.base import CommandRefused, DriverError, NotConnected, Published, Verdict
from drivers.ethernet_ip import EthernetIpConnection, Tags, codec
from drivers.output import BlockOutput, BlockState
from drivers.simulated.tag_plc import SimulatedLogixPlc
from drivers.timing import Deadline, monotonic_s
from tests.byte_proxy import Bend, ByteProxy, Trouble, Way
from tests.simulated.logix_others import NEEDS_CPPPO, SERVERS, TAGS, Gate, cpppo_process, cpppo_server, gate, served
from tests.simulated.simulated_wire import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORDS = tuple(range(0xFFF8, 0x10000))
BLOCK = BlockState(7, Verdict.PASS, 1, bundle=0xBEEF, heartbeat=9)
PASSED = (Verdict.PASS, Published.PUBLISHED)
REJECT_WORD, READY = 0x00C3, 1


@asynccontextmanager
async def ours(port: int, tags: Tags = TAGS, slot: int = 0) -> AsyncIterator[EthernetIpConnection]:
    wire = EthernetIpConnection("127.0.0.1", port, tags=tags, slot=slot, timeout_s=2.0, on_lost=lambda: None)
    await wire.open()
    try:
        yield wire
    finally:
        wire.close()


@asynccontextmanager
async def running(port: int, **options: Any) -> AsyncIterator[BlockOutput]:
    wire = partial(EthernetIpConnection, "127.0.0.1", port, tags=TAGS, timeout_s=options.get("write_timeout_s", 0.5))
    options = {"pass_hold_s": 5.0, "refresh_s": 0.02, "plc_timeout_s": 5.0} | options
    output = BlockOutput("the PLC", wire, plc_place=TAGS.plc, **options)
    task = asyncio.create_task(output.run(lambda: True))
    try:
        await until(lambda: output.is_confirmed)
        yield output
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def judged(plc: Gate, output: BlockOutput, verdict: Verdict) -> Published:
    """What becomes of the verdict of the part that is at the gate."""
    number = plc.parts[-1].seq
    await output.begin_part(number, monotonic_s())
    return await output.publish(number, verdict, Deadline.after(5))


async def passes(plc: Gate, output: BlockOutput) -> None:
    """A part passes, or one behind it: on a busy machine its number may be read too late, which opens nothing."""
    for _ in range(20):
        await until(lambda: output.is_confirmed and plc.block[4] & READY)
        part = await plc.next_part()
        published = await judged(plc, output, Verdict.PASS)
        if published is Published.PUBLISHED:
            await until(lambda part=part: part.is_decided)  # type: ignore[misc]
            assert part.is_let_through
            return
        assert published is Published.WITHHELD
        assert not part.is_let_through
    raise AssertionError("no part passed")


async def said_by(*command: str) -> str:
    """What a program of others prints last."""
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, said
    return said.decode().splitlines()[-1]


BY_PYLOGIX = """
import sys
from pylogix import PLC
tag, port, *written = sys.argv[1:]
with PLC("127.0.0.1", port=int(port), timeout=5) as client:
    if written:
        assert client.Write(tag, [int(word) for word in written]).Status == "Success"
    print(*client.Read(tag, 8).Value)
"""


async def by_pylogix(port: int, written: tuple[int, ...]) -> tuple[int, ...]:
    said = await said_by("-c", BY_PYLOGIX, f"{TAGS.agent}[0]", str(port), *map(str, written))
    return tuple(map(int, said.split()))


async def by_cm(port: int, written: tuple[int, ...]) -> tuple[int, ...]:
    async with TagClient("127.0.0.1", port, path="1,0") as client:
        if written:
            await client.write_raw(f"{TAGS.agent}[0]", DINT, 8, struct.pack("<8I", *written))
        found = await client.read_tag_raw(f"{TAGS.agent}[0]", 8)
        return struct.unpack("<8I", found[2:])


async def by_cpppo(port: int, written: tuple[int, ...]) -> tuple[int, ...]:
    asked = [f"{TAGS.agent}[0-7]=(DINT){','.join(map(str, written))}"] if written else []
    server = ("-m", "cpppo.server.enip.client", "-a", f"127.0.0.1:{port}", "--print")
    said = await said_by(*server, *asked, f"{TAGS.agent}[0-7]")
    return tuple(map(int, said.partition("== [")[2].partition("]")[0].split(",")))


@pytest.mark.parametrize("server", SERVERS)
async def test_what_we_write_into_another_server_another_client_reads_and_the_other_way_round(server: str) -> None:
    async with served(server) as port, ours(port) as wire:
        await wire.write_proven(BLOCK)
        assert await by_pylogix(port, ()) == BLOCK.words
        assert await by_cm(port, ()) == BLOCK.words

        assert await by_pylogix(port, WORDS) == WORDS
        assert await wire.read_words(8) == WORDS


@pytest.mark.parametrize("client", [by_cm, pytest.param(by_cpppo, marks=NEEDS_CPPPO)], ids=["cm-ethernetip", "cpppo"])
async def test_our_simulated_controller_is_written_and_read_by_another_client(client: Any) -> None:
    plc = SimulatedLogixPlc()
    await plc.start()
    try:
        assert await client(plc.port, WORDS) == WORDS == plc.block
    finally:
        await plc.stop()


def test_our_requests_are_those_of_another_client_but_for_their_number_and_their_time() -> None:
    tag, way = "Program:Gate.AgentToPlc", codec.Way.to(3, 0.25)._replace(session=0x12345678)
    path = _build_symbolic_path(f"{tag}[0]")

    def sent(service: int, data: bytes) -> bytes:
        asked = mr_codec.encode_request(service, path, data)
        behind = bytes((0, 250)) + struct.pack("<H", len(asked)) + asked + bytes((1, 0, 1, 3))
        on = mr_codec.encode_request(0x52, bytes.fromhex("20062401"), behind)
        return bytes(SendRRDataMessage(session_handle=0x12345678, sender_context=9, cip_data=on).to_bytes())

    data = struct.pack("<HH8I", DINT, 8, *WORDS)
    assert codec.write_request(9, way, codec.tag_path(tag), WORDS) == sent(0x4D, data)
    assert codec.read_request(9, way, codec.tag_path(tag), 0, 5) == sent(0x4C, b"\5\0")
    assert codec.register_request(9) == RegisterSessionMessage(sender_context=9).to_bytes()


@pytest.mark.parametrize("server", SERVERS)
async def test_a_real_output_passes_parts_by_another_server_and_another_client(server: str) -> None:
    async with (
        served(server) as port,
        gate(port) as plc,
        running(port, part_present_input=33) as output,
        TagClient("127.0.0.1", port, path="1,0") as other,
    ):
        await passes(plc, output)
        part = await plc.next_part()
        assert await judged(plc, output, Verdict.REJECT) is Published.PUBLISHED
        await until(lambda: part.is_decided)
        assert not part.is_let_through
        await passes(plc, output)
        assert await output.read_part_present() is False
        await other.write_raw("PlcInputs[1]", DINT if server == "cpppo" else DWORD, 1, b"\2\0\0\0")
        assert await output.read_part_present() is True


@NEEDS_CPPPO
@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("bend", [Bend.DELAYED, Bend.SPLIT, Bend.MERGED, Bend.REPEATED, Bend.CUT, Bend.HALF_OPEN])
async def test_whatever_a_wire_to_another_server_does_a_part_passes_by_its_own_verdict_or_not_at_all(
    bend: Bend, way: Way
) -> None:
    async with cpppo_server() as port, gate(port) as plc, ByteProxy(("127.0.0.1", port)) as proxy:
        shown = []
        async with running(proxy.port, write_timeout_s=0.15) as output:
            for number in range(1, 7):
                await until(lambda: output.is_confirmed and plc.block[4] & READY, within_s=20.0)
                part, verdict = await plc.next_part(), (Verdict.PASS if number % 2 else Verdict.REJECT)
                if number == 3:
                    proxy.arm(Trouble(bend, way, after_bytes=20, for_s=0.3))
                shown.append((part, verdict, await judged(plc, output, verdict)))
                if shown[-1][1:] == PASSED:
                    await until(lambda part=part: part.is_decided)  # type: ignore[misc]
                    assert part.is_let_through
            await passes(plc, output)
        await until(lambda: plc.block[1] == REJECT_WORD)
    assert all(verdict is Verdict.PASS for part, verdict, _ in shown if part.is_let_through)


@NEEDS_CPPPO
async def test_a_pass_that_was_held_up_on_its_way_to_another_server_opens_for_no_later_part() -> None:
    async with (
        cpppo_server() as port,
        gate(port) as plc,
        ByteProxy(("127.0.0.1", port)) as proxy,
        running(proxy.port, write_timeout_s=0.15) as output,
    ):
        await until(lambda: plc.block[4] & READY)
        first = await plc.next_part()
        await output.begin_part(1, monotonic_s())
        proxy.hold()
        assert await output.publish(1, Verdict.PASS, Deadline.after(2.0)) is not Published.PUBLISHED
        second = await plc.next_part()
        proxy.go_on()
        await until(lambda: output.is_confirmed and plc.block[4] & READY)
        assert not first.is_let_through
        assert not second.is_let_through
        await passes(plc, output)


@NEEDS_CPPPO
async def test_a_server_that_is_killed_is_told_at_once_and_comes_back_without_a_pass() -> None:
    """A process of its own: its kernel resets what was open when it dies."""
    async with cpppo_process() as (process, port), gate(port) as plc, running(port, write_timeout_s=0.3) as output:
        await passes(plc, output)
        process.kill()
        await process.wait()
        await until(lambda: not output.is_confirmed)
        lost = plc.part_arrives()
        assert await judged(plc, output, Verdict.PASS) is not Published.PUBLISHED
        async with cpppo_server(port):
            await until(
                lambda: output.is_confirmed and plc.block[4] & READY and plc.block[1] == REJECT_WORD, within_s=20.0
            )
            assert not lost.is_let_through
            await passes(plc, output)


@NEEDS_CPPPO
async def test_a_request_that_is_out_when_a_server_is_killed_ends_at_once() -> None:
    async with cpppo_process() as (process, port):
        lost = asyncio.Event()
        wire = EthernetIpConnection("127.0.0.1", port, tags=TAGS, timeout_s=30.0, on_lost=lost.set)
        await wire.open()
        await wire.write_proven(BLOCK)
        process.kill()
        await asyncio.wait_for(lost.wait(), 5)
        assert not wire.is_up
        with pytest.raises(NotConnected):
            await wire.read_words(8)


@pytest.mark.parametrize("server", SERVERS)
async def test_a_tag_that_is_not_there_too_short_or_of_another_type_has_its_words_and_nothing_is_written(
    server: str,
) -> None:
    absent = {"cpppo": r"encapsulation status 0008", "cm-ethernetip": r"status 05: there is no such tag: .*output\.tag"}
    async with served(server) as port:
        for tag, words in (
            ("Absent", absent[server]),
            ("Short", r"status FF 2105: the tag has fewer elements: .*DINT\[8\]"),
        ):
            for ask in ("write", "read"):
                async with ours(port, Tags(tag, "PlcToAgent")) as wire:
                    with pytest.raises(CommandRefused, match=rf"the {ask} of {tag} by .*{words}"):
                        await (wire.write(BLOCK) if ask == "write" else wire.read_words(8))
                    assert not wire.is_up
        async with ours(port, Tags("Narrow", "PlcToAgent")) as wire:
            with pytest.raises(CommandRefused, match=r"a tag of type 00C3: it has to be an array of DINT"):
                await wire.read_words(8)
        async with ours(port, Tags("Narrow", "PlcToAgent")) as wire:
            with pytest.raises(DriverError):
                await wire.write_proven(BLOCK)
        assert await by_cm(port, ()) == (0,) * 8


def test_no_program_of_others_is_loaded_by_an_agent() -> None:
    """They are there for these tests alone: a line PC has none of them."""
    said = "import sys; import edge_agent.wiring.output, edge_agent.wiring.simulation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True).stdout.split()

    assert "drivers.ethernet_ip.connection" in loaded
    assert not {"cpppo", "ethernetip", "pylogix", "pycomm3"} & set(loaded)
