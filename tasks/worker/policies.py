"""The platform's retry policies, and which tasks get which by their name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from tasks.worker.retry import DEFAULT_RETRY_POLICY, RetryPolicy

PAYROLL: Final = RetryPolicy(start=timedelta(seconds=30), maximum=timedelta(seconds=300), max_retries=5)
"""30, 60, 120, 240, 300 s at most: soon, and for some ten minutes."""
INTEGRATIONS: Final = RetryPolicy(
    start=timedelta(seconds=300), factor=6, maximum=timedelta(seconds=1800), max_retries=2
)
"""300 and 1,800 s at most: a neighbor that is down is not asked again soon."""
E_MAIL: Final = RetryPolicy(start=timedelta(seconds=30), maximum=timedelta(seconds=600), max_retries=5)
"""30, 60, 120, 240, 480 s at most, and never above 600: servers that greylist take a message after some minutes."""
FILES: Final = RetryPolicy(max_retries=3)
"""60, 120, 240 s at most."""

BY_NAME: Final[Mapping[str, RetryPolicy]] = {
    "payroll.*": PAYROLL,
    "integrations.*": INTEGRATIONS,
    "email.*": E_MAIL,
    "files.*": FILES,
}
"""The policy of tasks that name none of their own, by their name's pattern (``fnmatch``); the first that fits."""


def policy_for(name: str, by_name: Mapping[str, RetryPolicy] = BY_NAME) -> RetryPolicy | None:
    """The policy of the first pattern that ``name`` fits; None where it fits none."""
    return next((policy for pattern, policy in by_name.items() if fnmatchcase(name, pattern)), None)


def declared_policy(name: str, given: RetryPolicy | None) -> RetryPolicy:
    """The policy of a task of ours: its own, else its name's, else the default."""
    return given or policy_for(name) or DEFAULT_RETRY_POLICY


class PoliciesByName:
    """Gives stock tasks a policy by their name.

    ``app.conf.task_annotations = [PoliciesByName({"vendor.payroll.*": PAYROLL})]``, before the tasks are used. A task
    that gets one is tried again after an exception by itself, as a task of ours is.

    Args:
        by_name: policies by pattern; the first that fits counts.
    """

    def __init__(self, by_name: Mapping[str, RetryPolicy] = BY_NAME) -> None:
        self._by_name = by_name

    def annotate(self, task: Any) -> dict[str, Any] | None:
        """What Celery is to set on ``task``."""
        policy = policy_for(task.name, self._by_name)
        return None if policy is None else {"retry_policy": policy}

    def annotate_any(self) -> None:
        """Nothing for all tasks."""
