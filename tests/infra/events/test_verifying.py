"""What somebody with all rights in the database does to a log, and what verifying says of it."""

# ruff: noqa: S608  forging rows is what these tests do

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

from infra.event_store import EventStore, Log
from infra.events import sealing
from infra.events.finding import Fault, Head
from infra.events.seal import Leaf, Seal, make_seal
from infra.events.sealing import SealDoubtfulError, seal_all, seal_next
from infra.events.seals import SealTable
from infra.events.verifying import verify
from tests.infra.event_store.facts import facts
from tests.infra.events.conftest import Connection, Run
from tests.infra.events.happenings import beats, record, started

KEY = b"a key that only the sealer has"
OTHER_KEY = b"a key that somebody has made up"
Forge = Callable[..., None]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four events under a seal, so that a few events make a chain."""
    monkeypatch.setattr(sealing, "BLOCK_EVENTS", dict.fromkeys(Log, 4))


@pytest.fixture
def seals(connection: Connection) -> SealTable:
    return SealTable(connection)


@pytest.fixture
def forge(connection: Connection) -> Forge:
    """Execute a statement that the append-only triggers would refuse."""

    def forged(statement: str, log: Log = Log.TASKS) -> None:
        with connection.transaction():
            connection.execute("set local ledgerq.maintenance = on")
            query = SQL(statement).format(table=Identifier("event_store", log.table))  # type: ignore[arg-type]
            assert connection.execute(query).rowcount > 0, "the forgery missed"

    return forged


def present() -> datetime:
    return datetime.now(UTC)


def sealed(seals: SealTable, log: Log = Log.TASKS, *, key: bytes | None = None) -> list[Seal]:
    return list(seal_all(seals, log, now=present(), key=key))


def found(
    seals: SealTable, log: Log = Log.TASKS, *, key: bytes | None = None, heads: tuple[Head, ...] = ()
) -> list[tuple[Fault, int]]:
    return [(each.fault, each.position) for each in verify(seals, log, key=key, heads=heads).findings]


def seals_head(seals: SealTable) -> str:
    last = seals.last(Log.TASKS)
    assert last is not None
    return last.head


@pytest.mark.parametrize("log", Log)
def test_a_log_that_nobody_touched_agrees_with_its_seals(store: EventStore, seals: SealTable, log: Log) -> None:
    store.append(log, facts("s", range(1, 11)))
    made = sealed(seals, log)
    assert [each.event_count for each in made] == [4, 4, 2]
    store.append(log, facts("s", range(11, 14)))
    told = verify(seals, log)
    assert (told.findings, told.events, told.seals, told.upto, told.unsealed) == ([], 10, 3, 10, 3)


@pytest.mark.parametrize("log", Log)
@pytest.mark.parametrize(
    "change",
    [
        "stream_id = stream_id || 'x'",
        "version = version + 1000",
        "name = 'task.failed'",
        "data = jsonb_set(data, '{{amount}}', '7')",
        'metadata = \'{{"actor": "somebody else"}}\'',
        "event_id = gen_random_uuid()",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "recorded_at = recorded_at - interval '1 microsecond'",
        "occurred_at = 'infinity'",
    ],
)
def test_an_altered_column_is_found_and_its_position_named(
    store: EventStore, seals: SealTable, forge: Forge, log: Log, change: str
) -> None:
    store.append(log, facts("s", range(1, 11)))
    sealed(seals, log)
    forge(f"update {{table}} set {change} where position = 6", log)
    assert found(seals, log) == [(Fault.ALTERED, 6)]


@pytest.mark.parametrize("position", [1, 4, 5, 10])
def test_a_removed_row_is_found_and_its_position_named(
    store: EventStore, seals: SealTable, forge: Forge, position: int
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    sealed(seals)
    forge(f"delete from {{table}} where position = {position}")
    assert found(seals) == [(Fault.REMOVED, position)]


@pytest.mark.parametrize("position", [-3, 0, 5])
def test_an_inserted_row_is_found_and_its_position_named(
    store: EventStore, seals: SealTable, forge: Forge, connection: Connection, position: int
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 5)))
    connection.execute("select nextval('event_store.task_events_position_seq')")  # a hole at 5
    store.append(Log.TASKS, facts("s", range(5, 8)))
    sealed(seals)
    forge(
        "insert into {table} (position, stream_id, version, name, data, event_id, occurred_at) overriding system value"
        f" select {position}, 'smuggled', 1, name, data, gen_random_uuid(), now() from {{table}} where position = 1"
    )
    assert found(seals) == [(Fault.INSERTED, position)]


def test_two_rows_that_change_places_are_both_named(store: EventStore, seals: SealTable, forge: Forge) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    sealed(seals)
    forge("update {table} set version = -version where position in (2, 7)")
    forge("update {table} set version = case position when 2 then 7 else 2 end where version < 0")
    assert found(seals) == [(Fault.ALTERED, 2), (Fault.ALTERED, 7)]


def test_who_makes_up_the_seal_of_what_was_altered_breaks_the_chain(
    store: EventStore, seals: SealTable, forge: Forge
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    made = sealed(seals)
    forge("update {table} set name = 'task.failed' where position = 6")
    leaves = seals.leaves(Log.TASKS, after=4, upto=8)
    false = make_seal(Log.TASKS, leaves, previous=made[0], sealed_at=made[1].sealed_at, key=None)
    forge(
        f"update event_store.seals set hash = '\\x{false.hash.hex()}', leaves = '\\x{false.leaves.hex()}'"
        " where number = 2"
    )
    assert found(seals) == [(Fault.SEAL, 10)]


def test_who_also_makes_the_next_seal_follow_it_has_to_make_that_one_up_too(
    store: EventStore, seals: SealTable, forge: Forge
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    made = sealed(seals)
    false = make_seal(
        Log.TASKS, seals.leaves(Log.TASKS, after=4, upto=8), previous=made[0], sealed_at=present(), key=None
    )
    forge(
        f"update event_store.seals set hash = '\\x{false.hash.hex()}', sealed_at = '{false.sealed_at.isoformat()}'"
        " where number = 2"
    )
    forge(f"update event_store.seals set previous = '\\x{false.hash.hex()}' where number = 3")
    assert found(seals) == [(Fault.SEAL, 10)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("delete from event_store.seals where number = 2", [(Fault.SEAL, 10)]),
        ("update event_store.seals set leaves = leaves || leaves where number = 2", [(Fault.SEAL, 8)]),
        ("update event_store.seals set sealed_at = sealed_at - interval '1 day' where number = 2", [(Fault.SEAL, 8)]),
        (
            "update event_store.seals set hash = sha256('x') where number = 2",
            [(Fault.SEAL, 8), (Fault.SEAL, 10)],
        ),
    ],
)
def test_a_seal_that_was_touched_is_named_and_no_event_is_blamed(
    store: EventStore, seals: SealTable, forge: Forge, change: str, expected: list[tuple[Fault, int]]
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    sealed(seals)
    forge(change)
    assert found(seals) == expected


def forge_everything(forge: Forge, seals: SealTable, *, key: bytes | None) -> None:
    """Alter an event and make all seals anew: whoever has all rights in the database can."""
    forge("update {table} set name = 'task.failed' where position = 6")
    forge("delete from event_store.seals where number > 1")
    list(seal_all(seals, Log.TASKS, now=present(), key=key, adopt=True))


def test_who_makes_all_seals_anew_is_caught_by_a_head_that_was_published(
    store: EventStore, seals: SealTable, forge: Forge
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    published = Head.parse(sealed(seals)[-1].head)
    assert found(seals, heads=(published,)) == []
    forge_everything(forge, seals, key=None)
    assert found(seals) == []
    assert found(seals, heads=(published,)) == [(Fault.HEAD, 10)]
    present_head = Head.parse(seals_head(seals))
    earlier = published._replace(position=4)
    assert found(seals, heads=(present_head, published, earlier)) == [(Fault.HEAD, 10), (Fault.HEAD, 4)]


def test_who_makes_all_seals_anew_without_the_key_is_caught_by_the_signatures(
    store: EventStore, seals: SealTable, forge: Forge
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    sealed(seals, key=KEY)
    assert found(seals, key=KEY) == []
    forge_everything(forge, seals, key=OTHER_KEY)
    assert found(seals, key=KEY) == [(Fault.SIGNATURE, 8), (Fault.SIGNATURE, 10)]
    forge_everything(forge, seals, key=None)
    assert found(seals, key=KEY) == [(Fault.SIGNATURE, 8), (Fault.SIGNATURE, 10)]
    forge("update event_store.seals set signature = null where signature is not null")
    assert found(seals, key=KEY) == [(Fault.SIGNATURE, 10)]


def test_the_sealer_does_not_go_on_from_a_seal_that_somebody_else_may_have_made(
    store: EventStore, seals: SealTable
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 3)))
    sealed(seals)
    store.append(Log.TASKS, facts("s", range(3, 5)))
    with pytest.raises(SealDoubtfulError, match=r"seal 1 of log tasks is not signed.*--adopt"):
        sealed(seals, key=KEY)
    assert len(list(seal_all(seals, Log.TASKS, now=present(), key=KEY, adopt=True))) == 1
    store.append(Log.TASKS, facts("s", range(5, 7)))
    with pytest.raises(SealDoubtfulError, match="there is no LEDGERQ_SEAL_KEY"):
        sealed(seals)
    with pytest.raises(SealDoubtfulError, match="another key"):
        sealed(seals, key=OTHER_KEY)
    assert len(sealed(seals, key=KEY)) == 1
    assert found(seals, key=KEY) == []


def test_what_is_not_final_is_not_sealed(store: EventStore, seals: SealTable) -> None:
    store.append(Log.TASKS, facts("s", range(1, 3)))
    with store.transaction() as slow:
        slow.append(Log.TASKS, facts("slow", [1]))
        store.append(Log.TASKS, facts("s", range(3, 6)))
        assert [each.upto_position for each in sealed(seals)] == [2]
    assert [each.upto_position for each in sealed(seals)] == [6]
    assert found(seals) == []


def test_a_block_is_sealed_when_it_is_full_or_its_first_event_has_waited(store: EventStore, seals: SealTable) -> None:
    wait = timedelta(hours=1)
    store.append(Log.TASKS, facts("s", range(1, 4)))
    assert seal_next(seals, Log.TASKS, now=present(), wait=wait, key=None) is None
    store.append(Log.TASKS, facts("s", [4, 5]))
    full = seal_next(seals, Log.TASKS, now=present(), wait=wait, key=None)
    assert full is not None
    assert full.upto_position == 4
    assert seal_next(seals, Log.TASKS, now=present(), wait=wait, key=None) is None
    late = seal_next(seals, Log.TASKS, now=present() + timedelta(hours=2), wait=wait, key=None)
    assert late is not None
    assert late.upto_position == 5


def test_of_two_sealers_one_seals_and_the_other_learns_it(store: EventStore, seals: SealTable) -> None:
    store.append(Log.TASKS, facts("s", range(1, 5)))
    leaves = seals.leaves(Log.TASKS, after=0, upto=4)
    both = [make_seal(Log.TASKS, leaves, previous=None, sealed_at=present(), key=None) for _ in range(2)]
    assert [seals.add(each) for each in both] == [True, False]
    assert found(seals) == []


def test_seals_cannot_be_changed_but_by_maintenance(
    store: EventStore, seals: SealTable, connection: Connection
) -> None:
    store.append(Log.TASKS, facts("s", [1]))
    sealed(seals)
    with pytest.raises(Exception, match="append-only"):
        connection.execute("delete from event_store.seals")


def test_a_digest_covers_where_one_text_ends_and_the_next_begins(
    store: EventStore, seals: SealTable, forge: Forge
) -> None:
    store.append(Log.TASKS, facts("s", [1]))
    sealed(seals)
    forge("update {table} set stream_id = 'si', name = substr(name, 2) where position = 1")
    assert found(seals) == [(Fault.ALTERED, 1)]


def test_a_seal_names_its_log_so_that_one_cannot_stand_in_for_another() -> None:
    leaves, at = [Leaf(1, bytes(32))], present()
    tasks, licensing = (
        make_seal(log, leaves, previous=None, sealed_at=at, key=None) for log in (Log.TASKS, Log.LICENSING)
    )
    assert tasks.hash != licensing.hash


def test_the_commands_seal_print_heads_and_verify(store: EventStore, run: Run, forge: Forge) -> None:
    record(store, Log.TASKS, started("a"), started("b"))
    record(store, Log.HEARTBEATS, beats("s1"))
    assert run("seal").stdout.splitlines() == [
        "licensing: 0 events sealed, up to position 0",
        "tasks: 2 events sealed, up to position 2",
        "heartbeats: 1 events sealed, up to position 1",
    ]
    heads = run("seal", "--print-head").stdout.splitlines()
    assert [head.rsplit(":", 1)[0] for head in heads] == ["tasks:2", "heartbeats:1"]
    fine = run("verify", *(part for head in heads for part in ("--head", head)))
    assert fine.exit_code == 0, fine.output
    assert "tasks: 2 events and 1 seals agree, up to position 2; 0 newer ones are not sealed yet" in fine.stdout
    forge("delete from {table} where position = 2")
    broken = run("verify", "--log", "tasks")
    assert broken.exit_code == 1
    assert "removed: the event at position 2 was removed after seal 1 was made" in broken.stdout
    assert run("verify", "--log", "heartbeats").exit_code == 0
    assert '"position": 2' in run("verify", "--json").stdout


@pytest.mark.parametrize("head", ["tasks", "elephants:1:00", "tasks:one:00", "tasks:1:00"])
def test_what_is_no_head_is_refused(run: Run, head: str) -> None:
    done = run("verify", "--head", head)
    assert done.exit_code == 2
    assert re.search(rf"'{head}' is no head", done.stderr)


def test_how_far_a_log_is_sealed_and_what_waits_can_be_asked_in_sql(
    store: EventStore, seals: SealTable, connection: Connection
) -> None:
    question = (
        "select seal_count, sealed_position, is_signed, waiting_since_at from analytics.meta_seals where log = %s"
    )

    def asked(log: Log) -> tuple[object, ...]:
        row = connection.execute(question, (log.value,)).fetchone()
        assert row is not None
        return row

    store.append(Log.TASKS, facts("s", range(1, 7)))
    events = store.read(Log.TASKS, after=0, limit=10).events
    assert asked(Log.TASKS) == (0, 0, False, events[0].recorded_at)
    seal_next(seals, Log.TASKS, now=present(), wait=timedelta(), key=KEY)
    assert asked(Log.TASKS) == (1, 4, True, events[4].recorded_at)
    sealed(seals, key=KEY)
    assert asked(Log.TASKS) == (2, 6, True, None)
    assert asked(Log.HEARTBEATS) == (0, 0, False, None)
    store.append(Log.HEARTBEATS, facts("s", [1]))
    assert asked(Log.HEARTBEATS)[3] is not None


def test_a_head_of_a_log_that_is_left_out_is_refused_and_one_in_a_file_is_told_of(
    store: EventStore, run: Run, tmp_path: Path
) -> None:
    record(store, Log.TASKS, started("r1"))
    (head,) = run("seal", "--print-head").stdout.splitlines()
    other = f"licensing:5:{'00' * 32}"
    refused = run("verify", "--log", "tasks", "--head", head, "--head", other)
    assert (refused.exit_code, f"1 heads were not looked for: {other}" in refused.stderr) == (2, True)
    file = tmp_path / "heads"
    file.write_text(f"{head}\n{other}\n")
    told = run("verify", "--log", "tasks", "--heads", str(file), "--json")
    assert (told.exit_code, told.stderr) == (0, f"1 of the 2 heads in {file} were not looked for\n")
    assert [each["heads"] for each in json.loads(told.stdout)] == [[head]]
    assert run("verify", "--log", "licensing", "--heads", str(file)).exit_code == 1
    file.write_bytes(b"\xff")
    assert f"{file} is no file of heads" in run("verify", "--heads", str(file)).stderr
