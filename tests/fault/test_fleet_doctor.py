"""The doctor's look at the fleet, against a real server: each thing that can be wrong is said, with what to do."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from edge_agent.fleet_line.secret import secret_file
from edge_agent.settings import FleetSettings
from edge_agent.store.position import position_file
from edge_agent.tools.doctor import CHECKS, Result, Site
from edge_agent.tools.doctor.fleet import _is_private, fleet_server
from tests.certificates import authority
from tests.fleet import AnyLine, Fleet, Lying, fleet_command, sending_rows
from tests.publishing import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "fleet").running() as running:
        yield running


@pytest.fixture
def line(tmp_path: Path, fleet: Fleet) -> AnyLine:
    made = AnyLine(tmp_path / "line", fleet, "Line 7", follow="shadow")
    made.join()
    return made


async def found(line: AnyLine, **changed: Any) -> tuple[Result, str, str]:
    """The result, the evidence and the fix; ``changed`` is of the table [fleet]."""
    values = line.at_fleet.model_dump(mode="json") | changed
    settings = line.settings.model_copy(update={"fleet": FleetSettings.model_validate(values)})
    said = await fleet_server(Site(line.settings.store.journal, settings))
    assert bool(said.fix) is (said.result is not Result.OK)
    assert "\n" not in said.fix
    return said.result, said.evidence, said.fix


async def test_a_line_that_its_server_knows_is_told_by_name_and_nothing_changes_there(
    fleet: Fleet, line: AnyLine
) -> None:
    line.tell(state="FAULT")
    before = fleet.lines()["Line 7"]
    result, evidence, _ = await found(line)
    assert result is Result.OK, evidence
    assert evidence == f'{fleet.url} knows this line as "Line 7"; follow = "shadow"; nothing was sent yet'
    after = fleet.lines()["Line 7"]
    assert (after["state"], after["parts"]) == (before["state"], 0)


def test_rows_that_wait_are_counted(fleet: Fleet, line: AnyLine) -> None:
    journal = line.begins()
    with sending_rows(line):
        until(lambda: position_file(line.settings.store.journal, "fleet").exists())
    journal.parts(1, 3)
    journal.close()
    assert asyncio.run(found(line))[1].endswith("6 rows wait"), "of each part its row, and what became of it"


async def test_a_server_that_is_away_holds_up_nothing_and_that_is_said(fleet: Fleet, line: AnyLine) -> None:
    fleet.kill()
    result, evidence, fix = await found(line)
    assert (result, "cannot be reached" in evidence, "firewalls" in fix) == (Result.WARN, True, True)
    assert "The line goes on" in evidence


async def test_a_line_that_has_not_joined_or_was_forgotten_is_told_how_to_join(fleet: Fleet, line: AnyLine) -> None:
    fleet_command(fleet, "forget", "Line 7", "--by", "a test")
    until(lambda: line.refused() == 401)
    result, evidence, fix = await found(line)
    assert (result, "was forgotten there" in evidence, "fleet invite" in fix) == (Result.FAIL, True, True)
    secret_file(line.settings).unlink()
    result, evidence, fix = await found(line)
    assert (result, "has not joined" in evidence, "fleet join" in fix) == (Result.FAIL, True, True)


async def test_a_secret_that_others_may_read_is_found_out(line: AnyLine) -> None:
    secret_file(line.settings).chmod(0o644)
    result, evidence, fix = await found(line)
    assert (result, "others on this PC" in evidence, "chmod 0600" in fix) == (Result.FAIL, True, True)


async def test_what_is_no_fleet_or_of_another_version_is_said(line: AnyLine) -> None:
    with Lying().running() as server:
        result, evidence, fix = await found(line, url=server.url)
    assert (result, "answered 404" in evidence, "as new as this one" in fix) == (Result.FAIL, True, True)
    with Lying({"/line/known": (200, b'{"line": "x", "at_utc": "x", "command": "pass"}', {})}).running() as server:
        result, evidence, _ = await found(line, url=server.url)
    assert (result, "no answer of a fleet" in evidence) == (Result.WARN, True)
    with Lying({"/line/known": (429, b"too many requests", {})}).running() as server:
        result, _, fix = await found(line, url=server.url)
    assert (result, "another PC" in fix) == (Result.WARN, True)


@pytest.mark.parametrize(
    ("off_s", "words"), [(60, "is 60 s behind it"), (-60, "is 60 s ahead of it"), (None, "no time")]
)
async def test_two_clocks_that_differ_are_said(line: AnyLine, off_s: int | None, words: str) -> None:
    at = "noon" if off_s is None else (datetime.now(UTC) + timedelta(seconds=off_s + 0.25)).isoformat()
    body = json.dumps({"schema_version": 1, "line": "Line 7", "at_utc": at}).encode()
    with Lying({"/line/known": (200, body, {})}).running() as server:
        result, evidence, fix = await found(line, url=server.url)
    assert (result, words in evidence, "time server" in fix) == (Result.WARN, True, True), evidence


def test_a_secret_that_goes_over_a_network_in_clear_text_is_found_out() -> None:
    urls = {
        "http://192.0.2.7:8490": False,
        "http://fleet.plant.example": False,
        "https://fleet.plant.example": True,
        "http://127.0.0.1:8490": True,
        "http://[::1]:8490": True,
        "http://localhost:8490": True,
    }
    assert {url: _is_private(FleetSettings.model_validate({"url": url})) for url in urls} == urls


async def test_over_tls_the_servers_certificate_is_proven_and_its_end_is_told(tmp_path: Path) -> None:
    own, other = authority(tmp_path / "own"), authority(tmp_path / "other")
    certificate, key = own.leaf("fleet")
    files = ("--certificate", str(certificate), "--key", str(key), "--host", "127.0.0.1")
    with Fleet(tmp_path / "fleet", more=files, ca=own.ca).running() as fleet:
        line = AnyLine(tmp_path / "line", fleet, "Line 7")
        line.join()
        result, evidence, fix = await found(line)
        assert (result, "renewed" in fix) == (Result.WARN, True), evidence
        assert f"the certificate of {fleet.url} expires on" in evidence, "those of a test live for two days"
        result, evidence, fix = await found(line, ca_file=str(other.ca))
        assert (result, "is not trusted" in evidence, "ca_file" in fix) == (Result.FAIL, True, True), evidence
        result, evidence, _ = await found(line, ca_file=str(tmp_path / "none.pem"))
        assert (result, "no such file" in evidence) == (Result.FAIL, True)
        result, evidence, _ = await found(line, url=f"http://127.0.0.1:{fleet.port}", ca_file=None)
        assert (result, "cannot be reached" in evidence or "broke off" in evidence) == (Result.WARN, True), evidence


async def test_without_a_fleet_there_is_nothing_to_look_at_and_the_doctor_has_the_check(line: AnyLine) -> None:
    settings = line.settings.model_copy(update={"fleet": None})
    assert (await fleet_server(Site(line.settings.store.journal, settings))).result is Result.OK
    (check,) = [check for check in CHECKS if check.id == "fleet_server"]
    assert not check.gates, "a line is fit without its fleet"
