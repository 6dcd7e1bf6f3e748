"""deploy/install.sh into another root: offline, versions side by side, a switch that a bad version does not get."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
_AGENT = """\
import sys
def main():
    print("edge-agent {version}")
    sys.exit({code} if sys.argv[1:2] == ["config"] else 0)
"""


def offer(folder: Path, version: str, *, config_code: int = 0) -> None:
    """A folder as `make offline-bundle` leaves it, with a small stand-in for the agent's wheel."""
    wheels = folder / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    wheels.mkdir(parents=True)
    for name in ("install.sh", "edge-agent.service", "edge-agent.sysusers", "edge-agent.tmpfiles", "edge-agent.rules"):
        shutil.copy(DEPLOY / name, folder)
    info = f"edge_agent-{version}.dist-info"
    files = {
        "stand_in.py": _AGENT.format(version=version, code=config_code),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: edge-agent\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedge-agent = stand_in:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = wheels / f"edge_agent-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    (wheels / "requirements.lock").write_text(f"edge_agent=={version} --hash=sha256:{sha256(wheel)}\n")
    add_up(wheels)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def add_up(wheels: Path) -> None:
    """SHA256SUMS of the folder as it is: who can change a wheel can change its sum."""
    files = sorted(path for path in wheels.iterdir() if path.name != "SHA256SUMS")
    (wheels / "SHA256SUMS").write_text("".join(f"{sha256(path)}  {path.name}\n" for path in files))


def install(folder: Path, root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DESTDIR": str(root), "PIP_NO_INPUT": "1"}
    return subprocess.run(
        [str(folder / "install.sh"), *args], capture_output=True, text=True, check=False, timeout=100, env=environment
    )


def in_use(root: Path) -> str:
    said = subprocess.run([str(root / "opt/edge-agent/bin/edge-agent")], capture_output=True, text=True, check=True)
    return said.stdout.strip()


@pytest.mark.slow
def test_versions_stand_side_by_side_and_a_line_goes_forth_and_back(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    (root / "var/lib/edge-agent").mkdir(parents=True)
    (root / "var/lib/edge-agent/journal.sqlite3").write_text("kept")
    offer(folder, "9.1")

    first, again = install(folder, root), install(folder, root)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert in_use(root) == "edge-agent 9.1"
    assert "in use already" in again.stderr
    assert (root / "etc/systemd/system/edge-agent.service").is_file()
    assert (root / "usr/lib/sysusers.d/edge-agent.conf").is_file()

    offer(folder, "9.2", config_code=78)
    (root / "etc/edge-agent").mkdir()
    (root / "etc/edge-agent/line.toml").write_text("schema_version = 1")
    refused = install(folder, root)
    assert refused.returncode == 78
    assert "the one in use stays" in refused.stderr
    assert f"{root}/opt/edge-agent/9.2/bin/edge-agent" in refused.stderr, "a hint may name what 9.1 does not have"
    assert in_use(root) == "edge-agent 9.1"

    (root / "etc/edge-agent/line.toml").unlink()
    upgraded, now = install(folder, root), in_use(root)
    back = install(folder, root, "--rollback")
    assert (upgraded.returncode, now) == (0, "edge-agent 9.2")
    assert (back.returncode, in_use(root)) == (0, "edge-agent 9.1")
    assert (root / "var/lib/edge-agent/journal.sqlite3").read_text() == "kept"

    (root / "etc/edge-agent/line.toml").write_text("schema_version = 1")
    offer(folder, "9.1")  # its environment is there: nothing is installed, the drop-in is written anew
    narrowed = install(folder, root)
    assert narrowed.returncode == 0, narrowed.stderr
    assert (root / "etc/systemd/system/edge-agent.service.d/line.conf").read_text() == "edge-agent 9.1\n"
    assert (root / "usr/lib/udev/rules.d/60-edge-agent.rules").is_file()


def test_a_dry_run_says_all_and_does_nothing(tmp_path: Path) -> None:
    offer(tmp_path / "offered", "9.1")

    ran = install(tmp_path / "offered", tmp_path / "root", "--dry-run")

    assert ran.returncode == 0, ran.stderr
    assert "would: " in ran.stderr
    assert "pip install" in ran.stderr
    assert not (tmp_path / "root").exists()


def test_wheels_that_were_altered_or_are_missing_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1")
    (wheel,) = (folder / "wheels").glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"!")
    altered = install(folder, root)
    wheel.unlink()
    missing = install(folder, root)

    assert (altered.returncode, missing.returncode) == (65, 65)
    assert "copy it again" in altered.stderr
    assert not root.exists()


@pytest.mark.slow
def test_another_wheel_under_the_same_name_is_refused_though_its_sum_was_made_anew(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1")
    listed = (folder / "wheels/requirements.lock").read_text()
    offer(folder, "9.1", config_code=1)
    (folder / "wheels/requirements.lock").write_text(listed)
    add_up(folder / "wheels")

    ran = install(folder, root)

    assert ran.returncode == 65
    assert "DO NOT MATCH THE HASHES" in ran.stderr
    assert "copy it again" in ran.stderr
    assert not (root / "opt/edge-agent/bin").exists()


@pytest.mark.slow
def test_a_wheel_that_is_needed_and_not_listed_is_not_taken(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1")
    (folder / "wheels/requirements.lock").write_text("edge_agent==9.1\n")
    add_up(folder / "wheels")

    unlisted = install(folder, root)
    (folder / "wheels/requirements.lock").unlink()
    missing = install(folder, root)

    assert (unlisted.returncode, missing.returncode) == (65, 65)
    assert "no requirements.lock" in missing.stderr
    assert not (root / "opt/edge-agent/bin").exists()


@pytest.mark.parametrize(("option", "code"), [("--no-such", 64), ("--rollback", 69)])
def test_what_cannot_be_done_has_its_exit_code(tmp_path: Path, option: str, code: int) -> None:
    offer(tmp_path / "offered", "9.1")

    assert install(tmp_path / "offered", tmp_path / "root", option).returncode == code


def test_the_script_passes_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    ran = subprocess.run([shellcheck, str(DEPLOY / "install.sh")], capture_output=True, text=True, check=False)

    assert ran.stdout == ""
