"""Sparkplug B to a real broker: births, deaths, sequence, rebirth, history; read by another library than wrote it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from esio_spb_builder.core import sparkplug_b_pb2 as tahu
from structlog.testing import capture_logs

from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import NotDelivered
from edge_agent.publishing.sparkplug.tags import now_ms
from edge_agent.store.aside import aside_file, read_aside
from edge_agent.store.reader import JournalReader
from edge_agent.wiring.free_ports import free_port
from tests.publishing import Written, drained, sending, until
from tests.security.web_site import part_row, reject_row
from tests.sparkplug_site import GROUP, NODE, Host, Mosquitto, Talking, agent_state, begun, command, in_order, to

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    journal = Written(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    at = Mosquitto(free_port(), tmp_path)
    at.start()
    yield at
    at.stop()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_CAP_S", 0.2)
    monkeypatch.setattr("edge_agent.publishing.sparkplug.receiver._PAUSE_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sparkplug.receiver._PAUSE_CAP_S", 0.2)


def test_births_come_first_then_history_then_what_happens(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    written.event("CHALLENGE")
    written.parts(1, 5)
    host = Host(broker.port)
    with host.listening():
        with sending(outbox, to(broker, written.path)):
            until(lambda: 5 in host.parts)
            written.parts(6, 8)
            written.event("BUNDLE")
            until(lambda: 8 in host.parts and len(host.of("NDATA")) == 2)
        until(lambda: "NDEATH" in host.kinds)

    assert host.kinds[:2] == ["NBIRTH", "DBIRTH"]
    assert host.kinds[-1] == "NDEATH"
    assert host.parts == list(range(1, 9))
    assert [message.is_historical for message in host.of("DDATA")] == [True] * 5 + [False] * 3
    assert [message.is_historical for message in host.of("NDATA")] == [True, False]
    in_order(host.messages)
    assert drained(Outbox(written.path, "sparkplug")) == []
    assert {message.topic for message in host.messages} == {
        f"spBv1.0/{GROUP}/{kind}/{NODE}{'/inspection' if kind[0] == 'D' else ''}"
        for kind in ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA")
    }


def test_a_birth_says_every_metric_with_its_type_and_data_says_the_same_types(
    written: Written, broker: Mosquitto
) -> None:
    outbox = begun(written.path)
    written.parts(1, 1)
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path)):
        until(lambda: 1 in host.parts)
        written.part(reject_row(2))
        written.event("REVIEW")
        until(lambda: 2 in host.parts and "NDATA" in host.kinds)

    (node,), (device,) = host.of("NBIRTH"), host.of("DBIRTH")
    for birth in (node, device):
        assert all(metric.HasField("datatype") and metric.name and metric.timestamp for metric in birth.payload.metrics)
        assert all(metric.is_null == (metric.WhichOneof("value") is None) for metric in birth.payload.metrics)
        assert not any(metric.HasField("alias") or metric.is_historical for metric in birth.payload.metrics)
        assert len({name.lower() for name in birth.names}) == len(birth.names)
        assert now_ms() - birth.payload.timestamp < 60_000
    for data in host.of("DDATA"):
        assert set(data.names) == set(device.names)
    for data in host.of("NDATA"):
        assert set(data.names) < set(node.names)
    for birth, data in [(device, one) for one in host.of("DDATA")] + [(node, one) for one in host.of("NDATA")]:
        assert all(metric.datatype == birth.metric(metric.name).datatype for metric in data.payload.metrics)
        assert all(metric.timestamp for metric in data.payload.metrics)
    assert {(one.qos, one.retain) for one in host.messages if one.kind == "NDEATH"} == {(1, False)}
    assert {(one.qos, one.retain) for one in host.messages if one.kind != "NDEATH"} == {(0, False)}
    assert (node.value("Node Control/Rebirth"), node.metric("Node Control/Rebirth").datatype) == (False, tahu.Boolean)
    assert node.metric("bdSeq").datatype == tahu.Int64


def test_a_part_comes_whole_and_says_whether_it_went_through_the_gate(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path)):
        until(lambda: "DBIRTH" in host.kinds)
        written.part(part_row(1))
        written.part(reject_row(2))
        until(lambda: 2 in host.parts)

    passed, rejected = host.of("DDATA")
    assert host.of("DBIRTH")[0].metric("Part/Seq").is_null
    assert [passed.value(f"Part/{name}") for name in ("Verdict", "Published", "Passed")] == ["PASS", "PUBLISHED", True]
    assert [rejected.value(f"Part/{name}") for name in ("Verdict", "Passed", "Reason")] == ["REJECT", False, "SCORE"]
    assert passed.value("Part/Score") == 0.25
    assert passed.value("Camera 1/Outcome") == "OK"
    row = part_row(1)
    assert passed.metric("Part/Seq").timestamp == int(datetime.fromisoformat(row.decided_utc).timestamp() * 1000)
    assert passed.value("Part/Decided") == passed.metric("Part/Seq").timestamp


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_numbers_go_from_0_to_255_and_from_0_again(written: Written, broker: Mosquitto, version: str) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path, version=version)):
        written.parts(1, 300)
        until(lambda: 300 in host.parts)

    assert host.parts == list(range(1, 301))
    in_order(host.messages)
    assert {message.seq for message in host.messages if message.kind != "NDEATH"} == set(range(256))


def test_a_birth_that_is_asked_for_comes_with_the_same_bdseq_and_the_numbers_begin_anew(
    written: Written, broker: Mosquitto
) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path)):
        written.parts(1, 9)
        until(lambda: 9 in host.parts)
        host.ask_for_birth()
        until(lambda: len(host.of("DBIRTH")) == 2)
        written.parts(10, 12)
        until(lambda: 12 in host.parts)

    first, second = host.of("NBIRTH")
    assert first.value("bdSeq") == second.value("bdSeq")
    assert host.of("DBIRTH")[1].value("Part/Seq") == 9
    assert host.kinds[host.kinds.index("NBIRTH", 1) :][:2] == ["NBIRTH", "DBIRTH"]
    assert [message.value("Part/Seq") for message in host.of("DDATA") if not message.is_historical][-3:] == [10, 11, 12]
    assert host.parts == list(range(1, 13))
    in_order(host.messages)


def test_births_that_are_asked_for_without_end_hold_up_no_part(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path)):
        until(lambda: "DBIRTH" in host.kinds)
        for seq in range(1, 41):
            host.ask_for_birth()
            written.parts(seq, seq)
        until(lambda: 40 in host.parts)

    assert host.parts == list(range(1, 41))
    in_order(host.messages)


def test_a_flood_of_wishes_for_a_birth_gets_one_a_second(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path)):
        until(lambda: "DBIRTH" in host.kinds)
        begin_s = time.monotonic()
        for seq in range(1, 31):
            for _ in range(20):
                host.ask_for_birth()
            written.parts(seq, seq)
        until(lambda: 30 in host.parts)
        until(lambda: len(host.of("NBIRTH")) > 1)
        took_s = time.monotonic() - begin_s

    assert host.parts == list(range(1, 31))
    assert len(host.of("NBIRTH")) <= 2 + took_s
    in_order(host.messages)


# --- commands -----------------------------------------------------------------------------------------------


def test_no_command_but_a_birth_has_any_effect_and_each_is_written_down(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    ncmd, dcmd = f"spBv1.0/{GROUP}/NCMD/{NODE}", f"spBv1.0/{GROUP}/DCMD/{NODE}/inspection"
    with capture_logs() as logs, host.listening(), sending(outbox, to(broker, written.path)):
        until(lambda: "DBIRTH" in host.kinds)
        for bad in (b"", b"\xff\xff\xff", b"\x12\xff\xff\xff\xff\x0f", b"\x12\x03\x0a\x01\xff", bytes(100_000)):
            host.say(ncmd, bad)
        host.say(ncmd, command(("Node Control/Reboot", True), ("Line/Bypass", "by somebody")))
        host.say(ncmd, command(("Node Control/Rebirth", False)))
        host.say(ncmd, command(("Node Control/Rebirth", 1), ("Node Control/Rebirth", "true")))
        host.say(dcmd, command(("Part/Verdict", "PASS"), ("Node Control/Rebirth", True)))
        host.say(f"spBv1.0/{GROUP}/DCMD/{NODE}/another", command(("evil\x1b[2J", "x" * 1000)))
        until(lambda: any("evil?[2J" in entry.get("metrics", "") for entry in logs))
        written.parts(1, 3)
        until(lambda: 3 in host.parts)

    assert len(host.of("NBIRTH")) == len(host.of("DBIRTH")) == 1
    said = [entry["event"] for entry in logs if entry["event"].startswith("sparkplug_command")]
    assert said == [
        "sparkplug_command_ignored",
        *["sparkplug_command_unreadable"] * 4,
        *["sparkplug_command_ignored"] * 5,
    ]
    assert any("Part/Verdict" in entry.get("metrics", "") for entry in logs)


# --- outages ------------------------------------------------------------------------------------------------


def test_what_was_decided_while_the_broker_was_away_is_history_in_order(written: Written, tmp_path: Path) -> None:
    """The host comes back later than the agent, and nothing is sent to nobody: it is the primary host.

    It has connected anew, so what was sent shortly before comes again.
    """
    broker = Mosquitto(free_port(), tmp_path, keeps=False)
    broker.start()
    outbox = begun(written.path)
    host = Host(broker.port, name="scada")
    try:
        with host.listening(), sending(outbox, to(broker, written.path, primary_host="scada")):
            written.parts(1, 5)
            until(lambda: 5 in host.parts)
            broker.stop()
            written.parts(6, 140)
            written.event("CHALLENGE")
            broker.start()
            until(lambda: 140 in host.parts)
            written.parts(141, 142)
            until(lambda: 142 in host.parts)
    finally:
        broker.stop()

    again = host.messages.index(host.of("NBIRTH")[-1])
    after = [message for message in host.messages[again:] if message.kind == "DDATA"]
    assert host.messages[again + 1].value("Part/Seq") == 140
    assert [message.value("Part/Seq") for message in after] == list(range(1, 143))
    assert [message.is_historical for message in after] == [True] * 140 + [False] * 2
    in_order(host.messages[again:])


def test_a_second_start_goes_on_with_the_next_bdseq_and_loses_nothing(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with host.listening():
        for first in (1, 11, 21):
            written.parts(first, first + 9)
            with sending(outbox, to(broker, written.path)):
                until(lambda last=first + 9: last in host.parts)
            outbox = Outbox(written.path, "sparkplug")
        until(lambda: len(host.of("NDEATH")) == 3)

    assert [birth.value("bdSeq") for birth in host.of("NBIRTH")] == [0, 1, 2]
    assert [death.value("bdSeq") for death in host.of("NDEATH")] == [0, 1, 2]
    assert all(death.names == ["bdSeq"] and not death.retain for death in host.of("NDEATH"))
    assert host.parts == list(range(1, 31))


@pytest.mark.parametrize(("version", "deaths"), [("3.1.1", 1), ("5", 2)])
def test_a_session_that_ends_by_itself_says_its_death(
    written: Written, broker: Mosquitto, version: str, deaths: int
) -> None:
    """With MQTT 5 Sparkplug wants the will published as well: DISCONNECT with reason 4."""
    host = Host(broker.port)
    with host.listening():
        with sending(begun(written.path), to(broker, written.path, version=version)):
            until(lambda: "DBIRTH" in host.kinds)
        until(lambda: len(host.of("NDEATH")) == deaths)

    assert {death.value("bdSeq") for death in host.of("NDEATH")} == {0}


def test_an_access_list_that_forgot_the_parts_is_no_delivery_and_is_said(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.publishing.sparkplug.receiver._WITHIN_S", 0.5)
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite spBv1.0/+/NBIRTH/#\ntopic readwrite spBv1.0/+/DBIRTH/#\ntopic read spBv1.0/#\n")
    broker = Mosquitto(free_port(), tmp_path, f"allow_anonymous true\nacl_file {rules}")
    broker.start()
    try:
        outbox = begun(written.path)
        written.parts(1, 3)
        with capture_logs() as logs, sending(outbox, to(broker, written.path)):
            until(lambda: any("deny" in entry.get("why", "") for entry in logs))
        assert [seq.content["part_seq"] for seq in Outbox(written.path, "sparkplug").next(5)] == [1, 2, 3]
    finally:
        broker.stop()


def test_a_broker_that_lets_nobody_read_gets_everything_and_the_log_says_that_it_is_not_proven(
    written: Written, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic write spBv1.0/#\ntopic read spBv1.0/+/NCMD/#\n\nuser host\ntopic readwrite spBv1.0/#\n")
    passwords = tmp_path / "passwords"
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("no mosquitto on this machine (apt-get install mosquitto)")
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "host", "secret"], check=True, capture_output=True)
    more = f"allow_anonymous true\nacl_file {rules}\npassword_file {passwords}"
    broker = Mosquitto(free_port(), tmp_path, more)
    broker.start()
    try:
        outbox = begun(written.path)
        host = Host(broker.port, user=("host", "secret"))
        with capture_logs() as logs, host.listening(), sending(outbox, to(broker, written.path)):
            written.parts(1, 60)
            until(lambda: 60 in host.parts)
        assert host.parts == list(range(1, 61))
        assert [entry["event"] for entry in logs].count("sparkplug_not_proven") == 1
    finally:
        broker.stop()


def test_an_event_that_the_broker_is_too_small_for_is_set_aside_and_no_number_is_missing(
    written: Written, tmp_path: Path
) -> None:
    broker = Mosquitto(free_port(), tmp_path, "allow_anonymous true\nmax_packet_size 3000")
    broker.start()
    try:
        outbox = begun(written.path)
        written.parts(1, 4)
        asyncio.run(written.journal.event("BUNDLE", "y" * 5000))
        host = Host(broker.port)
        with host.listening(), sending(outbox, to(broker, written.path, version="5")):
            until(lambda: len(read_aside(aside_file(written.path, "sparkplug"))[0]) == 1)
            written.parts(5, 6)
            until(lambda: 6 in host.parts)
    finally:
        broker.stop()

    aside, _ = read_aside(aside_file(written.path, "sparkplug"))
    assert [one.content["kind"] for one in aside] == ["BUNDLE"]
    assert "3000 at most" in aside[0].why
    assert host.of("NBIRTH")[0].metric("Event/Id").is_null
    assert host.parts == [1, 2, 3, 4, 5, 6]
    in_order(host.messages)


# --- the device ---------------------------------------------------------------------------------------------


def test_the_device_dies_with_a_silent_agent_and_is_born_with_its_next_word(
    written: Written, broker: Mosquitto
) -> None:
    outbox, agent = begun(written.path), Talking()
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path, agent)):
        written.parts(1, 2)
        until(lambda: 2 in host.parts)
        agent.is_mute = True
        until(lambda: "DDEATH" in host.kinds)
        agent.is_mute = False
        until(lambda: len(host.of("DBIRTH")) == 2)
        written.parts(3, 3)
        until(lambda: 3 in host.parts)

    assert host.kinds == ["NBIRTH", "DBIRTH", "DDATA", "DDATA", "DDEATH", "DBIRTH", "DDATA", "NDEATH"]
    (death,) = host.of("DDEATH")
    assert death.names == []
    assert death.payload.timestamp
    in_order(host.messages)


def test_how_the_line_stands_is_said_when_it_changes_and_only_then(
    written: Written, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.publishing.sparkplug.receiver._LINE_EVERY_S", 0.0)
    outbox, agent = begun(written.path), Talking()
    host = Host(broker.port)
    with host.listening(), sending(outbox, to(broker, written.path, agent)):
        until(lambda: "DBIRTH" in host.kinds)
        agent.hear(agent_state("BUSY", program=3))
        agent.hear(agent_state("FAULT", program=3, bypass="Ada"))
        until(lambda: "NDATA" in host.kinds)
        agent.hear(agent_state("READY", program=4))
        until(lambda: len(host.of("NDATA")) == 2)

    (birth,), (fault, ready) = host.of("NBIRTH"), host.of("NDATA")
    assert (birth.value("Line/State"), birth.value("Line/Program")) == ("READY", 3)
    assert {name: fault.value(name) for name in fault.names} == {"Line/State": "FAULT", "Line/Bypass": "Ada"}
    assert {name: ready.value(name) for name in ready.names} == {
        "Line/State": "READY",
        "Line/Bypass": "",
        "Line/Program": 4,
    }


def test_a_part_of_a_camera_that_the_birth_did_not_know_brings_a_new_birth(written: Written, broker: Mosquitto) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    one = part_row(2)
    with host.listening(), sending(outbox, to(broker, written.path)):
        written.parts(1, 1)
        until(lambda: 1 in host.parts)
        written.part(replace(one, cameras=(*one.cameras, replace(one.cameras[0], camera=2, score=float("inf")))))
        until(lambda: 2 in host.parts)

    first, second = host.of("DBIRTH")
    assert "Camera 2/Score" not in first.names
    assert set(host.of("DDATA")[1].names) == set(second.names)
    assert host.of("DDATA")[1].value("Camera 2/Score") == float("inf")
    in_order(host.messages)


# --- the primary host ---------------------------------------------------------------------------------------


def test_nothing_is_published_while_the_primary_host_is_away_and_nothing_is_lost(
    written: Written, broker: Mosquitto
) -> None:
    outbox = begun(written.path)
    host = Host(broker.port)
    with capture_logs() as logs, host.listening(), sending(outbox, to(broker, written.path, primary_host="scada")):
        written.parts(1, 3)
        until(lambda: any("'scada' is not online" in entry.get("why", "") for entry in logs))
        host.state("another", online=True)
        host.say("spBv1.0/STATE/scada", "ONLINE")
        host.say("spBv1.0/STATE/scada", '{"online": 1, "timestamp": 5}')
        until(lambda: [entry["event"] for entry in logs].count("sparkplug_state_unreadable") == 2)
        assert host.messages == []
        host.state("scada", online=True, at_ms=1000)
        until(lambda: 3 in host.parts)

        host.state("scada", online=False, at_ms=999)  # the will of an older session of the host
        written.parts(4, 4)
        until(lambda: 4 in host.parts)
        host.state("scada", online=False, at_ms=1001)
        until(lambda: "NDEATH" in host.kinds)
        written.parts(5, 8)
        host.state("scada", online=True, at_ms=1002)
        until(lambda: 8 in host.parts)

    assert host.kinds[:2] == ["NBIRTH", "DBIRTH"]
    assert host.kinds[host.kinds.index("NDEATH") + 1 :][:2] == ["NBIRTH", "DBIRTH"]
    # What was sent within two minutes before the host went comes again: it may not have heard it.
    assert host.parts == [1, 2, 3, 4, *range(1, 9)]
    assert [message.is_historical for message in host.of("DDATA")] == [True] * 3 + [False] + [True] * 8


def test_what_was_sent_while_an_old_state_said_online_comes_again_to_the_host(written: Written, tmp_path: Path) -> None:
    """A broker that is started anew still has the host's "online", and the agent is back before the host."""
    broker = Mosquitto(free_port(), tmp_path)
    broker.start()
    outbox = begun(written.path)
    try:
        first, second = Host(broker.port, name="scada"), Host(broker.port, name="scada")
        with sending(outbox, to(broker, written.path, primary_host="scada")):
            with first.listening():
                written.parts(1, 5)
                until(lambda: 5 in first.parts)
                broker.stop()
            written.parts(6, 9)
            with JournalReader.open(written.path) as journal:
                newest = journal.newest_link()
            broker.start()
            # Sent to nobody, and taken for delivered. The word on a part's verdict is a link that is passed over.
            until(lambda: outbox.position is not None and outbox.position.link >= newest - 1)
            with second.listening():
                until(lambda: 9 in second.parts)
                written.parts(10, 10)
                until(lambda: 10 in second.parts)
    finally:
        broker.stop()

    assert second.kinds[:2] == ["NBIRTH", "DBIRTH"]
    assert second.parts == list(range(1, 11))
    assert [message.is_historical for message in second.of("DDATA")] == [True] * 9 + [False]


