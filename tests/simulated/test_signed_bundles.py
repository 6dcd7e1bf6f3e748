"""Bundles that somebody answers for: made by the commands, and refused wherever a line asks for a trusted key."""

from __future__ import annotations

import json
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from edge_agent.bundles.line_bundles import load_inspectors
from edge_agent.bundles.signing import SigningKey, make_key, public_key_file, read_public_keys
from edge_agent.errors import BundleRejected, UsageError
from edge_agent.files.public_key import PublicKey
from edge_agent.inspection.bundle.manifest import MANIFEST, encode_manifest
from edge_agent.inspection.bundle.reference_bundle import Bundle
from edge_agent.inspection.bundle.signature import SIGNATURE
from edge_agent.settings import load_settings
from edge_agent.store.journal import JournalReader
from edge_agent.tools.doctor import Result, Site
from edge_agent.tools.doctor.bundles import bundle_verified
from tests.command_line import Ran, edge_agent_here
from tests.simulated.line import line

if TYPE_CHECKING:
    from pathlib import Path


def no_passphrase() -> bytes:
    raise AssertionError("this key has none")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Ada's, which line.toml trusts."""
    make_key(tmp_path / "ada.key", "Ada", None)
    return tmp_path / "ada.key"


@pytest.fixture
def copy(thumbnail_bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(thumbnail_bundle, tmp_path / "made")
    return tmp_path / "made"


@pytest.fixture
def config(tmp_path: Path, key: Path) -> Path:
    """A line that trusts Ada's key alone, with a registry that is not there yet."""
    path = tmp_path / "line.toml"
    path.write_text(
        "schema_version = 1\n[line]\ndeadline_ms = 60000\nmin_part_spacing_ms = 70000\n"
        '[images]\nspool = "spool"\n[images.folder]\npath = "in"\n[output]\nhost = "127.0.0.1"\n'
        '[[bundle]]\nprogram = 1\npath = "bundles"\n[store]\njournal = "j.sqlite3"\narchive = "a"\n'
        f'[signatures]\ntrusted_keys = ["{public_key_file(key).read_text().strip()}"]\n'
    )
    path.chmod(0o600)
    return path


def sign(folder: Path, key: Path, by: str = "Ada") -> Ran:
    return edge_agent_here("bundle", "sign", str(folder), "--key", str(key), "--by", by)


def activate(folder: Path, config: Path) -> Ran:
    return edge_agent_here("bundle", "activate", str(folder), "--config", str(config), "--by", "Grace")


def test_a_line_that_asks_for_signatures_takes_a_signed_bundle_alone(copy: Path, key: Path, config: Path) -> None:
    unsigned = activate(copy, config)
    assert (unsigned.code, (config.parent / "bundles").exists()) == (65, False)
    assert "it is not signed" in unsigned.err
    assert "bundle sign" in unsigned.err

    signed, activated = sign(copy, key), activate(copy, config)
    assert (signed.code, activated.code) == (0, 0), signed.err + activated.err
    assert list(load_inspectors(load_settings(config))) == [(1, 1)]

    listed = edge_agent_here("bundle", "list", "--config", str(config))
    assert listed.code == 0
    assert "signed by Ada at" in listed.out
    found = bundle_verified(Site(config, load_settings(config)))
    assert (found.result, "signed by Ada at" in found.evidence) == (Result.OK, True)


def test_another_key_is_not_a_trusted_one(copy: Path, config: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "mallory.key", "Ada", None)
    sign(copy, tmp_path / "mallory.key")

    ran = activate(copy, config)

    assert ran.code == 65
    assert "not a trusted key" in ran.err
    assert not (tmp_path / "bundles").exists()


def test_a_bundle_altered_after_signing_is_refused_with_a_new_id_as_well(copy: Path, key: Path, config: Path) -> None:
    sign(copy, key)
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["limit"] |= {"value": manifest["limit"]["value"] * 2}
    (copy / MANIFEST).write_bytes(encode_manifest(manifest))

    ran = activate(copy, config)

    assert ran.code == 65
    assert "not the signature of this bundle" in ran.err
    with pytest.raises(BundleRejected, match="not the signature"):
        Bundle.load(copy)  # also where nobody asks for one


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("by", "Grace"),
        ("at_utc", "2020-01-01T00:00:00+00:00"),
        ("signature", "AAAA"),
        ("key", PublicKey.of(bytes(32)).key),
    ],
)
def test_nothing_in_a_signature_can_be_changed(copy: Path, key: Path, what: str, value: str) -> None:
    sign(copy, key)
    said = json.loads((copy / SIGNATURE).read_text())
    (copy / SIGNATURE).write_text(json.dumps({**said, what: value}))

    with pytest.raises(BundleRejected, match="not the signature of this bundle"):
        Bundle.load(copy)


