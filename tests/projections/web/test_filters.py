"""Filters of the list of tasks ask for what an index has: open runs, or those that ended badly."""

from __future__ import annotations

import pytest

from domain.run import RunState
from projections.web.pages.runs import GROUPS, condition


@pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.SUCCEEDED])
def test_a_state_is_looked_for_among_the_runs_that_may_be_in_it(state: RunState) -> None:
    where, values = condition({"state": state.value})
    group = GROUPS["bad" if state.is_end else "open"]
    assert (group in where.as_string(None), values["state"]) == (True, state.value)
