"""Keys that a command puts into line.toml: on their lines, and nothing else of the file changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge_agent.settings import load_settings, put_keys

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()
KEYS = {"watchdog_tested": "2026-11-29", "watchdog_tested_by": '"Ada"'}


def written(folder: Path, text: str) -> Path:
    path = folder / "line.toml"
    path.write_bytes(text.encode())
    path.chmod(0o640)
    return path


def changed_lines(before: str, path: Path) -> list[str]:
    old = before.split("\n")
    new = path.read_bytes().decode().split("\n")
    assert [line for line in new if line in old] == [line for line in old if line in new]
    return [line for line in new if line not in old]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_keys_behind_a_hash_are_put_in_their_place(tmp_path: Path, end: str, mark: str) -> None:
    text = mark + EXAMPLE.replace("\n", end)
    path = written(tmp_path, text)

    assert put_keys(path, "output", KEYS)
    assert put_keys(path, "output", {"watchdog_tested": "2026-12-01", "watchdog_tested_by": '"Ada Lovelace"'})

    returned = end.removesuffix("\n")
    assert changed_lines(text, path) == [
        f"watchdog_tested = 2026-12-01{returned}",
        f'watchdog_tested_by = "Ada Lovelace"{returned}',
    ]
    assert len(path.read_bytes().decode().split("\n")) == len(text.split("\n"))
    output = load_settings(path, drives_pass=True).output
    assert (str(output.watchdog_tested), output.watchdog_tested_by) == ("2026-12-01", "Ada Lovelace")


def test_a_file_without_them_gets_them_below_the_header_and_keeps_mode_and_link(tmp_path: Path) -> None:
    text = "[a]\nx = 1\n\n [output]  # of line 3\n\thost = '''\n[output]\n'''\n# ü\n[output.serial]\ny = 2"
    path, link = written(tmp_path, text), tmp_path / "link.toml"
    link.symlink_to(path.name)
    path.chmod(0o604)

    assert put_keys(link, "output", KEYS)

    header = " [output]  # of line 3\n"
    assert path.read_text() == text.replace(
        header, header + 'watchdog_tested = 2026-11-29\nwatchdog_tested_by = "Ada"\n'
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert link.is_symlink()
    assert [found.name for found in tmp_path.iterdir() if found.name.startswith(".")] == []


@pytest.mark.parametrize(
    "text",
    [
        'output = { host = "x" }\n',
        'output.host = "x"\n',
        "[a]\nx = '''\n[output]\n'''\n",
        "[output]\nwatchdog_tested_by = '''\nAda\n'''\n",
    ],
    ids=["inline", "dotted", "a header inside a text", "a value on many lines"],
)
def test_a_file_that_cannot_take_them_so_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)

    assert not put_keys(path, "output", KEYS)

    assert path.read_text() == text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = written(tmp_path, "[output]\n")
    os.chown(path, 1, 2)

    assert put_keys(path, "output", KEYS)

    assert (path.stat().st_uid, path.stat().st_gid) == (1, 2)


def test_a_disk_that_refuses_leaves_the_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "[output]\n")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put_keys(path, "output", KEYS)

    assert path.read_text() == "[output]\n"
    assert [found.name for found in tmp_path.iterdir()] == ["line.toml"]
