"""Which runs may be in a state: said beside it in a question, so that the planner finds the index of those runs."""

from __future__ import annotations

from typing import Final

from domain.run import RunState

GROUPS: Final = {
    "open": "ended_at is null",
    "bad": "ended_at is not null and state <> 'succeeded'",
}
"""States that are asked for together; each has an index of its own."""
IMPLIED: Final = {
    state.value: GROUPS["bad" if state.is_end else "open"] for state in RunState if state is not RunState.SUCCEEDED
}
"""What is true of every run in a state; nothing is said of those that succeeded, which are most of them."""
