"""Results to an MQTT broker as a Sparkplug B 3.0 edge node: births first, then history, then what happens.

spBv1.0/<group>/NBIRTH/<node>            how the line stands, the newest event; each with its type
spBv1.0/<group>/DBIRTH/<node>/<device>   the newest part
spBv1.0/<group>/NDATA/<node>             an event, or a change of how the line stands
spBv1.0/<group>/DDATA/<node>/<device>    a part, whole
spBv1.0/<group>/DDEATH/<node>/<device>   the agent is silent
spBv1.0/<group>/NDEATH/<node>            the link has ended: the will

Sparkplug demands QoS 0, which nobody acknowledges, and a broker that denies a topic says nothing. So the edge node
subscribes to its own topics: a message is delivered once the broker has handed it back. Where the broker lets nobody
read there, it is delivered once the broker has answered a request that was sent behind it, and the log says so.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from drivers.timing import monotonic_s
from edge_agent.publishing.mqtt_link import MqttLink, mqtt_library
from edge_agent.publishing.sender import NotDelivered, Refused
from edge_agent.publishing.sparkplug.bdseq import next_bdseq
from edge_agent.publishing.sparkplug.heard import Heard
from edge_agent.publishing.sparkplug.newest import Newest, newest
from edge_agent.publishing.sparkplug.payload import payload_library
from edge_agent.publishing.sparkplug.session import Session
from edge_agent.publishing.sparkplug.tags import event_metrics, line_metrics, line_values, node_metrics, part_metrics
from edge_agent.publishing.sparkplug.topics import Topics
from edge_agent.store.position import Position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_agent.publishing.mqtt_link import Message
    from edge_agent.publishing.outbox import Record
    from edge_agent.publishing.sparkplug.payload import Value
    from edge_agent.publishing.sparkplug.watch import AgentWatch
    from edge_agent.settings import SparkplugSettings

__all__ = ["SparkplugReceiver"]

log = structlog.get_logger(__name__)

_WITHIN_S = 10.0
_SEEN_WITHIN_S = 2.0
_BYE_WITHIN_S = 1.0
_LIVES_S = 60.0
_PAUSE_FIRST_S, _PAUSE_CAP_S = 1.0, 30.0
_LOOK_FOR_HOST_S = 0.25
_LINE_EVERY_S = 1.0
_BIRTH_EVERY_S = 1.0
_UNSURE_S = 120.0
"""A broker notices after one and a half keep-alives that a host is gone; a host's is a minute, more or less."""
_SENT_BATCHES = 4096


