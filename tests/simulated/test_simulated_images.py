"""How images leave the simulated controller: over real FTP and into a folder, whole and broken."""

from __future__ import annotations

import asyncio
import io
import re
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from drivers.simulated.camera import encode_bmp, encode_image
from drivers.simulated.controller import ControllerTiming, FtpTarget, Part, SimulatedController
from drivers.simulated.faults import Fault, FaultPlan
from drivers.simulated.ftp_push import FolderDrop, FtpPusher, ImageFile, ImageOutlet, NotDelivered
from tests.simulated.simulated_wire import ftp_shelf, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

QUICK = ControllerTiming(
    exposure_s=0.005, processing_s=0.01, program_switch_s=0.01, ready_after_switch_s=0.0, late_s=0.1
)
IMAGE = encode_bmp(np.random.default_rng(0).integers(1, 256, (240, 320), dtype=np.uint8))
NAME = re.compile(r"\d{6}_\d{6}_\d{10}_CAM[1-4]_(OK|NG)\.(bmp|jpg|png)")


@asynccontextmanager
async def controller(**options: Any) -> AsyncIterator[SimulatedController]:
    made = SimulatedController(**{"timing": QUICK, **options})
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def image_one(peer: SimulatedController, **what: Any) -> None:
    await until(lambda: peer.is_ready)
    assert await peer.wire_trigger(IMAGE, **what) is not None


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("passive", [False, True])
async def test_images_arrive_by_name_and_folder_over_one_control_connection(tmp_path: Path, *, passive: bool) -> None:
    with ftp_shelf(tmp_path / "ftp", passive=passive) as shelf:
        async with controller(ftp=shelf.target, program=22) as peer:
            for judgement in ("OK", "NG", "OK"):
                await image_one(peer, judgement=judgement)
            await until(lambda: len(shelf.whole) == 3)
            session = peer.state.session
        names = shelf.names()

        assert [shelf.read(name) == IMAGE for name in names] == [True] * 3
        for count, (name, judgement) in enumerate(zip(names, ("OK", "NG", "OK"), strict=True), 1):
            assert name.startswith(f"cv-x/image/SD1_022/{session}/CAM1/")
            file = name.rsplit("/", 1)[1]
            assert NAME.fullmatch(file)
            assert file.endswith(f"_{count:010d}_CAM1_{judgement}.bmp")
        assert shelf.connections == 1
        assert ("EPSV" in shelf.commands or "PASV" in shelf.commands) is passive
        assert not {"RNFR", "RNTO", "DELE"} & set(shelf.commands)
        assert shelf.commands.count("MKD") == 5


async def test_a_program_change_moves_to_other_folders(tmp_path: Path) -> None:
    with ftp_shelf(tmp_path / "ftp") as shelf:
        async with controller(ftp=shelf.target) as peer:
            await image_one(peer)
            await until(lambda: len(shelf.whole) == 1)
            peer.state.card, peer.state.program = 2, 7
            peer.state.reset_counters(0.0)
            await image_one(peer)
            await until(lambda: len(shelf.whole) == 2)
        folders = {name.split("/")[2] for name in shelf.names()}

        assert folders == {"SD1_001", "SD2_007"}


async def test_each_camera_sends_its_own_file_in_any_format(tmp_path: Path) -> None:
    gray = np.full((64, 96), 80, np.uint8)
    part = Part(((1, encode_image(gray, "png")), (3, encode_image(gray, "png"))), extension="png")
    async with controller(image_to=tmp_path) as peer:
        peer.put(part)
        peer.trigger("TA")
        await until(lambda: len(peer.images_sent) == 2)

    assert [name.rsplit("_", 2)[1:] for name in peer.images_sent] == [["CAM1", "OK.png"], ["CAM3", "OK.png"]]


async def test_a_lumitrax_capture_is_several_files_of_one_count(tmp_path: Path) -> None:
    peer = SimulatedController(image_to=tmp_path, image_types=("NORMAL", "SHAPE1"), image_condition="ng")
    await peer.start()
    try:
        await peer.wire_trigger(b"good", judgement="OK")
        await until(lambda: peer.is_ready and peer.is_idle)
        await peer.wire_trigger(b"bad", judgement="NG")
        await until(lambda: len(peer.images_sent) == 2)
    finally:
        await peer.stop()
    names = sorted(name.split("_", 2)[2] for name in peer.images_sent)

    assert names == ["0000000002_CAM1_NORMAL_NG.bmp", "0000000002_CAM1_SHAPE1_NG.bmp"]


async def test_a_folder_receives_the_same_names(tmp_path: Path) -> None:
    async with controller(image_to=tmp_path) as peer:
        await image_one(peer)
        await until(lambda: peer.images_sent)
    found = files_below(tmp_path)

    assert [path.read_bytes() for path in found] == [IMAGE]
    assert found[0].name == peer.images_sent[0]
    assert found[0].parent.name == "CAM1"


# faults


async def test_a_truncated_image_is_left_behind_as_a_stump_and_the_next_one_arrives(tmp_path: Path) -> None:
    with ftp_shelf(tmp_path / "ftp") as shelf:
        async with controller(ftp=shelf.target, faults=FaultPlan.of({1: Fault.TRUNCATED_IMAGE})) as peer:
            await image_one(peer)
            await until(lambda: peer.images_lost)
            await image_one(peer)
            await until(lambda: peer.images_sent)
        sizes = [len(shelf.read(name)) for name in shelf.names()]

        assert sizes[1] == len(IMAGE)
        assert sizes[0] == int(0.4 * len(IMAGE))
        assert shelf.connections == 2


