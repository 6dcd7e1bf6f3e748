"""A result that was held up on its way is stamped with what is known of when it was sent, not with when it came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from drivers.base import ControllerDown, ControllerResult, ControllerUp
from drivers.keyence import session
from drivers.timing import monotonic_s, shown_time
from tests.fault.keyence_peer import ScriptedController, soon, until
from tests.fault.test_keyence_link import link_to, next_of, running
from tests.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from drivers.keyence.link import CvxLink

RESULT = b"0000000031,0\r"
_ON_ITS_WAY_S = 1.0
"""A command may have been sent so long before the controller saw it, on a machine that is busy with other things."""
REPLIES = {"RM": b"RM,1\r", "PR": b"PR,1,022\r", "TR": b"TR,26,11,24,06,30,05\r"}


class HeldUpController(ScriptedController):
    """``hold`` keeps what it says; ``let_go`` sends it, in one piece. Or every reply takes ``reply_s``."""

    def __init__(self, reply_s: float = 0.0) -> None:
        super().__init__()
        self.reply_s = reply_s
        self.asked_mono_s: list[float] = []

    def take(self, line: str, transport: asyncio.Transport) -> None:
        self.asked_mono_s.append(monotonic_s())
        if self.reply_s:
            asyncio.get_running_loop().call_later(self.reply_s, super().take, line, transport)
        else:
            super().take(line, transport)

    async def hold(self) -> tuple[str, float]:
        """From now on nothing is answered; the command that is held up, and when it came."""
        self.answers |= dict.fromkeys(REPLIES)
        asked = len(self.commands)
        await until(lambda: len(self.commands) > asked)
        return self.commands[-1], self.asked_mono_s[-1]

    def let_go(self, *lines: bytes) -> None:
        for name in REPLIES:
            del self.answers[name]
        self.say(b"".join(lines))


def held_up(peer: ScriptedController) -> CvxLink:
    return link_to(peer, reply_timeout_s=2.0, poll_s=0.05)


async def result_of(link: CvxLink) -> ControllerResult:
    result = await next_of(link, ControllerResult, ControllerDown)
    assert isinstance(result, ControllerResult)
    return result


@pytest.mark.parametrize("order", ["before the reply", "behind the reply", "behind the reply, in a read of its own"])
async def test_a_result_that_comes_with_an_overdue_reply_may_be_as_old_as_its_command(order: str) -> None:
    async with HeldUpController() as peer, running(held_up(peer)) as link:
        await next_of(link, ControllerUp)
        name, asked_mono_s = await peer.hold()
        await asyncio.sleep(0.3)
        if order == "before the reply":
            peer.let_go(RESULT, REPLIES[name])
        elif order == "behind the reply":
            peer.let_go(REPLIES[name], RESULT)
        else:
            peer.let_go(REPLIES[name])
            await asyncio.sleep(0.02)
            peer.say(RESULT)
        result = await result_of(link)

    assert asked_mono_s - _ON_ITS_WAY_S <= result.received_mono_s <= asked_mono_s


async def test_a_result_that_comes_alone_while_a_reply_is_overdue_may_be_as_old_as_its_command() -> None:
    async with HeldUpController() as peer, running(held_up(peer)) as link:
        await next_of(link, ControllerUp)
        _, asked_mono_s = await peer.hold()
        await asyncio.sleep(0.3)
        peer.say(RESULT)
        result = await result_of(link)

    assert asked_mono_s - _ON_ITS_WAY_S <= result.received_mono_s <= asked_mono_s


async def test_a_result_is_of_now_while_replies_come_at_once_and_again_after_a_hold_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "_PROMPT_S", prompt_s := 1.0)  # a busy machine as well is done by then
    async with HeldUpController() as peer, running(link_to(peer, reply_timeout_s=30.0, poll_s=0.05)) as link:
        await next_of(link, ControllerUp)
        name, _ = await peer.hold()
        said_mono_s = monotonic_s()
        peer.say(RESULT)  # the reply is out, and not overdue yet
        first = await result_of(link)
        await asyncio.sleep(1.2 * prompt_s)
        peer.let_go(REPLIES[name])
        await asyncio.sleep(1.2 * prompt_s)
        said_again_mono_s = monotonic_s()
        peer.say(RESULT)
        second = await result_of(link)

    assert first.received_mono_s >= said_mono_s
    assert second.received_mono_s >= said_again_mono_s


async def test_a_trigger_whose_echo_is_overdue_tells_it_as_well() -> None:
    async with HeldUpController() as peer, running(link_to(peer, reply_timeout_s=2.0, poll_s=60.0)) as link:
        await next_of(link, ControllerUp)
        peer.answers["T1"] = None
        trigger = asyncio.create_task(link.trigger(1))
        await until(lambda: peer.count("T1") == 1)
        asked_mono_s = peer.asked_mono_s[-1]
        await asyncio.sleep(0.3)
        peer.say(b"T1\r" + RESULT)
        result = await result_of(link)
        await trigger

    assert asked_mono_s - _ON_ITS_WAY_S <= result.received_mono_s <= asked_mono_s


async def test_lines_that_were_held_up_do_not_cut_the_clearing_short() -> None:
    """What counts there is when a line came."""
    async with HeldUpController() as peer:
        peer.answers |= {"OE,0": None, "OE,1": None}
        async with running(link_to(peer, reply_timeout_s=2.0)):
            await until(lambda: "OE,0" in peer.commands)
            await asyncio.sleep(0.2)
            peer.say(b"OE\r")
            for _ in range(5):
                await asyncio.sleep(0.03)
                said_mono_s = monotonic_s()
                peer.say(RESULT)
            await until(lambda: "OE,1" in peer.commands)

            assert peer.asked_mono_s[-1] - said_mono_s >= 0.045


@pytest.mark.parametrize(
    ("reply_s", "is_serial", "least", "most"),
    [(0.0, False, 8, 11), (0.0, True, 2, 4), (0.05, False, 2, 4)],
    ids=["Ethernet", "serial line", "slow controller"],
)
def test_polls_are_as_frequent_as_the_wire_bears(reply_s: float, is_serial: bool, least: int, most: int) -> None:  # noqa: FBT001
    polls: list[str] = []

    async def a_while() -> None:
        async with HeldUpController(reply_s) as peer:
            peer.answers |= {"TR": REPLIES["TR"], "EC": b"ER,EC,02\r"}
            async with running(link_to(peer, reply_timeout_s=1.0, poll_s=None, is_serial=is_serial)) as link:
                await next_of(link, ControllerUp)
                peer.commands.clear()
                await asyncio.sleep(1.1)
                polls.extend(peer.commands)

    run_in_virtual_time(a_while)

    assert least <= len(polls) <= most
    assert polls == (["RM", "PR", "TR"] * 4)[: len(polls)]


# another second of the controller's clock


def clock(second: int) -> bytes:
    return b"TR,26,11,24,06,30,%02d\r" % second


async def is_up_again(link: CvxLink) -> None:
    """The link, which goes down now, comes up although the controller's clock goes on telling the same second."""
    await next_of(link, ControllerDown)
    await next_of(link, ControllerUp)


