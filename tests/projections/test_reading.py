from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.event_store import Log
from projections.catalog import PROJECTIONS
from projections.reading import Reader
from tests.projections.histories import minted, requested
from tests.projections.world import World


@pytest.fixture
def reader(world: World) -> Iterator[Reader]:
    opened = Reader(PROJECTIONS["task_runs"], world.store, batch_events=2)
    yield opened
    opened.close()


def recorded(world: World, count: int) -> list[int]:
    return world.record(Log.TASKS, *(requested(minted("run", number)) for number in range(count)))


def test_pages_that_are_read_ahead_follow_each_other_without_a_gap(world: World, reader: Reader) -> None:
    positions = recorded(world, 7)
    seen, after = [], 0
    while (page := reader.page(Log.TASKS, after=after)).position > after:
        seen += [each.position for each in page.events]
        after = page.position
    assert seen == positions


def test_the_next_page_is_read_before_it_is_asked_for_where_there_is_more(world: World, reader: Reader) -> None:
    recorded(world, 3)
    page = reader.page(Log.TASKS, after=0)
    position, ahead = reader._ahead[Log.TASKS]
    assert position == page.position
    assert reader.page(Log.TASKS, after=position) is ahead.result()


def test_what_was_read_ahead_is_of_no_use_to_who_stands_elsewhere_by_now(world: World, reader: Reader) -> None:
    positions = recorded(world, 7)
    reader.page(Log.TASKS, after=0)
    page = reader.page(Log.TASKS, after=positions[2])
    assert [each.position for each in page.events] == positions[3:5]


def test_an_empty_page_that_was_read_ahead_is_not_the_last_word(world: World, reader: Reader) -> None:
    (*_, last) = recorded(world, 2)
    reader.page(Log.TASKS, after=0)
    _, ahead = reader._ahead[Log.TASKS]
    assert ahead.result().events == []
    (new,) = world.record(Log.TASKS, requested(minted("new")))
    assert [each.position for each in reader.page(Log.TASKS, after=last).events] == [new]
