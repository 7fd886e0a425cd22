from __future__ import annotations

import psycopg
import pytest

from projections.moments import NEVER, Moments, microseconds, takes_moments
from tests.projections.histories import at

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 1001])
def test_an_array_holds_the_moments_that_were_put_into_it(asking: Connection, count: int) -> None:
    moments = [at(number * 1.000001 - 500) for number in range(count)]
    with asking.cursor() as cursor:
        takes_moments(cursor)
        found = cursor.execute("select %s", [Moments(map(microseconds, moments))]).fetchone()
    assert found == (moments,)


def test_never_is_before_everything(asking: Connection) -> None:
    with asking.cursor() as cursor:
        takes_moments(cursor)
        found = cursor.execute("select (%s)[1] = '-infinity'", [Moments([NEVER])]).fetchone()
    assert found == (True,)


def test_what_postgresql_cannot_hold_is_refused(asking: Connection) -> None:
    with asking.cursor() as cursor:
        takes_moments(cursor)
        with pytest.raises(psycopg.DataError):
            cursor.execute("select %s", [Moments([2**63 - 2])])
