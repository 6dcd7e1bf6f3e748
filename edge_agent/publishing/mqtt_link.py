"""One connection to an MQTT broker, from CONNECT to its end. Every message's answer is kept with its reason code."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers.timing import monotonic_s
from edge_agent.errors import Unavailable
from edge_agent.publishing.sender import NotDelivered
from edge_agent.publishing.tls import TlsFiles, client_context
from edge_agent.settings import read_password

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import paho.mqtt.client as paho

    from edge_agent.settings import BrokerSettings

__all__ = ["KeepsNoRetained", "Message", "MqttLink", "mqtt_library"]

_CONNECT_WITHIN_S = 5.0
_BYE_WITHIN_S = 1.0
_KEEP_ALIVE_S = 15
_UNSUPPORTED_VERSION, _TAKEN_OVER, _NO_RETAIN = 0x84, 0x8E, 0x9A
_LENGTHS_AND_MORE_BYTES = 64
"""Of a PUBLISH beside topic and payload, at most."""


class KeepsNoRetained(NotDelivered):
    """The broker keeps no retained message: state and will have to go without."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker, with QoS 1 confirmed by it; with ``retain`` it is kept for who subscribes later."""

    topic: str
    payload: str | bytes
    retain: bool = False
    qos: int = 1


class MqttLink:
    """A connection that was accepted; it never connects again. Used in one thread, with paho's own beside it."""

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        will: Message,
        *,
        table: str = "mqtt",
        hear: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """Connect. Raises NotDelivered, with what the broker says; ConfigError for files; Unavailable.

        ``table`` is line.toml's, for words. ``hear`` is called in paho's thread with topic and payload of each message.
        """
        self._settings = settings
        self._table = table
        self._hear = hear
        self.client_id = client_id
        self.where = f"MQTT broker {settings.host}:{settings.port}"
        self.ended = ""
        self._keeps_no_retained = False
        self.begun_mono_s = monotonic_s()
        self._told = threading.Condition()
        self._answers: dict[int, Any] = {}
        self._codes: dict[int, list[Any]] = {}
        self._accepted: Any = None
        self._at_once = 100
        self._most_bytes: int | None = None
        self._client = self._made(will)
        self._connect()
        if self._keeps_no_retained and will.retain:
            self.bye()
            raise KeepsNoRetained(f"{self.where} keeps no retained messages")

    def send(self, messages: Sequence[Message], within_s: float) -> list[Any]:
        """Publish all; the broker's reason code of each. ``too_large`` says before which ones it would end the link.

        Raises NotDelivered where not all are answered in that time, with how many of the first were taken; the link is
        over then.
        """
        by_mono_s = monotonic_s() + within_s
        answers: list[Any] = []
        for first in range(0, len(messages), self._at_once):
            answers += self._send_some(messages[first : first + self._at_once], by_mono_s, answers, within_s)
        return answers

    def too_large(self, message: Message) -> str:
        """Why this broker would end the link over the message; empty where it would not."""
        payload = message.payload.encode() if isinstance(message.payload, str) else message.payload
        size = len(message.topic.encode()) + len(payload) + _LENGTHS_AND_MORE_BYTES
        if self._most_bytes is None or size <= self._most_bytes:
            return ""
        return f"{size} bytes, and {self.where} takes {self._most_bytes} at most"

    def subscribe(self, topics: Sequence[str], within_s: float) -> list[str]:
        """Ask for what comes to these topics, with QoS 1; those that the broker denies. Raises NotDelivered."""
        codes = self._asked(lambda: self._client.subscribe([(topic, 1) for topic in topics]), within_s)
        return [topic for topic, code in zip(topics, codes, strict=True) if code.is_failure]

    def round_trip(self, within_s: float) -> None:
        """Wait until the broker has read everything that was sent so far. Raises NotDelivered; the link is over then.

        QoS 0 has no acknowledgement. A broker reads a connection in its order and answers each UNSUBSCRIBE, also of
        a topic that nobody subscribed to.
        """
        self._asked(lambda: self._client.unsubscribe(f"{self.client_id}/round-trip"), within_s)

    def bye(self, *, with_will: bool = False) -> None:
        """Say goodbye, so that the will is not needed; let go within a second or two, whatever the broker does.

        With ``with_will`` the broker is asked to publish it all the same, which MQTT 5 can.
        """
        if with_will and self._settings.version == "5":
            self._client.disconnect(mqtt_reason("Disconnect with will message"))
        else:
            self._client.disconnect()
        with self._told:
            self._told.wait_for(lambda: bool(self.ended), _BYE_WITHIN_S)
        self.drop()

    def drop(self) -> None:
        """Let go without a word: the broker then publishes the will."""
        self.ended = self.ended or "let go"
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError, ValueError):
                # paho's thread goes on until everything is answered; without a socket it ends at once.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self._client.loop_stop()
        # Its own pair of sockets is closed when it goes, and it goes at once where nothing points back at us.
        self._client.on_connect = self._client.on_disconnect = self._client.on_publish = None
        self._client.on_subscribe = self._client.on_unsubscribe = self._client.on_message = None

    def _made(self, will: Message) -> paho.Client:
        library, settings = mqtt_library(), self._settings
        client: paho.Client = library.Client(
            library.CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            protocol=library.MQTTv5 if settings.version == "5" else library.MQTTv311,
            reconnect_on_failure=False,
        )
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = client.on_unsubscribe = self._on_asked
        if self._hear is not None:
            client.on_message = self._on_message
        if settings.password_file is not None:
            client.username_pw_set(settings.user, read_password(settings.password_file))
        files = TlsFiles(settings.ca_file, settings.certificate_file, settings.key_file)
        if files != TlsFiles():
            client.tls_set_context(client_context(files))
        client.connect_timeout = _CONNECT_WITHIN_S
        return client

    def _connect(self) -> None:
        settings = self._settings
        try:
            self._client.connect(settings.host, settings.port, keepalive=_KEEP_ALIVE_S)
        except (OSError, ValueError) as err:
            self.drop()
            raise NotDelivered(f"{self.where} cannot be reached: {err}") from err
        self._client.loop_start()
        with self._told:
            self._told.wait_for(lambda: self._accepted is not None or bool(self.ended), _CONNECT_WITHIN_S)
        if self._accepted is None:
            why = self.ended or f"it did not answer within {_CONNECT_WITHIN_S:.0f} s"
            self.drop()
            if settings.version == "5":
                why += f'; a broker that knows no MQTT 5 does that too: then {self._table}.version = "3.1.1"'
            raise NotDelivered(f"{self.where}: {why}")
        if self._accepted.is_failure and not self._keeps_no_retained:
            self.drop()
            raise NotDelivered(f"{self.where} refuses: {self._refusal()}")

    def _refusal(self) -> str:
        said, code = str(self._accepted), self._accepted.value
        if code == _UNSUPPORTED_VERSION or "protocol version" in said.lower():
            if self._settings.version != "5":
                return said
            if self._table != "mqtt":
                return f'{said}. It speaks no MQTT 5: {self._table}.version = "3.1.1"'
            return (
                f"{said}. It speaks no MQTT 5, and with an older version nobody is told of a topic that is denied: "
                'update it, or accept that with mqtt.version = "3.1.1" (docs/results.md)'
            )
        return said

    def _send_some(
        self, messages: Sequence[Message], by_mono_s: float, before: list[Any], within_s: float
    ) -> list[Any]:
        with self._told:
            self._answers.clear()
        try:
            mids = [self._client.publish(m.topic, m.payload, qos=m.qos, retain=m.retain).mid for m in messages]
        except (RuntimeError, ValueError, OSError) as err:
            self.drop()
            raise NotDelivered(f"{self.where}: {err}", confirmed=_taken(before)) from err
        with self._told:
            self._told.wait_for(
                lambda: bool(self.ended) or all(mid in self._answers for mid in mids),
                max(0.0, by_mono_s - monotonic_s()),
            )
            answers = [self._answers.get(mid) for mid in mids]
        if None in answers:
            why = self.ended or f"it did not acknowledge everything within {within_s:.0f} s"
            self.drop()
            taken = _taken(before)
            if taken == len(before):
                taken += _taken(answers)
            raise NotDelivered(
                f"{self.where}: {why}", confirmed=taken, at_most=max(1, (len(before) + len(messages)) // 2)
            )
        return answers

    def _asked(self, ask: Callable[[], tuple[Any, int | None]], within_s: float) -> list[Any]:
        """What the broker answers to a SUBSCRIBE or UNSUBSCRIBE."""
        with self._told:
            self._codes.clear()
        try:
            _, mid = ask()
        except (RuntimeError, ValueError, OSError) as err:
            self.drop()
            raise NotDelivered(f"{self.where}: {err}") from err
        with self._told:
            self._told.wait_for(lambda: bool(self.ended) or mid in self._codes, within_s)
            codes = None if mid is None else self._codes.get(mid)
        if codes is None:
            why = self.ended or f"it did not answer within {within_s:.0f} s"
            self.drop()
            raise NotDelivered(f"{self.where}: {why}")
        return codes

    # --- called in paho's thread ----------------------------------------------------------------------------

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, properties: Any = None) -> None:
        self._keeps_no_retained = code.value == _NO_RETAIN or getattr(properties, "RetainAvailable", 1) == 0
        self._at_once = max(1, min(self._at_once, getattr(properties, "ReceiveMaximum", self._at_once)))
        self._most_bytes = getattr(properties, "MaximumPacketSize", None)
        with self._told:
            self._accepted = code
            self._told.notify_all()

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, code: Any, properties: Any = None) -> None:
        if flags.is_disconnect_packet_from_server:
            why = f"it ended the link: {code}"
            if text := getattr(properties, "ReasonString", ""):
                why += f" ({str(text)[:200]!r})"
            if code.value == _TAKEN_OVER:
                why += (
                    f". Another client calls itself {self.client_id!r}: a second agent with the same "
                    f"{self._table}.group and node? Give each line its own"
                )
        else:
            why = f"the link is lost: {code}"
        with self._told:
            self.ended = self.ended or why
            self._told.notify_all()

    def _on_asked(self, _client: Any, _data: Any, mid: int, codes: Any, _properties: Any = None) -> None:
        with self._told:
            self._codes[mid] = list(codes) if isinstance(codes, list) else [codes]
            self._told.notify_all()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        if self._hear is not None:
            self._hear(message.topic, message.payload)

    def _on_publish(self, _client: Any, _data: Any, mid: int, code: Any, _properties: Any = None) -> None:
        with self._told:
            self._answers[mid] = code
            self._told.notify_all()


def mqtt_library(table: str = "mqtt") -> Any:
    """paho-mqtt's client module, an extra. Raises Unavailable where it is not installed, with what to do."""
    try:
        import paho.mqtt.client as library  # noqa: PLC0415 - an extra
    except ImportError as err:
        raise Unavailable(
            "results shall go to MQTT, and the MQTT library is not installed",
            hint=f"pip install 'edge-agent[{table}]', or remove [{table}] from line.toml",
        ) from err
    return library


def mqtt_reason(name: str) -> Any:
    """A reason of MQTT 5 for a DISCONNECT of ours."""
    from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415 - an extra
    from paho.mqtt.reasoncodes import ReasonCode  # noqa: PLC0415

    return ReasonCode(PacketTypes.DISCONNECT, name)


def _taken(answers: Sequence[Any]) -> int:
    """How many of the first were taken."""
    for number, code in enumerate(answers):
        if code is None or code.is_failure:
            return number
    return len(answers)
