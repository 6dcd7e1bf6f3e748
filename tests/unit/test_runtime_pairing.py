"""Pairing: an image and a result meet only in the part they are of; nothing opens a decided part again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from drivers.timing import Deadline, controller_time
from edge_agent.domain import Capture, ControllerResult, Judgement
from edge_agent.runtime.pairing import Pairing
from edge_agent.runtime.part import Arrival, Part

if TYPE_CHECKING:
    from datetime import datetime


def capture(count: int | None, session: str = "s1", camera: int = 1, name: str = "n") -> Capture:
    return Capture(count=count, camera=camera, session=session, name=name, path=None, sha256="", received_mono_s=0.0)


def result(count: int | None) -> ControllerResult:
    return ControllerResult(count, None, Judgement.OK, (), 0.0)


def moment(clock: str) -> datetime:
    """A moment of the controller's clock, as it stands in a name."""
    told = controller_time(clock)
    assert told is not None
    return told


def name_at(second: int) -> str:
    """A session folder's name, of a second after noon."""
    return f"260101_1200{second:02d}"


def at(second: int) -> datetime:
    """The moment of that name."""
    return moment(name_at(second))


def pairing() -> Pairing:
    numbers = itertools.count(1)
    return Pairing(lambda: Part(next(numbers), 0.0, Deadline(1.0)))


def test_image_and_result_of_one_count_meet_in_one_part_in_either_order() -> None:
    image_first, result_first = pairing(), pairing()
    _, part = image_first.on_capture(capture(5))
    arrival, same = image_first.on_result(result(5))
    _, other = result_first.on_result(result(5))
    other_arrival, other_same = result_first.on_capture(capture(5))

    assert (arrival, other_arrival) == (Arrival.JOINED, Arrival.JOINED)
    assert part is same
    assert other is other_same


def test_different_counts_are_different_parts() -> None:
    pairs = pairing()
    _, first = pairs.on_capture(capture(5))
    arrival, second = pairs.on_result(result(6))

    assert arrival is Arrival.NEW
    assert first is not second


def test_the_same_image_twice_is_a_duplicate() -> None:
    pairs = pairing()
    pairs.on_capture(capture(5))

    assert pairs.on_capture(capture(5)) == (Arrival.DUPLICATE, None)


def test_what_comes_after_the_decision_is_late_and_opens_nothing() -> None:
    pairs = pairing()
    _, without_image = pairs.on_result(result(5))
    pairs.close(without_image)
    late_image = pairs.on_capture(capture(5))
    _, without_result = pairs.on_capture(capture(6))
    pairs.close(without_result)
    late_result = pairs.on_result(result(6))

    assert late_image == (Arrival.LATE, None)
    assert late_result == (Arrival.LATE, None)
    assert pairs.parts == []


def test_an_image_that_comes_again_after_its_part_was_decided_is_a_duplicate() -> None:
    pairs = pairing()
    _, part = pairs.on_capture(capture(5))
    pairs.on_result(result(5))
    pairs.close(part)

    assert pairs.on_capture(capture(5)) == (Arrival.DUPLICATE, None)


def test_after_a_counter_reset_the_same_counts_are_new_parts() -> None:
    pairs = pairing()
    _, before = pairs.on_capture(capture(1, "s1"))
    pairs.on_result(result(1))
    pairs.close(before)
    arrival, after = pairs.on_capture(capture(1, "s2"))
    joined, same = pairs.on_result(result(1))

    assert (arrival, joined) == (Arrival.NEW, Arrival.JOINED)
    assert after is same
    assert after is not before


def test_an_image_of_a_session_that_was_over_never_joins_a_live_result() -> None:
    pairs = pairing()
    _, old = pairs.on_capture(capture(4, "s1"))
    pairs.close(old)
    _, new = pairs.on_capture(capture(1, "s2"))
    pairs.close(new)
    _, live = pairs.on_result(result(5))
    arrival, stale = pairs.on_capture(capture(5, "s1"))

    assert arrival is Arrival.NEW
    assert stale is not live
    assert "had ended" in stale.stale
    assert live.captures == {}


def test_an_image_that_was_taken_before_the_link_came_up_never_joins_a_live_result() -> None:
    """The counter may have been reset in the gap: the count of a queued image says nothing then."""
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, queued = pairs.on_capture(replace(capture(1, "s1"), taken=moment("260101_115959")))
    _, live = pairs.on_result(result(1))
    _, fresh = pairs.on_capture(replace(capture(1, "260101_115950"), taken=moment("260101_120001")))

    assert "115959" in queued.stale
    assert live is not queued
    assert fresh is live
    assert live.stale == ""
    assert "s1" not in pairs.counter.sessions._over, "a session that was over long ago is not the one before"


