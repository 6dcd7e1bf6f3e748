"""The wire's figures: codec speed, splits and merges, fuzzing, cut uploads, and the times of link and outputs.

Run: ``python -m tests.benchmark.wire [--fuzz-s 600] [--splits 100000] [--cuts 400]``. Wall times depend on what
else the machine does. ``tests/fault/test_wire_figures.py`` runs the same in small, and in full for ``make fuzz``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ftplib
import io
import random
import resource
import socket
import struct
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from drivers.base import ControllerUp, DriverError, ImageRefused, Published, Verdict
from drivers.keyence.codec import Overlong, Splitter, classify
from drivers.keyence.commands import COMMANDS
from drivers.keyence.ftp_inbox import FtpInbox
from drivers.keyence.link import CvxLink
from drivers.keyence.names import NameRule
from drivers.keyence.results import ResultParser
from drivers.keyence.session import Session
from drivers.modbus.coil_output import CoilOutput
from drivers.modbus.register_output import RegisterOutput
from drivers.modbus.replies import reply_problem
from drivers.simulated.controller import ControllerTiming, SimulatedController
from drivers.simulated.grammar import Refused, parse
from drivers.simulated.plc import SimulatedPlc
from drivers.simulated.remote_io import SimulatedRemoteIo
from drivers.timing import Deadline, monotonic_s
from drivers.transport.memory import MemoryStream
from drivers.transport.tcp import open_tcp
from edge_agent.inspection.containers.decode import prove_complete, zero_tail_rows
from edge_agent.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drivers.base import ByteStream, Capture
    from drivers.output.device_output import DeviceOutput

HOWS = ("fin", "rst", "abor", "stall", "control")
FORMATS = ("BMP", "PNG", "JPEG")
_PASSWORD = "correct horse"  # noqa: S105
_SEEDS = (
    b"T1\r00004422,0\r",
    b"RM,1\r\nPR,1,003\r\n",
    b"ER,T1,03\r",
    b"MR,+0000000001.000000\r",
    b"+0005.047,+0005.045,26,07,31\r0000000031,022,0\r",
    b"EC,\xff\xfe\x00hello\r",
    b"\x00\x01\x00\x00\x00\x06\x01\x0f\x00\x00\x00\x04",
    b"SD1_022/221020_103900/CAM1/221020_103912_0000000031_CAM1_OK.bmp",
)


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of a repeated exchange."""

    times: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """Sum up."""
        p50, p90, p99, most = np.percentile(np.array(seconds) * 1000, (50, 90, 99, 100))
        return cls(len(seconds), float(p50), float(p90), float(p99), float(most))

    def __str__(self) -> str:
        return f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms, max {self.max_ms:.2f} ms of {self.times}"


# codec


def lines_per_second(seconds: float) -> float:
    """How many lines the codec cuts and classifies in a second."""
    data = b"0000000031,022,0,00004422,+0000012.500\r" * 1000
    splitter, done, began = Splitter(), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for line in splitter.feed(data):
            assert not isinstance(line, Overlong)
            classify(line, "RM")
            done += 1
    return done / (time.perf_counter() - began)


def try_splits(number: int, seed: int) -> None:
    """Cut a stream anywhere, that many times: the lines must be the same. Raises AssertionError."""
    rng = random.Random(seed)
    stream = b"".join(rng.choices(_SEEDS, k=12)) + b"x" * 200 + b"\r"
    whole = Splitter().feed(stream)
    for _ in range(number):
        cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.randrange(12)))
        splitter, lines = Splitter(), []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            lines += splitter.feed(stream[start:end])
        if lines != whole:
            raise AssertionError(f"cut at {cuts} the stream gives {lines}, not {whole}")


# fuzzing


class _Mute:
    """The other end of a link that is being fuzzed."""

    def stream_opened(self, stream: ByteStream) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def stream_lost(self, why: Exception | None) -> None: ...


