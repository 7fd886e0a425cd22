from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from infra.event_store import EventStore, Log
from infra.events import sealing
from infra.events.archive import Block, digest, read_archive
from infra.events.archiving import ArchiveRefusedError, Span, archive
from infra.events.reading import LogReader
from infra.events.sealing import seal_all
from infra.events.seals import SealTable
from tests.infra.events.conftest import Connection, Run
from tests.infra.events.happenings import at, beats, license_issued, record, recorded_at, started, told

ALWAYS = Span(None, None)
Rewrite = Callable[[Path, Callable[[list[bytes]], list[bytes]]], None]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_EVENTS", dict.fromkeys(Log, 4))


def seal(connection: Connection, log: Log = Log.TASKS) -> list[str]:
    """Seal all there is; the heads."""
    made = seal_all(SealTable(connection), log, now=datetime.now(UTC), key=None)
    return [each.head for each in made]


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change an archive's lines."""
    with gzip.open(path, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    with gzip.open(path, "wb") as file:
        file.writelines(change(lines))


@pytest.fixture
def archived(store: EventStore, connection: Connection, tmp_path: Path) -> Path:
    """Ten events of the tasks log, in three blocks."""
    record(store, Log.TASKS, *(started(f"r{number}", number) for number in range(10)), correlation_id="c")
    seal(connection)
    path = tmp_path / "tasks.jsonl.gz"
    assert archive(connection, Log.TASKS, ALWAYS, to=path) is not None
    return path


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9989, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_an_archive_s_digests_are_those_of_the_database(connection: Connection, tmp_path: Path) -> None:
    seals, reader = SealTable(connection), LogReader(connection)
    paths = (tmp_path / str(number) for number in range(1000))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(texts, texts, st.dictionaries(texts, values, max_size=4), moments, st.integers(0, 2**62))
    def holds(stream: str, name: str, data: dict[str, object], moment: datetime, version: int) -> None:
        with connection.transaction():
            connection.execute(
                "insert into event_store.task_events (stream_id, version, name, data, metadata, event_id, occurred_at)"
                " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
                (stream, version, name, Jsonb(data), Jsonb({"x": data}), uuid4(), moment),
            )
        last = seals.last(Log.TASKS)
        seal(connection)
        after = last.upto_position if last else 0
        rows = [each.row for each in reader.between(Log.TASKS, after, 2**62, limit=10)]
        assert [digest(row) for row in rows] == [
            leaf.digest for leaf in seals.leaves(Log.TASKS, after=after, upto=2**62)
        ]
        path = next(paths)
        archive(connection, Log.TASKS, ALWAYS, to=path)
        assert [row for block in read_archive(path) for row in block.events][-1:] == rows[-1:] or not rows

    holds()
    assert seals.count(Log.TASKS, after=0, upto=2**62) > 20


def test_an_archive_holds_what_the_log_holds(archived: Path, connection: Connection) -> None:
    rows = [each.row for each in LogReader(connection).between(Log.TASKS, 0, 10, limit=3)]
    blocks: list[Block] = list(read_archive(archived))
    assert [row for block in blocks for row in block.events] == rows
    assert [len(block.events) for block in blocks] == [4, 4, 2]
    assert [block.seal for block in blocks] == list(SealTable(connection).all(Log.TASKS))


def test_every_question_is_answered_from_an_archive_without_a_database(
    archived: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_log = {
        command: run(*command.split(), "--json").stdout
        for command in (
            "tail --no-follow --log tasks -n 3",
            "tail --no-follow --since 1h --name task.*",
            "stream r7",
            "correlation c",
        )
    }
    event_id = json.loads(from_log["stream r7"])["event_id"]
    from_log[f"show {event_id}"] = run("show", event_id, "--json").stdout
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    for command, expected in from_log.items():
        done = run(*command.split(), "--json", "--archive", str(archived))
        assert done.stdout == expected != "", command
    filtered = run("tail", "--archive", str(archived), "--stream", "task_run-r3", "--name", "task.st*")
    assert len(filtered.stdout.splitlines()) == 1
    assert run("tail", "--archive", str(archived), "--name", "license.*").stdout == ""
    assert run("verify", "--archive", str(archived)).exit_code == 0


def test_archives_that_overlap_tell_each_event_once(archived: Path, run: Run, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.write_bytes(archived.read_bytes())
    done = run("tail", "--since", "1h", "--archive", str(archived), "--archive", str(again))
    assert len(done.stdout.splitlines()) == 10


def test_an_archive_covers_the_blocks_of_its_time(store: EventStore, connection: Connection, tmp_path: Path) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(12)))
    for position in range(1, 13):
        recorded_at(connection, Log.TASKS, position, at(position * 3600))
    seal(connection)
    hour = timedelta(hours=1)
    spans = [
        (Span(None, at(0) + 8.5 * hour), [1, 2]),  # the second ends with event 8
        (Span(None, at(0) + 8 * hour), [1]),
        (Span(at(0) + 5 * hour, None), [2, 3]),
        (Span(at(0) + 9 * hour, None), [3]),
        (Span(at(0) + 4.5 * hour, at(0) + 9 * hour), [2]),
    ]
    for number, (span, expected) in enumerate(spans):
        path = tmp_path / str(number)
        archive(connection, Log.TASKS, span, to=path)
        assert [block.seal.number for block in read_archive(path)] == expected, span
    nothing = archive(connection, Log.TASKS, Span(at(0) + 13 * hour, None), to=tmp_path / "none")
    assert (nothing, (tmp_path / "none").exists()) == (None, False)


def test_an_archive_has_no_holes_where_events_were_recorded_a_little_out_of_order(
    store: EventStore, connection: Connection, tmp_path: Path
) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(12)))
    for position in range(1, 13):
        seconds = -3600 if position < 4 else 1 if position == 4 else -1 if position < 9 else 10
        recorded_at(connection, Log.TASKS, position, at(seconds))
    seal(connection)
    archive(connection, Log.TASKS, Span(at(0), None), to=tmp_path / "a")
    assert [block.seal.number for block in read_archive(tmp_path / "a")] == [1, 2, 3]


