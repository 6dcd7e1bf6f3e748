"""Keys of line.toml that are right alone and wrong together. Each check gives problems with the key to point at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge_agent.settings.models import BundleSettings, LineSettings, OutputSettings, Settings

__all__ = ["Contradiction", "Loc", "bundles", "pages", "places", "sources", "times", "watchdog"]

Loc = tuple[str | int, ...]
_INPUTS_IN_ONE_READ = 64
_PROVEN_MODULES = ("wago-750", "beckhoff-bk9000")
"""Those whose watchdog the agent arms and proves by itself, on each new connection."""


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
    if output.kind == "modbus-coils":
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
    if trigger.source == "plc" and (settings.output.kind, settings.output.part_numbers) != ("modbus-registers", "plc"):
        message = 'source "plc" needs output.kind = "modbus-registers" and output.part_numbers = "plc"'
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
    return problems + _output_places(settings.output)


def _output_places(output: OutputSettings) -> list[tuple[Loc, str]]:
    problems: list[tuple[Loc, str]] = []
    if output.host is None and output.serial is None:
        problems.append((("output",), "name the way to the output, host or [output.serial] (got neither)"))
    if output.serial is not None and "://" in output.serial.device:
        message = (
            "expected a serial port of this PC, as /dev/serial/by-id/...: a device server keeps what is written to it, "
            "so that a PASS could be carried out late, and holds up the agent when it is gone; a gateway that speaks "
            f'Modbus TCP is output.host (got "{output.serial.device}")'
        )
        problems.append((("output", "serial", "device"), message))
    if output.program_request != "ignored" and output.kind != "modbus-registers":
        message = f'"{output.program_request}" needs output.kind = "modbus-registers": coils ask for no program'
        problems.append((("output", "program_request"), message))
    if (output.watchdog_tested is None) != (output.watchdog_tested_by is None):
        absent = "watchdog_tested" if output.watchdog_tested is None else "watchdog_tested_by"
        message = f"watchdog_tested and watchdog_tested_by go together (got no {absent})"
        problems.append((("output",), message))
    problems += _input_places(output)
    if output.first_coil > 65532:
        message = f"expected at most 65532, so that four coils fit (got {output.first_coil})"
        problems.append((("output", "first_coil"), message))
    if output.first_register > 65528:
        message = f"expected at most 65528, so that eight registers fit (got {output.first_register})"
        problems.append((("output", "first_register"), message))
    if output.plc_register > 65531:
        message = f"expected at most 65531, so that five registers fit (got {output.plc_register})"
        problems.append((("output", "plc_register"), message))
    if output.first_register - 5 < output.plc_register < output.first_register + 8:
        message = (
            f"expected a place outside the eight registers from {output.first_register} on (got {output.plc_register})"
        )
        problems.append((("output", "plc_register"), message))
    return problems


def _input_places(output: OutputSettings) -> list[tuple[Loc, str]]:
    problems: list[tuple[Loc, str]] = []
    names = ("mode_input", "acknowledge_input", "reject_confirm_input")
    wired = {name: getattr(output, name) for name in names if getattr(output, name) is not None}
    doubled = sorted(name for name, place in wired.items() if list(wired.values()).count(place) > 1)
    if doubled:
        problems.append((("output", doubled[0]), f"expected an input of its own (got {wired[doubled[0]]} twice)"))
    if wired and max(wired.values()) - min(wired.values()) >= _INPUTS_IN_ONE_READ:
        message = f"expected inputs within {_INPUTS_IN_ONE_READ} addresses of each other (got {sorted(wired.values())})"
        problems.append((("output", next(iter(wired))), message))
    counts = output.reject_confirm_input is not None or output.kind == "modbus-registers"
    if output.reject_confirm_ms is not None and not counts:
        message = "needs output.reject_confirm_input, or a PLC that counts: otherwise nobody sees a part leave"
        problems.append((("output", "reject_confirm_ms"), message))
    if output.reject_confirm_input is not None and output.reject_confirm_ms is None:
        message = "needs output.reject_confirm_ms: how long a rejected part may take to the chute"
        problems.append((("output", "reject_confirm_input"), message))
    return problems


def watchdog(settings: Settings) -> list[tuple[Loc, str]]:
    """Whether it is known that PASS falls when this PC is dead. Asked where PASS is to be driven, and nowhere else.

    A PLC that is given registers opens for the part that a PASS names and for no other, however long the PASS stands.
    """
    output = settings.output
    if output.kind == "modbus-registers" or settings.controller.kind == "simulated":
        return []
    if output.module in _PROVEN_MODULES or (output.watchdog_tested and output.watchdog_tested_by):
        return []
    known = ", ".join(f'"{name}"' for name in _PROVEN_MODULES)
    its = "its watchdog" if output.module is None else f'the watchdog of a "{output.module}"'
    message = (
        "nothing proves that the remote I/O drops PASS when this PC is dead: the agent can prove that of "
        f"{known} alone, and nobody has said that {its} was tested (got no watchdog_tested)"
    )
    return [(("output", "module"), message)]


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
    return problems + _receivers(settings)


def _receivers(settings: Settings) -> list[tuple[Loc, str]]:
    problems: list[tuple[Loc, str]] = []
    mqtt, webhook = settings.mqtt, settings.webhook
    if mqtt is not None and (mqtt.user is None) != (mqtt.password_file is None):
        key = "user" if mqtt.user is None else "password_file"
        problems.append((("mqtt",), f"mqtt.user and mqtt.password_file go together (got no {key})"))
    for name, table in (("mqtt", mqtt), ("webhook", webhook)):
        if table is not None and (table.certificate_file is None) != (table.key_file is None):
            key = "certificate_file" if table.certificate_file is None else "key_file"
            problems.append(((name,), f"{name}.certificate_file and {name}.key_file go together (got no {key})"))
    if webhook is not None and not webhook.url.startswith("https:"):
        given = [key for key in ("ca_file", "certificate_file") if getattr(webhook, key) is not None]
        problems += [(("webhook", key), "needs a url with https (got http)") for key in given]
    return problems
