from __future__ import annotations

from datetime import UTC, datetime
from threading import Event
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily as Family
from pydantic import SecretStr
from structlog.testing import capture_logs

from domain.cause import Cause
from domain.heartbeat import WatermarkPassed
from domain.task_run import SLOT_REQUESTED, TaskRequested, run_stream
from domain.tier import Tier
from infra.broker.connection import connect
from infra.broker.depths import QueueDepths, QueueState
from infra.broker.errors import BrokerRefusedError
from infra.event_store import EventStore, Log, caused
from infra.metrics import catalog, database_look
from infra.metrics.broker_look import BrokerLook, _nodes
from infra.metrics.platform import PlatformCollector, look_at_host
from infra.settings import Settings
from tests.infra.metrics.scraping import Shown, free_block
from tests.waiting import eventually


def look(settings: Settings) -> Shown:
    registry = CollectorRegistry()
    registry.register(PlatformCollector(settings))
    return Shown(generate_latest(registry).decode())


def by_amqp(settings: Settings) -> Settings:
    return settings.model_copy(update={"management_url": None})


def nobody_there(settings: Settings, *parts: str) -> Settings:
    """The same platform with the addresses of these parts changed to ones where nobody listens."""
    port = free_block()
    changed = {
        "database": {"database_url": SecretStr(f"postgresql://127.0.0.1:{port}/nothing")},
        "broker": {
            "broker_url": SecretStr(f"amqp://guest:guest@127.0.0.1:{port}/nothing"),
            "management_url": SecretStr(f"http://127.0.0.1:{port}"),
        },
    }
    return settings.model_copy(update={name: url for part in parts for name, url in changed[part].items()})


def accept(settings: Settings, tier: Tier, *, many: int) -> None:
    now = datetime.now(UTC)
    with EventStore(settings.database_url.get_secret_value(), name="test") as store, store.transaction() as transaction:
        for _ in range(many):
            run = uuid4()
            requested = TaskRequested(
                originator_id=run_stream(str(run)),
                originator_version=SLOT_REQUESTED,
                timestamp=now,
                task="a.task",
                tier=tier.value,
            )
            transaction.append(Log.TASKS, caused([requested], Cause(id=run, at=now, actor="test")))


def test_the_platform_shows_what_the_table_says_and_nothing_else(platform: Settings) -> None:
    assert look(platform).names == {metric.name for metric in catalog.PLATFORM}


def test_what_waits_in_a_queue_is_seen_with_and_without_the_management_api(platform: Settings) -> None:
    connection = connect(platform, role="test")
    channel = connection.channel()
    for _ in range(3):
        channel.basic_publish("", "unrouted", b"{}")
    try:
        eventually(lambda: look(by_amqp(platform)).value("ledgerq_queue_ready_messages", queue="unrouted") == 3)
        assert look(by_amqp(platform)).value("ledgerq_queue_consumers", queue="tasks.low") == 0
        eventually(lambda: look(platform).value("ledgerq_queue_ready_messages", queue="unrouted") == 3)
        shown = look(platform)
        assert shown.value("ledgerq_queue_unacknowledged_messages", queue="unrouted") == 0
        assert shown.value("ledgerq_broker_alarm", resource="memory") == 0
        assert shown.value("ledgerq_broker_disk_free_bytes") > 0
    finally:
        channel.queue_purge("unrouted")
        connection.close()


def test_accepted_runs_that_nobody_publishes_are_counted_with_the_age_of_the_oldest(platform: Settings) -> None:
    before = look(platform).value("ledgerq_backlog_runs", tier="low")
    accept(platform, Tier.LOW, many=2)
    shown = look(platform)
    assert shown.value("ledgerq_backlog_runs", tier="low") == before + 2
    assert shown.value("ledgerq_backlog_age_seconds", tier="low") > 0
    assert shown.value("ledgerq_backlog_age_seconds", tier="critical") == 0


