"""Sparkplug without a broker: the payload's bytes, session numbers on the disk, names, and what is missing."""

from __future__ import annotations

import json
import re
import sys
import tracemalloc
from pathlib import Path

import pytest
from esio_spb_builder.core import sparkplug_b_pb2 as tahu
from structlog.testing import capture_logs

from edge_agent.errors import ConfigError, Unavailable
from edge_agent.feed.records import part_record
from edge_agent.publishing.sparkplug.bdseq import bdseq_file, next_bdseq
from edge_agent.publishing.sparkplug.heard import Heard
from edge_agent.publishing.sparkplug.payload import DataType, Metric, decoded, encoded, payload_library
from edge_agent.publishing.sparkplug.receiver import SparkplugReceiver
from edge_agent.publishing.sparkplug.session import Session
from edge_agent.publishing.sparkplug.tags import line_values, node_metrics, now_ms, part_metrics
from edge_agent.publishing.sparkplug.topics import Topics
from edge_agent.publishing.sparkplug.watch import AgentWatch
from edge_agent.settings import SparkplugSettings, load_settings
from edge_agent.store.kept import is_kept
from edge_agent.store.receivers import named_receivers
from edge_agent.tools.doctor.finding import Result, Site
from edge_agent.tools.doctor.results import results_libraries
from tests.security.web_site import part_row, web_settings
from tests.sparkplug_site import agent_state, command

TOPICS = Topics("plant", "line", "inspection", "scada")


# --- the payload --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "field", "there"),
    [
        (DataType.INT64, 4711, "long_value", 4711),
        (DataType.INT64, -1, "long_value", 2**64 - 1),
        (DataType.INT64, -(2**63), "long_value", 2**63),
        (DataType.DOUBLE, -0.125, "double_value", -0.125),
        (DataType.DOUBLE, float("inf"), "double_value", float("inf")),
        (DataType.BOOLEAN, False, "boolean_value", False),
        (DataType.STRING, "Prüfling, 部品", "string_value", "Prüfling, 部品"),
        (DataType.STRING, "", "string_value", ""),
        (DataType.DATE_TIME, 1_795_000_000_123, "long_value", 1_795_000_000_123),
    ],
)
def test_the_other_library_reads_each_type(kind: DataType, value: object, field: str, there: object) -> None:
    metric = Metric("a/b", kind, value, 5, is_historical=True)  # type: ignore[arg-type]

    payload = tahu.Payload.FromString(encoded([metric], 7, 255))

    (read,) = payload.metrics
    assert (payload.timestamp, payload.seq) == (7, 255)
    assert (read.name, read.timestamp, read.datatype, read.is_historical) == ("a/b", 5, int(kind), True)
    assert tahu.DataType.Name(read.datatype) == kind.words
    assert (read.WhichOneof("value"), getattr(read, field)) == (field, there)


def test_null_is_said_and_has_no_value_and_a_death_has_no_number() -> None:
    payload = tahu.Payload.FromString(encoded([Metric("x", DataType.DOUBLE, None, 5)], 7, None))

    assert payload.metrics[0].is_null
    assert payload.metrics[0].WhichOneof("value") is None
    assert not payload.HasField("seq")


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit into Int64"):
        encoded([Metric("x", DataType.INT64, value, 5)], 7, 0)


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x00", b"hello", b"\x12\xff\xff\xff\xff\x0f", b"\x12\x03\x0a\x01\xff"])
def test_bytes_that_are_no_payload_are_said(data: bytes) -> None:
    with pytest.raises(ValueError, match="no Sparkplug payload"):
        decoded(data)


def test_what_is_not_known_here_is_passed_over() -> None:
    payload = tahu.Payload(timestamp=1, uuid="u", body=b"b")
    metric = payload.metrics.add(name="set", datatype=tahu.DataSet)
    metric.dataset_value.num_of_columns = 2
    payload.metrics.add(name="Node Control/Rebirth", boolean_value=True)

    assert decoded(payload.SerializeToString()).metrics == (("set", None), ("Node Control/Rebirth", True))


# --- values -------------------------------------------------------------------------------------------------


