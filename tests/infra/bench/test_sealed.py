"""The cost of seals is measured beside a sealer that does its work."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from infra import database
from infra.bench.sealed import SealBench
from infra.event_store import Log
from infra.settings import Settings
from tests.infra.databases import fresh_database


@pytest.fixture
def settings(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as settings:
        database.migrate(settings)
        yield settings


def test_what_is_appended_beside_the_sealer_is_sealed(settings: Settings) -> None:
    figures = SealBench(settings, tell=lambda _line: None).measure(commits=3, rounds=1)

    assert figures["seal_cost_ratio"] > 0
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        query = "select count(*), max(upto_position) from event_store.seals where log = %s"
        ((sealed, upto),) = connection.execute(query, (Log.LICENSING.value,)).fetchall()
    assert upto == 2 * (3 + 1) * 1000  # a batch before each stint connects
    assert int(str(sealed)) > 1


def test_a_sealer_that_fails_gives_no_figure(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> bool:
        raise ValueError("no")

    monkeypatch.setattr("infra.events.sealing.Sealing.step", fails)
    with pytest.raises(RuntimeError, match="the sealer failed"):
        SealBench(settings, tell=lambda _line: None).measure(commits=1, rounds=1)