def test_an_image_of_the_second_in_which_the_link_came_up_may_be_of_before() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, live = pairs.on_result(result(7))
    before = pairs.counter.is_settled
    pairs.on_capture(replace(capture(7), taken=moment("260101_120000")))
    pairs.on_clock(moment("260101_120001"))

    assert "the link is up since 260101_120000" in live.stale
    assert not before
    assert pairs.counter.is_settled


def test_an_image_of_just_before_the_link_came_up_makes_its_part_stale_and_no_second_part() -> None:
    """Its result line was sent just after. Should it be of another part after all, nothing of it passes."""
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, live = pairs.on_result(result(7))
    arrival, part = pairs.on_capture(replace(capture(7), taken=moment("260101_115959")))

    assert arrival is Arrival.JOINED
    assert part is live
    assert "115959" in part.stale


def test_an_image_of_long_before_the_link_came_up_is_a_part_of_its_own() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, live = pairs.on_result(result(7))
    arrival, part = pairs.on_capture(replace(capture(7), taken=moment("260101_115957")))

    assert arrival is Arrival.NEW
    assert part is not live
    assert (live.stale, live.captures) == ("", {})


def test_a_clock_that_is_not_told_makes_nothing_old() -> None:
    pairs = pairing()
    pairs.begin_at(None)
    _, live = pairs.on_result(result(7))
    _, part = pairs.on_capture(replace(capture(7), taken=moment("260101_115957")))

    assert part is live
    assert live.stale == ""


def test_an_image_whose_name_tells_no_time_is_placed_by_count_and_session() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, part = pairs.on_capture(capture(1))

    assert part.stale == ""


def without_result(pairs: Pairing, count: int, session: str = "s1") -> None:
    """A part of that count is decided without its result."""
    _, part = pairs.on_capture(capture(count, session))
    pairs.close(part)


def test_a_count_that_was_decided_before_a_reset_does_not_swallow_the_result_after_it() -> None:
    pairs = pairing()
    without_result(pairs, 7)
    pairs.on_result(result(20))
    pairs.on_result(result(1))
    arrival, part = pairs.on_result(result(7))

    assert arrival is Arrival.NEW
    assert not part.repeats_count, "another run of the counter repeats nothing"


def test_a_result_that_may_be_of_a_part_before_the_reset_makes_its_part_stale() -> None:
    """The part before was decided without its result; on a live link that result may still come."""
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    without_result(pairs, 1, "260101_115900")
    _, part = pairs.on_capture(capture(1, "260101_120005"))
    arrival, _ = pairs.on_result(result(1))

    assert arrival is Arrival.JOINED
    assert "may belong to an earlier part" in part.stale


def test_a_result_line_that_comes_twice_is_not_taken_for_the_next_part_of_that_count() -> None:
    pairs = pairing()
    _, first = pairs.on_capture(capture(1, "s1"))
    pairs.on_result(result(1))
    pairs.close(first)
    _, part = pairs.on_capture(capture(1, "s2"))
    pairs.on_result(result(1))

    assert "may be that line once more" in part.stale


def test_a_result_that_comes_twice_waits_for_an_image_that_it_may_not_have() -> None:
    """The line twice and no image is no part on the belt; with the image of a new session it is one, and unsure."""
    pairs = pairing()
    _, first = pairs.on_capture(capture(1, "s1"))
    pairs.on_result(result(1))
    pairs.close(first)
    _, again = pairs.on_result(result(1))
    before = again.stale
    pairs.on_capture(capture(1, "s2"))

    assert (before, again.repeats_count) == ("", True)
    assert "may be that line once more" in again.stale


def test_a_new_session_is_a_new_run_of_the_counter_too() -> None:
    pairs = pairing()
    without_result(pairs, 7)
    without_result(pairs, 1, "s2")
    arrival, _ = pairs.on_result(result(7))

    assert arrival is Arrival.NEW


def test_a_reset_that_a_result_told_first_is_the_same_run_as_its_first_image() -> None:
    pairs = pairing()
    without_result(pairs, 7)
    pairs.on_result(result(20))
    _, without_image = pairs.on_result(result(1))
    pairs.close(without_image)

    assert pairs.on_capture(capture(1, "s2")) == (Arrival.LATE, None), "decided without it, in this very run"
    assert pairs.decided_seq(capture(1, "s2")) == without_image.seq


