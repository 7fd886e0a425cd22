"""Each wait ends once, whichever was first: what is waited for, or the wait."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from domain.task_run import TaskStarted
from domain.tier import Tier
from tasks.dispatch import waits
from tests.tasks.waiting.platform import Waiting, told

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.system


def test_an_event_that_comes_later_ends_the_wait_and_lets_the_run_go_on(waiting: Waiting) -> None:
    run = waiting.begin(match={"signal": "paid", "details.order": 7})
    waiting.look()
    waiting.signal("paid", order=8)
    waiting.signal("agreed", order=7)
    waiting.look()
    assert waiting.ends(run) == []
    paid = waiting.signal("paid", key="k", order=7)
    waiting.look()
    assert (waiting.ends(run), waiting.came(run)) == (["wait_satisfied"], paid)
    assert waiting.resuming.step()
    (message,) = waiting.waiting_in(Tier.HIGH)
    assert (message.run_id, message.priority, message.headers["ledgerq-attempt"]) == (run, 7, 2)
    assert message.body[0] == ["signal.received"]
    assert message.body[2] == {"chain": [{"task": "ship"}]}
    event = told(message.body)["event"]
    assert (event["id"], event["name"], event["data"]["details"]) == (paid, "signal.received", {"order": 7})
    assert event["recorded_at"]


def test_an_event_that_came_after_the_workflow_began_and_before_the_wait_is_found(waiting: Waiting) -> None:
    run = str(uuid4())
    waiting.signal("paid")  # of another workflow, before this one
    waiting.start(run)
    paid = waiting.signal("paid")
    waiting.signal("paid")
    waiting.look()
    waiting.begin(run, match={"signal": "paid"})
    waiting.look()
    assert waiting.came(run) == paid


def test_how_far_a_wait_looks_back_can_be_said(waiting: Waiting) -> None:
    paid = waiting.signal("paid")
    waiting.look()
    far, since = waiting.begin(lookback_seconds=60.0), waiting.begin(since=datetime.now(UTC) - HOUR)
    near, later = waiting.begin(), waiting.begin(since=datetime.now(UTC) + HOUR)
    waiting.look()
    assert [waiting.came(run) for run in (far, since, near, later)] == [paid, paid, None, None]


def test_looking_far_back_is_done_a_part_at_a_time(waiting: Waiting) -> None:
    for _ in range(220):
        waiting.signal("agreed")
    paid = waiting.signal("paid")
    waiting.look()
    run = waiting.begin(match={"signal": "paid"}, since=datetime.now(UTC) - HOUR)
    parts = 0
    while waiting.waits.step() and not waiting.ends(run):
        parts += 1
    assert (waiting.came(run), parts) == (paid, 4)  # of 50 each


def test_a_workflow_whose_first_run_cannot_be_read_holds_up_nobody(waiting: Waiting) -> None:
    first = str(uuid4())
    waiting.start(first)
    with waiting.store.transaction() as transaction:
        transaction.connection.execute("set local ledgerq.maintenance = on")
        changed = "update event_store.task_events set data = '{}' where stream_id = %s"
        transaction.connection.execute(changed, [f"task_run-{first}"])
    run = waiting.begin(root=first)
    waiting.look()
    paid = waiting.signal("paid")
    waiting.look()
    assert waiting.came(run) == paid


def test_waits_and_events_that_race_all_meet(waiting: Waiting) -> None:
    runs = [str(uuid4()) for _ in range(60)]
    for run in runs:
        waiting.start(run)

    def signal() -> None:
        for run in runs:
            waiting.signal("paid", key=run)

    def wait() -> None:
        for run in runs:
            waiting.begin(run, match={"key": run})

    threads = [threading.Thread(target=each) for each in (signal, wait)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        waiting.waits.step()
    waiting.look()
    assert {run: waiting.ends(run) for run in runs} == {run: ["wait_satisfied"] for run in runs}


def test_a_run_can_wait_for_what_becomes_of_another(waiting: Waiting) -> None:
    other = str(uuid4())
    late = waiting.begin(event="task.started", match={"run_id": other})
    waiting.look()
    waiting.start(other)
    early = waiting.begin(event="task.started", match={"run_id": other}, lookback_seconds=60.0)
    waiting.look()
    assert (waiting.ends(late), waiting.ends(early)) == (["wait_satisfied"], ["wait_satisfied"])


def test_what_does_not_come_in_time_times_out_and_then_comes_too_late(waiting: Waiting) -> None:
    run = waiting.begin(until=datetime.now(UTC) + HOUR)
    waiting.look()
    assert waiting.ends(run) == []
    waiting.ahead = HOUR * 2
    waiting.look()
    waiting.signal("paid")
    waiting.look()
    assert waiting.ends(run) == ["wait_timed_out"]
    waiting.resuming.step()
    (message,) = waiting.waiting_in(Tier.HIGH)
    assert set(told(message.body)) == {"timed_out"}


def test_what_was_recorded_in_time_counts_however_late_dispatch_looks(waiting: Waiting) -> None:
    run = waiting.begin(until=datetime.now(UTC) + HOUR)
    waiting.look()
    waiting.signal("paid")
    waiting.ahead = HOUR * 2
    waiting.look()
    assert waiting.ends(run) == ["wait_satisfied"]


def test_a_time_is_waited_for(waiting: Waiting) -> None:
    runs = [waiting.begin(event=None, until=datetime.now(UTC) + HOUR * hours) for hours in (3, 1)]
    waiting.look()
    waiting.ahead = HOUR * 2
    waiting.look()
    assert [waiting.ends(run) for run in runs] == [[], ["wait_satisfied"]]


def test_a_waiting_run_that_is_revoked_ends_at_once_and_does_not_go_on(waiting: Waiting) -> None:
    run = waiting.begin()
    waiting.look()
    waiting.revoke(run)
    waiting.look()
    waiting.signal("paid")
    waiting.look()
    assert waiting.ends(run) == ["revoked", "revocation_requested"]
    before = str(uuid4())
    waiting.start(before)
    waiting.revoke(before)
    waiting.look()
    waiting.begin(before)
    waiting.look()
    assert waiting.ends(before) == ["revoked", "revocation_requested"]
    waiting.resuming.step()
    assert waiting.waiting_in(Tier.HIGH) == []


def test_waits_of_a_story_that_is_taken_back_end_at_once_with_no_worker_up_also_one_that_begins_later(
    waiting: Waiting,
) -> None:
    story, other = str(uuid4()), waiting.begin()
    before = waiting.begin(story=story)
    waiting.look()
    taken = waiting.revoke_story(story)
    waiting.look()
    after = waiting.begin(story=story)
    waiting.look()
    assert waiting.ends(before) == ["revoked", "revocation_requested"]
    assert waiting.ends(after) == ["revoked"]
    ends = [event for run in (before, after) for event in waiting.stream(run) if event.name == "task.revoked"]
    assert [(end.error, end.decided_by) for end in ends] == [("not needed (asked for by ann)", taken)] * 2  # type: ignore[attr-defined]
    waiting.signal("paid")
    waiting.look()
    assert waiting.ends(other) == ["wait_satisfied"]


def test_who_takes_over_finds_the_waits_and_what_came_meanwhile(waiting: Waiting) -> None:
    runs = [waiting.begin(match={"key": key}, until=datetime.now(UTC) + HOUR) for key in "abcd"]
    waiting.look()
    waiting.waits.note_position()
    waiting.signal("paid", key="a")
    waiting.look()
    waiting.signal("paid", key="b")
    next_one = waiting.ended_by()
    waiting.look(next_one)
    waiting.signal("paid", key="c")
    waiting.look(next_one)
    waiting.ahead = HOUR * 2
    waiting.look(next_one)
    assert [waiting.ends(run) for run in runs] == [["wait_satisfied"]] * 3 + [["wait_timed_out"]]


def test_what_is_decided_twice_counts_once(waiting: Waiting) -> None:
    run = waiting.begin()
    others = waiting.ended_by()
    waiting.signal("paid")
    waiting.look()
    waiting.sql("update event_store.checkpoints set position = 0 where follower = 'dispatch.waits'")
    others.take_over()
    waiting.look(others)
    assert waiting.ends(run) == ["wait_satisfied"]


def test_a_run_that_went_on_is_not_published_again(waiting: Waiting) -> None:
    run = waiting.begin()
    waiting.signal("paid")
    waiting.look()
    event = TaskStarted(
        originator_id=f"task_run-{run}", originator_version=17, timestamp=datetime.now(UTC), task="t", attempt=2
    )
    waiting.record(event)
    waiting.resuming.step()
    assert waiting.waiting_in(Tier.HIGH) == []


def test_a_run_that_waits_again_is_found_by_what_comes_then(waiting: Waiting) -> None:
    run = waiting.begin(match={"key": "a"})
    waiting.signal("paid", key="a")
    waiting.look()
    waiting.begin(run, attempt=2, match={"key": "b"})
    waiting.look()
    again = waiting.signal("paid", key="b")
    waiting.look()
    assert waiting.ends(run) == ["wait_satisfied", "wait_satisfied"]
    assert waiting.came(run) == again


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "[[], 7, {}]"])
def test_a_message_that_was_kept_badly_ends_its_run_and_holds_up_nobody(waiting: Waiting, body: str) -> None:
    bad, good = waiting.begin(body=body), waiting.begin(sent="the day before")
    waiting.look()
    waiting.signal("paid")
    waiting.look()
    waiting.resuming.step()
    assert waiting.ends(bad) == ["rejected", "wait_satisfied"]
    assert [message.run_id for message in waiting.waiting_in(Tier.HIGH)] == [good]


def test_when_the_workflow_began_is_what_its_sender_says_where_that_is_earlier(waiting: Waiting) -> None:
    paid = waiting.signal("paid")
    waiting.look()
    sent = [(datetime.now(UTC) + ahead).isoformat() for ahead in (-HOUR, HOUR)]
    early, late = (waiting.begin(sent=each) for each in sent)
    bad = waiting.begin(sent="0001-01-01T00:00:00+00:00")
    waiting.look()
    assert [waiting.came(run) for run in (early, late, bad)] == [paid, None, None]


def test_a_tier_whose_queue_takes_nothing_holds_up_no_other(waiting: Waiting) -> None:
    waiting.unbind(Tier.HIGH)
    stuck, passes = waiting.begin(), waiting.begin(tier=Tier.LOW)
    waiting.look()
    waiting.signal("paid")
    waiting.look()
    waiting.resuming.step()
    assert [message.run_id for message in waiting.waiting_in(Tier.LOW)] == [passes]
    waiting.bind(Tier.HIGH)
    next_one = waiting.resumed_by()
    while next_one.step():
        pass
    assert [message.run_id for message in waiting.everything_waiting()] == [stuck]
    later = waiting.begin(tier=Tier.LOW)
    waiting.look()
    waiting.signal("paid")
    waiting.look()
    waiting.resumed_by().step()
    assert [message.run_id for message in waiting.everything_waiting()] == [later]


def test_who_takes_over_from_a_dispatcher_with_one_place_for_all_tiers_goes_on_from_there(waiting: Waiting) -> None:
    waiting.begin()
    waiting.look()
    waiting.signal("paid")
    waiting.look()
    waiting.resuming.step()
    assert len(waiting.everything_waiting()) == 1
    waiting.sql("delete from event_store.checkpoints where follower like 'dispatch.resuming%%'")
    waiting.sql("""
        insert into event_store.checkpoints (follower, log, position)
        select 'dispatch.resuming', 'tasks', max(position) from event_store.task_events
    """)
    waiting.resumed_by().step()
    assert waiting.everything_waiting() == []


def kept_open(waiting: Waiting) -> list[str]:
    """The runs of the waits that are kept as open."""
    with waiting.store.transaction() as transaction:
        rows = transaction.connection.execute("""
            select substr(stream_id, length('task_run-') + 1)
            from event_store.open_waits join event_store.task_events using (position) order by position
        """).fetchall()
    return [row[0] for row in rows]


def test_who_takes_over_looks_at_those_alone_that_are_open_or_have_begun_since(waiting: Waiting) -> None:
    ended, stays = waiting.begin(match={"key": "a"}), waiting.begin(match={"key": "b"})
    waiting.look()
    waiting.signal("paid", key="a")
    waiting.look()
    waiting.waits.note_position()
    assert waiting.ends(ended) == ["wait_satisfied"]
    waiting.ended_by()
    assert kept_open(waiting) == [stays]
    since = waiting.begin(match={"key": "c"})
    waiting.look()
    waiting.waits.note_position()
    next_one = waiting.ended_by()
    assert kept_open(waiting) == [stays, since]
    for key in "bc":
        waiting.signal("paid", key=key)
    waiting.look(next_one)
    assert [waiting.ends(run) for run in (stays, since)] == [["wait_satisfied"]] * 2
    still = waiting.begin(match={"key": "d"})
    waiting.look(next_one)
    next_one.note_position()
    waiting.ended_by()
    waiting.sql("delete from event_store.open_waits")
    waiting.ended_by()
    assert kept_open(waiting) == []  # what began before is not looked at again
    waiting.sql("delete from event_store.checkpoints where follower = 'dispatch.waits.open'")
    last = waiting.ended_by()  # as after an upgrade: all that ever began is
    assert kept_open(waiting) == [still]
    waiting.signal("paid", key="d")
    waiting.look(last)
    assert waiting.ends(still) == ["wait_satisfied"]


def test_a_dispatcher_that_is_never_replaced_keeps_now_and_then_which_waits_are_open(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "KEPT_AFTER", 3)
    runs = [waiting.begin(match={"key": str(number)}) for number in range(3)]
    waiting.look()
    assert kept_open(waiting) == runs
    for number in range(3):
        waiting.begin(match={"key": f"later {number}"})
    for key in ("0", "later 0", "later 1", "later 2"):
        waiting.signal("paid", key=key)
    waiting.look()
    assert kept_open(waiting) == runs[1:]
