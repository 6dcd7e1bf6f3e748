"""Every wrong key, type and range of line.toml is refused, on its own line, with what was expected."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.errors import ConfigError
from edge_agent.settings import Settings, load_settings, settings_json_schema

if TYPE_CHECKING:
    from pathlib import Path

EVERY_KEY = """\
schema_version = 1

[line]
name = "line 3"
deadline_ms = 700
min_part_spacing_ms = 1000
imaging_ms = 0
gate_ms = 1000
judgement = "both"
language = "de"
cameras = [1]

[controller]
kind = "cv-x"
host = "192.168.10.10"
port = 8500
delimiter = "cr"
result_items = ["count", "judgement"]
connect_timeout_ms = 1000
reply_timeout_ms = 1000

[controller.serial]
url = "/dev/ttyS0"
baud = 9600
parity = "none"
stop_bits = 1

[trigger]
source = "wired"
number = 1
interval_ms = 2000

[images]
spool = "spool"
max_mib = 64
names = "cv-x"
image_type = "NORMAL"

[images.ftp]
host = "127.0.0.1"
port = 2121
user = "cvx"
password_file = "ftp_password"
allowed_peers = ["192.168.10.10"]
passive_ports = [50000, 50015]
reply_when = "proven"

[output]
kind = "modbus-coils"
host = "192.168.20.20"
port = 502
unit = 1
first_coil = 0
first_register = 0
plc_register = 8
part_numbers = "plc"
plc_silence_ms = 500
program_request = "ignored"
invert = ["REJECT"]
mode_input = 1
acknowledge_input = 2
reject_confirm_input = 3
reject_confirm_ms = 2000
module = "wago-750"
watchdog_tested = 2026-11-29
watchdog_tested_by = "Ada"
part_present_input = 0
pass_hold_ms = 300
refresh_ms = 100
write_timeout_ms = 150
watchdog_ms = 500

[output.serial]
device = "/dev/ttyS1"
baud = 19200
parity = "even"
stop_bits = 1

[[bundle]]
program = 0
camera = 1
path = "bundles/zipper"

[store]
journal = "journal.sqlite3"
archive = "archive"
archive_max_gib = 20.0
keep_bmp_as = "png"
keep = "all"
keep_pass_every = 1
keep_days = 90
keep_pass_days = 2
keep_reject_days = 90

[lamp]
device = "/dev/ttyS2"
rts = "fault"
dtr = "bypass"

[inference]
threads = 2

[log]
level = "info"
format = "auto"

[web]
host = "127.0.0.1"
port = 8480
names = ["line7"]
token_file = "web_token"
who_signs = "users"
sign_with = "session"
sign_out_after_min = 30
user_header = "X-Remote-User"
trusted_proxies = ["127.0.0.1"]
shift_starts = ["06:00", "14:00", "22:00"]

[review]
read_twice_percent = 5
defects = ["scratch"]

[metrics]
host = "127.0.0.1"
port = 9464

[signatures]
trusted_keys = ["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= Ada Lovelace"]

[challenge]
every_shift = true
shift_grace_min = 30
every_h = 24
every_parts = 5000
lock_out = false

[[challenge.sample]]
name = "R1"
kind = "reject"
program = 0
camera = 1
shows = "scratch of 5 mm"
score = [3.0, 3.6]

[mqtt]
host = "192.168.30.30"
port = 1883
prefix = "edge-agent"
group = "line"
node = "line-3"
user = "edge-agent"
password_file = "mqtt_password"
ca_file = "ca.pem"
certificate_file = "mqtt.pem"
key_file = "mqtt.key"
version = "5"

[sparkplug]
host = "192.168.30.31"
port = 1883
group = "Plant 1"
node = "line-3"
device = "inspection"
primary_host = "scada"
user = "edge-agent"
password_file = "sparkplug_password"
ca_file = "ca.pem"
certificate_file = "sparkplug.pem"
key_file = "sparkplug.key"
version = "3.1.1"

[webhook]
url = "https://mes.plant.example/edge-agent"
token_file = "webhook_token"
most = 100
ca_file = "ca.pem"
certificate_file = "webhook.pem"
key_file = "webhook.key"

[opcua]
host = "127.0.0.1"
port = 4840
certificate_file = "opcua.pem"
key_file = "opcua.key"
trusted_clients = "clients"
anonymous = "no"

[[opcua.user]]
name = "mes"
password_file = "mes_password"

