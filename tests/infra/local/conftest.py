from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.infra.local import runs


@pytest.fixture(autouse=True)
def no_run_outlives_its_test() -> Iterator[None]:
    """A test that fails half-way must not leave servers behind."""
    yield
    for run in runs.started:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            run.process.send_signal(signal.SIGCONT)
        run.process.communicate()
    runs.started.clear()
