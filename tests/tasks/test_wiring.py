import os

import pytest

from tasks import wiring as module
from tasks.wiring import wiring


@pytest.fixture(autouse=True)
def _unwired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_wired", None)


def test_a_process_is_wired_once_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_MAIL_FROM", "Lab <lab@example.org>")
    assert wiring().settings.mail_from == "Lab <lab@example.org>"
    assert wiring() is wiring()


def test_a_forked_child_does_not_use_its_parents_connections() -> None:
    parents = wiring()
    reader, writer = os.pipe()
    if child := os.fork():
        os.waitpid(child, 0)
        assert os.read(reader, 10) == b"another"
    else:
        os.write(writer, b"another" if wiring() is not parents else b"the same")
        os._exit(0)


def test_nothing_is_opened_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    assert wiring().settings is not None
