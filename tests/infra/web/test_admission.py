"""Strangers have a limit for each address, which no header of theirs changes; and the process says goodbye."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from infra import database
from infra.web.role import Role
from tests.infra.web.face import PROXY, STRANGERS_AT_ONCE, Face, face, session_from
from tests.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def status_from(served: Face, address: str, path: str = "/runs", *, token: str = "", **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with session_from(address) as session:
        told = session.get(f"{served.url}{path}", headers={"authorization": f"Bearer {token}", **sent}, timeout=10)
    if told.status_code == 429:
        assert int(told.headers["retry-after"]) >= 1
    return told.status_code


def guess() -> str:
    return f"ledgerq_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"


def flooded(served: Face, address: str, **headers: str) -> list[int]:
    """Guesses at tokens until one is refused unseen."""
    statuses: list[int] = []
    while 429 not in statuses and len(statuses) < 200:
        statuses.append(status_from(served, address, token=guess(), **headers))
    return statuses


def test_who_guesses_at_tokens_is_refused_unseen_and_the_known_are_let_in_all_the_same(strict: Face) -> None:
    good = strict.tokens[Role.VIEWER]
    assert status_from(strict, "127.0.0.2", token=good) == 200
    statuses = flooded(strict, "127.0.0.2")
    assert statuses[: STRANGERS_AT_ONCE - 1] == [401] * (STRANGERS_AT_ONCE - 1)  # the good one was a stranger once
    assert statuses[-1] == 429
    assert status_from(strict, "127.0.0.2", token=good) == 200
    assert status_from(strict, "127.0.0.3", token=guess()) == 401


def test_who_knows_the_name_of_a_token_and_not_its_secret_is_a_stranger(strict: Face) -> None:
    good = strict.tokens[Role.OPERATOR]
    assert status_from(strict, "127.0.0.4", token=good) == 200
    wrong = f"{'_'.join(good.split('_')[:2])}_{secrets.token_urlsafe(32)}"
    statuses = [status_from(strict, "127.0.0.4", token=wrong) for _ in range(60)]
    assert statuses[: STRANGERS_AT_ONCE - 1] == [401] * (STRANGERS_AT_ONCE - 1)
    assert 429 in statuses


def test_pages_and_login_share_the_limit(strict: Face) -> None:
    assert 429 in flooded(strict, "127.0.0.5")
    statuses = [status_from(strict, "127.0.0.5", "/ui") for _ in range(30)]
    assert 429 in statuses
    assert status_from(strict, "127.0.0.6", "/ui") == 200


def test_no_header_makes_another_address_of_a_stranger_unless_a_named_proxy_sends_it(strict: Face) -> None:
    statuses = [
        status_from(strict, "127.0.0.1", token=guess(), x_forwarded_for=f"198.51.100.{number}") for number in range(60)
    ]
    assert 429 in statuses
    through_proxy = [
        status_from(strict, PROXY, token=guess(), x_forwarded_for=f"198.51.100.{number}") for number in range(60)
    ]
    assert through_proxy == [401] * 60
    forged = [
        status_from(strict, PROXY, token=guess(), x_forwarded_for=f"198.51.100.{number}, 203.0.113.5")
        for number in range(60)
    ]
    assert 429 in forged, "what the proxy has appended counts, and not what came with the request"


def test_calls_of_hooks_have_the_limit_too(strict: Face) -> None:
    statuses = []
    for _ in range(60):
        with session_from("127.0.0.8") as session:
            statuses.append(session.post(f"{strict.url}/hooks/nobody", json={}, timeout=10).status_code)
    assert statuses[:STRANGERS_AT_ONCE] == [401] * STRANGERS_AT_ONCE
    assert 429 in statuses


def test_a_process_that_is_told_to_end_takes_its_row_away(strict: Face, tmp_path: Path) -> None:
    def rows() -> set[str]:
        with database.connect(strict.settings, name="test") as connection:
            return {name for (name,) in connection.execute("select name from runtime.processes where role = 'web'")}

    before = eventually(rows)
    with face(strict.settings, tmp_path, tokens=strict.tokens):
        assert eventually(lambda: rows() - before)
    assert rows() == before