def test_a_result_that_was_held_back_over_a_reset_of_the_counter_proves_nothing() -> None:
    """Of its own part nothing else came. Image and result of count 1 meet, and are of two parts."""
    result_first, image_first = pairing(), pairing()
    for pairs in (result_first, image_first):
        pairs.begin_at(moment("260101_120000"))
    _, held_back = result_first.on_result(result(1))
    _, joined = result_first.on_capture(capture(1, "260101_120130"))
    _, next_part = image_first.on_capture(capture(1, "260101_120130"))
    image_first.on_result(result(1))

    assert joined is held_back
    assert joined is not None
    assert next_part is not None
    assert "120130" in joined.stale
    assert "120130" in next_part.stale


def test_once_the_controller_told_its_clock_after_a_reset_its_results_are_of_the_new_session() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    pairs.on_clock(moment("260101_120131"))
    _, part = pairs.on_result(result(1))
    pairs.on_capture(capture(1, "260101_120130"))

    assert part is not None
    assert part.stale == ""


def test_a_session_that_images_told_before_the_clock_was_asked_for_needs_no_time() -> None:
    """A controller whose clock was set back by an hour: its session is named after a time that is yet to come."""
    pairs = pairing()
    pairs.begin_at(moment("260101_110000"))
    _, first = pairs.on_capture(capture(1, "260101_120000"))
    pairs.on_clock(moment("260101_110001"))  # asked for before that image came, perhaps
    pairs.on_result(result(1))
    pairs.on_clock(moment("260101_110002"))
    _, second = pairs.on_result(result(2))
    pairs.on_capture(capture(2, "260101_120000"))

    assert first is not None
    assert second is not None
    assert first.stale != ""
    assert second.stale == ""


def test_an_image_of_the_session_before_a_reset_never_proves_what_came_after_it() -> None:
    """Nothing of its own part was known by a session yet: its image is the first of all."""
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    pairs.on_result(result(1))
    pairs.on_result(result(2))
    for part in list(pairs.parts):
        pairs.close(part)
    _, after = pairs.on_result(result(1))
    arrival, joined = pairs.on_capture(replace(capture(1, "260101_115900"), taken=moment("260101_120001")))

    assert arrival is Arrival.JOINED
    assert joined is after
    assert joined is not None
    assert "was reset after 260101_120000" in joined.stale


def test_an_image_that_is_the_first_of_its_session_may_be_of_a_part_of_the_run_before() -> None:
    """Found by the search: two resets, the second after the last told clock, and part 1's image comes behind both."""
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    pairs.on_clock(moment("260101_120001"))
    _, first = pairs.on_result(result(1))
    assert first is not None
    pairs.close(first)
    pairs.on_result(result(2))
    pairs.on_clock(moment("260101_120002"))
    pairs.on_clock(moment("260101_120003"), follows_results=True)
    _, after = pairs.on_result(result(1))
    arrival, joined = pairs.on_capture(replace(capture(1, "260101_120002"), taken=moment("260101_120002")))

    assert (arrival, joined) == (Arrival.JOINED, after)
    assert after is not None
    assert "part 1 had this count, 1, and is decided already" in after.stale


def test_a_counter_that_began_anew_within_its_session_is_believed_once_images_are_newer() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    pairs.on_result(result(8))
    _, first = pairs.on_result(result(1))
    pairs.on_capture(replace(capture(1, "260101_115900"), taken=moment("260101_120002")))
    pairs.on_clock(moment("260101_120003"))
    _, second = pairs.on_result(result(2))
    pairs.on_capture(replace(capture(2, "260101_115900"), taken=moment("260101_120004")))

    assert first is not None
    assert second is not None
    assert first.stale != ""
    assert second.stale == ""


def test_an_image_of_the_very_second_in_which_the_counter_began_anew_proves_nothing() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    pairs.on_result(result(8))
    pairs.on_result(result(1))
    pairs.on_clock(moment("260101_120005"))
    _, part = pairs.on_result(result(2))
    pairs.on_capture(replace(capture(2, "260101_115900"), taken=moment("260101_120005")))

    assert part is not None
    assert part.stale != ""


def decided_without_images(pairs: Pairing, *counts: int) -> None:
    for count in counts:
        _, part = pairs.on_result(result(count))
        pairs.close(part)


