from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from pydantic import SecretStr

from infra import database
from infra.database import DatabaseUnreachableError, Leadership
from infra.settings import Settings
from tests.infra.databases import end_sessions
from tests.waiting import eventually


@pytest.fixture
def leader(settings: Settings) -> Iterator[Leadership]:
    with Leadership(settings, "sweep") as leadership:
        assert leadership.acquire()
        yield leadership


def test_one_leads_and_the_others_are_told_so(settings: Settings, leader: Leadership) -> None:
    with Leadership(settings, "sweep") as other:
        assert not other.acquire()
        assert not other.still_held()
    assert leader.still_held()


def test_different_names_lead_side_by_side(settings: Settings, leader: Leadership) -> None:
    with Leadership(settings, "dispatch") as other:
        assert other.acquire()
    assert leader.still_held()


def test_asking_again_while_leading_changes_nothing(settings: Settings, leader: Leadership) -> None:
    assert leader.acquire()
    leader.release()
    assert not leader.still_held()
    with Leadership(settings, "sweep") as other:
        assert other.acquire()


def test_a_standby_takes_over_within_a_second_after_the_leader_gives_way(
    settings: Settings, leader: Leadership
) -> None:
    with Leadership(settings, "sweep") as standby, ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(standby.acquire, 10)
        eventually(lambda: is_connected(settings, sessions=2))
        assert not waiting.done()
        leader.release()
        released_at = time.monotonic()
        assert waiting.result(5)
        assert time.monotonic() - released_at < 1


def test_who_gives_way_has_given_way_when_it_says_so(settings: Settings) -> None:
    with Leadership(settings, "handed on") as first, ExitStack() as later:
        leader = first
        assert leader.acquire()
        for _ in range(50):
            standby = later.enter_context(Leadership(settings, "handed on"))
            assert not standby.acquire()
            leader.release()
            assert standby.acquire()
            leader = standby


def test_a_leader_whose_session_was_cut_learns_it_when_it_asks_and_another_can_lead(
    settings: Settings, leader: Leadership
) -> None:
    end_sessions(settings, like="ledgerq leadership sweep")

    with Leadership(settings, "sweep") as other:
        assert other.acquire(2)
        assert not leader.still_held()
        assert not leader.acquire()
        assert other.still_held()
    assert leader.acquire(2)


def test_standing_by_holds_no_snapshot_that_vacuum_would_wait_for(settings: Settings, leader: Leadership) -> None:
    assert leader.still_held()
    with Leadership(settings, "sweep") as standby, ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(standby.acquire, 1.5)
        eventually(lambda: is_connected(settings, sessions=2))
        with database.connect(settings, name="looking") as looking:
            looks = [
                looking.execute(
                    "select count(*) from pg_stat_activity where application_name = 'ledgerq leadership sweep' "
                    "and datname = current_database() and backend_xmin is not null"
                ).fetchone()
                for _ in range(200)
            ]
        assert not waiting.result(5)
    assert looks.count((0,)) > 150


def test_a_database_that_is_away_is_a_fault_and_not_a_lost_vote() -> None:
    nowhere = Settings(database_url=SecretStr("postgresql://127.0.0.1:1/nowhere"))
    with Leadership(nowhere, "sweep") as leadership, pytest.raises(DatabaseUnreachableError):
        leadership.acquire()


def is_connected(settings: Settings, *, sessions: int) -> bool:
    with database.connect(settings, name="looking") as looking:
        found = looking.execute(
            "select count(*) from pg_stat_activity "
            "where application_name = 'ledgerq leadership sweep' and datname = current_database()"
        ).fetchone()
    return found == (sessions,)
