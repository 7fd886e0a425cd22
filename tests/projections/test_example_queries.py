"""The example queries of docs/analytics.md, each with the answer that the logs give without any read model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import starmap
from pathlib import Path
from typing import Any

import pytest

from domain.aggregate import Event
from domain.chain import TaskChainRecorded, steps_of
from domain.failure_alert import AlertSent
from domain.heartbeat import WatermarkPassed
from domain.license import License
from domain.license_events import LicenseNoticeSent, LicenseSeatsChanged
from domain.license_policy import LicensePolicy, OnLapse, Resurrection
from domain.notice import NoticeEvent, alert_notice, license_notice
from domain.run import END_NAMES
from domain.schedule_events import ScheduleFired, ScheduleFiredByHand, ScheduleSlotSkipped, ScheduleSlotsMissed
from domain.session import Session, Silence
from domain.session_denial import SessionDenied
from domain.task_run import SLOT_END, AttemptEvent, TaskOutcomeIgnored, TaskReceived, attempt_slot, order_of
from infra import database
from infra.database import migrate
from infra.event_store import EventStore, Log
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.queries import aggregate_usage, count_heartbeat_minutes
from tests.infra.databases import fresh_database
from tests.projections.facts import Facts, RunFacts, SessionFacts, binned, sessions_told
from tests.projections.histories import History, at, changes, minted, requested, signature, told
from tests.projections.test_as_of import recorded_at_random
from tests.projections.world import World

DOCS = Path(__file__).parents[2] / "docs"
QUERIES = sorted((DOCS / "analytics").glob("*.sql"))
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Rows = list[tuple[Any, ...]]
ANSWERS: dict[str, Callable[[Facts], Rows]] = {}


def answers(function: Callable[[Facts], Rows]) -> Callable[[Facts], Rows]:
    """This is what the query of the same name has to say."""
    ANSWERS[function.__name__] = function
    return function


def tell(world: World) -> None:
    """A fleet's log of some weeks: licenses, sessions, heartbeats, tasks; some of it recorded days later."""
    for log, events in History(11, size=40).chunks():
        world.store.append(log, events)
    held = License.issue("roomy", valid_until=at(86_400 * 90), at=at(0), seats=2)
    lived: list[Event] = changes(License.issue("idle", valid_until=at(86_400 * 90), at=at(0), seats=9))
    for number in range(6):
        start = at(3600 * 7 * number)
        session = Session.start(f"long-{number}", under=held, default_patience=6 * MINUTE, at=start)
        if number % 3:
            session.end(reason="signed out", at=start + 9 * HOUR * number)
        lived += changes(session)
    lived += seats_given_away()
    held.suspend(reason="late", at=at(86_400 * 12))
    world.record(Log.LICENSING, *changes(held), *lived)
    world.record(Log.HEARTBEATS, WatermarkPassed.at(at(86_400 * 4), marker_id=minted("late")))
    for number in range(4):  # half of them after the license was suspended
        world.record(Log.TASKS, requested(minted("x", number), 86_400 * 8 * number, license_id="roomy"))
    ran = {"attempt": 1, "worker": "w0"}
    died = told(minted("x", 0), "lost", 11, error_type="WorkerLost", error="died", **ran)
    world.record(Log.TASKS, told(minted("x", 0), "started", 4, **ran), died)
    chains(world)
    for log in Log:
        recorded_at_random(world, log, 11)


def seats_given_away() -> list[Event]:
    """One seat that two sessions have in turn, the first of them twice; and one that is kept through a lapse."""
    found: list[Event] = []
    for name, rule in (("narrow", OnLapse.END), ("keeping", OnLapse.KEEP)):
        policy = LicensePolicy(name=name, on_lapse=rule, resurrection=Resurrection.ALWAYS)
        one = License.issue(name, valid_until=at(86_400 * 90), at=at(0), seats=1, policy=policy)
        first = Session.start(f"{name}-1", under=one, default_patience=6 * MINUTE, at=at(600))
        first.lapse(Silence(at(2400), last_heartbeat_at=at(1200)))
        second = Session.start(f"{name}-2", under=one, default_patience=6 * MINUTE, at=at(2400))
        second.end(reason="signed out", at=at(3000))
        if rule is OnLapse.END:
            first.resume(heartbeat_at=at(3300))

            first.lapse(Silence(at(9000), last_heartbeat_at=at(7800)))
        found += [*changes(one), *changes(first), *changes(second)]
    return found


