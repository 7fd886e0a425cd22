"""E-mail is handed to a real SMTP server; what it answers decides whether another try makes sense."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from infra.local.mailbox import Mailbox
from infra.mail import (
    AddressInvalidError,
    Mailer,
    MailNotConfiguredError,
    MailRefusedError,
    MailServer,
    MailUnavailableError,
    mail_address,
)
from infra.settings import Settings


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailbox]:
    with Mailbox(tmp_path_factory.mktemp("mail")) as started:
        yield started


def letter(to: str = "holder@example.org") -> EmailMessage:
    made = EmailMessage()
    made["To"] = to
    made["Subject"] = "About your license"
    made.set_content("It ends.")
    return made


def mailer(url: str, **options: Any) -> Mailer:
    return Mailer(MailServer.parse(url), sender="Ledgerq <l@example.com>", timeout=timedelta(seconds=3), **options)


def test_an_accepted_letter_arrives_with_our_sender(mailbox: Mailbox) -> None:
    mailer(mailbox.url).send(letter("first@example.org"))
    arrived = mailbox.letters()[-1]
    assert (arrived["To"], arrived["From"]) == ("first@example.org", "Ledgerq <l@example.com>")
    assert arrived.get_content().strip() == "It ends."


def test_a_recipient_refused_for_good_is_not_worth_another_try(mailbox: Mailbox) -> None:
    with pytest.raises(MailRefusedError, match=r"550 5\.1\.1 no such mailbox"):
        mailer(mailbox.url).send(letter("refused@example.org"))


def test_a_recipient_refused_for_now_is_worth_another_try(mailbox: Mailbox) -> None:
    with pytest.raises(MailUnavailableError, match="451"):
        mailer(mailbox.url).send(letter("later@example.org"))


def test_a_server_that_cannot_be_reached_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(MailUnavailableError):
        mailer(f"smtp://127.0.0.1:{port}").send(letter())


def test_a_server_that_says_nothing_is_given_up_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer.parse(f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(MailUnavailableError):
            Mailer(server, sender="l@example.com", timeout=timedelta(seconds=0.2)).send(letter())


def test_without_a_server_sending_says_which_setting_is_missing() -> None:
    with pytest.raises(MailNotConfiguredError, match="LEDGERQ_SMTP_URL"):
        Mailer.from_settings(Settings(smtp_url=None)).send(letter())


@pytest.mark.parametrize("url", ["http://host", "smtp://", "host:25"])
def test_a_url_of_something_else_is_no_mail_server(url: str) -> None:
    with pytest.raises(ValueError, match="smtp://"):
        MailServer.parse(url)


def test_user_and_password_of_the_url_are_unquoted() -> None:
    assert MailServer.parse("smtps://me%40here:p%2Fw@host") == MailServer("host", 465, True, "me@here", "p/w")


@pytest.mark.parametrize(
    "text",
    [
        "a@b.c\r\nBcc: everyone@example.org",
        "a@b.c\n",
        "a@b.c,d@e.f",
        "Name <a@b.c>",
        "a@b.c ",
        "a@",
        "@b",
        "",
        "nobody",
        "a b@c",
    ],
)
def test_what_is_more_or_less_than_one_address_is_refused(text: str) -> None:
    with pytest.raises(AddressInvalidError):
        mail_address(text)


@pytest.mark.parametrize("text", ["a@b.c", "first.last+tag@example.org", "root@localhost"])
def test_an_address_is_taken_as_it_is(text: str) -> None:
    assert mail_address(text) == text


def test_starttls_is_used_where_offered_and_then_the_password_is_sent(tls: tuple[Path, Path]) -> None:
    with serving(tls, auth_required=True) as (port, kept):
        mailer(f"smtp://me:secret@127.0.0.1:{port}").send(letter())
        assert len(kept) == 1


def test_a_wrong_password_is_ours_to_mend_and_not_the_recipients_refusal(tls: tuple[Path, Path]) -> None:
    with serving(tls, auth_required=True) as (port, kept):
        with pytest.raises(MailUnavailableError, match="535"):
            mailer(f"smtp://me:wrong@127.0.0.1:{port}").send(letter())
        assert kept == []


def test_smtps_speaks_tls_from_the_first_byte(tls: tuple[Path, Path]) -> None:
    with serving(tls, at_once=True) as (port, kept):
        mailer(f"smtps://127.0.0.1:{port}").send(letter())
        assert len(kept) == 1


def test_the_certificate_of_another_machine_is_checked(tls: tuple[Path, Path]) -> None:
    with serving(tls, host="127.0.0.2") as (port, kept):
        with pytest.raises(MailUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            mailer(f"smtp://127.0.0.2:{port}").send(letter())
        trusting = ssl.create_default_context(cafile=str(tls[0]))
        mailer(f"smtp://127.0.0.2:{port}", tls=trusting).send(letter())
        assert len(kept) == 1


def test_a_password_is_not_sent_to_another_machine_in_the_clear() -> None:
    with serving(None, host="127.0.0.2") as (port, kept):
        with pytest.raises(MailRefusedError, match="in the clear"):
            mailer(f"smtp://me:secret@127.0.0.2:{port}").send(letter())
        assert kept == []


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    asked = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=127.0.0.2", "-addext", "subjectAltName=IP:127.0.0.2")
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(("openssl", *asked, *names, *files), check=True, capture_output=True)
    return certificate, key


@contextmanager
def serving(
    tls: tuple[Path, Path] | None, *, host: str = "127.0.0.1", at_once: bool = False, auth_required: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """A mail server with TLS and passwords, in a thread; yields its port and what it was handed."""
    kept: list[bytes] = []
    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)

    class Handler:
        async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802
            kept.append(envelope.original_content or b"")
            return "250 OK"

    def authenticator(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me", b"secret")
        return AuthResult(success=right, handled=False)

    options: dict[str, Any] = {"hostname": "localhost", "authenticator": authenticator}
    if context and not at_once:
        options |= {"tls_context": context, "require_starttls": True, "auth_required": auth_required}

    async def serve(port: Future[int], stop: asyncio.Event, told_loop: Future[asyncio.AbstractEventLoop]) -> None:
        loop = asyncio.get_running_loop()
        told_loop.set_result(loop)
        made = lambda: SMTP(Handler(), loop=loop, **options)  # noqa: E731
        server = await loop.create_server(made, host, 0, ssl=context if at_once else None)
        async with server:
            port.set_result(server.sockets[0].getsockname()[1])
            await stop.wait()

    port: Future[int] = Future()
    told_loop: Future[asyncio.AbstractEventLoop] = Future()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(port, stop, told_loop)))
    thread.start()
    try:
        yield port.result(5), kept
    finally:
        told_loop.result(5).call_soon_threadsafe(stop.set)
        thread.join()
