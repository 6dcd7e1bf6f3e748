"""Results to a real MQTT broker and a real HTTP server: outages, restarts and rotations lose none."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import Published
from drivers.timing import monotonic_s
from edge_agent.errors import DataError
from edge_agent.publishing.keeper import keep_publishing
from edge_agent.publishing.mqtt import MqttReceiver, topic_part
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import NotDelivered
from edge_agent.publishing.webhook import WebhookReceiver
from edge_agent.settings import MqttSettings, WebhookSettings
from edge_agent.store.journal import Journal
from edge_agent.store.rotation import rotate
from edge_agent.wiring.free_ports import free_port
from tests.opcua_site import ready
from tests.publishing import Hook, Written, drained, sending, seqs, until
from tests.security.web_site import part_row, web_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    journal = Written(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


# --- the journal as a queue -------------------------------------------------------------------------------


def test_the_first_time_begins_now_and_then_nothing_is_left_out(written: Written) -> None:
    written.parts(1, 5)
    outbox = Outbox(written.path, "test")
    assert drained(outbox) == []

    written.parts(6, 30)
    written.event("CHALLENGE")
    written.parts(31, 33)
    found = drained(outbox)

    assert seqs(found) == list(range(6, 34))
    assert [r.content["kind"] for r in found if r.kind == "event"] == ["CHALLENGE"]
    assert all(r.content["published"] == "PUBLISHED" for r in found if r.kind == "part")
    json.dumps([record.content for record in found], allow_nan=False)


def test_what_is_not_confirmed_comes_again_also_after_a_restart(written: Written) -> None:
    Outbox(written.path, "test").next(1)
    written.parts(1, 9)
    first = Outbox(written.path, "test")
    taken = first.next(3)
    assert seqs(taken) == seqs(first.next(3))
    first.delivered(taken[-1])
    first.save()

    assert seqs(drained(Outbox(written.path, "test"))) == list(range(seqs(taken)[-1] + 1, 10))


def test_a_rotated_journal_is_finished_first(written: Written, tmp_path: Path) -> None:
    Outbox(written.path, "test").next(1)
    written.parts(1, 20)
    written.close()
    rotate(written.path)
    again = Written(written.path)
    again.parts(21, 25)
    again.close()

    assert seqs(drained(Outbox(written.path, "test"))) == list(range(1, 26))


def test_another_journal_in_its_place_is_sent_from_its_beginning(written: Written) -> None:
    written.parts(1, 9)
    outbox = Outbox(written.path, "test")
    outbox.next(1)
    outbox.save()
    written.close()
    written.path.unlink()
    again = Written(written.path)
    again.parts(1, 2)
    again.close()

    assert seqs(drained(Outbox(written.path, "test"))) == [1, 2]


def test_a_part_waits_for_the_word_on_its_verdict_but_not_for_ever(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(written.path, "test")
    outbox.next(1)
    asyncio.run(written.journal.append(part_row(1)))
    assert outbox.next(5) == []

    monkeypatch.setattr("edge_agent.publishing.outbox._FATE_WITHIN_S", 0.0)
    (record,) = outbox.next(5)
    assert record.content["published"] is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 9, "origin": "", "link": 1}']
)
def test_a_damaged_position_is_said(written: Written, text: str) -> None:
    written.path.with_name(written.path.name + ".test.position").write_text(text)

    with pytest.raises(DataError, match=r"test\.position"):
        Outbox(written.path, "test")


# --- a real HTTP server -----------------------------------------------------------------------------------


@pytest.fixture
def hook() -> Iterator[Hook]:
    at = Hook(free_port())
    yield at
    at.stop()


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_CAP_S", 0.2)


@pytest.mark.usefixtures("quick_retries")
def test_a_webhook_that_is_away_refuses_and_redirects_gets_everything_in_order(
    written: Written, hook: Hook, tmp_path: Path
) -> None:
    Outbox(written.path, "webhook").next(1)
    (tmp_path / "token").write_text("secret-of-this-test\n")
    settings = WebhookSettings(url=f"http://127.0.0.1:{hook.port}/in", token_file=tmp_path / "token", most=4)
    written.parts(1, 6)
    with sending(Outbox(written.path, "webhook"), WebhookReceiver(settings, "line 7")):
        hook.answers[:] = [500, 302, 401, 200]
        hook.start()
        until(lambda: hook.parts == list(range(1, 7)))
        hook.stop()
        written.parts(7, 12)
        hook.start()
        until(lambda: hook.parts == list(range(1, 13)))

    headers, body = hook.posts[0]
    assert headers["Authorization"] == "Bearer secret-of-this-test"
    assert headers["Idempotency-Key"]
    assert body["line"] == "line 7"
    assert all(len(body["parts"]) + len(body["events"]) <= 4 for _, body in hook.posts)


# --- a real broker ----------------------------------------------------------------------------------------


@dataclass
class Broker:
    port: int
    folder: Path
    more: str = ""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "mosquitto.conf"
        kept = f"persistence true\npersistence_location {self.folder}/\nuser root\n"
        config.write_text(f"listener {self.port} 127.0.0.1\n{kept}{self.more or 'allow_anonymous true'}\n")
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()  # it writes down who listens
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine (apt-get install mosquitto)")
    at = Broker(free_port(), tmp_path)
    yield at
    at.stop()


@dataclass
class Heard:
    """A subscriber, connected anew whenever the broker comes back."""

    port: int
    messages: list[tuple[str, Any, bool]] = field(default_factory=list)

    @property
    def parts(self) -> list[int]:
        return [body["part_seq"] for topic, body, _ in self.messages if topic.endswith("/part")]

    @contextmanager
    def listening(self) -> Iterator[None]:
        import paho.mqtt.client as paho

        ready = threading.Event()

        def on_message(_c: Any, _d: Any, message: Any) -> None:
            self.messages.append((message.topic, json.loads(message.payload), message.retain))

        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        client.on_message = on_message
        client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
        client.on_subscribe = lambda *_: ready.set()
        client.reconnect_delay_set(1, 1)
        begin = monotonic_s()
        while True:
            try:
                client.connect("127.0.0.1", self.port)
                break
            except OSError:
                assert monotonic_s() - begin < 10
                threading.Event().wait(0.05)
        client.loop_start()
        assert ready.wait(10)
        try:
            yield
        finally:
            client.disconnect()
            client.loop_stop()


@pytest.mark.usefixtures("quick_retries")
def test_a_broker_that_is_away_for_a_while_gets_everything_in_order(written: Written, broker: Broker) -> None:
    Outbox(written.path, "mqtt").next(1)
    receiver = MqttReceiver(MqttSettings(host="127.0.0.1", port=broker.port, group="plant 1/a"), "line #7")
    heard = Heard(broker.port)
    written.parts(1, 8)
    with sending(Outbox(written.path, "mqtt"), receiver):
        broker.start()
        with heard.listening():
            until(lambda: 8 in heard.parts)
            broker.stop()
            written.parts(9, 40)
            written.event("CHALLENGE")
            broker.start()
            until(lambda: 40 in heard.parts)

    assert list(dict.fromkeys(heard.parts)) == list(range(1, 41))  # in order; at least once each
    assert drained(Outbox(written.path, "mqtt")) == []
    topics = {topic for topic, _, _ in heard.messages}
    assert "edge-agent/plant 1-a/DDATA/line -7/part" in topics


@pytest.mark.usefixtures("quick_retries")
def test_every_message_reaches_a_listener_and_the_state_is_kept_and_true(written: Written, broker: Broker) -> None:
    Outbox(written.path, "mqtt").next(1)
    receiver = MqttReceiver(MqttSettings(host="127.0.0.1", port=broker.port), "line 7")
    heard, late = Heard(broker.port), Heard(broker.port)
    broker.start()
    with heard.listening():
        with sending(Outbox(written.path, "mqtt"), receiver):
            written.parts(1, 150)
            written.event("BUNDLE")
            until(lambda: len(heard.parts) == 150)
            until(lambda: any(topic.endswith("/event") for topic, _, _ in heard.messages))
        until(lambda: not heard.messages[-1][1].get("online", True))

    assert heard.parts == list(range(1, 151))
    states = [body["online"] for topic, body, _ in heard.messages if "/STATE/" in topic]
    assert states == [True, False]
    late.port = broker.port
    with late.listening():
        until(lambda: bool(late.messages))
    assert late.messages[0][2]
    assert late.messages[0][1]["online"] is False


def test_a_broker_that_refuses_is_said(broker: Broker, tmp_path: Path) -> None:
    broker.more = "allow_anonymous false"
    broker.start()
    receiver = MqttReceiver(MqttSettings(host="127.0.0.1", port=broker.port), "line 7")
    said = ""

    def refused() -> bool:
        nonlocal said
        try:
            receiver.deliver([])
        except NotDelivered as err:
            said = str(err)
        return "Not authorized" in said

    until(refused)


@pytest.mark.parametrize(
    ("name", "level"), [("line/3", "line-3"), ("#", "-"), ("a+b#c", "a-b-c"), ("\x00\n", "-"), (" ", "-")]
)
def test_a_name_is_one_level_of_a_topic(name: str, level: str) -> None:
    assert topic_part(name) == level


# --- the process beside the agent -------------------------------------------------------------------------


async def test_the_process_delivers_and_ends_with_the_agent(tmp_path: Path, hook: Hook) -> None:
    settings = web_settings(tmp_path)
    webhook = WebhookSettings(url=f"http://127.0.0.1:{hook.port}/")
    settings = settings.model_copy(update={"webhook": webhook, "web": None})
    journal = Journal.open(settings.store.journal)
    Outbox(settings.store.journal, "webhook").next(1)
    hook.start()
    try:
        async with keep_publishing(settings, ready, journal.event):
            for seq in (1, 2, 3):
                await journal.append(part_row(seq))
                await journal.publication(seq, Published.PUBLISHED, 100.6)
            async with asyncio.timeout(30):
                while hook.parts != [1, 2, 3]:
                    await asyncio.sleep(0.05)
        assert drained(Outbox(settings.store.journal, "webhook")) == []
    finally:
        journal.close()