def chains(world: World) -> None:
    """Chains of three that end in each way there is, or are under way."""
    for number, ends in enumerate(
        (("succeeded",) * 3, ("succeeded", "failed"), ("failed",), ("revoked",), ("succeeded",))
    ):
        runs = [str(minted("chain", number, step)) for step in range(3)]
        plan = {"links": [signature("ship", run) for run in runs[1:]], "args": [], "kwargs": {}}
        story: list[Event] = [told(runs[0], "chain_recorded", number, attempt=1, **plan)]
        for step, (run, end) in enumerate(zip(runs, ends, strict=False)):
            why = {} if end == "succeeded" else {"error_type": "OSError", "error": "away"}
            story += [told(run, "started", 10 * step, attempt=1), told(run, end, 10 * step + 5, attempt=1, **why)]
        world.record(Log.TASKS, *story, correlation_id=runs[0])


@pytest.fixture(scope="module")
def asked(servers: Settings) -> Iterator[tuple[Facts, dict[str, Rows]]]:
    """What the logs tell, and what the queries say."""
    with fresh_database(servers) as settings:
        migrate(settings)
        engine = database.engine(settings, name="test")
        url = settings.database_url.get_secret_value()
        with EventStore(url, name="test") as store, engine.connect() as connection:
            world = World(store, connection)
            tell(world)
            world.catch_up()
            aggregate_usage(world.psycopg)
            count_heartbeat_minutes(world.psycopg, within=MINUTE)
            with connection.begin():
                said = {file.stem: world.psycopg.execute(file.read_bytes()).fetchall() for file in QUERIES}
            yield Facts(store), said
        engine.dispose()


def as_found(value: Any) -> Any:
    """Numbers alike, whatever their type; moments in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value if value is None or isinstance(value, bool | str) else pytest.approx(float(value), abs=1e-3)


@pytest.mark.parametrize("name", [file.stem for file in QUERIES])
def test_a_query_s_answer_is_what_the_logs_tell(asked: tuple[Facts, dict[str, Rows]], name: str) -> None:
    facts, said = asked
    expected = ANSWERS[name](facts)
    assert expected, "nothing is asked of this story"
    assert [tuple(map(as_found, row)) for row in expected] == [tuple(map(as_said, row)) for row in said[name]]


def as_said(value: Any) -> Any:
    """The same of what a query says."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return value if value is None or isinstance(value, bool | str) else float(value)


def test_every_query_says_what_it_answers_and_is_named_in_the_documentation() -> None:
    page = (DOCS / "analytics.md").read_text()
    assert len(QUERIES) >= 15
    for file in QUERIES:
        question = file.read_text().splitlines()[0]
        assert question.startswith("-- "), file
        assert question.endswith("?"), file
        assert f"[{question.removeprefix('-- ')}](analytics/{file.name})" in page, file


# What the logs tell ---------------------------------------------------------------------------------------------------


def grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    found = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return dict(sorted(found.items(), key=lambda pair: str(pair[0])))


