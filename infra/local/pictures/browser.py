"""Chromium without a window, spoken to over two pipes (Chrome DevTools Protocol, ``--remote-debugging-pipe``).

The program reads commands from its file descriptor 3 and writes to 4; each message is JSON and a zero byte. No port is
opened and no driver is needed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from infra.local.errors import LocalServersError, MissingProgramError

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH: Final = 1240
"""Of the page, in pixels."""
_HEIGHT: Final = 900
_ANSWER_SECONDS: Final = 30.0
_LOOK_AGAIN_SECONDS: Final = 0.1
_FREE_DESCRIPTORS: Final = 10
_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--lang=en",
    f"--window-size={WIDTH},{_HEIGHT}",
)


class BrowserError(LocalServersError):
    """The browser ended, does not answer, or says that something cannot be done."""


class Browser:
    """One page of a running browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._read = b""
        self._number = 0
        self._session: str | None = None
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")

    def open(self, url: str) -> None:
        """Go to a page; returns before it is there."""
        self._ask("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page.

        Raises:
            BrowserError: it raised.
        """
        told = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise BrowserError(f"{script}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true.

        Raises:
            BrowserError: not within half a minute.
        """
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not self.evaluate(f"!!({script})"):
            if time.monotonic() > deadline:
                raise BrowserError(f"never true: {script}; the page says: {self.evaluate('document.body.innerText')}")
            time.sleep(_LOOK_AGAIN_SECONDS)

    def picture(self, *, top: int, height: int) -> bytes:
        """The page in its full width, as PNG.

        Args:
            top: where the picture begins, in pixels.
            height: in pixels, at most; where the page ends before, the picture is lower.
        """
        tall = int(self.evaluate("Math.ceil(document.body.getBoundingClientRect().height)"))
        clip = {"x": 0, "y": top, "width": WIDTH, "height": min(tall - top, height), "scale": 1}
        size = {"width": WIDTH, "height": max(_HEIGHT, tall), "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        told = self._ask("Page.captureScreenshot", format="png", clip=clip)
        return base64.b64decode(told["data"])

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            answer = json.loads(self._message(deadline))
            if answer.get("id") == self._number:  # what happens meanwhile is told, too
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return answer["result"]

    def _message(self, deadline: float) -> bytes:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise BrowserError("the browser does not answer")
            more = os.read(self._answers, 1_048_576)
            if not more:
                raise BrowserError("the browser ended")
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return message


def find_browser() -> str:
    """The first installed one.

    Raises:
        MissingProgramError: there is none.
    """
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise MissingProgramError("the pictures need Chromium (Debian, Ubuntu: sudo apt-get install chromium)")
    return found


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """A browser with an empty profile, and nothing left of it afterwards."""
    with ExitStack() as left:
        profile = left.enter_context(tempfile.TemporaryDirectory(prefix="ledgerq-browser-", ignore_cleanup_errors=True))
        (theirs_in, ours_out), (ours_in, theirs_out) = _pipe(), _pipe()
        left.callback(os.close, ours_in)
        left.callback(os.close, ours_out)

        def place() -> None:
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        process = subprocess.Popen(  # noqa: S603  found by ourselves
            (program, *_OPTIONS, *_as_root(), f"--user-data-dir={profile}"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile, "TZ": "UTC"},
            preexec_fn=place,  # noqa: PLW1509  no threads here
            pass_fds=(3, 4),
            start_new_session=True,
        )
        left.callback(_end, process)
        os.close(theirs_in)
        os.close(theirs_out)
        yield Browser(ours_out, ours_in)


def _pipe() -> tuple[int, int]:
    """Both ends, numbered so that neither is in the way of 3 and 4."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE_DESCRIPTORS) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def _as_root() -> tuple[str, ...]:
    """Chromium's sandbox does not work for root; it sees nothing here but our own node."""
    return ("--no-sandbox",) if os.geteuid() == 0 else ()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
