"""What a new output has to be told to, and that nobody can forget it: planted into a copy, and seen to be refused."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import get_args

import pytest
from pydantic import TypeAdapter

from drivers.modbus.modules import MODULES
from edge_agent.settings import AnyOutput, ModbusCoilsSettings, OutputSettings, Settings
from edge_agent.wiring import output, simulation
from tests.unit.test_settings_output import loaded

ROOT = Path(__file__).parents[2]
_UNION = "ModbusCoilsSettings | ModbusRegistersSettings | "
_PROBE = '''

class ProbeSettings(OutputSettings):
    """[output]: planted by a test."""

    kind: Annotated[Literal["probe"], say("a probe")]
    port: Annotated[Port, say("its port")] = 9600

    @property
    def names_parts(self) -> bool:
        """It does."""
        return True

    @property
    def place(self) -> str:
        """Somewhere."""
        return "a probe"

    @property
    def shared_words(self) -> range | None:
        """All of it is held."""
        return None
'''


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in ("edge_agent", "drivers", "calibration"):
        copytree(ROOT / room, tmp_path / room, ignore=lambda _, names: [n for n in names if n == "__pycache__"])
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return tmp_path


def ran(folder: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / tool), *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def broken_contracts(folder: Path) -> str:
    """What lint-imports says of the broken ones; empty if it keeps all of them."""
    linted = ran(folder, "lint-imports", "--no-cache")
    assert "Analyzed" in linted.stdout, linted.stdout + linted.stderr
    said = linted.stdout.partition("Broken contracts")[2]
    assert bool(said) == (linted.returncode != 0)
    return said


def plant(folder: Path, text: str) -> None:
    driver = folder / "drivers" / "opcua"
    driver.mkdir(exist_ok=True)
    (driver / "__init__.py").write_text(text)


def give_it_a_place(folder: Path) -> None:
    contracts = folder / "pyproject.toml"
    text = contracts.read_text()
    assert '"andon | ' in text
    contracts.write_text(text.replace('"andon | ', '"andon | opcua | '))


def test_a_driver_without_a_place_is_refused_and_with_one_it_is_taken(copy: Path) -> None:
    plant(copy, "from drivers.output import BlockWire\n")
    assert "opcua" in broken_contracts(copy)

    give_it_a_place(copy)

    assert broken_contracts(copy) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import numpy\n", "drivers is not allowed to import numpy"),
        ("from drivers.modbus import RtuLine\n", "drivers.opcua is not allowed to import drivers.modbus"),
        (
            "from drivers.simulated.plc import SimulatedPlc\n",
            "drivers.opcua is not allowed to import drivers.simulated",
        ),
        ("from edge_agent.domain import Inspection\n", "drivers is not allowed to import edge_agent"),
    ],
    ids=["numpy", "its neighbour", "its own simulated peer", "the inspection"],
)
def test_what_a_driver_of_the_line_must_not_know_breaks_a_contract(copy: Path, text: str, words: str) -> None:
    plant(copy, text)
    give_it_a_place(copy)

    assert words in " ".join(broken_contracts(copy).split())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kind_without_its_line_is_an_error_of_mypy_at_each_table_and_nowhere_else(copy: Path) -> None:
    kinds = copy / "edge_agent" / "settings" / "outputs"
    (kinds / "probe.py").write_text(
        '"""A probe."""\n\nfrom __future__ import annotations\n\nfrom typing import Annotated, Literal\n\n'
        "from edge_agent.settings.outputs.common import OutputSettings\n"
        "from edge_agent.settings.values import Port, say\n" + _PROBE
    )
    all_kinds = (kinds / "__init__.py").read_text()
    assert _UNION in all_kinds
    all_kinds = all_kinds.replace(_UNION, f"ProbeSettings | {_UNION}").replace(
        "from edge_agent.settings.outputs.modbus import",
        "from edge_agent.settings.outputs.probe import ProbeSettings\nfrom edge_agent.settings.outputs.modbus import",
    )
    (kinds / "__init__.py").write_text(all_kinds)
    # What `make lint` has read already is not read again: a minute becomes seconds.
    if (ROOT / ".mypy_cache").is_dir():
        copytree(ROOT / ".mypy_cache", copy / ".mypy_cache")

    said = ran(copy, "mypy").stdout

    assert "ProbeSettings" in said
    found = [line.split(": error: ") for line in said.splitlines() if ": error: " in line]
    assert {Path(at.rpartition(":")[0]).name for at, _ in found} == {"output.py", "simulation.py"}, said
    assert all('"assert_never"' in what for _, what in found), said


def kinds() -> list[type[OutputSettings]]:
    found = get_args(get_args(AnyOutput)[0])
    assert ModbusCoilsSettings in found
    return list(found)


@pytest.mark.parametrize("kind", kinds())
def test_each_kind_is_made_walked_simulated_and_brought_to_reject(kind: type[OutputSettings], tmp_path: Path) -> None:
    settings = loaded(tmp_path).model_copy(update={"output": made(kind)})

    assert isinstance(settings.output, kind)
    assert hasattr(output.make_output(settings), "publish")
    assert output.make_walker(settings).plan()
    asyncio.run(brought_to_reject(settings))


async def brought_to_reject(settings: Settings) -> None:
    peer = simulation._output_peer(settings.output, 1)
    peer.port = 0
    await peer.start()
    try:
        at = settings.output.on_loopback("127.0.0.1", peer.port)
        await output.fail_safe(settings.model_copy(update={"output": at}))
        assert peer.writes == 1
    finally:
        await peer.stop()


def made(kind: type[OutputSettings]) -> OutputSettings:
    name = get_args(kind.model_fields["kind"].annotation)[0]
    # A place that has no default, as a data block's number.
    needed = dict.fromkeys((key for key, field in kind.model_fields.items() if field.is_required()), 1)
    adapter: TypeAdapter[OutputSettings] = TypeAdapter(AnyOutput)
    # Not the default of 150 ms: the peer shares this process and its cores, and nothing here is about its time.
    return adapter.validate_python(needed | {"kind": name, "host": "127.0.0.1", "write_timeout_ms": 5_000})


class Unknown(OutputSettings):
    kind: str = "unknown"
    port: int = 1

    @property
    def names_parts(self) -> bool:
        return True

    @property
    def place(self) -> str:
        return "nowhere"

    @property
    def shared_words(self) -> range | None:
        return None


def test_a_kind_that_nobody_knows_is_refused_and_drives_no_coils(tmp_path: Path) -> None:
    settings = loaded(tmp_path)

    foreign = settings.model_copy(update={"output": Unknown.model_construct(host="127.0.0.1")})
    for make in (output.make_output, output.make_walker):
        with pytest.raises(AssertionError, match="unreachable"):
            make(foreign)
    with pytest.raises(AssertionError, match="unreachable"):
        simulation._output_peer(foreign.output, 1)
    with pytest.raises(AssertionError, match="unreachable"):
        asyncio.run(output.fail_safe(foreign))


def test_the_settings_name_each_module_that_the_driver_knows() -> None:
    names = {name for one in get_args(ModbusCoilsSettings.model_fields["module"].annotation) for name in get_args(one)}

    assert names == set(MODULES)
