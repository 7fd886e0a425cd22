"""What can be read over HTTP: runs, workflows, letters, sessions, licenses. `infra.web.process` finds it by name."""

from __future__ import annotations

from typing import Final

from infra.web.operation import Operation
from projections.web.letters import LETTERS
from projections.web.lists import LISTS
from projections.web.states import STATES
from projections.web.workflows import WORKFLOWS

OPERATIONS: Final[tuple[Operation, ...]] = (*LISTS, *LETTERS, *STATES, *WORKFLOWS)
