"""What a single value of line.toml may be: its type, range and words. Tables are made of these in ``models``."""

from __future__ import annotations

import os
import re
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from edge_agent.files.public_key import PUBLIC_KEY, PublicKey

__all__ = [
    "OF_ANOTHER_PC",
    "RESULT_ITEM",
    "RESULT_ITEM_WORDS",
    "TAG",
    "TAG_WORDS",
    "Camera",
    "Coil",
    "FilePath",
    "HeaderName",
    "Host",
    "Milliseconds",
    "OwnHost",
    "Peer",
    "Port",
    "Program",
    "ResultItem",
    "SerialPort",
    "SignerKey",
    "SparkplugName",
    "Table",
    "Tag",
    "Text",
    "TimeOfDay",
    "WebAddress",
    "exact",
    "integer",
    "is_sparkplug_name",
    "name_pattern",
    "plain_date",
    "say",
]

RESULT_ITEM = re.compile(
    "(?:count|program|judgement|skip|rest"
    "|(?:value|judgement|text):(?!(?:count|program|judgement)$)[A-Za-z][A-Za-z0-9_.-]{0,31}"
    "|value:(?!(?:count|program|judgement):)[A-Za-z][A-Za-z0-9_.-]{0,31}:[+]?[0-9])"
)
RESULT_ITEM_WORDS = (
    '"count", "program", "judgement", "skip", "rest", or a tool\'s own: "value:NAME", "value:NAME:+3" (signed, three '
    'decimals), "judgement:NAME", "text:NAME"'
)
"""As ``drivers.keyence.results`` reads it; a name of the line's own is no name for a tool's."""

_NAME_OF_TAG = r"(?!\w*__)[A-Za-z_]\w{0,39}(?<!_)"
TAG = re.compile(rf"(?=.{{1,128}}$)(?:Program:{_NAME_OF_TAG}\.)?{_NAME_OF_TAG}(?:\.{_NAME_OF_TAG})*", re.ASCII)
TAG_WORDS = (
    'the name of a tag, as "AgentToPlc", "Program:MainProgram.AgentToPlc" or "Line1.AgentToPlc", without an index'
)
"""As ``drivers.ethernet_ip`` names it to the controller."""

OF_ANOTHER_PC = re.compile(r"[A-Za-z]:[\\/\x08-\x0d]|\\\\")
"""A path of Windows, also one whose backslash became a line end between double quotes. Elsewhere it would be a folder
of that very name, beside line.toml."""
_SHELL = re.compile(r"~|.*\$\w|.*\$\{")
"""What a shell fills in and nobody else: it would be a folder of that very name."""


def _usable_path(value: Any) -> Any:
    if isinstance(value, str) and (not value.strip() or not value.isprintable()):
        raise ValueError("a path is not empty and has no control characters")
    if isinstance(value, str) and os.name == "posix" and (OF_ANOTHER_PC.match(value) or _SHELL.match(value)):
        raise ValueError("no path of this PC")
    return value


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    folder: Path | None = (info.context or {}).get("folder")
    return path if folder is None else folder / path


def name_pattern(text: str) -> str:
    """A rule for names of images. Raises ValueError."""
    if text in ("cv-x", "xg-x"):
        return text
    try:
        groups = re.compile(text).groupindex
    except re.error as err:
        raise ValueError(f'expected "cv-x", "xg-x" or a regular expression, which this is not: {err}') from err
    if "count" not in groups:
        raise ValueError('expected "cv-x", "xg-x" or a regular expression with a group (?P<count>...)')
    return text


def _result_item(text: str) -> str:
    if RESULT_ITEM.fullmatch(text) is None:
        raise ValueError(f"expected {RESULT_ITEM_WORDS}")
    return text


def _tag(text: str) -> str:
    if TAG.fullmatch(text) is None:
        raise ValueError(f"expected {TAG_WORDS}")
    return text


_NAME = re.compile(r"(?=.{1,253}$)\w(?:[\w-]*\w)?(?:\.\w(?:[\w-]*\w)?)*\.?")
_NO_NAME = re.compile(r"[0-9.]+|.*\.[0-9]+\.?")
"""Nobody's name ends in a number: what does is an address, or an address with a slip in it."""


