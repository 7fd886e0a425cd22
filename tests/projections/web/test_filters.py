"""Filters ask for what an index has: open runs, or those that ended badly, with tier and task compared within it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from domain.run import RunState
from infra.bench.pages import FILL
from infra.database import connect
from projections.web.lists import RUNS, Runs
from projections.web.pages.runs import condition
from projections.web.run_states import GROUPS, IMPLIED
from tests.projections.web.conftest import Shown

NOT_WELL = [state for state in RunState if state is not RunState.SUCCEEDED]


@pytest.mark.parametrize("state", NOT_WELL)
def test_a_state_is_looked_for_among_the_runs_that_may_be_in_it(state: RunState) -> None:
    where, values = condition({"state": state.value})
    group = GROUPS["bad" if state.is_end else "open"]
    assert (group in where.as_string(None), values["state"]) == (True, state.value)
    assert IMPLIED[state] == group


@pytest.mark.system
@pytest.mark.parametrize("query", [{"state": "bad", "tier": "critical"}, {"state": "lost", "task": "bench.task_7"}])
def test_bad_runs_of_a_tier_or_task_are_found_within_the_index(shown: Shown, query: dict[str, str]) -> None:
    where, values = condition(query)
    with connect(shown.face.settings, name="test") as connection:
        plan = planned(connection, f"read_model.task_runs where {where.as_string(None)}", values)
    assert "task_runs_bad" in plan
    compared = plan[plan.index("Index Cond") :]
    assert all(name in compared.partition("Filter")[0] for name in query if name != "state")


@pytest.mark.system
def test_the_interfaces_list_of_a_rare_state_reads_no_other_runs(shown: Shown) -> None:
    asked = {"limit": 50, **dict.fromkeys(Runs.__struct_fields__), "state": "lost"}
    with connect(shown.face.settings, name="test") as connection:
        statement = RUNS._statement(asked).as_string(connection).partition(" from ")[2].partition(" order by ")[0]
        assert "task_runs_bad" in planned(connection, statement, asked)


def planned(connection: psycopg.Connection[Any], what: str, values: dict[str, Any]) -> str:
    """How rows are found of 20 000 runs; they are gone again behind it."""
    with connection.transaction(force_rollback=True):
        connection.execute(FILL, {"runs": 20_000})
        connection.execute("analyze read_model.task_runs")
        connection.execute("set local enable_bitmapscan = off")
        rows = connection.execute(f"explain select * from {what}".encode(), values).fetchall()  # noqa: S608  our own text
        return "\n".join(str(row[0]) for row in rows)
