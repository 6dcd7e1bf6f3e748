"""The OPC UA server and a client that nobody here wrote: node-opcua, fetched by npm into a folder of the test run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drivers.base import Published
from drivers.timing import monotonic_s
from tests.fault.test_opcua import now
from tests.opcua_site import NEEDS_ASYNCUA, PASSWORD, Site, identity
from tests.security.web_site import part_row, reject_row

if TYPE_CHECKING:
    from tests.opcua_site import Identity

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), NEEDS_ASYNCUA]
_PACKAGE = "node-opcua-client@2.186.4"
_SCRIPT = Path(__file__).with_name("opcua_client.js")
_INSTALL_WITHIN_S, _SESSION_WITHIN_S = 240, 90


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with node-opcua in it; skips where node or the package cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no node and npm on this machine (apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", _PACKAGE]
    try:
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=_INSTALL_WITHIN_S)
    except (subprocess.SubprocessError, OSError) as err:
        pytest.skip(f"npm cannot fetch {_PACKAGE}: {err}")
    return folder / "node_modules"


class Foreign:
    """One session of node-opcua: what it was answered, in its order."""

    def __init__(self, site: Site, modules: Path) -> None:
        self.site, self.modules = site, modules
        self.said: list[tuple[str, Any]] = []

    async def run(self, who: Identity | None = None, **options: Any) -> dict[str, Any]:
        """What was said last of each thing. Three parts are written once it has subscribed."""
        own = who or self.site.client
        asked = {"url": self.site.url, "certificate": str(own.certificate), "key": str(own.key), "uri": own.uri}
        asked |= {"pki": str(self.site.folder / "node-pki"), **options}
        self.said = []
        pipe = asyncio.subprocess.PIPE
        node = await asyncio.create_subprocess_exec(
            "node", str(_SCRIPT), json.dumps(asked), stdout=pipe, stderr=pipe,
            env={**os.environ, "NODE_PATH": str(self.modules)},
        )  # fmt: skip
        assert node.stdout is not None
        assert node.stderr is not None
        try:
            async with asyncio.timeout(_SESSION_WITHIN_S):
                while line := await node.stdout.readline():
                    if line.startswith(b'{"what"'):  # its own warnings stand between
                        found = json.loads(line)
                        self.said.append((found["what"], found["value"]))
                        if found["what"] == "subscribed":
                            await self._parts()
                words = await node.stderr.read()
        finally:
            if node.returncode is None and node.stdout.at_eof() is False:
                node.kill()
            await node.wait()
        assert node.returncode == 0, words.decode()
        return dict(self.said)

    async def _parts(self) -> None:
        for row in (part_row(8), reject_row(9), part_row(10)):
            await self.site.journal.append(now(row))
            await self.site.journal.publication(row.part_seq, Published.PUBLISHED, monotonic_s())


async def test_it_reads_subscribes_to_results_and_cannot_write(tmp_path: Path, modules: Path) -> None:
    site = Site(tmp_path)
    await site.journal.append(reject_row(7))
    async with site.served():
        foreign = Foreign(site, modules)
        found = await foreign.run(waits_for=3)

    assert found["connected"] == "Basic256Sha256, SignAndEncrypt"
    assert found["browse"][1:] == [
        f"2:{name}"
        for name in (
            "VisionStateMachine",
            "ConfigurationManagement",
            "RecipeManagement",
            "ResultManagement",
            "Health",
        )
    ]
    assert found["VisionStateMachine.CurrentState"] == "Operational"
    assert (found["RecipeManagement.ActiveProgram"], found["ResultManagement.LatestResult.Score"]) == (3, 2)
    assert json.loads(found["ResultManagement.LatestResult.ResultContent"])["part_seq"] == 7
    assert "BadUserAccessDenied" in found["write"]
    assert [value for what, value in foreign.said if what == "event"] == [
        ["part 8: PASS (OK)", 100, "8", "PASS", "OK", 0.25, "PUBLISHED"],
        ["part 9: REJECT (SCORE)", 300, "9", "REJECT", "SCORE", 2, "PUBLISHED"],
        ["part 10: PASS (OK)", 100, "10", "PASS", "OK", 0.25, "PUBLISHED"],
    ]


async def test_each_encrypted_policy_is_spoken(tmp_path: Path, modules: Path) -> None:
    site = Site(tmp_path)
    async with site.served():
        for policy in ("Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"):
            found = await Foreign(site, modules).run(policy=policy)
            assert found["session"] == "anonymous"


async def test_who_has_another_certificate_another_password_or_none_is_refused(tmp_path: Path, modules: Path) -> None:
    site = Site(tmp_path, anonymous="no")
    stranger = identity(tmp_path / "pki", "stranger")
    async with site.served():
        foreign = Foreign(site, modules)
        wrong_certificate = await foreign.run(stranger, user="mes", password=PASSWORD)
        wrong_password = await foreign.run(user="mes", password="another")  # noqa: S106
        nobody = await foreign.run()
        unencrypted = await foreign.run(mode="None", policy="None", user="mes", password=PASSWORD)
        right = await foreign.run(user="mes", password=PASSWORD)

    for refused in (wrong_certificate, wrong_password, nobody, unencrypted):
        assert "refused" in refused
        assert "session" not in refused
    assert "connected" not in wrong_certificate
    assert "BadUserAccessDenied" in wrong_password["refused"]
    assert (right["session"], "BadUserAccessDenied" in right["write"]) == ("mes", True)