def test_an_image_of_an_older_session_that_comes_after_one_of_a_newer_is_not_followed() -> None:
    """The counter is reset, and the images come in the wrong order."""
    pairs = pairing()
    pairs.begin_at(at(0))
    decided_without_images(pairs, 2, 3)
    _, of_now = pairs.on_capture(replace(capture(1, name_at(2), name="third"), taken=at(3)))
    arrival, of_before = pairs.on_capture(replace(capture(1, name_at(0), name="first"), taken=at(1)))
    pairs.on_clock(at(3))
    _, live = pairs.on_result(result(1))

    assert arrival is Arrival.NEW
    assert "had ended" in of_before.stale
    assert live is of_now
    assert live.captures[1].name == "third"


def test_images_that_come_behind_a_reset_are_of_the_parts_of_their_own_time() -> None:
    """Two parts were decided without their images, and no image told a session yet: counts alone would mix them up."""
    pairs = pairing()
    pairs.begin_at(at(0))
    pairs.on_clock(at(1))
    decided_without_images(pairs, 1, 2)
    pairs.on_clock(at(12))
    arrival, of_now = pairs.on_capture(replace(capture(1, name_at(10), name="third"), taken=at(12)))
    queued = replace(capture(1, "260101_115900", name="first"), taken=at(1))

    assert arrival is Arrival.NEW
    assert of_now.stale == ""
    assert pairs.decided_seq(queued) == 1
    assert pairs.on_capture(queued) == (Arrival.LATE, None)


def test_sessions_are_in_the_order_of_their_names_where_no_image_tells_when_it_was_taken() -> None:
    pairs = pairing()
    pairs.on_capture(capture(1, name_at(1)))
    _, of_before = pairs.on_capture(capture(1, name_at(0)))
    _, of_now = pairs.on_capture(capture(2, name_at(1)))

    assert "had ended" in of_before.stale
    assert of_now.stale == ""


def test_a_session_with_an_earlier_name_is_followed_once_the_controllers_clock_was_set_back() -> None:
    pairs = pairing()
    pairs.begin_at(at(30))
    pairs.on_capture(replace(capture(1, name_at(29)), taken=at(31)))
    pairs.on_clock(at(31))
    pairs.go_stale("the clock went back")
    pairs.begin_at(at(10))
    _, goes_on = pairs.on_capture(replace(capture(2, name_at(29)), taken=at(11)))
    _, begun_anew = pairs.on_capture(replace(capture(1, name_at(11)), taken=at(12)))
    _, of_before = pairs.on_capture(replace(capture(3, name_at(29)), taken=at(11)))

    assert goes_on.stale == ""
    assert begun_anew.stale == ""
    assert "had ended" in of_before.stale


def test_a_clock_that_was_set_back_while_nobody_looked_shows_by_what_was_taken_later() -> None:
    """The link was away over it, and comes back with a clock that is later all the same."""
    pairs = pairing()
    pairs.begin_at(at(30))
    pairs.on_capture(replace(capture(1, name_at(29)), taken=at(30)))
    pairs.begin_at(at(50))
    _, begun_anew = pairs.on_capture(replace(capture(1, name_at(20)), taken=at(51)))

    assert begun_anew.stale == ""


def test_a_session_that_came_before_it_was_told_that_the_clock_was_set_back_is_not_over_for_good() -> None:
    """A person sets the clock in setup mode: the first image of the new session comes before the link is up again."""
    pairs = pairing()
    pairs.begin_at(moment("260101_080000"))
    pairs.on_clock(at(1))
    pairs.on_capture(replace(capture(8, "260101_113000"), taken=at(1)))
    _, first = pairs.on_capture(replace(capture(1, "260101_110000"), taken=moment("260101_110001")))
    pairs.begin_at(moment("260101_110002"))
    pairs.on_clock(moment("260101_110003"))
    pairs.on_clock(moment("260101_110004"))
    _, second = pairs.on_result(result(2))
    pairs.on_capture(replace(capture(2, "260101_110000"), taken=moment("260101_110005")))
    _, of_before = pairs.on_capture(replace(capture(9, "260101_113000"), taken=at(2)))

    assert first.stale != ""
    assert second.captures
    assert second.stale == ""
    assert of_before.stale != ""
    assert pairs.counter.two_senders == ""


def test_a_session_that_was_over_stays_over_where_its_images_are_from_before_the_clock_was_set_back() -> None:
    """By ten seconds: its images could be of the time behind the change, and are not, because one is of the future."""
    pairs = pairing()
    pairs.begin_at(moment("260101_080000"))
    pairs.on_clock(at(20))
    pairs.on_capture(replace(capture(8, name_at(15)), taken=at(20)))
    pairs.on_capture(replace(capture(3, name_at(10)), taken=at(13)))
    pairs.begin_at(at(11))
    pairs.on_clock(at(12))
    _, part = pairs.on_capture(replace(capture(4, name_at(10)), taken=at(14)))

    assert "which had ended" in part.stale


