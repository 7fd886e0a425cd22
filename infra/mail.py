"""Sending e-mail over SMTP (RFC 5321) with the standard library.

``smtp://`` uses STARTTLS where the server offers it (RFC 3207), ``smtps://`` speaks TLS from the first byte
(RFC 8314); certificates are checked against the system's authorities (or those of ``SSL_CERT_FILE``), and a password
is never sent without TLS. Only this machine itself is trusted without either: a mail server fresh from the
distribution offers STARTTLS with a certificate that nobody signed.
"""

from __future__ import annotations

import smtplib
import ssl
from datetime import timedelta
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from infra.settings import Settings

DEFAULT_PORTS: Final = {"smtp": 25, "smtps": 465}
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
PERMANENT_CODES: Final = range(500, 600)
"""Replies that a repetition does not change (RFC 5321, section 4.2.1)."""


class MailError(Exception):
    """An e-mail did not go out."""


class MailUnavailableError(MailError):
    """The mail server cannot be reached or says "later" (4xx); worth another try."""


class MailRefusedError(MailError):
    """The mail server refuses this e-mail, its sender or its recipient for good (5xx); trying again changes nothing."""


class MailNotConfiguredError(MailError):
    """There is no mail server to send through: LEDGERQ_SMTP_URL is not set."""


class AddressInvalidError(MailError, ValueError):
    """What stands where an e-mail address should is none; the text shows it."""


class MailServer(NamedTuple):
    """Where e-mails are handed in."""

    host: str
    port: int
    tls_at_once: bool
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``smtp://[user:password@]host[:port]`` or ``smtps://…``.

        Raises:
            ValueError: another scheme, or no host.
        """
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("a mail server's URL is smtp://[user:password@]host[:port] or smtps://…")
        return cls(
            host=parts.hostname,
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            tls_at_once=parts.scheme == "smtps",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


class Mailer:
    """Hands e-mails to one mail server, one connection each."""

    def __init__(
        self, server: MailServer | None, *, sender: str, timeout: timedelta, tls: ssl.SSLContext | None = None
    ) -> None:
        """``tls``: how certificates are checked; None: as the module says."""
        self.sender = sender
        self._server = server
        self._timeout = timeout.total_seconds()
        self._tls = tls or _tls_for(server)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The mailer that the settings describe; without a server each :meth:`send` says so."""
        url = settings.smtp_url
        server = MailServer.parse(url.get_secret_value()) if url else None
        return cls(server, sender=settings.mail_from, timeout=timedelta(seconds=settings.mail_timeout_seconds))

    def send(self, message: EmailMessage) -> None:
        """Hand over ``message``; ``From`` is set here, ``To`` holds its one recipient.

        Raises:
            MailNotConfiguredError: there is no server.
            MailUnavailableError: not now; try again.
            MailRefusedError: never.
        """
        if self._server is None:
            raise MailNotConfiguredError("LEDGERQ_SMTP_URL is not set")
        del message["From"]
        message["From"] = self.sender
        try:
            session = self._connected(self._server)
            try:
                session.send_message(message)
            finally:
                _hang_up(session)
        except (smtplib.SMTPException, OSError) as error:
            raise _as_mail_error(error) from error

    def _connected(self, server: MailServer) -> smtplib.SMTP:
        if server.tls_at_once:
            session: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout, context=self._tls)
        else:
            session = smtplib.SMTP(server.host, server.port, timeout=self._timeout)
        try:
            self._introduce(session, server)
        except BaseException:
            session.close()
            raise
        return session

    def _introduce(self, session: smtplib.SMTP, server: MailServer) -> None:
        session.ehlo_or_helo_if_needed()
        encrypted = server.tls_at_once
        if not encrypted and session.has_extn("starttls"):
            session.starttls(context=self._tls)
            session.ehlo()
            encrypted = True
        if server.user is None or server.password is None:
            return
        if not encrypted and server.host not in LOOPBACK:
            raise MailRefusedError(f"{server.host} offers no TLS; the password is not sent in the clear")
        session.login(server.user, server.password)


def mail_address(text: str) -> str:
    """``text`` as an address that may stand in a header (RFC 5322 addr-spec).

    Raises:
        AddressInvalidError: it is none, or holds anything beyond one address (a line break, a second recipient).
    """
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError) as error:
        raise AddressInvalidError(f"{text!r} is no e-mail address: {error}") from None
    if address.addr_spec != text or not address.username or not address.domain or not text.isprintable():
        raise AddressInvalidError(f"{text!r} is no e-mail address")
    return text


def _tls_for(server: MailServer | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if server and server.host in LOOPBACK:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _hang_up(session: smtplib.SMTP) -> None:
    """Say goodbye; by now the server has the e-mail or has refused it, and a rude end changes neither."""
    try:
        session.quit()
    except (smtplib.SMTPException, OSError):
        session.close()


def _as_mail_error(error: smtplib.SMTPException | OSError) -> MailError:
    """Tell a refusal for good from a fault that may pass; what is wrong between the server and us, people can mend."""
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return MailRefusedError(str(error))
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        replies = list(error.recipients.values())
        told = "; ".join(f"{code} {_text(reply)}" for code, reply in replies)
        permanent = all(code in PERMANENT_CODES for code, _ in replies)
        return (MailRefusedError if permanent else MailUnavailableError)(told)
    about_us = isinstance(error, (smtplib.SMTPConnectError, smtplib.SMTPAuthenticationError, smtplib.SMTPHeloError))
    if isinstance(error, smtplib.SMTPResponseException) and not about_us:
        told = f"{error.smtp_code} {_text(error.smtp_error)}"
        return (MailRefusedError if error.smtp_code in PERMANENT_CODES else MailUnavailableError)(told)
    return MailUnavailableError(str(error) or type(error).__name__)


def _text(reply: bytes | str) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else reply