[fleet]
url = "https://fleet.plant.example:8490"
follow = "shadow"
ca_file = "ca.pem"
"""
FTP_TABLE = EVERY_KEY[EVERY_KEY.index("[images.ftp]") : EVERY_KEY.index("[output]")]
WITH_FOLDER = EVERY_KEY.replace(FTP_TABLE, '[images.folder]\npath = "drop"\nrescan_ms = 1000\nsettle_ms = 300\n\n')


def keys_with_schema() -> list[tuple[str, str, dict[str, Any]]]:
    """(table as in its header, key, schema of the key) for every key of the models."""
    schema = settings_json_schema()
    found: list[tuple[str, str, dict[str, Any]]] = []

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        node = node["oneOf"][0] if "oneOf" in node else node  # the kinds of a table: the one that is taken by default
        if "anyOf" in node:
            node = next(choice for choice in node["anyOf"] if choice.get("type") != "null")
        return schema["$defs"][node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else node

    def walk(node: dict[str, Any], table: str) -> None:
        for name, prop in node["properties"].items():
            inner = resolved(prop)
            is_array = "properties" in resolved(inner.get("items", {}))
            inner = resolved(inner["items"]) if is_array else inner
            if "properties" in inner:
                walk(inner, f"{table}.{name}".lstrip("."))
            else:
                found.append((table, name, inner))

    walk(schema, "")
    return found


def wrong_values(node: dict[str, Any]) -> list[str]:
    """Values, as TOML, that a key with this schema must refuse. Made from the schema, so a new key has its own."""
    wrong = ["{ a = 1 }", "2026-11-23", "2026-11-23T07:00:00Z", "07:00:00"]
    choices = node.get("enum", [node["const"]] if "const" in node else [])
    if choices:
        return [*wrong, '"no such choice"', '""', "true", "1.0", "0", "[1]", "-1", '"1"']
    match node["type"]:
        case "integer":
            least, most = node["minimum"], node["maximum"]
            return [
                *wrong,
                f'"{least}"',
                "true",
                f"{least}.0",
                "nan",
                str(least - 1),
                str(most + 1),
                str(10**30),
                "[1]",
            ]
        case "boolean":
            return [*wrong, '"true"', '"yes"', "1", "0", "1.0", "nan", "[true]", "[]"]
        case "number":
            return [*wrong, '"1"', "true", "0", "-1.0", "nan", "inf", "-inf", "1e300", "[1]"]
        case "string" if node.get("format") == "date":
            return [value for value in wrong if value != "2026-11-23"] + ['"2026-11-23"', "20261123", "true", "[]"]
        case "string":
            return [*wrong, "1", "true", "1.5", '""', "[]", '"a\\u0000b"', '"a\\nb"', '"a\\u001Bb"']
        case "array":
            least = node.get("minItems", 0)
            items = [f"[{value}]" for value in wrong]
            return [*wrong, *items, '"a"', "1", "true", *(["[]"] if least else []), "[[]]", "[1.5]", '[""]']
    raise AssertionError(node)


def replaced(document: str, table: str, key: str, value: str) -> tuple[str, int]:
    """The document with one value changed, and the line it stands on."""
    lines = document.splitlines()
    header = 0 if not table else next(n for n, line in enumerate(lines) if line.strip("[]") == table)
    at = next(n for n in range(header, len(lines)) if lines[n].startswith(f"{key} = "))
    lines[at] = f"{key} = {value}"
    return "\n".join(lines) + "\n", at + 1


def problems(tmp_path: Path, document: str) -> list[str]:
    path = tmp_path / "line.toml"
    path.write_text(document)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert caught.value.exit_code == 78
    assert caught.value.hint
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).split("\n")]


def numbered(name: str) -> str:
    """A key as the errors name it: of the first table where there may be several."""
    for table in ("bundle", "user", "sample"):
        name = name.replace(f"{table}.", f"{table}[1].")
    return name.lstrip(".")


def document_with(table: str) -> str:
    return WITH_FOLDER if table == "images.folder" else EVERY_KEY


KEYS = keys_with_schema()


def test_the_document_of_these_tests_is_right_and_has_every_key(tmp_path: Path) -> None:
    for document in (EVERY_KEY, WITH_FOLDER):
        path = tmp_path / "line.toml"
        path.write_text(document)
        assert isinstance(load_settings(path), Settings)
    for table, key, _ in KEYS:
        replaced(document_with(table), table, key, "1")


@pytest.mark.parametrize(("table", "key", "node"), KEYS, ids=[f"{table}.{key}" for table, key, _ in KEYS])
def test_a_wrong_value_is_refused_on_its_line_with_what_was_expected(
    tmp_path: Path, table: str, key: str, node: dict[str, Any]
) -> None:
    name = (
        f"{table}.{key}".lstrip(".")
        .replace("bundle.", "bundle[1].")
        .replace("user.", "user[1].")
        .replace("sample.", "sample[1].")
    )
    for value in wrong_values(node):
        document, line = replaced(document_with(table), table, key, value)

        found = problems(tmp_path, document)

        assert all(problem.startswith(f"line.toml:{line}: {name}") for problem in found), (value, found)
        assert all(re.search(r": expected .+ \(got .+\)(; .+)?$", problem) for problem in found), (value, found)


@pytest.mark.parametrize(("table", "key"), [(table, key) for table, key, _ in KEYS])
def test_a_key_with_a_typo_is_refused_and_the_right_one_named(tmp_path: Path, table: str, key: str) -> None:
    right, line = replaced(document_with(table), table, key, "1")
    lines = right.splitlines()
    value = document_with(table).splitlines()[line - 1].split(" = ", 1)[1]
    lines[line - 1] = f"{key}x = {value}"

    found = problems(tmp_path, "\n".join(lines) + "\n")

    name = (
        f"{table}.{key}x".lstrip(".")
        .replace("bundle.", "bundle[1].")
        .replace("user.", "user[1].")
        .replace("sample.", "sample[1].")
    )
    unknown = [problem for problem in found if "unknown key" in problem]
    assert unknown == [problem for problem in found if problem.startswith(f"line.toml:{line}: {name}: ")]
    assert len(unknown) == 1
    assert unknown[0].endswith(f'; did you mean "{key}"?')


def required_keys() -> list[tuple[str, str]]:
    tables = {"": settings_json_schema()}
    schema = settings_json_schema()
    for table, title in [
        ("line", "LineSettings"),
        ("images", "ImagesSettings"),
        ("images.ftp", "FtpSettings"),
        ("images.folder", "FolderSettings"),
        ("output", "ModbusCoilsSettings"),
        ("bundle", "BundleSettings"),
        ("challenge.sample", "SampleSettings"),
        ("store", "StoreSettings"),
    ]:
        tables[table] = schema["$defs"][title]
    leaves = {(table, key) for table, key, _ in KEYS}
    return [(t, key) for t, node in tables.items() for key in node.get("required", []) if (t, key) in leaves]


@pytest.mark.parametrize(("table", "key"), required_keys())
def test_a_missing_key_is_said_on_the_line_of_its_table(tmp_path: Path, table: str, key: str) -> None:
    document, line = replaced(document_with(table), table, key, "1")
    lines = document.splitlines()
    del lines[line - 1]
    header = 1 if not table else next(n for n, text in enumerate(lines, 1) if text.strip("[]") == table)

    found = problems(tmp_path, "\n".join(lines) + "\n")

    name = (
        f"{table}.{key}".lstrip(".")
        .replace("bundle.", "bundle[1].")
        .replace("user.", "user[1].")
        .replace("sample.", "sample[1].")
    )
    assert len(found) == 1
    assert found[0].startswith(f"line.toml:{header}: {name}: missing; expected ")


@pytest.mark.parametrize("table", ["line", "images", "output", "bundle", "store"])
def test_a_missing_table_is_named(tmp_path: Path, table: str) -> None:
    document = tomllib.loads(EVERY_KEY)
    del document[table]

    found = problems(tmp_path, "\n".join(f"{key} = {json_toml(value)}" for key, value in document.items()))

    expected = "one or more tables [[bundle]]" if table == "bundle" else f"a table [{table}]"
    assert found == [f"line.toml:1: {table}: missing; expected {expected}"]


def json_toml(value: Any) -> str:
    """A value as an inline TOML value."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {json_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_toml, value)) + "]"
    return value.isoformat() if isinstance(value, date) else json.dumps(value)


