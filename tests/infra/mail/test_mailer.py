"""E-mail is handed to a real SMTP server; what it answers decides whether another try makes sense."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.local.mailbox import Mailbox
from infra.mail import (
    AddressInvalidError,
    Mailer,
    MailNotConfiguredError,
    MailRefusedError,
    MailServer,
    MailTooLargeError,
    MailUnavailableError,
    Reply,
)
from infra.settings import Settings
from tests.infra.mail.authority import Authority
from tests.infra.mail.serving import dripping, saying, serving, silent_after_taking

HELLO = (b"220 here", b"250 hello")
ANOTHER_MACHINE = "127.0.0.2"
"""Not one of the names that count as this machine itself."""


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mail")) as started:
        yield started


def letter(to: str = "holder@example.org", text: str = "It ends.") -> EmailMessage:
    made = EmailMessage(policy=SMTPUTF8)
    made["To"] = to
    made["Subject"] = "About your license"
    made.set_content(text)
    return made


def mailer(url: str, *, seconds: float = 3, total_seconds: float = 10, **options: Any) -> Mailer:
    patience = {"timeout": timedelta(seconds=seconds), "total": timedelta(seconds=total_seconds)}
    return Mailer(MailServer.parse(url), sender="Ledgerq <l@example.com>", **patience, **options)


def test_an_accepted_letter_arrives_with_our_sender_and_the_answer_is_told(mailbox: Mailbox) -> None:
    assert mailer(mailbox.url).send(letter("first@example.org")) == Reply(250, "OK")
    arrived = mailbox.letters()[-1]
    assert (arrived["To"], arrived["From"]) == ("first@example.org", "Ledgerq <l@example.com>")
    assert arrived.get_content().strip() == "It ends."


def test_a_recipient_refused_for_good_is_not_worth_another_try(mailbox: Mailbox) -> None:
    with pytest.raises(MailRefusedError, match=r"550 5\.1\.1 no such mailbox") as raised:
        mailer(mailbox.url).send(letter("refused@example.org"))
    assert raised.value.reply == Reply(550, "5.1.1 no such mailbox")


def test_a_recipient_refused_for_now_is_worth_another_try(mailbox: Mailbox) -> None:
    with pytest.raises(MailUnavailableError, match="451"):
        mailer(mailbox.url).send(letter("later@example.org"))


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        pytest.param((b"421 too busy",), MailUnavailableError, id="a greeting that says later"),
        pytest.param((b"554 nobody here",), MailUnavailableError, id="a greeting that says no"),
        pytest.param((*HELLO, b"451 greylisted"), MailUnavailableError, id="sender later"),
        pytest.param((*HELLO, b"530 authenticate first"), MailUnavailableError, id="we are not known"),
        pytest.param((*HELLO, b"553 not from you"), MailRefusedError, id="sender never"),
        pytest.param((*HELLO, b"250 ok", b"450 full"), MailUnavailableError, id="recipient later"),
        pytest.param((*HELLO, b"250 ok", b"551 moved"), MailRefusedError, id="recipient never"),
        pytest.param((*HELLO, b"250 ok", b"250 ok", b"451 disk"), MailUnavailableError, id="data later"),
        pytest.param((*HELLO, b"250 ok", b"250 ok", b"554 spam"), MailRefusedError, id="data never"),
        pytest.param((*HELLO, b"250 ok", b"250 ok", b"354 go", b"452 disk"), MailUnavailableError, id="content later"),
        pytest.param((*HELLO, b"250 ok", b"250 ok", b"354 go", b"554 spam"), MailRefusedError, id="content never"),
        pytest.param((*HELLO, b"250 ok", b"250 ok", b"354 go", b"552 big"), MailTooLargeError, id="content too large"),
        pytest.param((*HELLO, b"250 ok", b"250 ok", b"354 go"), MailUnavailableError, id="hangs up instead"),
        pytest.param((b"\xff\x00 \x80",), MailUnavailableError, id="no SMTP at all"),
    ],
)
def test_what_the_server_answers_where_decides(replies: tuple[bytes, ...], error: type[Exception]) -> None:
    with saying(*replies) as port, pytest.raises(error) as raised:
        mailer(f"smtp://127.0.0.1:{port}").send(letter())
    assert type(raised.value) is error


def test_a_rude_end_after_the_e_mail_was_taken_changes_nothing() -> None:
    with saying(*HELLO, b"250 ok", b"250 ok", b"354 go", b"250 2.0.0 queued as 7") as port:
        assert mailer(f"smtp://127.0.0.1:{port}").send(letter()) == Reply(250, "2.0.0 queued as 7")


def test_a_server_that_does_not_answer_our_goodbye_does_not_hold_up_the_record() -> None:
    began = time.monotonic()
    with silent_after_taking() as port:
        assert mailer(f"smtp://127.0.0.1:{port}", total_seconds=60).send(letter()).code == 250
        assert time.monotonic() - began < 10


def test_an_endless_answer_is_kept_in_one_bounded_line() -> None:
    with saying(*HELLO, b"250 ok", b"550-" + b"no\x1b[31m " * 100 + b"\r\n550 never") as port:
        with pytest.raises(MailRefusedError) as raised:
            mailer(f"smtp://127.0.0.1:{port}").send(letter())
        assert raised.value.reply is not None
        assert len(raised.value.reply.text) == 300
        assert raised.value.reply.text.isprintable()


def test_a_server_that_cannot_be_reached_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MailUnavailableError):
        mailer(f"smtp://127.0.0.1:{port}").send(letter())


def test_a_server_that_says_nothing_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(MailUnavailableError, match="timed out"):
        mailer(f"smtp://127.0.0.1:{silent.getsockname()[1]}", seconds=0.2).send(letter())


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_dribbles_is_given_up_when_all_time_is_over(scheme: str) -> None:
    began = time.monotonic()
    with dripping(b"220-" + b"x" * 60 + b"\r\n", every_seconds=0.02) as port:
        with pytest.raises(MailUnavailableError, match=r"not done within 0\.5 s|WRONG_VERSION|record layer"):
            mailer(f"{scheme}://127.0.0.1:{port}", total_seconds=0.5).send(letter())
        assert time.monotonic() - began < 5


def test_without_a_server_sending_says_which_setting_is_missing() -> None:
    with pytest.raises(MailNotConfiguredError, match="LEDGERQ_SMTP_URL"):
        Mailer.from_settings(Settings(smtp_url=None)).send(letter())


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(MailNotConfiguredError, match="LEDGERQ_MAIL_FROM"):
        Mailer.from_settings(Settings(mail_from="a@b@c"))
    with pytest.raises(MailNotConfiguredError, match="LEDGERQ_SMTP_URL: Port") as raised:
        Mailer.from_settings(Settings(smtp_url=SecretStr("smtp://me:s3cr3t@host:99999")))
    assert "s3cr3t" not in str(raised.value)
    with pytest.raises(MailNotConfiguredError, match="LEDGERQ_SMTP_CA_FILE"):
        Mailer.from_settings(Settings(smtp_ca_file=_empty(tmp_path)))


def _empty(directory: Path) -> Path:
    file = directory / "empty.pem"
    file.touch()
    return file


@pytest.mark.parametrize("to", ["a@example.org, b@example.org", "", "A <a@example.org>", "nobody"])
def test_a_letter_to_anything_but_one_address_is_not_sent(mailbox: Mailbox, to: str) -> None:
    before = len(mailbox.letters())
    with pytest.raises(AddressInvalidError):
        mailer(mailbox.url).send(letter(to))
    assert len(mailbox.letters()) == before


def test_starttls_is_used_where_offered_and_then_the_password_is_sent(authority: Authority) -> None:
    with serving(authority.server_context("127.0.0.1"), auth_required=True) as (port, kept):
        mailer(f"smtp://me:secret@127.0.0.1:{port}").send(letter())
        assert len(kept.contents) == 1


def test_a_wrong_password_is_ours_to_mend_and_not_the_recipients_refusal(authority: Authority) -> None:
    with serving(authority.server_context("127.0.0.1"), auth_required=True) as (port, kept):
        with pytest.raises(MailUnavailableError, match="535"):
            mailer(f"smtp://me:wrong@127.0.0.1:{port}").send(letter())
        assert kept.contents == []


def test_smtps_speaks_tls_from_the_first_byte(authority: Authority) -> None:
    with serving(authority.server_context(ANOTHER_MACHINE), host=ANOTHER_MACHINE, at_once=True) as (port, kept):
        mailer(f"smtps://{ANOTHER_MACHINE}:{port}", tls=authority.trusted()).send(letter())
        assert len(kept.contents) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_that_nobody_we_trust_signed_is_refused(authority: Authority, scheme: str) -> None:
    tls = authority.server_context(ANOTHER_MACHINE)
    with serving(tls, host=ANOTHER_MACHINE, at_once=scheme == "smtps") as (port, kept):
        with pytest.raises(MailUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            mailer(f"{scheme}://{ANOTHER_MACHINE}:{port}").send(letter())
        assert kept.contents == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_of_another_machine_is_refused(authority: Authority, scheme: str) -> None:
    tls = authority.server_context("127.0.0.3")
    with serving(tls, host=ANOTHER_MACHINE, at_once=scheme == "smtps") as (port, kept):
        with pytest.raises(MailUnavailableError, match="mismatch"):
            mailer(f"{scheme}://{ANOTHER_MACHINE}:{port}", tls=authority.trusted()).send(letter())
        assert kept.contents == []


def test_the_settings_name_the_authorities(authority: Authority) -> None:
    with serving(authority.server_context(ANOTHER_MACHINE), host=ANOTHER_MACHINE) as (port, kept):
        url = SecretStr(f"smtp://{ANOTHER_MACHINE}:{port}")
        Mailer.from_settings(Settings(smtp_url=url, smtp_ca_file=authority.certificate)).send(letter())
        assert len(kept.contents) == 1


def test_a_password_is_not_sent_to_another_machine_in_the_clear() -> None:
    with serving(host=ANOTHER_MACHINE) as (port, kept):
        with pytest.raises(MailUnavailableError, match="in the clear"):
            mailer(f"smtp://me:secret@{ANOTHER_MACHINE}:{port}", requires_tls=False).send(letter())
        assert kept.contents == []


def test_an_e_mail_is_not_sent_to_another_machine_in_the_clear_unless_that_is_allowed() -> None:
    with serving(host=ANOTHER_MACHINE) as (port, kept):
        with pytest.raises(MailUnavailableError, match="LEDGERQ_SMTP_TLS"):
            mailer(f"smtp://{ANOTHER_MACHINE}:{port}").send(letter())
        assert kept.contents == []
        url = SecretStr(f"smtp://{ANOTHER_MACHINE}:{port}")
        Mailer.from_settings(Settings(smtp_url=url, smtp_tls="if_offered")).send(letter())
        assert len(kept.contents) == 1


def test_a_mailbox_beyond_ascii_is_written_to_where_the_server_takes_it() -> None:
    with serving(enable_SMTPUTF8=True) as (port, kept):
        mailer(f"smtp://127.0.0.1:{port}").send(letter("jörg@bücher.example.org"))
        assert [envelope.rcpt_tos for envelope in kept.envelopes] == [["jörg@bücher.example.org"]]
        assert message_from_bytes(kept.contents[0], policy=policy.SMTPUTF8)["To"] == "jörg@bücher.example.org"


def test_a_mailbox_beyond_ascii_is_refused_where_the_server_does_not() -> None:
    with serving() as (port, kept):
        with pytest.raises(MailRefusedError, match="SMTPUTF8"):
            mailer(f"smtp://127.0.0.1:{port}").send(letter("jörg@example.org"))
        assert kept.contents == []


def test_a_domain_beyond_ascii_needs_nothing_of_the_server() -> None:
    with serving() as (port, kept):
        mailer(f"smtp://127.0.0.1:{port}").send(letter("info@bücher.example.org"))
        assert kept.envelopes[0].rcpt_tos == ["info@xn--bcher-kva.example.org"]
        assert b"To: info@xn--bcher-kva.example.org\r\n" in kept.contents[0]


def test_what_the_server_does_not_take_for_its_size_is_not_sent() -> None:
    with serving(data_size_limit=1000) as (port, kept):
        with pytest.raises(MailTooLargeError, match="takes 1000 at most"):
            mailer(f"smtp://127.0.0.1:{port}").send(letter(text="x" * 2000))
        assert kept.contents == []


def test_what_is_larger_than_any_letter_of_ours_is_not_sent() -> None:
    with pytest.raises(MailTooLargeError, match="262144 is the most"):
        mailer("smtp://127.0.0.1:1").send(letter(text="x" * 300_000))


def test_a_line_with_a_single_dot_does_not_end_the_e_mail(mailbox: Mailbox) -> None:
    mailer(mailbox.url).send(letter(text="one\n.\nRCPT TO:<other@example.org>\n..two\n"))
    arrived = mailbox.letters()[-1].get_content()
    assert arrived.splitlines() == ["one", ".", "RCPT TO:<other@example.org>", "..two"]
