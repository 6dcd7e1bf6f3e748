"""Keys of line.toml that are right alone and wrong together. Each check gives problems with the key to point at."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_agent.settings.values import is_sparkplug_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.settings.models import BundleSettings, LineSettings, Settings, WebSettings
    from edge_agent.settings.outputs import OutputSettings

__all__ = ["Contradiction", "Loc", "bundles", "fleets", "pages", "places", "sources", "times", "watchdog"]

Loc = tuple[str | int, ...]


class Contradiction(ValueError):
    """Keys that are right alone and wrong together; each problem with the key to point at."""

    def __init__(self, problems: list[tuple[Loc, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def times(line: LineSettings, output: OutputSettings) -> list[tuple[Loc, str]]:
    """The part's time budget against the output's times."""
    problems: list[tuple[Loc, str]] = []
    spacing, answer, watchdog = line.min_part_spacing_ms, output.write_timeout_ms, output.watchdog_ms
    imaging, got_imaging = ("line.imaging_ms + ", f"{line.imaging_ms} + ") if line.imaging_ms else ("", "")
    if line.imaging_ms + line.deadline_ms >= spacing:
        message = (
            f"{imaging}line.deadline_ms is expected below line.min_part_spacing_ms ({spacing}): a verdict that comes "
            f"after the next part belongs to no part (got {got_imaging}{line.deadline_ms})"
        )
        problems.append((("line", "deadline_ms"), message))
    elif line.imaging_ms + line.deadline_ms + output.pass_hold_ms > spacing:
        message = (
            f"{imaging}line.deadline_ms + pass_hold_ms must be at most line.min_part_spacing_ms ({spacing}): otherwise "
            f"a PASS could stand when a part arrives that shows no sign of itself (got {got_imaging}"
            f"{line.deadline_ms} + {output.pass_hold_ms})"
        )
        problems.append((("output", "pass_hold_ms"), message))
    # A block of registers names its part. Coils do not: their PASS has to end before another part can be where it was.
    stands, room = {"watchdog_ms": watchdog, "write_timeout_ms": answer}, {"line.min_part_spacing_ms": spacing}
    if not output.names_parts:
        stands = {"pass_hold_ms": output.pass_hold_ms, **stands}
        due = {"line.imaging_ms": line.imaging_ms, "line.deadline_ms": line.deadline_ms}
        if line.gate_ms is not None and line.gate_ms < sum(due.values()):
            stands = {name: value for name, value in due.items() if value} | stands
            room = room | {"line.gate_ms": line.gate_ms}
    if sum(stands.values()) > sum(room.values()):
        message = (
            f"{' + '.join(stands)} must be at most {' + '.join(room)} ({_sum(room)}): otherwise a PASS of an agent "
            f"that dies could reach the next part (got {_sum(stands)})"
        )
        problems.append((("output", "watchdog_ms"), message))
    if 2 * output.refresh_ms > watchdog:
        message = (
            f"expected at most half of watchdog_ms ({watchdog}), better a third: otherwise one slow answer trips the "
            f"watchdog of a healthy agent (got {output.refresh_ms})"
        )
        problems.append((("output", "refresh_ms"), message))
    return problems


def _sum(terms: Mapping[str, int]) -> str:
    return " + ".join(str(value) for value in terms.values())


def sources(settings: Settings) -> list[tuple[Loc, str]]:
    """Where parts, images and results come from."""
    problems: list[tuple[Loc, str]] = []
    images, trigger, items = settings.images, settings.trigger, settings.controller.result_items
    if (images.ftp is None) == (images.folder is None):
        came = "neither" if images.ftp is None else "both"
        message = f"name exactly one source of images, [images.ftp] or [images.folder] (got {came})"
        problems.append((("images",) if images.ftp is None else ("images", "folder"), message))
    if images.ftp is not None and images.ftp.passive_ports[0] > images.ftp.passive_ports[1]:
        problems.append((("images", "ftp", "passive_ports"), "expected the lower port first"))
    if images.ftp is not None and images.ftp.allowed_peers is None and settings.controller.serial is not None:
        message = (
            "name the address that the controller sends its images from in allowed_peers: over a serial line nothing "
            "tells it, and images of another controller must not be taken for this line's"
        )
        problems.append((("images", "ftp"), message))
    if trigger.source == "input" and settings.output.part_present_input is None:
        message = 'source "input" needs output.part_present_input: the address of the input that sees the part'
        problems.append((("trigger", "source"), message))
    is_counted = settings.output.names_parts and settings.output.part_numbers == "plc"
    if trigger.source == "plc" and not is_counted:
        message = 'source "plc" needs output.kind of a PLC, as "modbus-registers", and output.part_numbers = "plc"'
        problems.append((("trigger", "source"), message))
    if trigger.source == "interval" and trigger.interval_ms < settings.line.min_part_spacing_ms:
        least = settings.line.min_part_spacing_ms
        message = f"expected at least line.min_part_spacing_ms ({least}) (got {trigger.interval_ms})"
        problems.append((("trigger", "interval_ms"), message))
    names = [item.split(":")[1] if ":" in item else item for item in items]
    doubled = sorted({name for name in names if name != "skip" and names.count(name) > 1})
    if doubled:
        problems.append((("controller", "result_items"), f"expected each item once (got {', '.join(doubled)} twice)"))
    if "count" not in items:
        message = 'expected "count" among the items: image and result meet by it, and without it every part is rejected'
        problems.append((("controller", "result_items"), message))
    if settings.line.judgement == "both" and "judgement" not in items:
        message = 'expected "judgement" among the items, because line.judgement is "both"'
        problems.append((("controller", "result_items"), message))
    return problems + settings.output.problems()


def watchdog(settings: Settings) -> list[tuple[Loc, str]]:
    """Whether it is known that PASS falls when this PC is dead. Asked where PASS is to be driven, and nowhere else.

    A PLC that is given registers opens for the part that a PASS names and for no other, however long the PASS stands.
    """
    if settings.controller.kind == "simulated":
        return []
    key, why = settings.output.untested_watchdog()
    return [(("output", key), why)] if why else []


def bundles(bundles: tuple[BundleSettings, ...], cameras: tuple[int, ...]) -> list[tuple[Loc, str]]:
    """One bundle for each program and camera, no more and no less."""
    problems: list[tuple[Loc, str]] = []
    if len(set(cameras)) < len(cameras):
        problems.append((("line", "cameras"), f"expected each camera once (got {list(cameras)})"))
    first_at: dict[tuple[int, int], int] = {}
    for at, entry in enumerate(bundles):
        key = entry.program, entry.camera
        if key in first_at:
            message = f"a second [[bundle]] for program {entry.program}, camera {entry.camera}"
            problems.append((("bundle", at, "program"), message))
        elif entry.camera not in cameras:
            message = f"camera {entry.camera} is not in line.cameras ({list(cameras)})"
            problems.append((("bundle", at, "camera"), message))
        first_at.setdefault(key, at)
    for program, at in {program: at for (program, _), at in reversed(first_at.items())}.items():
        absent = [camera for camera in cameras if (program, camera) not in first_at]
        problems.extend(
            (("bundle", at, "program"), f"program {program} has no [[bundle]] for camera {camera} of line.cameras")
            for camera in absent
        )
    return problems


def places(settings: Settings) -> list[tuple[Loc, str]]:
    """Two uses of one place: the archive's retention would delete what the other one needs."""
    places: list[tuple[Loc, Path]] = [
        (("images", "spool"), settings.images.spool),
        (("store", "journal"), settings.store.journal),
        (("store", "archive"), settings.store.archive),
    ]
    if settings.images.folder is not None:
        places.append((("images", "folder", "path"), settings.images.folder.path))
    seen: dict[Path, Loc] = {}
    problems: list[tuple[Loc, str]] = []
    for loc, path in places:
        other = seen.setdefault(path.resolve(), loc)
        if other != loc:
            message = f"expected a place of its own (got {path}, which is {'.'.join(map(str, other))})"
            problems.append((loc, message))
    return problems


