from __future__ import annotations

from datetime import UTC, datetime

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.literals import array_literal, copy_lines

Connection = psycopg.Connection[tuple[object, ...]]
TEXTS = (
    st.none()
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
    | st.sampled_from(["NULL", "", "\\N", '"', "\\", "{}", "a,b", "\t", "\r\n", "\\.", " "])
)
MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))
ROWS = st.lists(
    st.tuples(TEXTS, MOMENTS, st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(allow_nan=False))
)
QUICKLY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@QUICKLY
@given(rows=ROWS)
def test_an_array_holds_what_was_put_into_it(asking: Connection, rows: list[tuple[object, ...]]) -> None:
    columns = [[row[number] for row in rows] for number in range(4)]
    found = asking.execute(
        "select * from unnest(%s::text[], %s::timestamptz[], %s::bigint[], %s::float8[])",
        [array_literal(column) for column in columns],
    ).fetchall()
    assert found == rows


@QUICKLY
@given(rows=ROWS)
def test_lines_of_copy_hold_what_was_put_into_them(asking: Connection, rows: list[tuple[object, ...]]) -> None:
    with asking.transaction(force_rollback=True):
        asking.execute("create temp table copied (a text, b timestamptz, c bigint, d float8, place serial)")
        with asking.cursor() as cursor, cursor.copy("copy copied (a, b, c, d) from stdin") as copy:
            copy.write(copy_lines([row[number] for row in rows] for number in range(4)))
        assert asking.execute("select a, b, c, d from copied order by place").fetchall() == rows


def test_moments_keep_their_microseconds(asking: Connection) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert asking.execute("select (%s::timestamptz[])[1]", [array_literal([moment])]).fetchone() == (moment,)
