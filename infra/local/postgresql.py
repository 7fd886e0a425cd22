"""A private PostgreSQL node on 127.0.0.1, run by root or by a plain user."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

import psycopg

from infra.local import processes
from infra.local.account import Account, choose_account
from infra.local.errors import NodeStartError
from infra.local.node import Node
from infra.local.programs import PostgreSQLPrograms

USER: Final = "ledgerq"
_ORPHAN_SECONDS: Final = 15.0
# fsync and synchronous_commit keep their defaults, on: nothing is acknowledged before it is stored.
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "400",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Checkpoints are rare: after each the first change of a page is logged whole (docs/operations.md).
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
}
_MOST_BUFFERS_MB: Final = 2048


class PostgreSQLNode(Node):
    """PostgreSQL over TCP with passwords (scram-sha-256) and a superuser of ours."""

    title: ClassVar[str] = "PostgreSQL"
    port_names: ClassVar[tuple[str, ...]] = ("postgresql",)

    def __init__(self, directory: Path, *, mark: Path, password: str, programs: PostgreSQLPrograms) -> None:
        super().__init__(directory, mark=mark, password=password)
        self.programs = programs
        self._account: Account | None = None

    @property
    def database_url(self) -> str:
        """Connection URI of the superuser on database ``postgres``."""
        return f"postgresql://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.ports['postgresql']}/postgres"

    @property
    def account(self) -> Account:
        """Who runs the server, and where its data can be."""
        if self._account is None:
            self._account = choose_account(self.directory)
        return self._account

    def has_usable_data(self) -> bool:
        """Whether ``initdb`` of this version finished here for the same account."""
        setup = self.directory / "setup"
        return setup.exists() and setup.read_text() == self._setup() and (self.account.data / "PG_VERSION").exists()

    def discard_data(self) -> None:
        """Forget the data, wherever the account keeps it."""
        if self.account.data.parent != self.directory:
            shutil.rmtree(self.account.data.parent, ignore_errors=True)
        super().discard_data()
        self._account = None

    def launch(self) -> subprocess.Popen[bytes]:
        """Set up the data directory where there is none, and start the server."""
        if not self.has_usable_data():
            self._initialize()
        self._outwait_orphans()
        settings = {**_SETTINGS, "shared_buffers": f"{_buffers_mb()}MB", "port": str(self.ports["postgresql"])}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._spawn_as_account(self.programs.directory / "postgres", "-D", self.account.data, *options)

    def answers(self) -> bool:
        """Whether our user can log in."""
        try:
            psycopg.connect(self.database_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def ask_to_stop(self) -> None:
        """SIGINT: PostgreSQL's fast shutdown, open sessions are ended."""
        if self.process is not None and self.running:
            self.process.send_signal(signal.SIGINT)

    def _outwait_orphans(self) -> None:
        """Wait for the children of a server that was killed: they find out a moment later, and write until then.

        Only then an earlier server's file may go. Its process id may be somebody else's by now, and a server that sees
        it alive refuses to start.
        """
        data = self.account.data.resolve()
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while processes.working_in(data):
            if time.monotonic() > deadline:
                raise NodeStartError(f"{self.title}: another server still works in {data}")
            time.sleep(0.02)
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _initialize(self) -> None:
        self.account.prepare_directory()
        password_file = self.account.data.parent / "initdb.password"
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, self.password.encode())
            self.account.own(password_file)
            self._run_initdb(password_file)
        finally:
            os.close(descriptor)
            password_file.unlink()
        (self.directory / "setup").write_text(self._setup())

    def _run_initdb(self, password_file: Path) -> None:
        options = ("--no-sync", "--encoding=UTF8", "--no-locale", "--auth=scram-sha-256", f"--username={USER}")
        initdb = self._spawn_as_account(
            self.programs.directory / "initdb", "-D", self.account.data, *options, f"--pwfile={password_file}"
        )
        if initdb.wait():
            raise subprocess.CalledProcessError(initdb.returncode, "initdb")

    def _spawn_as_account(self, *command: str | Path) -> subprocess.Popen[bytes]:
        return self.spawn(*self.account.prefix, *command, cwd=self.account.data.parent, **self.account.identity())

    def _setup(self) -> str:
        return f"{self.programs.version} {self.account.label}"


def _buffers_mb() -> int:
    """An eighth of the machine's memory, for several nodes may run at once; the pages are taken as they are used."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(128, min(_MOST_BUFFERS_MB, memory // 8 // 2**20))