@pytest.mark.usefixtures("archived")
@pytest.mark.parametrize(("since", "events"), [("0001-01-01", 10), ("9999-12-31T23:59:59", 0)])
def test_an_archive_may_begin_at_the_ends_of_time(run: Run, tmp_path: Path, since: str, events: int) -> None:
    again = tmp_path / "again"
    done = run("archive", str(again), "--log", "tasks", "--since", since)
    assert (done.exit_code, again.exists()) == ((0, True) if events else (1, False)), done.exception
    assert (f"{events} events of log tasks" in done.stdout) is bool(events)


@pytest.mark.usefixtures("archived")
def test_archiving_leaves_the_files_beside_the_archive_as_they_are(connection: Connection, tmp_path: Path) -> None:
    beside = tmp_path / "a.part"
    beside.write_text("somebody's")
    before = set(tmp_path.iterdir())
    assert archive(connection, Log.TASKS, ALWAYS, to=tmp_path / "a") is not None
    assert beside.read_text() == "somebody's"
    assert set(tmp_path.iterdir()) - before == {tmp_path / "a"}


@pytest.mark.usefixtures("archived")
def test_an_archive_may_have_a_name_that_is_no_text(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a\udcff"
    done = run("archive", str(path), "--log", "tasks")
    assert (done.exit_code, path.exists()) == (0, True), done.exception
    assert run("verify", "--archive", str(path)).exit_code == 0


def test_a_log_that_was_changed_is_not_archived(store: EventStore, connection: Connection, tmp_path: Path) -> None:
    record(store, Log.TASKS, *(started(f"r{number}") for number in range(6)))
    seal(connection)
    recorded_at(connection, Log.TASKS, 5, at(0))
    with pytest.raises(ArchiveRefusedError, match="position 5 was altered"):
        archive(connection, Log.TASKS, ALWAYS, to=tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_was_changed_is_found_with_the_position(archived: Path, run: Run) -> None:
    def forged(line: bytes) -> bytes:
        return line.replace(b'"w1"', b'"w2"') if b"task_run-r5" in line else line

    rewrite(archived, lambda lines: list(map(forged, lines)))
    done = run("verify", "--archive", str(archived))
    assert done.exit_code == 1
    assert "altered: the event at position 6 was altered" in done.stdout


def test_a_block_that_was_taken_out_of_an_archive_is_found(archived: Path, run: Run) -> None:
    def without_second_block(lines: list[bytes]) -> list[bytes]:
        return [*lines[:6], *lines[11:-1], b'{"kind":"end","events":6,"seals":2}\n']

    rewrite(archived, without_second_block)
    done = run("verify", "--archive", str(archived))
    assert done.exit_code == 1
    assert "seal 3 (positions after 8 up to 10) does not follow from seal 1" in done.stdout


def test_a_published_head_is_looked_for_in_an_archive_that_covers_it(
    archived: Path, run: Run, connection: Connection
) -> None:
    heads = [each.head for each in SealTable(connection).all(Log.TASKS)]
    assert run("verify", "--archive", str(archived), "--head", heads[1]).exit_code == 0
    false = f"tasks:8:{'ab' * 32}"
    assert run("verify", "--archive", str(archived), "--head", false).exit_code == 1


@pytest.mark.parametrize("head", [f"tasks:99:{'ab' * 32}", f"licensing:4:{'ab' * 32}", f"tasks:0:{'ab' * 32}"])
def test_a_head_that_no_archive_covers_is_not_passed_over_in_silence(archived: Path, run: Run, head: str) -> None:
    done = run("verify", "--archive", str(archived), "--head", head)
    assert done.exit_code == 2
    assert f"1 heads were not looked for: {head}" in done.stderr
    assert "10 events and 3 seals agree" in done.stdout


def test_a_file_of_heads_may_hold_others_than_an_archive_covers_but_not_only_others(
    archived: Path, run: Run, connection: Connection, tmp_path: Path
) -> None:
    heads = tmp_path / "heads"
    false, beyond = f"tasks:8:{'ab' * 32}", f"tasks:99:{'ab' * 32}"
    true = [each.head for each in SealTable(connection).all(Log.TASKS)][1]

    def verified(*lines: str) -> tuple[int, str]:
        heads.write_text("\n".join(lines))
        done = run("verify", "--archive", str(archived), "--heads", str(heads))
        return done.exit_code, done.stderr

    assert verified(true) == (0, "")
    assert verified(true, beyond) == (0, f"1 of the 2 heads in {heads} were not looked for\n")
    assert verified(false, beyond)[0] == 1
    for nothing in ((beyond,), ()):
        status, said = verified(*nothing)
        assert (status, f"none of the {len(nothing)} heads in {heads} was looked for" in said) == (2, True)


def test_an_archive_is_not_asked_about_a_log_of_somebody_s_choice(archived: Path, run: Run) -> None:
    done = run("verify", "--archive", str(archived), "--log", "licensing")
    assert (done.exit_code, "an archive is of one log" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "broken",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_text("{}"),
        lambda path: rewrite(path, lambda lines: lines[:-1]),
        lambda path: rewrite(path, lambda lines: lines[1:]),
        lambda path: rewrite(path, lambda lines: [*lines[:-2], lines[-1]]),
        lambda path: rewrite(path, lambda lines: [lines[0].replace(b'"format":1', b'"format":2'), *lines[1:]]),
        lambda path: rewrite(path, lambda lines: [lines[0], b'{"kind":"end","events":0,"seals":0}\n']),
        lambda path: rewrite(path, lambda lines: [lines[0], b"[1]\n", *lines[1:]]),
        lambda path: rewrite(path, lambda lines: [*lines, lines[1]]),  # an event behind the ending
    ],
)
def test_what_is_no_whole_archive_is_refused(archived: Path, run: Run, broken: Callable[[Path], object]) -> None:
    broken(archived)
    for command in (["verify"], ["tail"], ["correlation", "c"]):
        done = run(*command, "--archive", str(archived))
        assert done.exit_code == 1
        assert "cannot be read as an archive" in done.stderr


def test_wherever_a_byte_of_an_archive_is_damaged_it_is_unreadable(archived: Path, run: Run) -> None:
    whole = archived.read_bytes()
    for offset in range(40, len(whole), 7):  # before that there are a file name and a time, which nothing depends on
        archived.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        done = run("verify", "--archive", str(archived))
        # Where deflate fills up a byte (RFC 1951, 3.2.4) the bits mean nothing: what is read is whole.
        means_nothing = done.exit_code == 0 and gzip.decompress(archived.read_bytes()) == gzip.decompress(whole)
        is_told = (done.exit_code, "cannot be read as an archive" in done.stderr) == (1, True)
        assert means_nothing or is_told, (offset, done.exception)


@pytest.mark.parametrize(
    ("pattern", "damaged"),
    [
        (rb'"occurred_at":"([^"]*)Z"', rb'"occurred_at":"\1"'),
        (rb'"recorded_at":"([^"]*)Z"', rb'"recorded_at":"\1"'),
        (rb'"sealed_at":"([^"]*)Z"', rb'"sealed_at":"\1"'),
        (rb'"position":\d+', b'"position":%d' % 2**70),
        (rb'"version":\d+', b'"version":%d' % 2**63),
        (rb'"number":\d+', b'"number":%d' % 2**70),
        (rb'"leaves":"....', b'"leaves":"'),
        (rb'"data":{[^}]*}', b'"data":[1]'),
        (rb'"data":{"', b'"data":{"\xff'),
        (rb'"metadata":{[^}]*}', b'"metadata":null'),
        (rb'"stream_id":"', b'"stream_id":"\xff'),
    ],
)
def test_a_value_that_no_log_can_hold_makes_an_archive_unreadable(
    archived: Path, run: Run, pattern: bytes, damaged: bytes
) -> None:
    def damage(lines: list[bytes]) -> list[bytes]:
        changed, count = re.subn(pattern, damaged, b"".join(lines))
        assert count, "the damage missed"
        return changed.splitlines(keepends=True)

    rewrite(archived, damage)
    for command in (["verify"], ["tail"], ["correlation", "c"]):
        done = run(*command, "--archive", str(archived))
        assert (done.exit_code, "cannot be read as an archive" in done.stderr) == (1, True), done.exception


def test_an_event_that_no_archive_can_hold_is_told_of_when_its_log_is_archived(
    connection: Connection, run: Run, tmp_path: Path
) -> None:
    connection.execute(
        "insert into event_store.task_events (stream_id, version, name, data, metadata, event_id, occurred_at)"
        " values ('s', 1, 'n', '[1]', '{}', gen_random_uuid(), now())"
    )
    seal(connection)
    done = run("archive", str(tmp_path / "a"), "--log", "tasks")
    assert (done.exit_code, "data of the event at position 1 is no object" in done.stderr) == (1, True), done.exception
    assert list(tmp_path.iterdir()) == []


def test_the_command_archives_says_how_much_and_overwrites_nothing(
    store: EventStore, connection: Connection, run: Run, tmp_path: Path
) -> None:
    file = str(tmp_path / "heartbeats.jsonl.gz")
    early = run("archive", file, "--log", "heartbeats")
    assert (early.exit_code, "nothing of log heartbeats is sealed" in early.stderr) == (1, True)
    record(store, Log.HEARTBEATS, beats("s1"), beats("s2"))
    record(store, Log.LICENSING, license_issued("l1"))
    record(store, Log.TASKS, told("r1", "succeeded", attempt=1))
    for log in Log:
        seal(connection, log)
    done = run("archive", file, "--log", "heartbeats")
    assert done.exit_code == 0, done.output
    assert "2 events of log heartbeats under 1 seals" in done.stdout
    twice = run("archive", file, "--log", "heartbeats")
    assert (twice.exit_code, "exists" in twice.stderr) == (1, True)
    nowhere = run("archive", str(tmp_path / "no" / "where"), "--log", "tasks")
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (1, True)
