"""Named samples on the running line, where things go wrong: what is no proof is never taken for one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from drivers.simulated.faults import Fault
from edge_agent.desk.client import DeskClient, desk_path
from edge_agent.domain import Reason
from edge_agent.settings import load_settings
from edge_agent.store.challenges import all_challenges
from edge_agent.tools.challenge_line import LineChallenge, chosen_samples
from tests.simulated.line import PROGRAM, bad_image, edge_agent, good_image, line
from tests.simulated.test_lock_out import LOCK, challenged, put_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from edge_agent.store.challenges import Challenged
    from tests.simulated.line import Line

NO_LOCK = LOCK.replace("lock_out = true", "lock_out = false").replace("every_parts = 4", "every_parts = 1000")


@pytest.fixture
async def at(tmp_path: Path, thumbnail_bundle: Path) -> AsyncIterator[Line]:
    """A line with two samples, R1 and G1, that is not locked."""
    async with line(tmp_path, thumbnail_bundle, start=False) as found:
        found.config.write_text(found.config.read_text() + NO_LOCK)
        await found.start_agent()
        await found.until_ready()
        yield found
        # A test that failed has a challenge waiting for its next part.
        for left in psutil.Process().children():
            if "challenge" in left.cmdline():
                left.kill()


async def begun(at: Line, *more: str) -> asyncio.subprocess.Process:
    """A challenge that has asked for its first sample."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", "challenge", "--samples", "all", "--config", str(at.config), *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await asked(running)
    return running


async def asked(running: asyncio.subprocess.Process) -> bytes:
    assert running.stderr is not None
    while b": put " not in (line := await running.stderr.readline()):
        assert line, "it ended without asking for a part"
    return line


def kept(at: Line) -> list[Challenged]:
    return all_challenges(at.folder / "journal.sqlite3")[0]


