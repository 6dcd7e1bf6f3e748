"""Loading line.toml: the file itself, its encoding and syntax, its paths; and the index of lines."""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import ConfigError
from edge_agent.settings import load_settings, read_password, settings_json_schema
from edge_agent.settings.lines import LineIndex

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return str(caught.value)


def written(tmp_path: Path, content: str | bytes, mode: int = 0o640) -> Path:
    path = tmp_path / "line.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_relative_paths_start_at_the_folder_of_the_file_and_absolute_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, EXAMPLE.replace('"/var/lib/edge-agent/spool"', '"spool"'))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    monkeypatch.chdir(elsewhere)
    loaded = load_settings(Path("../line.toml"))

    assert loaded.images.spool.resolve() == tmp_path / "spool"
    assert loaded.images.spool.is_absolute()
    assert loaded.store.archive == Path("/var/lib/edge-agent/archive")


@pytest.mark.parametrize("prefix", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_files_of_other_editors_load_and_their_lines_count_right(tmp_path: Path, prefix: str, ending: str) -> None:
    lines = EXAMPLE.splitlines()
    at = lines.index("#threads = 2")
    load_settings(written(tmp_path, prefix + ending.join(lines)))
    lines[at] = "threads = 0"

    message = refused(written(tmp_path, prefix + ending.join(lines)))

    assert f"line.toml:{at + 1}: inference.threads: " in message


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert refused(tmp_path / "line.toml") == f"{tmp_path}/line.toml: there is no such file"


def test_a_directory_is_said(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path}: expected a file (got a directory)"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "line.toml")

    assert refused(tmp_path / "line.toml").endswith("expected a file (got not a regular file)")


def test_a_name_that_cannot_be_a_file_is_said(tmp_path: Path) -> None:
    assert "cannot be opened" in refused(Path("a\0b"))
    assert "cannot be opened" in refused(tmp_path / ("x" * 300))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    assert "cannot be opened: Permission denied" in refused(written(tmp_path, EXAMPLE, mode=0o000))


def test_a_file_that_everyone_may_write_is_refused(tmp_path: Path) -> None:
    assert "everyone on this PC may write it" in refused(written(tmp_path, EXAMPLE, mode=0o646))


@pytest.mark.parametrize("others", [("a group of its own name", ["somebody"]), ("plant", [])], ids=["member", "name"])
def test_a_file_that_others_of_its_group_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: tuple[str, list[str]]
) -> None:
    path = written(tmp_path, EXAMPLE, mode=0o660)
    owner = pwd.getpwuid(path.stat().st_uid)
    name, members = others
    name = name if name == "plant" else owner.pw_name
    group = grp.struct_group((name, "x", owner.pw_gid, members))
    monkeypatch.setattr(grp, "getgrgid", lambda _gid: group)

    with pytest.raises(ConfigError) as caught:
        load_settings(path)

    assert f"line.toml: its group ({name}) may write it" in str(caught.value)
    assert caught.value.hint == f"chmod g-w {path}"
    path.chmod(0o640)
    load_settings(path)


def test_a_group_that_nobody_knows_may_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(gid: int) -> None:
        raise KeyError(gid)

    monkeypatch.setattr(grp, "getgrgid", unknown)

    path = written(tmp_path, EXAMPLE, mode=0o660)
    assert f"its group ({path.stat().st_gid}) may write it" in refused(path)