async def is_up_within(link: CvxLink, seconds: float) -> bool:
    """Whether the link, which goes down now, is up within that time."""
    await next_of(link, ControllerDown)
    try:
        async with asyncio.timeout(seconds):
            await next_of(link, ControllerUp)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("how", ["begun anew", "lost", "lost before the echo"])
@pytest.mark.parametrize("second", [6, 4], ids=["another second", "the clock went back"])
async def test_after_a_trigger_without_a_result_up_waits_for_another_second(how: str, second: int) -> None:
    async with ScriptedController() as peer, running(link_to(peer, reply_timeout_s=1.0, poll_s=60.0)) as link:
        peer.answers["TR"] = clock(5)
        await next_of(link, ControllerUp)
        if how == "lost before the echo":
            peer.answers["T1"] = None
            trigger = asyncio.create_task(link.trigger(1))
            await until(lambda: peer.count("T1") == 1)
            peer.reset()
            await asyncio.gather(trigger, return_exceptions=True)
        elif how == "lost":
            await link.trigger(1)
            peer.reset()
        else:
            link.begin_anew("a trigger without an answer")
        assert not await is_up_within(link, 0.7)
        peer.say(RESULT)  # of the part before
        peer.answers["TR"] = clock(second)
        up = await next_of(link, ControllerUp, ControllerResult)

        assert isinstance(up, ControllerUp)
        assert shown_time(up.clock) == f"261124_0630{second:02d}"
        peer.reset()
        await is_up_again(link)  # nothing is out any more


@pytest.mark.parametrize("how", ["no trigger", "refused", "answered"])
async def test_without_a_trigger_out_up_waits_for_nothing(how: str) -> None:
    async with ScriptedController() as peer, running(link_to(peer, reply_timeout_s=1.0, poll_s=60.0)) as link:
        peer.answers["TR"] = clock(5)
        await next_of(link, ControllerUp)
        if how == "refused":
            peer.answers["T1"] = b"ER,T1,03\r"
            await asyncio.gather(link.trigger(1), return_exceptions=True)
        elif how == "answered":
            await link.trigger(1)
            peer.say(RESULT)
            await next_of(link, ControllerResult)
        peer.reset()

        await is_up_again(link)


async def test_one_result_of_two_triggers_leaves_one_out() -> None:
    async with ScriptedController() as peer, running(link_to(peer, reply_timeout_s=1.0, poll_s=60.0)) as link:
        peer.answers["TR"] = clock(5)
        await next_of(link, ControllerUp)
        await link.trigger(1)
        await link.trigger(1)
        peer.say(b"garbage\r" + RESULT)
        await next_of(link, ControllerResult)
        await next_of(link, ControllerResult)
        peer.reset()

        assert not await is_up_within(link, 0.7)


async def test_a_controller_that_does_not_tell_its_clock_is_not_waited_for() -> None:
    async with ScriptedController() as peer, running(link_to(peer, reply_timeout_s=1.0, poll_s=60.0)) as link:
        peer.answers["TR"] = b"ER,TR,02\r"
        await next_of(link, ControllerUp)
        link.begin_anew("a trigger without an answer")

        await is_up_again(link)


async def test_a_clock_that_stands_still_keeps_the_link_down_which_says_why() -> None:
    async with ScriptedController() as peer, running(link_to(peer, reply_timeout_s=1.0, poll_s=60.0)) as link:
        peer.answers["TR"] = clock(5)
        await next_of(link, ControllerUp)
        link.begin_anew("a trigger without an answer")
        await next_of(link, ControllerDown)
        await until(lambda: "stands still" in link.status().why_down)
        connections = len(peer.connections)
        await until(lambda: len(peer.connections) > connections)
        assert not link.status().is_up
        opened = peer.count("OE,1")
        await until(lambda: peer.count("OE,1") > opened and peer.commands[-2:] == ["TR", "TR"])
        peer.answers["TR"] = clock(6)

        assert isinstance(await soon(link.next()), ControllerUp)
