"""Single events that several threads append at once share a statement and a flush; each caller learns its verdict."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, Log, LostRaceError, NewEvent, Verdict
from infra.event_store.mapper import EventMapper
from infra.event_store.shared_appends import _Request
from infra.settings import Settings
from tests.infra.databases import end_sessions
from tests.infra.event_store.facts import fact
from tests.waiting import eventually

Connection = psycopg.Connection[tuple[object, ...]]
LONG_SECONDS = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes alone because it takes long."""
    monkeypatch.setattr("infra.event_store.shared_appends.PATIENCE_SECONDS", LONG_SECONDS)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as pool:
        yield pool


def waiting(store: EventStore) -> int:
    """How many wait behind the append that is under way."""
    return len(store._shared[Log.TASKS]._queue._waiting)


@contextmanager
def blocked(connection: Connection) -> Iterator[None]:
    """Nobody can write to the log of tasks meanwhile."""
    with connection.transaction():
        connection.execute("lock table event_store.task_events in exclusive mode")
        yield


def under_way(store: EventStore, threads: ThreadPoolExecutor, connection: Connection) -> Future[list[int]]:
    """An append that is blocked, so that others have to wait for it."""
    first = threads.submit(store.append, Log.TASKS, [fact("first")])
    eventually(lambda: waits_for_lock(connection))
    return first


def waits_for_lock(connection: Connection) -> bool:
    found = connection.execute(
        "select 1 from pg_locks where not granted and relation = 'event_store.task_events'::regclass "
        "and database = (select oid from pg_database where datname = current_database())"
    ).fetchall()
    return bool(found)


def together(
    store: EventStore, threads: ThreadPoolExecutor, connection: Connection, calls: list[Callable[[], object]]
) -> list[Future[object]]:
    """Have all calls wait behind one append, so that they are stored in one statement; in the order given."""
    with blocked(connection):
        first = under_way(store, threads, connection)
        asked = []
        for number, call in enumerate(calls, 1):
            asked.append(threads.submit(call))
            eventually(lambda number=number: waiting(store) == number)  # type: ignore[misc]
    first.result(timeout=LONG_SECONDS)
    return asked


def appending(store: EventStore, new: NewEvent) -> Callable[[], object]:
    return lambda: store.append(Log.TASKS, [new])


def commits(connection: Connection) -> int:
    ((found,),) = connection.execute("select count(distinct xmin::text) from event_store.task_events").fetchall()
    return int(str(found))


@pytest.mark.usefixtures("patient")
def test_events_that_wait_share_one_commit(
    store: EventStore, threads: ThreadPoolExecutor, connection: Connection
) -> None:
    new = [fact(f"s{number}") for number in range(16)]

    asked = together(store, threads, connection, [appending(store, each) for each in new])

    told = [each.result(timeout=LONG_SECONDS) for each in asked]
    page = store.read(Log.TASKS, after=0, limit=100)
    positions = {row.event_id: [row.position] for row in page.events}
    assert told == [positions[each.event_id] for each in new]
    assert commits(connection) == 2  # the first one's, and that of all the others


@pytest.mark.usefixtures("patient")
def test_each_caller_gets_the_verdict_on_its_own_event(
    store: EventStore, threads: ThreadPoolExecutor, connection: Connection
) -> None:
    known, other, new = fact("known"), fact("other"), fact("new")
    (there, _) = store.append(Log.TASKS, [known, other])
    calls = [
        appending(store, new),
        appending(store, known),
        appending(store, other._replace(event_id=uuid4())),
        appending(store, new),
        appending(store, new._replace(event_id=uuid4())),
        lambda: store.append_each(Log.TASKS, [known]),
    ]

    stored, repeat, lost, again, lost_to_new, verdict = together(store, threads, connection, calls)

    assert repeat.result() == [there]
    assert stored.result() == again.result()
    assert verdict.result() == [Verdict("repeat", there)]
    for each, stream in ((lost, "other"), (lost_to_new, "new")):
        with pytest.raises(LostRaceError) as race:
            each.result()
        assert race.value.stream_id == stream
    assert set(store.load(Log.TASKS, ["known", "other", "new", "first"])) == {"known", "other", "new", "first"}