def test_the_day_of_the_calibration_is_signed_too(copy: Path, key: Path) -> None:
    """The id does not cover it: the same images give the same id on any day."""
    sign(copy, key)
    manifest = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_bytes(encode_manifest({**manifest, "created": "2020-01-01T00:00:00+00:00"}))

    with pytest.raises(BundleRejected, match="not the signature of this bundle"):
        Bundle.load(copy)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[" * 9000, "[" * 2000, '{"schema_version": 2}', "\xff", '{"schema_version": 1, "by": "\\u001b"}'],
)
def test_a_damaged_signature_is_refused(copy: Path, text: str) -> None:
    (copy / SIGNATURE).write_bytes(text.encode("latin-1"))

    with pytest.raises(BundleRejected) as caught:
        Bundle.load(copy)
    assert caught.value.hint


def test_a_bundle_in_use_is_refused_at_the_next_start_once_its_signature_is_gone(
    copy: Path, key: Path, config: Path
) -> None:
    sign(copy, key)
    activate(copy, config)
    settings = load_settings(config)
    (inside,) = (path.parent for path in (config.parent / "bundles").glob(f"*/{SIGNATURE}"))
    (inside / SIGNATURE).unlink()

    with pytest.raises(BundleRejected, match="it is not signed"):
        load_inspectors(settings)
    replayed = edge_agent_here("replay", str(config.parent), "--config", str(config), "--bundle", str(copy))
    assert "not signed" not in replayed.err  # this copy is
    replayed = edge_agent_here("replay", str(config.parent), "--config", str(config))
    assert (replayed.code, "it is not signed" in replayed.err) == (65, True)
    listed = edge_agent_here("bundle", "list", "--config", str(config))
    assert (listed.code, "NOT TRUSTED: it is not signed" in listed.out) == (65, True)
    found = bundle_verified(Site(config, settings))
    assert (found.result, "it is not signed" in found.evidence) == (Result.FAIL, True)

    # Activated again, signed: the signature follows the bundle that lies there.
    other = activate(copy, config)
    assert "in use already" in other.err
    assert list(load_inspectors(settings)) == [(1, 1)]


def test_verify_says_whether_a_trusted_key_signed(copy: Path, key: Path, config: Path, tmp_path: Path) -> None:
    make_key(tmp_path / "other.key", "Grace", None)
    public, other = str(public_key_file(key)), str(public_key_file(tmp_path / "other.key"))

    def verify(*args: str) -> int:
        return edge_agent_here("bundle", "verify", str(copy), *args).code

    assert verify("--key", public) == 65
    sign(copy, key)
    assert verify("--key", public) == 0
    assert verify("--key", public_key_file(key).read_text().strip()) == 0
    assert verify("--key", other, "--key", public) == 0
    assert verify("--key", other) == 65
    assert verify("--config", str(config)) == 0
    assert verify("--key", "no such file") == 64
    (copy / "bank.npz").write_bytes(b"other")
    assert verify("--key", public) == 65


def test_verify_without_a_key_to_trust_says_so(copy: Path, config: Path) -> None:
    config.write_text(config.read_text().partition("[signatures]")[0])

    ran = edge_agent_here("bundle", "verify", str(copy), "--config", str(config))

    assert ran.code == 64
    assert "trusts no key" in ran.err


def test_show_says_who_signed(copy: Path, key: Path) -> None:
    assert "signed: not signed" in edge_agent_here("bundle", "show", str(copy)).out
    sign(copy, key, by="Ada Lovelace")

    shown = edge_agent_here("bundle", "show", str(copy), "--json")

    assert json.loads(shown.out)["signed"].startswith("signed by Ada Lovelace at ")


def test_signing_again_replaces_a_signature_that_does_not_fit(copy: Path, key: Path) -> None:
    (copy / SIGNATURE).write_text("old")

    assert sign(copy, key).code == 0
    assert Bundle.load(copy).signature is not None


def test_a_key_is_of_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    made = edge_agent_here("bundle", "keygen", str(tmp_path / "k"), "--name", "Ada Lovelace")

    assert made.code == 0, made.err
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    line_of_text = public_key_file(tmp_path / "k").read_text().strip()
    assert line_of_text in made.out
    assert line_of_text.endswith("= Ada Lovelace")
    again = edge_agent_here("bundle", "keygen", str(tmp_path / "k"))
    assert (again.code, "never overwritten" in again.err) == (64, True)
    assert SigningKey.read(tmp_path / "k", no_passphrase).public.key == PublicKey.parse(line_of_text).key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_read_is_refused(copy: Path, key: Path, mode: int) -> None:
    key.chmod(mode)

    ran = sign(copy, key)

    assert ran.code == 65
    assert f"mode {mode:04o}" in ran.err
    assert "chmod 0600" in ran.err
    assert not (copy / SIGNATURE).exists()


def test_a_key_with_a_passphrase_needs_it(copy: Path, tmp_path: Path) -> None:
    for name, word in (("right", "correct horse"), ("wrong", "battery staple")):
        (tmp_path / name).write_text(word)
    made = edge_agent_here("bundle", "keygen", str(tmp_path / "k"), "--passphrase-file", str(tmp_path / "right"))
    assert made.code == 0, made.err
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()

    def with_(*args: str) -> Ran:
        return edge_agent_here("bundle", "sign", str(copy), "--key", str(tmp_path / "k"), *args)

    assert with_().code == 64
    wrong = with_("--passphrase-file", str(tmp_path / "wrong"))
    assert (wrong.code, "passphrase is wrong" in wrong.err) == (65, True)
    assert with_("--passphrase-file", str(tmp_path / "right")).code == 0


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(copy: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    (tmp_path / "k").chmod(0o600)

    assert sign(copy, tmp_path / "k").code == 65
    assert sign(copy, tmp_path / "nothing").code == 65


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:AAAA", "rsa:" + "A" * 43 + "=", "ed25519:" + "A" * 42 + "B="]
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_public_keys([text or "nothing"])


def test_calibration_signs_at_once_and_looks_at_the_key_first(
    copy: Path, key: Path, thumbnail_bundle: Path, tmp_path: Path
) -> None:
    good = str(thumbnail_bundle.parent / "good")
    key.chmod(0o644)
    refused = edge_agent_here("calibrate-reference", good, "--out", str(tmp_path / "new"), "--sign", str(key))
    assert (refused.code, (tmp_path / "new").exists()) == (65, False)

    key.chmod(0o600)
    made = edge_agent_here("calibrate-reference", good, "--out", str(tmp_path / "new"), "--sign", str(key), "--json")

    assert made.code == 0, made.err
    assert json.loads(made.out)["signed"].startswith("signed by ")
    (trusted,) = read_public_keys([str(public_key_file(key))])
    assert Bundle.load(tmp_path / "new", trusted=[trusted]).signature is not None


async def test_an_agent_says_in_the_journal_who_signed(copy: Path, key: Path, tmp_path: Path) -> None:
    sign(copy, key, by="Ada Lovelace")
    async with line(tmp_path, copy) as at:
        await at.stop_agent()
        with JournalReader.open(tmp_path / "journal.sqlite3") as journal:
            said = [event.detail for event in journal.events() if event.kind == "BUNDLE"]

    assert "signed by Ada Lovelace at" in said[0]


async def test_an_agent_does_not_start_on_a_bundle_that_nobody_trusted_signed(
    copy: Path, key: Path, tmp_path: Path
) -> None:
    async with line(tmp_path, copy, start=False) as at:
        trusted = public_key_file(key).read_text().strip()
        at.config.write_text(f'{at.config.read_text()}\n[signatures]\ntrusted_keys = ["{trusted}"]\n')
        await at.start_agent()
        assert at.agent is not None
        assert await at.agent.wait() == 65
        assert "it is not signed" in at.log_tail()