def test_an_image_from_before_the_clock_was_set_back_is_of_no_time_yet_and_its_session_is_not_followed() -> None:
    pairs = pairing()
    pairs.begin_at(at(40))
    pairs.on_capture(replace(capture(1, name_at(39)), taken=at(40)))
    pairs.begin_at(at(10))
    _, queued = pairs.on_capture(replace(capture(1, name_at(38)), taken=at(39)))
    _, goes_on = pairs.on_capture(replace(capture(2, name_at(39)), taken=at(11)))

    assert "said 260101_120010 just now" in queued.stale
    assert goes_on.stale == ""


def test_two_sessions_that_are_alive_at_a_time_are_two_controllers() -> None:
    pairs = pairing()
    pairs.on_capture(replace(capture(500, name_at(0)), taken=at(10)))
    pairs.on_capture(replace(capture(77, name_at(5)), taken=at(11)))
    _, queued = pairs.on_capture(replace(capture(499, name_at(0)), taken=at(11)))
    after_a_reset = pairs.counter.two_senders
    _, of_the_first = pairs.on_capture(replace(capture(501, name_at(0)), taken=at(12)))

    assert queued.stale != ""
    assert after_a_reset == "", "an image of the same second may be of the session before"
    assert of_the_first.stale != ""
    assert "Two controllers" in pairs.counter.two_senders
    assert "restart the agent" in pairs.counter.two_senders, "nothing else ends the fault while the link stays up"


def test_a_part_that_opens_after_anything_of_a_later_one_came_is_overtaken() -> None:
    """Its image fell behind: by the controller's count the next part is here already, whichever came first."""
    by_image, by_result, in_order = pairing(), pairing(), pairing()
    by_image.on_capture(capture(2))
    _, of_image = by_image.on_capture(capture(1))
    _, of_result = by_result.on_result(result(1))
    by_result.on_result(result(2))
    _, first = in_order.on_capture(capture(1))
    before = in_order.counter.is_overtaken(first)
    in_order.on_capture(capture(2))

    assert by_image.counter.is_overtaken(of_image)
    assert by_result.counter.is_overtaken(of_result)
    assert not before
    assert in_order.counter.is_overtaken(first)


def test_the_first_part_after_a_reset_is_not_overtaken_by_the_counts_before_it() -> None:
    pairs = pairing()
    pairs.on_capture(capture(500, name_at(0)))
    pairs.on_result(result(500))
    _, part = pairs.on_result(result(1))
    pairs.on_capture(capture(1, name_at(5)))

    assert not pairs.counter.is_overtaken(part)


def test_parts_behind_a_reset_within_a_session_are_not_overtaken_by_the_counts_before_it() -> None:
    """A controller that makes no new folder: its good parts would be rejected until it has counted as far again."""
    pairs, session = pairing(), "260101_115900"
    pairs.begin_at(at(0))
    pairs.on_capture(replace(capture(500, session), taken=at(1)))
    pairs.on_result(result(500))
    pairs.on_result(result(1))
    pairs.on_capture(replace(capture(499, session), taken=at(1)))  # it was held up, and tells nothing of this run
    pairs.on_clock(at(2))
    _, part = pairs.on_result(result(2))
    pairs.on_capture(replace(capture(2, session), taken=at(3)))
    before = pairs.counter.is_overtaken(part)
    pairs.on_capture(replace(capture(3, session), taken=at(4)))

    assert part.stale == ""
    assert not before
    assert pairs.counter.is_overtaken(part)


def test_a_controller_that_tells_no_clock_counts_anew_within_a_session_too() -> None:
    pairs, session = pairing(), "260101_115900"
    pairs.begin_at(None)
    pairs.on_capture(replace(capture(500, session), taken=at(1)))
    pairs.on_result(result(500))
    _, part = pairs.on_result(result(1))
    pairs.on_capture(replace(capture(1, session), taken=at(3)))
    before = pairs.counter.is_overtaken(part)
    pairs.on_capture(replace(capture(2, session), taken=at(4)))

    assert not before
    assert pairs.counter.is_overtaken(part)


