"""The pictures in docs/pictures: the operator's page of the real agent on the simulated line, and the fleet's page.

    python -m tests.pictures [--keep FOLDER] [--out docs/pictures] [--fleet-alone]

Sets the line up as a newcomer does (init, collect, calibrate: some minutes), looks at it with Chromium in daylight and
in the dark: live, history, one reject, the banners of a dry run and of a bypass. A line that --keep already holds is
used again. The fleet's server is the real one; its twelve lines are made up.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from edge_agent.fleet.serving import wall_key
from edge_agent.wiring.free_ports import free_port
from tests.fleet import Fleet
from tests.simulated.browser import CHROMIUM, browser
from tests.simulated.test_web_fleet import SAYS, filled, tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulated.browser import Browser

_READY_WITHIN_S = 120.0
_PART_WITHIN_S = 60.0
_TRIES = 10
_TOKEN = "of-the-pictures-alone"  # noqa: S105 - no line has it
_STANDS = """(() => {
  const pictured = (document.getElementById('heat').src.match(/parts\\/(\\d+)/) || [])[1];
  return document.getElementById('word').textContent === 'REJECT'
    && document.getElementById('heat').naturalWidth > 0
    && document.getElementById('which').textContent.startsWith(`Part ${pictured} `);
})()"""
"""A reject stands there, with its own heat map."""


async def _edge_agent(folder: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "edge_agent", *arguments, cwd=folder)
    if await process.wait():
        raise SystemExit(f"edge-agent {' '.join(arguments)}: exit {process.returncode}")


async def _set_up(folder: Path) -> None:
    """A calibrated line in the folder, where it holds none."""
    config, bundle = folder / "line.toml", "state/bundles/program-0"
    if not config.exists():
        await _edge_agent(folder, "init", "--simulated", "--name", "zipper cursors")
    if not (folder / bundle / "manifest.json").exists():
        live = ("--live", "40", "--config", "line.toml", "--yes")
        await _edge_agent(folder, "calibrate-reference", "good", *live, "--out", bundle, "--part", "zipper")


def _with_page(folder: Path, port: int) -> Path:
    """The line's settings with the page at this port, and with reviewing."""
    token = folder / "web_token"
    token.write_text(_TOKEN + "\n")
    token.chmod(0o600)
    text = (folder / "line.toml").read_text()
    head, web = text.split("[web]\n", 1)
    web = re.sub(r"(?m)^port = .*$", f"port = {port}", web, count=1)
    web = re.sub(r"(?m)^#token_file = .*$", 'token_file = "web_token"', web, count=1)
    config = folder / "pictures.toml"
    config.write_text(f"{head}[web]\n{web}")
    config.chmod(0o640)
    return config


@asynccontextmanager
async def _agent(config: Path, *arguments: str) -> AsyncIterator[None]:
    with (config.parent / "pictures.log").open("ab") as log:
        command = [sys.executable, "-m", "edge_agent", "run", "--config", config.name, *arguments]
        agent = await asyncio.create_subprocess_exec(*command, cwd=config.parent, stderr=log, stdout=log)
    try:
        yield
    finally:
        if agent.returncode is None:
            agent.terminate()
        await agent.wait()


