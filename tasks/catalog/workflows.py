"""Going on with a workflow: sending the body of a chord, or a step of a fork, that is more than one task."""

from __future__ import annotations

from typing import Any

from celery.canvas import maybe_signature

from tasks.app import app, task


@task("continue_workflow")
def continue_workflow(*, body: dict[str, Any], values: Any, chain: list[dict[str, Any]] | None = None) -> str | None:
    """Send a body (a chain, a group, another chord) with the values of the members before it.

    Its runs have the ids that the client knows: sent twice, each counts once.

    Args:
        body: Celery's signature, frozen.
        values: of the members that succeeded, in their order; in a fork what the step before returned.
        chain: what follows it, the next one last, as Celery embeds it.

    Returns:
        the id of the run, or group, whose end is the body's.
    """
    signature = maybe_signature(body, app=app)
    following = {} if not chain else {"chain": [maybe_signature(each, app=app) for each in chain]}
    sent = signature.apply_async(() if signature.immutable else (values,), **following)
    return None if sent is None else str(sent.id)
