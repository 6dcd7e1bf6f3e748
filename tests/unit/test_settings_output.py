"""[output] and [controller]: which wires they lead to, and which places contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.modbus import CoilOutput, RegisterOutput, RtuLine
from drivers.modbus.modules import MODULES
from drivers.modbus.wires import CoilConnection
from edge_agent.errors import ConfigError
from edge_agent.settings import Settings, load_settings
from edge_agent.settings.outputs import PROVEN_MODULES
from edge_agent.wiring.controller import _dial
from edge_agent.wiring.output import make_output

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


@pytest.mark.parametrize("kept", ["first_register = 20", "plc_register = 30"])
def test_registers_without_a_kind_are_not_taken_for_coils(tmp_path: Path, kept: str) -> None:
    """Left out, the kind is coils, which have no registers: whoever names one means a PLC."""
    others = [(name, "") for name in ("first_register = 0\n", "plc_register = 8\n") if name[:5] != kept[:5]]
    own = (f"{kept.partition(' ')[0]} = {'0' if kept.startswith('first') else '8'}", kept)

    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, (f"{KIND}\n", ""), own, *others)

    assert "output.kind: missing" in str(caught.value)
    name = kept.partition(" ")[0]
    assert f'{name} is a key of "modbus-registers", "slmp" and "kv-hostlink"' in str(caught.value)
    assert "output.kind:" in caught.value.hint


def test_coils_without_a_kind_are_coils_as_they_were(tmp_path: Path) -> None:
    left_out = [(name, "") for name in (f"{KIND}\n", "first_register = 0\n", "plc_register = 8\n")]

    assert isinstance(make_output(loaded(tmp_path, *left_out)), CoilOutput)


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


@pytest.mark.parametrize("url", ["socket://192.168.20.20:4001", "rfc2217://192.168.20.20:4001", "loop://"])
def test_a_device_server_is_no_serial_port_of_an_output(tmp_path: Path, url: str) -> None:
    device = '#device = "/dev/serial/by-id/usb-FTDI_USB-RS485_Cable_FT4XYZ-if00-port0"'
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, ("#[output.serial]", "[output.serial]"), (device, f'device = "{url}"'))

    line = EXAMPLE.splitlines().index(device) + 1
    assert f"line.toml:{line}: output.serial.device: expected a serial port of this PC" in str(caught.value)
    assert "Modbus TCP is output.host" in str(caught.value)
    with pytest.raises(ValueError, match="serial port of this machine"):
        CoilConnection(url, 0, unit=1, timeout_s=0.1, on_lost=lambda: None, rtu=RtuLine())


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


STATED = (MODULE, 'watchdog_tested = 2026-11-29\nwatchdog_tested_by = "Ada Lovelace"')


@pytest.mark.parametrize(
    "changes",
    [
        [STATED],
        [(MODULE, 'module = "wago-750"')],
        [(MODULE, 'module = "beckhoff-bk9000"')],
        [(MODULE, 'module = "moxa-e1200"\nwatchdog_tested = 2026-11-29\nwatchdog_tested_by = "Ada Lovelace"')],
        [REGISTERS],
        [('kind = "cv-x"', 'kind = "simulated"')],
    ],
    ids=["tested by a person", "wago", "beckhoff", "a module that is tested", "a PLC", "simulated"],
)
def test_a_line_may_pass_parts_where_something_proves_that_pass_falls(
    tmp_path: Path, changes: list[tuple[str, str]]
) -> None:
    loaded(tmp_path, *changes)

    settings = load_settings(tmp_path / "line.toml", drives_pass=True)

    read = Settings.model_validate_json(settings.model_dump_json())
    assert read.model_dump() == settings.model_dump(), "the page and the results read it so"


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (MODULE, "nobody has said that its watchdog was tested"),
        ('module = "moxa-e1200"', 'nobody has said that the watchdog of a "moxa-e1200" was tested'),
    ],
)
def test_a_line_where_nothing_proves_that_pass_falls_may_do_all_but_pass_parts(
    tmp_path: Path, new: str, words: str
) -> None:
    loaded(tmp_path, (MODULE, new))

    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "line.toml", drives_pass=True)

    line = next(number for number, text in enumerate(EXAMPLE.splitlines(), 1) if text in (MODULE, "[output]"))
    at = line if new == MODULE else EXAMPLE.splitlines().index(MODULE) + 1
    assert f"line.toml:{at}: output.module: nothing proves that the remote I/O drops PASS" in str(caught.value)
    assert words in str(caught.value)
    assert "--watchdog" in caught.value.hint


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "watchdog_tested = 2026-11-29",
            "watchdog_tested and watchdog_tested_by go together (got no watchdog_tested_by)",
        ),
        ('watchdog_tested_by = "Ada"', "watchdog_tested and watchdog_tested_by go together (got no watchdog_tested)"),
        ('watchdog_tested = "2026-11-29"', 'expected a date without quotes, as 2026-11-29 (got "2026-11-29")'),
        ("watchdog_tested = 2026-11-29T08:00:00", "expected a date without quotes, as 2026-11-29"),
        ("watchdog_tested = true", "expected a date without quotes, as 2026-11-29 (got true)"),
    ],
)
def test_a_statement_has_a_day_and_a_name(tmp_path: Path, keys: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, (MODULE, keys))

    assert message in str(caught.value)


def test_the_settings_know_which_modules_the_driver_proves() -> None:
    assert {name for name, module in MODULES.items() if module.arming} == set(PROVEN_MODULES)
