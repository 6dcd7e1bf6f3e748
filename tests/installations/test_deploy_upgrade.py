"""deploy/install.sh, forth and back: what belongs to a version goes with it, and the journal has a say."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.store.schema import SCHEMA_VERSION
from edge_agent.store.writer import JournalWriter
from tests.command_line import edge_agent_here
from tests.installations.test_deploy_install import in_use, install, offer
from tests.unit.test_store_journal import part_row

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REPOSITORY = Path(__file__).parents[2]
OF_A_VERSION = (
    "etc/systemd/system/edge-agent.service",
    "etc/systemd/system/edge-agent-backup.service",
    "etc/systemd/system/edge-agent-backup.timer",
    "etc/systemd/system/edge-agent-export.service",
    "etc/systemd/system/edge-agent-export.timer",
    "usr/lib/sysusers.d/edge-agent.conf",
    "usr/lib/tmpfiles.d/edge-agent.conf",
    "usr/lib/udev/rules.d/60-edge-agent.rules",
)


def of_version(root: Path) -> set[str]:
    """The versions that the rules outside the version's folder are of."""
    return {(root / place).read_text().splitlines()[-1].removeprefix("# of version ") for place in OF_A_VERSION}


def settings(root: Path) -> Path:
    """A line.toml in the root, of a line that keeps its journal where an installation has it."""
    config = root / "etc/edge-agent/line.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[store]\njournal = "/var/lib/edge-agent/journal.sqlite3"\n')
    return config


def journal_of(root: Path) -> Path:
    """Where the root's line keeps its journal; its folder is made."""
    journal = root / "var/lib/edge-agent/journal.sqlite3"
    journal.parent.mkdir(parents=True)
    return journal


def begin(journal: Path) -> None:
    """A journal with one part, of the schema that this edge-agent writes."""
    with closing(JournalWriter(journal)) as writer:
        writer.append(part_row(1))


