from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from domain.blindness import Away, BlindWindowPassed
from domain.heartbeat import WatermarkPassed
from infra.event_store import EventStore, Log, NewEvent
from infra.event_store.watermarks import Watermark
from infra.settings import Settings
from tasks.ingest.batch import Batches
from tasks.ingest.blindness import MISSED, Blindness
from tasks.ingest.delivery import Delivery
from tasks.ingest.watermark import HOLD, marker_message
from tests.tasks.ingest.deliveries import NOW, delivery
from tests.tasks.ingest.remembering import remembering

INTERVAL = timedelta(seconds=10)
STEP = MISSED * INTERVAL
SECOND = timedelta(seconds=1)


class Known:
    """A store that knows one watermark, and how often it was asked."""

    def __init__(self, at: datetime | None, *, is_watched: bool = True) -> None:
        self.asked = 0
        self._watermark = None if at is None else Watermark(at, is_watched, 1)

    def last_watermark(self) -> Watermark | None:
        self.asked += 1
        return self._watermark


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def passed(*moments: datetime) -> list[NewEvent]:
    return [NewEvent(WatermarkPassed.at(moment, marker_id=uuid4()), uuid4(), {}) for moment in moments]


def windows(blindness: Blindness, *moments: datetime, known: Known, in_company: bool = False) -> list[Any]:
    found = blindness.windows(passed(*moments), store=cast("EventStore", known), in_company=in_company)
    return [cast("BlindWindowPassed", new.event) for new in found]


def test_the_first_watermark_of_all_ends_no_window() -> None:
    assert windows(Blindness(interval=INTERVAL), NOW, known=Known(None)) == []


def test_log_time_that_moves_on_as_usual_passes_no_window_and_asks_nobody() -> None:
    blindness = Blindness(interval=INTERVAL)
    blindness.stored(passed(NOW))
    known = Known(NOW)
    assert windows(blindness, NOW + STEP, NOW + 2 * STEP, known=known) == []
    assert known.asked == 0


def test_log_time_that_jumps_passes_a_window_and_says_so_again_when_asked_again() -> None:
    blindness = Blindness(interval=INTERVAL)
    blindness.stored(passed(NOW))
    for _ in range(2):
        (window,) = windows(blindness, NOW + STEP + SECOND, known=Known(NOW))
        assert (window.since, window.timestamp) == (NOW, NOW + STEP + SECOND)


def test_a_process_that_begins_asks_how_far_log_time_had_come() -> None:
    clock = Clock()
    clock.now = NOW + timedelta(minutes=9)
    blindness = Blindness(interval=INTERVAL, clock=clock)
    (window,) = windows(blindness, NOW + timedelta(minutes=10), known=Known(NOW))
    assert (window.since, window.away) == (NOW, (Away.INGEST,))


def test_what_another_process_has_seen_is_not_blind() -> None:
    blindness = Blindness(interval=INTERVAL)
    blindness.stored(passed(NOW))
    assert windows(blindness, NOW + 9 * STEP, known=Known(NOW + 8 * STEP)) == []


def test_log_time_that_was_held_back_for_others_may_move_on_by_as_much() -> None:
    blindness = Blindness(interval=INTERVAL)
    blindness.stored(passed(NOW))
    assert windows(blindness, NOW + HOLD + INTERVAL, known=Known(NOW), in_company=True) == []
    assert len(windows(blindness, NOW + HOLD + STEP + SECOND, known=Known(NOW), in_company=True)) == 1


def test_a_window_says_what_was_noticed_within_it_and_nothing_of_before() -> None:
    clock = Clock()
    clock.now = NOW - SECOND
    blindness = Blindness(interval=INTERVAL, clock=clock)
    blindness.notice(Away.DATABASE)
    clock.now = NOW + SECOND
    blindness.notice(Away.BROKER)
    blindness.stored(passed(NOW))
    (window,) = windows(blindness, NOW + 2 * STEP, known=Known(NOW))
    assert window.away == (Away.BROKER,)


def test_a_log_that_is_older_than_windows_begins_with_one_without_a_begin() -> None:
    (window,) = windows(Blindness(interval=INTERVAL), NOW + SECOND, known=Known(NOW, is_watched=False))
    assert (window.since, window.away) == (None, ())


def marker(at: datetime) -> tuple[Delivery, UUID]:
    message = marker_message(now=at)
    return delivery(message.body, content_type=message.content_type, received_at=at), UUID(message.message_id)


def test_the_window_is_recorded_before_the_watermark_that_ends_it(store: EventStore, place: Settings) -> None:
    begin = max(NOW, store.log_time() or NOW)
    batches = Batches(store, place, **remembering(interval=INTERVAL))
    (before, _), (after, marker_id) = marker(begin + SECOND), marker(begin + timedelta(minutes=10))
    batches.take([before])
    batches.take([after])
    stream = f"watermark_passed-{marker_id}"
    recorded = store.load_recorded(Log.HEARTBEATS, [stream])[stream]
    watermark, window = sorted(recorded, key=lambda each: each.event.originator_version)
    assert [watermark.event.name, window.event.name] == [WatermarkPassed.TOPIC, BlindWindowPassed.TOPIC]
    assert window.position < watermark.position
    assert isinstance(window.event, BlindWindowPassed)
    assert (window.event.since, window.event.timestamp) == (begin + SECOND, begin + timedelta(minutes=10))
