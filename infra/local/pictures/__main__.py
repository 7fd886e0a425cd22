"""``python -m infra.local.pictures``: take the pictures of the documentation anew; what ``./dev pictures`` calls.

On private nodes, with a fleet at work: give it servers by ``./dev exec``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from infra.broker.errors import BrokerError
from infra.local.errors import LocalServersError, MissingProgramError
from infra.local.pictures.album import ADMINISTRATOR, VHOST, Login, taken
from infra.local.pictures.browser import find_browser
from infra.local.pictures.operations import serve, shot
from infra.local.platform import Platform, PlatformNotReadyError, platform
from infra.local.run import SAMPLE_PACE
from infra.local.slot import CHECKOUT
from infra.local.vhosts import Management
from infra.settings import load_settings

IMAGES: Final = CHECKOUT / "docs" / "images"
MOST_BYTES: Final = 150_000
"""Of one picture."""
_SMALLER: Final = "pngquant"
_CHARTS_SECONDS: Final = 60.0
"""Charts show the last minute."""
_WAITING: Final = (
    # What the fleet does is done within seconds; these wait while the pictures are taken.
    "from tasks.sample.work import stock_task, work\n"
    "for number in range(36):\n"
    "    work.apply_async(kwargs={'duration_ms': 1500}, queue='tasks.normal', priority=number % 6)\n"
    "    stock_task.apply_async(kwargs={'number': number}, queue='tasks.low', countdown=100 + 8 * number)\n"
)


def main() -> int:
    """Take all of them; the exit status."""
    settings = load_settings()
    try:
        program, smaller = find_browser(), _find_smaller()
        with platform(settings, label=VHOST, tell=_tell, pace=SAMPLE_PACE, is_alone=True) as built:
            built.start()
            built.wait_until_ready()
            began = time.monotonic()
            pages = serve(built)
            with _fleet(built, seed=1), _fleet(built, seed=2, after=began + _CHARTS_SECONDS / 2):
                _keep_up(built, until=began + _CHARTS_SECONDS)
                url = Management(settings).url
                for picture, png in taken(url, _logins(built), program=program):
                    _keep(f"rabbitmq-{picture.name}", _smaller_than(png, program=smaller))
                for page, png in shot(pages, built, program=program):
                    _keep(f"page-{page.name}", _smaller_than(png, program=smaller))
    except (LocalServersError, BrokerError, PlatformNotReadyError) as error:
        _tell(f"pictures: {error}")
        return 1
    return 0


@contextmanager
def _fleet(built: Platform, *, seed: int, after: float = 0.0) -> Iterator[None]:
    _keep_up(built, until=after)
    fleet = _started(built, "operator", "-m", "infra.cli", "fleet", "--seed", str(seed))
    waiting = _started(built, "client", "-c", _WAITING)
    try:
        yield
    finally:
        for process in (fleet, waiting):
            process.terminate()
            process.wait()


def _started(built: Platform, role: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**built.environment, **built.login_of(role)}
    return subprocess.Popen((sys.executable, *arguments), env=environment, stdin=subprocess.DEVNULL)  # noqa: S603


def _keep_up(built: Platform, *, until: float) -> None:
    while time.monotonic() < until:
        built.supervisor.look()
        time.sleep(0.2)


def _logins(built: Platform) -> dict[str, Login]:
    administrator = Management(built.sandbox.administrator)
    found = {ADMINISTRATOR: Login(administrator.user, administrator.password)}
    for role, url in built.logins.items():
        parts = urlsplit(url)
        found[role] = Login(unquote(parts.username or ""), unquote(parts.password or ""))
    return found


def _find_smaller() -> str:
    found = shutil.which(_SMALLER)
    if found is None:
        raise MissingProgramError(f"the pictures need {_SMALLER} (Debian, Ubuntu: sudo apt-get install {_SMALLER})")
    return found


def _smaller_than(png: bytes, *, program: str) -> bytes:
    """The same picture with at most 256 colors."""
    return subprocess.run((program, "--strip", "--speed=1", "-"), input=png, check=True, capture_output=True).stdout  # noqa: S603


def _keep(name: str, png: bytes) -> None:
    if len(png) > MOST_BYTES:
        raise LocalServersError(f"picture {name} has {len(png)} bytes; at most {MOST_BYTES} are wanted")
    IMAGES.mkdir(exist_ok=True)
    Path(IMAGES / f"{name}.png").write_bytes(png)
    _tell(f"docs/images/{name}.png: {len(png)} bytes")


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
