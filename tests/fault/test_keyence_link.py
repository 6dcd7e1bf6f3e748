"""The controller link against a controller that misbehaves: what is late, stale or strange is never believed."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from drivers.base import (
    CommandRefused,
    ControllerClock,
    ControllerDown,
    ControllerEvent,
    ControllerResult,
    ControllerStatus,
    ControllerUp,
    DeadlineMissed,
    Judgement,
    NotConnected,
    NotNow,
    ProtocolViolation,
)
from drivers.keyence.link import CvxLink
from drivers.timing import Deadline, shown_time
from drivers.transport import open_tcp
from tests.fault.keyence_peer import ScriptedController, soon, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def link_to(peer: ScriptedController, **changes: Any) -> CvxLink:
    options: dict[str, Any] = {
        "result_items": ("count", "judgement"),
        "reply_timeout_s": 0.2,
        "poll_s": 0.05,
    }
    dial = partial(open_tcp, "127.0.0.1", peer.port, timeout_s=1.0)
    return CvxLink(dial, f"controller 127.0.0.1:{peer.port}", **options | changes)


@asynccontextmanager
async def running(link: CvxLink) -> AsyncIterator[CvxLink]:
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_of(link: CvxLink, *kinds: type) -> ControllerEvent:
    """The next event of one of the kinds."""
    while True:
        event = await soon(link.next())
        if isinstance(event, kinds):
            return event


async def test_up_comes_after_pending_output_was_cleared_and_outputs_and_triggers_were_opened() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        up = await soon(link.next())

        assert isinstance(up, ControllerUp)
        assert (up.program, up.version) == (22, "CV-X482D 6.0.0000")
        assert peer.commands[:6] == ["RM", "OE,0", "OE,1", "TE,1", "PR", "VI"]


async def test_a_controller_in_setup_mode_is_sent_to_run_mode_and_waited_for() -> None:
    async with ScriptedController() as peer:
        peer.mode, peer.r0_polls = 0, 3
        async with running(link_to(peer)) as link:
            assert isinstance(await soon(link.next()), ControllerUp)

    assert peer.commands[:7] == ["RM", "R0", "RM", "RM", "RM", "RM", "OE,0"]


async def test_a_refused_version_does_not_keep_the_link_down() -> None:
    async with ScriptedController() as peer:
        peer.answers["VI"] = b"ER,VI,02\r"
        async with running(link_to(peer)) as link:
            up = await next_of(link, ControllerUp)

            assert isinstance(up, ControllerUp)
            assert up.version == "unknown"


@pytest.mark.parametrize(
    ("reply", "clock"),
    [
        (b"TR,26,11,24,06,30,05\r", "261124_063005"),
        (b"TR,2026,11,24,06,30,05\r", "261124_063005"),
        (b"TR,26,11,24,06,30\r", ""),
        (b"TR,26,13,24,06,30,05\r", ""),
        (b"TR,a,b,c,d,e,f\r", ""),
        (b"ER,TR,02\r", ""),
    ],
)
async def test_the_controllers_clock_is_read_as_its_image_names_write_it(reply: bytes, clock: str) -> None:
    async with ScriptedController() as peer:
        peer.answers["TR"] = reply
        async with running(link_to(peer)) as link:
            up = await next_of(link, ControllerUp)

            assert isinstance(up, ControllerUp)
            assert shown_time(up.clock) == clock


async def test_a_clock_that_was_set_back_is_a_gap_and_the_link_begins_anew_with_it() -> None:
    async with ScriptedController() as peer:
        peer.answers["TR"] = b"TR,26,11,24,06,30,05\r"
        async with running(link_to(peer, poll_s=0.02)) as link:
            await next_of(link, ControllerUp)
            peer.answers["TR"] = b"TR,00,01,01,00,00,00\r"
            down = await next_of(link, ControllerDown)
            up = await next_of(link, ControllerUp)

            assert isinstance(down, ControllerDown)
            assert isinstance(up, ControllerUp)
            assert "clock" in down.why
            assert shown_time(up.clock) == "000101_000000"


async def test_a_controller_that_cannot_block_triggers_is_taken_and_one_that_refuses_to_allow_them_is_not() -> None:
    async with ScriptedController() as peer:
        peer.answers["TE"] = b"ER,TE,02\r"
        async with running(link_to(peer)) as link:
            assert isinstance(await next_of(link, ControllerUp), ControllerUp)
    async with ScriptedController() as peer:
        peer.answers["TE"] = b"ER,TE,03\r"
        async with running(link_to(peer)) as link:
            assert isinstance(await soon(link.next()), ControllerDown)


async def test_a_result_is_parsed_and_stamped_when_seen() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        up = await next_of(link, ControllerUp)
        peer.say(b"0000000031,1\r")
        result = await soon(link.next())

        assert isinstance(result, ControllerResult)
        assert (result.count, result.judgement) == (31, Judgement.NG)
        assert isinstance(up, ControllerUp)
        assert result.received_mono_s >= up.at_mono_s


@pytest.mark.parametrize("reply", [b"T1\r0000000031,0\r", b"0000000031,0\rT1\r", b"T1\r\n0000000031,0\r\n"])
async def test_result_and_reply_in_one_read_are_told_apart(reply: bytes) -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.answers["T1"] = reply
        await link.trigger(1, Deadline.after(1))
        result = await soon(link.next())

        assert isinstance(result, ControllerResult)
        assert result.count == 31


async def test_what_came_before_the_end_of_the_resynchronisation_is_no_result() -> None:
    async with ScriptedController() as peer:
        peer.greeting = b"0000000001,0\r"
        peer.answers["OE,0"] = b"0000000002,0\rOE\r0000000003,0\r"
        peer.answers["OE,1"] = b"OE\r0000000004,0\r"
        peer.answers["VI"] = b"0000000005,0\rVI,CV-X\r0000000006,0\r"
        async with running(link_to(peer)) as link:
            await next_of(link, ControllerUp)
            peer.say(b"0000000007,0\r")
            seen = [await soon(link.next())]
            while not (isinstance(seen[-1], ControllerResult) and seen[-1].count == 7):
                seen.append(await soon(link.next()))

    # 6 came with the last reply of the resynchronisation: it may be seen by a link that is just up, nothing older.
    assert [event.count for event in seen if isinstance(event, ControllerResult)] in ([7], [6, 7])


@pytest.mark.parametrize(
    "line", [b"0000000031\r", b"0000000031,0,5\r", b"0000000031,7\r", b"garbage\r", b"\xff\xfe\r", b"ER,T1,03\r"]
)
async def test_a_line_that_nobody_knows_surfaces_with_its_raw_fields(line: bytes) -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=10.0)) as link:
        await next_of(link, ControllerUp)
        peer.say(line)
        result = await soon(link.next())

        assert isinstance(result, ControllerResult)
        assert (result.count, result.program, result.judgement) == (None, None, None)
        assert result.fields == tuple(line[:-1].decode("ascii", "backslashreplace").split(","))


async def test_a_refused_trigger_says_so_and_keeps_the_connection() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.answers["TA"] = b"ER,TA,03\r"
        with pytest.raises(CommandRefused, match="TA refused with 03: it cannot be executed now"):
            await link.trigger(None, Deadline.after(1))
        del peer.answers["TA"]
        await link.trigger(None, Deadline.after(1))

        assert len(peer.connections) == 1


async def test_a_late_reply_is_never_taken_for_the_next_commands() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=10.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["EXR"] = None
        with pytest.raises(DeadlineMissed, match="no reply to EXR"):
            await link.command("EXR", by=Deadline.after(0.05))
        late = peer.connections[-1]
        late.write(b"EXR,5\r")
        await next_of(link, ControllerDown)
        peer.answers["EXR"] = b"EXR,7\r"
        await next_of(link, ControllerUp)

        assert await link.command("EXR", by=Deadline.after(1)) == ("7",)
        assert len(peer.connections) == 2


async def test_a_wait_that_is_cancelled_ends_the_connection() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=10.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["T2"] = None
        waiting = asyncio.create_task(link.trigger(2, Deadline.after(5)))
        await until(lambda: peer.count("T2") == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert isinstance(await soon(link.next()), ControllerDown)


async def test_commands_wait_for_each_other_and_keep_their_replies() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        by = Deadline.after(2)
        peer.answers |= {"EXR": b"EXR,5\r", "TZR": b"TZR,9\r"}
        replies = await asyncio.gather(*(link.command(name, by=by) for name in ("EXR", "TZR") * 20))

        assert replies == [("5",), ("9",)] * 20


async def test_a_command_that_found_no_turn_in_time_was_not_sent_and_harms_nobody() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=10.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["SS"] = None
        slow = asyncio.create_task(link.command("SS", by=Deadline.after(3)))
        await until(lambda: peer.count("SS") == 1)
        with pytest.raises(DeadlineMissed, match="not sent"):
            await link.trigger(1, Deadline.after(0.05))
        peer.say(b"SS\r")

        assert await slow == ()
        assert peer.count("T1") == 0


async def test_a_long_command_is_not_cut_by_the_polls() -> None:
    async with ScriptedController() as peer, running(link_to(peer, reply_timeout_s=0.1, poll_s=0.02)) as link:
        await next_of(link, ControllerUp)
        peer.answers["PW"] = None
        slow = asyncio.create_task(link.command("PW", "1", "003", by=Deadline.after(3)))
        await until(lambda: peer.count("PW,1,003") == 1)
        done, _ = await asyncio.wait([slow], timeout=0.4)
        assert not done
        peer.program = b"1,003"
        peer.say(b"PW\r")
        assert await slow == ()

        event = await next_of(link, ControllerUp)
        assert isinstance(event, ControllerUp)
        assert event.program == 3


async def test_what_comes_while_a_program_is_switched_by_hand_is_no_result() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.answers["PW"] = b"0000000007,0\rPW\r0000000008,0\r"
        await link.call("PW", 1, 3)
        peer.say(b"0000000009,0\r")
        events = [await soon(link.next()) for _ in range(3)]

    assert [type(event) for event in events] == [ControllerDown, ControllerUp, ControllerResult]
    assert isinstance(events[2], ControllerResult)
    assert events[2].count == 9


async def test_a_refused_switch_by_hand_is_said_and_the_link_comes_up_again() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.answers["PW"] = b"ER,PW,03\r"
        with pytest.raises(NotNow):
            await link.call("PW", 1, 3)

        assert [type(await soon(link.next())) for _ in range(2)] == [ControllerDown, ControllerUp]


@pytest.mark.parametrize("reply", [b"RM\r", b"RM,2\r", b"RM,0,1\r", b"ER,PR,03\r", b"\r", b"x" * 70_000])
async def test_an_answer_that_cannot_be_ends_the_connection(reply: bytes) -> None:
    async with ScriptedController() as peer:
        peer.answers["RM"] = reply
        async with running(link_to(peer)) as link:
            down = await next_of(link, ControllerDown)
            del peer.answers["RM"]
            await next_of(link, ControllerUp)

    assert isinstance(down, ControllerDown)
    assert down.why


async def test_a_mute_controller_is_down_and_is_up_again_once_it_answers() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.answers |= {"RM": None, "PR": None}
        down = await soon(link.next())
        assert isinstance(down, ControllerDown)
        assert "no reply" in down.why
        peer.answers.clear()

        assert isinstance(await soon(link.next()), ControllerUp)


@pytest.mark.parametrize("how", ["reset", "finish"])
async def test_a_lost_connection_is_noticed_without_a_poll(how: str) -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        getattr(peer, how)()

        assert isinstance(await soon(link.next()), ControllerDown)
        assert isinstance(await soon(link.next()), ControllerUp)


async def test_beginning_anew_clears_what_the_controller_still_has_to_say() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["OE,0"] = b"0000000041,0\rOE\r"
        link.begin_anew("a trigger without an answer")
        down, up = await soon(link.next()), await soon(link.next())
        link_is_up_again = link.status().is_up

        assert isinstance(down, ControllerDown)
        assert "a trigger without an answer" in down.why
        assert isinstance(up, ControllerUp), "and the old result is no event"
        assert link_is_up_again


async def test_a_link_that_is_down_has_nothing_to_begin_anew() -> None:
    async with ScriptedController() as peer:
        link = link_to(peer)
        link.begin_anew("not connected yet")

        assert not link.status().is_up
        assert peer.commands == []


async def test_a_command_in_flight_hears_of_the_lost_connection_at_once() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["T1"] = None
        trigger = asyncio.create_task(link.trigger(1, Deadline.after(60)))
        await until(lambda: peer.count("T1") == 1)
        peer.reset()
        with pytest.raises(NotConnected):
            await soon(trigger)


async def test_an_outage_is_one_event_and_a_few_lines_of_log() -> None:
    async with ScriptedController() as peer:
        with capture_logs() as logs:
            async with running(link_to(peer)) as link:
                await next_of(link, ControllerUp)
                await peer.aclose()
                down = await soon(link.next())
                await until(lambda: sum(entry["event"] == "link_retry" for entry in logs) >= 3, "three attempts")
                await peer.listen()
                up = await soon(link.next())

    assert isinstance(down, ControllerDown)
    assert isinstance(up, ControllerUp)
    loud = [entry["event"] for entry in logs if entry["log_level"] != "debug"]
    assert loud == ["link_up", "link_lost", "link_up", "link_closed"]
    assert [entry for entry in logs if entry["event"] == "link_up"][1]["outage_s"] > 0


async def test_a_controller_that_was_never_there_is_said_once() -> None:
    async with ScriptedController() as peer:
        pass
    async with running(link_to(peer)) as link:
        down = await soon(link.next())

        assert isinstance(down, ControllerDown)
        assert "cannot be reached" in down.why
        with pytest.raises(NotConnected, match="cannot be reached"):
            await link.trigger(1, Deadline.after(1))


async def test_setup_mode_is_down_and_nobody_is_pushed_out_of_it() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.commands.clear()
        peer.mode = 0
        peer.answers["PR"] = b"ER,PR,03\r"
        down = await soon(link.next())
        assert isinstance(down, ControllerDown)
        assert down.why == "setup mode"
        with pytest.raises(NotConnected, match="setup mode"):
            await link.trigger(1, Deadline.after(1))
        peer.say(b"0000000031,0\r")
        polled = peer.count("RM")
        await until(lambda: peer.count("RM") >= polled + 3)
        assert "R0" not in peer.commands
        del peer.answers["PR"]
        peer.mode = 1

        assert isinstance(await soon(link.next()), ControllerUp)
        assert peer.commands.count("OE,0") == 1


async def test_a_link_lost_in_setup_mode_says_so_too() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.mode = 0
        assert isinstance(await soon(link.next()), ControllerDown)
        await peer.aclose()
        down = await soon(link.next())

        assert isinstance(down, ControllerDown)
        assert down.why != "setup mode"


async def test_a_program_change_is_noticed() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.program = b"2,022"
        status = await soon(link.next())

        assert isinstance(status, ControllerStatus)
        assert status.program == 1022


async def test_a_controller_that_does_not_tell_its_program_goes_down() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.answers["PR"] = b"ER,PR,03\r"
        down = await soon(link.next())

        assert isinstance(down, ControllerDown)
        assert "does not tell its program" in down.why


async def test_results_that_nobody_takes_end_the_connection_and_grow_no_memory() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        peer.say(b"0000000031,0\r" * 5000)
        await until(lambda: peer.connections[-1].is_closing() or len(peer.connections) > 1)
        assert len(link._status.events) <= 1024
        down = await next_of(link, ControllerDown)

        assert isinstance(down, ControllerDown)
        assert "not taken" in down.why


async def test_a_flood_of_unreadable_lines_is_logged_a_handful_of_times() -> None:
    async with ScriptedController() as peer:
        with capture_logs() as logs:
            async with running(link_to(peer, poll_s=60.0)) as link:
                await next_of(link, ControllerUp)
                peer.say(b"\x1b[31mnonsense\r" * 1000)
                for _ in range(1000):
                    await soon(link.next())

    said = [entry for entry in logs if entry["event"] == "result_unreadable"]
    assert len(said) == 10
    assert all(str(entry["line"]).isprintable() for entry in said)


async def test_bytes_without_a_delimiter_end_the_connection() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        peer.say(b"x" * 200_000)
        down = await next_of(link, ControllerDown)

        assert isinstance(down, ControllerDown)
        assert "delimiter" in down.why


async def test_a_command_of_the_agent_may_not_smuggle_another() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        with pytest.raises(ValueError, match="printable ASCII"):
            await link.command("EC", "a\rT1", by=Deadline.after(1))
        with pytest.raises(ValueError, match="1 to 4"):
            await link.trigger(5, Deadline.after(1))

        assert peer.count("T1") == 0


async def test_an_error_for_another_command_ends_the_connection() -> None:
    async with ScriptedController() as peer, running(link_to(peer, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["T1"] = b"ER,OE,03\r"
        with pytest.raises(ProtocolViolation, match="while T1 was in flight"):
            await link.trigger(1, Deadline.after(1))

        assert isinstance(await soon(link.next()), ControllerDown)


async def test_cancelling_run_closes_the_connection_and_says_down() -> None:
    async with ScriptedController() as peer:
        link = link_to(peer)
        async with running(link):
            await next_of(link, ControllerUp)
        assert isinstance(await soon(link.next()), ControllerDown)
        await until(peer.connections[-1].is_closing)
        with pytest.raises(NotConnected):
            await link.command("RM", by=Deadline.after(1))


async def test_a_result_that_waited_while_the_process_stood_still_is_stale() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        peer.say(b"0000000007,1\r")
        time.sleep(1.2)  # noqa: ASYNC251 - the loop stands still, as after SIGSTOP or on a paused machine

        down = await next_of(link, ControllerDown, ControllerResult)
        assert isinstance(down, ControllerDown)
        assert "stood still" in down.why
        up = await next_of(link, ControllerUp, ControllerResult)
        assert isinstance(up, ControllerUp)
        peer.say(b"0000000008,1\r")
        result = await next_of(link, ControllerResult)

    assert isinstance(result, ControllerResult)
    assert result.count == 8


async def test_a_quiet_line_does_not_look_like_a_standstill() -> None:
    async with ScriptedController() as peer, running(link_to(peer)) as link:
        await next_of(link, ControllerUp)
        await asyncio.sleep(1.3)
        peer.say(b"0000000007,1\r")

        assert isinstance(await next_of(link, ControllerResult, ControllerDown), ControllerResult)


async def test_the_clock_is_told_in_the_order_in_which_it_came_and_once_until_somebody_takes_it() -> None:
    async with ScriptedController() as peer:
        peer.answers["TR"] = b"TR,26,12,01,12,00,00\r"
        async with running(link_to(peer)) as link:
            up = await next_of(link, ControllerUp)
            assert isinstance(up, ControllerUp)
            asked = peer.commands.count("TR")
            await until(lambda: peer.commands.count("TR") >= asked + 3, "three readings of the clock")
            peer.say(b"0000000007,1\r")
            events = [await soon(link.next()) for _ in range(3)]

        assert shown_time(up.clock) == "261201_120000"
        assert [type(event) for event in events] == [ControllerClock, ControllerResult, ControllerClock]


async def test_the_clock_is_asked_for_right_after_a_result_and_the_answer_says_that_it_follows_it() -> None:
    """A part waits for that proof: it must not wait for the next poll, which here never comes."""
    async with ScriptedController() as peer:
        peer.answers["TR"] = b"TR,26,12,01,12,00,00\r"
        async with running(link_to(peer, poll_s=60.0)) as link:
            await next_of(link, ControllerUp)
            peer.say(b"0000000007,1\r")
            events = [await soon(link.next()) for _ in range(2)]

        assert [type(event) for event in events] == [ControllerResult, ControllerClock]
        assert isinstance(events[1], ControllerClock)
        assert events[1].follows_results


async def test_an_answer_that_a_result_overtook_proves_nothing_and_the_clock_is_asked_for_again() -> None:
    async with ScriptedController() as peer:
        peer.answers["TR"] = b"TR,26,12,01,12,00,00\r"
        async with running(link_to(peer, poll_s=60.0)) as link:
            await next_of(link, ControllerUp)
            peer.answers["TR"] = b"0000000008,1\rTR,26,12,01,12,00,00\r"
            peer.say(b"0000000007,1\r")
            assert isinstance(await soon(link.next()), ControllerResult)
            await until(lambda: peer.commands.count("TR") >= 2, "the question behind the first result")
            peer.answers["TR"] = b"TR,26,12,01,12,00,00\r"
            events = [await soon(link.next()) for _ in range(2)]
            while not (isinstance(events[-1], ControllerClock) and events[-1].follows_results):
                events.append(await soon(link.next()))

        assert isinstance(events[0], ControllerResult)
        assert isinstance(events[1], ControllerClock)
        assert not events[1].follows_results


async def test_a_controller_that_does_not_tell_its_clock_is_not_asked_behind_each_result() -> None:
    async with ScriptedController() as peer:
        peer.answers["TR"] = b"ER,TR,02\r"
        async with running(link_to(peer, poll_s=60.0)) as link:
            await next_of(link, ControllerUp)
            asked = peer.commands.count("TR")
            for count in (b"7", b"8", b"9"):
                peer.say(count + b",1\r")
                await next_of(link, ControllerResult)

        assert peer.commands.count("TR") == asked


async def test_a_controllers_clock_that_went_on_by_much_more_than_ours_is_a_gap() -> None:
    """So it looks from within a virtual machine that was paused: no clock of its own went on."""
    async with ScriptedController() as peer:
        peer.answers["TR"] = b"TR,26,12,01,12,00,00\r"
        async with running(link_to(peer, poll_s=60.0)) as link:
            await next_of(link, ControllerUp)
            peer.answers["TR"] = b"TR,26,12,01,12,00,20\r"
            peer.say(b"0000000007,1\r")
            events = [await soon(link.next()) for _ in range(2)]

        assert isinstance(events[0], ControllerResult)
        assert isinstance(events[1], ControllerDown)
        assert "stood still" in events[1].why
