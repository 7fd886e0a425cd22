"""Dead letters over HTTP: what was decided is seen by whoever asks with the position that was answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra import database
from infra.event_store import EventStore
from infra.web.role import Role
from tests.infra.web.face import Face
from tests.tasks.dead_letters.morgue import Morgue

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def morgue(served: Face) -> Iterator[Morgue]:
    engine = database.engine(served.settings, name="test", connections=1)
    with EventStore(served.settings.database_url.get_secret_value(), name="test") as store:
        yield Morgue(served.settings, store, engine)
    engine.dispose()


def test_a_decision_about_dead_letters_answers_the_position_that_shows_it(served: Face, morgue: Morgue) -> None:
    again, over = morgue.bury(requested=True), morgue.bury(requested=True)
    replay = {"run_ids": [again], "reason": "the gateway is back"}
    replayed = served.post("/dead-letters/replays", replay, role=Role.OPERATOR).value
    assert replayed["done"].keys() == {again}
    discarded = served.post("/dead-letters/discards", {"run_ids": [over], "reason": "of no use"}).value
    assert (discarded["done"], discarded["position"] > replayed["position"]) == ({over: "bill.charge"}, True)

    def listed(state: str, position: int) -> list[str]:
        told = served.get(f"/dead-letters?state={state}&min_position={position}", role=Role.VIEWER).value
        return [row["run_id"] for row in told]

    assert listed("replayed", replayed["position"]) == [again]
    assert listed("discarded", discarded["position"]) == [over]
    assert listed("open", discarded["position"]) == []
    repeated = served.post("/dead-letters/replays", {**replay, "replay_id": replayed["replay_id"]}).value
    assert repeated == replayed


def test_a_list_of_dead_letters_that_is_behind_says_so(served: Face) -> None:
    told = served.get(f"/dead-letters?min_position={2**62}")
    assert (told.status, told.value["code"]) == (409, "still_behind")