def percentile(values: list[float], part: float) -> float:
    """Between the two nearest values, in proportion."""
    place = part * (len(values) - 1)
    ordered, low = sorted(values), int(place)
    high = min(low + 1, len(values) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def seconds(begins: datetime, ends: datetime) -> float:
    return (ends - begins).total_seconds()


def hourly(facts: Facts) -> dict[tuple[datetime, str], int]:
    """The most seats that were taken at one instant of each hour, instant by instant."""
    pieces = grouped(
        ((hour, session.license_id), (session, *piece))
        for session in facts.sessions
        for hour, piece in facts.pieces(session, HOUR).items()
    )
    return {
        key: max(
            sum(begins <= instant < ends and session.has_seat(instant) for session, begins, ends in told)
            for instant in seats_taken_at(told)
        )
        for key, told in pieces.items()
    }


def seats_taken_at(pieces: list[tuple[SessionFacts, datetime, datetime]]) -> list[datetime]:
    """When seats were taken: by the sessions that began or went on there, and by those that came back."""
    begins = min(begins for _, begins, _ in pieces)
    ends = max(ends for *_, ends in pieces)
    returns = [lapse.back_at for session, *_ in pieces for lapse in session.lapses if lapse.back_at]
    return [at for _, at, _ in pieces] + [at for at in returns if begins <= at < ends]


@answers
def peak_seats_by_hour(facts: Facts) -> Rows:
    seats = {name: found.seats for name, found in facts.licenses().items()}
    return [
        (hour, license_id, peak, seats[license_id], peak > (seats[license_id] or 0))
        for (hour, license_id), peak in sorted(hourly(facts).items())
    ]


@answers
def busiest_hour_of_each_license(facts: Facts) -> Rows:
    of_license = grouped((license_id, (-peak, hour)) for (hour, license_id), peak in hourly(facts).items())
    return [(license_id, hour, -peak) for license_id, found in of_license.items() for peak, hour in [min(found)]]


def denied(facts: Facts) -> list[SessionDenied]:
    return [each.event for each in facts.licensing if isinstance(each.event, SessionDenied)]


@answers
def denials(facts: Facts) -> Rows:
    found = grouped(((each.license_id, each.wish.value, each.reason.value), each.timestamp) for each in denied(facts))
    return [(*key, len(times), max(times)) for key, times in sorted(found.items())]


@answers
def slots_by_schedule(facts: Facts) -> Rows:
    outcomes = {
        ScheduleFired: "fired",
        ScheduleFiredByHand: "fired_by_hand",
        ScheduleSlotSkipped: "skipped",
        ScheduleSlotsMissed: "missed",
    }
    events: list[Any] = [each.event for each in facts.licensing if type(each.event) in outcomes]
    slots, latest = Counter[tuple[str, str]](), dict[tuple[str, str], float]()
    for event in events:
        key = (event.schedule, outcomes[type(event)])
        slots[key] += event.slots if isinstance(event, ScheduleSlotsMissed) else 1
        if isinstance(event, ScheduleFired):
            latest[key] = max(latest.get(key, 0.0), (event.timestamp - event.slot_at).total_seconds())
    return [(*key, slots[key], latest.get(key)) for key in sorted(slots)]


@answers
def denials_and_peaks_by_hour(facts: Facts) -> Rows:
    peaks = hourly(facts)
    found = grouped(
        ((binned(each.timestamp, HOUR), each.license_id), each.limit)
        for each in denied(facts)
        if each.reason.value == "no_seat"
    )
    return [
        (*key, len(limits), max((each for each in limits if each is not None), default=None), peaks.get(key))
        for key, limits in sorted(found.items())
    ]


@answers
def session_hours_by_month(facts: Facts) -> Rows:
    lived, started = defaultdict(float), Counter[tuple[str, datetime]]()
    for session in facts.sessions:
        started[session.license_id, _month(session.started_at)] += 1
        for day, piece in facts.pieces(session, DAY).items():
            lived[session.license_id, _month(day)] += seconds(*piece)
    return [(*key, round(lived[key] / 3600, 3), started[key]) for key in sorted(lived)]


def _month(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@answers
def session_churn_by_day(facts: Facts) -> Rows:
    days = defaultdict[datetime, Counter[str]](Counter)
    for session in facts.sessions:
        days[binned(session.started_at, DAY)]["started"] += 1
        if session.ended_at and session.state == "ended":
            days[binned(session.ended_at, DAY)]["ended"] += 1
        for lapse in session.lapses:
            days[binned(lapse.at, DAY)]["lapsed"] += 1
    return [(day, found["started"], found["ended"], found["lapsed"]) for day, found in sorted(days.items())]


@answers
def time_to_lapse(facts: Facts) -> Rows:
    lived = grouped(
        (each.license_id, seconds(lapse.alive_since, lapse.at)) for each in facts.sessions for lapse in each.lapses
    )
    return [(name, len(found), percentile(found, 0.5), percentile(found, 0.9)) for name, found in lived.items()]


@answers
def time_until_a_lapse_is_found(facts: Facts) -> Rows:
    found = [seconds(lapse.at, lapse.judged_at) for each in facts.sessions for lapse in each.lapses]
    return [(percentile(found, 0.5), max(found))]


@answers
def sessions_that_came_back(facts: Facts) -> Rows:
    lapsed = [each for each in facts.sessions if each.lapses]
    back = sum(any(lapse.back_at for lapse in each.lapses) for each in lapsed)
    return [(len(lapsed), back, round(back / len(lapsed), 4))]


@answers
def active_licenses_by_day(facts: Facts) -> Rows:
    days = grouped(
        (day, (session.license_id, seconds(*piece)))
        for session in facts.sessions
        for day, piece in facts.pieces(session, DAY).items()
    )
    return [
        (day, len({name for name, _ in told}), len(told), round(sum(lived for _, lived in told) / 3600, 3))
        for day, told in days.items()
    ]


@answers
def licenses_by_state(facts: Facts) -> Rows:
    names = [each.event for each in facts.licensing]
    renewals = Counter(event.originator_id for event in names if event.name == "license.renewed")
    notices = Counter(event.originator_id for event in names if event.name == "license.notice_sent")
    states = grouped((found.state.value, found.id) for found in facts.licenses().values())
    return [
        (state, len(found), sum(renewals[name] for name in found), sum(notices[name] for name in found))
        for state, found in states.items()
    ]


@answers
def license_churn_by_month(facts: Facts) -> Rows:
    told_of = Counter((_month(each.event.timestamp), each.event.name) for each in facts.licensing)
    kinds = [f"license.{kind}" for kind in ("issued", "renewed", "expired", "revoked")]
    changing = {each.event.name for each in facts.licensing if each.event.name.startswith("license.")} - {
        "license.expiring_soon",
        "license.notice_sent",
    }
    months = sorted({month for month, name in told_of if name in changing})
    return [(month, *(told_of[month, kind] for kind in kinds)) for month in months]


@answers
def who_changed_seats(facts: Facts) -> Rows:
    found = [
        (each.event.timestamp, each.event.originator_id.removeprefix("license-"), each.event.originator_version, each)
        for each in facts.licensing
        if isinstance(each.event, LicenseSeatsChanged)
    ]
    return [
        (name, at_, each.event.previous_seats, each.event.seats, each.event.reason)
        for at_, name, _, each in sorted(found, key=lambda row: row[:3])
    ]


@answers
def policies(facts: Facts) -> Rows:
    lapsed = Counter(session.license_id for session in facts.sessions if session.lapses)
    found = grouped((each.policy, name) for name, each in facts.licenses().items())
    rows = [
        (each.name, each.expiry.value, each.patience_seconds, len(names), sum(lapsed[name] for name in names))
        for each, names in found.items()
    ]
    return sorted(rows, key=lambda row: (row[0], row[1], row[2] or 0))


@answers
def unused_licenses(facts: Facts) -> Rows:
    used = {session.license_id for session in facts.sessions}
    return [
        (name, found.seats, found.valid_until)
        for name, found in sorted(facts.licenses().items())
        if found.state.value == "active" and name not in used
    ]


def attempts(run: RunFacts) -> dict[int, dict[str, Any]]:
    """The attempts of a run by number, each with its events by name; an end that is told twice counts once."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for event in run.events:
        if isinstance(event, AttemptEvent) and not isinstance(event, TaskReceived):
            found[event.attempt]["end" if event.name in END_NAMES else event.name.removeprefix("task.")] = event
    return found


def ended_by(told_of: dict[str, Any]) -> Any:
    """What an attempt came to; None while that is open."""
    return told_of.get("end") or told_of.get("retry_scheduled") or told_of.get("wait_began")


@answers
def task_cost_per_license(facts: Facts) -> Rows:
    costs: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for run in facts.runs:
        for told_of in attempts(run).values():
            began, outcome = told_of.get("started"), ended_by(told_of)
            if run.license_id and began and outcome:
                took = getattr(outcome, "runtime_seconds", None)
                costs[run.license_id, began.task].append(
                    (run.run_id, seconds(began.timestamp, outcome.timestamp) if took is None else took)
                )
            elif run.license_id and began:
                costs[run.license_id, began.task].append((run.run_id, 0.0))
    return [
        (*key, len({run for run, _ in told_of}), len(told_of), sum(cost for _, cost in told_of))
        for key, told_of in sorted(costs.items())
    ]


@answers
def task_waits_by_tier(facts: Facts) -> Rows:
    waits = grouped(
        (asked_for[0].tier, [seconds(asked_for[0].timestamp, min(each.timestamp for each in began))] if began else [])
        for run in facts.runs
        for asked_for, began in [(run.named("requested"), run.named("started"))]
        if asked_for
    )
    return [
        (tier, len(found), percentile(found, 0.5), percentile(found, 0.95))
        for tier, told_of in waits.items()
        for found in [[wait for waited in told_of for wait in waited]]
    ]


@answers
def where_time_goes(facts: Facts) -> Rows:
    spent = grouped((asked_for[0].tier, walked(run)) for run in ended(facts) if (asked_for := run.named("requested")))
    parts = ("dispatch", "queue", "prefetched", "running", "retry_wait", "held", "waiting")
    return [
        (tier, len(found), *(sum(each[part] for each in found) / len(found) for part in parts))
        for tier, found in spent.items()
    ]


def walked(run: RunFacts) -> dict[str, float]:
    """Where the run was, instant by instant; what is told to be earlier than what came before takes no time."""
    spent: dict[str, float] = defaultdict(float)
    now, where, delay = run.named("requested")[0].timestamp, "dispatch", timedelta(0)
    for moment, then, next_delay in instants(run):
        passed = max(timedelta(0), moment - now)
        if where == "retry_wait":
            spent["queue"] += (passed - min(passed, delay)).total_seconds()
            passed = min(passed, delay)
        spent[where] += passed.total_seconds()
        now, where, delay = max(now, moment), then, next_delay
    return spent


def instants(run: RunFacts) -> Iterator[tuple[datetime, str, timedelta]]:
    """When the run came to where it then was; a hold's place among those of its attempt is that of its time."""
    telling = [e for e in run.events if order_of(e.slot()) <= SLOT_END and e.name != TaskOutcomeIgnored.TOPIC]
    of_workers = [e.timestamp for e in run.named("received", "started")]
    of_workers += [e.received_at for e in run.named("started") if e.received_at is not None]
    for event in sorted(telling, key=place):
        match event.name.removeprefix("task."):
            case "requested":
                yield event.timestamp, "dispatch", timedelta(0)
            case "published":
                yield min([event.timestamp, *of_workers]), "queue", timedelta(0)
            case "received":
                yield event.timestamp, "held", timedelta(0)
            case "started":
                yield event.received_at or event.timestamp, "prefetched", timedelta(0)
                yield event.timestamp, "running", timedelta(0)
            case "retry_scheduled":
                yield event.timestamp, "retry_wait", timedelta(seconds=event.delay_seconds)
            case "wait_began":
                yield event.timestamp, "waiting", timedelta(0)
            case "wait_satisfied" | "wait_timed_out":
                yield event.timestamp, "queue", timedelta(0)
            case _:
                yield event.timestamp, "", timedelta(0)


def place(event: Any) -> tuple[int, datetime]:
    is_hold = isinstance(event, TaskReceived)
    return (attempt_slot(event.attempt, 0) if is_hold else order_of(event.slot())), event.timestamp


def ended(facts: Facts) -> list[RunFacts]:
    return [run for run in facts.runs if f"task.{run.state}" in END_NAMES]


@answers
def task_outcomes(facts: Facts) -> Rows:
    told_of = grouped(((run.events[0].task, run.state), max(attempts(run), default=0)) for run in ended(facts))
    return [(*key, len(found), round(sum(found) / len(found), 2)) for key, found in sorted(told_of.items())]


@answers
def failures_by_error(facts: Facts) -> Rows:
    told_of = grouped(
        ((end.task, getattr(end, "error_type", None)), end.timestamp)
        for run in ended(facts)
        if run.state != "succeeded"
        for end in run.named(run.state)[-1:]
    )
    rows = [(*key, len(found), max(found)) for key, found in told_of.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1] is None, row[1]))


