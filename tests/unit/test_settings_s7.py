"""[output] with kind "s7": which bytes of a data block are whose, and which keys this kind does not have."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from drivers.output import BlockOutput
from edge_agent.errors import ConfigError
from edge_agent.settings import S7Settings, Settings
from edge_agent.tools.doctor.addresses import _high_registers
from edge_agent.wiring.output import make_output, make_walker
from tests.unit.test_settings_words import EXAMPLE, refusal
from tests.unit.test_settings_words import loaded as loaded_kind

if TYPE_CHECKING:
    from pathlib import Path


def loaded(folder: Path, keys: str = "db = 7", source: str = "wired") -> Settings:
    return loaded_kind(folder, "s7", keys, source)


def test_it_names_parts_and_needs_no_statement_of_a_watchdog(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'db = 7\nprogram_request = "checked"\nreject_confirm_ms = 1000', "plc")
    output = settings.output

    assert isinstance(output, S7Settings)
    assert (output.port, output.rack, output.slot) == (102, 0, 1)
    assert output.names_parts
    assert output.untested_watchdog() == ("", "")
    assert isinstance(make_output(settings), BlockOutput)
    assert make_walker(settings).plan()
    assert _high_registers(output) is None


def test_words_are_counted_from_the_first_byte_of_the_block(tmp_path: Path) -> None:
    output = loaded(tmp_path, "db = 7\nfirst_byte = 40\nplc_byte = 60\ninputs_byte = 80").output

    assert isinstance(output, S7Settings)
    assert output.word_numbers == (20, 30, 40)
    assert output.place == "s7 from DB7.DBW40 on"
    assert output.plc_place == "DB7.DBW60"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", "output.db: missing; expected an integer between 1 and 65535"),
        ("db = 0", "output.db: expected an integer between 1 and 65535"),
        ("db = 1\nrack = 8", "output.rack: expected an integer between 0 and 7"),
        ("db = 1\nslot = 32", "output.slot: expected an integer between 0 and 31"),
        ("db = 1\nfirst_byte = 1", "output.first_byte: expected an even number"),
        ("db = 1\nplc_byte = 17", "output.plc_byte: expected an even number"),
        ("db = 1\nplc_byte = 14", "output.plc_byte: expected a place outside the 16 bytes of first_byte (got 14)"),
        ("db = 1\nfirst_byte = 65534", "output.first_byte: expected at most 65520, so that 16 bytes fit"),
        ("db = 1\nmode_input = 1", "output.mode_input: needs output.inputs_byte: the byte of the data block"),
        ("db = 1\nmode_input = 1\ninputs_byte = 24", "outside the 10 bytes of plc_byte (got 24)"),
        ("db = 1\nmode_input = 17\ninputs_byte = 65534", "output.inputs_byte: expected at most 65532"),
        ("db = 1\nfirst_register = 0", "output.first_register: "),
        ("db = 1\nunit = 1", "output.unit: "),
        ('db = 1\nmodule = "wago-750"', "output.module: "),
    ],
)
def test_places_that_cannot_be_are_refused_with_their_key(tmp_path: Path, keys: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, keys)

    assert message in str(caught.value)


def test_the_example_explains_each_key() -> None:
    explained = {word for line in EXAMPLE.splitlines() for word in re.findall(r"[a-z_]+", line)}

    assert set(S7Settings.model_fields) <= explained
    assert all(field.description for field in S7Settings.model_fields.values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
def test_bytes_are_held_in_their_data_block_alone(tmp_path: Path) -> None:
    first = {"kind": "s7", "keys": "db = 7"}

    assert "DB7.DBW14" in refusal(tmp_path, first, {"kind": "s7", "keys": "db = 7\nfirst_byte = 14\nplc_byte = 30"})
    assert refusal(tmp_path, first, {"kind": "s7", "keys": "db = 7\nport = 1102"})
    assert not refusal(tmp_path, first, {"kind": "s7", "keys": "db = 7\nfirst_byte = 26\nplc_byte = 42"})
    assert not refusal(tmp_path, first, {"kind": "s7", "keys": "db = 8"})
