"""``ledgerq notice`` at the keyboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from domain.cause import Cause
from domain.notice import NoticeRefusalReason, NoticeRefused, NoticeSent
from infra import database
from infra.event_store import EventStore
from infra.secret_link import LinkKeys, new_key
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from projections.runner import Runner
from tasks.catalog.sending import Notice, about, record
from tasks.notice_commands import notice
from tests.tasks.catalog.fleet import NOON

Call = Callable[..., Result]
PUBLIC = LinkKeys(new_key()).public


@pytest.fixture
def call(fresh_platform: Settings, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command as a person on that platform would."""
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", fresh_platform.database_url.get_secret_value())
    return lambda *arguments, **options: CliRunner().invoke(notice, list(arguments), **options)


@pytest.fixture
def told(fresh_platform: Settings, store: EventStore) -> tuple[UUID, UUID]:
    """A notice that was refused and one that was sent after it, as the read model knows them."""
    refused = Notice("welcome", "account-1", "nobody@example.org")
    sent = Notice("license_expired", "L1/n", "Ada@example.org", "L1")
    facts: list[Any] = [
        (
            NoticeRefused,
            refused,
            NOON,
            {"reason": NoticeRefusalReason.SERVER_REFUSED, "detail": "550 no\x1b[31m", "reply_code": 550},
        ),
        (NoticeSent, sent, NOON + timedelta(hours=1), {"message_id": "<1@e.org>", "reply_code": 250, "reply": "as 7"}),
    ]
    for event, which, at, data in facts:
        made = event(**data, **about(which, run_id="R1", attempt=1, at=at))
        record(made, store, Cause(id=uuid4(), at=NOON, actor="test"))
    engine = database.engine(fresh_platform, name="test", connections=1)
    with engine.connect() as connection:
        runner = Runner(PROJECTIONS["notices"], store, batch_events=100)
        runner.recall(connection)
        while runner.step(connection):
            pass
    engine.dispose()
    return refused.id, sent.id


def test_the_list_has_the_last_outcome_first_and_is_filtered(call: Call, told: tuple[UUID, UUID]) -> None:
    refused, sent = map(str, told)

    def listed(*arguments: str) -> list[str]:
        return [row["notice_id"] for row in json.loads(call("list", "--json", *arguments).stdout)]

    assert listed() == [sent, refused]
    assert listed("--limit", "1") == [sent]
    assert listed("--state", "refused") == listed("--template", "welcome") == [refused]
    assert listed("--to", "ADA@example.org") == listed("--license", "L1") == [sent]
    assert listed("--since", (NOON + timedelta(minutes=1)).isoformat()) == [sent]
    assert listed("--to", "eve@example.org") == []
    table = call("list").output
    assert "server_refused" in table
    assert call("list", "--state", "failed").output == "none\n"


def test_show_tells_the_story_of_a_notice(call: Call, told: tuple[UUID, UUID]) -> None:
    shown = call("show", str(told[0])).output
    assert shown.startswith("welcome · for account-1\n")
    assert "notice.refused" in shown
    assert "reason=server_refused" in shown
    assert "\x1b" not in shown
    assert "license_expired · for L1/n · license L1" in call("show", str(told[1])).output
    values = json.loads(call("show", str(told[1]), "--json").stdout)
    assert [(each["name"], each["reply"]) for each in values["events"]] == [("notice.sent", "as 7")]


@pytest.mark.parametrize("given", ["not-an-id", str(UUID(int=0))])
def test_what_is_no_notice_is_said_in_one_line(call: Call, given: str) -> None:
    found = call("show", given)
    assert found.exit_code != 0
    assert given in found.output


def test_a_link_is_encrypted_for_whom_and_for_how_long_one_says(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    key = call("new-key").output.strip()
    monkeypatch.setenv("LEDGERQ_LINK_KEY", f"{key},{new_key()}")
    keys = LinkKeys(key)
    assert call("public-key").output.strip() == keys.public
    link = "https://example.org/reset?token=s3cr3t"
    for options in ((), ("--public-key", keys.public)):
        found = call("encrypt-link", "--to", "ada@example.org", "--minutes", "5", *options, input=f"{link}\n")
        secret = keys.open(found.output.strip())
        assert (secret.link, secret.to) == (link, "ada@example.org")
        left = secret.expires_at - datetime.now(secret.expires_at.tzinfo)
        assert timedelta(minutes=4) < left < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("arguments", "link", "key", "text"),
    [
        (("public-key",), "", None, "ledgerq notice new-key"),
        (("public-key",), "", "x", "LEDGERQ_LINK_KEY: a key for links is 32 bytes"),
        (("encrypt-link", "--to", "nobody", "--public-key", PUBLIC), "https://e.org", None, "'nobody'"),
        (("encrypt-link", "--to", "a@b.c", "--public-key", "x"), "https://e.org", None, "32 bytes"),
        (("encrypt-link", "--to", "a@b.c", "--public-key", PUBLIC), "http://s3cr3t", None, "https://"),
        (("encrypt-link", "--to", "a@b.c", "--minutes", "99999"), "https://e.org", None, "10080"),
    ],
    ids=["no key", "no such key", "no address", "no public key", "no link", "too long a life"],
)
def test_what_cannot_be_done_is_said_with_what_is_wanted(
    call: Call, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], link: str, key: str | None, text: str
) -> None:
    if key is not None:
        monkeypatch.setenv("LEDGERQ_LINK_KEY", key)
    found = call(*arguments, input=link)
    assert found.exit_code != 0
    assert text in found.output
    assert "s3cr3t" not in found.output