def test_a_second_result_of_an_open_part_may_be_of_the_next_one() -> None:
    """The counter was reset in between: the part is here, and there is no other sign of it."""
    pairs = pairing()
    _, part = pairs.on_result(result(1))
    pairs.on_result(result(1))

    assert "second result" in part.stale


def test_a_clock_that_was_asked_for_before_a_result_came_does_not_prove_it() -> None:
    pairs = pairing()
    pairs.begin_at(at(0))
    _, part = pairs.on_result(result(1))
    pairs.on_clock(at(1))
    before = part.unproven
    pairs.on_clock(at(1), follows_results=True)

    assert "not told its clock since" in before
    assert part.unproven == ""


def test_a_controller_that_never_tells_its_clock_proves_nothing_and_is_not_waited_for() -> None:
    pairs = pairing()
    pairs.begin_at(None)
    _, part = pairs.on_result(result(1))

    assert part.unproven == ""


def test_an_image_that_is_older_than_its_result_can_be_is_stale_whichever_came_first() -> None:
    image_first, result_first = pairing(), pairing()
    for pairs in (image_first, result_first):
        pairs.begin_at(at(0))
    _, first = image_first.on_capture(replace(capture(1), taken=at(1)))
    image_first.on_result(result(1))
    image_first.on_clock(at(5), follows_results=True)
    _, second = result_first.on_result(result(1))
    result_first.on_clock(at(5), follows_results=True)
    result_first.on_capture(replace(capture(1), taken=at(1)))

    assert "more than 3 s" in first.stale
    assert "imaging_ms" in first.stale, "what to set where the controller takes so long"
    assert "more than 3 s" in second.stale


def test_a_count_that_was_decided_is_known_and_no_other() -> None:
    pairs = pairing()
    _, part = pairs.on_result(result(5))
    pairs.close(part)

    assert pairs.knows(5)
    assert not pairs.knows(6)


def test_an_image_of_a_part_that_was_decided_never_proves_the_next_of_its_count() -> None:
    """The counter was reset, and no image of the new session came yet: that of the old one may still be on its way."""
    lacking, repeated = pairing(), pairing()
    for pairs in (lacking, repeated):
        _, first = pairs.on_result(result(1))
        if pairs is repeated:
            pairs.on_capture(capture(1, name="first"))
        pairs.close(first)
        _, second = pairs.on_result(result(2))
        pairs.on_capture(capture(2, name="second"))
        pairs.close(second)
        _, third = pairs.on_result(result(1))
        pairs.on_capture(capture(1, name="first"))

        assert third is not None
        assert third.stale.startswith("part 1 had this count, 1, and is decided already")


def test_a_part_that_came_before_the_link_was_up_is_stale() -> None:
    pairs = pairing()
    _, part = pairs.on_capture(capture(2, session=""))
    pairs.begin_at(moment("260101_120000"))
    pairs.on_result(result(2))

    assert part is not None
    assert part.stale == "it came before the link to the controller was up"


def test_a_new_link_repeats_nothing_that_was_said_on_the_one_before() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, first = pairs.on_capture(capture(1, "260101_115900"))
    pairs.on_result(result(1))
    pairs.close(first)
    pairs.begin_at(moment("260101_120010"))
    _, part = pairs.on_capture(replace(capture(1, "260101_120009"), taken=moment("260101_120011")))
    pairs.on_result(result(1))

    assert part is not None
    assert part.stale == ""


def test_a_new_link_knows_of_no_reset_on_the_one_before() -> None:
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    for count in (8, 1):
        _, before = pairs.on_result(result(count))
        assert before is not None
        pairs.close(before)
    pairs.begin_at(moment("260101_120010"))
    _, part = pairs.on_capture(replace(capture(2, "260101_115900"), taken=moment("260101_120011")))
    pairs.on_result(result(2))

    assert part is not None
    assert part.stale == ""


def test_queued_images_of_parts_that_were_decided_without_them_are_late_each() -> None:
    pairs = pairing()
    for count in (5, 6, 7):
        _, part = pairs.on_result(result(count))
        pairs.close(part)

    assert [pairs.on_capture(capture(count)) for count in (5, 6, 7)] == [(Arrival.LATE, None)] * 3
    assert [pairs.decided_seq(capture(count)) for count in (5, 6, 7)] == [1, 2, 3]


