from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import errors
from psycopg.sql import SQL

from domain.heartbeat import Heartbeat
from infra import database
from infra.event_store import Log
from infra.retention.parts import MONTHS_AHEAD, make_months, parts, table_of
from tests.infra.retention.past import MONTHS, Past, on

IN_PART = "select count(*) from {}"


def count(past: Past, part: str) -> int:
    ((found,),) = past.connection.execute(SQL(IN_PART).format(table_of(part))).fetchall()
    return int(found)


def test_each_heartbeat_is_in_the_part_of_its_month(past: Past) -> None:
    for name, number in zip(MONTHS, (1, 2, 3), strict=True):
        rows = past.connection.execute(
            SQL("select distinct date_trunc('month', occurred_at at time zone 'UTC') from {}").format(table_of(name))
        ).fetchall()
        assert rows == [(datetime(2026, number, 1),)]  # noqa: DTZ001  a timestamp of UTC
    wrong = (datetime(1970, 1, 1, tzinfo=UTC), on(2) + timedelta(9999))
    past.tell(*(Heartbeat("s", moment) for moment in (on(1), *wrong)))
    assert count(past, "rest") == 2


def test_parts_are_told_by_their_months_the_oldest_first(past: Past) -> None:
    found = parts(past.connection)
    assert [part.name for part in found][:5] == ["before", *MONTHS, "2026_04"]
    january = past.part("2026_01")
    assert january.ends_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert january.first_position == 1
    assert january.last_position is not None
    assert past.part("before").last_position is None


@pytest.mark.parametrize(
    "change",
    [
        "delete from {}",
        "update {} set name = 'x'",
        "truncate {}",
        """insert into {} (position, stream_id, version, name, data, event_id, occurred_at)
           values (9999, 'heartbeat_batch-x', 1, 'x', '{{}}', gen_random_uuid(), now())""",
    ],
    ids=["delete", "update", "truncate", "insert"],
)
@pytest.mark.parametrize("part", ["2026_02", "before", "watermarks", "rest"])
def test_nothing_is_changed_or_added_behind_the_log_s_back(past: Past, part: str, change: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
        past.connection.execute(SQL(change).format(table_of(part)))  # type: ignore[arg-type]


def test_months_ahead_are_made_once(past: Past) -> None:
    far = datetime(2031, 11, 15, tzinfo=UTC)
    assert make_months(past.connection, now=far) == MONTHS_AHEAD + 1
    assert make_months(past.connection, now=far) == 0
    assert [part.name for part in parts(past.connection)][-3:] == ["2031_11", "2031_12", "2032_01"]


def test_what_came_before_its_month_was_made_moves_there_in_its_place(past: Past) -> None:
    ahead = datetime(2031, 12, 5, tzinfo=UTC)
    past.tell(Heartbeat("fast clock", ahead))
    past.settle()
    before = past.heartbeats()
    assert (count(past, "rest"), past.verified().findings) == (1, [])
    make_months(past.connection, now=datetime(2031, 11, 30, tzinfo=UTC))
    assert (count(past, "rest"), count(past, "2031_12")) == (0, 1)
    assert (past.heartbeats(), past.verified().findings) == (before, [])
    assert past.connection.execute("select current_setting('ledgerq.maintenance', true)").fetchone() in {("",), (None,)}
    with pytest.raises(errors.InsufficientPrivilege):
        past.connection.execute(SQL("delete from {}").format(table_of("2031_12")))


def test_who_has_the_log_open_keeps_a_month_from_being_made_and_is_not_waited_for_long(past: Past) -> None:
    with database.connect(past.settings, name="reader") as reader, reader.transaction():
        reader.execute("select count(*) from event_store.heartbeat_events")
        with pytest.raises(errors.LockNotAvailable):
            make_months(past.connection, now=datetime(2031, 11, 15, tzinfo=UTC))
    assert make_months(past.connection, now=datetime(2031, 11, 15, tzinfo=UTC)) == MONTHS_AHEAD + 1


def test_appends_and_repeats_are_recognized_across_all_parts(past: Past) -> None:
    beats = [Heartbeat("s", on(2, seconds=5)), Heartbeat("t", on(3, seconds=5))]
    past.tell(*beats)
    found = past.heartbeats()
    past.tell(*beats)
    assert past.heartbeats() == found
    assert past.store.safe_position(Log.HEARTBEATS) == found[-1][0]