def pages(settings: Settings) -> list[tuple[Loc, str]]:
    """Where people and their monitoring look."""
    web = settings.web
    problems: list[tuple[Loc, str]] = []
    if web is not None and web.host in ("0.0.0.0", "::") and not web.names:  # noqa: S104 - compared, not bound
        message = f"every address of this PC needs web.names: those that browsers may call it by (got {web.host})"
        problems.append((("web", "host"), message))
    if web is not None:
        problems += _proxies(web)
    return problems + _receivers(settings)


def fleets(settings: Settings) -> list[tuple[Loc, str]]:
    """A server's bundles are judged by this line's own keys."""
    fleet = settings.fleet
    if fleet is None:
        return []
    problems: list[tuple[Loc, str]] = []
    if fleet.follow != "none" and settings.signatures is None:
        message = (
            f"[signatures] trusted_keys has to say whose bundles this line takes from the server (got {fleet.follow})"
        )
        problems.append((("fleet", "follow"), message))
    if fleet.ca_file is not None and not fleet.url.startswith("https:"):
        problems.append((("fleet", "ca_file"), "needs a url with https (got http)"))
    if not urlsplit(fleet.url).path.strip("/") and not urlsplit(fleet.url).query:
        return problems
    return [*problems, (("fleet", "url"), f"expected the server's address alone (got {fleet.url})")]


