"""deploy/install.sh into another root: offline, versions side by side, a switch that a bad version does not get."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from tests.other_user import SERVICE, folder_for_all

SHARED = "/usr/local/bin:/usr/bin"
DEPLOY = Path(__file__).parents[2] / "deploy"
_AGENT = """\
import sys
def main():
    print("edge-agent {version}")
    sys.exit({code} if sys.argv[1:2] == ["config"] else 0)
"""


def offer(folder: Path, version: str, *, config_code: int = 0, calibrates: bool = False, schema: int = 5) -> None:
    """A folder as `make offline-bundle` leaves it, with small stand-ins for the agent's wheel, and for torch.

    Each rule and document of it says its version; ``schema`` is the newest journal that this version opens.
    """
    wheels = folder / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    wheels.mkdir(parents=True)
    for name in ("install.sh", "uninstall.sh", "state_of_line.py"):
        shutil.copy(DEPLOY / name, folder)
    for source in DEPLOY.glob("edge-agent[.-]*"):
        (folder / source.name).write_text(f"{source.read_text()}# of version {version}\n")
    (folder / "doc").mkdir()
    (folder / "doc" / "README.md").write_text(f"of version {version}\n")
    files = {
        "stand_in.py": _AGENT.format(version=version, code=config_code),
        "edge_agent/store/schema.py": f"SCHEMA_VERSION = {schema}\n",
        f"edge_agent-{version}.dist-info/entry_points.txt": "[console_scripts]\nedge-agent = stand_in:main\n",
    }
    put_wheel(wheels, "edge_agent", version, files)
    add_up(wheels)
    if calibrates:
        put_wheel(folder / "calibration", "torch", "2.9.9+cpu", {"torch.py": ""})
        add_up(folder / "calibration")


def put_wheel(wheels: Path, name: str, version: str, files: dict[str, str]) -> None:
    """A wheel with these files, listed by its sha256."""
    info = f"{name}-{version}.dist-info"
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheels.mkdir(exist_ok=True)
    wheel = wheels / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file), text)  # without a time: the same files are the same wheel
    (wheels / "requirements.lock").write_text(f"{name}=={version} --hash=sha256:{sha256(wheel)}\n")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def add_up(wheels: Path) -> None:
    """SHA256SUMS of the folder as it is: who can change a wheel can change its sum."""
    files = sorted(path for path in wheels.iterdir() if path.name != "SHA256SUMS")
    (wheels / "SHA256SUMS").write_text("".join(f"{sha256(path)}  {path.name}\n" for path in files))


def install(
    folder: Path, root: Path | None, *args: str, umask: int = 0o022, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it, into another root or (None, for a dry run) into this one."""
    there = {} if root is None else {"DESTDIR": str(root)}
    return subprocess.run(
        [str(folder / "install.sh"), *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        umask=umask,
        env={**os.environ, "PIP_NO_INPUT": "1", **there, **environment},
    )


def in_use(root: Path, user: int | None = None) -> str:
    program = str(root / "opt/edge-agent/bin/edge-agent")
    return subprocess.run([program], capture_output=True, text=True, check=True, user=user, group=user).stdout.strip()


def can_import(root: Path, module: str) -> bool:
    python = (root / "opt/edge-agent/bin").resolve() / "python"  # by a link Python does not find its environment
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


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


@pytest.mark.slow
def test_the_packages_of_calibration_go_with_a_version_where_they_lie_there(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1")
    without = install(folder, root), can_import(root, "torch")
    offer(folder, "9.1", calibrates=True)
    added = install(folder, root), can_import(root, "torch")
    offer(folder, "9.2", calibrates=True)
    at_once = install(folder, root), can_import(root, "torch")

    assert [ran.returncode for ran, _ in (without, added, at_once)] == [0, 0, 0], added[0].stderr + at_once[0].stderr
    assert [is_there for _, is_there in (without, added, at_once)] == [False, True, True]
    assert in_use(root) == "edge-agent 9.2"


def test_packages_of_calibration_that_were_altered_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1", calibrates=True)
    (wheel,) = (folder / "calibration").glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"!")

    altered = install(folder, root)

    assert altered.returncode == 65
    assert f"{folder / 'calibration'} is not as it was made: copy it again" in altered.stderr
    assert not root.exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_what_root_installs_under_a_closed_umask_runs_for_the_services_user() -> None:
    if shutil.which("python3", path=SHARED) is None:
        pytest.skip("no Python here that all users share")
    with folder_for_all() as at:
        folder, root = at / "offered", at / "root"
        root.mkdir()
        offer(folder, "9.1")
        installed = install(folder, root, umask=0o077, PATH=f"{SHARED}:/bin:/usr/sbin")

        assert installed.returncode == 0, installed.stderr
        assert in_use(root, SERVICE) == "edge-agent 9.1"

        for path in (root / "opt/edge-agent", *(root / "opt/edge-agent").rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
        again = install(folder, root, umask=0o077, PATH=f"{SHARED}:/bin:/usr/sbin")

        assert again.returncode == 0, again.stderr
        assert in_use(root, SERVICE) == "edge-agent 9.1", "one that was installed so is mended"


def a_python(folder: Path) -> str:
    """A Python of this folder, for whoever may enter it."""
    link = folder / "python3"
    link.symlink_to(shutil.which("python3", path=SHARED) or sys.executable)
    return str(link)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")
@pytest.mark.parametrize("where", ["/tmp", "/dev/shm"])  # noqa: S108 - the one is hidden from the service, the other closed
def test_a_python_that_the_services_user_cannot_reach_is_refused_by_name(tmp_path: Path, where: str) -> None:
    offer(tmp_path / "offered", "9.1")
    with tempfile.TemporaryDirectory(dir=where) as closed:
        python = a_python(Path(closed))

        ran = install(tmp_path / "offered", None, "--dry-run", PYTHON=python)

    assert ran.returncode == 69, ran.stderr
    assert ("does not see" if where == "/tmp" else f"{closed} is closed to other users") in ran.stderr  # noqa: S108
    assert "PYTHON=/usr/bin/python3" in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")
def test_of_several_pythons_one_that_the_services_user_can_reach_is_taken(tmp_path: Path) -> None:
    shared = Path("/usr/bin/python3")
    if subprocess.run([shared, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode:
        pytest.skip("this machine has no such Python beside its own")
    offer(tmp_path / "offered", "9.1")
    a_python(tmp_path)

    ran = install(tmp_path / "offered", None, "--dry-run", PATH=f"{tmp_path}:{os.environ['PATH']}")

    assert ran.returncode == 0, ran.stderr
    assert "/bin/python3 -m venv /opt/edge-agent/9.1" in ran.stderr
    assert str(tmp_path / "python3") not in ran.stderr


@pytest.mark.parametrize(("option", "code"), [("--no-such", 64), ("--rollback", 69)])
def test_what_cannot_be_done_has_its_exit_code(tmp_path: Path, option: str, code: int) -> None:
    offer(tmp_path / "offered", "9.1")

    assert install(tmp_path / "offered", tmp_path / "root", option).returncode == code


def test_the_scripts_pass_shellcheck() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    scripts = [str(DEPLOY / "install.sh"), str(DEPLOY / "uninstall.sh")]
    ran = subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False)

    assert ran.stdout == ""
