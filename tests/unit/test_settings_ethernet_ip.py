"""[output] with kind "ethernet-ip": which tags are whose, and which keys this kind does not have."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from drivers.output import BlockOutput
from edge_agent.errors import ConfigError
from edge_agent.settings import EthernetIpSettings, Settings
from edge_agent.tools.doctor.addresses import _high_registers
from edge_agent.wiring.output import make_output, make_walker
from tests.unit.test_settings_words import EXAMPLE, refusal
from tests.unit.test_settings_words import loaded as loaded_kind

if TYPE_CHECKING:
    from pathlib import Path

NAME = 'expected the name of a tag, as "AgentToPlc", "Program:MainProgram.AgentToPlc" or "Line1.AgentToPlc"'


def loaded(folder: Path, keys: str = "", source: str = "wired") -> Settings:
    return loaded_kind(folder, "ethernet-ip", keys, source)


def test_it_names_parts_and_needs_no_statement_of_a_watchdog(tmp_path: Path) -> None:
    settings = loaded(tmp_path, 'program_request = "checked"\nreject_confirm_ms = 1000', "plc")
    output = settings.output

    assert isinstance(output, EthernetIpSettings)
    assert (output.port, output.cpu_slot, output.tag, output.plc_tag) == (44_818, 0, "AgentToPlc", "PlcToAgent")
    assert (output.place, output.plc_place) == ("ethernet-ip in AgentToPlc of slot 0", "PlcToAgent")
    assert output.names_parts
    assert output.untested_watchdog() == ("", "")
    assert isinstance(make_output(settings), BlockOutput)
    assert make_walker(settings).plan()
    assert _high_registers(output) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("cpu_slot = 17", "output.cpu_slot: expected an integer between 0 and 16"),
        ("cpu_slot = -1", "output.cpu_slot: expected an integer between 0 and 16"),
        ('tag = "1A"', f'output.tag: {NAME}, without an index (got "1A")'),
        ('tag = "A[0]"', f"output.tag: {NAME}"),
        ('tag = "__A"', f"output.tag: {NAME}"),
        ('plc_tag = "Program:__M.A"', f"output.plc_tag: {NAME}"),
        ('plc_tag = ""', f"output.plc_tag: {NAME}"),
        ('inputs_tag = "In puts"', f"output.inputs_tag: {NAME}"),
        ("tag = 7", f"output.tag: {NAME}"),
        ('plc_tag = "agenttoplc"', "output.plc_tag: expected another tag than tag (got agenttoplc)"),
        ('inputs_tag = "PLCTOAGENT"', "output.inputs_tag: expected another tag than plc_tag (got PLCTOAGENT)"),
        ("mode_input = 1", "output.mode_input: needs output.inputs_tag: the tag in which the PLC gives the inputs"),
        ("first_register = 0", "output.first_register: unknown key (got 0); only output.kind = "),
        ("db = 1", 'output.db: unknown key (got 1); only output.kind = "s7" has this key'),
        ("slot = 1", "output.slot: unknown key (got 1); did you mean"),
        ("unit = 1", "output.unit: unknown key"),
        ('module = "wago-750"', "output.module: unknown key"),
    ],
)
def test_tags_that_cannot_be_are_refused_with_their_key(tmp_path: Path, keys: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, keys)

    assert message in str(caught.value)


def test_an_address_is_needed_and_inputs_may_be_far_up(tmp_path: Path) -> None:
    (found,) = EthernetIpSettings(kind="ethernet-ip").problems()

    assert found == (("output",), "name the address of the PLC, host (got none)")
    assert loaded(tmp_path, 'mode_input = 500\ninputs_tag = "Line1.Inputs"').output.mode_input == 500


def test_the_example_explains_each_key() -> None:
    explained = {word for line in EXAMPLE.splitlines() for word in re.findall(r"[a-z_]+", line)}

    assert set(EthernetIpSettings.model_fields) <= explained
    assert all(field.description for field in EthernetIpSettings.model_fields.values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
def test_a_tag_is_held_in_its_slot_alone_by_whatever_port_and_letters(tmp_path: Path) -> None:
    first = {"kind": "ethernet-ip"}

    assert "AgentToPlc of slot 0" in refusal(tmp_path, first, first)
    assert refusal(tmp_path, first, {"kind": "ethernet-ip", "keys": 'tag = "agentTOplc"\nport = 44819'})
    assert refusal(tmp_path, first, {"kind": "ethernet-ip", "keys": 'tag = "plcToAgent"\nplc_tag = "Other"'})
    assert not refusal(tmp_path, first, {"kind": "ethernet-ip", "keys": "cpu_slot = 1"})
    assert not refusal(tmp_path, first, {"kind": "ethernet-ip", "keys": 'tag = "Line2.AgentToPlc"'})
    assert not refusal(tmp_path, first, {"kind": "slmp"})