def test_all_problems_are_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    document = EVERY_KEY.replace("deadline_ms = 700", 'deadline_ms = "fast"').replace(
        "write_timeout_ms = 150", "time_out_ms = 3"
    )
    at = document.splitlines().index("time_out_ms = 3") + 1

    assert problems(tmp_path, document) == [
        'line.toml:5: line.deadline_ms: expected an integer between 1 and 600000 (got "fast")',
        f'line.toml:{at}: output.time_out_ms: unknown key (got 3); did you mean "write_timeout_ms"?',
    ]


THREADS = "threads = 2"
GUESSES = [
    (THREADS, f"{THREADS}\npass_hold_ms = 3", "pass_hold_ms: unknown key (got 3); this key belongs to [output]"),
    (THREADS, f"{THREADS}\npass_hold = 3", 'unknown key (got 3); did you mean "pass_hold_ms" of [output]?'),
    (THREADS, f"{THREADS}\nzzz = 3", "inference.zzz: unknown key (got 3); known here: threads"),
    ('["192.168.10.10"]', '["camera"]', '[1]: expected an address or a network, such as "192.168.10.10"'),
    ('["192.168.10.10"]', '["192.168.10.300"]', '(got "192.168.10.300")'),
    ('["192.168.10.10"]', "[]", "images.ftp.allowed_peers: expected a list of 1 or more, each an address or a network"),
    (THREADS, '"a\\nb" = 1', 'inference."a\\nb": unknown key (got 1)'),
    ("[inference]", "[inferense]", 'inferense: unknown key (got a table); did you mean "inference"?'),
    ('user = "cvx"', 'password = "hunter2"', '(got something that is not shown); did you mean "password_file"?'),
    ("[[bundle]]", "[bundle]", "bundle: expected one or more tables [[bundle]] (got a table)"),
    ('name = "line 3"', f'name = "{"x" * 300}"', "expected a text of 1 to 64 characters, none of them"),
]