class SparkplugReceiver:
    """Delivers results as a Sparkplug B edge node. Every call comes from one thread."""

    name = "sparkplug"
    most = 50

    def __init__(
        self, settings: SparkplugSettings, line: str, cameras: Sequence[int], journal: Path, agent: AgentWatch
    ) -> None:
        """Raises Unavailable where a library is not installed."""
        mqtt_library("sparkplug")
        payload_library()
        self._settings = settings
        self._line = line
        self._cameras = frozenset(cameras)
        self._journal = journal
        self._agent = agent
        self._topics = Topics(settings.group, settings.node or line, settings.device, settings.primary_host)
        self._link: MqttLink | None = None
        self._session = Session(self._topics, 0)
        self._heard = Heard(self._topics)
        self._is_born, self._born_mono_s = False, 0.0
        self._newest = Newest("", 0, None, None)
        self._device_lives = False
        self._line_said: dict[str, Value] = {}
        self._line_mono_s = 0.0
        self._pause_s = _PAUSE_FIRST_S
        self._is_proven = False
        self._was_told = False
        self._host_session: int | None = None
        self._sent: deque[tuple[float, Position]] = deque(maxlen=_SENT_BATCHES)

    def deliver(self, records: Sequence[Record]) -> None:
        """Publish, and wait until the broker has read all of it.

        Raises NotDelivered where the broker or the primary host is away, Refused for records that cannot be sent,
        ConfigError for files that line.toml names, DataError, OSError.
        """
        link = self._alive()
        self._tell_line(link)
        needed = {camera["camera"] for one in records for camera in one.content.get("cameras", ())}
        if needed - self._cameras or not self._device_lives:
            # An older part had other cameras; or a part is the sign that the agent lives.
            self._cameras |= needed
            self._send(link, [self._device_birth(link)])
        refused: dict[int, str] = {}
        messages: list[Message] = []
        for at, record in enumerate(records):
            try:
                messages.append(self._message(record))
            except (ValueError, KeyError, TypeError) as err:
                refused[at] = f"it does not fit into a Sparkplug payload: {err!r}"
        if why := next(filter(None, map(link.too_large, messages)), ""):
            self._session.take_back(len(messages))
            raise Refused(why)  # nothing was sent: the batch is halved until that one is alone
        if records and not records[0].is_again:
            self._sent.append((monotonic_s(), Position(records[0].origin, records[0].link - 1)))
        self._send(link, messages)
        if refused:
            raise Refused(next(iter(refused.values())), refused)

    def keep(self) -> None:
        """Hold the link, answer a host that asks for a birth, and say how the line stands. Raises as ``deliver``."""
        link = self._alive()
        if self._device_lives and self._agent.is_silent:
            self._send(link, [self._session.device_death()])
            self._device_lives = False
        elif not self._device_lives and not self._agent.is_silent:
            self._send(link, [self._device_birth(link)])
        self._tell_line(link)

    def close(self) -> None:
        """Say that the edge node is dead, and let go of the connection."""
        link, self._link = self._link, None
        if link is None:
            return
        if link.ended:
            link.drop()
            return
        self._die(link)

    def _alive(self) -> MqttLink:
        """A link on which the births were sent, anew where that is due. Raises NotDelivered, with the reason."""
        link = self._connected()
        if self._topics.state is not None:
            self._look_for_host(link)
        # Somebody who asks without end gets one a second, and holds up no part.
        may_be_born = not self._is_born or monotonic_s() - self._born_mono_s >= _BIRTH_EVERY_S
        if may_be_born and (self._heard.wants_birth() or not self._is_born):
            self._give_birth(link)
        return link

    def _look_for_host(self, link: MqttLink) -> None:
        """Raises NotDelivered while the primary host is away, and once when it has been away meanwhile."""
        session = self._heard.host_session
        if session is None:
            back_to = self._unsure() if self._is_born else None
            if self._is_born:
                self._leave(link)
            why = f"the primary host {self._settings.primary_host!r} is not online at {link.where}"
            raise NotDelivered(why, looks_every_s=_LOOK_FOR_HOST_S, back_to=back_to)
        if session != self._host_session:
            self._host_session, self._is_born = session, False
            if back_to := self._unsure():
                why = f"the primary host {self._settings.primary_host!r} has connected anew"
                raise NotDelivered(why, looks_every_s=0.0, back_to=back_to)

    def _unsure(self) -> Position | None:
        """The place before what was sent shortly before a host was seen to be away: the broker notices that late."""
        since_mono_s = monotonic_s() - _UNSURE_S
        first = next((place for sent_mono_s, place in self._sent if sent_mono_s >= since_mono_s), None)
        self._sent.clear()
        return first

    def _connected(self) -> MqttLink:
        if self._link is not None and not self._link.ended:
            return self._link
        if (lost := self._link) is not None:
            raise NotDelivered(f"{lost.where}: {lost.ended}", after_s=self._after_loss(lost))
        self._session = Session(self._topics, next_bdseq(self._journal))
        self._heard = Heard(self._topics, self._heard.newest_ms)
        name = f"edge-agent-sparkplug-{self._topics.group}-{self._topics.node}"
        link = MqttLink(self._settings, name, self._session.death(), table="sparkplug", hear=self._heard.hear)
        self._link, self._is_born, self._device_lives = link, False, False
        if denied := link.subscribe(self._topics.heard, _WITHIN_S):
            self._after_loss(link)
            raise NotDelivered(f"{link.where} lets this client not read {denied[0]!r}: look at its access list")
        link.subscribe(self._topics.looked_at, _WITHIN_S)  # one that is denied is seen by what does not come back
        return link

    def _after_loss(self, lost: MqttLink) -> float:
        """Forget the link; how long to stay away, in seconds. Two clients of one name throw each other out."""
        self._link, self._is_born = None, False
        lost.drop()
        has_lived = monotonic_s() - lost.begun_mono_s >= _LIVES_S
        self._pause_s = _PAUSE_FIRST_S if has_lived else min(_PAUSE_CAP_S, 2 * self._pause_s)
        return self._pause_s

    def _leave(self, link: MqttLink) -> None:
        """The primary host has gone: die, and begin again with a new connection."""
        self._link, self._is_born = None, False
        self._die(link)

    def _die(self, link: MqttLink) -> None:
        with suppress(NotDelivered):  # then the will says it
            link.send([self._session.death()], _BYE_WITHIN_S)
            link.bye(with_will=True)

    def _give_birth(self, link: MqttLink) -> None:
        """The births of the edge node and, unless the agent is silent, of its device."""
        self._newest = newest(self._journal)
        self._line_said, self._line_mono_s = line_values(self._agent.state), monotonic_s()
        message = self._node_birth()
        if link.too_large(message):  # an event is set aside when its turn comes; a birth has to be taken
            self._session.take_back(1)
            self._newest = replace(self._newest, event=None)
            message = self._node_birth()
        messages = [message]
        self._device_lives = False
        if not self._agent.is_silent:
            messages.append(self._device_birth(link))
        self._send(link, messages, is_first=not self._is_born)
        self._is_born, self._born_mono_s = True, monotonic_s()

    def _node_birth(self) -> Message:
        metrics = node_metrics(self._session.bdseq, self._line, self._line_said, self._newest.event)
        return self._session.birth(metrics)

    def _device_birth(self, link: MqttLink) -> Message:
        """With the newest part: what is sent of older ones from here on is history."""
        now = newest(self._journal)
        self._newest = replace(now, event=self._newest.event)
        self._cameras |= {camera["camera"] for camera in (now.part or {}).get("cameras", ())}
        message = self._session.device_birth(part_metrics(now.part, self._cameras, is_historical=False))
        if link.too_large(message):
            self._session.take_back(1)
            message = self._session.device_birth(part_metrics(None, self._cameras, is_historical=False))
        self._device_lives = True
        return message

    def _tell_line(self, link: MqttLink) -> None:
        """What has changed of how the line stands, once a second at most."""
        values = line_values(self._agent.state)
        changed = {name: value for name, value in values.items() if self._line_said.get(name) != value}
        if not changed or monotonic_s() - self._line_mono_s < _LINE_EVERY_S:
            return
        self._send(link, [self._session.data(line_metrics(changed))])
        self._line_said, self._line_mono_s = values, monotonic_s()

    def _message(self, record: Record) -> Message:
        is_historical = self._newest.is_history(record)
        if record.kind == "part":
            return self._session.device_data(part_metrics(record.content, self._cameras, is_historical=is_historical))
        return self._session.data(event_metrics(record.content, is_historical=is_historical))

    def _send(self, link: MqttLink, messages: Sequence[Message], *, is_first: bool = False) -> None:
        """Send, and wait until the broker has all of it. Raises NotDelivered; the session is over then.

        ``is_first``: by these it is seen whether the broker hands our messages back at all.
        """
        self._heard.expect(messages)
        try:
            link.send(messages, _WITHIN_S)
            link.round_trip(_WITHIN_S)
            self._prove(link, messages, is_first=is_first)
        except NotDelivered as err:
            # Sent without an answer is not delivered, whatever the MQTT library says of QoS 0.
            err.confirmed = 0
            err.after_s = self._after_loss(link)
            raise
        if self._topics.state is not None and self._heard.host_session != self._host_session:
            # What it means is seen with the next look at it; these messages come again in any case.
            why = f"the primary host {self._settings.primary_host!r} has gone meanwhile"
            raise NotDelivered(why, looks_every_s=0.0)

    def _prove(self, link: MqttLink, messages: Sequence[Message], *, is_first: bool) -> None:
        """See whether the broker handed the messages back. Raises NotDelivered where it did before and does not now."""
        within_s = _WITHIN_S if self._is_proven and not is_first else _SEEN_WITHIN_S if is_first else 0.0
        missing = self._heard.came_back(messages, within_s)
        if missing and self._is_proven and not is_first:
            link.drop()
            raise NotDelivered(
                f"{link.where} read {len(messages)} messages and handed {len(missing)} of them to nobody: does its "
                f"access list deny {missing[0].topic!r} to this client?"
            )
        if missing and is_first and not self._was_told:
            log.warning(
                "sparkplug_not_proven",
                topic=missing[0].topic,
                why="the broker did not hand this message back: it denies the topic to this client, or reading it",
                what="whether results arrive cannot be told; let this client read its own topics",
            )
        self._was_told = bool(missing)
        self._is_proven = not missing
