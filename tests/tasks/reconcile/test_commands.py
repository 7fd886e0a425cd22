"""What a person reads."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from tasks.reconcile.commands import NAMED_AT_MOST, _print, reconcile
from tasks.reconcile.judging import Shortfall, Standing
from tasks.reconcile.looking import Found
from tasks.reconcile.open_run import Place
from tasks.reconcile.repair import Repaired
from tests.tasks.reconcile.test_judging import run

SEEN = datetime(2026, 11, 26, 8, 2, 11, tzinfo=UTC)


def test_it_says_how_many_which_and_where_each_was_last_seen(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = [run(run_id=f"r{number}", since=SEEN) for number in range(2)]
    executed = run(run_id="r9", place=Place.WORKER, worker="normal@host:7", last="task.started", since=SEEN)
    standings = {standing: [] for standing in Standing} | {
        Standing.NOWHERE: [*nowhere, executed],
        Standing.AT_WORKER: [run()],
    }
    _print(Found(standings, [Shortfall("tasks.low", 15, 5)]), None)
    said = capsys.readouterr().out
    assert "1 open, being executed" in said
    assert "3 runs are nowhere" in said
    assert "r0  report #1, last seen in queue tasks.normal (task.published recorded 2026-11-26 08:02:11 UTC)" in said
    assert "r9  report #1, last seen being executed by normal@host:7" in said
    assert "at least 10 are missing; --read tells which" in said


def test_of_very_many_some_are_named_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = [run(run_id=f"r{number}") for number in range(NAMED_AT_MOST + 7)]
    _print(Found({Standing.NOWHERE: nowhere}, []), None)
    assert "and 7 more; --json names all" in capsys.readouterr().out


def test_it_says_what_became_of_each_repair(capsys: pytest.CaptureFixture[str]) -> None:
    repaired = Repaired([run()], [run(run_id="direct")], [run()], [(run(run_id="full"), "refused by the broker")])
    _print(Found({Standing.NOWHERE: []}, []), repaired)
    said = capsys.readouterr().out
    assert "1 published again" in said
    assert "1 moved meanwhile and were left alone" in said
    assert "direct cannot be published: nobody requested it of us" in said
    assert "full was not taken by the broker: refused by the broker" in said


def test_without_a_management_api_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGERQ_MANAGEMENT_URL", raising=False)
    done = CliRunner().invoke(reconcile)
    assert done.exit_code == 2
    assert "LEDGERQ_MANAGEMENT_URL" in done.output