def _proxies(web: WebSettings) -> list[tuple[Loc, str]]:
    """A proxy's word on who somebody is, and whose word that is."""
    if (web.user_header is None) != (not web.trusted_proxies):
        here, other = ("trusted_proxies", "user_header") if web.trusted_proxies else ("user_header", "trusted_proxies")
        return [(("web", here), f"web.user_header and web.trusted_proxies go together (got no {other})")]
    return [
        (("web", "trusted_proxies", at), f"expected the proxy's own address: by this one anybody is (got {peer})")
        for at, peer in enumerate(web.trusted_proxies)
        if ip_network(peer, strict=False).prefixlen == 0
    ]


def _receivers(settings: Settings) -> list[tuple[Loc, str]]:
    problems: list[tuple[Loc, str]] = []
    mqtt, sparkplug, webhook = settings.mqtt, settings.sparkplug, settings.webhook
    for name, broker in (("mqtt", mqtt), ("sparkplug", sparkplug)):
        if broker is not None and (broker.user is None) != (broker.password_file is None):
            key = "user" if broker.user is None else "password_file"
            problems.append(((name,), f"{name}.user and {name}.password_file go together (got no {key})"))
    if sparkplug is not None and sparkplug.node is None and not is_sparkplug_name(settings.line.name):
        message = f'needs a name without "+", "#" and "/", and not "STATE" (got line.name, {settings.line.name!r})'
        problems.append((("sparkplug", "node"), message))
    for name, table in (("mqtt", mqtt), ("sparkplug", sparkplug), ("webhook", webhook)):
        if table is not None and (table.certificate_file is None) != (table.key_file is None):
            key = "certificate_file" if table.certificate_file is None else "key_file"
            problems.append(((name,), f"{name}.certificate_file and {name}.key_file go together (got no {key})"))
    if webhook is not None and not webhook.url.startswith("https:"):
        given = [key for key in ("ca_file", "certificate_file") if getattr(webhook, key) is not None]
        problems += [(("webhook", key), "needs a url with https (got http)") for key in given]
    return problems + _readers(settings)


def _readers(settings: Settings) -> list[tuple[Loc, str]]:
    """Somebody may read over OPC UA, and each user stands there once."""
    opcua = settings.opcua
    if opcua is None:
        return []
    names = [user.name for user in opcua.user]
    problems: list[tuple[Loc, str]] = [
        (("opcua", "user", at, "name"), f"a second [[opcua.user]] of that name (got {name})")
        for at, name in enumerate(names)
        if name in names[:at]
    ]
    if not names and opcua.anonymous == "no":
        message = 'expected an [[opcua.user]], or opcua.anonymous = "read": nobody could read'
        problems.append((("opcua",), message))
    return problems
