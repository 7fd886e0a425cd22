"""Sandboxes: a fresh virtual host and a fresh database on given servers, dropped when they are no longer needed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr

from infra.broker.connection import open_amqp
from infra.broker.errors import BrokerError
from infra.local import processes
from infra.local.errors import SandboxError
from infra.local.slot import write_private
from infra.local.vhosts import Management
from infra.settings import Settings

_VHOST_SECONDS: Final = 15.0
_LOOK_AGAIN_SECONDS: Final = 0.1
_LABEL: Final = re.compile(r"[a-z0-9_]{1,24}")


@dataclass(frozen=True)
class Sandbox:
    """A virtual host and a database of the same name, with the administrator's rights.

    Attributes:
        broker_url: AMQP URL with the virtual host.
        database_url: connection URI of the database.
        record: the file that says whose it is, for :func:`drop_stale`.
    """

    name: str
    broker_url: str
    database_url: str
    record: Path
    administrator: Settings

    @property
    def vhost(self) -> str:
        """Name of the virtual host."""
        return self.name

    @property
    def database(self) -> str:
        """Name of the database."""
        return self.name

    def settings_update(self) -> dict[str, Any]:
        """What to change in the administrator's settings to work in the sandbox (``Settings.model_copy(update=…)``)."""
        return {"broker_url": SecretStr(self.broker_url), "database_url": SecretStr(self.database_url)}

    def management_url(self, broker_url: str) -> str:
        """URL of the management API with the login of a broker URL."""
        login, _, _ = urlsplit(broker_url).netloc.rpartition("@")
        parts = urlsplit(Management(self.administrator).url)
        return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc}"))

    def where_to_look(self) -> list[str]:
        """Lines that tell a person where the servers are and how to log in, passwords included."""
        login = Management(self.administrator)
        return [
            f"  RabbitMQ management   {login.url}/  user {login.user}  password {login.password}",
            f"  virtual host          {self.vhost}",
            f"  database              {self.database_url}",
        ]

    def make_logins(self) -> dict[str, str]:
        """A user for every role, with its rights in the virtual host and no others; broker URLs by role.

        Raises:
            SandboxError: the broker refuses or cannot be reached.
        """
        own = self.administrator.model_copy(update=self.settings_update())
        return Management(self.administrator).make_logins(own)

    def drop(self) -> None:
        """Delete the virtual host with its users, and the database; nothing happens when they are gone.

        Raises:
            SandboxError: a server refuses or cannot be reached.
        """
        management = Management(self.administrator)
        management.delete_vhost(self.vhost)
        management.delete_logins(self.vhost)
        _drop_database(self.administrator, self.database)
        self.record.unlink(missing_ok=True)


def create_sandbox(settings: Settings, *, label: str, is_alone: bool = False) -> Sandbox:
    """Make a virtual host and a database that nobody else uses.

    Args:
        settings: the administrator's; ``state_dir`` keeps the record of what was made.
        label: part of the name, lower case letters, digits, underscores.
        is_alone: make the label all of the name; refused where something of that name stands.

    Raises:
        SandboxError: the broker gives no management API, or a server refuses.
        ValueError: ``label`` is not allowed.
    """
    if not _LABEL.fullmatch(label):
        raise ValueError(f"label {label!r}: 1 to 24 lower case letters, digits and underscores")
    management = Management(settings)
    name = label if is_alone else f"ledgerq_{label}_{secrets.token_hex(5)}"
    if is_alone and management.has_vhost(name):
        raise SandboxError(f"there is a virtual host {name} already")
    sandbox = Sandbox(
        name,
        broker_url=_with_path(settings.broker_url.get_secret_value(), name),
        database_url=_with_path(settings.database_url.get_secret_value(), name),
        record=settings.state_dir.resolve() / "sandboxes" / f"{name}.json",
        administrator=settings,
    )
    _write_record(sandbox, management)  # before there is anything, so that being killed leaves nothing unknown
    try:
        management.create_vhost(name)
        _await_vhost(settings.model_copy(update=sandbox.settings_update()))
        _execute(settings, sql.SQL("create database {}").format(sql.Identifier(name)))
    except SandboxError:
        with contextlib.suppress(SandboxError):  # the first refusal is the one to tell
            sandbox.drop()
        raise
    return sandbox


def _await_vhost(settings: Settings) -> None:
    """Wait until the virtual host takes a connection: a busy broker answers 541 for a moment after making it."""
    deadline = time.monotonic() + _VHOST_SECONDS
    while True:
        try:
            open_amqp(settings, role="sandbox").close()
        except BrokerError as error:
            if time.monotonic() > deadline:
                raise SandboxError(f"the new virtual host takes no connection: {error}") from error
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return


def drop_stale(settings: Settings) -> list[str]:
    """Drop the sandboxes recorded in this state directory whose owner process has ended; their names.

    Whatever is not recorded here, is on other servers or belongs to a living process is left alone.

    Raises:
        SandboxError: a server refuses or cannot be reached.
    """
    dropped: list[str] = []
    records = sorted((settings.state_dir.resolve() / "sandboxes").glob("*.json"))
    for record in records:
        kept: dict[str, Any] = json.loads(record.read_text())
        if processes.identity(kept["owner_pid"]) == kept["owner_identity"]:
            continue
        if kept["servers"] == _servers(settings, Management(settings)):
            Sandbox(kept["name"], broker_url="", database_url="", record=record, administrator=settings).drop()
            dropped.append(kept["name"])
    return dropped


def _write_record(sandbox: Sandbox, management: Management) -> None:
    kept = {
        "name": sandbox.name,
        "owner_pid": os.getpid(),
        "owner_identity": processes.identity(os.getpid()),
        "servers": _servers(sandbox.administrator, management),
    }
    sandbox.record.parent.mkdir(parents=True, exist_ok=True)
    write_private(sandbox.record, json.dumps(kept))


def _servers(settings: Settings, management: Management) -> list[str]:
    """What tells these two servers from others, whatever their ports are today."""
    ((identifier,),) = _execute(settings, sql.SQL("select system_identifier::text from pg_control_system()"))
    return [management.cluster_name(), identifier]


def _drop_database(settings: Settings, name: str) -> None:
    _execute(settings, sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _execute(settings: Settings, statement: sql.SQL | sql.Composed) -> list[tuple[Any, ...]]:
    try:
        with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise SandboxError(f"the database server refuses: {error}") from error


def _with_path(url: str, name: str) -> str:
    """The URL with another path: an AMQP URL's virtual host, a PostgreSQL URI's database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name, safe='')}"))
