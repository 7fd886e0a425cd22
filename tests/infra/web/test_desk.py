"""What requests share does not let a few of them keep all the others waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from infra.web import desk as desk_module
from infra.web.desk import Desk, NoTurnError
from infra.web.operation import Call
from infra.web.role import Role
from infra.web.token import Bearer
from tasks.web.runs import Request, Waiting, request
from tests.infra.web.face import Face

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def desk(served: Face) -> Iterator[Desk]:
    with Desk(served.settings.model_copy(update={"web_connections": 2})) as opened:
        yield opened


def test_who_would_wait_while_half_of_all_threads_wait_is_answered_at_once(desk: Desk) -> None:
    asker = Bearer("a", Role.EMITTER)
    call = Call(desk, asker, {}, Waiting(wait_seconds=30), Request(task="sample.nothing"), {})
    with desk.waiting:
        began = time.monotonic()
        answer = request(call)
    assert (answer.position, time.monotonic() - began < 20) == (None, True)
    assert desk.waiting.acquire(blocking=False), "it was given back"
    desk.waiting.release()


def test_an_emitter_that_is_taken_for_long_is_a_refusal_to_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "TURN_WITHIN_SECONDS", 0.05)
    entered, go = threading.Event(), threading.Event()

    def slow(_events: object) -> int:
        entered.set()
        go.wait(20)
        return 0

    monkeypatch.setattr(desk._emitter, "emit_all", slow)
    first = threading.Thread(target=desk.emit, args=([],))
    first.start()
    try:
        assert entered.wait(20)
        with pytest.raises(NoTurnError, match="nothing was sent"):
            desk.emit([])
    finally:
        go.set()
        first.join()
    desk.emit([])
