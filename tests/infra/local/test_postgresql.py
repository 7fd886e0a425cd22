"""PostgreSQL refuses root; every way around that ends in a server of ours."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psycopg
import pytest

from infra.local import account
from infra.local.postgresql import PostgreSQLNode
from infra.local.programs import find_postgresql

PASSWORD = "se cr@t/:?#"  # noqa: S105
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="a plain user runs PostgreSQL as themselves")


def user_namespaces_are_allowed() -> bool:
    return shutil.which("unshare") is not None and account.succeeds(*account.MAPPED, "true")


def started_in(directory: Path) -> PostgreSQLNode:
    node = PostgreSQLNode(directory, mark=directory, password=PASSWORD, programs=find_postgresql())
    node.start()
    return node


def works(node: PostgreSQLNode) -> bool:
    with psycopg.connect(node.database_url) as connection:
        return connection.execute("select usesuper from pg_user where usename = 'ledgerq'").fetchone() == (True,)


def no_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "MAPPED", ("false",))


def test_checkpoints_are_rare_and_memory_is_the_machines(open_directory: Path) -> None:
    node = started_in(open_directory / "tuned")
    with psycopg.connect(node.database_url) as connection:
        names = ("shared_buffers", "max_wal_size", "checkpoint_timeout", "wal_compression")
        found = [connection.execute("select current_setting(%s)", [name]).fetchone() for name in names]
        (megabytes,) = connection.execute(
            "select setting::bigint * 8 / 1024 from pg_settings where name = %s", [names[0]]
        ).fetchone()  # type: ignore[misc]
    node.stop()
    assert found[1:3] == [("8GB",), ("15min",)]
    assert found[3] in {("pglz",), ("on",)}  # PostgreSQL 15 names the method
    assert 128 <= megabytes <= 2048


@only_root
def test_the_user_postgres_runs_it_where_that_user_can_reach_the_data(open_directory: Path) -> None:
    node = started_in(open_directory / "reached")
    assert node.account.user is not None
    assert node.account.data.stat().st_uid == node.account.user.pw_uid
    assert works(node)
    node.stop()


@only_root
@pytest.mark.skipif(not user_namespaces_are_allowed(), reason="no user namespaces here, as in many containers")
def test_root_runs_it_in_a_user_namespace_under_a_closed_directory(tmp_path: Path) -> None:
    node = started_in(tmp_path / "node")
    assert node.account.label == "user namespace"
    assert node.account.data.stat().st_uid == 0
    assert works(node)
    node.stop()


@only_root
def test_the_data_are_elsewhere_where_nothing_else_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_user_namespaces(monkeypatch)
    node = started_in(tmp_path / "node")
    data = node.account.data
    assert data.is_relative_to("/var/tmp")  # noqa: S108
    assert works(node)
    node.stop()
    again = started_in(tmp_path / "node")
    assert again.account.data == data
    again.stop()
    again.discard_data()
    assert not data.parent.exists()


def test_nobody_gets_in_without_the_password(open_directory: Path) -> None:
    node = started_in(open_directory / "locked")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(node.database_url, password="guessed")  # noqa: S106  wrong on purpose
    node.stop()


def test_what_was_committed_outlives_a_kill(open_directory: Path) -> None:
    node = started_in(open_directory / "killed")
    with psycopg.connect(node.database_url) as connection:
        connection.execute("create table kept as select 42 as answer")
    node.kill()
    node.start(keep_data=True)
    with psycopg.connect(node.database_url) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
    node.stop()