@asynccontextmanager
async def _page(port: int) -> AsyncIterator[Browser]:
    async with asyncio.timeout(_READY_WITHIN_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.close()
            break
    async with browser(f"http://127.0.0.1:{port}/") as tab:
        await tab.until("document.getElementById('state').textContent === 'READY'", _READY_WITHIN_S)
        yield tab


async def _both(tab: Browser, out: Path, name: str, *, is_whole: bool = False) -> None:
    for suffix, dark in (("", False), ("-dark", True)):
        await tab.look(dark=dark)
        await tab.screenshot(out / f"{name}{suffix}.png", is_whole=is_whole)


async def _reject(tab: Browser, out: Path, name: str, *, is_dark_too: bool = True) -> None:
    """The live page while the same reject stands there from the first picture to the last."""
    for _ in range(_TRIES):
        await tab.until(_STANDS, _PART_WITHIN_S)
        seen = await tab.evaluate("document.getElementById('which').textContent")
        if is_dark_too:
            await _both(tab, out, name)
        else:
            await tab.look(dark=False)
            await tab.screenshot(out / f"{name}.png")
        if await tab.evaluate(_STANDS) and seen == await tab.evaluate("document.getElementById('which').textContent"):
            return
    raise SystemExit("this machine is too busy: parts come faster than they are pictured")


async def _judging(config: Path, port: int, out: Path) -> None:
    async with _agent(config), _page(port) as tab:
        await tab.until("document.getElementById('counters').textContent.match(/REJECT(\\d+)/)[1] >= 3", 180.0)
        await _reject(tab, out, "operator-page")
        await tab.evaluate("location.hash = '#history'")
        await tab.until("document.querySelectorAll('#rows tr').length > 10")
        await tab.until("[...document.querySelectorAll('#rows img')].slice(0, 8).every((i) => i.naturalWidth > 0)")
        await _both(tab, out, "history")
        await tab.evaluate("document.querySelector('#rows b.REJECT').closest('tr').querySelector('a').click()")
        await tab.until("document.querySelector('#partbody .more summary')")
        await tab.evaluate("document.querySelector('#partbody .more summary').click()")
        await tab.until("document.querySelectorAll('#partbody .more img').length === 4")
        await tab.until("[...document.querySelectorAll('#partbody img')].every((i) => i.naturalWidth > 0)")
        await _both(tab, out, "reject", is_whole=True)
        await tab.evaluate("location.hash = '#live'")
        who = ("--by", "A. Rossi", "--why", "lamp replaced, looked at by hand", "--minutes", "3", "--yes")
        await _edge_agent(config.parent, "bypass", "begin", "--config", config.name, *who)
        await tab.until("document.querySelector('#verdict.person') && !document.getElementById('bypass').hidden")
        await tab.look(dark=False)
        await tab.screenshot(out / "bypass.png")


async def _dry(config: Path, port: int, out: Path) -> None:
    async with _agent(config, "--dry-run"), _page(port) as tab:
        await tab.until("!document.getElementById('dryrun').hidden")
        await _reject(tab, out, "dry-run", is_dark_too=False)


async def _make(folder: Path, out: Path) -> None:
    await _set_up(folder)
    port = free_port()
    config = _with_page(folder, port)
    await _judging(config, port, out)
    await _dry(config, port, out)


async def _fleet(folder: Path, out: Path) -> None:
    fleet = Fleet(folder / "fleet")
    SAYS[2]["why_not"] = {"controller": "no link to 192.168.10.10:8500"}  # the test's words are about HTML
    await asyncio.to_thread(fleet.start)
    try:
        lines = await asyncio.to_thread(filled, folder, fleet, 12)
        async with browser(f"{fleet.url}/?key={wall_key(fleet.folder)}", width=1600, height=1000) as tab:
            await asyncio.to_thread(tell, lines)
            await tab.until("document.body.innerText.includes('10 ready')")
            await _both(tab, out, "fleet")
    finally:
        fleet.kill()


def main() -> None:
    """Set up, look, say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="the line's folder; a temporary one by default")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--fleet-alone", action="store_true", help="only the fleet's page, which takes seconds")
    asked = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        asked.out.mkdir(parents=True, exist_ok=True)
        asyncio.run(_fleet(Path(temporary), asked.out.absolute()))
        if not asked.fleet_alone:
            asyncio.run(_make(folder.absolute(), asked.out.absolute()))
    for path in asked.out.glob(
        "fleet*.png" if asked.fleet_alone else "*.png"
    ):  # a third of the bytes, and nobody sees it
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(256)
        small.save(path, optimize=True)
    sys.stdout.write(f"written: {asked.out}/*.png\n")


if __name__ == "__main__":
    main()
