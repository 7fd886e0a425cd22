"""What analysts see of seats: who was denied one, who was let in beyond them, and how many are taken."""

from __future__ import annotations

from datetime import timedelta

from domain.license import License
from domain.license_policy import LicensePolicy, Overage
from domain.session import Session
from domain.session_denial import DenialReason, SessionDenied, Wish
from infra.event_store import Log
from infra.tracing.ids import trace_id
from tests.projections.histories import at, changes, minted
from tests.projections.world import World


def license_of(seats: int, overage: Overage = Overage.NONE) -> License:
    policy = LicensePolicy(overage=overage)
    return License.issue("l1", valid_until=at(86_400), at=at(0), seats=seats, policy=policy)


def test_a_denial_is_listed_with_its_figures(world: World) -> None:
    denied = SessionDenied.record(
        minted("d"),
        DenialReason.NO_SEAT,
        session_id="s7",
        under=license_of(10, Overage.ONE_AND_A_QUARTER),
        taken=12,
        at=at(5),
        wish=Wish.RESUME,
        host="desk-7",
    )
    world.record(Log.LICENSING, denied, correlation_id="denial 7")
    world.catch_up("seat_denials")
    row = world.row("select * from analytics.fct_seat_denials")
    assert row.pop("recorded_at") is not None
    assert row == {
        "denial_id": str(minted("d")),
        "license_id": "l1",
        "session_id": "s7",
        "wish": "resume",
        "reason": "no_seat",
        "seats": 10,
        "seat_limit": 12,
        "seats_taken": 12,
        "host": "desk-7",
        "denied_at": at(5),
        "trace_id": trace_id("denial 7"),
    }


def test_sessions_beyond_the_seats_and_what_is_taken_now_are_told(world: World) -> None:
    under = license_of(2, Overage.ONE_AND_A_HALF)
    sessions = [
        Session.start(f"s{taken}", under=under, default_patience=timedelta(minutes=6), at=at(taken), taken=taken)
        for taken in range(3)
    ]
    denied = SessionDenied.record(minted("d"), DenialReason.NO_SEAT, session_id="s3", under=under, taken=3, at=at(9))
    world.record(Log.LICENSING, *changes(under), *(fact for each in sessions for fact in changes(each)), denied)
    world.catch_up("licenses", "sessions", "seat_denials")
    over = world.row("select session_id, license_id, seat, seats, seats_over from analytics.fct_seat_overages")
    assert over == {"session_id": "s2", "license_id": "l1", "seat": 3, "seats": 2, "seats_over": 1}
    assert world.row("select * from analytics.rpt_seats") == {
        "license_id": "l1",
        "seats": 2,
        "seat_limit": 3,
        "seats_taken": 3,
        "seats_free": 0,
        "seats_over": 1,
        "denial_count": 1,
        "last_denied_at": at(9),
    }


def test_a_limit_of_seats_that_no_integer_holds_is_listed(world: World) -> None:
    most = 2**31 - 1
    under = license_of(most, Overage.TWICE)
    denied = SessionDenied.record(minted("d"), DenialReason.SUSPENDED, session_id="s3", under=under, taken=0, at=at(9))
    world.record(Log.LICENSING, denied)
    world.catch_up("seat_denials")
    row = world.row("select seats, seat_limit from analytics.fct_seat_denials")
    assert row == {"seats": most, "seat_limit": 2 * most}