@answers
def attempts_that_came_to_nothing(facts: Facts) -> Rows:
    last: list[Any] = [
        told_of["retry_scheduled"]
        for run in facts.runs
        for told_of in attempts(run).values()
        if "retry_scheduled" in told_of and "end" not in told_of
    ]
    told_by = grouped((each.spent_by, each) for each in last)
    return [
        (cause, len(found), sum(each.is_spared for each in found), sum(each.delay_seconds for each in found))
        for cause, found in told_by.items()
    ]


@answers
def runs_accepted_by_hour(facts: Facts) -> Rows:
    done = {run.run_id for run in ended(facts)}
    found = grouped(
        ((binned(asked_for[0].timestamp, HOUR), asked_for[0].tier), run.run_id not in done)
        for run in facts.runs
        for asked_for in [run.named("requested")]
        if asked_for
    )
    return [(*key, len(told_of), sum(told_of)) for key, told_of in sorted(found.items())]


def chains_told(facts: Facts) -> Iterator[list[RunFacts | None]]:
    """Of each chain that is a story of its own the runs of its steps; None: nothing is told of it."""
    runs = {run.run_id: run for run in facts.runs}
    for each in facts.tasks:
        if isinstance(each.event, TaskChainRecorded) and each.metadata["correlation_id"] in runs:
            yield [runs.get(step.run_id) for step in steps_of(each.event)]


