"""A broker that denies, freezes, forgets, throws out or knows no MQTT 5: never taken for delivery, and said."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from edge_agent.publishing.mqtt import MqttReceiver
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import NotDelivered
from edge_agent.settings import MqttSettings
from edge_agent.store.aside import aside_file, read_aside
from edge_agent.wiring.free_ports import free_port
from tests.mqtt_broker import Broker5
from tests.publishing import Written, sending, seqs, until
from tests.security.web_site import part_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    journal = Written(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def broker() -> Iterator[Broker5]:
    at = Broker5(free_port())
    at.start()
    yield at
    at.stop()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_CAP_S", 0.2)


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.mqtt._PAUSE_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.mqtt._PAUSE_CAP_S", 0.2)


def to(broker: Broker5, **more: Any) -> MqttReceiver:
    return MqttReceiver(MqttSettings(host="127.0.0.1", port=broker.port, **more), "line 7")


def begun(written: Written) -> Outbox:
    Outbox(written.path, "mqtt").next(1)
    return Outbox(written.path, "mqtt")


# --- reason codes -------------------------------------------------------------------------------------------


def test_a_topic_that_is_denied_is_no_delivery_and_is_said(written: Written, broker: Broker5) -> None:
    """What an access list that forgot the parts' topic does; with MQTT 3.1.1 it looked like delivery."""
    broker.answer = lambda topic, _: 0x87 if "/DDATA/" in topic else 0
    outbox = begun(written)
    written.parts(1, 5)
    with capture_logs() as logs, sending(outbox, to(broker)):
        until(lambda: any("denies the topic" in entry.get("why", "") for entry in logs))
        assert outbox.position == Outbox(written.path, "mqtt").position  # nothing is taken for delivered
        assert broker.parts == []
        broker.answer = lambda *_: 0
        until(lambda: 5 in broker.parts)

    assert broker.parts == [1, 2, 3, 4, 5]
    assert read_aside(aside_file(written.path, "mqtt")) == ([], 0)


def test_what_is_taken_behind_a_denied_topic_does_not_come_again_and_again(written: Written, broker: Broker5) -> None:
    broker.answer = lambda topic, _: 0x87 if "/NDATA/" in topic else 0
    outbox = begun(written)
    written.parts(1, 4)
    written.event("CHALLENGE")
    written.parts(5, 8)
    denied = threading.Semaphore(0)

    def answer(topic: str, _: Any) -> int:
        if "/NDATA/" not in topic:
            return 0
        denied.release()
        return 0x87

    broker.answer = answer
    with sending(outbox, to(broker)):
        for _ in range(5):
            assert denied.acquire(timeout=30)
        assert [broker.parts.count(seq) for seq in range(1, 5)] == [1, 1, 1, 1]
        assert max(broker.parts.count(seq) for seq in range(5, 9)) <= 1
        broker.answer = lambda *_: 0
        until(lambda: broker.parts.count(8) == 2 and any("/NDATA/" in topic for topic, _ in broker.messages))


@pytest.mark.parametrize("code", [0x80, 0x83, 0x99])
def test_one_message_that_a_broker_refuses_is_set_aside(written: Written, broker: Broker5, code: int) -> None:
    broker.answer = lambda _, body: code if body.get("part_seq") == 4 else 0
    outbox = begun(written)
    written.parts(1, 9)
    with sending(outbox, to(broker)):
        until(lambda: 9 in broker.parts)

    assert broker.parts == [1, 2, 3, 5, 6, 7, 8, 9]  # each once: the broker says which one it was
    (one,) = read_aside(aside_file(written.path, "mqtt"))[0]
    assert one.words == "part 4"


