"""Celery's remote control as a client of Ledgerq has it: what would reach no worker says so."""

from __future__ import annotations

from typing import Any, NoReturn

from celery.app.control import Control


class RemoteControl(Control):  # type: ignore[misc]  # Celery is untyped
    """Celery's, without revocations: workers keep none in memory, for here those are in the log."""

    def revoke(self, task_id: Any, *_given: Any, **_named: Any) -> NoReturn:
        """Refuse; ``AsyncResult.revoke`` and ``terminate`` come here too.

        Raises:
            NotImplementedError: always; says how runs are revoked.
        """
        ids = task_id if isinstance(task_id, list | tuple | set) else [task_id]
        raise NotImplementedError(
            "Celery's remote control reaches no worker of Ledgerq: nothing has been revoked; "
            f"`ledgerq task revoke {' '.join(map(str, ids))} --reason …` does it, and so does the HTTP interface "
            "(POST /runs/{run_id}/revocation)"
        )

    def revoke_by_stamped_headers(self, headers: Any, *_given: Any, **_named: Any) -> NoReturn:
        """Likewise.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"runs are revoked by their ids, not by stamped headers: {headers!r}")
