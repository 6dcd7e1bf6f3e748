"""Results to an MQTT broker: QoS 1, topics in the manner of Sparkplug, JSON in place of its protobuf.

<prefix>/<group>/STATE/<node>         retained: {"online": true, ...}; the will says false
<prefix>/<group>/DDATA/<node>/part    one message a part
<prefix>/<group>/NDATA/<node>/event   one message an event of the agent
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edge_agent.errors import Unavailable
from edge_agent.publishing.sender import NotDelivered
from edge_agent.settings import read_password

if TYPE_CHECKING:
    from collections.abc import Sequence

    import paho.mqtt.client as paho

    from edge_agent.publishing.outbox import Record
    from edge_agent.settings import MqttSettings

__all__ = ["MqttReceiver", "topic_part"]

_CONNECT_WITHIN_S = 5.0
_CONFIRM_WITHIN_S = 10.0
_KEEP_ALIVE_S = 15


def topic_part(text: str) -> str:
    """A name as one level of a topic: no separator, no wildcard, no control character."""
    return re.sub(r"[/#+\x00-\x1f\x7f-\x9f\u2028\u2029]+", "-", text).strip() or "-"


class MqttReceiver:
    """A broker. Connects when there is something to deliver or say, and again after a loss. Used in one thread."""

    name = "mqtt"
    most = 100

    def __init__(self, settings: MqttSettings, node: str) -> None:
        """Raises Unavailable where the MQTT library is not installed."""
        try:
            import paho.mqtt.client as library  # noqa: PLC0415 - an extra
        except ImportError as err:
            raise Unavailable(
                "results shall go to MQTT, and the MQTT library is not installed",
                hint="pip install 'edge-agent[mqtt]', or remove [mqtt] from line.toml",
            ) from err
        self._library = library
        self._settings = settings
        self._node = topic_part(settings.node or node)
        self._group = f"{topic_part(settings.prefix)}/{topic_part(settings.group)}"
        self._client: paho.Client | None = None

    def deliver(self, records: Sequence[Record]) -> None:
        """Publish, and wait for the broker's acknowledgement of each. Raises NotDelivered."""
        client = self._connected()
        try:
            sent = [
                client.publish(self._topic(record), json.dumps(record.content, allow_nan=False, default=str), qos=1)
                for record in records
            ]
            for message in sent:
                message.wait_for_publish(_CONFIRM_WITHIN_S)
        except (RuntimeError, ValueError, OSError) as err:
            self.close()
            raise NotDelivered(f"{self._where}: {err}") from err
        if not all(message.is_published() for message in sent):
            self.close()
            raise NotDelivered(f"{self._where} did not acknowledge within {_CONFIRM_WITHIN_S:.0f} s")

    def close(self) -> None:
        """Say goodbye, so that the will is not needed, and let go of the connection."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            client.publish(self._state_topic, _state(online=False), qos=1, retain=True).wait_for_publish(1.0)
        client.disconnect()
        client.loop_stop()

    @property
    def _where(self) -> str:
        return f"MQTT broker {self._settings.host}:{self._settings.port}"

    @property
    def _state_topic(self) -> str:
        return f"{self._group}/STATE/{self._node}"

    def _topic(self, record: Record) -> str:
        kind = "DDATA" if record.kind == "part" else "NDATA"
        return f"{self._group}/{kind}/{self._node}/{record.kind}"

    def _connected(self) -> paho.Client:
        if self._client is not None and self._client.is_connected():
            return self._client
        self.close()
        library, settings = self._library, self._settings
        client: paho.Client = library.Client(
            library.CallbackAPIVersion.VERSION2,
            client_id=f"edge-agent-{self._group}-{self._node}".replace("/", "-"),
            reconnect_on_failure=False,
        )
        client.will_set(self._state_topic, _state(online=False), qos=1, retain=True)
        answered, refused = threading.Event(), []

        def on_connect(_client: Any, _data: Any, _flags: Any, code: Any, _properties: Any = None) -> None:
            if code.is_failure:
                refused.append(str(code))
            answered.set()

        client.on_connect = on_connect
        try:
            if settings.password_file is not None:
                client.username_pw_set(settings.user, read_password(settings.password_file))
            if settings.ca_file is not None:
                client.tls_set(str(settings.ca_file), tls_version=ssl.PROTOCOL_TLS_CLIENT)
            client.connect_timeout = _CONNECT_WITHIN_S
            client.connect(settings.host, settings.port, keepalive=_KEEP_ALIVE_S)
        except (OSError, ValueError) as err:
            raise NotDelivered(f"{self._where} cannot be reached: {err}") from err
        client.loop_start()
        if not answered.wait(_CONNECT_WITHIN_S) or refused:
            client.loop_stop()
            raise NotDelivered(f"{self._where}: {', '.join(refused) or 'no answer'}")
        self._client = client
        client.publish(self._state_topic, _state(online=True), qos=1, retain=True)
        return client


def _state(*, online: bool) -> str:
    said = {
        "online": online,
        "version": version("edge-agent"),
        "at_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(said)
