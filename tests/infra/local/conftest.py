from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.local import runs


@pytest.fixture(scope="module")
def open_directory() -> Iterator[Path]:
    """A directory that every user can pass through, unlike pytest's own: as root, PostgreSQL runs as another user."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


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
