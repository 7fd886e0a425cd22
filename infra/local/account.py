"""Who runs PostgreSQL. It refuses root, so root needs another way; everybody else runs it as themselves."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.local.errors import LocalServersError

USERS: Final = ("postgres", "_postgres", "nobody")
# A user namespace shows root's own files to the server as those of this id, which is all that the server asks for.
MAPPED: Final = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


@dataclass(frozen=True)
class Account:
    """A way to run PostgreSQL's programs.

    Attributes:
        label: names the way; data set up in one way is not used in another.
        data: the data directory.
        user: whose rights to take, or None to keep our own.
        prefix: what goes before each command.
    """

    label: str
    data: Path
    user: pwd.struct_passwd | None = None
    prefix: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Arguments for :class:`subprocess.Popen` that make the process run as this account."""
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def own(self, path: Path) -> None:
        """Give a file or directory to the account."""
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def prepare_directory(self) -> None:
        """Make the data directory, empty and for the account alone."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.own(self.data)


def choose_account(directory: Path) -> Account:
    """The first way that works here, for data under ``directory``.

    As root, in this order: the user postgres where it can reach the directory; root itself in a user namespace of its
    own, which works under a closed home as well; postgres or nobody with its data under /var/tmp.

    Raises:
        LocalServersError: none works.
    """
    data = directory / "data"
    if os.geteuid() != 0:
        return Account(f"user {os.geteuid()}", data)
    users = [user for name in USERS if (user := _user(name))]
    for user in users[:1]:
        if user.pw_name != "nobody" and _reaches(user, directory):
            return Account(f"as {user.pw_name}", data, user)
    if shutil.which("unshare") and succeeds(*MAPPED, "true"):
        return Account("user namespace", data, prefix=MAPPED)
    for user in users:
        return Account(f"as {user.pw_name}, elsewhere", _elsewhere(directory, user) / "data", user)
    raise LocalServersError("PostgreSQL refuses root, and there is no user postgres: run ./dev as a plain user")


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _reaches(user: pwd.struct_passwd, directory: Path) -> bool:
    """Whether the user may pass through every directory on the way."""
    rights = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return succeeds("test", "-x", str(directory), **rights)


def succeeds(*command: str, **how: Any) -> bool:
    """Whether the command ends with status 0."""
    return subprocess.run(command, check=False, cwd="/", capture_output=True, **how).returncode == 0  # noqa: S603


def _elsewhere(directory: Path, user: pwd.struct_passwd) -> Path:
    """A directory of the user's under /var/tmp, the same one at every start."""
    memory = directory / "elsewhere"
    if memory.exists() and (remembered := Path(memory.read_text())).is_dir():
        return remembered
    made = Path(tempfile.mkdtemp(prefix="ledgerq-", dir="/var/tmp"))
    os.chown(made, user.pw_uid, user.pw_gid)
    memory.write_text(str(made))
    return made