@pytest.mark.parametrize(("old", "new", "expected"), GUESSES)
def test_what_is_meant_is_guessed_and_secrets_are_not_shown(tmp_path: Path, old: str, new: str, expected: str) -> None:
    found = problems(tmp_path, EVERY_KEY.replace(old, new))

    assert any(expected in problem for problem in found), found
    assert not any("hunter2" in problem for problem in found)
    assert all(len(problem) < 250 for problem in found)


def changed(*changes: tuple[str, str]) -> str:
    document = EVERY_KEY
    for old, new in changes:
        assert old in document
        document = document.replace(old, new)
    return document


SECOND_BUNDLE = '[[bundle]]\nprogram = {}\ncamera = {}\npath = "other"\n\n[store]'
CONTRADICTIONS = {
    "deadline not below spacing": (
        changed(("deadline_ms = 700", "deadline_ms = 1000")),
        "deadline_ms = 1000",
        "line.deadline_ms: line.deadline_ms is expected below line.min_part_spacing_ms (1000)",
    ),
    "a PASS could stand when an unseen part arrives": (
        changed(("pass_hold_ms = 300", "pass_hold_ms = 301")),
        "pass_hold_ms = 301",
        "output.pass_hold_ms: line.deadline_ms + pass_hold_ms must be at most line.min_part_spacing_ms (1000)",
    ),
    "what the controller takes comes on top": (
        changed(("imaging_ms = 0", "imaging_ms = 40")),
        "pass_hold_ms = 300",
        "output.pass_hold_ms: line.imaging_ms + line.deadline_ms + pass_hold_ms must be at most line.min_part_spacing",
    ),
    "a dead agent's PASS could reach the next part": (
        changed(("watchdog_ms = 500", "watchdog_ms = 551")),
        "watchdog_ms = 551",
        "output.watchdog_ms: pass_hold_ms + watchdog_ms + write_timeout_ms must be at most line.min_part_spacing_ms",
    ),
    "a part that is at the gate before its verdict": (
        changed(("gate_ms = 1000", "gate_ms = 0")),
        "watchdog_ms = 500",
        "output.watchdog_ms: line.deadline_ms + pass_hold_ms + watchdog_ms + write_timeout_ms must be at most line.",
    ),
    "the watchdog trips on a healthy agent": (
        changed(("refresh_ms = 100", "refresh_ms = 251")),
        "refresh_ms = 251",
        "output.refresh_ms: expected at most half of watchdog_ms (500)",
    ),
    "no source of images": (changed((FTP_TABLE, "")), "[images]", "images: name exactly one source of images"),
    "two sources of images": (
        changed(("[output]", '[images.folder]\npath = "drop"\n\n[output]')),
        "[images.folder]",
        "images.folder: name exactly one source of images",
    ),
    "nothing tells from where a serial controller sends its images": (
        changed(('allowed_peers = ["192.168.10.10"]\n', "")),
        "[images.ftp]",
        "images.ftp: name the address that the controller sends its images from in allowed_peers",
    ),
    "passive ports the wrong way round": (
        changed(("[50000, 50015]", "[50015, 50000]")),
        "passive_ports = [50015, 50000]",
        "images.ftp.passive_ports: expected the lower port first",
    ),
    "triggered by an input that is not there": (
        changed(("part_present_input = 0\n", ""), ('source = "wired"', 'source = "input"')),
        'source = "input"',
        'trigger.source: source "input" needs output.part_present_input',
    ),
    "triggered faster than parts may come": (
        changed(('source = "wired"', 'source = "interval"'), ("interval_ms = 2000", "interval_ms = 999")),
        "interval_ms = 999",
        "trigger.interval_ms: expected at least line.min_part_spacing_ms (1000) (got 999)",
    ),
    "an item twice": (
        changed(('"count", "judgement"]', '"count", "judgement", "skip", "skip", "count"]')),
        'result_items = ["count", "judgement", "skip", "skip", "count"]',
        "controller.result_items: expected each item once (got count twice)",
    ),
    "a tool's name twice": (
        changed(('"count", "judgement"]', '"count", "judgement", "value:edge:+3", "judgement:edge"]')),
        'result_items = ["count", "judgement", "value:edge:+3", "judgement:edge"]',
        "controller.result_items: expected each item once (got edge twice)",
    ),
    "an item of no kind": (
        changed(('"count", "judgement"]', '"count", "judgement", "value:count"]')),
        'result_items = ["count", "judgement", "value:count"]',
        'controller.result_items[3]: expected "count", "program", "judgement", "skip", "rest", or a tool\'s own',
    ),
    "both must agree and one is not told": (
        changed(('"count", "judgement"]', '"count"]')),
        'result_items = ["count"]',
        'controller.result_items: expected "judgement" among the items',
    ),
    "coils beyond the end of the map": (
        changed(("first_coil = 0", "first_coil = 65533")),
        "first_coil = 65533",
        "output.first_coil: expected at most 65532",
    ),
    "a camera twice": (
        changed(("cameras = [1]", "cameras = [1, 1]")),
        "cameras = [1, 1]",
        "line.cameras: expected each camera once",
    ),
    "a bundle for a camera that is not used": (
        changed(("[store]", SECOND_BUNDLE.format(0, 2))),
        "camera = 2",
        "bundle[2].camera: camera 2 is not in line.cameras",
    ),
    "a program without a bundle for one camera": (
        changed(("cameras = [1]", "cameras = [1, 2]")),
        "program = 0",
        "bundle[1].program: program 0 has no [[bundle]] for camera 2",
    ),
    "a page at every address that answers to no name": (
        changed(('[web]\nhost = "127.0.0.1"', '[web]\nhost = "0.0.0.0"'), ('names = ["line7"]', "names = []")),
        'host = "0.0.0.0"',
        "web.host: every address of this PC needs web.names",
    ),
    "page and metrics at one port": (
        changed(("port = 9464", "port = 8480 # the same")),
        "port = 8480 # the same",
        "metrics.port: expected a port of its own",
    ),
    "two uses of one place": (
        changed(('archive = "archive"', 'archive = "spool"')),
        'archive = "spool"',
        "store.archive: expected a place of its own",
    ),
}


