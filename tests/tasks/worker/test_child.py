from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.worker.child import as_json, seconds_until


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (5, "5"),
        ("grün", '"grün"'),
        ({"a": [1, 2.5, True]}, '{"a":[1,2.5,true]}'),
        (timedelta(seconds=90), '"PT90S"'),
        (range(2), '"range(0, 2)"'),
    ],
)
def test_a_result_is_recorded_as_json(value: Any, text: str | None) -> None:
    assert as_json(value) == text


def test_a_result_that_json_cannot_hold_is_recorded_as_python_writes_it() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert as_json(endless) == '"[[...]]"'
    assert as_json("\ud800") is not None


def test_celery_states_a_delay_in_three_ways() -> None:
    assert seconds_until(None) is None
    assert seconds_until(2.5) == 2.5
    soon = seconds_until(datetime.now(UTC) + timedelta(seconds=60))
    assert soon is not None
    assert 59 < soon <= 60
