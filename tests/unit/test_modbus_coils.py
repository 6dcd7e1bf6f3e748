"""The coil map, and which received bytes count as (the beginning of) a reply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.replies import reply_problem
from drivers.output.coils import RESTING, CoilState, checked_inversion

WRITE_ECHO = bytes.fromhex("0001 0000 0006 01 0f 0000 0004")
READ_REPLY = bytes.fromhex("0002 0000 0004 01 01 01 02")
REFUSAL = bytes.fromhex("0003 0000 0003 01 8f 02")


def test_the_resting_state_is_reject_and_nothing_else() -> None:
    assert RESTING.bits == (False, True, False, False)
    assert CoilState() == RESTING
    assert str(RESTING) == "PASS=0 REJECT=1 READY=0 HEARTBEAT=0"


@given(st.builds(CoilState, st.booleans(), st.booleans(), st.booleans()))
def test_reject_is_always_the_opposite_of_pass_so_all_zeros_and_all_ones_are_no_state(state: CoilState) -> None:
    is_pass, is_reject, _, _ = state.bits

    assert is_pass is not is_reject


def test_reject_and_ready_may_be_inverted_and_pass_never() -> None:
    both = frozenset({"REJECT", "READY"})

    assert CoilState(inverted=both).bits == (False, False, True, False)
    assert CoilState(is_pass=True, is_ready=True, heartbeat=True, inverted=both).bits == (True, True, False, True)
    for names in ([], ["READY"], ["REJECT", "READY"]):
        assert checked_inversion(names) == frozenset(names)
    for wrong in (["PASS"], ["REJECT", "PASS"], ["HEARTBEAT"], ["reject"]):
        with pytest.raises(ValueError, match="never PASS"):
            checked_inversion(wrong)


@given(names=st.sets(st.sampled_from(["REJECT", "READY"])), ready=st.booleans(), beat=st.booleans())
def test_whatever_is_inverted_pass_is_energised_only_for_pass(names: set[str], *, ready: bool, beat: bool) -> None:
    inverted = frozenset(names)

    assert not CoilState(False, ready, beat, inverted).bits[0]
    assert CoilState(True, ready, beat, inverted).bits[0]


@given(st.lists(st.sampled_from([WRITE_ECHO, READ_REPLY, REFUSAL]), min_size=1, max_size=4), st.integers(0, 60))
def test_whole_replies_and_every_beginning_of_them_are_no_problem(frames: list[bytes], cut: int) -> None:
    assert reply_problem(b"".join(frames)[:cut]) == ""


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        ("0001 0001 0006", "protocol identifier 0x0001"),
        ("ffff ffff ffff ffff", "protocol identifier 0xffff"),
        ("0001 0000 0000", "a reply of 0 bytes"),
        ("0001 0000 ffff", "a reply of 65535 bytes"),
        ("0001 0000 0006 01 05", "function code 0x05 with 6 bytes"),
        ("0001 0000 0006 01 01", "function code 0x01 with 6 bytes"),
        ("0001 0000 0003 01 0f", "function code 0x0f with 3 bytes"),
        ("0001 0000 0004 01 01 02", "byte count 2"),
    ],
)
def test_what_cannot_be_a_reply_is_named(received: str, problem: str) -> None:
    data = bytes.fromhex(received)

    assert problem in reply_problem(data)
    assert problem in reply_problem(WRITE_ECHO + data)


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(reply_problem(data), str)