def mutated(rng: random.Random) -> bytes:
    """A stream that a broken peer might send: real ones, cut, repeated, with bits and stretches changed."""
    data = bytearray(b"".join(rng.choices(_SEEDS, k=rng.randrange(1, 5))))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[at:at] = rng.randbytes(rng.randrange(1, 40))
            case 1:
                del data[at : at + rng.randrange(1, 20)]
            case 2 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 3:
                data[at:at] = rng.choice((b"\xff", b"\r", b"\n", b",", b"\x00")) * rng.randrange(1, 300)
            case 4:
                data[at:at] = b"A" * rng.choice((1, 1000, 70_000))
            case _:
                data += data[:at]
    return bytes(data)


async def fuzz(seconds: float, seed: int) -> tuple[int, int]:
    """Feed everything that reads a peer's bytes for that long; how many streams, and by how many KiB memory grew.

    What is not a documented error comes out as it is, with the stream in its notes.
    """
    rng, streams = random.Random(seed), 0
    began, settled_kib = time.perf_counter(), 0
    while (passed_s := time.perf_counter() - began) < seconds:
        data = mutated(rng)
        try:
            await _feed(data, rng)
        except Exception as err:
            err.add_note(f"fuzzed with {data!r}")
            raise
        streams += 1
        if not settled_kib and passed_s > seconds / 4:
            settled_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return streams, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - settled_kib


async def _feed(data: bytes, rng: random.Random) -> None:
    heard: list[tuple[str, ...]] = []
    session = Session("fuzz", lambda fields, _: heard.append(fields), reply_timeout_s=0.5)
    ours, theirs = MemoryStream.pair(session, _Mute())
    asking = asyncio.ensure_future(session.call(rng.choice(("RM", "PR", "VI", "TR", "EXR"))))
    await asyncio.sleep(0)
    at = 0
    while at < len(data):
        step = rng.randrange(1, 2000)
        theirs.write(data[at : at + step])
        at += step
    await asyncio.sleep(0)
    await session.aclose()
    with contextlib.suppress(DriverError):
        await asking
    await theirs.wait_closed()
    assert ours is not theirs
    parser = ResultParser(("count", "rest", "judgement"))
    for fields in heard:
        parser.parse(fields, 0.0)
    text = data[:4000].decode("latin-1")
    for rule in ("cv-x", "xg-x"):
        NameRule.of(rule, "NORMAL").is_beside(text)
    with contextlib.suppress(Refused):
        parse(text, is_in_run_mode=True)
    reply_problem(data)
    for row in COMMANDS.values():
        with contextlib.suppress(ValueError):
            row.read(tuple(text.split(",")), ())


# cut uploads


def picture(form: str) -> bytes:
    """A part on a ground, as one file of the format."""
    rng = np.random.default_rng(1)
    shown = np.full((96, 128), 200, np.uint8)
    shown[20:80, 30:100] = rng.integers(40, 160, (60, 70), np.uint8)
    file = io.BytesIO()
    Image.fromarray(shown).save(file, form)
    return file.getvalue()


async def cut_uploads(cuts: int, stall_s: float, forms: Sequence[str] = FORMATS) -> tuple[int, int]:
    """Upload every format cut at that many places in every way; how many uploads, and how many passed for complete."""
    uploads = complete = 0
    with tempfile.TemporaryDirectory() as folder:
        inbox = FtpInbox(
            host="127.0.0.1", port=0, user="cvx", password=_PASSWORD, allowed_peers=(), passive_ports=(0, 0),
            spool=Path(folder), max_bytes=1_000_000, prove=prove_complete, min_free_bytes=0, stall_timeout_s=stall_s,
        )  # fmt: skip
        task = asyncio.create_task(inbox.run())
        try:
            while not inbox.is_bound:
                await asyncio.sleep(0.005)
            for form in forms:
                data = picture(form)
                for place in np.linspace(0, len(data) - 1, cuts).astype(int):
                    for how in HOWS:
                        await asyncio.to_thread(_upload, inbox.port, data, int(place), how)
                        capture: Capture = await asyncio.wait_for(inbox.next(), 10)
                        uploads += 1
                        complete += capture.broken is None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return uploads, complete


