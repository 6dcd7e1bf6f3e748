"""Mistakes that a newcomer makes in line.toml, and the answer to each; docs/line-toml-mistakes.md is made of them.

python -m tests.mistakes                 # writes the document anew
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.errors import ConfigError
from edge_agent.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DOCUMENT", "EXAMPLE", "MISTAKES", "TAKEN", "Mistake", "answer", "as_file", "document"]

EXAMPLE = (Path(__file__).parents[1] / "deploy" / "line.example.toml").read_text(encoding="utf-8")
DOCUMENT = Path(__file__).parents[1] / "docs" / "line-toml-mistakes.md"
_WHERE = "line.toml"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A line.toml with a mistake in it, and what must be said.

    ``line``: the line that must be pointed at, as it stands in the file (its ``nth`` time), empty where the whole file
    is meant. ``key``: that must be named. ``says`` and ``hint``: what the answer must hold. ``wrote``: the mistake.
    """

    title: str
    line: str = ""
    key: str = ""
    says: tuple[str, ...] = ()
    hint: str = ""
    content: bytes = b""
    wrote: str = ""
    nth: int = 1
    mode: int = 0o640
    is_folder: bool = False
    is_absent: bool = False

    @property
    def number(self) -> int:
        """The number of the line that must be pointed at; 1 where no line is meant."""
        lines = self.content.decode("utf-8", "replace").split("\n")
        found = [number for number, line in enumerate(lines, 1) if line == self.line]
        return found[self.nth - 1] if self.line else 1


@contextmanager
def as_file(mistake: Mistake) -> Iterator[Path]:
    """The working directory with this line.toml in it, so that the answer names no folder of this machine."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _WHERE
        if mistake.is_folder:
            path.mkdir()
        elif not mistake.is_absent:
            path.write_bytes(mistake.content)
            path.chmod(mistake.mode)
        os.chdir(folder)
        try:
            yield Path(_WHERE)
        finally:
            os.chdir(before)


def answer(mistake: Mistake) -> ConfigError | None:
    """What a person is told; None where the file is taken."""
    with as_file(mistake) as path:
        try:
            load_settings(path, drives_pass=True)
        except ConfigError as err:
            return err
        return None


def document() -> str:
    """docs/line-toml-mistakes.md, as the code answers now."""
    rows = [
        f"| {one.title} | {_code(one.wrote or one.line)} | {_code(f'{err}')}<br>{_code(f'hint: {err.hint}')} |"
        for one in MISTAKES
        if (err := answer(one)) is not None
    ]
    taken = [f"| {one.title} | {_code(one.wrote)} |" for one in TAKEN]
    return "\n".join([_HEAD.format(number=len(rows)), *rows, _BETWEEN, *taken, ""])


def _code(text: str) -> str:
    """Lines of a file in a table's cell."""
    lines = [line.replace("|", "\\|").replace("\u00a0", "\u237d").strip() for line in text.split("\n")]
    return "<br>".join(f"``{line}``" if "`" in line else f"`{line}`" for line in lines if line) or "&nbsp;"


_HEAD = """\
# Mistakes in line.toml, and what the agent says

Made by `make mistakes` from `tests/mistakes.py`; a test holds that this page is what `edge-agent config check` prints.
Every command that reads line.toml answers so, with exit code 78: the file, the line, the key, what was expected, what
came. Several mistakes in one file are said together. Here `deploy/line.example.toml` was changed in {number} ways:

| mistake | in line.toml | answer |
|---|---|---|"""
_BETWEEN = """
What is no mistake:

| | in line.toml |
|---|---|"""
PROVEN = (
    ("#watchdog_tested = 2026-11-29", "watchdog_tested = 2026-11-29"),
    ('#watchdog_tested_by = "Ada Lovelace"', 'watchdog_tested_by = "Ada Lovelace"'),
)
"""What the example lacks before a part may pass."""


def _wrong(
    title: str,
    old: str,
    new: str,
    key: str,
    *says: str,
    hint: str = "",
    at: str = "",
    nth: int = 1,
    more: tuple[str, str] | None = None,
    begins: str = "",
    ends: str = "\n",
) -> Mistake:
    """The example with a line that is another, or two; pointed at is the last new line, or ``at``."""
    lines = EXAMPLE.split("\n")
    for line, other in (*PROVEN, (old, new), *([more] if more else [])):
        lines[lines.index(line)] = other
    wrote = new if more is None else f"{new}\n{more[1]}"
    content = begins + "\n".join(lines).replace("\n", ends)
    pointed_at = at or wrote.split("\n")[-1]
    return Mistake(title, pointed_at, key, says, hint, content.encode(), wrote, nth)