def test_the_way_back_takes_unit_rules_drop_in_and_documents_with_it(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    settings(root)
    for version in ("9.1", "9.2"):
        offer(folder, version)
        assert install(folder, root).returncode == 0
        assert of_version(root) == {version}
    shutil.rmtree(folder)  # the stick is gone

    back = install(root / "opt/edge-agent/setup", root, "--rollback")

    assert back.returncode == 0, back.stderr
    assert in_use(root) == "edge-agent 9.1"
    assert of_version(root) == {"9.1"}
    assert (root / "etc/systemd/system/edge-agent.service.d/line.conf").read_text() == "edge-agent 9.1\n"
    documents = (root / "usr/share/doc/edge-agent").readlink()
    assert (root / documents.relative_to("/") / "README.md").read_text() == "of version 9.1\n"


def test_without_the_folder_the_drop_in_is_written_anew_when_line_toml_has_changed(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1")
    assert install(folder, root).returncode == 0
    shutil.rmtree(folder)
    drop_in = root / "etc/systemd/system/edge-agent.service.d/line.conf"
    assert not drop_in.exists()
    settings(root)

    again = install(root / "opt/edge-agent/setup", root)

    assert again.returncode == 0, again.stderr
    assert drop_in.read_text() == "edge-agent 9.1\n"


def test_a_version_that_is_refused_leaves_unit_and_rules_of_the_one_in_use(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    settings(root)
    offer(folder, "9.1")
    assert install(folder, root).returncode == 0
    offer(folder, "9.2", config_code=78)

    refused = install(folder, root)

    assert refused.returncode == 78
    assert in_use(root) == "edge-agent 9.1"
    assert of_version(root) == {"9.1"}


def test_other_wheels_under_the_version_that_is_installed_are_refused(tmp_path: Path) -> None:
    """They were passed over in silence, and the unit that came with them was put in place."""
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1", schema=4)
    assert install(folder, root).returncode == 0
    offer(folder, "9.1", schema=5)

    refused = install(folder, root)
    shutil.rmtree(root / "opt/edge-agent/9.1")  # as the refusal says
    replaced = install(folder, root)

    assert refused.returncode == 65
    assert f"rm -r {root}/opt/edge-agent/9.1" in refused.stderr
    assert replaced.returncode == 0, replaced.stderr


def test_a_version_of_before_the_copies_were_kept_gets_its_own_back(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    offer(folder, "9.1")
    assert install(folder, root).returncode == 0
    shutil.rmtree(root / "opt/edge-agent/9.1/share")  # as it was installed then
    offer(folder, "9.2")
    assert install(folder, root).returncode == 0

    back = install(folder, root, "--rollback")

    assert back.returncode == 0, back.stderr
    assert of_version(root) == {"9.1"}


def test_no_way_back_to_a_version_that_does_not_know_the_journals_schema(tmp_path: Path) -> None:
    """What the refusal says to do is done, word for word, and then the way back is open."""
    folder, root = tmp_path / "offered", tmp_path / "root"
    config = settings(root)
    journal = journal_of(root)
    offer(folder, "9.1", schema=SCHEMA_VERSION - 1)
    assert install(folder, root).returncode == 0
    offer(folder, "9.2", schema=SCHEMA_VERSION)
    assert install(folder, root).returncode == 0
    begin(journal)

    refused = install(folder, root, "--rollback")

    assert refused.returncode == 65
    assert f"(schema {SCHEMA_VERSION}), and version 9.1 opens it up to schema {SCHEMA_VERSION - 1}" in refused.stderr
    assert in_use(root) == "edge-agent 9.2"
    assert of_version(root) == {"9.2"}

    said = [line.strip() for line in refused.stderr.splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in said] == ["systemctl", "sudo", "mv", str(folder / "install.sh")]
    rotate = re.fullmatch(rf"sudo -u edge-agent {root}/opt/edge-agent/bin/edge-agent (.*)", said[1])
    assert rotate
    assert rotate[1].split() == ["journal", "rotate", "--config", str(config)]
    assert edge_agent_here("journal", "rotate", "--journal", str(journal)).code == 0
    move = said[2].replace("/var/lib", f"{root}/var/lib")
    subprocess.run(["sh", "-c", move], check=True)
    back = install(folder, root, "--rollback")

    assert back.returncode == 0, back.stderr
    assert in_use(root) == "edge-agent 9.1"
    assert [path.name for path in sorted(journal.parent.glob("*.sqlite3*"))][:1] == [
        "journal-000000000001-000000000001.sqlite3"
    ]


def test_a_journal_that_the_version_before_knows_stops_no_way_back_and_one_that_nobody_can_read_does(
    tmp_path: Path,
) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    settings(root)
    journal = journal_of(root)
    for version in ("9.1", "9.2"):
        offer(folder, version, schema=SCHEMA_VERSION)
        assert install(folder, root).returncode == 0
    without = install(folder, root, "--rollback")
    begin(journal)
    known = install(folder, root, "--rollback")
    journal.write_text("no database " * 100)

    damaged = install(folder, root, "--rollback")

    assert (without.returncode, known.returncode) == (0, 0), without.stderr + known.stderr
    assert damaged.returncode == 65
    assert f"the journal {journal} cannot be read" in damaged.stderr
    assert in_use(root) == "edge-agent 9.2"


def test_before_a_switch_that_changes_the_journals_schema_it_is_said(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    settings(root)
    journal = journal_of(root)
    begin(journal)
    offer(folder, "9.1", schema=SCHEMA_VERSION)
    first = install(folder, root)
    offer(folder, "9.2", schema=SCHEMA_VERSION + 1)

    second = install(folder, root)

    assert "the way back" not in first.stderr
    assert f"brings the journal from schema {SCHEMA_VERSION} to {SCHEMA_VERSION + 1}" in second.stderr


def test_old_versions_go_on_request_and_the_one_in_use_and_the_one_before_stay(tmp_path: Path) -> None:
    folder, root = tmp_path / "offered", tmp_path / "root"
    opt = root / "opt/edge-agent"
    for version in ("9.3", "9.4"):
        offer(folder, version)
        assert install(folder, root).returncode == 0
    for name in ("9.1", "9.2", "9.5"):
        (opt / name).mkdir()
        (opt / name / "pyvenv.cfg").write_text("# an environment\n")
    (opt / "9.1" / "large").write_bytes(bytes(3 << 20))
    (opt / "9.5" / ".waits").touch()
    (opt / "notes").mkdir()
    there = sorted(path.name for path in opt.iterdir())
    dry = install(folder, root, "--remove-old", "--dry-run")
    assert sorted(path.name for path in opt.iterdir()) == there

    removed = install(folder, root, "--remove-old")
    again = install(folder, root, "--remove-old")

    assert [dry.returncode, removed.returncode, again.returncode] == [0, 0, 0], removed.stderr
    assert re.search(r"^version 9\.1: 3\.[01]M$", removed.stderr, re.MULTILINE)
    assert f"{opt}/9.5 stays: it waits to be switched to" in removed.stderr
    assert "kept: 9.4, which is in use, and 9.3, the one before it" in removed.stderr
    assert "there is no old version" in again.stderr
    assert sorted(path.name for path in opt.iterdir()) == sorted({*there} - {"9.1", "9.2"})
    assert in_use(root) == "edge-agent 9.4"
    assert install(folder, root, "--rollback").returncode == 0
    assert in_use(root) == "edge-agent 9.3"


def test_the_documents_of_the_folder_have_all_that_they_link_to(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "-s", "offline-documents", f"OFFLINE={tmp_path}"], cwd=REPOSITORY, check=True, capture_output=True
    )

    documents = tmp_path / "doc"
    for name in ("README.md", "CHANGELOG.md", "drivers/README.md", "drivers/modbus/PROTOCOL.md", "docs/line-pc.md"):
        assert (documents / name).is_file()
    for name in ("line.example.toml", "alerts.yml", "grafana-dashboard.json", "edge-agent.nft"):
        assert (documents / "deploy" / name).is_file()
    dead = [
        f"{page.relative_to(documents)}: {link}"
        for page in documents.rglob("*.md")
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert dead == []