def test_scores_that_are_no_number_are_null_or_infinite() -> None:
    for score, value in ((float("nan"), None), (float("inf"), float("inf")), (None, None)):
        metrics = {
            one.name: one
            for one in part_metrics(part_record(part_row(1, score=score), None), (1,), is_historical=False)
        }
        assert metrics["Part/Score"].value == value
        assert metrics["Part/Published"].value is None
        assert metrics["Part/Passed"].value is False


def test_how_the_line_stands_in_words() -> None:
    assert set(line_values(None).values()) == {None}
    assert line_values(agent_state("BUSY"))["Line/State"] == "READY"
    degraded = line_values(agent_state("READY", degraded={"disk": "nearly full"}))
    assert (degraded["Line/State"], degraded["Line/Why"]) == ("DEGRADED", "disk: nearly full")


# --- numbers of sessions ------------------------------------------------------------------------------------


def test_session_numbers_are_on_the_disk_and_begin_again_after_255(tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite3"

    assert [next_bdseq(journal) for _ in range(258)] == [*range(256), 0, 1]
    assert is_kept(bdseq_file(journal).name, journal.name)  # in a backup


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"bdseq": 256}', '{"bdseq": -1}', '{"bdseq": true}', '{"bdseq": "1"}']
)
def test_a_damaged_number_begins_anew_and_is_said(tmp_path: Path, text: str) -> None:
    journal = tmp_path / "journal.sqlite3"
    bdseq_file(journal).write_text(text)

    with capture_logs() as logs:
        assert next_bdseq(journal) == 0

    assert [entry["event"] for entry in logs] == ["sparkplug_bdseq_damaged"]


# --- what comes in ------------------------------------------------------------------------------------------


def test_only_the_nodes_own_command_asks_for_a_birth() -> None:
    heard = Heard(TOPICS)
    heard.hear(f"{TOPICS.of_node('DCMD')}/inspection", command(("Node Control/Rebirth", True)))
    assert not heard.wants_birth()
    heard.hear(TOPICS.ncmd, command(("Line/Bypass", "x"), ("Node Control/Rebirth", True)))
    assert heard.wants_birth()
    assert not heard.wants_birth()


@pytest.mark.parametrize(
    "said",
    [b"", b"OFFLINE", b"{}", b"[]", b"1", b'{"online": true}', b'{"online": "true", "timestamp": 5}', b"\xff",
     b'{"online": true, "timestamp": 1.5}', b'{"online": true, "timestamp": true}', b"[" * 9000, bytes(100_000)],
)  # fmt: skip
def test_a_state_that_is_none_changes_nothing(said: bytes) -> None:
    heard = Heard(TOPICS)
    heard.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 4}')

    with capture_logs() as logs:
        heard.hear("spBv1.0/STATE/scada", said)

    assert heard.host_session is not None
    assert [entry["event"] for entry in logs] == ["sparkplug_state_unreadable"]


def test_a_state_of_the_past_is_passed_over_also_over_connections() -> None:
    heard = Heard(TOPICS)
    heard.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 10}')
    heard.hear("spBv1.0/STATE/scada", b'{"online": false, "timestamp": 9}')
    assert heard.host_session is not None
    again = Heard(TOPICS, heard.newest_ms)
    again.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 9}')
    assert again.host_session is None
    again.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": 10}')
    assert again.host_session is not None


def test_a_host_whose_clock_ran_ahead_is_heard_again_when_it_was_set_right() -> None:
    heard = Heard(TOPICS)
    now, year = now_ms(), 365 * 86_400_000
    heard.hear("spBv1.0/STATE/scada", b'{"online": false, "timestamp": %d}' % (now + year))
    assert heard.host_session is None
    heard.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": %d}' % (now_ms() + 1))
    assert heard.host_session is not None
    ahead = Heard(TOPICS)
    ahead.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": %d}' % (now + 60_000))
    first = ahead.host_session
    ahead.hear("spBv1.0/STATE/scada", b'{"online": true, "timestamp": %d}' % (now + 61_000))
    assert None not in (first, ahead.host_session)
    assert first != ahead.host_session, "it has connected anew"
    ahead.hear("spBv1.0/STATE/scada", b'{"online": false, "timestamp": %d}' % (now - year))
    assert ahead.host_session is not None