@answers
def chains_by_first_task(facts: Facts) -> Rows:
    found = []
    for first, *others in chains_told(facts):
        assert first is not None
        states = [run.state for run in (first, *others) if run is not None]
        bad = [state for state in states if state != "succeeded"]
        state = bad[0] if bad else "running" if None in others else "succeeded"
        found.append(((first.events[0].task, state), others.count(None) if bad else 0))
    return [(*key, len(each), sum(each)) for key, each in sorted(grouped(found).items())]


@answers
def where_chains_stop(facts: Facts) -> Rows:
    found = Counter(
        (number, run.events[0].task, run.state, run.named(run.state)[-1].error_type)
        for steps in chains_told(facts)
        for number, run in enumerate(steps, 1)
        if run is not None and f"task.{run.state}" in END_NAMES and run.state != "succeeded"
    )
    return [(*key, count) for key, count in sorted(found.items())]


@answers
def dead_letters(facts: Facts) -> Rows:
    found = []
    for run in facts.runs:
        for letter in run.named("dead_lettered"):
            decided = run.named("letter_replayed", "letter_discarded")
            last = max(decided, key=lambda event: event.number, default=None)
            state = "open" if last is None else last.name.removeprefix("task.letter_")
            found.append(((letter.reason, state), state == "replayed"))
    return [(*key, len(told_of), sum(told_of)) for key, told_of in grouped(found).items()]


