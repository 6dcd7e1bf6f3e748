"""What tests of Sparkplug share: a real broker, and a host that decodes with a library that is not the producer's."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from esio_spb_builder.core import sparkplug_b_pb2 as tahu

from drivers.timing import monotonic_s
from edge_agent.feed.state import AgentState, Condition
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sparkplug.receiver import SparkplugReceiver
from edge_agent.publishing.sparkplug.watch import AgentWatch
from edge_agent.settings import SparkplugSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Heard", "Host", "Mosquitto", "Talking", "agent_state", "begun", "command", "in_order", "to"]

GROUP, NODE, DEVICE = "plant 1", "line 7", "inspection"
_MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@dataclass
class Mosquitto:
    """Debian's broker on a port of its own."""

    port: int
    folder: Path
    more: str = "allow_anonymous true"
    keeps: bool = True
    """Whether retained messages outlive a restart."""
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; skips the test where this machine has none."""
        if _MOSQUITTO is None:
            pytest.skip("no mosquitto on this machine (apt-get install mosquitto)")
        config = self.folder / "mosquitto.conf"
        kept = f"persistence {str(self.keeps).lower()}\npersistence_location {self.folder}/\nuser root\n"
        config.write_text(f"listener {self.port} 127.0.0.1\n{kept}{self.more}\n")
        self._process = subprocess.Popen([_MOSQUITTO, "-c", str(config)], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End it as a person would: what is retained is written down."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


@dataclass(frozen=True)
class Heard:
    """One message of a node, decoded. ``metrics`` are the library's own objects."""

    topic: str
    qos: int
    retain: bool
    payload: Any

    @property
    def kind(self) -> str:
        return self.topic.split("/")[2]

    @property
    def seq(self) -> int | None:
        return self.payload.seq if self.payload.HasField("seq") else None

    @property
    def names(self) -> list[str]:
        return [metric.name for metric in self.payload.metrics]

    def metric(self, name: str) -> Any:
        return next(metric for metric in self.payload.metrics if metric.name == name)

    def value(self, name: str) -> Any:
        metric = self.metric(name)
        field_name = metric.WhichOneof("value")
        return None if field_name is None else getattr(metric, field_name)

    @property
    def is_historical(self) -> bool:
        flags = {metric.is_historical for metric in self.payload.metrics}
        assert len(flags) == 1
        return flags.pop()


@dataclass
class Host:
    """A host application, connected anew whenever the broker comes back. It keeps everything it heard, in order."""

    port: int
    topic: str = "spBv1.0/+/+/#"
    user: tuple[str, str] | None = None
    name: str | None = None
    """As a primary host: with each connection it says that it is online."""
    messages: list[Heard] = field(default_factory=list)
    _client: Any = None

    def of(self, kind: str) -> list[Heard]:
        return [message for message in list(self.messages) if message.kind == kind]

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in list(self.messages)]

    @property
    def parts(self) -> list[int]:
        return [message.value("Part/Seq") for message in self.of("DDATA")]

    @contextmanager
    def listening(self) -> Iterator[None]:
        import paho.mqtt.client as paho

        ready = threading.Event()

        def on_message(_c: Any, _d: Any, message: Any) -> None:
            if "/STATE/" in message.topic or message.topic.split("/")[2] in ("NCMD", "DCMD"):
                return
            payload = tahu.Payload()
            payload.ParseFromString(message.payload)
            self.messages.append(Heard(message.topic, message.qos, message.retain, payload))

        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"host-{id(self)}")
        client.on_message = on_message
        if self.user is not None:
            client.username_pw_set(*self.user)

        def on_subscribe(c: Any, *_: Any) -> None:
            if self.name is not None:
                c.publish(f"spBv1.0/STATE/{self.name}", _state(online=True), qos=1, retain=True)
            ready.set()

        client.on_connect = lambda c, *_: c.subscribe(self.topic, qos=1)
        client.on_subscribe = on_subscribe
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
        self._client = client
        try:
            yield
        finally:
            client.disconnect()
            client.loop_stop()
            # Its own pair of sockets is closed when it goes, and it goes where nothing points back at it.
            client.on_message = client.on_connect = client.on_subscribe = self._client = None

    def say(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def ask_for_birth(self) -> None:
        self.say(f"spBv1.0/{GROUP}/NCMD/{NODE}", command(("Node Control/Rebirth", True)))

    def state(self, name: str, *, online: bool, at_ms: int | None = None) -> None:
        """STATE of Sparkplug 3, as a primary host says it."""
        self.say(f"spBv1.0/STATE/{name}", _state(online=online, at_ms=at_ms), retain=True)


def _state(*, online: bool, at_ms: int | None = None) -> str:
    now = int(datetime.now(UTC).timestamp() * 1000)
    return json.dumps({"online": online, "timestamp": now if at_ms is None else at_ms})


def command(*metrics: tuple[str, object]) -> bytes:
    """A command's payload, encoded by the other library."""
    payload = tahu.Payload(timestamp=int(datetime.now(UTC).timestamp() * 1000))
    for name, value in metrics:
        metric = payload.metrics.add()
        metric.name = name
        if isinstance(value, bool):
            metric.datatype, metric.boolean_value = 11, value
        elif isinstance(value, int):
            metric.datatype, metric.long_value = 4, value
        else:
            metric.datatype, metric.string_value = 12, str(value)
    return bytes(payload.SerializeToString())


def agent_state(state: str = "READY", **more: Any) -> AgentState:
    """How an agent says that it stands."""
    return AgentState(
        state=state,
        since_mono_s=0.0,
        is_simulated=False,
        conditions={"controller": Condition(why_not="", since_mono_s=0.0)},
        archive_lost=0,
        archive_pruned=0,
        **more,
    )


class Talking(AgentWatch):
    """An agent that tells all the time, until ``is_mute``."""

    is_mute = False

    def __init__(self) -> None:
        super().__init__()
        self.hear(agent_state(program=3))

    @property
    def is_silent(self) -> bool:
        return self.is_mute


def to(broker: Mosquitto, journal: Path, agent: AgentWatch | None = None, **more: Any) -> SparkplugReceiver:
    settings = SparkplugSettings(host="127.0.0.1", port=broker.port, group=GROUP, **more)
    return SparkplugReceiver(settings, NODE, (1,), journal, agent or Talking())


def begun(journal: Path) -> Outbox:
    """A queue that begins now."""
    Outbox(journal, "sparkplug").next(1)
    return Outbox(journal, "sparkplug")


def in_order(messages: Sequence[Heard]) -> None:
    """Numbers go up by one, modulo 256, from each birth on. Raises AssertionError."""
    expected = None
    for message in messages:
        if message.kind == "NDEATH":
            assert message.seq is None
            continue
        assert message.seq is not None
        if message.kind == "NBIRTH":
            assert message.seq == 0
        elif expected is not None:
            assert message.seq == expected, [(one.kind, one.seq) for one in messages]
        expected = (message.seq + 1) % 256
