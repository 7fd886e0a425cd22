"""A lapsed session that comes back has to win a seat again; without one it stays lapsed, and that is recorded once."""

from __future__ import annotations

import threading
from uuid import uuid4

import msgspec
import pytest

from domain.license import License
from domain.license_policy import LicensePolicy, OnLapse, Overage
from domain.session_denial import SessionDenied
from domain.session_events import SessionResumed
from infra.event_store import Log
from tasks.catalog.judging import Judgement, Outcome
from tasks.catalog.license_sessions import end_sessions
from tasks.catalog.sessions import sweep
from tests.tasks.catalog.fleet import CAUSE, Fleet, after


@pytest.fixture
def seated(fleet: Fleet) -> License:
    """A license with one seat."""
    return license_of(fleet, seats=1)


def license_of(
    fleet: Fleet, *, seats: int | None, overage: Overage = Overage.NONE, on_lapse: OnLapse = OnLapse.END
) -> License:
    policy = LicensePolicy(overage=overage, on_lapse=on_lapse)
    made = License.issue("lic-seats", valid_until=after(50_000), at=after(-9), seats=seats, policy=policy)
    fleet.record(made)
    return made


def swept(fleet: Fleet) -> Judgement:
    return sweep(fleet.store, fleet.engine, cause=msgspec.structs.replace(CAUSE, id=uuid4()))


def lapse(fleet: Fleet, *names: str, under: License) -> None:
    """Start sessions and let them fall silent."""
    fleet.start(*names, under=under)
    fleet.pass_time(minutes=7)
    assert swept(fleet).recorded["session.lapsed"] == len(names)


def come_back(fleet: Fleet, *names: str, minutes: float = 8) -> Judgement:
    fleet.beat(names, minutes=minutes)
    fleet.pass_time(minutes=minutes + 0.1)
    return swept(fleet)


def denials(fleet: Fleet) -> list[SessionDenied]:
    page = fleet.store.read(Log.LICENSING, after=0, limit=10_000, names=(SessionDenied.TOPIC,))
    return [each.event for each in page.events if isinstance(each.event, SessionDenied)]


def test_a_session_that_comes_back_takes_the_seat_that_is_free(fleet: Fleet, seated: License) -> None:
    lapse(fleet, "back", under=seated)
    assert come_back(fleet, "back").outcomes == {Outcome.CHANGED: 1}
    resumed = fleet.events("back")[-1]
    assert isinstance(resumed, SessionResumed)
    assert (resumed.seat, resumed.seats) == (1, 1)
    assert not denials(fleet)


def test_a_session_whose_seat_was_given_away_stays_lapsed_and_is_denied_once_for_the_lapse(
    fleet: Fleet, seated: License
) -> None:
    lapse(fleet, "back", under=seated)
    fleet.start("other", minutes=7.5, under=seated)
    for minutes in (8, 9, 10):
        fleet.beat(["other"], minutes=minutes)
        assert come_back(fleet, "back", minutes=minutes).outcomes == {Outcome.REFUSED: 1}
    assert fleet.names("back") == ["session.started", "session.lapsed"]
    (denied,) = denials(fleet)
    assert (denied.session_id, denied.license_id, denied.wish, denied.reason) == (
        "back",
        "lic-seats",
        "resume",
        "no_seat",
    )
    assert (denied.seats, denied.limit, denied.taken, denied.timestamp) == (1, 1, 1, after(8))


def test_a_seat_that_becomes_free_within_the_window_is_won(fleet: Fleet, seated: License) -> None:
    lapse(fleet, "back", under=seated)
    fleet.start("other", minutes=7.5, under=seated)
    come_back(fleet, "back", minutes=8)
    fleet.end("other", minutes=8.5)
    assert come_back(fleet, "back", minutes=9).outcomes == {Outcome.CHANGED: 1}
    assert fleet.names("back") == ["session.started", "session.lapsed", "session.resumed"]
    assert fleet.events("back")[-1].timestamp == after(9)  # and not 8, when the other one had the seat
    fleet.pass_time(minutes=60)
    swept(fleet)
    assert fleet.names("back")[3:] == ["session.lapsed"]
    assert fleet.events("back")[-1].timestamp == after(9)


def test_one_that_was_denied_and_is_silent_again_wins_no_seat_that_others_had_meanwhile(
    fleet: Fleet, seated: License
) -> None:
    lapse(fleet, "back", under=seated)
    fleet.start("other", minutes=7.5, under=seated)
    come_back(fleet, "back", minutes=8)
    fleet.beat(["other"], minutes=13)
    fleet.end("other", minutes=18)
    fleet.pass_time(minutes=60)
    assert swept(fleet).outcomes == {Outcome.REFUSED: 1}
    assert fleet.names("back") == ["session.started", "session.lapsed"]


