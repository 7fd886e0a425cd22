"""What can be changed over HTTP: events, runs, stories, letters, schedules. `infra.web.process` finds it by name."""

from __future__ import annotations

from typing import Final

from infra.web.operation import Operation
from tasks.web.emitting import EMITTING
from tasks.web.letters import LETTERS
from tasks.web.runs import RUNS
from tasks.web.schedules import SCHEDULES
from tasks.web.stories import STORIES

OPERATIONS: Final[tuple[Operation, ...]] = (*EMITTING, *RUNS, *STORIES, *LETTERS, *SCHEDULES)
