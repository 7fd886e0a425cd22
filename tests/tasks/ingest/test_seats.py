"""Seats of a license given away by several ingests at once: as many as there are, and each denial recorded."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.license_policy import Overage
from domain.session_denial import SessionDenied
from infra.broker.emitter import Emitter, Mode
from infra.cloudevents import CloudEvent
from infra.event_store import EventStore, Log
from infra.event_store.seats import seat_differences
from infra.settings import Settings
from tasks.ingest.batch import Batches
from tasks.ingest.isolation import Isolation
from tests.tasks.ingest.conftest import Starting
from tests.tasks.ingest.deliveries import delivery, told
from tests.tasks.ingest.looking import Database
from tests.tasks.ingest.remembering import remembering
from tests.waiting import eventually

INGESTS = 4


def license_message(license_id: str, *, seats: int | None = 10, overage: Overage = Overage.NONE) -> CloudEvent:
    policy = {"overage": overage.value}
    return told("license.issued", license_id=license_id, valid_until="2090-01-01T00:00:00Z", seats=seats, policy=policy)


def starts(license_id: str, count: int) -> list[CloudEvent]:
    return [told("session.started", session_id=f"{license_id}-{n}", license_id=license_id) for n in range(count)]


class Gate:
    """An ingest without its broker: takes batches in as the process does."""

    def __init__(self, place: Settings, store: EventStore) -> None:
        batches = Batches(store, place, **remembering())
        isolation = Isolation(reject=batches.reject, database_answers=lambda: True, pause=lambda _: None)
        self._take = lambda events: isolation.see_through(batches.take, [delivery(event) for event in events])

    def take(self, *events: CloudEvent) -> list[str]:
        """Reasons of what was not taken in."""
        return [rejected.reason for rejected in self._take(events)]


@pytest.fixture
def gates(place: Settings) -> Iterator[list[Gate]]:
    """Ingests, each with a connection of its own."""
    url = place.database_url.get_secret_value()
    with ExitStack() as stack:
        yield [
            Gate(place, stack.enter_context(EventStore(url, connections=1, name="test gate"))) for _ in range(INGESTS)
        ]


def at_once(gates: list[Gate], parts: list[list[list[CloudEvent]]]) -> None:
    """Each gate takes its batches in, all beginning together."""
    together = threading.Barrier(len(gates))
    failures: list[BaseException] = []

    def run(gate: Gate, batches: list[list[CloudEvent]]) -> None:
        together.wait(30)
        try:
            for batch in batches:
                assert gate.take(*batch) == []
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=each) for each in zip(gates, parts, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures


def outcomes(looking: Database, license_id: str) -> Counter[str]:
    """How many sessions of the license were started and how many denied, by the log."""
    query = """
        select name, count(*) from event_store.licensing_events
        where name in ('session.started', 'session.denied') and data->>'license_id' = %s group by name
    """
    return Counter(dict(looking.connection.execute(query, [license_id]).fetchall()))


def denials(store: EventStore, looking: Database, license_id: str) -> list[SessionDenied]:
    query = (
        "select stream_id from event_store.licensing_events where name = 'session.denied' and data->>'license_id' = %s"
    )
    streams = [stream for (stream,) in looking.connection.execute(query, [license_id])]
    events = [event for story in store.load(Log.LICENSING, streams).values() for event in story]
    return [event for event in events if isinstance(event, SessionDenied)]


@pytest.mark.system
def test_fifty_parallel_starts_on_ten_seats_give_ten_sessions_and_forty_recorded_denials(
    start: Starting, emitter: Emitter, looking: Database, store: EventStore
) -> None:
    license_id = f"L-{uuid4()}"
    processes = [start(ingest_batch_messages=3) for _ in range(INGESTS)]
    eventually(lambda: processes[0].says("ingest consumes", times=INGESTS))
    emitter.emit(license_message(license_id))
    eventually(lambda: looking.licenses(license_id))
    emitter.emit_all(starts(license_id, 50), mode=Mode.STRUCTURED)
    eventually(lambda: outcomes(looking, license_id).total() == 50)
    assert outcomes(looking, license_id) == {"session.started": 10, "session.denied": 40}
    found = denials(store, looking, license_id)
    assert {(each.reason, each.seats, each.limit, each.taken) for each in found} == {("no_seat", 10, 10, 10)}
    assert len({each.session_id for each in found}) == 40
    assert looking.reasons(license_id) == []
    first = next(iter(looking.sessions(license_id)))
    emitter.emit(told("session.ended", session_id=f"{license_id}{first}"))
    eventually(lambda: looking.sessions(license_id)[first] == ["session.started", "session.ended"])
    emitter.emit_all(
        [told("session.started", session_id=f"{license_id}-again{n}", license_id=license_id) for n in "ab"]
    )
    eventually(lambda: outcomes(looking, license_id).total() == 52)
    assert outcomes(looking, license_id)["session.started"] == 11
    assert [process.stop() for process in processes] == [0] * INGESTS
    assert seat_differences(looking.connection) == []


@pytest.mark.parametrize(
    ("overage", "seats", "admitted"),
    [
        (Overage.NONE, 10, 10),
        (Overage.ONE_AND_A_QUARTER, 10, 12),
        (Overage.ONE_AND_A_QUARTER, 3, 3),
        (Overage.ONE_AND_A_HALF, 10, 15),
        (Overage.ONE_AND_A_HALF, 5, 7),
        (Overage.TWICE, 10, 20),
        (Overage.ALWAYS, 10, 40),
        (Overage.NONE, None, 40),
    ],
    ids=["none", "1.25x of 10", "1.25x of 3", "1.5x of 10", "1.5x of 5", "2x", "always", "no number of seats"],
)
def test_each_overage_lets_its_share_in_whoever_comes_at_once(
    gates: list[Gate], looking: Database, *, overage: Overage, seats: int | None, admitted: int
) -> None:
    license_id = f"L-{uuid4()}"
    gates[0].take(license_message(license_id, seats=seats, overage=overage))
    asked = starts(license_id, 40)
    at_once(gates, [[asked[n : n + 2] for n in range(10 * gate, 10 * gate + 10, 2)] for gate in range(INGESTS)])
    assert outcomes(looking, license_id)["session.started"] == admitted
    assert outcomes(looking, license_id)["session.denied"] == 40 - admitted
    query = """
        select (data->>'seat')::int from event_store.licensing_events
        where name = 'session.started' and data->>'license_id' = %s order by 1
    """
    numbers = [seat for (seat,) in looking.connection.execute(query, [license_id])]
    assert numbers == ([None] * 40 if seats is None else list(range(1, admitted + 1)))


def test_a_denied_start_told_again_is_the_same_denial(gates: list[Gate], looking: Database) -> None:
    license_id = f"L-{uuid4()}"
    first, second = starts(license_id, 2)
    gates[0].take(license_message(license_id, seats=1), first, second)
    gates[0].take(told("session.ended", session_id=f"{license_id}-0"))
    assert gates[1].take(second, second) == []  # there would be room now; but it has been answered
    assert outcomes(looking, license_id) == {"session.started": 1, "session.denied": 1}
    (anew,) = starts(license_id, 2)[1:]
    gates[1].take(anew)
    assert outcomes(looking, license_id) == {"session.started": 2, "session.denied": 1}


def test_a_license_with_fewer_seats_than_are_taken_throws_nobody_out_and_lets_nobody_in(
    gates: list[Gate], looking: Database
) -> None:
    license_id = f"L-{uuid4()}"
    asked = starts(license_id, 6)
    gates[0].take(license_message(license_id, seats=None), *asked[:3])
    gates[0].take(told("license.seats_changed", license_id=license_id, seats=2), asked[3])
    gates[0].take(told("session.ended", session_id=f"{license_id}-0"), asked[4])
    gates[0].take(told("session.ended", session_id=f"{license_id}-1"), asked[5])
    assert list(looking.sessions(f"{license_id}-")) == ["0", "1", "2", "5"]
    assert seat_differences(looking.connection) == []


Step = tuple[str, int]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seats=st.one_of(st.none(), st.integers(1, 4)),
    overage=st.sampled_from(Overage),
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from(["start", "end", "seats"]), st.integers(0, 7)), max_size=6), max_size=6
    ),
)
def test_any_history_gives_the_seats_that_counting_on_fingers_gives(
    gates: list[Gate], looking: Database, seats: int | None, overage: Overage, batches: list[list[Step]]
) -> None:
    """The model knows a set of names and a number; it knows no events."""
    license_id = f"L-{uuid4()}"
    factor: dict[str, float] = {"none": 1, "1.25x": 1.25, "1.5x": 1.5, "2x": 2, "always": float("inf")}
    holding: set[str] = set()
    gone: set[str] = set()
    denied = 0
    gates[0].take(license_message(license_id, seats=seats, overage=overage))
    for number, batch in enumerate(batches):
        messages: list[Any] = []
        for step, which in batch:
            name = f"{license_id}-{which}"
            if step == "start":
                messages.append(told("session.started", session_id=name, license_id=license_id))
                if name in holding | gone:
                    continue
                if seats is None or len(holding) + 1 <= seats * factor[overage.value]:
                    holding.add(name)
                else:
                    denied += 1
            elif step == "end":
                messages.append(told("session.ended", session_id=name))
                if name in holding:
                    holding.remove(name)
                    gone.add(name)
            else:
                messages.append(told("license.seats_changed", license_id=license_id, seats=which or None))
                seats = which or None
        gates[number % len(gates)].take(*messages)
    held = looking.connection.execute("select session_id from event_store.seats where license_id = %s", [license_id])
    assert {session_id for (session_id,) in held} == holding
    assert outcomes(looking, license_id) == Counter(
        {name: n for name, n in {"session.started": len(holding | gone), "session.denied": denied}.items() if n}
    )