def test_queued_images_are_late_even_when_the_counter_was_reset_before_they_came() -> None:
    pairs = pairing()
    _, first = pairs.on_capture(capture(32))
    pairs.on_result(result(32))
    pairs.close(first)
    for count in (33, 34, 1):
        _, part = pairs.on_result(result(count))
        pairs.close(part)

    assert pairs.on_capture(capture(33)) == (Arrival.LATE, None)
    assert pairs.on_capture(capture(1, "s2")) == (Arrival.LATE, None)
    assert pairs.on_capture(capture(34)) == (Arrival.LATE, None), "its session is over, its part is known"


def test_a_queued_image_of_a_session_that_nobody_knows_is_of_no_part_of_the_one_before() -> None:
    """A line that came twice left a decided part without an image; then the link was away, and the counter reset."""
    pairs = pairing()
    pairs.begin_at(moment("260101_120000"))
    _, first = pairs.on_capture(capture(1, "260101_115900"))
    pairs.on_result(result(1))
    pairs.close(first)
    _, again = pairs.on_result(result(1))
    pairs.close(again)
    pairs.go_stale("cable")
    pairs.begin_at(moment("260101_120012"))
    arrival, part = pairs.on_capture(replace(capture(1, "260101_120011"), taken=moment("260101_120011")))

    assert arrival is Arrival.NEW
    assert part is not None
    assert part.stale != ""


def test_a_result_line_without_a_count_belongs_to_no_part() -> None:
    assert pairing().on_result(result(None)) == (Arrival.UNPLACEABLE, None)


def test_an_image_without_a_count_is_a_part_of_its_own() -> None:
    pairs = pairing()
    _, open_part = pairs.on_result(result(5))
    image = capture(None)
    arrival, part = pairs.on_capture(image)

    assert arrival is Arrival.NEW
    assert part is not open_part
    assert part.captures == {1: image}
    assert pairs.parts == [open_part, part]


def test_the_next_new_count_belongs_to_the_part_that_the_agent_triggered() -> None:
    pairs = pairing()
    triggered = pairs.on_trigger()
    is_overtaken = pairs.counter.is_overtaken(triggered)
    arrival, part = pairs.on_result(result(9))
    image_arrival, image_part = pairs.on_capture(capture(9))

    assert (arrival, image_arrival) == (Arrival.JOINED, Arrival.JOINED)
    assert part is triggered
    assert image_part is triggered
    assert triggered.count == 9
    assert not is_overtaken, "it has no count yet that another could be behind"


def test_of_two_parts_that_were_triggered_before_a_count_came_neither_can_pass() -> None:
    """The second one's image may overtake all that comes of the first."""
    pairs = pairing()
    pairs.triggers_itself = True
    first, second = pairs.on_trigger(), pairs.on_trigger()
    pairs.on_capture(capture(2))
    pairs.on_result(result(1))
    pairs.close(first)
    pairs.close(second)
    third = pairs.on_trigger()

    assert "told the count of the first" in first.stale
    assert "told the count of the first" in second.stale
    assert third.stale == ""


def test_where_the_agent_triggers_nothing_else_is_a_part_to_be_passed() -> None:
    pairs = pairing()
    pairs.triggers_itself = True
    triggered = pairs.on_trigger()
    pairs.on_result(result(9))
    pairs.close(triggered)
    _, by_result = pairs.on_result(result(10))
    _, by_image = pairs.on_capture(capture(11))

    assert triggered.stale == ""
    assert "did not trigger" in by_result.stale
    assert "did not trigger" in by_image.stale


def test_an_image_that_comes_first_belongs_to_the_part_that_the_agent_triggered_unless_its_session_was_over() -> None:
    pairs = pairing()
    _, old = pairs.on_capture(capture(1, "s1"))
    _, newer = pairs.on_capture(capture(1, "s2"))
    pairs.close(old)
    pairs.close(newer)
    triggered = pairs.on_trigger()
    _, stale = pairs.on_capture(capture(8, "s1"))
    arrival, part = pairs.on_capture(capture(9, "s2"))

    assert stale is not triggered
    assert arrival is Arrival.JOINED
    assert part is triggered


def test_a_result_whose_count_was_judged_before_says_so() -> None:
    pairs = pairing()
    _, first = pairs.on_result(result(5))
    pairs.close(first)
    _, again = pairs.on_result(result(5))
    _, other = pairs.on_result(result(6))

    assert again is not first
    assert again.repeats_count
    assert not other.repeats_count
    assert not first.repeats_count


