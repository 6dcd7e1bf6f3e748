"""[opcua] of line.toml: where the OPC UA server listens, who it says it is, and who may read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge_agent.settings.values import FilePath, OwnHost, Port, Table, Text, say

__all__ = ["OpcUaSettings", "OpcUaUser"]


class OpcUaUser(Table):
    """[[opcua.user]]: a person or a system that may read, with a password."""

    name: Annotated[Text, Field(max_length=64, description="the user name that the client gives")]
    password_file: Annotated[FilePath, say("a file with the user's password on its only line, mode 0640")]


class OpcUaSettings(Table):
    """[opcua]: status and results for OPC UA clients, to read and never to write."""

    host: Annotated[OwnHost, say("the address to listen on")] = "127.0.0.1"
    port: Annotated[Port, say("its TCP port")] = 4840
    certificate_file: Annotated[
        FilePath, say("this server's own certificate, PEM, with its application URI among the alternative names")
    ]
    key_file: Annotated[FilePath, say("its private key, PEM, RSA, not encrypted, mode 0640")]
    trusted_clients: Annotated[
        FilePath, say("a folder with the certificate of every client that may connect, one file each, PEM or DER")
    ]
    anonymous: Annotated[
        Literal["read", "no"], say("whether a client with a trusted certificate reads without a user name")
    ] = "no"
    user: Annotated[
        tuple[OpcUaUser, ...], Field(max_length=32, description="who may read with a user name and a password")
    ] = ()
