"""Whether what a task raises ends its run, as its child knows it while error callbacks are about to be called."""

from __future__ import annotations

import pytest

from tasks.worker.ending import Ending
from tasks.worker.resend import RetryDesk
from tests.tasks.worker.lab_tasks import stock_memory_error


@pytest.mark.parametrize(
    ("error", "is_last"),
    [(ValueError("no good"), True), (MemoryError("16 EiB"), False), (SystemExit(1), False)],
    ids=["an error", "no memory", "an exit"],
)
def test_the_child_calls_error_callbacks_of_errors_and_not_of_what_kills_it(
    error: BaseException, *, is_last: bool
) -> None:
    end = Ending(stock_memory_error, RetryDesk(stock_memory_error), "r-1", {})
    assert end.is_last(error) is is_last
