"""A real headless Chromium, spoken to over the pipe of its DevTools protocol. Absent, its tests are skipped."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ANSWER_MAX_BYTES = 64 << 20
_ALWAYS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
_LEFT = "Inspected target navigated or closed"
_WITH_PIPES = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(pipe), fcntl.F_DUPFD, 10) for pipe in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.nice(10)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads its commands from file 3 and answers into file 4."""


class PageLeft(AssertionError):
    """The page was left for another one, or loaded again, while it was asked something."""


@dataclass
class Browser:
    """One tab."""

    to: asyncio.StreamWriter
    answers: asyncio.StreamReader
    session: str = ""
    said: list[str] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=lambda: count(1))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; what the page complains about is kept in ``said``."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        async with asyncio.timeout(30):
            while True:
                answer = json.loads((await self.answers.readuntil(b"\0"))[:-1])
                if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                    self.said.append(json.dumps(answer["params"])[:400])
                if answer.get("id") == number:
                    if answer.get("error", {}).get("message") == _LEFT:
                        raise PageLeft(method)
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result

    async def evaluate(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, condition: str, within_s: float = 120.0) -> None:
        """Wait until an expression of the page is true."""
        begin = monotonic_s()
        # What throws is not true yet: the page may be loading.
        holds = f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()"
        while not await self._holds(holds):
            if monotonic_s() - begin > within_s:
                text = await self.evaluate("document.body.innerText")
                raise AssertionError(f"not within {within_s} s: {condition}\n{text}\n{self.said}")
            await asyncio.sleep(0.05)

    async def _holds(self, condition: str) -> bool:
        try:
            return bool(await self.evaluate(condition))
        except PageLeft:
            return False  # the page that comes is asked next

    async def screenshot(self, path: Path, *, is_whole: bool = False) -> None:
        """What a person would see, as a PNG; ``is_whole``: also what they would scroll to."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        path.write_bytes(base64.b64decode(answer["data"]))  # noqa: ASYNC240 - a picture on the local disk

    async def resize(self, width: int, height: int) -> None:
        """As on a screen of that size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)

    async def press(self, key: str) -> None:
        """A key goes down and up, as from a keyboard: ``Tab``, ``Enter``, ``ArrowLeft``."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, " ": 32}
        typed = {"Enter": "\r", " ": " "}.get(key)
        named = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": codes[key]}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **named, **({"text": typed} if typed else {}))
        await self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    async def look(self, *, dark: bool) -> None:
        """In daylight or in the dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])


@asynccontextmanager
async def browser(
    url: str, *, width: int = 1600, height: int = 900, flags: tuple[str, ...] = ()
) -> AsyncIterator[Browser]:
    """Chromium with one tab at ``url``, started with these ``flags`` more; gone at the end."""
    assert CHROMIUM is not None
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = (*_ALWAYS, f"--user-data-dir={profile}", *flags)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _WITH_PIPES,
            str(commands_out),
            str(answers_in),
            CHROMIUM,
            *flags,
            "--remote-debugging-pipe",
            "about:blank",
            pass_fds=(commands_out, answers_in),
            stderr=asyncio.subprocess.DEVNULL,
        )
        os.close(commands_out)
        os.close(answers_in)
        reader = asyncio.StreamReader(limit=_ANSWER_MAX_BYTES)
        read, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers_out, "rb")
        )
        write, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(commands_in, "wb"))
        at = Browser(asyncio.StreamWriter(write, protocol, None, loop), reader)
        try:
            target = (await at.call("Target.createTarget", url="about:blank"))["targetId"]
            at.session = (await at.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                await at.call(f"{domain}.enable")
            await at.resize(width, height)
            await at.call("Page.navigate", url=url)
            yield at
        finally:
            at.session = ""
            write.write(json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            write.close()
            read.close()
