"""[output] with kind "slmp" and "kv-hostlink": which words are whose, and which keys these kinds do not have."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from drivers.output import BlockOutput
from edge_agent.errors import AlreadyRunning, ConfigError
from edge_agent.runtime.claim import claimed
from edge_agent.settings import HostLinkSettings, Settings, SlmpSettings, load_settings
from edge_agent.wiring.output import make_output

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()
OF_MODBUS = 'only output.kind = "modbus-coils" or "modbus-registers" has this key'
LINE = """\
schema_version = 1
[line]
deadline_ms = 500
min_part_spacing_ms = 2000
[images]
spool = "spool"
[images.folder]
path = "drop"
[output]
kind = "{kind}"
host = "192.0.2.77"
{keys}
[[bundle]]
program = 1
path = "bundle"
[store]
journal = "journal.sqlite3"
archive = "archive"
[trigger]
source = "{source}"
"""
KINDS = ["slmp", "kv-hostlink"]


def loaded(folder: Path, kind: str, keys: str = "", source: str = "wired") -> Settings:
    path = folder / "line.toml"
    path.write_text(LINE.format(kind=kind, keys=keys, source=source))
    path.chmod(0o640)
    return load_settings(path)


@pytest.mark.parametrize("kind", KINDS)
def test_they_name_parts_and_need_no_statement_of_a_watchdog(tmp_path: Path, kind: str) -> None:
    settings = loaded(tmp_path, kind, 'program_request = "checked"\nreject_confirm_ms = 1000', "plc")

    assert isinstance(settings.output, {"slmp": SlmpSettings, "kv-hostlink": HostLinkSettings}[kind])
    assert settings.output.names_parts
    assert settings.output.untested_watchdog() == ("", "")
    assert settings.output.port == {"slmp": 5000, "kv-hostlink": 8501}[kind]
    assert isinstance(make_output(settings), BlockOutput)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("plc_register = 7", "output.plc_register: expected a place outside the 8 words of first_register (got 7)"),
        ("first_register = 5", "output.plc_register: expected a place outside the 8 words of first_register (got 8)"),
        ("first_register = 65535", "output.first_register: expected at most 655"),
        ("plc_register = 65533", "output.plc_register: expected at most 655"),
        ("mode_input = 1", "output.mode_input: needs output.inputs_register: the word D"),
        ("mode_input = 1\ninputs_register = 12", "output.inputs_register: expected a place outside the 5 words of"),
        ("mode_input = 17\ninputs_register = 65535", "output.inputs_register: expected at most 6553"),
        ("unit = 1", f"output.unit: unknown key (got 1); {OF_MODBUS}"),
        ("first_coil = 0", f"output.first_coil: unknown key (got 0); {OF_MODBUS}"),
        ('module = "wago-750"', f'output.module: unknown key (got "wago-750"); {OF_MODBUS}'),
        ("db = 5", 'output.db: unknown key (got 5); only output.kind = "s7" has this key'),
    ],
)
def test_words_that_cannot_be_are_refused_with_their_key(tmp_path: Path, kind: str, keys: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, kind, keys)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "keys", "hint"),
    [
        ("slmp", "first_register = -1", "output.first_register: number of the first of the eight words"),
        ("kv-hostlink", "plc_register = 3", "output.plc_register: number of the first of the five words"),
        ("slmp", 'port = "x"', "output.port: its TCP port for SLMP (MC protocol), 3E, binary, 5000 if it is left out"),
        ("kv-hostlink", 'port = "x"', "output.port: its TCP port for host link, 8501 if it is left out"),
        ("modbus-registers", "first_register = -1", "output.first_register: zero-based address of the block"),
        ("no-such-kind", "", "output.kind: coils of a remote I/O, or a block of words"),
    ],
)
def test_a_hint_speaks_of_the_device_that_the_file_names(tmp_path: Path, kind: str, keys: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, kind, keys)

    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_take_as_many_words_as_they_need(tmp_path: Path, kind: str) -> None:
    settings = loaded(tmp_path, kind, "first_register = 2\nplc_register = 10\nmode_input = 31\ninputs_register = 0")

    assert settings.output.mode_input == 31


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_is_needed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "line.toml"
    path.write_text(LINE.format(kind=kind, keys="", source="wired").replace('host = "192.0.2.77"\n', ""))
    path.chmod(0o640)

    with pytest.raises(ConfigError, match="name the address of the PLC, host"):
        load_settings(path)


@pytest.mark.parametrize("settings", [SlmpSettings, HostLinkSettings])
def test_the_example_explains_each_of_their_keys(settings: type[SlmpSettings]) -> None:
    explained = {word for line in EXAMPLE.splitlines() for word in re.findall(r"[a-z_]+", line)}

    assert set(settings.model_fields) <= explained
    assert all(field.description for field in settings.model_fields.values())


def refusal(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> str:
    """Why the second is refused while the first is there; empty if both are let in."""
    try:
        with claimed(loaded(folder, **first).output), claimed(loaded(folder, **second).output):
            return ""
    except AlreadyRunning as err:
        return str(err)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_one_whatever_port_of_the_plc_leads_there(tmp_path: Path, kind: str) -> None:
    first = {"kind": kind}

    assert "another edge-agent drives the output" in refusal(tmp_path, first, {"kind": kind, "keys": "port = 5001"})
    assert refusal(tmp_path, first, {"kind": "slmp", "keys": "port = 5001\nfirst_register = 7\nplc_register = 20"})
    assert not refusal(tmp_path, first, {"kind": kind, "keys": "port = 5001\nfirst_register = 20\nplc_register = 30"})


COILS = {"kind": "modbus-coils", "keys": "watchdog_tested = 2026-11-29\nwatchdog_tested_by = 'A. Person'"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
@pytest.mark.parametrize("kind", [*KINDS, "modbus-registers"])
@pytest.mark.parametrize("keys", ["first_register = 12\nplc_register = 20", "first_register = 1\nplc_register = 9"])
def test_a_block_over_words_that_the_plc_writes_for_another_agent_is_refused(
    tmp_path: Path, kind: str, keys: str
) -> None:
    """The other agent would take its counters, its heartbeat and its program from what this one writes."""
    first, second = {"kind": kind, "keys": "first_register = 1\nplc_register = 9"}, {"kind": kind, "keys": keys}

    for one, other in ((first, second), (second, first)):
        assert "another edge-agent" in refusal(tmp_path, one, other)
    beside = {"kind": kind, "keys": "first_register = 14\nplc_register = 9"}
    assert not refusal(tmp_path, first, beside)  # both may read the same words
    assert not refusal(tmp_path, beside, first)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
def test_a_block_over_words_of_inputs_is_refused_and_another_data_block_is_another_place(tmp_path: Path) -> None:
    inputs = {"kind": "slmp", "keys": "mode_input = 17\ninputs_register = 40"}
    assert refusal(tmp_path, inputs, {"kind": "kv-hostlink", "keys": "first_register = 41\nplc_register = 60"})
    assert not refusal(tmp_path, inputs, {"kind": "kv-hostlink", "keys": "first_register = 42\nplc_register = 60"})
    data_block = {"kind": "s7", "keys": "db = 5"}
    assert refusal(tmp_path, data_block, {"kind": "s7", "keys": "db = 5\nfirst_byte = 24\nplc_byte = 60"})
    assert not refusal(tmp_path, data_block, {"kind": "s7", "keys": "db = 5\nfirst_byte = 26\nplc_byte = 60"})
    assert not refusal(tmp_path, data_block, {"kind": "s7", "keys": "db = 6\nfirst_byte = 24\nplc_byte = 60"})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
@pytest.mark.parametrize("kind", KINDS)
def test_coils_of_a_plc_and_a_block_of_its_words_are_not_driven_by_two_agents(tmp_path: Path, kind: str) -> None:
    for one, other in ((COILS, {"kind": kind}), ({"kind": kind}, COILS)):
        assert "another edge-agent drives the output" in refusal(tmp_path, one, other)
    for one, other in ((COILS, {"kind": kind}), ({"kind": kind}, COILS)):
        with (
            claimed(loaded(tmp_path, **one).output.on_loopback("127.0.0.1", 5000)),
            claimed(loaded(tmp_path, **other).output.on_loopback("127.0.0.1", 5001)),
        ):
            pass  # two simulated devices of this PC


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
def test_simulated_plcs_of_this_pc_are_told_apart_by_their_ports(tmp_path: Path) -> None:
    with (
        claimed(loaded(tmp_path, "slmp").output.on_loopback("127.0.0.1", 5000)),
        claimed(loaded(tmp_path, "slmp").output.on_loopback("127.0.0.1", 5001)),
    ):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux' abstract namespace")
def test_of_inputs_far_up_no_more_is_held_than_the_words_with_one(tmp_path: Path) -> None:
    """An agent that is started by hand may open 1024 files: each word that is held is one."""
    keys = "part_present_input = 65000\nmode_input = 3\ninputs_register = 40"
    far, near = {"kind": "slmp", "keys": keys}, {"kind": "slmp", "keys": "first_register = 4000\nplc_register = 8000"}
    output = loaded(tmp_path, **far).output
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))
    try:
        with claimed(output):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "overlap" in refusal(tmp_path, far, {"kind": "slmp", "keys": "first_register = 4100"})  # 65000 is in 4102
    assert "overlap" in refusal(tmp_path, far, {"kind": "slmp", "keys": "first_register = 40"})
    assert not refusal(tmp_path, far, near)
