"""[mqtt], [sparkplug] and [webhook]: who else gets the results."""

from __future__ import annotations

from typing import Annotated, Literal

from edge_agent.settings.values import FilePath, Host, Port, SparkplugName, Table, Text, WebAddress, integer, say

__all__ = ["BrokerSettings", "MqttSettings", "SparkplugSettings", "WebhookSettings"]


class BrokerSettings(Table):
    """An MQTT broker: where it is, and who we say we are."""

    host: Annotated[Host, say("address of the broker")]
    port: Annotated[Port, say("its TCP port")] = 1883
    user: Annotated[Text | None, say("the user name at the broker")] = None
    password_file: Annotated[FilePath | None, say("a file with the user's password on its only line")] = None
    ca_file: Annotated[FilePath | None, say("certificates that the broker is trusted by; with it the link is TLS")] = (
        None
    )
    certificate_file: Annotated[
        FilePath | None, say("this PC's own certificate for the broker, PEM; with it the link is TLS")
    ] = None
    key_file: Annotated[FilePath | None, say("its private key, PEM, not encrypted, mode 0640")] = None
    version: Annotated[Literal["5", "3.1.1"], say("of MQTT")] = "5"


class MqttSettings(BrokerSettings):
    """[mqtt]: results to an MQTT broker."""

    prefix: Annotated[Text, say("first level of every topic")] = "edge-agent"
    group: Annotated[Text, say("second level of every topic, for instance the plant")] = "line"
    node: Annotated[Text | None, say("this line's level of every topic; left out, line.name")] = None
    version: Annotated[
        Literal["5", "3.1.1"],
        say("of MQTT; with 3.1.1 a broker tells nobody that it denies a topic, and such results are lost"),
    ] = "5"


class SparkplugSettings(BrokerSettings):
    """[sparkplug]: results to an MQTT broker as a Sparkplug B edge node."""

    group: Annotated[SparkplugName, say("the Sparkplug group, for instance the plant")] = "edge-agent"
    node: Annotated[SparkplugName | None, say("this line's edge node; left out, line.name")] = None
    device: Annotated[SparkplugName, say("the edge node's device, which has the parts")] = "inspection"
    primary_host: Annotated[
        SparkplugName | None,
        say("the host application without which nothing is published; left out, nobody is waited for"),
    ] = None
    version: Annotated[Literal["5", "3.1.1"], say("of MQTT; Sparkplug allows both")] = "3.1.1"


class WebhookSettings(Table):
    """[webhook]: results to an HTTP address."""

    url: Annotated[WebAddress, say("where results are POSTed to")]
    token_file: Annotated[FilePath | None, say("a file with the bearer token on its only line")] = None
    most: Annotated[int, integer(1, 1000), say("the most records of one POST")] = 100
    ca_file: Annotated[
        FilePath | None, say("certificates that the receiver is trusted by; left out, those of the system")
    ] = None
    certificate_file: Annotated[FilePath | None, say("this PC's own certificate for the receiver, PEM")] = None
    key_file: Annotated[FilePath | None, say("its private key, PEM, not encrypted, mode 0640")] = None