def test_a_group_that_is_its_owners_alone_may_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many systems give each user such a group, and files that it may write."""
    path = written(tmp_path, EXAMPLE, mode=0o664)
    owner = pwd.getpwuid(path.stat().st_uid)
    monkeypatch.setattr(
        grp, "getgrgid", lambda _: grp.struct_group((owner.pw_name, "x", owner.pw_gid, [owner.pw_name]))
    )

    load_settings(path)


def test_a_file_that_is_not_utf8_is_said_with_its_line(tmp_path: Path) -> None:
    message = refused(written(tmp_path, b'schema_version = 1\n[line]\nname = "Stra\xdfe"\n'))

    assert message == f"{tmp_path}/line.toml:3: expected UTF-8 text (got the byte 0xdf)"


def test_a_file_of_another_kind_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    assert "expected at most 1048576 bytes" in refused(written(tmp_path, b"#" * (1 << 20) + b"\n"))


@pytest.mark.parametrize(
    ("document", "line", "expected"),
    [
        ("a = 1\n= 2\n", 2, "not valid TOML at column 1: Invalid statement"),
        ('a = 1\nb = {"', 2, "not valid TOML: Unterminated string"),
        ("a = " + "[" * 5000, 1, "not valid TOML"),
        ("a = " + "9" * 5000, 1, "not valid TOML: Exceeds the limit"),
    ],
)
def test_broken_toml_is_said_with_its_line(tmp_path: Path, document: str, line: int, expected: str) -> None:
    message = refused(written(tmp_path, document))

    assert message.startswith(f"{tmp_path}/line.toml:{line}: {expected}")
    assert "\n" not in message


def test_a_password_is_the_one_line_of_its_file(tmp_path: Path) -> None:
    for content, password in [("s3cret", "s3cret"), ("two words \n", "two words "), ("s3cret\r\n", "s3cret")]:
        assert read_password(written(tmp_path, content)) == password


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \n", "is empty"),
        (b"one\ntwo\n", "more than one line"),
        (b"a\x00b\n", "control characters"),
        (b"\xff\n", "expected UTF-8"),
        (b"x" * 5000, "expected at most 4096 bytes"),
    ],
)
def test_a_password_file_without_one_password_is_refused_and_not_shown(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        read_password(written(tmp_path, content))

    assert not re.search(r"\bone\b.*\btwo\b|x{20}", str(caught.value))


def test_a_missing_or_public_password_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_password(tmp_path / "none")
    with pytest.raises(ConfigError, match="everyone on this PC may write it"):
        read_password(written(tmp_path, "s3cret\n", mode=0o602))


def test_the_schema_names_the_range_of_a_key() -> None:
    deadline = settings_json_schema()["$defs"]["LineSettings"]["properties"]["deadline_ms"]

    assert (deadline["type"], deadline["minimum"], deadline["maximum"]) == ("integer", 1, 600_000)


def test_importing_the_settings_costs_pydantic_only() -> None:
    code = (
        "import sys, edge_agent.settings; heavy = {'numpy','cv2','onnxruntime','pymodbus','pyftpdlib','structlog',"
        "'rich','typer','watchdog','matplotlib','asyncio'} & set(sys.modules); sys.exit(repr(heavy) if heavy else 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


class TestLineIndex:
    def test_every_way_to_write_a_key_is_found(self) -> None:
        document = (
            "# [not.a.table]\n"
            "a = 1 # b = 2\n"
            '"quoted key" . x = """\n'
            "[fake]\n"
            'c = 1\\""" # still the value\n'
            '"""\n'
            "d.e.f = [ # comment ]\n"
            "  1, 2, # [[x]]\n"
            "  { g = 1 },\n"
            "]\n"
            "h = { i = { j = 1 } }\n"
            "k = '''\n"
            "l = 1'''''\n"
            "[ t . u ] # m = 1\n"
            "n = '[['\n"
            "[[arr]]\n"
            "o = 1\n"
            "[arr.sub]\n"
            "p = 1\n"
            "[[arr]]\n"
            "o = 2\n"
            "[[arr.deep]]\n"
            "q = 3\n"
            "[t]\n"
            "r = 1\n"
        )
        tomllib.loads(document)
        index = LineIndex(document)

        for loc, line in {
            ("a",): 2,
            ("quoted key", "x"): 3,
            ("d", "e", "f"): 7,
            ("d", "e", "f", 2, "g"): 7,
            ("h", "i", "j"): 11,
            ("k",): 12,
            ("t",): 24,
            ("t", "u"): 14,
            ("t", "u", "n"): 15,
            ("arr",): 16,
            ("arr", 0): 16,
            ("arr", 0, "o"): 17,
            ("arr", 0, "sub"): 18,
            ("arr", 0, "sub", "p"): 19,
            ("arr", 1): 20,
            ("arr", 1, "o"): 21,
            ("arr", 1, "deep", 0, "q"): 23,
            ("t", "r"): 25,
            ("none", "such"): 1,
        }.items():
            assert index.line(loc) == line, loc

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_each_key_is_found_on_the_line_it_was_written_on(self, data: st.DataObject) -> None:
        names = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", '"\\u0068"', "1"])
        values = st.sampled_from(
            ["1", '"]"', "'#'", '"""\n[x]\n"""', "'''\n'''", "[\n1, # ]\n2\n]", "{ z = 1 }", '"\\""', '""""a"""""']
        )
        lines: list[str] = []
        expected: dict[tuple[str | int, ...], int] = {}
        tables = data.draw(st.lists(names, unique=True, max_size=4))
        for table in ["", *tables]:
            repeats = data.draw(st.integers(0, 3)) if table else 0
            for at in range(max(1, repeats)):
                here: tuple[str | int, ...] = (plain(table),) if table else ()
                if table:
                    here = (*here, at) if repeats else here
                    lines.append(f"[[ {table} ]] # c" if repeats else f"[{table}]")
                    expected[here] = line_count(lines)
                for key in data.draw(st.lists(names, unique=True, max_size=3)) if table else []:
                    lines.extend(data.draw(st.lists(st.sampled_from(["", "# x = 1", "  "]), max_size=2)))
                    lines.append(f"  {key} = " + "{}")
                    expected[(*here, plain(key))] = line_count(lines)
                    lines[-1] = f"  {key} = {data.draw(values)} # t"
        document = "\n".join(lines)
        parsed: Any = tomllib.loads(document)
        index = LineIndex(document)

        for loc, line in expected.items():
            assert index.line(loc) == line
            value = parsed
            for step in loc:
                value = value[step]