def test_the_run_that_waits_longest_in_its_queue_is_told_by_its_age(platform: Settings) -> None:
    url = platform.database_url.get_secret_value()
    waiting = """
        insert into read_model.task_runs
            (run_id, accepted_by, accepted_slot, state_slot, accepted_at, recorded_at, task, queue, state, published_at)
        values (%s, 'requested', 0, 0, now(), now(), 'a.task', 'tasks.high', 'published', now() - %s::interval)
    """
    runs = [str(uuid4()), str(uuid4())]
    with psycopg.connect(url, autocommit=True) as connection:
        for run, age in zip(runs, ("90 s", "10 s"), strict=True):
            connection.execute(waiting, (run, age))
        shown = look(platform)
        connection.execute("delete from read_model.task_runs where run_id = any(%s)", (runs,))
    assert 90 <= shown.value("ledgerq_queue_oldest_age_seconds", queue="tasks.high") < 100
    assert shown.value("ledgerq_queue_oldest_age_seconds", queue="tasks.critical") == 0


def test_a_projector_that_is_down_is_seen_as_lag_and_ingest_by_log_time(platform: Settings) -> None:
    at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    with EventStore(platform.database_url.get_secret_value(), name="test") as store:
        cause = Cause(id=uuid4(), at=at, actor="test")
        store.append(Log.HEARTBEATS, caused([WatermarkPassed.at(at, marker_id=cause.id)], cause))
    shown = look(platform)
    assert shown.value("ledgerq_projection_lag_events", projection="sessions", log="heartbeats") > 0
    assert shown.value("ledgerq_projection_lag_seconds", projection="sessions", log="heartbeats") > 0
    assert shown.value("ledgerq_log_time_timestamp_seconds") == at.timestamp()
    assert shown.value("ledgerq_schedule_last_fired_timestamp_seconds") == 0, "no scheduler has ever run"


def test_what_the_database_does_not_say_in_time_is_left_out_and_said_once_and_it_counts_as_up(
    platform: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_look, "QUESTION_SECONDS", 1.0)
    collector = PlatformCollector(platform)
    with (
        psycopg.connect(platform.database_url.get_secret_value()) as connection,
        capture_logs() as told,
    ):
        connection.execute("lock table read_model.parked_events in access exclusive mode")
        looks = [{each.name: each.samples for each in collector.collect()} for _ in range(2)]
    for look_ in looks:
        assert {sample.labels["component"]: sample.value for sample in look_["ledgerq_up"]}["database"] == 1
        assert not look_["ledgerq_projection_lag_seconds"]
        assert look_["ledgerq_backlog_runs"]
        assert look_["ledgerq_database_size_bytes"]
    assert [line["question"] for line in told] == ["how far projections have come"]


def test_a_database_that_says_nothing_in_time_is_one_that_does_not_answer(
    platform: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_look, "WITHIN_SECONDS", 0.0)
    assert look(platform).value("ledgerq_up", component="database") == 0


@pytest.mark.parametrize(
    ("question", "given", "index"),
    [
        (database_look._OLDEST, ([tier.queue for tier in Tier],), "task_runs_waiting"),
        (database_look._LAST_FIRED, (), "licensing_fired"),
    ],
)
def test_a_look_reads_as_little_however_much_is_open_or_recorded(
    platform: Settings, question: str, given: tuple[object, ...], index: str
) -> None:
    with psycopg.connect(platform.database_url.get_secret_value()) as connection:
        connection.execute(
            """
            insert into read_model.task_runs
                (run_id, accepted_by, accepted_slot, state_slot, accepted_at, recorded_at, task, queue, state,
                 published_at)
            select 'open-' || n, 'requested', 0, 0, now(), now(), 'a.task', 'tasks.high',
                case when n % 2 = 0 then 'published' else 'retrying' end, now()
            from generate_series(1, 5000) n
            """
        )
        connection.execute("analyze read_model.task_runs")
        plan = "\n".join(row[0] for row in connection.execute(f"explain {question}".encode(), given))
        connection.rollback()
    assert f"using {index}" in plan
    assert "Seq Scan" not in plan


def test_months_that_are_missing_are_seen(platform: Settings) -> None:
    before = look(platform).value("ledgerq_heartbeat_months_ahead")
    with psycopg.connect(platform.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            "select event_store.make_heartbeat_month((date_trunc('month', now()) + interval '7 months')::date)"
        )
    assert look(platform).value("ledgerq_heartbeat_months_ahead") == before + 1


