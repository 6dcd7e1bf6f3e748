"""Lines and their fleet over real sockets: what is wrong is refused, what is lost comes again, nothing counts twice."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from edge_agent.errors import NotPermitted
from edge_agent.fleet.database import open_database, promotion
from edge_agent.fleet.promoting import examine
from edge_agent.fleet.rows import take
from edge_agent.fleet_line.messages import Answer, Enrolled, Enrolment
from edge_agent.fleet_line.secret import read_secret, secret_file, write_secret
from edge_agent.fleet_line.server import NotAnswered
from edge_agent.store.position import position_file
from edge_agent.wiring.free_ports import free_port
from tests.certificates import authority
from tests.command_line import edge_agent_here
from tests.databases import POSTGRES, postgres
from tests.fleet import AnyLine, Fleet, fleet_command, sending_rows, state_of
from tests.fleet_database import NEW, OLD, judging, promoted, rows, stage, tells, three_lines
from tests.publishing import until
from tests.small_disk import small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(tmp_path / "fleet").running() as running:
        yield running


def stored(fleet: Fleet, line: str) -> list[tuple[str, int]]:
    """The rows that the server's disk has of a line: journal and part."""
    query = (
        "SELECT journal, part_seq FROM part JOIN line USING (line_id) WHERE line.name = ? ORDER BY journal, part_seq"
    )
    with closing(sqlite3.connect(fleet.folder / "fleet.sqlite3")) as database:
        return [(str(journal), int(seq)) for journal, seq in database.execute(query, (line,))]


def begun(line: AnyLine) -> bool:
    return position_file(line.settings.store.journal, "fleet").exists()


