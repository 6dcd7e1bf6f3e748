"""deploy/requirements.lock: all that a line PC runs, each file by its hash, at the versions that are tested here."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "deploy/requirements.lock").read_text()
PINS = {canonicalize_name(r.name): r for r in map(Requirement, re.findall(r"^([a-z0-9].*?) \\$", LOCK, re.MULTILINE))}
OF_LINUX = {name: r for name, r in PINS.items() if "win32" not in str(r.marker)}
PYTHONS = ("3.11", "3.12", "3.13")


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for on a line PC, with results to a broker and workbooks for Excel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [
        Requirement(text) for text in (*project["dependencies"], *extras["mqtt"], *extras["sparkplug"], *extras["xlsx"])
    ]


def linux(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
        "extra": "",
    }


def test_every_requirement_of_the_agent_is_locked_at_a_version_that_it_takes() -> None:
    for requirement in wanted():
        (pin,) = PINS[canonicalize_name(requirement.name)].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), requirement


def test_the_versions_are_those_of_constraints_txt() -> None:
    tested = {canonicalize_name(r.name): r for r in map(Requirement, (ROOT / "constraints.txt").read_text().split())}

    assert {name: r.specifier for name, r in OF_LINUX.items()} == {name: tested[name].specifier for name in OF_LINUX}


def test_what_is_locked_needs_nothing_that_is_not() -> None:
    """By what the installed packages say of themselves: pip would refuse the whole file for one that is missing."""
    for python in PYTHONS:
        for name, pin in OF_LINUX.items():
            if pin.marker is not None and not pin.marker.evaluate(linux(python)):
                continue
            try:
                needs = [Requirement(text) for text in requires(name) or ()]
            except PackageNotFoundError:  # of another Python than this
                continue
            for need in needs:
                if need.marker is None or need.marker.evaluate(linux(python)):
                    found = PINS[canonicalize_name(need.name)]
                    assert found.marker is None or found.marker.evaluate(linux(python)), (python, name, need.name)


def test_every_entry_has_hashes_and_nothing_names_an_index() -> None:
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]

    assert len(entries) == len(PINS)
    assert all(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries)
    assert "://" not in LOCK
    assert "index" not in LOCK


def test_what_only_calibration_needs_is_not_locked() -> None:
    """Whoever calibrates brings torch from an index, or a file, of their own."""
    assert not {"torch", "onnx", "keras"} & set(PINS)
