"""The files that an installation starts from: the unit verifies, the example explains every key there is."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import AlreadyRunning, BundleRejected, ConfigError, UsageError
from edge_agent.settings import Settings, load_settings, settings_json_schema
from tests.command_line import edge_agent_here

if TYPE_CHECKING:
    from collections.abc import Callable

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = DEPLOY / "line.example.toml"
UNIT = DEPLOY / "edge-agent.service"
SCHEMA = settings_json_schema()


def switched_on(text: str) -> str:
    """The example with every key that is switched off switched on."""
    return re.sub(r"^#(?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)


def keys_of_document(table: dict[str, Any], at: str = "") -> set[str]:
    found = set()
    for name, value in table.items():
        inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
        found |= keys_of_document(inner, f"{at}{name}.") if isinstance(inner, dict) else {f"{at}{name}"}
    return found


def inner_table(prop: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the table that a key stands for; None for a plain key."""
    choices = [prop, prop.get("items", {}), *prop.get("anyOf", []), *prop.get("oneOf", [])]
    reference = next((choice["$ref"] for choice in choices if "$ref" in choice), None)
    table: dict[str, Any] | None = reference and SCHEMA["$defs"][reference.rsplit("/", 1)[-1]]
    return table


def keys_of_schema(node: dict[str, Any], at: str = "") -> dict[str, Any]:
    """Every key with its default, None for a key that has none."""
    found: dict[str, Any] = {}
    for name, prop in node["properties"].items():
        inner = inner_table(prop)
        found |= keys_of_schema(inner, f"{at}{name}.") if inner else {f"{at}{name}": prop.get("default")}
    return found


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)  # a unit may name a key twice
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_the_example_loads() -> None:
    settings = load_settings(EXAMPLE)

    assert settings.schema_version == 1
    assert settings.images.ftp is not None


def test_the_example_has_every_key_of_the_models() -> None:
    document = tomllib.loads(switched_on(EXAMPLE.read_text()))

    assert keys_of_document(document) == set(keys_of_schema(SCHEMA))


def test_every_key_of_the_example_stands_under_a_comment() -> None:
    lines = switched_on(EXAMPLE.read_text()).splitlines()
    wrong = []
    for at, line in enumerate(lines):
        if re.match(r"[a-z_]+ = |\[", line):
            comment: list[str] = []
            while lines[at - 1 - len(comment)].startswith("# "):
                comment.append(lines[at - 1 - len(comment)])
            if not comment:
                wrong.append(line)

    assert wrong == []


def test_the_defaults_that_the_example_tells_are_the_models_own() -> None:
    told: dict[str, Any] = {}
    table, said = "", ""
    for line in switched_on(EXAMPLE.read_text()).splitlines():
        if header := re.match(r"\[+([a-z.]+)\]+", line):
            table = header[1] + "."
        elif line.startswith("#"):
            said += " " + line.lstrip("# ")
        elif key := re.match(r"([a-z_]+) = ", line):
            default = re.search(r"\bDefault (.+?)(?:\.$|, which)", said)
            told[table + key[1]] = tomllib.loads(f"v = {default[1]}")["v"] if default else None
            said = ""
        else:
            said = ""

    assert told == keys_of_schema(SCHEMA)


def test_switching_the_folder_on_names_both_sources_as_the_contradiction(tmp_path: Path) -> None:
    path = tmp_path / "line.toml"
    path.write_text(switched_on(EXAMPLE.read_text()))

    with pytest.raises(ConfigError, match=r"images\.folder: name exactly one source of images"):
        load_settings(path)


def test_every_key_of_the_models_has_a_description() -> None:
    schema = settings_json_schema()
    silent = [
        f"{title}.{name}"
        for title, node in [("Settings", schema), *schema["$defs"].items()]
        for name, prop in node["properties"].items()
        if not prop.get("description") and not {"$ref", "oneOf"} & set(prop)
    ]

    assert silent == []


def test_the_unit_verifies_and_its_exposure_stays_low(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/edge-agent/bin/edge-agent", "/bin/true"))

    verified = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True, check=False)
    exposure = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposure.returncode == 0, exposure.stdout


