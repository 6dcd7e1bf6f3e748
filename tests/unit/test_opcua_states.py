"""What the OPC UA server says of the line: never better than it is. Settings, and what happens without the library."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import util
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from edge_agent.domain import Published, Reason, Verdict
from edge_agent.errors import ConfigError
from edge_agent.feed.current import SeenPart
from edge_agent.opcua.certificates import own_certificate, trusted_clients
from edge_agent.opcua.keeper import keep_opcua
from edge_agent.opcua.library import need_library
from edge_agent.opcua.results import RESULT_FIELDS, result_of, severity_of
from edge_agent.opcua.states import VisionState, vision_state
from edge_agent.settings import load_settings
from edge_agent.store.rows import PublicationRow
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.opcua import opcua_server
from edge_agent.tools.systemd_unit import unit_drop_in
from tests.opcua_site import NEEDS_ASYNCUA, identity, opcua_settings, ready
from tests.security.web_site import agent_state, part_row

if TYPE_CHECKING:
    from pathlib import Path


def state(**changes: Any) -> VisionState:
    return vision_state(agent_state().model_copy(update=changes), is_heard=True)


def test_operational_means_that_the_inspection_decides_and_its_pass_reaches_the_output() -> None:
    assert (state(state="READY").state, state(state="READY").mode) == ("Operational", "Ready")
    assert (state(state="BUSY").state, state(state="BUSY").mode) == ("Operational", "SingleExecution")
    assert state(state="READY", is_dry_run=True).state == "Halted"
    assert state(state="BUSY", bypass="Ada, until 10:15").state == "Halted"
    assert "Ada" in state(state="BUSY", bypass="Ada, until 10:15").words
    assert state(state="READY", locked="the line is locked: overdue").state == "Halted"
    assert state(state="READY", locked="the line is locked: overdue").words == "the line is locked: overdue"


@pytest.mark.parametrize("word", ["FAULT", "", "SOMETHING NEW"])
def test_whatever_is_neither_ready_nor_busy_is_an_error_also_in_a_dry_run(word: str) -> None:
    assert state(state=word, is_dry_run=True, bypass="Ada").state == "Error"


def test_an_error_says_which_conditions_do_not_hold() -> None:
    found = vision_state(agent_state(output="no answer").model_copy(update={"state": "FAULT"}), is_heard=True)

    assert found == VisionState("Error", "", "output: no answer")


def test_an_agent_that_is_silent_is_never_operational() -> None:
    assert vision_state(None, is_heard=False).state == "Preoperational"
    assert vision_state(agent_state(), is_heard=False).state == "Error"


def test_a_result_has_each_field_and_no_number_where_there_is_none() -> None:
    row = replace(
        part_row(3), verdict=Verdict.FAULT, reason=Reason.NO_IMAGE, score=None, limit=None, count=None, program=None
    )
    found = result_of(SeenPart(row, None), "")
    passed = result_of(SeenPart(part_row(4), PublicationRow(4, Published.PUBLISHED, 1.0, "")), "c0ffee")

    assert list(found) == [field.name for field in RESULT_FIELDS]
    assert (found["ResultState"], found["PartId"], found["ExternalRecipeId"], found["Published"]) == (4, "", "", "")
    assert math.isnan(found["Score"])
    assert math.isnan(found["Limit"])
    assert (passed["ResultState"], passed["Published"], passed["InternalConfigurationId"]) == (1, "PUBLISHED", "c0ffee")
    assert severity_of(SeenPart(row, None)) > severity_of(SeenPart(part_row(4), None))


async def test_without_the_library_the_log_says_what_to_install_and_the_agent_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = opcua_settings(tmp_path, 4840)
    real = util.find_spec
    monkeypatch.setattr(
        "edge_agent.opcua.library.find_spec", lambda name: None if name == "asyncua" else real(name), raising=True
    )
    with capture_logs() as logs:
        async with keep_opcua(settings, ready, ()):
            pass

    (line,) = logs
    assert (line["event"], line["why"]) == (
        "opcua_not_started",
        "line.toml has [opcua], and the OPC UA library is not installed",
    )
    assert "pip install 'edge-agent[opcua]'" in line["hint"]
    finding = opcua_server(Site(tmp_path / "line.toml", settings))
    assert (finding.result, finding.fix) == (Result.FAIL, line["hint"])


@pytest.mark.slow
def test_the_agent_imports_no_opc_ua_library() -> None:
    code = "import sys, edge_agent.wiring.agent, edge_agent.tools.doctor; sys.exit('asyncua' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'anonymous = "read"\n[[opcua.user]]\nname = "mes"\npassword_file = "mes_password"',
            'anonymous = "no"',
            "nobody",
        ),
        (
            "[[opcua.user]]",
            '[[opcua.user]]\nname = "mes"\npassword_file = "x"\n[[opcua.user]]',
            "a second [[opcua.user]]",
        ),
        ("port = 4840", "port = 2121", "expected a port of its own (got 2121, which is images.ftp.port)"),
        ("port = 4840", 'port = "4840"', "expected an integer"),
        ('anonymous = "read"', 'anonymous = "write"', 'expected one of "read", "no"'),
        ("port = 4840", "port = 4840\nhost = '239.0.0.1'", "an address of this PC"),
        ('trusted_clients = "clients"', "", "trusted_clients"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    opcua_settings(tmp_path, 4840)
    path = tmp_path / "line.toml"
    text = path.read_text()
    ftp = text.index("[images.")
    text = text[:ftp] + '[images.ftp]\npassword_file = "web_token"\n' + text[text.index("[output]") :]
    assert old in text
    path.write_text(text.replace(old, new))

    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert said in str(caught.value)


def test_the_units_drop_in_lets_opc_ua_clients_in_where_they_come_from_other_pcs(tmp_path: Path) -> None:
    settings = opcua_settings(tmp_path, 4840)
    assert settings.opcua is not None
    outside = settings.model_copy(update={"opcua": settings.opcua.model_copy(update={"host": "10.20.1.7"})})

    assert "10.0.0.0/8" not in unit_drop_in(settings)
    assert "opcua.host is 10.20.1.7: OPC UA clients may come from any private address." in unit_drop_in(outside)


def test_files_of_the_certificate_that_are_wrong_are_named(tmp_path: Path) -> None:
    settings = opcua_settings(tmp_path, 4840).opcua
    assert settings is not None
    stranger = identity(tmp_path / "pki", "stranger")
    later = datetime.now(UTC) + timedelta(days=3)
    assert own_certificate(settings).uri == "urn:test:server"
    with pytest.raises(ConfigError, match="is not the key of"):
        own_certificate(settings.model_copy(update={"key_file": stranger.key}))
    with pytest.raises(ConfigError, match="not today"):
        own_certificate(settings, later)
    with pytest.raises(ConfigError, match="no certificate in PEM form"):
        own_certificate(settings.model_copy(update={"certificate_file": stranger.key}))
    stranger.key.chmod(0o644)
    with pytest.raises(ConfigError, match="everyone on this PC may read or change the key"):
        own_certificate(
            settings.model_copy(update={"certificate_file": stranger.certificate, "key_file": stranger.key})
        )
    assert len(trusted_clients(settings.trusted_clients)) == 1
    assert trusted_clients(settings.trusted_clients, later) == frozenset()
    (settings.trusted_clients / "notes.txt").write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"notes\.txt: no certificate"):
        trusted_clients(settings.trusted_clients)
    with pytest.raises(ConfigError, match="cannot be read"):
        trusted_clients(tmp_path / "nowhere")


@NEEDS_ASYNCUA
def test_the_doctor_says_whether_the_server_could_start(tmp_path: Path) -> None:
    settings = opcua_settings(tmp_path, 4840)
    need_library()
    site = Site(tmp_path / "line.toml", settings)
    soon = opcua_server(site)  # the certificates of a test live for two days
    (tmp_path / "mes_password").unlink()
    unreadable = opcua_server(site)

    assert (soon.result, "expires on" in soon.evidence) == (Result.WARN, True)
    assert (unreadable.result, "mes_password" in unreadable.evidence) == (Result.FAIL, True)
    assert opcua_server(Site(tmp_path / "line.toml", settings.model_copy(update={"opcua": None}))).result is Result.OK
