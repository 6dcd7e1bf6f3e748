"""A line.toml that is no TOML: said with its line, its key and what to write, not in the parser's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from edge_agent.settings import load_settings

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()


def refused(tmp_path: Path, text: str) -> ConfigError:
    path = tmp_path / "line.toml"
    path.write_text(text)
    path.chmod(0o640)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return caught.value


def said(tmp_path: Path, text: str) -> list[str]:
    return [line.removeprefix(f"{tmp_path}/line.toml:") for line in str(refused(tmp_path, text)).split("\n")]


def changed(old: str, new: str) -> tuple[str, int]:
    """The example with one line changed, and the number of that line."""
    lines = EXAMPLE.split("\n")
    at = lines.index(old)
    lines[at] = new
    return "\n".join(lines), at + 1


@pytest.mark.parametrize(
    ("old", "new", "key", "what"),
    [
        (
            'host = "192.168.10.10"',
            "host = 192.168.10.10",
            "controller.host",
            'put quotes around the text: host = "192.168.10.10"',
        ),
        ('name = "line 3"', "name = line 3 # ours", "line.name", 'put quotes around the text: name = "line 3"'),
        (
            'path = "/var/lib/edge-agent/bundles/zipper"',
            "path = /var/lib/edge-agent/bundles/zipper",
            "bundle[1].path",
            'put quotes around the text: path = "/var/lib/edge-agent/bundles/zipper"',
        ),
        ('kind = "cv-x"', "kind = cv-x", "controller.kind", 'put quotes around the text: kind = "cv-x"'),
        (
            'kind = "cv-x"',
            "kind = CVX",
            "controller.kind",
            'expected one of "cv-x", "simulated", with its quotes (got "CVX")',
        ),
        (
            'user = "cvx"',
            "user = \u201ccvx\u201d",
            "images.ftp.user",
            'put plain quotes around the text: user = "cvx"',
        ),
        ('user = "cvx"', 'user = "cvx', "images.ftp.user", 'the text has no closing " (got "\\"cvx")'),
        ('user = "cvx"', "user = 'cvx", "images.ftp.user", "the text has no closing ' (got \"'cvx\")"),
        ('user = "cvx"', "user =", "images.ftp.user", "a value is missing; expected a text of 1 to 255 characters"),
        ('user = "cvx"', 'user: "cvx"', "images.ftp.user", "expected = between the key and its value, which is a text"),
        (
            'spool = "/var/lib/edge-agent/spool"',
            'spool = "D:\\spool\\x"',
            "images.spool",
            'expected a path of this PC, as "/var/lib/edge-agent", and not one of Windows (got "D:\\spool\\x")',
        ),
        (
            'spool = "/var/lib/edge-agent/spool"',
            "spool = D:\\spool",
            "images.spool",
            'expected a path of this PC, as "/var/lib/edge-agent", and not one of Windows (got D:\\spool)',
        ),
        (
            'user = "cvx"',
            'user = "plant\\cvx"',
            "images.ftp.user",
            "a \\ between double quotes does not stand for itself: put single quotes, user = 'plant\\cvx'",
        ),
        (
            'user = "cvx"',
            "user = plant\\cvx",
            "images.ftp.user",
            "put quotes around the text: user = 'plant\\cvx'",
        ),
        (
            "deadline_ms = 700",
            "deadline_ms = 700ms",
            "line.deadline_ms",
            'expected an integer between 1 and 600000, without a unit behind it (got "700ms")',
        ),
        (
            "archive_max_gib = 20.0",
            "archive_max_gib = 20,5",
            "store.archive_max_gib",
            'expected a number above 0, at most 1000000, with a point and not with a comma (got "20,5")',
        ),
        (
            "port = 502",
            "port = 0502",
            "output.port",
            'expected an integer between 1 and 65535, without a zero in front (got "0502")',
        ),
        (
            'shift_starts = ["06:00", "14:00", "22:00"]',
            "shift_starts = [06:00, 14:00]",
            "web.shift_starts",
            'put quotes around each text of the list: shift_starts = ["06:00", "14:00"]',
        ),
        (
            'result_items = ["count", "judgement"]',
            "result_items = count, judgement",
            "controller.result_items",
            'put brackets around the list and quotes around each text: result_items = ["count", "judgement"]',
        ),
        (
            'result_items = ["count", "judgement"]',
            'result_items = "count", "judgement"',
            "controller.result_items",
            'put brackets around the list: result_items = ["count", "judgement"]',
        ),
        (
            "passive_ports = [50000, 50015]",
            "passive_ports = [50000, 50015",
            "images.ftp.passive_ports",
            "the list that",
        ),
        (
            '#watchdog_tested_by = "Ada Lovelace"',
            "watchdog_tested = 29.11.2026",
            "output.watchdog_tested",
            'expected a date without quotes, as 2026-11-29 (got "29.11.2026")',
        ),
    ],
)
def test_a_value_that_is_none_is_said_with_its_key_and_what_to_write(
    tmp_path: Path, old: str, new: str, key: str, what: str
) -> None:
    text, line = changed(old, new)

    (found,) = said(tmp_path, text)

    assert found.startswith(f"{line}: {key}: {what}")


def test_what_is_told_to_be_written_loads(tmp_path: Path) -> None:
    text, _ = changed('host = "192.168.10.10"', "host = 192.168.10.10")
    (found,) = said(tmp_path, text)
    mended, _ = changed('host = "192.168.10.10"', found.split("text: ")[1])
    path = tmp_path / "line.toml"
    path.write_text(mended)

    assert load_settings(path).controller.host == "192.168.10.10"


def test_a_list_over_several_lines_is_said_at_its_wrong_item(tmp_path: Path) -> None:
    text, line = changed(
        '#allowed_peers = ["192.168.10.10"]', 'allowed_peers = [\n  "192.168.10.10",\n  192.168.10.11,\n]'
    )

    (found,) = said(tmp_path, text)

    assert (
        found == f'{line + 2}: images.ftp.allowed_peers: put quotes around each text of the list (got "192.168.10.11")'
    )


def test_a_key_that_stands_twice_names_both_lines(tmp_path: Path) -> None:
    first = EXAMPLE.split("\n").index("deadline_ms = 700") + 1
    text, line = changed("imaging_ms = 0", "imaging_ms = 0\ndeadline_ms = 800")

    (found,) = said(tmp_path, text)

    assert (
        found == f"{line + 1}: line.deadline_ms: stands twice, on lines {first} and {line + 1}: take one of them away"
    )


def test_a_table_that_stands_twice_names_both_lines(tmp_path: Path) -> None:
    first, last = EXAMPLE.split("\n").index("[images.ftp]") + 1, EXAMPLE.count("\n") + 1

    (found,) = said(tmp_path, EXAMPLE + '[images.ftp]\nuser = "cvx"\n')

    assert found.startswith(f"{last}: images.ftp: the table stands twice, on lines {first} and {last}: put the keys")


def test_a_second_bundle_in_single_brackets_is_said(tmp_path: Path) -> None:
    first, last = EXAMPLE.split("\n").index("[[bundle]]") + 1, EXAMPLE.count("\n") + 1
    (found,) = said(tmp_path, EXAMPLE + "[bundle]\nprogram = 3\n")

    assert found.startswith(f"{last}: bundle: expected one or more tables [[bundle]], each with double brackets")
    assert f"lines {first} and {last}" in found


def test_a_header_without_its_bracket_is_said(tmp_path: Path) -> None:
    text, line = changed("[images.ftp]", "[images.ftp")

    assert said(tmp_path, text) == [f'{line}: expected a table as [controller] or [[bundle]] (got "[images.ftp")']


def test_all_of_them_are_said_at_once(tmp_path: Path) -> None:
    text, first = changed('host = "192.168.10.10"', "host = 192.168.10.10")
    text = text.replace('user = "cvx"', "user = cvx").replace("#threads = 2", "threads = two")

    found = said(tmp_path, text)

    assert [line.split(": ")[1] for line in found] == ["controller.host", "images.ftp.user", "inference.threads"]
    assert found[0].startswith(f"{first}: ")


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    for wrong in ("password = hunter2", "password hunter2", "password: hunter2"):
        text, line = changed('user = "cvx"', wrong)

        assert said(tmp_path, text)[0].startswith(f"{line}: images.ftp.password: ")
        assert "hunter2" not in str(refused(tmp_path, text))


def test_the_hint_says_what_the_key_is(tmp_path: Path) -> None:
    text, _ = changed('host = "192.168.10.10"', "host = 192.168.10.10")
    assert refused(tmp_path, text).hint == 'controller.host: address of the controller, "127.0.0.1" if it is left out'
    text, _ = changed("deadline_ms = 700", 'deadline_ms = "fast"')
    assert refused(tmp_path, text).hint.startswith(
        "line.deadline_ms: from the first sign of a part to PASS on the wire"
    )
    text, _ = changed("deadline_ms = 700", "")
    assert refused(tmp_path, text).hint.startswith(
        "line.deadline_ms: from the first sign of a part to PASS on the wire"
    )


def test_without_a_key_the_hint_says_where_all_are_explained(tmp_path: Path) -> None:
    text, _ = changed("[images.ftp]", "[images.ftp")

    assert "deploy/line.example.toml explains every key" in refused(tmp_path, text).hint