@answers
def what_became_of_replays(facts: Facts) -> Rows:
    states = {run.run_id: run.state for run in facts.runs}
    found = grouped((event.replay_id, event.new_run_id) for run in facts.runs for event in run.named("letter_replayed"))
    return [
        (batch, len(runs), sum(run in states for run in runs), sum(states.get(run) == "succeeded" for run in runs))
        for batch, runs in found.items()
    ]


@answers
def messages_not_taken_in(facts: Facts) -> Rows:
    found = Counter((event.reason, event.message_type, event.source) for event in facts.refused)
    return [(*key, count) for key, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0][0]))]


@answers
def notices_by_outcome(facts: Facts) -> Rows:
    found: dict[tuple[str, str], list[NoticeEvent]] = defaultdict(list)
    remembered = set()
    for each in [*facts.licensing, *facts.tasks]:
        match each.event:
            case NoticeEvent():
                found[each.event.template, each.event.cause].append(each.event)
            case LicenseNoticeSent():
                remembered.add(license_notice(each.event.originator_id.removeprefix("license-"), each.event.notice_id))
            case AlertSent():
                remembered.add(alert_notice(each.event.originator_id))
    states = defaultdict(list)
    for notice in sorted({*found, *remembered}):
        told_of = sorted(found[notice], key=lambda event: event.originator_version)
        names = [event.name.removeprefix("notice.") for event in told_of]
        state = "sent" if notice in remembered or "sent" in names else names[-1]
        states[notice[0], state].append(Counter(names))
    return [
        (*key, len(each), sum(told_of["refused"] for told_of in each), sum(told_of["failed"] for told_of in each))
        for key, each in sorted(states.items())
    ]


@answers
def heartbeat_minutes(facts: Facts) -> Rows:
    licenses = {session.session_id: session.license_id for session in facts.sessions}
    found = grouped(
        ((licenses[beat.session_id], binned(beat.at, MINUTE)), seconds(beat.at, recorded_at))
        for beat, recorded_at in facts.beats
        if beat.session_id in licenses
    )
    return [(*key, len(delays), max(delays)) for key, delays in sorted(found.items())]


@answers
def work_for_licenses_that_were_not_active(facts: Facts) -> Rows:
    rows = []
    for run in facts.runs:
        first = run.events[0]
        then = facts.licenses(until=first.timestamp).get(run.license_id or "")
        if then and then.state.value != "active":
            rows.append((run.run_id, first.task, first.timestamp, then.license_id, then.state.value))
    return sorted(rows)


@answers
def sessions_known_by_then(facts: Facts) -> Rows:
    then = datetime(2026, 3, 2, tzinfo=UTC)
    known: list[SessionFacts] = sessions_told([each for each in facts.licensing if each.recorded_at <= then])
    return sorted((each.session_id, each.state, each.ended_at) for each in known if each.state == "lapsed")


@answers
def freshness(facts: Facts) -> Rows:
    del facts  # everything was looked at, and nothing put aside
    return list(
        starmap(
            lambda name, log: (name, log, 0, 0, 0),
            sorted((each.name, log.value) for each in PROJECTIONS.values() for log in each.follows),
        )
    )
