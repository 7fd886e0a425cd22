"""Where the servers' programs are: PATH, the distributions' own places, Homebrew's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from infra.local.errors import MissingProgramError

RABBITMQ_PLACES: Final = (
    "/usr/lib/rabbitmq/bin",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/home/linuxbrew/.linuxbrew/opt/rabbitmq/sbin",
)
POSTGRESQL_PLACES: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
EPMD_PLACES: Final = ("/usr/lib/erlang/bin", "/usr/lib/erlang/erts-*/bin", "/usr/lib64/erlang/bin")


@dataclass(frozen=True)
class RabbitMQPrograms:
    """One installed RabbitMQ.

    Attributes:
        server: the script that runs the server as whoever calls it.
        epmd: Erlang's port mapper, or None where only Erlang itself knows where it is.
    """

    server: Path
    epmd: Path | None

    @property
    def control(self) -> Path:
        """``rabbitmqctl`` of the same installation."""
        return self.server.parent / "rabbitmqctl"

    @cached_property
    def version(self) -> str:
        """Version as the installation's own plugin directory names it, or ``unknown``."""
        home = self.server.resolve().parent.parent
        names = (path.name for path in (home / "plugins").glob("rabbit-*"))
        return next((found[1] for name in names if (found := re.match(r"rabbit-([\d.]+\d)", name))), "unknown")


@dataclass(frozen=True)
class PostgreSQLPrograms:
    """One installed PostgreSQL: the directory that holds ``initdb`` and ``postgres``."""

    directory: Path

    @cached_property
    def version(self) -> str:
        """Major version (``15``); data directories of different ones are strangers to each other."""
        said = subprocess.run(  # noqa: S603  found by ourselves
            [self.directory / "postgres", "--version"], check=True, capture_output=True, text=True
        ).stdout
        found = re.search(r"\(PostgreSQL\) (\d+)", said)
        return found[1] if found else said.strip()


def find_rabbitmq() -> RabbitMQPrograms:
    """The first RabbitMQ whose server script runs as any user.

    Debian's and Red Hat's ``rabbitmq-server`` on PATH is a wrapper that insists on root or the user rabbitmq and
    becomes the latter; it is passed over for the script it wraps.

    Raises:
        MissingProgramError: none is installed.
    """
    for server in _candidates("rabbitmq-server", RABBITMQ_PLACES):
        if not _insists_on_a_user(server):
            return RabbitMQPrograms(server, next(_candidates("epmd", EPMD_PLACES), None))
    raise MissingProgramError("rabbitmq-server is not installed")


def find_postgresql() -> PostgreSQLPrograms:
    """The newest PostgreSQL server among those on PATH and in the known places.

    Raises:
        MissingProgramError: none is installed (its clients alone are not enough).
    """
    found = [
        PostgreSQLPrograms(initdb.parent)
        for initdb in _candidates("initdb", POSTGRESQL_PLACES)
        if (initdb.parent / "postgres").exists()
    ]
    if not found:
        raise MissingProgramError("the PostgreSQL server (initdb, postgres) is not installed")
    return max(found, key=lambda programs: int(programs.version) if programs.version.isdigit() else 0)


def _candidates(program: str, places: tuple[str, ...]) -> Iterator[Path]:
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path).resolve() if program == "initdb" else Path(on_path)
    for place in places:
        for path in sorted(Path("/").glob(f"{place.lstrip('/')}/{program}")):
            if shutil.which(str(path)):
                yield path


def _insists_on_a_user(server: Path) -> bool:
    script = server.read_bytes()
    return b"su rabbitmq" in script or b"Only root or rabbitmq" in script
