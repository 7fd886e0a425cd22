from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import capture_logs

from infra.event_store import EventStore, Log
from infra.events import sealing
from infra.events.sealing import Sealing
from infra.events.seals import SealTable
from infra.logs import configure
from infra.settings import Settings
from tests.infra.event_store.facts import facts
from tests.infra.events.conftest import Connection, Run

KEY = "a key that only the sealer has"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_EVENTS", dict.fromkeys(Log, 4))


@pytest.fixture
def logged(settings: Settings) -> Iterator[io.StringIO]:
    """What this process logs."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure(settings, stream=stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_full_blocks_are_sealed_one_after_the_other_and_the_rest_when_it_has_waited(
    store: EventStore, settings: Settings, connection: Connection
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 11)))
    with Sealing(settings) as sealer:
        assert [sealer.step(later(0)) for _ in range(3)] == [True, True, False]
        last = SealTable(connection).last(Log.TASKS)
        assert last is not None
        assert last.upto_position == 8
        sealer.step(later(settings.seal_interval_seconds + 5))
    last = SealTable(connection).last(Log.TASKS)
    assert last is not None
    assert (last.upto_position, last.signature) == (10, None)


def test_a_new_head_is_told_in_the_log_in_the_words_that_the_documentation_has(
    store: EventStore, settings: Settings, connection: Connection, logged: io.StringIO
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 5)))
    with Sealing(settings) as sealer:
        sealer.step(later(0))
    last = SealTable(connection).last(Log.TASKS)
    assert last is not None
    (line,) = [each for each in map(json.loads, logged.getvalue().splitlines()) if each.get("head") == last.head]
    documented = (Path(__file__).parents[3] / "docs" / "log.md").read_text(encoding="utf-8")
    assert f'`"head": …, "message": "{line["message"]}"`' in documented


def test_a_sealer_with_a_key_seals_nothing_after_a_seal_without_and_says_so_now_and_then(
    store: EventStore, settings: Settings, connection: Connection
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 9)))
    store.append(Log.LICENSING, facts("s", range(1, 5)))
    with Sealing(settings) as sealer:
        sealer.step(later(0))
    with Sealing(settings.model_copy(update={"seal_key": SecretStr(KEY)})) as sealer, capture_logs() as told:
        store.append(Log.HEARTBEATS, facts("s", range(1, 5)))
        for seconds in (0, 2, 4, 100):
            sealer.step(later(seconds))
    complaints = [line for line in told if line["event"] == "not sealed" and line["log"] == "tasks"]
    assert len(complaints) == 2
    assert "--adopt" in complaints[0]["reason"]
    seals = SealTable(connection)
    newest = [seals.last(log) for log in (Log.TASKS, Log.HEARTBEATS)]
    assert [seal and seal.upto_position for seal in newest] == [4, 4], "the log without a seal is not held up"


def test_a_person_adopts_the_seals_made_without_a_key(
    store: EventStore, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(Log.TASKS, facts("s", range(1, 7)))
    run("seal")
    store.append(Log.TASKS, facts("s", [7]))
    monkeypatch.setenv("LEDGERQ_SEAL_KEY", KEY)
    refused = run("seal")
    assert refused.exit_code == 1
    assert "seal 2 of log tasks is not signed" in refused.stderr
    assert "no seal is signed" in run("verify", "--log", "tasks").stdout
    assert run("seal", "--adopt").exit_code == 0
    assert run("verify").exit_code == 0
    monkeypatch.delenv("LEDGERQ_SEAL_KEY")
    unchecked = run("verify", "--log", "tasks")
    assert (unchecked.exit_code, "signatures are not checked" in unchecked.stdout) == (0, True)
    monkeypatch.setenv("LEDGERQ_SEAL_KEY", KEY[::-1])
    other = run("verify", "--log", "tasks")
    assert (other.exit_code, "seal 3 was not signed with this key" in other.stdout) == (1, True)