def test_what_somebody_else_writes_to_our_own_topics_is_not_kept() -> None:
    heard = Heard(TOPICS)
    ours = Session(TOPICS, 0).birth([])
    heard.expect([ours])
    tracemalloc.start()
    try:
        for number in range(3000):
            heard.hear(ours.topic, number.to_bytes(4, "big") * 1000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert heard.came_back([ours], 0.0) == [ours]
    heard.expect([ours])
    heard.hear(ours.topic, bytes(ours.payload))
    assert heard.came_back([ours], 0.0) == []


# --- line.toml ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["group", "node", "device", "primary_host"])
@pytest.mark.parametrize("name", ["plant/1", "plant+", "#", " ", "STATE", "a\x00b"])
def test_a_name_that_is_no_level_of_a_topic_is_said_at_its_line(tmp_path: Path, key: str, name: str) -> None:
    web_settings(tmp_path)
    path = tmp_path / "line.toml"
    path.write_text(path.read_text() + f'[sparkplug]\nhost = "192.168.30.31"\n{key} = {json.dumps(name)}\n')

    with pytest.raises(ConfigError, match=rf"sparkplug\.{key}: expected"):
        load_settings(path)


def test_the_lines_own_name_has_to_do_for_a_node_too(tmp_path: Path) -> None:
    web_settings(tmp_path)
    path = tmp_path / "line.toml"
    text = path.read_text().replace('name = "line 7"', 'name = "hall 2/line 7"')
    path.write_text(f'{text}[sparkplug]\nhost = "192.168.30.31"\n')

    with pytest.raises(ConfigError, match=r"sparkplug\.node: needs a name without"):
        load_settings(path)
    path.write_text(path.read_text() + 'node = "line 7"\n')
    assert named_receivers(load_settings(path)) == ["sparkplug"]


@pytest.mark.parametrize("missing", ["google.protobuf", "paho.mqtt.client"])
def test_a_library_that_is_not_installed_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    payload_library.__globals__["_classes"].cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    try:
        with pytest.raises(Unavailable) as caught:
            SparkplugReceiver(SparkplugSettings(host="127.0.0.1"), "line 7", (1,), tmp_path / "journal", AgentWatch())
    finally:
        payload_library.__globals__["_classes"].cache_clear()
    assert "pip install 'edge-agent[sparkplug]'" in caught.value.hint


def test_the_doctor_says_that_a_library_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = web_settings(tmp_path)
    site = Site(tmp_path / "line.toml", settings.model_copy(update={"sparkplug": SparkplugSettings(host="127.0.0.1")}))
    assert results_libraries(Site(tmp_path / "line.toml", settings)).result is Result.OK
    assert results_libraries(site).result is Result.OK

    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    finding = results_libraries(site)

    assert finding.result is Result.FAIL
    assert "pip install 'edge-agent[sparkplug]'" in finding.fix


# --- docs/sparkplug.md --------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/sparkplug.md").read_text()


def test_the_document_names_every_metric_with_its_type() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| (\w+) \|", DOCUMENT, re.MULTILINE)
    told = {name: kind for names, kind in rows for name in re.findall(r"`([^`]+)`", names)}

    part = part_metrics(None, (1,), is_historical=False)
    node = node_metrics(0, "line 7", line_values(None), None)
    assert told == {one.name: one.datatype.words for one in (*node, *part)}


def test_every_rule_stands_once_and_names_a_test_that_there_is() -> None:
    files = ("tests/fault/test_sparkplug.py", "tests/fault/test_sparkplug_process.py", "tests/unit/test_sparkplug.py")
    code = "".join((ROOT / file).read_text() for file in (*files, "tests/simulated/test_sparkplug_foreign.py"))
    there = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))
    table = DOCUMENT.partition("| rules | held by |")[2].partition("\n\n")[0]
    rows = [line.split(" | ") for line in table.splitlines()[2:]]

    rules = [rule for row in rows for rule in re.findall(r"`([^`]+)`", row[0])]
    assert len(rules) == len(set(rules)) > 80
    for row in rows:
        tests = re.findall(r"`([^`]+)`", row[1])
        assert tests
        assert set(tests) <= there