@pytest.mark.parametrize("part", ["broker", "database"])
def test_a_part_that_is_away_is_shown_to_be_and_the_others_are_looked_at(platform: Settings, part: str) -> None:
    shown = look(nobody_there(platform, part))
    other = "database" if part == "broker" else "broker"
    assert shown.value("ledgerq_up", component=part) == 0
    assert shown.value("ledgerq_up", component=other) == 1
    seen = {"broker": "ledgerq_queue_ready_messages", "database": "ledgerq_log_position"}
    assert shown.value(seen[other]) >= 0
    assert not [sample for sample in shown.samples if sample.name == seen[part]]


def test_a_database_that_is_not_migrated_is_one_that_does_not_answer(servers: Settings) -> None:
    assert look(servers).value("ledgerq_up", component="database") == 0


def test_trouble_is_said_once_and_its_end_too(platform: Settings) -> None:
    collector = PlatformCollector(nobody_there(platform, "broker", "database"))
    with capture_logs() as told:
        for _ in range(3):
            list(collector.collect())
        collector._settings = platform
        for _ in range(2):
            list(collector.collect())
    lines = sorted((line["component"], line["event"]) for line in told)
    assert lines == [
        ("broker", "a component of the platform answers again"),
        ("broker", "a component of the platform does not answer"),
        ("database", "a component of the platform answers again"),
        ("database", "a component of the platform does not answer"),
    ]


def test_a_look_that_stumbles_is_said_once_and_the_other_components_are_shown(platform: Settings) -> None:
    def stumble(settings: Settings) -> list[Family]:
        return [settings.model_dump()["no such setting"]]

    collector = PlatformCollector(platform)
    collector._components["broker"] = stumble
    with capture_logs() as told:
        looks = [{each.name: each.samples for each in collector.collect()} for _ in range(2)]
    for look_ in looks:
        up = {sample.labels["component"]: sample.value for sample in look_["ledgerq_up"]}
        assert up == {"broker": 0, "database": 1, "host": 1}
        assert look_["ledgerq_log_position"]
    assert [(line["component"], isinstance(line["exc_info"], KeyError)) for line in told] == [("broker", True)]


def test_a_component_that_hangs_is_shown_to_be_down_in_time_and_has_one_look_waiting_for_it(
    platform: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.metrics.platform.WITHIN_SECONDS", 0.5)
    let_go, began = Event(), []

    def hang(settings: Settings) -> list[Family]:
        began.append(settings)
        assert let_go.wait(20)
        return []

    def up(collector: PlatformCollector) -> dict[str, float]:
        (found,) = (each for each in collector.collect() if each.name == "ledgerq_up")
        return {sample.labels["component"]: sample.value for sample in found.samples}

    collector = PlatformCollector(platform)
    collector._components = {"database": hang, "host": look_at_host}
    for _ in range(3):
        assert up(collector) == {"database": 0, "host": 1}
    assert len(began) == 1
    let_go.set()
    eventually(lambda: up(collector) == {"database": 1, "host": 1})


def test_a_queue_that_the_user_may_not_ask_for_is_left_out_and_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, refused = [], {"dead"}

    def state(depths: QueueDepths, queue: str) -> QueueState:
        del depths
        asked.append(queue)
        if queue in refused:
            raise BrokerRefusedError(f"access to queue '{queue}' refused")
        return QueueState(0, 1)

    monkeypatch.setattr(QueueDepths, "state", state)
    see, settings = BrokerLook(), by_amqp(Settings())
    for _ in range(2):
        ready, _consumers = see(settings)
        assert {sample.labels["queue"] for sample in ready.samples} == set(asked) - {"dead"}
    assert asked.count("dead") == 1
    refused.add("ingest")
    with pytest.raises(BrokerRefusedError):
        see(settings)


def test_a_node_that_does_not_watch_its_disk_still_tells_of_alarms() -> None:
    unwatched = "disk_free_monitoring_disabled"
    node = {"mem_alarm": True, "disk_free_alarm": False, "disk_free": unwatched, "disk_free_limit": unwatched}
    told = {each.name: [sample.value for sample in each.samples] for each in _nodes([node])}
    assert told == {
        "ledgerq_broker_alarm": [1, 0],
        "ledgerq_broker_disk_free_bytes": [],
        "ledgerq_broker_disk_limit_bytes": [],
    }