def test_who_is_no_line_is_told_nothing(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.secret = "x" * 43
    assert line.refused() == 401
    assert fleet.post("/line/rows", b"{}", "x" * 43) == 401
    assert fleet.post("/line/rows", b"{}", "") == 401
    with pytest.raises(NotAnswered, match="403"):
        line.server.post("/line/enrol", Enrolment(invitation="i" * 32), Enrolled)
    assert fleet.lines() == {}


def test_an_invitation_is_good_once_and_the_server_keeps_no_secret(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    invitation = line.join()
    with pytest.raises(NotAnswered, match="was used"):
        line.server.post("/line/enrol", Enrolment(invitation=invitation), Enrolled)
    assert line.refused() == 0, "whoever replays an invitation does not take the line's place"
    kept = b"".join(path.read_bytes() for path in fleet.folder.iterdir() if path.is_file())
    assert line.secret.encode() not in kept
    assert invitation.encode() not in kept
    assert secret_file(line.settings).stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_forgotten_is_refused_and_joins_again_under_its_name(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    line.tell()
    fleet_command(fleet, "forget", "Line 1", "--by", "a test")
    until(lambda: line.refused() == 401)
    line.join()
    assert line.refused() == 0


def test_what_is_no_message_is_refused_in_words_and_bounded(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    state = json.loads(state_of().model_dump_json())
    for wrong in (
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        json.dumps(state | {"verdict": "PASS"}).encode(),
        json.dumps(state | {"behind": -1}).encode(),
        json.dumps(state | {"version": "x" * 5000}).encode(),
    ):
        assert fleet.post("/line/state", wrong, line.secret) == 422, wrong[:40]
    assert fleet.post("/line/state", b" " * (1 << 18), line.secret) == 413
    assert fleet.post("/line/rows", b" " * ((1 << 20) + 1), line.secret) == 413
    row = {"journal": "0" * 32, "part_seq": 1, "decided_utc": "x", "verdict": "PASS\0", "reason": "OK"}
    rows = {"schema_version": 1, "parts": [row], "events": []}
    assert fleet.post("/line/rows", json.dumps(rows).encode(), line.secret) == 422
    assert stored(fleet, "Line 1") == []


def test_a_line_that_floods_is_held_up_and_another_is_not(fleet: Fleet, tmp_path: Path) -> None:
    flooding, other = AnyLine(tmp_path / "one", fleet, "Line 1"), AnyLine(tmp_path / "two", fleet, "Line 2")
    flooding.join()
    other.join()
    with ThreadPoolExecutor(8) as many:  # more at a time than one line may ask, however slow the machine is
        answers = list(many.map(lambda _: flooding.refused(), range(200)))
    assert {429} < {*answers} <= {0, 429}
    assert other.refused() == 0


def test_a_line_speaks_for_itself_alone(fleet: Fleet, tmp_path: Path) -> None:
    """Whatever name it says, its rows are kept under the one that its secret belongs to."""
    lying, other = AnyLine(tmp_path / "one", fleet, "Line 1"), AnyLine(tmp_path / "two", fleet, "Line 2")
    lying.join()
    other.join()
    row = {"journal": "0" * 32, "part_seq": 1, "decided_utc": "x", "verdict": "PASS", "reason": "OK"}
    body = {"schema_version": 1, "line": "Line 2", "parts": [row], "events": []}
    assert fleet.post("/line/rows", json.dumps(body).encode(), lying.secret) == 204
    assert stored(fleet, "Line 2") == []
    assert stored(fleet, "Line 1") == [("0" * 32, 1)]


def test_rows_arrive_once_over_a_killed_server_and_a_restarted_line(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    journal = line.begins()
    with sending_rows(line):
        until(lambda: begun(line))
        journal.parts(1, 30)
        until(lambda: len(stored(fleet, "Line 1")) == 30)
        position = position_file(line.settings.store.journal, "fleet").read_bytes()
        fleet.kill()
        journal.parts(31, 60)
        fleet.start()
        journal.parts(61, 70)
        until(lambda: len(stored(fleet, "Line 1")) == 70)
    # A line that lost its position by a power cut sends again what was confirmed already.
    position_file(line.settings.store.journal, "fleet").write_bytes(position)
    with sending_rows(line):
        journal.parts(71, 72)
        until(lambda: len(stored(fleet, "Line 1")) == 72)
    journal.close()
    assert [seq for _, seq in stored(fleet, "Line 1")] == list(range(1, 73))
    until(lambda: fleet.lines()["Line 1"]["passed"] == 72)


def test_a_journal_that_was_begun_anew_counts_from_1_and_nothing_is_taken_for_known(
    fleet: Fleet, tmp_path: Path
) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    journal = line.begins()
    with sending_rows(line):
        until(lambda: begun(line))
        journal.parts(1, 5)
        until(lambda: len(stored(fleet, "Line 1")) == 5)
    journal.close()
    path = line.settings.store.journal
    for one in list(path.parent.iterdir()):
        if one.name.startswith(path.name) and not one.name.endswith((".fleet-secret", ".position")):
            one.unlink()
    again = line.begins()
    again.event("a first link of its own")
    with sending_rows(line):
        again.parts(1, 3)
        until(lambda: len(stored(fleet, "Line 1")) == 8)
    again.close()
    assert len({journal for journal, _ in stored(fleet, "Line 1")}) == 2


def test_a_line_out_of_a_backup_gives_numbers_again_and_no_part_is_taken_for_known(
    fleet: Fleet, tmp_path: Path
) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    path, journal = line.settings.store.journal, line.begins()
    position, kept = position_file(path, "fleet"), tmp_path / "kept"
    with sending_rows(line):
        until(lambda: begun(line))
        journal.parts(1, 5)
        until(lambda: len(stored(fleet, "Line 1")) == 5)
    journal.close()
    kept.mkdir()
    for one in (path, position):
        shutil.copy(one, kept)
    journal = line.begins()
    with sending_rows(line):
        journal.parts(6, 8)
        until(lambda: len(stored(fleet, "Line 1")) == 8)
    journal.close()
    old_secret = line.secret
    for one in (path, position):
        shutil.copy(kept / one.name, one)
    line.join()
    assert fleet.post("/line/rows", b"{}", old_secret) == 401, "the old PC, should it still run, is no second line"
    again = line.begins()
    again.event("RESTORED")
    with sending_rows(line):
        again.parts(6, 9)
        until(lambda: len(stored(fleet, "Line 1")) == 12)
    again.close()
    by_journal = Counter(journal for journal, _ in stored(fleet, "Line 1"))
    assert sorted(by_journal.values()) == [4, 8]
    until(lambda: fleet.lines()["Line 1"]["passed"] == 12)


@pytest.mark.skipif(POSTGRES is None, reason="no PostgreSQL on this machine")
def test_over_postgresql_rows_arrive_once_and_a_server_begins_again_with_what_it_knew(tmp_path: Path) -> None:
    with postgres(tmp_path / "postgres") as url:
        fleet = Fleet(tmp_path / "fleet")
        fleet.folder.mkdir()
        (fleet.folder / "database-url").write_text(url)
        (fleet.folder / "database-url").chmod(0o600)
        with fleet.running():
            line = AnyLine(tmp_path / "one", fleet, "Line 1")
            line.join()
            line.tell(state="FAULT")
            journal = line.begins()
            with sending_rows(line):
                until(lambda: begun(line))
                journal.parts(1, 30)
                until(lambda: fleet.lines()["Line 1"]["passed"] == 30)
                before = position_file(line.settings.store.journal, "fleet").read_bytes()
                fleet.kill()
                journal.parts(31, 40)
                fleet.start()
                until(lambda: fleet.lines()["Line 1"]["passed"] == 40)
            position_file(line.settings.store.journal, "fleet").write_bytes(before)
            with sending_rows(line):
                journal.parts(41, 41)
                until(lambda: fleet.lines()["Line 1"]["passed"] == 41)
            journal.close()
            assert fleet.lines()["Line 1"]["state"] == "FAULT"
            assert fleet.stop() == 0
        assert not (fleet.folder / "fleet.sqlite3").exists()


def test_a_server_watches_what_is_on_all_lines_and_offers_the_way_back(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "fleet")
    engine = open_database(fleet.folder)
    with three_lines(engine) as (connection, found):
        promoted(connection)
        connection.execute(update(promotion).values(stage="all"))
        for line_id in found:
            tells(connection, line_id, judging(OLD))
            take(connection, line_id, rows(501, 750, rejected=2, bundle=NEW))
        examine(connection)
        assert stage(connection) == ("all", "done")
    with fleet.running():
        until(lambda: "watched until" in fleet.promotions()[0]["words"])
        assert fleet.stop() == 0
    with engine.begin() as connection:
        for line_id in found:
            take(connection, line_id, rows(751, 1000, rejected=20, bundle=NEW))
    with fleet.running():
        until(lambda: fleet.promotions()[0]["status"] == "stopped")
        line = AnyLine(tmp_path / "two", fleet, "Line 2")
        line.join()
        (offer,) = line.tell(bundles=judging(NEW).bundles).offers
        assert (offer.stage, offer.why[:28]) == ("withdrawn", "all lines: it rejects more: ")
    engine.dispose()


def test_a_clock_that_is_off_is_said_and_orders_nothing(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    off = datetime.now(UTC) + timedelta(days=400)
    line.tell(at_utc=off.isoformat(timespec="milliseconds"))
    shown = fleet.lines()["Line 1"]
    assert abs(shown["clock_off_s"] - 400 * 86_400) < 60
    assert shown["stale"] is False
    assert shown["heard_ago_s"] < 30
    line.tell(at_utc="no time at all")
    assert fleet.lines()["Line 1"]["clock_off_s"] == 0


def test_a_line_that_falls_silent_is_shown_so(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    line.tell()
    assert fleet.lines()["Line 1"]["stale"] is False
    until(lambda: fleet.lines()["Line 1"]["stale"])


def test_the_page_wants_its_key_and_a_server_for_others_a_certificate(fleet: Fleet, tmp_path: Path) -> None:
    key = (fleet.folder / "wall-key").read_text()
    (fleet.folder / "wall-key").write_text("another-key-of-the-wall-altogether\n")
    with pytest.raises(Exception, match="401"):
        fleet.asked()
    (fleet.folder / "wall-key").write_text(key)
    assert fleet.asked()["lines"] == []
    ran = edge_agent_here("fleet", "serve", "--folder", str(tmp_path / "other"), "--host", "192.0.2.7")
    assert (ran.code, "certificate" in ran.err) == (64, True)


def test_over_tls_a_line_trusts_the_named_authority_alone(tmp_path: Path) -> None:
    own, other = authority(tmp_path / "own"), authority(tmp_path / "other")
    certificate, key = own.leaf("fleet")
    files = ("--certificate", str(certificate), "--key", str(key), "--host", "127.0.0.1")
    with Fleet(tmp_path / "fleet", more=files, ca=own.ca).running() as fleet:
        line = AnyLine(tmp_path / "one", fleet, "Line 1")
        line.join()
        journal = line.begins()
        with sending_rows(line):
            until(lambda: begun(line))
            journal.parts(1, 3)
            until(lambda: len(stored(fleet, "Line 1")) == 3)
        journal.close()
        assert line.refused() == 0
        fleet.ca = other.ca
        stranger = AnyLine(tmp_path / "two", fleet, "Line 2")
        with pytest.raises(NotAnswered, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.server.post("/line/enrol", Enrolment(invitation="i" * 32), Enrolled)


def test_a_database_that_does_not_answer_is_said_and_is_no_bug(tmp_path: Path) -> None:
    fleet = ("--folder", str(tmp_path / "fleet"))
    assert edge_agent_here("fleet", "invite", "Line 1", "--by", "a test", *fleet).code == 0
    with closing(sqlite3.connect(tmp_path / "fleet" / "fleet.sqlite3")) as database, database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON invitation BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    ran = edge_agent_here("fleet", "invite", "Line 2", "--by", "a test", *fleet)
    assert (ran.code, "nothing was changed: disk full" in ran.err) == (69, True)


def test_a_certificate_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("nothing")
    files = ("--certificate", str(tmp_path / "no.pem"), "--key", str(tmp_path / "no.pem"))
    ran = edge_agent_here("fleet", "serve", "--folder", str(tmp_path / "fleet"), "--port", str(free_port()), *files)
    assert (ran.code, "the certificate or its key" in ran.err) == (78, True)


def test_a_server_begins_again_with_what_it_knew(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    line.tell(state="FAULT", why_not={"controller": "the cable is out"})
    assert fleet.stop() == 0
    fleet.start()
    shown = fleet.lines()["Line 1"]
    assert (shown["state"], shown["alerts"][0]["kind"]) == ("FAULT", "not_ready")


def test_a_secret_that_others_may_read_is_not_used(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    path = secret_file(line.settings)
    os.chmod(path, 0o640)  # noqa: PTH101
    with pytest.raises(Exception, match="others on this PC may read"):
        read_secret(path)
    write_secret(path, "no secret")
    with pytest.raises(Exception, match="this is no secret"):
        read_secret(path)


def test_once_the_fleet_has_users_one_of_them_signs(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a long enough password 7\n")
    fleet_command(fleet, "user", "A. Weber", "--new-password-file", str(tmp_path / "password"))
    ran = edge_agent_here("fleet", "invite", "Line 1", "--folder", str(fleet.folder), "--by", "anybody")
    assert ran.code == NotPermitted.exit_code
    signed = ("--as", "A. Weber", "--password-file", str(tmp_path / "password"))
    assert fleet_command(fleet, "invite", "Line 1", *signed)["line"] == "Line 1"


def test_what_a_server_answers_is_read_within_bounds(tmp_path: Path, fleet: Fleet) -> None:
    """A key that is not known, as a command would be, is an error and nothing else."""
    with pytest.raises(ValueError, match="command"):
        Answer.model_validate_json('{"schema_version": 1, "offers": [], "command": "acknowledge"}')


def test_whoever_opens_connections_and_says_nothing_keeps_no_line_out(fleet: Fleet, tmp_path: Path) -> None:
    """Idle ones, and ones whose request never ends: without any secret."""
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    with ExitStack() as opened:
        for number in range(600):
            one = opened.enter_context(socket.create_connection(("127.0.0.1", fleet.port), timeout=20))
            if number % 2:
                one.sendall(b"POST /line/state HTTP/1.1\r\nHost: x\r\n")
        until(lambda: line.refused() == 0)


def test_a_line_that_reads_its_bundle_slowly_holds_few_connections(fleet: Fleet, tmp_path: Path) -> None:
    line = AnyLine(tmp_path / "one", fleet, "Line 1")
    line.join()
    bundle = fleet.folder / "bundles" / ("b" * 64)
    bundle.mkdir(parents=True)
    with (bundle / "large").open("wb") as file:
        file.truncate(64 << 20)
    with closing(sqlite3.connect(fleet.folder / "fleet.sqlite3")) as database, database:
        database.execute(
            "INSERT INTO promotion "
            "SELECT 1, ?, 'zipper', 1, 1, line_id, 'shadow', 'running', '', 0, 'a', 'w', 'x' FROM line",
            ("b" * 64,),
        )
    assert [offer.stage for offer in line.tell().offers] == ["shadow"]
    codes = []
    with ExitStack() as opened:
        for _ in range(8):
            one = opened.enter_context(socket.create_connection(("127.0.0.1", fleet.port), timeout=20))
            asked = (
                f"GET /line/bundles/{'b' * 64}/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {line.secret}\r\n\r\n"
            )
            one.sendall(asked.encode())
            codes.append(int(one.recv(16).split()[1]))
    assert codes == [200] * 4 + [429] * 4
    until(lambda: line.refused() == 0)


def test_rows_wait_on_the_lines_before_they_fill_the_disk_and_the_page_goes_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=40) as disk, Fleet(disk / "fleet").running() as fleet:
        line = AnyLine(tmp_path / "one", fleet, "Line 1")
        line.join()
        row = {"journal": "0" * 32, "decided_utc": "x", "verdict": "PASS", "reason": "OK"}

        def send(seq: int) -> int:
            body = {"schema_version": 1, "parts": [row | {"part_seq": seq}], "events": []}
            return fleet.post("/line/rows", json.dumps(body).encode(), line.secret)

        assert send(1) == 204
        with (disk / "something-else").open("wb") as file:
            file.write(bytes(shutil.disk_usage(disk).free - (1 << 20)))
        assert send(2) == 503
        assert line.refused() == 0
        assert fleet.lines()["Line 1"]["stale"] is False
        (disk / "something-else").unlink()
        assert send(2) == 204
