"""A receiver that refuses: one record never stops the others, and a receiver's own trouble costs no record."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from drivers.base import Published
from edge_agent.commands.main import cli
from edge_agent.publishing.keeper import keep_publishing
from edge_agent.publishing.outbox import Outbox
from edge_agent.publishing.sender import NotDelivered
from edge_agent.publishing.webhook import WebhookReceiver
from edge_agent.settings import WebhookSettings
from edge_agent.store.aside import SetAside, again_file, aside_file, ask_again, read_aside, set_aside
from edge_agent.store.journal import Journal, JournalReader
from edge_agent.store.receivers import receiver_status
from edge_agent.store.rotation import rotate
from edge_agent.wiring.free_ports import free_port
from tests.opcua_site import ready
from tests.publishing import Hook, Written, drained, sending, seqs, until
from tests.security.web_site import part_row, web_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    journal = Written(tmp_path / "journal.sqlite3")
    yield journal
    journal.close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    at = Hook(free_port())
    at.start()
    yield at
    at.stop()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 0.05)
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_CAP_S", 0.2)


def to(hook: Hook, *, most: int = 100) -> WebhookReceiver:
    return WebhookReceiver(WebhookSettings(url=f"http://127.0.0.1:{hook.port}/in", most=most), "line 7")


def aside_parts(journal: Path, receiver: str = "webhook") -> list[int]:
    return [one.content["part_seq"] for one in read_aside(aside_file(journal, receiver))[0] if one.kind == "part"]


def begun(written: Written) -> Outbox:
    """An outbox that begins before the first part."""
    Outbox(written.path, "webhook").next(1)
    return Outbox(written.path, "webhook")


# --- one record is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 409, 413, 422])
def test_one_record_that_is_refused_is_set_aside_and_all_others_arrive(written: Written, hook: Hook, code: int) -> None:
    hook.answer = lambda body, _: code if 7 in [part["part_seq"] for part in body["parts"]] else 200
    outbox = begun(written)
    written.parts(1, 60)
    with sending(outbox, to(hook)):
        until(lambda: 60 in hook.parts)

    assert hook.parts == [seq for seq in range(1, 61) if seq != 7]  # in order, each once
    (one,) = read_aside(aside_file(written.path, "webhook"))[0]
    assert one.words == "part 7"
    assert str(code) in one.why
    assert one.content["verdict"] == "PASS"  # all of it is there
    assert receiver_status(written.path, "webhook").aside == 1


def test_bodies_that_are_too_large_are_halved_until_they_fit(written: Written, hook: Hook) -> None:
    hook.answer = lambda _, size: 413 if size > 20_000 else 200
    outbox = begun(written)
    written.parts(1, 200)
    with sending(outbox, to(hook)):
        until(lambda: 200 in hook.parts)

    assert hook.parts == list(range(1, 201))
    assert aside_parts(written.path) == []


def test_an_answer_that_says_not_all_was_taken_is_no_confirmation(written: Written, hook: Hook) -> None:
    hook.answer = lambda body, _: 207 if 3 in [part["part_seq"] for part in body["parts"]] else 200
    outbox = begun(written)
    written.parts(1, 9)
    with sending(outbox, to(hook)):
        until(lambda: 9 in hook.parts)

    assert hook.parts == [1, 2, 4, 5, 6, 7, 8, 9]
    assert aside_parts(written.path) == [3]


@pytest.mark.parametrize("code", [301, 308, 401, 403, 404, 405, 408, 429, 500, 502, 503])
def test_what_is_not_the_records_fault_waits_and_is_said(written: Written, hook: Hook, code: int) -> None:
    hook.answers[:] = [code] * 6
    outbox = begun(written)
    written.parts(1, 9)
    with capture_logs() as logs, sending(outbox, to(hook)):
        until(lambda: 9 in hook.parts)

    assert list(dict.fromkeys(hook.parts)) == list(range(1, 10))
    assert aside_parts(written.path) == []
    said = [entry for entry in logs if entry["event"] == "results_wait"]
    assert any(f"answered {code}" in entry["why"] for entry in said)
    if code < 400:
        assert "points to http://127.0.0.1:1/elsewhere" in said[0]["why"]


def test_a_receiver_that_refuses_everything_is_given_time_and_then_loses_nothing(
    written: Written, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 0.3)
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_CAP_S", 3600.0)
    hook.answer = lambda *_: 422
    outbox = begun(written)
    written.parts(1, 40)
    with capture_logs() as logs, sending(outbox, to(hook)):
        until(lambda: any("refused everything" in entry.get("why", "") for entry in logs))
        assert len(aside_parts(written.path)) <= 4
        hook.answer = lambda *_: 200
        until(lambda: 40 in hook.parts)

    assert sorted(hook.parts + aside_parts(written.path)) == list(range(1, 41))


def test_a_reason_that_changes_is_said_each_time(written: Written, hook: Hook) -> None:
    hook.answers[:] = [503, 503, 401, 401]
    outbox = begun(written)
    written.parts(1, 3)
    with capture_logs() as logs, sending(outbox, to(hook)):
        until(lambda: 3 in hook.parts)

    said = [entry["why"] for entry in logs if entry["event"] == "results_wait"]
    assert [why.partition("answered ")[2][:3] for why in said] == ["503", "401"]


def test_retry_after_is_kept(hook: Hook) -> None:
    hook.answers[:] = [429]
    hook.headers["Retry-After"] = "7"
    records = [record(1)]
    with pytest.raises(NotDelivered) as caught:
        to(hook).deliver(records)
    assert caught.value.after_s == 7


def record(seq: int) -> Any:
    from edge_agent.feed.records import part_record
    from edge_agent.publishing.outbox import Record

    return Record("part", part_record(part_row(seq), Published.PUBLISHED), "", seq)


def test_two_lines_never_have_the_same_idempotency_key(hook: Hook) -> None:
    url = f"http://127.0.0.1:{hook.port}/in"
    for line in ("line 7", "line 8", "line 7"):
        WebhookReceiver(WebhookSettings(url=url), line).deliver([record(1)])

    keys = [headers["Idempotency-Key"] for headers, _ in hook.posts]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]  # the same batch again has the same


def test_a_key_in_the_address_is_not_said(hook: Hook) -> None:
    hook.answers[:] = [500]
    with pytest.raises(NotDelivered) as caught:
        WebhookReceiver(WebhookSettings(url=f"http://127.0.0.1:{hook.port}/in?code=secret-of-this-test"), "l").deliver(
            [record(1)]
        )
    assert "secret" not in str(caught.value)
    assert f"http://127.0.0.1:{hook.port}/in " in str(caught.value)


# --- answers that come slowly, or not whole -----------------------------------------------------------------


@contextmanager
def raw_server(answer: bytes, *, drips: bytes = b"") -> Iterator[tuple[int, list[int]]]:
    """A server that reads a request and sends these bytes; ``drips`` then come one at a time, until it is closed."""
    listening, ends, requests = socket.create_server(("127.0.0.1", 0)), threading.Event(), []

    def serve() -> None:
        while not ends.is_set():
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(10)
                got = b""
                while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < length_of(got):
                    got += sock.recv(65536)
                requests.append(len(got))
                try:
                    sock.sendall(answer)
                    for drip in drips:
                        if ends.wait(0.05):
                            return
                        sock.sendall(bytes([drip]))
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], requests
    finally:
        ends.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(20)


def length_of(got: bytes) -> int:
    head = got.lower().partition(b"content-length: ")[2]
    return int(head.partition(b"\r\n")[0])


@pytest.mark.parametrize("body", [b"Content-Length: 100\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\nzz"])
def test_a_confirmation_whose_body_breaks_off_is_one(body: bytes) -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\n" + body) as (port, requests):
        WebhookReceiver(WebhookSettings(url=f"http://127.0.0.1:{port}/"), "l").deliver([record(1)])
    assert len(requests) == 1


def test_an_answer_that_drips_has_one_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.publishing.webhook._WITHIN_S", 1.0)
    with raw_server(b"HTTP/1.1 ", drips=b" " * 60_000) as (port, _):
        receiver = WebhookReceiver(WebhookSettings(url=f"http://127.0.0.1:{port}/"), "l")
        with pytest.raises(NotDelivered, match="did not answer within 1 s") as caught:
            receiver.deliver([record(seq) for seq in range(1, 9)])
    assert caught.value.at_most == 4  # a receiver that is slow with many gets fewer


# --- what is set aside --------------------------------------------------------------------------------------


def test_what_was_set_aside_is_sent_again_when_a_person_asks(written: Written, hook: Hook) -> None:
    hook.answer = lambda body, _: 422 if {3, 5} & {part["part_seq"] for part in body["parts"]} else 200
    outbox = begun(written)
    written.parts(1, 8)
    with sending(outbox, to(hook)):
        until(lambda: 8 in hook.parts)
        assert aside_parts(written.path) == [3, 5]

        hook.answer = lambda body, _: 422 if 5 in [part["part_seq"] for part in body["parts"]] else 200
        assert ask_again(written.path, "webhook") == 2
        until(lambda: not again_file(written.path, "webhook").exists())
        assert 3 in hook.parts
        assert aside_parts(written.path) == [5]
        written.parts(9, 9)
        until(lambda: 9 in hook.parts)

    assert drained(Outbox(written.path, "webhook")) == []  # the position went on, and not back


def test_what_is_sent_again_and_does_not_arrive_holds_back_no_other(written: Written, hook: Hook) -> None:
    hook.answer = lambda body, _: 422 if 3 in [part["part_seq"] for part in body["parts"]] else 200
    outbox = begun(written)
    written.parts(1, 5)
    with sending(outbox, to(hook)):
        until(lambda: 5 in hook.parts)
        hook.answer = lambda body, _: 500 if 3 in [part["part_seq"] for part in body["parts"]] else 200
        ask_again(written.path, "webhook")
        before = len(hook.refused)
        until(lambda: len(hook.refused) > before + 2)
        written.parts(6, 9)
        until(lambda: 9 in hook.parts)
        hook.answer = lambda *_: 200
        until(lambda: not again_file(written.path, "webhook").exists())

    assert hook.parts[-1] == 3


def test_a_disk_that_does_not_take_the_record_keeps_it_first(
    written: Written, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answer = lambda body, _: 422 if 2 in [part["part_seq"] for part in body["parts"]] else 200
    is_full = threading.Event()
    is_full.set()
    refused = threading.Event()

    def on_this_disk(path: Path, one: SetAside) -> None:
        if is_full.is_set():
            refused.set()
            raise OSError(28, "No space left on device")
        set_aside(path, one)

    monkeypatch.setattr("edge_agent.publishing.outbox.set_aside", on_this_disk)
    outbox = begun(written)
    written.parts(1, 4)
    with sending(outbox, to(hook)):
        assert refused.wait(30)
        assert hook.parts == [1]
        is_full.clear()
        until(lambda: 4 in hook.parts)

    assert hook.parts == [1, 3, 4]
    assert aside_parts(written.path) == [2]


def test_a_line_that_a_power_cut_left_half_written_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3.webhook.aside"
    for seq in (1, 2):
        set_aside(path, SetAside("part", {"part_seq": seq, "verdict": "PASS"}, "", seq, "answered 422"))
    path.write_bytes(path.read_bytes()[:-20])

    set_aside(path, SetAside("part", {"part_seq": 2, "verdict": "PASS"}, "", 2, "answered 422"))
    set_aside(path, SetAside("part", {"part_seq": 1, "verdict": "PASS"}, "", 1, "answered 400"))
    found, unreadable = read_aside(path)

    assert [(one.content["part_seq"], one.why) for one in found] == [(1, "answered 400"), (2, "answered 422")]
    assert unreadable == 1


def test_the_command_lists_sends_again_and_puts_away(tmp_path: Path) -> None:
    settings = web_settings(tmp_path)
    journal = settings.store.journal
    asyncio.run(_journal_of(journal, 3))
    config = str(tmp_path / "line.toml")
    (tmp_path / "line.toml").write_text(
        (tmp_path / "line.toml").read_text() + '\n[webhook]\nurl = "http://127.0.0.1:1/"\n'
    )
    told = CliRunner()
    assert told.invoke(cli, ["results", "list", "-c", config]).exit_code == 0

    set_aside(aside_file(journal, "webhook"), SetAside("part", {"part_seq": 2, "x": 1}, "", 3, "answered 422\x1b[2J"))
    listed = told.invoke(cli, ["results", "list", "-c", config])
    assert listed.exit_code == 1
    assert "part 2" in listed.output
    assert "answered 422" in listed.output
    assert "\x1b" not in listed.output
    as_json = json.loads(told.invoke(cli, ["results", "list", "-c", config, "--json"]).stdout)
    assert as_json["receivers"][0]["set_aside"][0]["content"] == {"part_seq": 2, "x": 1}

    assert told.invoke(cli, ["results", "again", "-c", config]).exit_code == 0
    assert again_file(journal, "webhook").exists()
    assert receiver_status(journal, "webhook").aside == 1  # until it is delivered
    assert told.invoke(cli, ["results", "put-away", "-c", config, "--receiver", "webhook"]).exit_code == 1

    set_aside(aside_file(journal, "webhook"), SetAside("part", {"part_seq": 3, "x": 1}, "", 5, "answered 422"))
    assert told.invoke(cli, ["results", "put-away", "-c", config, "--receiver", "webhook"]).exit_code == 0
    assert len(list(tmp_path.glob("*.webhook.aside-*"))) == 1


async def _journal_of(path: Path, parts: int) -> None:
    journal = Journal.open(path)
    for seq in range(1, parts + 1):
        await journal.append(part_row(seq))
        await journal.publication(seq, Published.PUBLISHED, 100.6)
    journal.close()


async def test_the_journal_says_what_was_set_aside_and_of_that_event_nothing_more(tmp_path: Path, hook: Hook) -> None:
    """A receiver that refuses events would otherwise be sent an event of each refused event, without end."""
    settings = web_settings(tmp_path)
    webhook = WebhookSettings(url=f"http://127.0.0.1:{hook.port}/")
    settings = settings.model_copy(update={"webhook": webhook, "web": None})
    hook.answer = lambda body, _: 422 if body["events"] or 2 in [p["part_seq"] for p in body["parts"]] else 200
    journal = Journal.open(settings.store.journal)
    Outbox(settings.store.journal, "webhook").next(1)
    try:
        async with keep_publishing(settings, ready, journal.event):
            for seq in (1, 2, 3):
                await journal.append(part_row(seq))
                await journal.publication(seq, Published.PUBLISHED, 100.6)

            def is_told() -> bool:
                aside, _ = read_aside(aside_file(settings.store.journal, "webhook"))
                return {one.words for one in aside} >= {"part 2", "event 1 RESULT_ASIDE"}

            async with asyncio.timeout(60):
                while not is_told():
                    await asyncio.sleep(0.05)
            await journal.append(part_row(4))
            await journal.publication(4, Published.PUBLISHED, 100.6)
            async with asyncio.timeout(60):
                while 4 not in hook.parts:
                    await asyncio.sleep(0.05)
    finally:
        journal.close()
    with JournalReader.open(settings.store.journal) as reader:
        events = [event for event in reader.events() if event.kind == "RESULT_ASIDE"]
    assert [json.loads(event.detail)["number"] for event in events] == [2]
    assert hook.parts == [1, 3, 4]


# --- the queue itself ---------------------------------------------------------------------------------------


def test_a_number_that_json_has_not_does_not_end_the_publishing(written: Written, hook: Hook) -> None:
    outbox = begun(written)
    written.part(part_row(1, score=math.inf))
    written.parts(2, 3)
    with sending(outbox, to(hook)):
        until(lambda: 3 in hook.parts)

    assert hook.parts == [1, 2, 3]
    assert hook.posts[0][1]["parts"][0]["score"] == "inf"


async def _write(journal: Journal, row: Any) -> None:
    await journal.append(row)
    await journal.publication(row.part_seq, Published.PUBLISHED, 100.6)


def test_a_row_that_somebody_removed_stops_nothing_and_is_told(written: Written, hook: Hook) -> None:
    outbox = begun(written)
    written.parts(1, 5)
    written.event("CHALLENGE")
    written.parts(6, 7)
    with closing(sqlite3.connect(written.path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM part WHERE part_seq = 3")
        connection.execute("DELETE FROM event")
    with sending(outbox, to(hook, most=1)):
        until(lambda: 7 in hook.parts)

    assert hook.parts == [1, 2, 4, 5, 6, 7]
    aside, _ = read_aside(aside_file(written.path, "webhook"))
    assert [one.words for one in aside] == ["part 3", "event 1"]
    assert "no row" in aside[0].why


def test_a_journal_that_was_rotated_twice_while_nobody_listened_is_delivered_whole(written: Written) -> None:
    begun(written)
    path, last = written.path, 0
    written.close()
    for _ in range(3):
        again = Written(path)
        again.parts(last + 1, last + 6)
        again.close()
        last += 6
        rotate(path)
    again = Written(path)
    again.parts(last + 1, last + 2)
    again.close()
    assert receiver_status(path, "webhook").waiting == 43, "each new file begins with who rotated"

    assert seqs(drained(Outbox(path, "webhook"))) == list(range(1, 21))
    assert aside_parts(path) == []


def test_a_closed_journal_that_was_moved_away_too_early_is_a_gap_that_stays_visible(written: Written) -> None:
    begun(written)
    written.parts(1, 6)
    written.close()
    rotate(written.path).unlink()
    again = Written(written.path)
    again.parts(7, 9)
    again.close()

    assert seqs(drained(Outbox(written.path, "webhook"))) == [7, 8, 9]
    (gap,) = read_aside(aside_file(written.path, "webhook"))[0]
    assert gap.kind == "gap"
    assert "000000000001-000000000006" in gap.why
    assert "set aside" in receiver_status(written.path, "webhook").degraded


def test_another_journal_that_has_grown_past_the_position_is_not_taken_for_the_same(written: Written) -> None:
    """The first file of every journal begins alike: only the link's own hash tells two of them apart."""
    outbox = begun(written)
    written.parts(1, 3)
    drained(outbox)
    outbox.save()
    written.close()
    for path in written.path.parent.glob("journal.sqlite3*"):
        if not path.name.endswith(".position"):
            path.unlink()
    again = Written(written.path)
    again.part(part_row(1, detail="another"))
    again.parts(2, 8)
    again.close()

    assert seqs(drained(Outbox(written.path, "webhook"))) == list(range(1, 9))