def test_what_comes_of_a_missed_part_is_late_until_the_counter_begins_anew() -> None:
    pairs = pairing()
    pairs.on_capture(capture(9, "s1"))
    pairs.decided.note_missed(Part(35 + count, 0.0, Deadline(1.0), count) for count in (6, 7))
    late = pairs.on_capture(capture(7, "s1"))
    seq = pairs.decided_seq(capture(7, "s1"))
    live, _ = pairs.on_result(result(6))
    anew, _ = pairs.on_capture(capture(7, "s2"))

    assert pairs.knows(9)
    assert not pairs.knows(8)
    assert (late, seq) == ((Arrival.LATE, None), 42)
    assert (live, anew) == (Arrival.NEW, Arrival.NEW)


def test_a_result_line_that_comes_twice_is_a_duplicate() -> None:
    pairs = pairing()
    _, part = pairs.on_result(result(5))
    first = part.result

    assert pairs.on_result(result(5)) == (Arrival.DUPLICATE, None)
    assert part.result is first


def test_parts_of_a_session_that_goes_on_are_not_stale() -> None:
    pairs = pairing()
    parts = [pairs.on_capture(capture(number))[1] for number in (1, 2, 3)]

    assert [part.stale for part in parts] == ["", "", ""]


def test_all_cameras_of_a_count_meet_in_one_part() -> None:
    pairs = pairing()
    _, part = pairs.on_capture(capture(3, camera=1))
    arrival, same = pairs.on_capture(capture(3, camera=2))

    assert arrival is Arrival.JOINED
    assert part is same
    assert sorted(part.captures) == [1, 2]


def test_a_gap_makes_every_open_part_stale() -> None:
    pairs = pairing()
    _, part = pairs.on_result(result(5))
    pairs.go_stale("cable")

    assert part.stale == "cable"


def test_a_late_image_is_told_which_part_it_was_of() -> None:
    pairs = pairing()
    _, part = pairs.on_result(result(5))
    pairs.close(part)

    assert pairs.decided_seq(capture(5)) == part.seq
    assert pairs.decided_seq(capture(6)) is None
    assert pairs.decided_seq(capture(None)) is None


def test_a_part_without_a_count_leaves_nothing_that_a_message_could_join() -> None:
    pairs = pairing()
    triggered = pairs.on_trigger()
    pairs.close(triggered)
    arrival, part = pairs.on_result(result(1))

    assert arrival is Arrival.NEW
    assert part is not triggered


def test_what_is_remembered_of_decided_parts_and_old_sessions_is_bounded() -> None:
    pairs = pairing()
    for number in range(400):
        _, part = pairs.on_capture(capture(number, f"s{number}"))
        pairs.close(part)

    assert pairs.decided_seq(capture(399, "s399")) == 400
    assert pairs.decided_seq(capture(144, "s144")) == 145, "the newest 256 are remembered"
    assert pairs.decided_seq(capture(143, "s143")) is None
    _, of_remembered = pairs.on_capture(capture(1000, "s335"))
    _, of_forgotten = pairs.on_capture(capture(1001, "s334"))
    assert "had ended" in of_remembered.stale, "the newest 64 sessions that are over are remembered"
    assert of_forgotten.stale == ""


class PairingMachine(RuleBasedStateMachine):
    """Any order of arrivals, losses, repetitions and resets: no part ever holds what is not its own."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = pairing()
        self.closed: set[int] = set()

    @rule(count=st.integers(1, 6), session=st.sampled_from(["s1", "s2", "s3"]), camera=st.integers(1, 2))
    def image(self, count: int, session: str, camera: int) -> None:
        self.check(*self.pairs.on_capture(capture(count, session, camera)))

    @rule(count=st.one_of(st.none(), st.integers(1, 6)))
    def line(self, count: int | None) -> None:
        self.check(*self.pairs.on_result(result(count)))

    @rule()
    def trigger(self) -> None:
        self.pairs.on_trigger()

    @rule(which=st.integers(0, 5))
    def decide(self, which: int) -> None:
        if self.pairs.parts:
            part = self.pairs.parts[which % len(self.pairs.parts)]
            self.pairs.close(part)
            self.closed.add(part.seq)

    def check(self, arrival: Arrival, part: Part | None) -> None:
        assert (part is None) == (arrival in {Arrival.LATE, Arrival.DUPLICATE, Arrival.UNPLACEABLE})
        assert part is None or part.seq not in self.closed

    @invariant()
    def a_part_holds_only_its_own(self) -> None:
        for part in self.pairs.parts:
            assert {c.count for c in part.captures.values()} <= {part.count}
            assert {c.session for c in part.captures.values()} <= {part.session}
            assert part.result is None or part.result.count == part.count


TestPairingMachine = PairingMachine.TestCase
TestPairingMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