async def ended(running: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(60):
        _, err = await running.communicate()
    assert running.returncode is not None
    return running.returncode, err.decode()


async def test_what_is_wrong_with_what_was_typed_is_said_before_anything_is_asked_for(at: Line) -> None:
    config = ("--config", str(at.config))
    for arguments, code, says in (
        (("--samples", "R7"), 64, "no sample 'R7' is registered"),
        (("--samples", "R1,R1"), 64, "sample R1 is named twice"),
        (("--samples", "R1", "--parts", "1"), 64, "a folder of samples, --parts or --samples: one of them"),
        (("--parts", "3"), 64, "2 samples are registered, 3 are asked for"),
    ):
        ran = await asyncio.to_thread(edge_agent, "challenge", *arguments, *config)
        assert (ran.returncode, says in ran.stderr) == (code, True), ran.stderr
    assert kept(at) == []


async def test_too_few_samples_are_no_challenge_unless_one_was_wrong(at: Line) -> None:
    """R1 comes as a good part, which is wrong for certain; nothing more comes."""
    running = await begun(at, "--within-s", "6")
    await put_in(at, bad_image(1))
    code, err = await ended(running)
    assert code == 69
    assert "1 of 2 samples came in time" in err
    assert kept(at) == []

    running = await begun(at, "--within-s", "6")
    await put_in(at, good_image(1))
    code, _ = await ended(running)
    assert code == 1
    (found,) = kept(at)
    assert (found.is_passed, [one.is_right for one in found.samples]) == (False, [False])


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
async def test_one_that_is_broken_off_behind_a_wrong_sample_is_recorded(at: Line, sent: signal.Signals) -> None:
    running = await begun(at)
    await put_in(at, good_image(1))
    await asked(running)  # R1 was judged, G1 is asked for
    running.send_signal(sent)

    code, err = await ended(running)

    assert code == 1, err
    assert [found.is_passed for found in kept(at)] == [False]


async def test_a_restart_in_the_middle_ends_it(at: Line) -> None:
    running = await begun(at)
    await put_in(at, bad_image(1))
    await asked(running)
    assert await at.stop_agent() == 0
    await at.start_agent()

    code, err = await ended(running)

    assert code == 69
    assert "the agent was started anew in the middle" in err
    assert kept(at) == []


async def test_a_sample_without_an_image_proves_nothing(at: Line) -> None:
    running = await begun(at, "--json")
    count = len(at.rows()) + 1
    at.controller.faults.add(at.controller.triggers + 1, Fault.LOST_IMAGE)
    await at.controller.wire_trigger(bad_image(1))
    row = (await at.until_rows(count))[-1]
    await asked(running)
    await put_in(at, good_image(1))
    out, _ = await running.communicate()

    said = json.loads(out)
    assert row.reason is Reason.NO_IMAGE
    assert (running.returncode, said["ok"], said["shown"][0]["ok"]) == (1, False, False)


async def test_a_part_that_was_under_way_before_is_no_sample(at: Line) -> None:
    """A defective part of the production waits for its result as the challenge begins: it is not R1, nor R1 then G1."""
    settings, number, asked_for = load_settings(at.config), len(at.rows()) + 1, asyncio.Event()
    at.controller.timing = replace(at.controller.timing, late_s=0.7)
    at.controller.faults.add(at.controller.triggers + 1, Fault.LATE_RESULT)
    await at.controller.wire_trigger(bad_image(2))
    async with DeskClient.open(desk_path(at.folder / "journal.sqlite3")) as desk:
        assert desk is not None
        while (await desk.status())["state"] != "BUSY":
            assert len(at.rows()) < number

    shown = LineChallenge(settings, "Ada", chosen_samples(settings, "all", None), lambda _: asked_for.set())
    running = asyncio.create_task(shown.run(30.0))
    await asked_for.wait()
    assert len(at.rows()) < number, "it is still under way"
    assert (await at.until_rows(number))[-1].reason is Reason.SCORE
    samples = [(await put_in(at, image))[0].part_seq for image in (bad_image(1), good_image(1))]
    await running

    assert [sample.part_seq for sample in shown.samples] == samples
    assert shown.result().is_passed


async def test_one_at_a_time_and_not_under_a_bypass(at: Line) -> None:
    running = await begun(at)
    second = await asyncio.to_thread(edge_agent, "challenge", "--samples", "all", "--config", str(at.config))
    running.send_signal(signal.SIGINT)
    first, _ = await ended(running)
    async with DeskClient.open(desk_path(at.folder / "journal.sqlite3")) as desk:
        assert desk is not None
        await desk.bypass("begin", "A. Rossi", "lamp replaced", 60.0)
    third = await asyncio.to_thread(edge_agent, "challenge", "--samples", "all", "--config", str(at.config))

    assert second.returncode == 75
    assert "another study goes on over this line, or a challenge" in second.stderr
    assert first != 0
    assert third.returncode == 69
    assert "a person answers for the parts at the moment" in third.stderr
    assert kept(at) == []


async def test_samples_of_another_program_are_refused(at: Line) -> None:
    text = at.config.read_text()
    bundle = text[text.index("[[bundle]]") : text.index("[store]")]
    two = text.replace(bundle, bundle + bundle.replace("program = 1", "program = 2"))
    at.config.write_text(two.replace(f'kind = "good"\nprogram = {PROGRAM}', 'kind = "good"\nprogram = 2'))

    ran = await asyncio.to_thread(edge_agent, "challenge", "--samples", "G1", "--config", str(at.config))

    assert ran.returncode == 64
    assert "sample G1 is of program 2, the controller runs 1" in ran.stderr


@pytest.mark.timeout(300)
async def test_a_swapped_sample_is_told_and_keeps_the_challenge_from_being_passed(at: Line) -> None:
    """Both samples are reject samples of their own score; the sixth time the other one comes for the first."""
    at.config.write_text(at.config.read_text().replace('name = "G1"\nkind = "good"', 'name = "R2"\nkind = "reject"'))
    one, two = await scores(at)
    found: tuple[int, dict[str, Any], list[bool]] = (0, {}, [])
    for _ in range(5):
        found = await challenged(at, [one, two])
        assert found[0] == 0, found

    code, said, _ = await challenged(at, [two, one])
    history = await asyncio.to_thread(edge_agent, "challenge", "history", "--config", str(at.config))

    assert code == 1
    assert [sample["ok"] for sample in said["shown"]] == [True, True]
    assert "it scores as R2 does, and may have been swapped with it" in said["odd"][0]
    assert "it scores as R1 does, and may have been swapped with it" in said["odd"][1]
    assert history.returncode == 1
    assert "reject sample R1, program 1 (dark residue): usual is " in history.stdout


@pytest.mark.timeout(300)
async def test_one_that_is_broken_off_behind_a_doubtful_reject_sample_is_recorded(at: Line) -> None:
    """Else whoever shows the wrong sample ends it with Ctrl+C, and nobody ever hears of it."""
    at.config.write_text(at.config.read_text().replace('shows = "dark residue"', "score = [900.0, 901.0]", 1))
    running = await begun(at)
    await put_in(at, bad_image(1))
    await asked(running)  # R1 was rejected, with a score that line.toml does not expect; G1 is asked for
    running.send_signal(signal.SIGINT)

    code, err = await ended(running)

    assert code == 1, err
    (found,) = kept(at)
    assert (found.is_passed, [one.odd for one in found.samples]) == (False, ["band"])


async def scores(at: Line) -> tuple[bytes, bytes]:
    """Two images of bad parts whose scores lie well apart."""
    images = [bad_image(number) for number in range(1, 5)]
    rows = [(await put_in(at, image))[0] for image in images]
    ordered = sorted(zip(rows, images, strict=True), key=lambda pair: pair[0].score or 0.0)
    assert (ordered[-1][0].score or 0) > 1.1 * (ordered[0][0].score or 0)
    return ordered[0][1], ordered[-1][1]