def _upload(port: int, data: bytes, place: int, how: str) -> None:
    """Send the first ``place`` bytes and go, in one of the ways of ``HOWS``."""
    client = ftplib.FTP(timeout=10)  # noqa: S321
    try:
        client.connect("127.0.0.1", port)
        client.login("cvx", _PASSWORD)
        wire = client.transfercmd("STOR 221020_103912_0000000031_CAM1_OK.bmp")
        wire.sendall(data[:place])
        if how == "rst":
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how in ("fin", "rst"):
            wire.close()
        elif how == "abor":
            client.putcmd("ABOR")
        elif how == "control":
            client.close()
        with contextlib.suppress(*ftplib.all_errors, AttributeError):  # there may be no connection left to answer on
            client.getresp()
        wire.close()
    finally:
        client.close()


def zero_filled(form: str) -> tuple[int, int]:
    """The last 1 to 99 % of a file are zeros, as after a loss of power; how many files, and how many passed.

    A BMP has no checksum: its inspector refuses more rows of zeros at the end than the good images have.
    """
    data, complete = picture(form), 0
    for percent in range(1, 100):
        zeros = len(data) * percent // 100
        filled = data[: len(data) - zeros] + bytes(zeros)
        with contextlib.suppress(ImageRefused):
            prove_complete(filled)
            complete += zero_tail_rows(filled) <= zero_tail_rows(data)
    return 99, complete


# times


async def trigger_times(times: int) -> Times:
    """From a trigger to the controller's echo, through link and simulated controller."""
    quick = ControllerTiming(exposure_s=0.0, processing_s=0.0)
    peer = SimulatedController(timing=quick)
    await peer.start()
    link = CvxLink(
        partial(open_tcp, "127.0.0.1", peer.port, timeout_s=1.0),
        "controller",
        result_items=("count", "judgement"),
        reply_timeout_s=1.0,
    )
    task = asyncio.create_task(link.run())
    seconds = []
    try:
        while not isinstance(await link.next(), ControllerUp):
            pass
        for _ in range(times):
            while not peer.is_ready:
                await asyncio.sleep(0.0005)
            began = time.perf_counter()
            await link.trigger(1)
            seconds.append(time.perf_counter() - began)
            await link.next()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()
    return Times.of(seconds)


async def output_times(times: int, *, is_plc: bool) -> Times:
    """From a verdict to PUBLISHED: written, echoed, read back."""
    peer = SimulatedPlc() if is_plc else SimulatedRemoteIo()
    await peer.start()
    output: DeviceOutput[object]
    kind: Callable[..., DeviceOutput[object]] = RegisterOutput if is_plc else CoilOutput
    output = kind("127.0.0.1", peer.port, pass_hold_s=1.0)
    task = asyncio.create_task(output.run(lambda: True))
    seconds = []
    try:
        while not output.is_confirmed:
            await asyncio.sleep(0.005)
        for number in range(1, times + 1):
            if isinstance(peer, SimulatedPlc):
                peer.part_arrives()
            await output.begin_part(number, monotonic_s())
            began = time.perf_counter()
            outcome = await output.publish(number, Verdict.PASS, Deadline.after(1.0))
            seconds.append(time.perf_counter() - began)
            assert outcome is Published.PUBLISHED, outcome
            await output.withdraw()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peer.stop()
    return Times.of(seconds)


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--fuzz-s", type=float, default=10.0)
    options.add_argument("--splits", type=int, default=100_000)
    options.add_argument("--cuts", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    configure_logs("error", "console")
    print(f"codec: {lines_per_second(2.0):,.0f} lines a second")  # noqa: T201
    try_splits(chosen.splits, chosen.seed)
    print(f"splits and merges: {chosen.splits:,} gave the same lines")  # noqa: T201
    streams, grew_kib = asyncio.run(fuzz(chosen.fuzz_s, chosen.seed))
    print(f"fuzzing: {streams:,} streams in {chosen.fuzz_s:g} s, memory grew by {grew_kib} KiB")  # noqa: T201
    uploads, complete = asyncio.run(cut_uploads(chosen.cuts, 0.2))
    print(f"cut uploads: {complete} of {uploads:,} passed for complete")  # noqa: T201
    print(f"trigger to echo: {asyncio.run(trigger_times(1000))}")  # noqa: T201
    for is_plc, name in ((False, "coils"), (True, "registers")):
        print(f"verdict to read back, {name}: {asyncio.run(output_times(1000, is_plc=is_plc))}")  # noqa: T201


if __name__ == "__main__":
    main()
