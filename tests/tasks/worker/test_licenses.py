"""How licenses stand, as a worker follows them: loaded once, heard of again when something is recorded of them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from datetime import timedelta
from queue import SimpleQueue

import psycopg
import pytest

from domain.license import license_stream
from domain.ruling import Says
from infra.event_store import EventStore, Log
from infra.settings import Settings
from tasks.worker.licenses import FollowedLicense, Licenses
from tests.tasks.worker.licensing import Licensor, now
from tests.waiting import eventually

INTERVAL = timedelta(milliseconds=20)


class Counting(EventStore):
    """A store that counts the licenses it was asked for."""

    loads = 0

    def load_recorded(self, log: Log, stream_ids: object) -> dict[str, list[object]]:  # type: ignore[override]
        self.loads += len(list(stream_ids))  # type: ignore[call-overload]
        return super().load_recorded(log, stream_ids)  # type: ignore[arg-type, return-value]


class Desk:
    def __init__(self, settings: Settings, *, kept: int = 100) -> None:
        url = settings.database_url.get_secret_value()
        self.store = Counting(url, name="licenses", connections=1)
        self.licenses = Licenses(lambda: self.store, interval=INTERVAL, kept=kept)

    def ask(self, license_id: str) -> FollowedLicense | None:
        """The answer, once it is there."""
        answers: SimpleQueue[FollowedLicense | None] = SimpleQueue()
        self.licenses.ask(license_id, answers.put)
        return answers.get(timeout=30)

    def says(self, license_id: str) -> Says | None:
        found = self.ask(license_id)
        assert found is not None
        return found.standing.ruling(now()).says if found.standing else None


@pytest.fixture
def desk(fresh_platform: Settings) -> Iterator[Desk]:
    made = Desk(fresh_platform)
    yield made
    made.licenses.stop(timedelta(seconds=10))


def test_nothing_begins_before_the_first_question(desk: Desk) -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == "licenses"]
    assert desk.licenses.known("L1") is None


def test_a_license_is_loaded_once_and_what_is_recorded_of_it_later_is_heard_of(desk: Desk, store: EventStore) -> None:
    licensor = Licensor(store)
    for _ in range(5):
        assert desk.says(licensor.license_id) is Says.ADMITTED
    assert desk.store.loads == 1
    licensor.suspend()
    eventually(lambda: desk.says(licensor.license_id) is Says.DEFERRED)
    assert desk.store.loads == 2


def test_a_license_that_is_issued_after_it_was_asked_about_decides_from_then_on(desk: Desk, store: EventStore) -> None:
    assert desk.says("unheard-of") is None
    licensor = Licensor(store, license_id="unheard-of")
    licensor.revoke()
    eventually(lambda: desk.says("unheard-of") is Says.REVOKED)


def test_what_is_recorded_of_other_licenses_loads_nothing(desk: Desk, store: EventStore) -> None:
    mine, other = Licensor(store), Licensor(store)
    assert desk.says(mine.license_id) is Says.ADMITTED
    other.suspend()
    mine.suspend()
    eventually(lambda: desk.says(mine.license_id) is Says.DEFERRED)
    assert desk.store.loads == 2


def test_no_more_are_kept_in_mind_than_stated_and_those_in_hand_are_followed_beyond(
    fresh_platform: Settings, store: EventStore
) -> None:
    desk = Desk(fresh_platform, kept=2)
    licensors = [Licensor(store) for _ in range(4)]
    in_hand = desk.ask(licensors[0].license_id)
    for licensor in licensors[1:]:
        assert desk.says(licensor.license_id) is Says.ADMITTED
    gc.collect()
    known = [desk.licenses.known(licensor.license_id) is not None for licensor in reversed(licensors)]
    assert known == [True, True, False, True]
    licensors[0].revoke()

    def heard() -> bool:
        assert in_hand is not None
        assert in_hand.standing is not None
        return in_hand.standing.recorded().says is Says.REVOKED

    eventually(heard)
    desk.licenses.stop(timedelta(seconds=10))


def test_a_license_that_a_newer_version_wrote_is_nobody_s_to_judge_and_the_others_are(
    desk: Desk, store: EventStore, fresh_platform: Settings
) -> None:
    odd, sound = Licensor(store), Licensor(store)
    with psycopg.connect(fresh_platform.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            "insert into event_store.licensing_events (stream_id, version, name, data, event_id, occurred_at)"
            " values (%s, 2, 'license.painted', '{}', gen_random_uuid(), now())",
            [license_stream(odd.license_id)],
        )
    answers: SimpleQueue[FollowedLicense | None] = SimpleQueue()
    for each in (odd, sound):
        desk.licenses.ask(each.license_id, answers.put)
    assert answers.get(timeout=30) is None
    found = answers.get(timeout=30)
    assert found is not None
    assert found.license_id == sound.license_id


def test_a_story_that_lost_its_beginning_keeps_nothing_from_the_other_licenses(
    desk: Desk, store: EventStore, fresh_platform: Settings
) -> None:
    odd, sound = Licensor(store), Licensor(store)
    held = [desk.ask(each.license_id) for each in (odd, sound)]
    assert all(held)
    with psycopg.connect(fresh_platform.database_url.get_secret_value()) as connection:
        connection.execute("set local ledgerq.maintenance = on")
        first = "delete from event_store.licensing_events where stream_id = %s and version = 1"
        connection.execute(first, [license_stream(odd.license_id)])
    odd.suspend()
    sound.suspend()
    eventually(lambda: desk.says(sound.license_id) is Says.DEFERRED)
    assert desk.ask(odd.license_id) is None