@pytest.mark.usefixtures("patient")
def test_what_the_database_refuses_of_one_is_no_fault_of_the_others(
    store: EventStore, threads: ThreadPoolExecutor, connection: Connection
) -> None:
    calls = [appending(store, fact("a")), appending(store, fact("with \0 in it")), appending(store, fact("b"))]

    a, refused, b = together(store, threads, connection, calls)

    assert a.result() != b.result()
    with pytest.raises(psycopg.DataError):
        refused.result()
    assert set(store.load(Log.TASKS, ["a", "b"])) == {"a", "b"}


@pytest.mark.usefixtures("patient")
def test_all_who_waited_are_told_of_an_outage_and_may_say_it_again(
    store: EventStore, settings: Settings, threads: ThreadPoolExecutor, connection: Connection
) -> None:
    new = [fact(f"s{number}") for number in range(3)]
    with blocked(connection):
        first = under_way(store, threads, connection)
        others = [threads.submit(appending(store, each)) for each in new]
        eventually(lambda: waiting(store) == 3)
        end_sessions(settings, like="ledgerq test store")
        eventually(lambda: first.done() and waits_for_lock(connection))  # the others' statement is under way now
        end_sessions(settings, like="ledgerq test store")
        eventually(lambda: all(each.done() for each in others))

    for each in (first, *others):
        with pytest.raises(DatabaseUnreachableError):
            each.result()
    assert store.load(Log.TASKS, ["first", "s0"]) == {}
    assert len([store.append(Log.TASKS, [each]) for each in new]) == 3


def test_who_waits_too_long_goes_alone(store: EventStore, threads: ThreadPoolExecutor, connection: Connection) -> None:
    """The one before may wait for somebody's transaction, as long as that takes."""
    with connection.transaction():
        connection.execute(
            "insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at) "
            "values ('held', 1, 'ingest.watermark_passed', '{}', gen_random_uuid(), now())"
        )
        stuck = threads.submit(appending(store, fact("held")))
        eventually(lambda: store._shared[Log.TASKS]._queue._is_storing)

        assert store.append(Log.TASKS, [fact("free")])
        assert not stuck.done()

    with pytest.raises(LostRaceError):
        stuck.result()


@pytest.mark.usefixtures("patient")
def test_a_thread_never_waits_for_who_waits_for_its_own_transaction(
    store: EventStore, threads: ThreadPoolExecutor
) -> None:
    with store.transaction() as transaction:
        transaction.append(Log.TASKS, [fact("mine")])
        stuck = threads.submit(appending(store, fact("mine")))
        eventually(lambda: store._shared[Log.TASKS]._queue._is_storing)

        assert store.append(Log.TASKS, [fact("beside")])

    with pytest.raises(LostRaceError):
        stuck.result()


class Interrupting:
    """A latch at which its thread is interrupted, after ``before``."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def acquire(self, timeout: float = -1) -> bool:
        self._before()
        raise KeyboardInterrupt(timeout)

    def release(self) -> None:
        pass


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("is_next", [False, True])
def test_who_is_interrupted_while_waiting_is_not_stored_later_and_holds_nobody_up(
    store: EventStore, *, is_next: bool
) -> None:
    queue = store._shared[Log.TASKS]._queue
    interrupted = _Request(EventMapper().values(fact("interrupted")))
    interrupted.woken = Interrupting(lambda: queue.leave(()) if is_next else None)  # type: ignore[assignment]
    queue._is_storing = True  # somebody is

    with pytest.raises(KeyboardInterrupt):
        queue.enter(interrupted)
    if not is_next:
        queue.leave(())

    assert store.append(Log.TASKS, [fact("other")])
    assert set(store.load(Log.TASKS, ["interrupted", "other"])) == {"other"}


@pytest.mark.usefixtures("patient")
def test_a_forked_process_waits_for_nobody_in_its_parent(store: EventStore) -> None:
    store._shared[Log.TASKS]._queue._is_storing = True  # a thread that does not exist in the child
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(10)
            store.append(Log.TASKS, [fact("child")])
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert set(store.load(Log.TASKS, ["child"])) == {"child"}
