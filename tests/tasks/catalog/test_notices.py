"""A license's holder is told once, however often the task runs, and a letter says only what is true."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage
from uuid import uuid4

import pytest

from domain.aggregate import Event, replay
from domain.license import License
from domain.license_events import LicenseExpired, LicenseExpiringSoon
from domain.license_policy import Expiry, LicensePolicy
from domain.license_refusals import LicenseUnknown
from domain.policies import decide
from infra.event_store import Log
from infra.local.mailbox import Mailbox
from infra.mail import AddressInvalidError, Mailer, MailNotConfiguredError, MailRefusedError, MailUnavailableError
from tasks.app import app
from tasks.catalog import notices, sending
from tasks.catalog.judging import Judge
from tasks.catalog.notices import LicenseNotice, send_license_notice, send_notice
from tasks.catalog.sending import NEVER_BETTER, REFUSALS, Errand
from tasks.wiring import Wiring
from tasks.worker.policies import E_MAIL
from tests.tasks.catalog.fleet import CAUSE, NOON, Fleet

UNTIL = NOON + timedelta(days=7)


def notice_id(days_left: int) -> str:
    """What the policy calls the notice."""
    return f"license.{'expiring_soon' if days_left else 'expired'}:{UNTIL.isoformat()}:{days_left}"


class Holder:
    """A license whose holder is to be told of its end in seven days."""

    def __init__(self, fleet: Fleet, wired: Wiring, mailbox: Mailbox) -> None:
        self._fleet = fleet
        self._wired = wired
        self._mailbox = mailbox
        self.name = f"lic-{uuid4()}"
        self.address: str | None = f"{uuid4()}@example.org"
        self.until = UNTIL
        self.mailer = Mailer.from_settings(wired.settings)

    def issue(self) -> None:
        issued = License.issue(self.name, valid_until=UNTIL, at=NOON - timedelta(days=99), holder_email=self.address)
        self._fleet.record(issued)

    def tell(self, *, days_left: int = 7) -> str:
        told = LicenseNotice(
            license_id=self.name, notice_id=notice_id(days_left), days_left=days_left, valid_until=self.until
        )
        return send_notice(told, Errand(self._wired, self.mailer, CAUSE, str(CAUSE.id)))

    def stream(self) -> list[Event]:
        stream = f"license-{self.name}"
        return self._fleet.store.load(Log.LICENSING, [stream])[stream]

    def letters(self) -> list[EmailMessage]:
        return [letter for letter in self._mailbox.letters() if self.name in letter["Subject"]]

    def license(self) -> License:
        found = replay(self.stream())
        assert isinstance(found, License)
        return found

    def change(self, change: Callable[[License], object]) -> None:
        license_ = self.license()
        change(license_)
        self._fleet.record(license_)


@pytest.fixture
def holder(fleet: Fleet, wired: Wiring, mailbox: Mailbox) -> Holder:
    return Holder(fleet, wired, mailbox)


def test_the_holder_gets_a_letter_and_the_license_remembers_it(holder: Holder) -> None:
    holder.issue()
    assert holder.tell() == "sent"
    (letter,) = holder.letters()
    assert letter["To"] == holder.address
    assert letter["Subject"].strip() == f"Your license {holder.name} ends on 2026-06-08"
    assert letter["Date"] == "Mon, 01 Jun 2026 12:00:00 +0000"
    bodies = {part.get_content_type(): part.get_content() for part in letter.iter_parts()}
    assert "7 days before the end" in bodies["text/plain"]
    assert "7 days before the end" in bodies["text/html"]
    assert holder.license().notices_sent == {notice_id(7)}


def test_the_end_of_the_term_has_a_letter_of_its_own(holder: Holder) -> None:
    holder.issue()
    assert holder.tell(days_left=0) == "sent"
    assert holder.letters()[0]["Subject"].strip() == f"Your license {holder.name} has expired"


def test_told_twice_the_holder_gets_one_letter(holder: Holder) -> None:
    holder.issue()
    assert [holder.tell(), holder.tell()] == ["sent", "sent before"]
    assert len(holder.letters()) == 1


def test_told_by_several_at_once_the_holder_gets_one_letter(holder: Holder) -> None:
    holder.issue()
    start, outcomes = threading.Barrier(4), list[str]()

    def tell() -> None:
        start.wait()
        outcomes.append(holder.tell())

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["sent", "sent before", "sent before", "sent before"]
    assert len(holder.letters()) == 1


def test_a_letter_repeated_after_a_crash_can_be_recognized(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    holder.issue()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sending, "record", crash)
        with pytest.raises(KeyboardInterrupt):
            holder.tell()
    assert holder.tell() == "sent"
    first, second = holder.letters()
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@localhost.localdomain>")


def test_a_crash_before_the_license_remembers_does_not_repeat_the_letter(
    holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder.issue()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Judge, "ask", crash)
        with pytest.raises(KeyboardInterrupt):
            holder.tell()
    assert holder.license().notices_sent == set()
    assert holder.tell() == "sent before"
    assert holder.license().notices_sent == {notice_id(7)}
    assert len(holder.letters()) == 1


def test_what_was_sent_before_there_were_records_of_notices_is_not_sent_again(holder: Holder) -> None:
    holder.issue()
    holder.change(lambda license_: license_.record_notice(notice_id(7), recipient="a@example.org", at=NOON))
    assert holder.tell() == "sent before"
    assert holder.letters() == []


def test_a_license_without_an_address_needs_no_letter(holder: Holder) -> None:
    holder.address = None
    holder.issue()
    assert holder.tell() == "no address"
    assert holder.letters() == []


def test_a_notice_overtaken_by_a_renewal_is_not_sent(holder: Holder) -> None:
    holder.issue()
    holder.change(lambda license_: license_.renew(valid_until=UNTIL + timedelta(days=365), at=NOON))
    assert holder.tell() == "overtaken"
    assert holder.letters() == []


def test_a_notice_about_a_revoked_license_is_not_sent(holder: Holder) -> None:
    holder.issue()
    holder.change(lambda license_: license_.revoke(reason="terms broken", at=NOON))
    assert holder.tell() == "overtaken"


def test_a_notice_about_no_license_is_refused(holder: Holder) -> None:
    with pytest.raises(LicenseUnknown):
        holder.tell()


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("refused@example.org", MailRefusedError),
        ("later@example.org", MailUnavailableError),
        ("a@example.org\nBcc: everyone@example.org", AddressInvalidError),
        ("a@example.org, b@example.org", AddressInvalidError),
    ],
)
def test_a_letter_that_did_not_go_out_is_not_remembered_as_sent(
    holder: Holder, address: str, error: type[Exception]
) -> None:
    holder.address = address
    holder.issue()
    with pytest.raises(error):
        holder.tell()
    assert holder.letters() == []
    assert holder.license().notices_sent == set()


def test_without_a_mail_server_the_fault_says_so(holder: Holder, wired: Wiring) -> None:
    holder.mailer = Mailer.from_settings(wired.settings.model_copy(update={"smtp_url": None}))
    holder.issue()
    with pytest.raises(MailNotConfiguredError):
        holder.tell()


def test_only_faults_that_may_pass_are_worth_the_five_retries() -> None:
    assert [E_MAIL.delay(attempt, lambda: 1.0).total_seconds() for attempt in range(1, 7)] == [
        30,
        60,
        120,
        240,
        480,
        600,
    ]
    assert (E_MAIL.max_retries, send_license_notice.retry_policy) == (5, E_MAIL)
    assert set(NEVER_BETTER) == {*REFUSALS, MailNotConfiguredError}
    assert not issubclass(MailUnavailableError, NEVER_BETTER)


@pytest.fixture
def facts(holder: Holder) -> list[LicenseExpiringSoon | LicenseExpired]:
    holder.issue()
    holder.change(lambda license_: license_.judge_term(now=UNTIL))
    return [fact for fact in holder.stream() if isinstance(fact, LicenseExpiringSoon | LicenseExpired)]


def test_what_the_policy_asks_for_is_what_the_task_understands(
    holder: Holder, wired: Wiring, facts: list[LicenseExpiringSoon | LicenseExpired], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "wiring", lambda: wired)
    outcomes: list[str] = []
    for fact in facts:
        for command in decide(fact):
            assert command.task == send_license_notice.name
            result = send_license_notice.apply(kwargs=command.kwargs, task_id=str(uuid4())).get()
            outcomes.append(result["outcome"])
    assert outcomes == ["sent"] * 4
    assert len(holder.letters()) == len({letter["Message-ID"] for letter in holder.letters()}) == 4
    assert len(holder.license().notices_sent) == 4


def test_the_tasks_are_known_to_celery_by_their_stable_names() -> None:
    app.loader.import_default_modules()
    ours = {
        "cleanup_zombie_sessions",
        "check_license_expirations",
        "aggregate_usage_metrics",
        "send_license_notice",
    }
    assert ours <= set(app.tasks)


def test_valid_until_is_told_in_utc() -> None:
    until = datetime.fromisoformat("2026-06-08T01:30:00+02:00")
    told = LicenseNotice(license_id="lic", notice_id="n", days_left=1, valid_until=until)
    assert told.letter_values(Expiry.RESTRICT) == {
        "license_id": "lic",
        "day": "2026-06-07",
        "valid_until": "2026-06-07 23:30",
        "days": "1 day",
        "consequence": "No new session can start under it. Renew it, and sessions can start again at once.",
    }


@pytest.mark.parametrize(
    ("expiry", "means"),
    [(Expiry.RESTRICT, "No new session"), (Expiry.REVOKE, "have ended"), (Expiry.MAINTAIN, "be used as before")],
    ids=str,
)
def test_the_letter_says_what_the_end_of_the_term_means_for_this_license(
    holder: Holder, expiry: Expiry, means: str
) -> None:
    holder.issue()
    if expiry is not Expiry.RESTRICT:
        holder.change(lambda license_: license_.change_policy(LicensePolicy(expiry=expiry), at=NOON))
    assert holder.tell(days_left=0) == "sent"
    (letter,) = holder.letters()
    body = letter.get_body(("plain",))
    assert body is not None
    assert means in body.get_content()


def test_after_a_transfer_the_new_holder_is_told_and_the_old_one_is_not(holder: Holder) -> None:
    holder.issue()
    holder.change(lambda license_: license_.transfer(holder="apex", holder_email="new@apex.example", at=NOON))
    assert holder.tell() == "sent"
    (letter,) = holder.letters()
    assert letter["To"] == "new@apex.example"
    holder.change(lambda license_: license_.transfer(holder="nobody", holder_email=None, at=NOON))
    assert holder.tell(days_left=1) == "no address"