@pytest.mark.parametrize("unit_name", ["edge-agent-backup", "edge-agent-export"])
def test_what_a_timer_starts_verifies_and_its_exposure_stays_low(tmp_path: Path, unit_name: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for name in (f"{unit_name}.service", f"{unit_name}.timer"):
        text = (DEPLOY / name).read_text().replace("/opt/edge-agent/bin/edge-agent", "/bin/true")
        (tmp_path / name).write_text(text)
    service = str(tmp_path / f"{unit_name}.service")

    verified = subprocess.run(
        [analyze, "verify", service, str(tmp_path / f"{unit_name}.timer")],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", service], capture_output=True, text=True, check=False
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposure.returncode == 0, exposure.stdout


def test_the_nightly_backup_runs_a_command_that_there_is() -> None:
    lines = (DEPLOY / "edge-agent-backup.service").read_text().splitlines()
    (run,) = [line.removeprefix("ExecStart=").split()[1:] for line in lines if line.startswith("ExecStart=")]
    words = [{"${BACKUP_FOLDER}": "/nowhere", "${BACKUP_KEEP}": "14"}.get(word, word) for word in run]

    said = edge_agent_here(*words)

    assert (said.code, "is no folder" in said.err) == (64, True), said.err


def test_the_export_of_a_timer_runs_a_command_that_there_is(tmp_path: Path) -> None:
    lines = (DEPLOY / "edge-agent-export.service").read_text().splitlines()
    (run,) = [line.removeprefix("ExecStart=").split()[1:] for line in lines if line.startswith("ExecStart=")]
    words = [{"${STORE}": "/nowhere", "/etc/edge-agent/line.toml": str(EXAMPLE)}.get(word, word) for word in run]

    said = edge_agent_here(*words)

    assert (said.code, "no folder /nowhere" in said.err) == (69, True), said.err


def test_the_unit_restarts_without_end_but_not_on_errors_that_a_restart_keeps() -> None:
    service = unit()["Service"]

    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert service["WatchdogSec"] == "2"
    assert (service["Restart"], service["RestartSec"]) == ("always", "0.25")
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"
    permanent = {UsageError.exit_code, BundleRejected.exit_code, ConfigError.exit_code}
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == permanent
    assert AlreadyRunning.exit_code not in permanent


def test_the_unit_writes_reject_after_the_agent_is_gone_with_the_same_settings() -> None:
    service = unit()["Service"]
    run, after = service["ExecStart"], service["ExecStopPost"]

    assert run.split()[1:] == ["run", "--config", "/etc/edge-agent/line.toml"]
    assert after.lstrip("-").split() == [run.split()[0], "output", "fail-safe", *run.split()[2:]]


def test_the_unit_has_no_privilege_and_no_end_of_line_comment() -> None:
    service = unit()["Service"]

    assert service["User"] == "edge-agent"
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert not [value for value in service.values() if "#" in value]


def test_every_path_of_the_example_may_be_written_under_the_unit() -> None:
    settings: Settings = load_settings(EXAMPLE)
    state = Path("/var/lib") / unit()["Service"]["StateDirectory"]

    for path in (settings.images.spool, settings.store.journal, settings.store.archive):
        assert path.is_relative_to(state)


@pytest.mark.promise("T-22u", "exposure of the unit (systemd-analyze security)", "2.0 or less")
def test_the_units_exposure_is_told(figure: Callable[[str], None]) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    said = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)], capture_output=True, text=True, check=True
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said.stdout)

    assert found
    assert float(found[1]) <= 2.0
    figure(found[1])


def test_the_page_and_the_publishing_may_step_back_behind_the_inspection() -> None:
    """@resources holds both calls; without them the page ended with PermissionError, in the unit alone."""
    filters = [
        row.split("=", 1)[1].split() for row in UNIT.read_text().splitlines() if row.startswith("SystemCallFilter=")
    ]

    assert filters.index(["setpriority", "sched_setscheduler"]) > filters.index(["~@privileged", "@resources"])


def test_the_unit_hides_nothing_that_the_agent_reads() -> None:
    """ProcSubset=pid would take /proc/sys, and with it the boot that each row's monotonic times belong to."""
    assert "ProcSubset" not in unit()["Service"]


def test_the_user_and_the_folders_that_the_unit_names_are_made() -> None:
    service = unit()["Service"]
    user = (DEPLOY / "edge-agent.sysusers").read_text().splitlines()[-1].split()
    made = [line.split() for line in (DEPLOY / "edge-agent.tmpfiles").read_text().splitlines() if line[0] == "d"]
    state = f"/var/lib/{service['StateDirectory']}"

    assert user[:2] == ["u", service["User"]]
    assert [folder[1:5] for folder in made] == [
        [state, service["StateDirectoryMode"], service["User"], service["Group"]],
        [f"{state}/bundles", service["StateDirectoryMode"], service["User"], service["Group"]],
        ["/etc/edge-agent", "0750", "root", service["Group"]],
    ]