_THIS_NETWORK, _NEVER_GIVEN, _EVERYONE = ip_network("0.0.0.0/8"), ip_network("240.0.0.0/4"), "255.255.255.255"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is, None for a name. Raises ValueError for what is neither."""
    if _NAME.fullmatch(text) is not None and _NO_NAME.fullmatch(text) is None:
        text.encode("idna")  # raises for what no name server can be asked: a part of more than 63 letters, say
        return None
    return ip_address(text)


def _own_host(text: str) -> str:
    address = _address(text)
    if address is not None and (address.is_multicast or str(address) == _EVERYONE):
        raise ValueError("no PC has such an address")
    return text


def _host(text: str) -> str:
    address = _address(_own_host(text))
    if address is not None and (address.is_unspecified or address in _THIS_NETWORK or address in _NEVER_GIVEN):
        raise ValueError("no device has such an address")
    return text


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # raises for one that is none
    if parts.scheme not in ("http", "https") or any(letter.isspace() for letter in text):
        raise ValueError("a web address begins with http or https and has no blanks")
    _host(parts.hostname or "")
    return text


def _serial_port(text: str) -> str:
    if "://" in text:
        parts = urlsplit(text)
        if parts.scheme in ("socket", "rfc2217") and _host(parts.hostname or "") and parts.port is None:
            raise ValueError("a device server has an address and a port")
    return text


def _peer(text: str) -> str:
    ip_network(text, strict=False)
    return text


_OF_BROWSERS = frozenset({"authorization", "connection", "content-length", "content-type", "cookie", "host", "origin"})
"""Headers that every browser sends by itself: what stands in them is not a proxy's word."""


def _header_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", text) is None:
        raise ValueError("expected the name of a header")
    if text.lower() in _OF_BROWSERS:
        raise ValueError("a header that browsers send themselves")
    return text


def is_sparkplug_name(text: str) -> bool:
    """Whether a text can be a group, an edge node, a device or a host of Sparkplug: one level of a topic."""
    return bool(text.strip()) and not set(text) & set("+#/") and text != "STATE"


def _sparkplug_name(text: str) -> str:
    if not is_sparkplug_name(text):
        raise ValueError("a name of Sparkplug is one level of a topic")
    return text


def _signer_key(text: str) -> str:
    return str(PublicKey.parse(text))


def exact(value: Any) -> Any:
    """Hand on any value but a boolean and a float, which equal integers. Raises ValueError, in words."""
    # To Literal, True and 1.0 are equal to 1.
    if isinstance(value, (bool, float)):
        raise ValueError("an integer is written without a point")  # noqa: TRY004 - pydantic takes no TypeError
    return value


def plain_date(value: Any, info: ValidationInfo) -> Any:
    """Hand on a date of TOML, and text where it comes from JSON, which has no dates.

    Raises ValueError for a text in TOML and for a date with a time of day.
    """
    if info.mode != "json" and type(value) is not date and value is not None:
        raise ValueError("a date is written without quotes and without a time")
    return value


def integer(least: int, most: int) -> Any:
    """An integer from ``least`` to ``most``."""
    return Field(strict=True, ge=least, le=most)


Text = Annotated[str, Field(strict=True, min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
Host = Annotated[Text, AfterValidator(_host), Field(json_schema_extra={"format": "host"})]
OwnHost = Annotated[Text, AfterValidator(_own_host), Field(json_schema_extra={"format": "own-host"})]
WebAddress = Annotated[Text, AfterValidator(_web_address), Field(json_schema_extra={"format": "web-address"})]
SerialPort = Annotated[Text, AfterValidator(_serial_port), Field(json_schema_extra={"format": "serial-port"})]
Peer = Annotated[
    str,
    AfterValidator(_peer),
    Field(strict=True, max_length=64, json_schema_extra={"format": "peer"}),
]
HeaderName = Annotated[
    str,
    AfterValidator(_header_name),
    Field(strict=True, min_length=1, max_length=64, json_schema_extra={"format": "header-name"}),
]
Port = Annotated[int, integer(1, 65535)]
ResultItem = Annotated[
    str,
    AfterValidator(_result_item),
    Field(
        strict=True, max_length=64, json_schema_extra={"format": "result-item", "pattern": f"^{RESULT_ITEM.pattern}$"}
    ),
]
Tag = Annotated[
    str,
    AfterValidator(_tag),
    Field(strict=True, min_length=1, max_length=128, json_schema_extra={"format": "tag"}),
]
Camera = Annotated[int, integer(1, 4)]
Coil = Annotated[int, integer(0, 65535)]
Milliseconds = Annotated[int, integer(1, 600_000)]
Program = Annotated[int, integer(0, 999)]
TimeOfDay = Annotated[
    str,
    Field(
        strict=True,
        min_length=5,
        max_length=5,
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        json_schema_extra={"format": "time"},
    ),
]
SparkplugName = Annotated[
    Text,
    AfterValidator(_sparkplug_name),
    Field(json_schema_extra={"format": "sparkplug-name", "pattern": "^(?!STATE$)[^+#/]+$"}),
]
SignerKey = Annotated[
    str,
    AfterValidator(_signer_key),
    Field(
        strict=True, max_length=200, json_schema_extra={"format": "public-key", "pattern": f"^{PUBLIC_KEY.pattern}$"}
    ),
]
FilePath = Annotated[Path, BeforeValidator(_usable_path), AfterValidator(_from_folder)]


def say(text: str) -> Any:
    """What a key is, for the JSON Schema."""
    return Field(description=text)


class Table(BaseModel):
    """A table of line.toml: no unknown keys, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)
