from types import SimpleNamespace
from typing import Any

from kombu.asynchronous.semaphore import LaxBoundedSemaphore

from tasks.worker.line import Line


def request(name: str, priority: int | None) -> Any:
    return SimpleNamespace(name=name, delivery_info={"priority": priority})


def test_the_most_urgent_goes_first_and_among_equals_the_first_to_come() -> None:
    semaphore, begun = LaxBoundedSemaphore(1), []
    line = Line(semaphore)
    for name, priority in [("taken", 0), ("low", 1), ("none", None), ("high", 5), ("high later", 5)]:
        semaphore.acquire(lambda asked: begun.append(asked.name), request(name, priority))
    assert (begun, len(line)) == (["taken"], 4)
    for _ in range(5):
        semaphore.release()
    assert begun == ["taken", "high", "high later", "low", "none"]
    assert line.is_empty()
    assert semaphore.value == 1


def test_who_is_sent_away_is_not_called() -> None:
    semaphore, begun = LaxBoundedSemaphore(1), []
    line = Line(semaphore)
    for name in ("taken", "first", "second"):
        semaphore.acquire(lambda asked: begun.append(asked.name), request(name, 1))
    assert [asked.name for asked in line.leave()] == ["first", "second"]
    semaphore.release()
    assert begun == ["taken"]


def test_a_lost_connection_empties_the_line() -> None:
    semaphore = LaxBoundedSemaphore(1)
    line = Line(semaphore)
    for name in ("taken", "first"):
        semaphore.acquire(lambda _asked: None, request(name, 1))
    semaphore.clear()
    assert line.is_empty()