def test_one_that_came_back_and_is_silent_again_used_its_seat_though_nobody_looked(
    fleet: Fleet, seated: License
) -> None:
    lapse(fleet, "back", under=seated)
    fleet.beat(["back"], minutes=8)
    fleet.pass_time(minutes=60)
    swept(fleet)
    assert fleet.names("back") == ["session.started", "session.lapsed", "session.resumed", "session.lapsed"]


def test_of_two_that_came_back_the_first_one_wins_the_seat(fleet: Fleet, seated: License) -> None:
    lapse(fleet, "a", "b", under=seated)
    fleet.beat(["b"], minutes=8)
    fleet.beat(["a"], minutes=9)
    fleet.pass_time(minutes=9.1)
    swept(fleet)
    assert [fleet.names(name)[-1] for name in ("a", "b")] == ["session.lapsed", "session.resumed"]
    assert [each.session_id for each in denials(fleet)] == ["a"]


def test_a_seat_that_is_given_back_in_the_same_sweep_goes_to_whoever_came_back_first(
    fleet: Fleet, seated: License
) -> None:
    lapse(fleet, "first", "second", under=seated)
    fleet.start("third", minutes=7.5, under=seated)
    fleet.beat(["second"], minutes=14)
    fleet.beat(["first"], minutes=14.5)
    fleet.pass_time(minutes=14.6)
    swept(fleet)
    assert fleet.names("third")[-1] == "session.lapsed"
    assert fleet.names("second")[-1] == "session.resumed"
    assert [each.session_id for each in denials(fleet)] == ["first"]


def test_nobody_wins_a_seat_of_a_license_whose_use_has_ended(fleet: Fleet, seated: License) -> None:
    lapse(fleet, "back", under=seated)
    seated.revoke(reason="terms broken", at=after(7.5))
    fleet.record(seated)
    assert come_back(fleet, "back").recorded == {}
    assert fleet.names("back") == ["session.started", "session.lapsed"]
    (denied,) = denials(fleet)
    assert (denied.wish, denied.reason, denied.taken) == ("resume", "revoked", 0)


def test_a_session_that_waits_for_a_seat_ends_with_the_license_however_long_it_has_waited(
    fleet: Fleet, seated: License
) -> None:
    lapse(fleet, "back", under=seated)
    fleet.start("other", minutes=7.5, under=seated)
    fleet.beat(["other"], minutes=8)
    come_back(fleet, "back", minutes=8)
    revoked_at = after(3 * 24 * 60)
    seated.revoke(reason="terms broken", at=revoked_at)
    fleet.record(seated)
    fleet.project()
    end_sessions(fleet.store, fleet.engine, "lic-seats", at=revoked_at, reason="license revoked", cause=CAUSE)
    assert [fleet.names(name)[-1] for name in ("back", "other")] == ["session.ended"] * 2


def test_a_session_that_keeps_its_seat_need_not_win_it(fleet: Fleet) -> None:
    kept = license_of(fleet, seats=1, on_lapse=OnLapse.KEEP)
    lapse(fleet, "back", under=kept)
    assert come_back(fleet, "back").outcomes == {Outcome.CHANGED: 1}
    resumed = fleet.events("back")[-1]
    assert isinstance(resumed, SessionResumed)
    assert resumed.seat is None
    assert not denials(fleet)


@pytest.mark.parametrize(
    ("seats", "overage", "won"),
    [(2, Overage.NONE, 2), (2, Overage.ONE_AND_A_HALF, 3), (2, Overage.ALWAYS, 5), (None, Overage.NONE, 5)],
    ids=["none", "1.5x", "always", "no number of seats"],
)
def test_of_several_that_come_back_at_once_as_many_win_as_there_are_seats(
    fleet: Fleet, *, seats: int | None, overage: Overage, won: int
) -> None:
    names = [f"s{n}" for n in range(5)]
    lapse(fleet, *names, under=license_of(fleet, seats=seats, overage=overage))
    assert come_back(fleet, *names).outcomes[Outcome.CHANGED] == won
    assert len(denials(fleet)) == 5 - won
    resumed = [fleet.events(name)[-1] for name in names]
    numbers = sorted(event.seat or 0 for event in resumed if isinstance(event, SessionResumed))
    assert numbers == ([0] * 5 if seats is None else list(range(1, won + 1)))


def test_sweeps_at_once_give_away_no_seat_twice(fleet: Fleet) -> None:
    names = [f"s{n}" for n in range(12)]
    lapse(fleet, *names, under=license_of(fleet, seats=5))
    fleet.beat(names, minutes=8)
    fleet.pass_time(minutes=8.1)
    together = threading.Barrier(4)
    failures: list[BaseException] = []

    def run() -> None:
        together.wait(30)
        try:
            assert swept(fleet).outcomes[Outcome.FAILED] == 0
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert sum(fleet.names(name)[-1] == "session.resumed" for name in names) == 5
    assert len(denials(fleet)) == 7