def test_a_position_that_the_disk_does_not_take_slows_nothing_and_is_said(
    written: Written, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.publishing.sender._RETRY_FIRST_S", 3600.0)
    monkeypatch.setattr("edge_agent.publishing.outbox._SAVE_EVERY_S", 0.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    outbox = begun(written)
    monkeypatch.setattr("edge_agent.publishing.outbox.write_position", full)
    written.parts(1, 30)
    with capture_logs() as logs, sending(outbox, to(hook, most=5)):
        until(lambda: 30 in hook.parts)

    assert hook.parts == list(range(1, 31))
    assert [entry["event"] for entry in logs].count("position_not_saved") == 2  # once, and at the end
    assert not any(entry["event"] == "results_wait" for entry in logs)


def test_a_damaged_position_of_one_receiver_does_not_stop_the_other(tmp_path: Path, hook: Hook) -> None:
    settings = web_settings(tmp_path)
    from edge_agent.settings import MqttSettings

    update = {
        "webhook": WebhookSettings(url=f"http://127.0.0.1:{hook.port}/"),
        "mqtt": MqttSettings(host="127.0.0.1", port=free_port()),
        "web": None,
    }
    settings = settings.model_copy(update=update)
    (tmp_path / "journal.sqlite3.mqtt.position").write_text("{")

    async def run() -> None:
        journal = Journal.open(settings.store.journal)
        Outbox(settings.store.journal, "webhook").next(1)
        try:
            async with keep_publishing(settings, ready, journal.event):
                await _write(journal, part_row(1))
                async with asyncio.timeout(60):
                    while hook.parts != [1]:
                        await asyncio.sleep(0.05)
        finally:
            journal.close()

    asyncio.run(run())
    assert "damaged" in receiver_status(settings.store.journal, "mqtt").degraded