def plain(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 1")))


def line_count(lines: list[str]) -> int:
    return sum(line.count("\n") + 1 for line in lines)


@given(st.text() | st.binary())
@settings(max_examples=150, deadline=None)
def test_no_file_raises_anything_but_a_config_error(tmp_path_factory: pytest.TempPathFactory, content: Any) -> None:
    path = written(
        tmp_path_factory.mktemp("fuzz"),
        content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content,
    )

    with pytest.raises(ConfigError):
        load_settings(path)


@given(st.integers(0, len(EXAMPLE)), st.integers(0, 40), st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_damage_to_a_good_file_raises_anything_but_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, at: int, dropped: int, inserted: str
) -> None:
    damaged = EXAMPLE[:at] + inserted + EXAMPLE[at + dropped :]
    path = written(tmp_path_factory.mktemp("fuzz"), damaged.encode("utf-8", "surrogatepass"))

    try:
        load_settings(path)
    except ConfigError as err:
        for problem in str(err).split("\n"):
            assert problem.startswith(f"{path}:")
            assert problem.isprintable()


TOML_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.datetimes()
    | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_value_at_any_key_is_a_config_error_or_right(data: st.DataObject) -> None:
    from pydantic import ValidationError

    from edge_agent.settings.models import Settings
    from edge_agent.settings.problems import problems_of
    from edge_agent.settings.words import key_of

    document = tomllib.loads(EXAMPLE)
    table = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(TOML_VALUES)
    if isinstance(document[table], dict) and data.draw(st.booleans()):
        keys = sorted(document[table])
        document[table][data.draw((st.sampled_from(keys) if keys else st.nothing()) | st.text(max_size=5))] = value
    else:
        document[table] = value

    try:
        Settings.model_validate(document)
    except ValidationError as err:
        for problem in problems_of(err, document):
            assert key_of(problem.loc).isprintable()
            assert problem.what.isprintable()
