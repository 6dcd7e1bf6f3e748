"""Results to an MQTT broker: QoS 1, topics in the manner of Sparkplug, JSON in place of its protobuf.

<prefix>/<group>/STATE/<node>         retained: {"online": true, ...}; the will says false
<prefix>/<group>/DDATA/<node>/part    one message a part
<prefix>/<group>/NDATA/<node>/event   one message an event of the agent

The link is kept while nothing is to be delivered too, and the state is said again each minute: a broker that was
started anew, or an old link's will that comes late, does not leave the line "offline" for longer.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog

from drivers.timing import monotonic_s
from edge_agent.publishing.mqtt_link import KeepsNoRetained, Message, MqttLink, mqtt_library
from edge_agent.publishing.sender import NotDelivered, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_agent.publishing.outbox import Record
    from edge_agent.settings import MqttSettings

__all__ = ["MqttReceiver", "topic_part"]

log = structlog.get_logger(__name__)

_CONFIRM_WITHIN_S = 10.0
_STATE_EVERY_S = 60.0
_LIVES_S = 60.0
_PAUSE_FIRST_S, _PAUSE_CAP_S = 1.0, 30.0
_NOT_AUTHORISED = 0x87
_THE_RECORDS = frozenset({0x80, 0x83, 0x99})
"""Unspecified, implementation specific, payload format invalid: what a broker says that looks into messages."""


def topic_part(text: str) -> str:
    """A name as one level of a topic: no separator, no wildcard, no control character."""
    return re.sub(r"[/#+\x00-\x1f\x7f-\x9f\u2028\u2029]+", "-", text).strip() or "-"


class MqttReceiver:
    """Delivers results to an MQTT broker, each confirmed by it. Every call comes from one thread."""

    name = "mqtt"
    most = 100

    def __init__(self, settings: MqttSettings, node: str) -> None:
        """Raises Unavailable where the MQTT library is not installed."""
        mqtt_library()
        self._settings = settings
        self._node = topic_part(settings.node or node)
        self._group = f"{topic_part(settings.prefix)}/{topic_part(settings.group)}"
        self._state_topic = f"{self._group}/STATE/{self._node}"
        self._link: MqttLink | None = None
        self._state_mono_s = 0.0
        self._state_problem = ""
        self._may_retain = True
        self._pause_s = _PAUSE_FIRST_S

    def deliver(self, records: Sequence[Record]) -> None:
        """Publish, and wait for the broker's answer to each, ten seconds for all of them together.

        Raises NotDelivered where the broker is away, does not answer or denies a topic; Refused for records that it
        will never take; ConfigError for files that line.toml names.
        """
        link = self._connected()
        messages = [self._message(record) for record in records]
        refused = {at: why for at, message in enumerate(messages) if (why := link.too_large(message))}
        sent = [at for at in range(len(messages)) if at not in refused]
        try:
            answers = self._send(link, [messages[at] for at in sent])
        except NotDelivered as err:
            err.confirmed = min(err.confirmed, *refused) if refused else err.confirmed
            raise
        denied: dict[int, Any] = {}
        for at, code in zip(sent, answers, strict=True):
            if code.value in _THE_RECORDS:
                refused[at] = f"{link.where} answered {code}"
            elif code.is_failure:
                denied[at] = code
        if denied:
            at, code = next(iter(denied.items()))
            # What is taken behind a denied one must not come again with each try: one at a time from here on.
            confirmed = min(at, *refused) if refused else at
            raise NotDelivered(self._denied(link, messages[at].topic, code), confirmed=confirmed, at_most=1)
        if refused:
            raise Refused(next(iter(refused.values())), refused)

    def keep(self) -> None:
        """Hold the link, and say the state again when it is time. Raises as ``deliver`` does."""
        link = self._connected()
        if monotonic_s() - self._state_mono_s >= _STATE_EVERY_S:
            self._say_online(link)

    def close(self) -> None:
        """Say that the line is offline, and let go of the connection."""
        link, self._link = self._link, None
        if link is None:
            return
        if link.ended:
            link.drop()
            return
        with suppress(NotDelivered):  # then the will says it
            link.send([self._state(online=False)], 1.0)
            link.bye()

    def _connected(self) -> MqttLink:
        """The link, made anew where there is none. Raises NotDelivered, after a loss with the reason for it."""
        if self._link is not None and not self._link.ended:
            return self._link
        if (lost := self._link) is not None:
            raise NotDelivered(f"{lost.where}: {lost.ended}", after_s=self._after_loss(lost))
        will = self._state(online=False, is_will=True)
        try:
            link = MqttLink(self._settings, f"edge-agent-{self._group}-{self._node}".replace("/", "-"), will)
        except KeepsNoRetained:
            self._may_retain = False
            log.warning(
                "mqtt_keeps_no_state", why="the broker keeps no retained messages: who comes late sees no STATE"
            )
            raise
        self._link = link
        if self._settings.version != "5":
            log.warning(
                "mqtt_tells_no_reasons", why='mqtt.version = "3.1.1": a topic that is denied looks like delivery'
            )
        self._say_online(link)
        return link

    def _after_loss(self, lost: MqttLink) -> float:
        """Forget the link; how long to stay away, in seconds.

        Two clients of one name throw each other out: each time it takes longer until we come back.
        """
        self._link = None
        lost.drop()
        has_lived = monotonic_s() - lost.begun_mono_s >= _LIVES_S
        self._pause_s = _PAUSE_FIRST_S if has_lived else min(_PAUSE_CAP_S, 2 * self._pause_s)
        return self._pause_s

    def _send(self, link: MqttLink, messages: Sequence[Message]) -> list[Any]:
        try:
            return link.send(messages, _CONFIRM_WITHIN_S)
        except NotDelivered as err:
            err.after_s = self._after_loss(link)
            raise

    def _say_online(self, link: MqttLink) -> None:
        (code,) = self._send(link, [self._state(online=True)])
        self._state_mono_s = monotonic_s()
        problem = self._denied(link, self._state_topic, code) if code.is_failure else ""
        if problem and problem != self._state_problem:
            log.warning("mqtt_state_not_taken", why=problem)
        self._state_problem = problem

    def _denied(self, link: MqttLink, topic: str, code: Any) -> str:
        if code.value == _NOT_AUTHORISED:
            return f"{link.where} denies the topic {topic!r} to this client ({code}): look at the broker's access list"
        return f"{link.where} did not take {topic!r}: {code}"

    def _message(self, record: Record) -> Message:
        kind = "DDATA" if record.kind == "part" else "NDATA"
        topic = f"{self._group}/{kind}/{self._node}/{record.kind}"
        return Message(topic, json.dumps(record.content, allow_nan=False, default=str))

    def _state(self, *, online: bool, is_will: bool = False) -> Message:
        # The broker publishes the will long after it was written: it cannot know the time.
        at_utc = None if is_will else datetime.now(UTC).isoformat(timespec="seconds")
        said = {"online": online, "version": version("edge-agent"), "at_utc": at_utc}
        return Message(self._state_topic, json.dumps(said), retain=self._may_retain)