def test_a_message_that_is_larger_than_the_broker_takes_is_set_aside_and_not_sent(
    written: Written, broker: Broker5
) -> None:
    """Sent, it would end the link, and with it everything behind it, for ever."""
    outbox = begun(written)
    written.parts(1, 3)
    usual = len(json.dumps(outbox.next(1)[0].content))
    written.part(part_row(4, detail="x" * 400))
    written.parts(5, 6)
    broker.properties = b"\x27" + (usual + 200).to_bytes(4, "big")
    with sending(outbox, to(broker)):
        until(lambda: 6 in broker.parts)

    assert broker.parts == [1, 2, 3, 5, 6]
    (one,) = read_aside(aside_file(written.path, "mqtt"))[0]
    assert f"{usual + 200} at most" in one.why
    assert len(broker.logins) == 1


def test_a_broker_that_takes_few_at_once_gets_few_at_once(written: Written, broker: Broker5) -> None:
    broker.properties = b"\x21" + (2).to_bytes(2, "big")
    outbox = begun(written)
    written.parts(1, 30)
    with sending(outbox, to(broker)):
        until(lambda: 30 in broker.parts)
    assert broker.parts == list(range(1, 31))


@pytest.mark.parametrize(
    ("code", "words"), [(0x87, "Not authorized"), (0x86, "Bad user name"), (0x88, "unavailable"), (0x8A, "Banned")]
)
def test_a_broker_that_does_not_let_us_in_is_said(broker: Broker5, code: int, words: str) -> None:
    broker.connack = code
    receiver = to(broker)
    with pytest.raises(NotDelivered, match=words):
        receiver.keep()
    receiver.close()


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize(("code", "words"), [(0x98, "Administrative action"), (0x8B, "shutting down")])
def test_why_a_broker_ended_the_link_is_said(written: Written, broker: Broker5, code: int, words: str) -> None:
    outbox = begun(written)
    with capture_logs() as logs, sending(outbox, to(broker)):
        until(lambda: broker.state is True)
        broker.end_links(code)
        until(lambda: any(words in entry.get("why", "") for entry in logs))
        written.parts(1, 2)
        until(lambda: 2 in broker.parts)


# --- an older broker ----------------------------------------------------------------------------------------


def test_a_broker_without_mqtt_5_is_refused_with_the_way_out(broker: Broker5) -> None:
    broker.levels = (4,)
    receiver = to(broker)
    with pytest.raises(NotDelivered, match=r'mqtt\.version = "3\.1\.1"'):
        receiver.keep()
    receiver.close()


def test_the_older_version_is_spoken_where_a_person_wants_it_and_says_what_that_costs(
    written: Written, broker: Broker5
) -> None:
    broker.levels = (4,)
    outbox = begun(written)
    written.parts(1, 30)
    with capture_logs() as logs, sending(outbox, to(broker, version="3.1.1")):
        until(lambda: 30 in broker.parts)

    assert broker.parts == list(range(1, 31))
    assert any(entry["event"] == "mqtt_tells_no_reasons" for entry in logs)


def test_a_broker_that_keeps_no_retained_messages_gets_results_all_the_same(written: Written, broker: Broker5) -> None:
    broker.properties = b"\x25\x00"
    outbox = begun(written)
    written.parts(1, 3)
    with capture_logs() as logs, sending(outbox, to(broker)):
        until(lambda: 3 in broker.parts)

    assert broker.retained == {}
    assert any(entry["event"] == "mqtt_keeps_no_state" for entry in logs)


# --- a broker that hangs ------------------------------------------------------------------------------------


