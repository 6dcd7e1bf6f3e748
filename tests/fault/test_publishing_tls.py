"""TLS to a real server on a real socket: whom we trust, who we say we are, and files that are wrong are named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import Published
from edge_agent.errors import ConfigError, EdgeAgentError
from edge_agent.feed.records import part_record
from edge_agent.publishing.mqtt import MqttReceiver
from edge_agent.publishing.outbox import Outbox, Record
from edge_agent.publishing.sender import NotDelivered
from edge_agent.publishing.tls import TlsFiles, client_context, expires_soon
from edge_agent.publishing.webhook import WebhookReceiver
from edge_agent.settings import MqttSettings, WebhookSettings
from edge_agent.store.aside import SetAside, aside_file, set_aside
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.places import secret_permissions
from edge_agent.tools.doctor.results import results_certificates, results_delivered
from edge_agent.wiring.free_ports import free_port
from tests.certificates import Authority, authority
from tests.mqtt_broker import Broker5
from tests.publishing import Hook, Written, sending, until
from tests.security.web_site import part_row, web_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def own(tmp_path: Path) -> Authority:
    return authority(tmp_path / "own")


@pytest.fixture
def hook() -> Iterator[Hook]:
    at = Hook(free_port())
    yield at
    at.stop()


@pytest.fixture
def broker() -> Iterator[Broker5]:
    at = Broker5(free_port())
    yield at
    at.stop()


def record(seq: int = 1) -> Record:
    return Record("part", part_record(part_row(seq), Published.PUBLISHED), "", seq)


def webhook(hook: Hook, **files: Any) -> WebhookReceiver:
    return WebhookReceiver(WebhookSettings(url=f"https://127.0.0.1:{hook.port}/in", **files), "line 7")


def mqtt(broker: Broker5, **files: Any) -> MqttReceiver:
    return MqttReceiver(MqttSettings(host="127.0.0.1", port=broker.port, **files), "line 7")


def test_a_webhook_is_trusted_by_its_ca_file_alone(hook: Hook, own: Authority, tmp_path: Path) -> None:
    hook.context = own.server()
    hook.start()
    other = authority(tmp_path / "other")

    webhook(hook, ca_file=own.ca).deliver([record()])
    assert hook.parts == [1]
    for files in ({}, {"ca_file": other.ca}):
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            webhook(hook, **files).deliver([record(2)])
    assert hook.parts == [1]


def test_a_webhook_that_asks_is_shown_our_certificate(hook: Hook, own: Authority) -> None:
    hook.context = own.server(asks=True)
    hook.start()
    certificate, key = own.leaf("line 7")

    webhook(hook, ca_file=own.ca, certificate_file=certificate, key_file=key).deliver([record()])
    assert hook.parts == [1]
    (shown,) = hook.peer_certificates
    assert shown is not None
    assert (("commonName", "line 7"),) in shown["subject"]
    with pytest.raises(NotDelivered):
        webhook(hook, ca_file=own.ca).deliver([record(2)])


def test_a_broker_by_tls_with_our_certificate(broker: Broker5, own: Authority, tmp_path: Path) -> None:
    broker.context = own.server(asks=True)
    broker.start()
    certificate, key = own.leaf("line 7")
    written = Written(tmp_path / "journal.sqlite3")
    Outbox(written.path, "mqtt").next(1)
    written.parts(1, 30)
    receiver = mqtt(broker, ca_file=own.ca, certificate_file=certificate, key_file=key)
    with sending(Outbox(written.path, "mqtt"), receiver):
        until(lambda: 30 in broker.parts)
    written.close()

    assert broker.parts == list(range(1, 31))
    assert broker.peer_certificates[0] is not None


# The MQTT library leaves a socket whose handshake failed to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_broker_that_we_do_not_trust_or_that_does_not_trust_us_is_said(
    broker: Broker5, own: Authority, tmp_path: Path
) -> None:
    broker.context = own.server(asks=True)
    broker.start()
    for files in ({"ca_file": authority(tmp_path / "other").ca}, {"ca_file": own.ca}):
        stranger = mqtt(broker, **files)
        with pytest.raises(NotDelivered):
            stranger.keep()
        stranger.close()


def test_a_renewed_certificate_counts_without_a_restart(hook: Hook, own: Authority, tmp_path: Path) -> None:
    hook.context = own.server()
    hook.start()
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(authority(tmp_path / "other").ca.read_bytes())
    receiver = webhook(hook, ca_file=trusted)
    with pytest.raises(NotDelivered):
        receiver.deliver([record()])

    trusted.write_bytes(own.ca.read_bytes())
    receiver.deliver([record()])
    assert hook.parts == [1]


# --- files that are wrong -----------------------------------------------------------------------------------


def test_a_key_of_another_certificate_is_said(own: Authority) -> None:
    certificate, _ = own.leaf("one")
    _, key = own.leaf("two")
    with pytest.raises(ConfigError, match="is not the key of"):
        client_context(TlsFiles(own.ca, certificate, key))


def test_a_key_that_everybody_may_read_is_refused(own: Authority) -> None:
    certificate, key = own.leaf("one")
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="everyone on this PC may read") as caught:
        client_context(TlsFiles(own.ca, certificate, key))
    assert "chmod 0640" in caught.value.hint


def test_a_key_with_a_password_is_said_and_asks_nobody_at_a_terminal(own: Authority) -> None:
    certificate, key = own.leaf("one", password="of-this-test")  # noqa: S106
    with pytest.raises(ConfigError, match="the key is encrypted"):
        client_context(TlsFiles(own.ca, certificate, key))


def test_certificates_that_are_over_or_not_yet_valid_are_said(own: Authority) -> None:
    certificate, key = own.leaf("one")
    now = datetime.now(UTC)
    assert expires_soon(TlsFiles(own.ca, certificate, key), now)
    for files, at, words in (
        (TlsFiles(None, certificate, key), now + timedelta(days=3), "the certificate of this PC expired on"),
        (TlsFiles(own.ca), now + timedelta(days=3), "the authority's certificate expired on"),
        (TlsFiles(None, certificate, key), now - timedelta(days=3), "is valid from"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            client_context(files, at)
        assert "clock" in caught.value.hint


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_a_file_without_a_certificate_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"ca\.pem: "):
        client_context(TlsFiles(path))


def test_files_that_are_not_there_are_named(tmp_path: Path, own: Authority) -> None:
    certificate, _ = own.leaf("one")
    for files in (TlsFiles(tmp_path / "gone.pem"), TlsFiles(own.ca, certificate, tmp_path / "gone.pem")):
        with pytest.raises(EdgeAgentError, match=r"gone\.pem"):
            client_context(files)


# --- doctor -------------------------------------------------------------------------------------------------


def test_doctor_looks_at_certificates_secrets_and_what_was_not_delivered(tmp_path: Path, own: Authority) -> None:
    certificate, key = own.leaf("one")
    table = WebhookSettings(
        url="https://127.0.0.1:1/", ca_file=own.ca, certificate_file=certificate, key_file=key, token_file=None
    )
    settings = web_settings(tmp_path).model_copy(update={"webhook": table})
    site = Site(tmp_path / "line.toml", settings)

    assert results_certificates(site).result is Result.WARN  # two days are left
    assert secret_permissions(site).result is Result.OK
    assert results_delivered(site).result is Result.OK
    set_aside(aside_file(settings.store.journal, "webhook"), SetAside("part", {"part_seq": 1, "x": 1}, "", 1, "422"))
    delivered = results_delivered(site)
    assert delivered.result is Result.WARN
    assert "results list" in delivered.fix
    key.chmod(0o604)
    assert secret_permissions(site).result is Result.FAIL
    assert results_certificates(site).result is Result.FAIL