@pytest.mark.parametrize(
    ("fault", "size"),
    [
        (Fault.ZERO_FILLED_IMAGE, len(IMAGE)),
        (Fault.GARBAGE_IMAGE, len(IMAGE)),
        (Fault.EMPTY_IMAGE, 0),
        (Fault.WRONG_SIZE_IMAGE, 1078 + 320 * 120),
    ],
)
async def test_a_broken_image_arrives_as_its_fault_says(tmp_path: Path, fault: Fault, size: int) -> None:
    async with controller(image_to=tmp_path, faults=FaultPlan.of({1: fault})) as peer:
        await image_one(peer)
        await until(lambda: peer.images_sent)
    (data,) = [path.read_bytes() for path in files_below(tmp_path)]

    assert len(data) == size
    assert data != IMAGE
    if fault is Fault.ZERO_FILLED_IMAGE:
        assert data[: len(IMAGE) // 2] == IMAGE[: len(IMAGE) // 2]
        assert not any(data[len(IMAGE) // 2 :])
    if fault is Fault.WRONG_SIZE_IMAGE:
        with Image.open(io.BytesIO(data)) as read:
            assert read.size == (320, 120)
    if fault is Fault.GARBAGE_IMAGE:
        assert not data.startswith(b"BM")


async def test_lost_late_and_repeated_images(tmp_path: Path) -> None:
    plan = FaultPlan.of({1: Fault.LOST_IMAGE, 2: Fault.LATE_IMAGE, 4: Fault.REPEATED_IMAGE})
    async with controller(image_to=tmp_path, faults=plan) as peer:
        for _ in range(4):
            await image_one(peer)
        await until(lambda: len(peer.images_sent) == 4)
    counts = [int(name.split("_")[2]) for name in peer.images_sent]

    assert counts == [3, 4, 4, 2]


async def test_oe_0_and_a_reboot_drop_images_that_wait(tmp_path: Path) -> None:
    async with controller(image_to=tmp_path, faults=FaultPlan.of({1: Fault.LATE_IMAGE})) as peer:
        await image_one(peer)
        await until(lambda: peer.state.count == 1 and not peer._in_process)
        await peer.reboot()
        await image_one(peer)
        await asyncio.sleep(2 * QUICK.late_s)  # what was late would have come by now

        assert [int(name.split("_")[2]) for name in peer.images_sent] == [1]
        assert [shot.trigger_no for shot in peer.imaged] == [1, 2]


# the other side misbehaves


async def test_a_server_that_refuses_costs_the_image_and_not_the_connection(tmp_path: Path) -> None:
    with ftp_shelf(tmp_path / "ftp", refuses=True) as shelf:
        async with controller(ftp=shelf.target) as peer:
            await image_one(peer)
            await until(lambda: peer.images_lost)
            await image_one(peer)
            await until(lambda: len(peer.images_lost) == 2)

            assert all("refused: 550" in lost for lost in peer.images_lost)
            assert peer.images_sent == []
        assert shelf.connections == 1


async def test_a_server_that_went_away_is_connected_anew(tmp_path: Path) -> None:
    with ftp_shelf(tmp_path / "ftp") as shelf:
        port = shelf.target.port
        async with controller(ftp=shelf.target) as peer:
            await image_one(peer)
            await until(lambda: peer.images_sent)
            shelf.stop()
            with ftp_shelf(tmp_path / "ftp", port=port) as again:
                await image_one(peer)
                await until(lambda: len(peer.images_sent) == 2)
                await until(lambda: len(again.whole) == 1)


def test_three_tries_then_the_image_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    pusher = FtpPusher(FtpTarget("127.0.0.1", port, "cvx", "secret"), retry_wait_s=0.01)

    with pytest.raises(NotDelivered, match="did not reach the FTP server"):
        pusher.push(ImageFile(("a",), "x.bmp", b"x"))


async def test_a_mute_server_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = FtpTarget("127.0.0.1", mute.getsockname()[1], "cvx", "secret")
        async with controller(ftp=target) as peer:
            await image_one(peer)
            await until(lambda: not peer._in_process)
            await until(lambda: not peer.is_idle)
        assert peer.images_sent == []


async def test_a_full_queue_loses_the_newest_image(tmp_path: Path) -> None:
    outlet = ImageOutlet(FolderDrop(tmp_path), depth=2)
    for name in "abc":
        outlet.offer(ImageFile((), name, b""))

    assert outlet.lost == ["c: the queue of 2 is full"]


async def test_image_priority_keeps_ready_off_until_there_is_room() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = FtpTarget("127.0.0.1", mute.getsockname()[1], "cvx", "secret")
        async with controller(ftp=target, image_priority="image", image_queue=1) as peer:
            for _ in range(2):
                await image_one(peer)
                await until(lambda: not peer._in_process)
            assert await peer.wire_trigger(IMAGE) == 3
            await asyncio.sleep(4 * QUICK.exposure_s)

            assert not peer.is_ready
            assert peer.images_lost == []
