"""What sweeps record is what an observer who never looks away would have, however many look and when."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.blindness import BlindWindow, BlindWindowPassed
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.license import License
from domain.session import Session, Silence
from domain.session_events import SessionLapsed, SessionState
from projections.heard import Beat
from projections.moments import NEVER, microseconds
from projections.returns import Return
from projections.standing import Standing
from tasks.catalog.sessions import sweep
from tests.tasks.catalog.fleet import CAUSE, NOON, PATIENCE, Fleet, after
from tests.tasks.catalog.stories import NAMES, Beats, End, Fact, Mark, Start, Step, observed, story

Looks = Callable[[random.Random], bool]
ALWAYS: Looks = lambda _: True  # noqa: E731
SELDOM: Looks = lambda chance: chance.random() < 0.1  # noqa: E731
ONCE: Looks = lambda _: False  # noqa: E731


def moment(microseconds_: int) -> datetime | None:
    return None if microseconds_ == NEVER else NOON + (microseconds_ - microseconds(NOON)) * (after(1) - NOON) / 60e6


class OnPaper:
    """The sessions of a story without a store: their silences come from the same fold that the projection uses."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.standings = {name: Standing(name) for name in NAMES}
        self.blind: list[BlindWindow] = []
        self.log_time = NOON

    def tell(self, step: Step) -> None:
        match step:
            case Start(name, at, policy):
                under = License.issue("L", valid_until=after(1e6), at=after(-1), policy=policy)
                self.sessions[name] = Session.start(name, under=under, default_patience=PATIENCE, at=at)
            case Beats(beats, at):
                for name, claimed in beats:
                    beat = Beat(microseconds(claimed), microseconds(self.log_time), microseconds(at))
                    self.standings[name].take(beat)
            case Mark(at, since):
                self.log_time = at
                if since is not None:
                    self.blind.append(BlindWindow(since, at))
            case End(name, at):
                self.look()
                self.sessions[name].end(reason="signed out", at=at)

    def look(self) -> None:
        for name, session in self.sessions.items():
            standing = self.standings[name]
            for each in [*standing.returns, Return(name, NEVER, NEVER, standing.last, standing.heard_at, NEVER)]:
                back, last, heard, log_time = map(moment, each[2:])
                session.judge(Silence(log_time or self.log_time, last, heard, back), blind=self.blind)


def facts(events: list[object]) -> list[Fact]:
    found = []
    for event in events:
        over = event.patience_over_at if isinstance(event, SessionLapsed) else None
        found.append((event.name, event.timestamp, over))  # type: ignore[attr-defined]
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), looks=st.sampled_from([ALWAYS, SELDOM, ONCE]))
def test_every_silence_is_judged_as_by_an_observer_who_never_looks_away(seed: int, looks: Looks) -> None:
    chance = random.Random(seed)
    told = story(chance)
    on_paper = OnPaper()
    for step in told:
        on_paper.tell(step)
        if looks(chance):
            on_paper.look()
    on_paper.look()
    decided = {name: facts(list(session.collect_events())) for name, session in on_paper.sessions.items()}
    assert decided == observed(told)


def swept(fleet: Fleet) -> None:
    fleet.project()
    sweep(fleet.store, fleet.engine, cause=msgspec.structs.replace(CAUSE, id=uuid4()), batch=2)


def told_to(fleet: Fleet, step: Step) -> None:
    match step:
        case Start(name, at, policy):
            under = License.issue(f"lic-{name}", valid_until=after(1e6), at=after(-1), policy=policy)
            fleet.record(Session.start(name, under=under, default_patience=PATIENCE, at=at))
        case Beats(beats, at):
            received = HeartbeatsReceived.of([Heartbeat(*beat) for beat in beats], batch_id=uuid4())
            fleet.tell(received, at=at)
        case Mark(at, since):
            marker = uuid4()
            if since is not None:
                fleet.tell(BlindWindowPassed.between(since, at, marker_id=marker), at=at)
            fleet.tell(WatermarkPassed.at(at, marker_id=marker), at=at)
        case End(name, at):
            swept(fleet)
            session = fleet.session(name)
            assert session.state is not SessionState.ENDED
            session.end(reason="signed out", at=at)
            fleet.record(session)


@pytest.mark.parametrize("looks", [ALWAYS, SELDOM, ONCE], ids=["always", "seldom", "once"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_sweeps_over_the_read_model_record_the_same_whenever_they_look(fleet: Fleet, seed: int, looks: Looks) -> None:
    chance = random.Random(seed)
    told = story(chance, length=45)
    for step in told:
        told_to(fleet, step)
        if looks(chance):
            swept(fleet)
    swept(fleet)
    expected = observed(told)
    assert {name: facts(list(fleet.events(name))) for name in expected} == expected
    count = sum(map(len, expected.values()))
    swept(fleet)
    assert sum(len(fleet.events(name)) for name in expected) == count
