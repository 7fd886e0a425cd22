import pytest

from infra.health.component import Component, Status
from infra.health.processes import SINGLE, WORKERS, Limits, Manner, Process, judge, manner

LIMITS = Limits(interval=5, hang_after=60)


def process(of: str = "ingest", /, **said: object) -> Process:
    usual = {"told_seconds": 2.0, "turned_seconds": 2.5, "ready": True, "has_session": True, "up_seconds": 100.0}
    return Process(**{"name": f"{of}@host:1", "process": of, "state": {}, **usual, **said})


def everybody(*, but: str = "") -> list[Process]:
    return [process(name) for name in (*SINGLE, *WORKERS) if name != but]


def judged(*processes: Process) -> dict[str, Component]:
    return judge(processes, LIMITS)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Manner.WORKING),
        ({"ready": False}, Manner.NOT_READY),
        ({"turned_seconds": 61.0}, Manner.HANGS),
        ({"turned_seconds": 59.0}, Manner.WORKING),
        ({"told_seconds": 16.0}, Manner.HANGS),
        ({"told_seconds": 14.0}, Manner.WORKING),
        ({"told_seconds": 16.0, "has_session": False}, Manner.GONE),
        ({"told_seconds": 2.0, "has_session": False}, Manner.WORKING),
    ],
)
def test_how_a_process_is_follows_from_its_silence(said: dict[str, object], expected: Manner) -> None:
    assert manner(process(**said), LIMITS) is expected


def test_all_is_healthy_where_every_process_is_there_and_works() -> None:
    assert {component.status for component in judged(*everybody()).values()} == {Status.HEALTHY}


@pytest.mark.parametrize("name", SINGLE)
def test_a_process_that_is_nowhere_is_unhealthy_and_no_other(name: str) -> None:
    found = judged(*everybody(but=name))
    assert {name for name, component in found.items() if component.status is not Status.HEALTHY} == {name}
    assert found[name].detail == f"no {name} works"


def test_a_tier_that_nobody_serves_makes_celery_unhealthy() -> None:
    celery = judged(*everybody(but="worker-low"))["celery"]
    assert (celery.status, celery.detail) == (Status.UNHEALTHY, "no worker of low works")


def test_a_worker_that_hangs_is_named_and_not_counted_and_another_one_of_its_tier_keeps_it_going() -> None:
    stopped = process("worker-low", name="low@host:2", told_seconds=20.0)
    celery = judged(*everybody(), stopped)["celery"]
    assert (celery.status, celery.detail) == (Status.DEGRADED, "low@host:2 hangs")
    assert celery.facts["workers_count"] == 4
    assert celery.facts["workers"]["low@host:2"]["status"] == "hangs"


def test_what_died_without_a_goodbye_is_nobody() -> None:
    dead = process("scheduler", told_seconds=20.0, has_session=False)
    scheduler = judged(*everybody(but="scheduler"), dead)["scheduler"]
    assert (scheduler.status, scheduler.facts) == (Status.UNHEALTHY, {"processes": {}})


def test_tasks_that_run_are_counted_over_all_workers() -> None:
    at_work = [process(name, state={"active": [{"run_id": name}]}) for name in WORKERS]
    assert judged(*at_work)["celery"].facts["active_tasks"] == 4
