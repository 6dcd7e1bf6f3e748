"""[output] and [controller]: which wires they lead to, and which places contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.modbus import CoilOutput, RegisterOutput
from edge_agent.app import _dial
from edge_agent.errors import ConfigError
from edge_agent.output import make_output
from edge_agent.settings import Settings, load_settings

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()


def loaded(tmp_path: Path, *changes: tuple[str, str]) -> Settings:
    text = EXAMPLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "line.toml"
    path.write_text(text)
    path.chmod(0o640)
    return load_settings(path)


KIND = 'kind = "modbus-coils"'
REGISTERS = (KIND, 'kind = "modbus-registers"')


def test_each_kind_of_output_is_made(tmp_path: Path) -> None:
    assert isinstance(make_output(loaded(tmp_path)), CoilOutput)
    assert isinstance(make_output(loaded(tmp_path, REGISTERS)), RegisterOutput)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('host = "192.168.20.20"\n', "", "output: name the way to the output"),
        ("first_register = 0", "first_register = 65529", "output.first_register: expected at most 65528"),
        ("plc_register = 8", "plc_register = 65532", "output.plc_register: expected at most 65531"),
        ("plc_register = 8", "plc_register = 7", "output.plc_register: expected a place outside the eight registers"),
        ("plc_register = 8", "plc_register = 0", "output.plc_register: expected a place outside the eight registers"),
        ("first_register = 0", "first_register = 12", "output.plc_register: expected a place outside"),
        ('source = "wired"', 'source = "plc"', 'trigger.source: source "plc" needs output.kind'),
        ('program_request = "ignored"', 'program_request = "checked"', 'output.program_request: "checked" needs'),
    ],
)
def test_places_that_cannot_be_are_refused_on_their_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, (old, new))

    assert message in str(caught.value)


def test_a_serial_line_takes_the_place_of_the_network(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        ('host = "192.168.20.20"\n', ""),
        ("#[output.serial]", "[output.serial]"),
        ('#device = "/dev/serial/by-id/usb-FTDI_USB-RS485', 'device = "/dev/serial/by-id/usb-FTDI_USB-RS485'),
        ("#[controller.serial]", "[controller.serial]"),
        ('#url = "/dev', 'url = "/dev'),
        ("#allowed_peers", "allowed_peers"),
    )

    assert settings.output.serial is not None
    assert isinstance(make_output(settings), CoilOutput)
    assert _dial(settings.controller)[1].startswith("controller /dev/serial/by-id/")


MODULE = '#module = "wago-750"'


def test_a_module_that_cannot_carry_pass_at_this_spacing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shortest watchdog is 5000 ms"):
        make_output(loaded(tmp_path, (MODULE, 'module = "icp-et7000"')))


def test_a_module_that_can_be_proven_is_taken(tmp_path: Path) -> None:
    wago = (MODULE, 'module = "wago-750"')

    assert isinstance(make_output(loaded(tmp_path, wago, ("first_coil = 0", "first_coil = 512"))), CoilOutput)
    with pytest.raises(ConfigError, match="a read of coil 0 gives an input") as caught:
        make_output(loaded(tmp_path, wago))
    assert "512" in caught.value.hint
