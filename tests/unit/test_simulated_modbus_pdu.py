"""Requests and replies of the simulated remote I/O against the examples printed in the Modbus specification."""

from __future__ import annotations

import pytest

from drivers.simulated.gate import Gate
from drivers.simulated.modbus_pdu import ModbusFault, parse_request, read_bits_reply, read_words_reply
from drivers.simulated.remote_io import CoilChange


def test_the_specifications_examples_are_read_and_answered() -> None:
    # MODBUS Application Protocol Specification V1.1b3, 6.1, 6.3, 6.5, 6.6, 6.11, 6.12.
    read = parse_request(bytes.fromhex("01 0013 0013"))
    assert (read.first, read.count) == (0x13, 0x13)
    bits = [bool(0x05_6B_CD >> at & 1) for at in range(19)]
    assert read_bits_reply(1, bits) == bytes.fromhex("01 03 CD 6B 05")
    assert parse_request(bytes.fromhex("03 006B 0003")).count == 3
    assert read_words_reply([0x022B, 0, 0x64]) == bytes.fromhex("03 06 022B 0000 0064")
    assert parse_request(bytes.fromhex("05 00AC FF00")).echo == bytes.fromhex("05 00AC FF00")
    assert parse_request(bytes.fromhex("06 0001 0003")).echo == bytes.fromhex("06 0001 0003")
    write = parse_request(bytes.fromhex("0F 0013 000A 02 CD01"))
    assert write.bits == (True, False, True, True, False, False, True, True, True, False)
    assert write.echo == bytes.fromhex("0F 0013 000A")
    words = parse_request(bytes.fromhex("10 0001 0002 04 000A 0102"))
    assert (words.words, words.echo) == ((0x000A, 0x0102), bytes.fromhex("10 0001 0002"))


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("07", 1),
        ("17 0000 0001", 1),
        ("80", 1),
        ("01", 3),
        ("01 0000 0000", 3),
        ("01 0000 07D1", 3),
        ("01 0000 0001 00", 3),
        ("01 FFFF 0002", 2),
        ("05 0000 FF01", 3),
        ("05 0000 0001", 3),
        ("0F 0000 0004 02 0F00", 3),
        ("0F 0000 0004 01", 3),
        ("0F 0000 0004", 3),
        ("0F 0000 0000 00", 3),
        ("10 0000 0001 02 00", 3),
        ("10 FFFF 0002 04 00000000", 2),
    ],
)
def test_a_malformed_request_gets_the_exception_that_the_specification_asks_for(pdu: str, code: int) -> None:
    with pytest.raises(ModbusFault) as fault:
        parse_request(bytes.fromhex(pdu))

    assert fault.value.code == code


def test_the_wrong_echo_is_well_formed_and_wrong() -> None:
    request = parse_request(bytes.fromhex("0F 0000 0004 01 05"))

    assert request.wrong_echo != request.echo
    assert len(request.wrong_echo) == len(request.echo)


HISTORY = [
    CoilChange(1.0, 1, True, "write"),
    CoilChange(2.0, 0, True, "write"),
    CoilChange(2.0, 1, False, "write"),
    CoilChange(3.0, 0, False, "watchdog"),
    CoilChange(6.0, 0, True, "write"),
]


@pytest.mark.parametrize(
    ("start", "end", "passes"),
    [
        (0.0, 1.9, False),
        (1.0, 2.0, False),
        (1.0, 2.1, True),
        (2.2, 2.4, True),
        (2.9, 5.0, True),
        (3.0, 5.0, False),
        (3.0, 6.0, False),
        (5.0, 6.5, True),
        (7.0, 8.0, True),
    ],
)
def test_the_gate_opens_if_pass_was_energised_at_any_moment_of_the_interval(
    *, start: float, end: float, passes: bool
) -> None:
    assert Gate(HISTORY).let_through(start, end) is passes


def test_the_gate_never_opens_without_a_pass() -> None:
    assert not Gate([]).let_through(0.0, 100.0)
    assert not Gate(HISTORY, pass_coil=5).let_through(0.0, 100.0)
    assert Gate(HISTORY).windows() == [(2.0, 3.0), (6.0, float("inf"))]
