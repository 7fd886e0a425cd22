"""Who runs a task: the worker's name, and the version of the code it runs."""

from __future__ import annotations

import os
import socket
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from domain.tier import Tier

ROOT: Final = Path(__file__).resolve().parents[2]
_GIT_SECONDS: Final = 5


def worker_name(queues: Iterable[str]) -> str:
    """``tier@host:pid``; several tiers are joined by ``+``."""
    tiers = [tier.value for tier in Tier if tier.queue in set(queues)]
    return f"{'+'.join(tiers) or 'worker'}@{socket.gethostname()}:{os.getpid()}"


def code_version() -> str:
    """What the code is: ``git describe`` of the checkout, or the project's version where there is no git."""
    describe = ("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--tags")
    try:
        found = subprocess.run(describe, capture_output=True, text=True, check=True, timeout=_GIT_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        version: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        return version
    return found.stdout.strip()
