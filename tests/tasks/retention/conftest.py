"""The past, and the command line on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from infra.cli import ledgerq
from tests.infra.retention.conftest import model, past, small_blocks, told
from tests.infra.retention.past import Past

__all__ = ["model", "past", "small_blocks", "told"]

Run = Callable[..., Result]


@pytest.fixture
def run(past: Past, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line on the past."""
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", past.settings.database_url.get_secret_value())
    monkeypatch.setenv("LEDGERQ_ARCHIVE_DIR", str(past.settings.archive_dir))
    monkeypatch.setenv("LEDGERQ_KEEP_HEARTBEATS_DAYS", "30")

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(ledgerq, arguments)

    return invoke
