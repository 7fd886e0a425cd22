"""Going on with a workflow: sending what is more than one task, and calling error callbacks."""

from __future__ import annotations

from typing import Any

from celery.app.task import Context
from celery.canvas import maybe_signature

from tasks.app import app, task
from tasks.results.meta import error_of


@task("continue_workflow", no_retry_for=(KeyError, TypeError, ValueError))  # a body that is none stays none
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


@task("call_error_callbacks")
def call_error_callbacks(
    *,
    run_id: str,
    task: str,
    errbacks: list[dict[str, Any]],
    error_type: str,
    error: str | None = None,
    traceback: str | None = None,
) -> list[str]:
    """Call the error callbacks of a run whose end no child has seen, or that was never asked for.

    What takes one argument (the run's id) is sent and is a run of its own; what takes the request, the error and the
    traceback is executed here, as in Celery.

    Args:
        run_id: the run that failed.
        task: its task's name.
        errbacks: Celery's signatures of them.
        error_type: the class of its error, by name.
        error: what that said.
        traceback: where it was.

    Returns:
        the names of the callbacks.
    """
    own = app.current_worker_task.request
    root = own.get("ledgerq-correlation-id") or own.root_id
    told = {"id": run_id, "task": task, "root_id": root, "errbacks": errbacks, "delivery_info": {}}
    app.backend.call(Context(told), error_of(error_type, error), traceback)
    return [str(each.get("task")) for each in errbacks]
