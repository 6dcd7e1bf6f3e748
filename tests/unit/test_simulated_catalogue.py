"""Faults by name, as a person asks for them."""

from __future__ import annotations

import pytest

from drivers.simulated.catalogue import CATALOGUE, PlannedFaults
from drivers.simulated.faults import Fault
from drivers.simulated.remote_io import IoFault


def test_every_fault_has_a_name_and_words() -> None:
    assert len(CATALOGUE) == len(Fault) + len(IoFault)
    assert all(words.endswith(".") for words in CATALOGUE.values())
    assert {"late-result", "reboot", "io-stuck"} <= set(CATALOGUE)


def test_a_name_alone_comes_back_at_every_fifth_part_and_otherwise_as_asked() -> None:
    planned = PlannedFaults.of(["late-result", "reboot/20", "empty-image@3", "io-mute@7", "io-drop/10"])
    seen = {number: planned.controller.faults_of(number) for number in (1, 3, 5, 20)}

    assert seen == {
        1: frozenset(),
        3: {Fault.EMPTY_IMAGE},
        5: {Fault.LATE_RESULT},
        20: {Fault.LATE_RESULT, Fault.REBOOT},
    }
    assert [planned.io_fault_of(number) for number in (1, 7, 10)] == [None, IoFault.MUTE, IoFault.DROP]


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("lost-imag", "did you mean lost-image"),
        ("LATE_RESULT", "known are"),
        ("reboot@0", "NAME@TRIGGER"),
        ("reboot/", "NAME/EVERY"),
        ("", "no fault"),
    ],
)
def test_a_fault_that_is_none_is_refused_with_what_is(spec: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        PlannedFaults.of([spec])