_HOST, _DEADLINE, _SPOOL = 'host = "192.168.10.10"', "deadline_ms = 700", 'spool = "/var/lib/edge-agent/spool"'
_ITEMS, _SHIFTS = 'result_items = ["count", "judgement"]', 'shift_starts = ["06:00", "14:00", "22:00"]'
_PEERS, _PASSIVE, _BUNDLE = '#allowed_peers = ["192.168.10.10"]', "passive_ports = [50000, 50015]", "[[bundle]]"
_WEB_HOST = 'host = "127.0.0.1"'
_FROM_1 = "expected an integer between 1 and 600000"
_ONE_HINT = "deploy/line.example.toml explains every key"
_FIRST_FILE = "edge-agent init writes a first one"

MISTAKES: tuple[Mistake, ...] = (
    # --- numbers, and what stands around them
    _wrong("a number in quotes", _DEADLINE, 'deadline_ms = "700"', "line.deadline_ms", f"{_FROM_1}, without quotes"),
    _wrong("a number with its unit", _DEADLINE, "deadline_ms = 700 ms", "line.deadline_ms", "without a unit behind it"),
    _wrong("a number with its unit, in quotes", _DEADLINE, 'deadline_ms = "700 ms"', "line.deadline_ms",
           "without quotes and without a unit behind it"),
    _wrong("seconds", _DEADLINE, "deadline_ms = 0.7", "line.deadline_ms", "in whole milliseconds (got 0.7)"),
    _wrong("a point where none can be", "unit = 1", "unit = 1.0", "output.unit", "without a point (got 1.0)"),
    _wrong("a comma between thousands", _DEADLINE, "deadline_ms = 1,000", "line.deadline_ms", "without a comma"),
    _wrong("a comma at the end of a line", _DEADLINE, "deadline_ms = 700,", "line.deadline_ms",
           "without the , at its end"),
    _wrong("a semicolon at the end", _DEADLINE, "deadline_ms = 700;", "line.deadline_ms", "without the ; at its end"),
    _wrong("German decimals", "archive_max_gib = 20.0", "archive_max_gib = 20,5", "store.archive_max_gib",
           "with a point and not with a comma", "at most 1000000"),
    _wrong("a size with its unit", "archive_max_gib = 20.0", "archive_max_gib = 20 GB", "store.archive_max_gib",
           "without a unit behind it"),
    _wrong("zero milliseconds", _DEADLINE, "deadline_ms = 0", "line.deadline_ms", f"{_FROM_1} (got 0)"),
    _wrong("a number below zero", "first_coil = 0", "first_coil = -1", "output.first_coil",
           "between 0 and 65535 (got -1)"),
    _wrong("a dash of a word processor", "first_coil = 0", "first_coil = \u20131", "output.first_coil", "typed as -1"),
    _wrong("wide digits of a Japanese keyboard", _DEADLINE, "deadline_ms = \uff17\uff10\uff10", "line.deadline_ms",
           "typed as 700"),
    _wrong("zeros in front", "program = 0", "program = 001", "bundle[1].program", "without a zero in front"),
    _wrong("a number out of range", "unit = 1", "unit = 256", "output.unit", "between 0 and 255 (got 256)"),
    _wrong("auto", "#threads = 2", 'threads = "auto"', "inference.threads", 'between 1 and 64 (got "auto")'),
    # --- texts and choices
    _wrong("no quotes", _HOST, "host = 192.168.10.10", "controller.host",
           'put quotes around the text: host = "192.168.10.10"'),
    _wrong("quotes of a word processor", 'user = "cvx"', "user = \u201ccvx\u201d", "images.ftp.user",
           'put plain quotes around the text: user = "cvx"'),
    _wrong("German quotes", 'user = "cvx"', "user = \u201ecvx\u201c", "images.ftp.user",
           'put plain quotes around the text: user = "cvx"'),
    _wrong("a quote that is not closed", 'user = "cvx"', 'user = "cvx', "images.ftp.user", 'the text has no closing "'),
    _wrong("yes", 'keep = "all"', "keep = yes", "store.keep",
           'expected one of "all", "rejects", "none", with its quotes'),
    _wrong("true", 'keep = "all"', "keep = true", "store.keep", 'one of "all", "rejects", "none" (got true)'),
    _wrong("capital letters", 'kind = "cv-x"', 'kind = "CV-X"', "controller.kind", 'did you mean "cv-x"?'),
    _wrong("another choice", 'judgement = "both"', 'judgement = "controller"', "line.judgement",
           'one of "agent", "both"'),
    _wrong("the type on the module's label", '#module = "wago-750"', 'module = "WAGO 750-352"', "output.module",
           'did you mean "wago-750"?'),
    _wrong("names as a shell has them", 'names = "cv-x"', 'names = "*.bmp"', "images.names",
           'expected "cv-x", "xg-x" or a regular expression'),
    # --- lists
    _wrong("a list without brackets", "cameras = [1]", "cameras = 1", "line.cameras", "write cameras = [1]"),
    _wrong("a list of one number, in quotes", "cameras = [1]", 'cameras = "1"', "line.cameras", "write cameras = [1]"),
    _wrong("a list as one text", _ITEMS, 'result_items = "count, judgement"', "controller.result_items",
           'write result_items = ["count", "judgement"]'),
    _wrong("a list without quotes", _ITEMS, "result_items = [count, judgement]", "controller.result_items",
           'put quotes around each text of the list: result_items = ["count", "judgement"]'),
    _wrong("a list without commas", _ITEMS, 'result_items = ["count" "judgement"]', "controller.result_items",
           "put a comma between two texts of the list"),
    _wrong("a list that is not closed", _ITEMS, 'result_items = ["count", "judgement"', "controller.result_items",
           "the list that begins here has no closing ]"),
    _wrong("round brackets", _ITEMS, 'result_items = ("count", "judgement")', "controller.result_items",
           'put square brackets around the list: result_items = ["count", "judgement"]'),
    _wrong("American spelling", _ITEMS, 'result_items = ["count", "judgment"]', "controller.result_items[2]",
           'did you mean "judgement"?'),
    _wrong("no count among the result's items", _ITEMS, 'result_items = ["judgement"]', "controller.result_items",
           'expected "count" among the items'),
    _wrong("a range with a dash", _PASSIVE, "passive_ports = 50000-50015", "images.ftp.passive_ports",
           "put brackets around the list: passive_ports = [50000, 50015]"),
    _wrong("a range the wrong way round", _PASSIVE, "passive_ports = [50015, 50000]", "images.ftp.passive_ports",
           "expected the lower port first"),
    # --- times and dates
    _wrong("an hour of one digit", _SHIFTS, 'shift_starts = ["6:00", "14:00"]', "web.shift_starts[1]", 'as "06:00"'),
    _wrong("times without quotes", _SHIFTS, "shift_starts = [06:00, 14:00]", "web.shift_starts",
           'put quotes around each text of the list: shift_starts = ["06:00", "14:00"]'),
    _wrong("half of the day's hours", _SHIFTS, 'shift_starts = ["6am"]', "web.shift_starts[1]", "of 24 hours"),
    _wrong("midnight as 24:00", _SHIFTS, 'shift_starts = ["24:00"]', "web.shift_starts[1]",
           'between "00:00" and "23:59"'),
    _wrong("a date with points", PROVEN[0][1], "watchdog_tested = 29.11.2026", "output.watchdog_tested",
           "expected a date without quotes, as 2026-11-29"),
    _wrong("a date in quotes", PROVEN[0][1], 'watchdog_tested = "2026-11-29"', "output.watchdog_tested",
           "expected a date without quotes, as 2026-11-29"),
    # --- samples
    _wrong("[challenge] with nothing in it", "#[challenge]", "[challenge]", "challenge",
           "say when samples are to be shown: every_shift = true, every_h or every_parts", hint=_ONE_HINT),
    _wrong("a lock that knows no time", "#[challenge]",
           '[challenge]\nsample = [{name = "R1", kind = "reject", program = 0}]\nlock_out = true', "challenge.lock_out",
           "lock_out needs to know when"),
    _wrong("a lock without a reject sample", "#[challenge]", "[challenge]\nevery_h = 24\nlock_out = true",
           "challenge.lock_out", "program 0 could never pass a part"),
    _wrong("yes for true", "#[challenge]", '[challenge]\nevery_h = 24\nlock_out = "yes"', "challenge.lock_out",
           "expected true or false, without quotes"),
    # --- keys and tables
    _wrong("a key without its unit", _DEADLINE, "deadline = 700", "line.deadline", 'did you mean "deadline_ms"?',
           hint="line.deadline_ms: "),
    _wrong("a key with a dash", _DEADLINE, "deadline-ms = 700", 'line."deadline-ms"', 'did you mean "deadline_ms"?',
           hint="line.deadline_ms: "),
    _wrong("a key with a blank", _DEADLINE, "deadline ms = 700", "line.deadline", "a key has no blank in it",
           hint=_ONE_HINT),
    _wrong("a colon", _DEADLINE, "deadline_ms: 700", "line.deadline_ms", "expected = between the key and its value"),
    _wrong("no value", _DEADLINE, "deadline_ms =", "line.deadline_ms", "a value is missing"),
    _wrong("no key", _DEADLINE, f"#{_DEADLINE}", "line.deadline_ms", f"missing; {_FROM_1}", at="[line]"),
    _wrong("a key twice", _DEADLINE, "deadline_ms = 700\ndeadline_ms = 800", "line.deadline_ms",
           "stands twice, on lines"),
    _wrong("a key by another name", _HOST, 'ip = "192.168.10.10"', "controller.ip", 'did you mean "host"?',
           hint="controller.host: "),
    _wrong("the password itself", 'user = "cvx"', 'password = "hunter2"', "images.ftp.password",
           "got something that is not shown", 'did you mean "password_file"?', hint="images.ftp.password_file: "),
    _wrong("a key below another table", "imaging_ms = 0", 'host = "192.168.10.10"', "line.host",
           "this key belongs to [controller]", hint=_ONE_HINT),
    _wrong("a key that there is not", "imaging_ms = 0", 'colour = "red"', "line.colour",
           "known here: name, deadline_ms",
           hint=_ONE_HINT),
    _wrong("a table's name with a slip", "[output]", "[outputs]", "outputs", 'did you mean "output"?', hint=_ONE_HINT),
    _wrong("a table twice", "[store]", "[line]\n[store]", "line", "the table stands twice, on lines", at="[line]",
           nth=2,
           hint=_ONE_HINT),
    _wrong("[bundle] with single brackets", _BUNDLE, "[bundle]", "bundle", "expected one or more tables [[bundle]]"),
    _wrong("a bracket too few", "[output]", "[output", "", "expected a table as [controller] or [[bundle]]",
           hint=_ONE_HINT),
    _wrong("a comment as other languages have it", "imaging_ms = 0", "// imaging_ms = 0", "", "a comment begins with #",
           hint=_ONE_HINT),
    # --- addresses and ports
    _wrong("a number of an address above 255", _HOST, 'host = "192.168.10.310"', "controller.host",
           "each of its numbers is 255 at most"),
    _wrong("an address of three numbers", _HOST, 'host = "192.168.10"', "controller.host", "it has four numbers"),
    _wrong("an address with commas", _HOST, 'host = "192,168,10,10"', "controller.host",
           "it has points, and no commas"),
    _wrong("an address with its port", _HOST, 'host = "192.168.10.10:8500"', "controller.host", "without a port"),
    _wrong("an address as a browser has it", _HOST, 'host = "http://192.168.10.10"', "controller.host",
           "take what stands before the address away"),
    _wrong("an address with its mask", _HOST, 'host = "192.168.10.10/24"', "controller.host", "take the / and what"),
    _wrong("a blank in an address", _HOST, 'host = "192.168.10.10 "', "controller.host", "take the blank"),
    _wrong("the controller at this PC's address", _HOST, 'host = "192.168.10.1"', "controller.host",
           "which is images.ftp.host: an address of this PC"),
    _wrong("two devices at one address", 'host = "192.168.20.20"', 'host = "192.168.10.10"', "output.host",
           "two devices never share one", nth=2),
    _wrong("a port that there is not", "port = 502", "port = 70000", "output.port", "between 1 and 65535 (got 70000)"),
    _wrong("allowed peers without the controller", _PEERS, 'allowed_peers = ["192.168.10.11"]',
           "images.ftp.allowed_peers",
           "expected controller.host (192.168.10.10) among them"),
    _wrong("allowed peers with a star", _PEERS, 'allowed_peers = ["192.168.10.*"]', "images.ftp.allowed_peers[1]",
           "expected an address or a network"),
    _wrong("the page at every address", _WEB_HOST, 'host = "0.0.0.0"', "web.host", "needs web.names"),
    _wrong("the page at the FTP server's port", _WEB_HOST, 'host = "192.168.10.1"', "web.port",
           "expected a port of its own (got 2121, which is images.ftp.port)",
           more=("port = 8480", "port = 2121"), nth=2),
    _wrong("the page among the passive ports", _WEB_HOST, 'host = "192.168.10.1"', "web.port",
           "expected a port outside images.ftp.passive_ports", more=("port = 8480", "port = 50010")),
    _wrong("a header that every browser sends", '#user_header = "X-Remote-User"', 'user_header = "Cookie"',
           "web.user_header", "the name of a header of the proxy's own",
           more=('#trusted_proxies = ["127.0.0.1"]', 'trusted_proxies = ["127.0.0.1"]'), at='user_header = "Cookie"'),
    _wrong("a proxy's header, and no proxy", '#user_header = "X-Remote-User"', 'user_header = "X-Remote-User"',
           "web.user_header", "web.user_header and web.trusted_proxies go together (got no trusted_proxies)"),
    _wrong("every address as a proxy", '#user_header = "X-Remote-User"', 'user_header = "X-Remote-User"',
           "web.trusted_proxies[1]", "by this one anybody is (got 0.0.0.0/0)",
           more=('#trusted_proxies = ["127.0.0.1"]', 'trusted_proxies = ["0.0.0.0/0"]'),
           at='trusted_proxies = ["0.0.0.0/0"]'),
    _wrong("a word for who signs", 'who_signs = "users"', 'who_signs = "user"', "web.who_signs",
           'did you mean "users"?'),
    _wrong("a web address without its beginning", "#[webhook]", "[webhook]", "webhook.url", "expected a web address",
           more=('#url = "https://mes.plant.example/edge-agent"', 'url = "mes.plant.example"')),
    _wrong("a fleet's page in place of its address", "#[fleet]", "[fleet]", "fleet.url",
           "expected the server's address alone",
           more=('#url = "https://fleet.plant.example:8490"', 'url = "https://fleet.plant.example:8490/events"'),
           at='url = "https://fleet.plant.example:8490/events"'),
    _wrong("bundles of a fleet without a trusted key", "#[fleet]", '[fleet]\nurl = "https://fleet.plant.example:8490"',
           "fleet.follow", "[signatures] trusted_keys has to say",
           more=('#follow = "none"', 'follow = "activate"'), at='follow = "activate"'),
    # --- coils, times of the output, bundles
    _wrong("registers without a kind", 'kind = "modbus-coils"', '#kind = "modbus-registers"', "output.kind",
           "missing; first_register is a key of", at="[output]"),
    _wrong("a PLC's number of a coil", "first_coil = 0", "first_coil = 40001", "output.first_coil",
           "expected the zero-based address of a coil"),
    _wrong("a manual's number of a coil", "first_coil = 0", "first_coil = 00017", "output.first_coil",
           "without a zero in front"),
    _wrong("no room for four coils", "first_coil = 0", "first_coil = 65535", "output.first_coil",
           "so that four coils fit"),
    _wrong("a PLC's number of an input", "#mode_input = 1", "mode_input = 10002", "output.mode_input",
           "10002 in a manual is 1 here"),
    _wrong("PASS inverted", "invert = []", 'invert = ["PASS"]', "output.invert[1]", 'one of "REJECT", "READY"'),
    _wrong("a deadline behind the next part", _DEADLINE, "deadline_ms = 1200", "line.deadline_ms",
           "expected below line.min_part_spacing_ms (1000)"),
    _wrong("a watchdog that is too slow", "watchdog_ms = 500", "watchdog_ms = 2000", "output.watchdog_ms",
           "otherwise a PASS of an agent that dies could reach the next part"),
    _wrong("writes that are too rare", "refresh_ms = 100", "refresh_ms = 400", "output.refresh_ms",
           "expected at most half of watchdog_ms (500)"),
    _wrong("two bundles for one program", "[store]", '[[bundle]]\nprogram = 0\npath = "other"\n[store]',
           "bundle[2].program",
           "a second [[bundle]] for program 0, camera 1", at="program = 0", nth=2),
    _wrong("a camera without a bundle", "cameras = [1]", "cameras = [1, 2]", "bundle[1].program",
           "has no [[bundle]] for camera 2", at="program = 0"),
    _wrong("a camera by its name", "camera = 1", 'camera = "CAM1"', "bundle[1].camera", "between 1 and 4"),
    _wrong("nobody has seen PASS fall", PROVEN[0][1], PROVEN[0][0], "output.module",
           "nothing proves that the remote I/O drops PASS",
           more=PROVEN[1][::-1], at="[output]", hint="edge-agent output test --config line.toml --watchdog"),
    # --- paths
    _wrong("a path of Windows", _SPOOL, 'spool = "C:\\new\\table"', "images.spool", "that is a path of Windows"),
    _wrong("a path of Windows, right for Windows", _SPOOL, "spool = 'D:\\edge\\spool'", "images.spool",
           "that is a path of Windows"),
    _wrong("a path of Windows without quotes", _SPOOL, "spool = D:\\edge\\spool", "images.spool",
           "and not one of Windows"),
    _wrong("a path of Windows with letters that TOML does not know", _SPOOL, 'spool = "D:\\edge\\spool"',
           "images.spool",
           "and not one of Windows"),
    _wrong("a \\ in a text", 'user = "cvx"', 'user = "plant\\cvx"', "images.ftp.user",
           "put single quotes, user = 'plant\\cvx'"),
    _wrong("the home folder", _SPOOL, 'spool = "~/spool"', "images.spool", "~ and $ stand for themselves here"),
    _wrong("no path", _SPOOL, 'spool = ""', "images.spool", 'that is not empty (got "")'),
    _wrong("one folder for two things", 'archive = "/var/lib/edge-agent/archive"',
           'archive = "/var/lib/edge-agent/spool"',
           "store.archive", "expected a place of its own"),
    # --- the file itself
    _wrong("a blank that is none", _DEADLINE, "deadline_ms =\u00a0700", "", "U+00A0, no-break space", hint=_ONE_HINT),
    Mistake("an empty file", says=("the file is empty",), hint=_FIRST_FILE, content=b""),
    Mistake("no file", says=("there is no such file",), hint=_FIRST_FILE, is_absent=True),
    Mistake("a folder", says=("expected a file (got a directory)",), hint="--config names the file", is_folder=True),
    Mistake("a file that everybody may write", says=("everyone on this PC may write it",), hint="chmod o-w line.toml",
            content=EXAMPLE.encode(), mode=0o646),
    Mistake("an umlaut as older Windows has it", line='name = "Stra\ufffde"',
            says=("expected UTF-8 text (got the byte 0xdf)",),
            hint="save the file as UTF-8", content=EXAMPLE.replace("line 3", "Straße").encode("latin-1"),
            wrote='name = "Straße"'),
    Mistake("UTF-16, as Notepad's \"Unicode\"", says=("expected UTF-8 text (got UTF-16)",),
            hint="save the file as UTF-8",
            content=EXAMPLE.encode("utf-16")),
    Mistake("lines that end as on an old Mac", says=("expected lines that end with LF, or CR LF",),
            hint="save the file",
            content=EXAMPLE.replace("\n", "\r").encode()),
    Mistake("JSON", line='{"line": {"deadline_ms": 700}}', says=("expected KEY = VALUE, or a table as [controller]",),
            hint=_ONE_HINT, content=b'{"line": {"deadline_ms": 700}}\n'),
    Mistake("YAML", line="line:", key="line", says=("expected a table [line]",), hint=_ONE_HINT,
            content=b"line:\n  deadline_ms: 700\n"),
)  # fmt: skip

TAKEN: tuple[Mistake, ...] = (
    _wrong("lines that end as on Windows", _DEADLINE, _DEADLINE, "", ends="\r\n"),
    _wrong("a mark in front, as Notepad writes it", _DEADLINE, _DEADLINE, "", begins="\ufeff"),
    _wrong("tabs", _DEADLINE, "\tdeadline_ms\t=\t700\t# as measured", ""),
    _wrong("a number in hexadecimal", "first_coil = 0", "first_coil = 0x200", ""),
    _wrong("single quotes", 'user = "cvx"', "user = 'cvx'", ""),
)  # fmt: skip
"""What many fear to be a mistake, and is none."""


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