def test_a_frozen_broker_has_one_time_out_for_all_that_it_was_sent(
    written: Written, broker: Broker5, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty of fifty are in flight; waiting for each in turn took twenty time-outs and more."""
    monkeypatch.setattr("edge_agent.publishing.mqtt._CONFIRM_WITHIN_S", 2.0)
    outbox = begun(written)
    written.parts(1, 100)
    records = outbox.next(100)
    receiver = to(broker)
    receiver.keep()
    broker.freeze()
    gave_up, said = threading.Event(), []

    def deliver() -> None:
        try:
            receiver.deliver(records)
        except NotDelivered as err:
            said.append(err)
        gave_up.set()

    thread = threading.Thread(target=deliver, daemon=True)
    thread.start()
    assert gave_up.wait(2.0 * 15)  # fifteen time-outs of the one that it may take; each in turn would be fifty
    thread.join(10)
    assert "did not acknowledge everything within 2 s" in str(said[0])
    assert said[0].confirmed == 0
    assert said[0].after_s > 0
    broker.thaw()
    receiver.deliver(records)  # a new link, at the next try
    assert seqs(records)[-1] in broker.parts
    receiver.close()


def test_what_a_broker_took_before_it_froze_does_not_come_again(written: Written, broker: Broker5) -> None:
    outbox = begun(written)
    written.parts(1, 30)

    def answer(_: str, body: Any) -> int:
        if body.get("part_seq") == 10:
            broker.freeze()
        return 0

    broker.answer = answer
    records = outbox.next(30)
    receiver = to(broker)
    with pytest.raises(NotDelivered) as caught:
        receiver.deliver(records)
    assert caught.value.confirmed == 10
    assert caught.value.at_most < 30
    broker.thaw()
    receiver.close()


# --- the state, while no part comes -------------------------------------------------------------------------


@pytest.mark.usefixtures("_short_pauses")
def test_the_state_comes_back_after_a_cut_although_no_part_comes(written: Written, broker: Broker5) -> None:
    outbox = begun(written)
    with sending(outbox, to(broker)):
        until(lambda: broker.state is True)
        broker.cut()
        until(lambda: [body["online"] for topic, body in broker.messages if "/STATE/" in topic] == [True, False, True])
        until(lambda: broker.state is True)
    until(lambda: broker.state is False)


@pytest.mark.usefixtures("_short_pauses")
def test_the_state_comes_back_to_a_broker_that_was_started_anew(written: Written, broker: Broker5) -> None:
    outbox = begun(written)
    with sending(outbox, to(broker)):
        until(lambda: broker.state is True)
        broker.stop()
        broker.retained.clear()
        broker.start()
        until(lambda: broker.state is True)


def test_a_state_that_somebody_else_overwrites_is_said_again(
    written: Written, broker: Broker5, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old session's will that comes late, or a retained message that a person cleared."""
    monkeypatch.setattr("edge_agent.publishing.mqtt._STATE_EVERY_S", 0.1)
    outbox = begun(written)
    with sending(outbox, to(broker)):
        until(lambda: broker.state is True)
        broker.retained.clear()
        until(lambda: broker.state is True)


def test_the_will_claims_no_time_that_nobody_knew(written: Written, broker: Broker5) -> None:
    outbox = begun(written)
    with sending(outbox, to(broker)):
        until(lambda: broker.state is True)
        broker.cut()
        until(lambda: any(not body["online"] for topic, body in broker.messages if "/STATE/" in topic))
        (will,) = [body for topic, body in broker.messages if "/STATE/" in topic and not body["online"]]
    assert will["at_utc"] is None


def test_two_agents_of_one_name_are_told_and_do_not_throw_each_other_out_without_end(
    written: Written, broker: Broker5
) -> None:
    first, second = to(broker), to(broker)
    first.keep()
    second.keep()
    said: list[NotDelivered] = []

    def is_thrown_out() -> bool:
        try:
            first.keep()
        except NotDelivered as err:
            said.append(err)
        return bool(said)

    until(is_thrown_out)
    assert "a second agent with the same mqtt.group and node" in str(said[0])
    assert said[0].after_s >= 1
    first.close()
    second.close()


def test_a_state_that_is_denied_stops_no_result(written: Written, broker: Broker5) -> None:
    broker.answer = lambda topic, _: 0x87 if "/STATE/" in topic else 0
    outbox = begun(written)
    written.parts(1, 3)
    with capture_logs() as logs, sending(outbox, to(broker)):
        until(lambda: 3 in broker.parts)
    assert any(entry["event"] == "mqtt_state_not_taken" for entry in logs)
