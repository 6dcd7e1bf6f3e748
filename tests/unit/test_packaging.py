"""The wheel holds exactly three packages, no module of the line imports torch, and the sources have the documents."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_exactly_the_three_packages(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}

    assert top == {"calibration", "drivers", "edge_agent"}
    assert "edge_agent/py.typed" in names


@pytest.mark.slow
def test_the_source_archive_holds_what_the_documents_are_built_of(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "mkdocs.yml", "constraints.txt", "tests/documents/site.py", "drivers/modbus/PROTOCOL.md"}

    assert wanted | {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.*")} <= names


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["cvx", "commands"], ["version"], ["doctor", "--help"], ["journal", "query", "--help"]]
)
def test_a_command_loads_only_what_it_needs(command: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['edge-agent', *{command!r}]\n"
        "from edge_agent.commands.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'onnxruntime', 'cv2', 'numpy', 'sklearn', 'matplotlib', 'starlette'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_the_line_side_never_imports_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import edge_agent.wiring.agent, edge_agent.web.process\n"
        "heavy = {'onnx', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "import edge_agent.tools.replay\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


OF_EXTRAS = {
    "asyncua",
    "dask",
    "distributed",
    "duckdb",
    "fsspec",
    "paho",
    "psycopg",
    "pyarrow",
    "sqlalchemy",
    "xlsxwriter",
}


def test_what_a_plant_needs_is_no_part_of_a_line_pcs_installation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower() for text in project["dependencies"]}
    assert names & {*OF_EXTRAS, "paho-mqtt", "protobuf"} == set()


@pytest.mark.parametrize(
    "started",
    [
        "edge_agent.wiring.agent",
        "edge_agent.web.process",
        "edge_agent.publishing.process",
        "edge_agent.fleet_line.process",
        "edge_agent.commands.main",
    ],
)
def test_what_the_service_starts_imports_nothing_of_an_extra(started: str) -> None:
    code = f"import sys, {started}; sys.exit(' '.join({OF_EXTRAS!r} & set(sys.modules)) or 0)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), "imported"


def test_every_package_that_is_asked_for_has_one_version() -> None:
    """Else two machines may test two things, and a release of somebody else may break a green tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[^A-Za-z0-9._-]", text)[0].lower().replace("_", "-") for text in asked} - {"edge-agent"}
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }

    assert names - pinned == set()