# --- the packet that opens a session ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_the_connection_is_clean_and_has_the_death_as_its_will(written: Written, version: str) -> None:
    """The bytes of CONNECT themselves, as any broker gets them."""
    written.parts(1, 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiver = to(Mosquitto(server.getsockname()[1], written.path.parent), written.path, version=version)
        caught: list[bytes] = []

        def accept() -> None:
            sock, _ = server.accept()
            with sock:
                caught.append(sock.recv(4096))
                sock.sendall(b"\x20\x02\x00\x00" if version == "3.1.1" else b"\x20\x03\x00\x00\x00")
                caught.append(sock.recv(4096))

        thread = threading.Thread(target=accept)
        thread.start()
        said = ""
        try:
            receiver.keep()
        except NotDelivered as err:
            said = str(err)
        receiver.close()
        thread.join(10)

    assert "the link is lost" in said
    subscribe = caught[1]  # before anything is published
    assert subscribe[0] == 0x82
    ncmd = f"spBv1.0/{GROUP}/NCMD/{NODE}".encode()
    assert subscribe[subscribe.index(ncmd) + len(ncmd)] & 0b11 == 1  # QoS 1
    packet = caught[0]
    at = packet.index(b"\x00\x04MQTT") + 6
    level, flags = packet[at], packet[at + 1]
    assert level == (4 if version == "3.1.1" else 5)
    assert flags & 0b111110 == 0b001110  # will QoS 1, not retained, a will, clean session or clean start
    if version == "5":
        assert packet[at + 4] == 0  # no property: the session expires with the connection
    topic = f"spBv1.0/{GROUP}/NDEATH/{NODE}".encode()
    begins = packet.index(topic) + len(topic)
    length = int.from_bytes(packet[begins : begins + 2], "big")
    death = tahu.Payload.FromString(packet[begins + 2 : begins + 2 + length])
    assert [(metric.name, metric.datatype, metric.long_value) for metric in death.metrics] == [("bdSeq", tahu.Int64, 0)]
    assert not death.HasField("seq")
