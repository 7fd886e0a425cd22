"""Letters about accounts: sent once for what brought them about, to whom they are for, and their links stay secret."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from pydantic import SecretStr

from domain.notice import NoticeEvent, NoticeRefusalReason, NoticeRefused, NoticeSent
from infra.event_store import Log
from infra.local.mailbox import Mailbox
from infra.mail import AddressInvalidError, MailRefusedError, MailTooLargeError
from infra.secret_link import (
    LinkExpiredError,
    LinkInvalidError,
    LinkKeyInvalidError,
    LinkKeys,
    SecretLink,
    encrypt_link,
    new_key,
)
from tasks.app import app
from tasks.catalog import accounts
from tasks.catalog.letter import LetterInvalidError
from tasks.wiring import Wiring
from tasks.worker.policies import E_MAIL

KEYS = LinkKeys(KEY := new_key())
LINK = "https://accounts.example.org/reset?user=7&token=s3cr3t"
TASKS = ["send_verification", "send_password_reset", "send_welcome"]


class Service:
    """A service with accounts, which asks for letters and reads what arrives."""

    def __init__(self, wired: Wiring, mailbox: Mailbox) -> None:
        self.wired = wired
        self._mailbox = mailbox
        self.to = f"{uuid4()}@example.org"
        self.cause_id = str(uuid4())

    def encrypted(self, link: str = LINK, *, to: str | None = None, lives: timedelta = timedelta(hours=1)) -> str:
        secret = SecretLink(link=link, to=to or self.to, expires_at=datetime.now(UTC) + lives)
        return encrypt_link(secret, KEYS.public)

    def told(self, task: str, **different: Any) -> dict[str, Any]:
        link = {} if task == "send_welcome" else {"encrypted_link": self.encrypted()}
        told = {"to": self.to, "cause_id": self.cause_id, "service": "Example Desk", "name": "Ada", **link, **different}
        return {name: value for name, value in told.items() if value is not None}

    def ask(self, task: str, **different: Any) -> str:
        """What comes of a run of the task."""
        kwargs = self.told(task, **different)
        outcome: str = app.tasks[task].apply(kwargs=kwargs, task_id=str(uuid4()), throw=True).get()["outcome"]
        return outcome

    def letters(self, to: str | None = None) -> list[EmailMessage]:
        return [letter for letter in self._mailbox.letters() if letter["To"] == (to or self.to)]

    def facts(self) -> list[NoticeEvent]:
        """What is recorded of notices of this cause."""
        page = self.wired.store.read(Log.LICENSING, after=0, limit=1000)
        facts = [each.event for each in page.events if isinstance(each.event, NoticeEvent)]
        return [fact for fact in facts if fact.cause.endswith(f"/{self.cause_id}")]


@pytest.fixture
def service(wired: Wiring, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Service:
    keyed = Wiring(wired.settings.model_copy(update={"link_key": SecretStr(KEY)}))
    keyed.__dict__.update(store=wired.store, engine=wired.engine)
    made = Service(keyed, mailbox)
    monkeypatch.setattr(accounts, "wiring", lambda: made.wired)
    return made


def bodies(letter: EmailMessage) -> list[str]:
    return [part.get_content() for part in letter.iter_parts()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("task", TASKS)
def test_a_letter_goes_out_once_for_its_cause_and_the_server_s_answer_is_recorded(service: Service, task: str) -> None:
    assert [service.ask(task) for _ in range(3)] == ["sent", "sent before", "sent before"]
    (letter,) = service.letters()
    assert "Example Desk" in letter["Subject"]
    assert all("Hello Ada," in body for body in bodies(letter))
    (fact,) = service.facts()
    assert isinstance(fact, NoticeSent)
    assert (fact.recipient, fact.attempt, fact.reply_code, fact.reply) == (service.to, 1, 250, "OK")
    assert fact.message_id == letter["Message-ID"]
    assert UUID(fact.message_id[1:].partition("@")[0]) == UUID(fact.originator_id.removeprefix("notice-"))


def test_two_services_may_call_different_things_the_same(service: Service) -> None:
    assert [service.ask("send_welcome", service=name) for name in ("Desk", "Shop", "Desk")] == [
        "sent",
        "sent",
        "sent before",
    ]
    assert {fact.cause for fact in service.facts()} == {f"Desk/{service.cause_id}", f"Shop/{service.cause_id}"}


def test_one_cause_may_bring_about_letters_of_several_kinds(service: Service) -> None:
    assert [service.ask(task) for task in TASKS] == ["sent"] * 3
    assert len({letter["Message-ID"] for letter in service.letters()}) == 3


@pytest.mark.parametrize("task", ["send_verification", "send_password_reset"])
def test_the_link_reaches_its_reader_and_nobody_else(service: Service, task: str) -> None:
    kwargs = service.told(task)
    app.tasks[task].apply(kwargs=kwargs, throw=True)
    text, html = bodies(service.letters()[0])
    assert LINK in text
    assert LINK.replace("&", "&amp;") in html
    written = repr(kwargs) + repr([msgspec.structs.asdict(fact) for fact in service.facts()])
    assert "s3cr3t" not in written


@pytest.mark.parametrize(
    ("different", "error", "reason"),
    [
        pytest.param({"to": "refused@example.org"}, MailRefusedError, "server_refused", id="refused by the server"),
        pytest.param({"to": "a@b.c\nBcc: e@f.g"}, AddressInvalidError, "address_invalid", id="a header in the address"),
        pytest.param({"name": "Ada\r\nBcc: e@f.g"}, LetterInvalidError, "values_invalid", id="a header in the name"),
        pytest.param({"service": "Desk\n\nX"}, LetterInvalidError, "values_invalid", id="an empty line in the service"),
        pytest.param({"link": "http://example.org"}, LinkInvalidError, "link_invalid", id="a link in the clear"),
    ],
)
def test_a_welcome_that_will_never_go_out_is_recorded_with_the_reason(
    service: Service, different: dict[str, str], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error) as raised:
        service.ask("send_welcome", **different)
    (fact,) = service.facts()
    assert isinstance(fact, NoticeRefused)
    assert (fact.reason, fact.recipient) == (NoticeRefusalReason(reason), different.get("to", service.to))
    assert fact.detail
    assert fact.reply_code == (550 if isinstance(raised.value, MailRefusedError) else None)
    assert service.letters() == []


@pytest.mark.parametrize(
    ("make", "error"),
    [
        pytest.param(lambda service: service.encrypted(to="eve@example.org"), LinkInvalidError, id="for another"),
        pytest.param(lambda service: service.encrypted(lives=timedelta(days=-1)), LinkExpiredError, id="ended"),
        pytest.param(lambda service: service.encrypted(lives=timedelta(days=9)), LinkInvalidError, id="lives too long"),
        pytest.param(lambda _: LINK.replace("&", ""), LinkInvalidError, id="in the clear"),
    ],
)
def test_a_link_that_may_not_be_sent_is_not_and_is_not_shown_either(
    service: Service, make: Callable[[Service], str], error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        service.ask("send_password_reset", encrypted_link=make(service))
    (fact,) = service.facts()
    assert isinstance(fact, NoticeRefused)
    assert "s3cr3t" not in f"{raised.value} {fact.detail}"
    assert service.letters() == []


def test_what_was_refused_may_be_asked_for_again(service: Service) -> None:
    with pytest.raises(LinkExpiredError):
        service.ask("send_password_reset", encrypted_link=service.encrypted(lives=timedelta(days=-1)))
    assert service.ask("send_password_reset") == "sent"
    assert [(fact.TOPIC, fact.originator_version) for fact in service.facts()] == [
        ("notice.refused", 1),
        ("notice.sent", 2),
    ]


def test_a_letter_that_is_too_large_is_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.mail.mailer.LARGEST_BYTES", 100)
    with pytest.raises(MailTooLargeError):
        service.ask("send_welcome")
    assert [fact.reason for fact in service.facts() if isinstance(fact, NoticeRefused)] == ["too_large"]


def test_without_a_key_the_fault_says_which_setting_is_missing(service: Service, wired: Wiring) -> None:
    service.wired = wired
    with pytest.raises(LinkKeyInvalidError, match="LEDGERQ_LINK_KEY"):
        service.ask("send_password_reset")
    assert service.facts() == []


@pytest.mark.parametrize(
    ("different", "text"),
    [
        pytest.param({"cause_id": None}, "missing required field `cause_id`", id="no cause"),
        pytest.param({"cause_id": "a b"}, "cause_id", id="a cause with a blank"),
        pytest.param({"to": 7}, "Expected `str`, got `int` - at `$.to`", id="a number for an address"),
        pytest.param({"name": "x" * 61}, "length <= 60 - at `$.name`", id="a long name"),
        pytest.param({"link": LINK}, "unknown field `link`", id="a secret in the clear"),
    ],
)
def test_arguments_that_make_no_letter_are_refused_with_what_is_wrong(
    service: Service, different: dict[str, Any], text: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        service.ask("send_password_reset", **different)
    assert text in str(raised.value)
    assert "s3cr3t" not in str(raised.value)
    assert service.letters() == []


@pytest.mark.parametrize("name", ["www.evil.org", "Click https://evil.org", "evil.com now", "a@evil.org"])
def test_a_name_that_a_mail_reader_makes_a_link_of_is_not_written(service: Service, name: str) -> None:
    service.ask("send_welcome", name=name)
    assert all("evil" not in body and "Hello," in body for body in bodies(service.letters()[0]))


@pytest.mark.parametrize("name", ["J. R. R. Tolkien", "Ólöf", "Нина", "O'Hara", "Anne-Marie", "山田 太郎"])
def test_people_s_names_are_written_as_they_are(service: Service, name: str) -> None:
    service.ask("send_welcome", name=name)
    text, html = bodies(service.letters()[0])
    assert f"Hello {name}," in text
    assert "Hello" in html


def test_a_welcome_says_where_to_sign_in_if_it_is_told(service: Service) -> None:
    service.ask("send_welcome", link="https://example.org/sign-in")
    assert all("https://example.org/sign-in" in body for body in bodies(service.letters()[0]))


@pytest.mark.parametrize("task", TASKS)
def test_each_is_tried_five_times_more_with_ten_minutes_in_between_at_most(task: str) -> None:
    policy = app.tasks[task].retry_policy
    assert policy is E_MAIL
    waits = [policy.delay(attempt, lambda: 1.0) for attempt in range(1, policy.max_retries + 1)]
    assert len(waits) == 5
    assert waits == sorted(waits)
    assert max(waits) <= timedelta(minutes=10)