@pytest.mark.parametrize(("document", "at", "expected"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_keys_that_do_not_go_together_are_said_on_the_line_of_one(
    tmp_path: Path, document: str, at: str, expected: str
) -> None:
    found = problems(tmp_path, document)

    assert len(found) == 1, found
    assert found[0].startswith(f"line.toml:{document.splitlines().index(at) + 1}: {expected}")


def test_a_second_bundle_of_the_same_program_and_camera_is_said_at_the_second(tmp_path: Path) -> None:
    document = changed(("[store]", SECOND_BUNDLE.format(0, 1)))
    line = [n for n, text in enumerate(document.splitlines(), 1) if text == "program = 0"][1]

    assert problems(tmp_path, document) == [
        f"line.toml:{line}: bundle[2].program: a second [[bundle]] for program 0, camera 1"
    ]


def test_several_contradictions_are_all_said(tmp_path: Path) -> None:
    document = changed(("deadline_ms = 700", "deadline_ms = 1000"), ("watchdog_ms = 500", "watchdog_ms = 851"))

    assert len(problems(tmp_path, document)) == 2


@pytest.mark.parametrize("table", ["mqtt", "sparkplug", "webhook"])
def test_a_certificate_without_its_key_is_said(tmp_path: Path, table: str) -> None:
    document = EVERY_KEY.replace(f'key_file = "{table}.key"\n', "")

    (found,) = problems(tmp_path, document)

    assert f"{table}.certificate_file and {table}.key_file go together (got no key_file)" in found


def test_tls_files_for_an_address_without_tls_are_said(tmp_path: Path) -> None:
    found = problems(tmp_path, EVERY_KEY.replace("https://", "http://"))

    assert len(found) == 3
    assert all("needs a url with https" in problem for problem in found)
