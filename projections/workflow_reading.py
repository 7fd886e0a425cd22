"""A workflow for programs: its steps in order of reading, with all that the views say of them."""

from __future__ import annotations

from typing import Any

from projections.workflow_list import Workflow
from projections.workflow_tree import lines, tree_of


def values_of(workflow: Workflow) -> dict[str, Any]:
    """The columns of ``analytics.fct_workflows``, and beside them ``steps``, ``waits``, ``forks`` and ``revocation``.

    A step has the columns of ``analytics.fct_workflow_steps``, and its depth in the tree that people are shown.
    """
    told = [(depth, node.step) for depth, node in lines(tree_of(workflow.steps)) if node.step is not None]
    return {
        **workflow.row,
        "forked_from_workflow": workflow.forked_from,
        "steps": [{"depth": depth, **step} for depth, step in told],
        "waits": workflow.waits,
        "forks": workflow.forks,
        "revocation": workflow.revocation,
    }
