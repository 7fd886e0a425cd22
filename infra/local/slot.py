"""Slots: ``.ledgerq/slot-N/``, one per run of the local servers, so that two runs at a time do not meet."""

from __future__ import annotations

import fcntl
import itertools
import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local.errors import LocalServersError

CHECKOUT: Final = Path(__file__).resolve().parents[2]
ROOT: Final = CHECKOUT / ".ledgerq"


@dataclass(frozen=True)
class Slot:
    """A directory for one run, held by a lock on a file in it.

    The lock belongs to the open file, which the run's leash shares: the slot is free again when both are gone.

    Attributes:
        directory: absolute path; data of an earlier run in it is used again.
        lock: descriptor of the open lock file.
    """

    directory: Path
    lock: int

    @property
    def environment_file(self) -> Path:
        """Shell exports of the servers' addresses; there while the servers are."""
        return self.directory / "env"

    @property
    def servers_mark(self) -> Path:
        """What marks the slot's servers among its processes."""
        return self.directory / "servers"

    def forget_addresses(self) -> None:
        """Remove the files that tell other terminals where to look: ours, and the run's if it was killed."""
        self.environment_file.unlink(missing_ok=True)
        (self.directory / "run.env").unlink(missing_ok=True)

    def publish(self, environment: Mapping[str, str]) -> None:
        """Write the servers' addresses for other terminals, readable by the owner only."""
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
        write_private(self.environment_file, "".join(lines))

    def password(self, name: str) -> str:
        """The slot's password of that name, made at the first call and readable by the owner only."""
        file = self.directory / f"{name}.password"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text()


def take_slot(root: Path) -> Slot:
    """The first free slot under ``root``, now ours.

    Raises:
        LocalServersError: the directory cannot be written by this user.
    """
    for number in itertools.count():
        directory = root.absolute() / f"slot-{number}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except PermissionError as error:
            if os.access(root, os.W_OK) and directory.exists():
                continue  # an earlier run of another user, root mostly, left this slot
            raise LocalServersError(f"cannot write {directory}: run as its owner, or remove {root}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return Slot(directory, lock)
    raise AssertionError("unreachable")


def live_slots(root: Path) -> list[Path]:
    """Directories of the slots whose servers are up, the latest started first."""
    live = [file for file in root.absolute().glob("slot-*/env") if _is_held(file.parent / "lock")]
    return [file.parent for file in sorted(live, key=lambda file: file.stat().st_mtime, reverse=True)]


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as out:  # noqa: PTH123  the descriptor carries the mode
        out.write(text)
    fresh.replace(file)


def _is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
