import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from infra.broker.errors import BrokerUnreachableError
from infra.health.component import Component, Status
from infra.health.lookout import Lookout, Sight
from tests.waiting import eventually

WELL = {"server": Component(Status.HEALTHY), "part": Component(Status.HEALTHY)}


def hidden(text: str) -> str:
    return text.replace("sesame", "***")


class Scripted(Sight):
    """Looks the way a test says."""

    names = ("server", "part")

    def __init__(self) -> None:
        self.looks = 0
        self.closed = False
        self.then: Callable[[], None] = lambda: None

    def look(self) -> dict[str, Component]:
        self.looks += 1
        self.then()
        return WELL

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def sight() -> Scripted:
    return Scripted()


@pytest.fixture
def lookout(sight: Scripted) -> Iterator[Lookout]:
    made = Lookout(sight, interval_seconds=0.01, patience_seconds=0.2, redact=hidden)
    made.start()
    yield made
    made.stop()
    made.join(5)
    assert sight.closed


def statuses(lookout: Lookout) -> list[str]:
    return [component.status.value for component in lookout.components().values()]


def test_a_server_that_hangs_has_one_look_waiting_for_it_and_nobody_who_asks_waits(
    sight: Scripted, lookout: Lookout
) -> None:
    let_go = Event()

    def hang() -> None:
        assert let_go.wait(20)

    sight.then = hang
    eventually(lambda: statuses(lookout) == ["unhealthy", "unhealthy"])
    looks, began = sight.looks, time.monotonic()
    for _ in range(1000):
        lookout.components()
    assert time.monotonic() - began < 0.5
    assert sight.looks == looks
    assert lookout.components()["server"].detail == "no answer for 0.2 s and more"
    assert lookout.components()["part"].detail == "not known without the server"
    let_go.set()
    eventually(lambda: statuses(lookout) == ["healthy", "healthy"])


def test_since_is_when_the_status_changed_and_not_when_it_was_seen_last(sight: Scripted, lookout: Lookout) -> None:
    def away() -> None:
        raise BrokerUnreachableError("gone\n  fishing with sesame")

    eventually(lambda: statuses(lookout) == ["healthy", "healthy"])
    healthy_since = lookout.components()["server"].since
    sight.then = away
    eventually(lambda: lookout.components()["server"].detail == "gone fishing with ***")
    away_since, looks = lookout.components()["server"].since, sight.looks
    eventually(lambda: sight.looks > looks + 3)
    assert lookout.components()["server"].since == away_since
    assert healthy_since is not None
    assert away_since is not None
    assert away_since > healthy_since


def test_a_look_that_breaks_ends_no_lookout(sight: Scripted, lookout: Lookout) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    sight.then = broken
    eventually(lambda: "ZeroDivisionError" in (lookout.components()["server"].detail or ""))
    sight.then = lambda: None
    eventually(lambda: statuses(lookout) == ["healthy", "healthy"])


def test_before_the_first_look_nothing_is_called_healthy(sight: Scripted) -> None:
    unstarted = Lookout(sight, interval_seconds=1, patience_seconds=1, redact=hidden)
    assert statuses(unstarted) == ["unhealthy", "unhealthy"]
    assert unstarted.components()["server"].detail == "not looked at yet"
