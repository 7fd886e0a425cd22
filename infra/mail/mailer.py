"""Handing e-mails to one mail server.

``smtp://`` changes to TLS by STARTTLS (RFC 3207) before anything else is said, ``smtps://`` speaks TLS from the first
byte (RFC 8314); certificates are checked, and a password is never sent without TLS. Only this machine itself is trusted
without either.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final, Self

from infra.mail.address import MailAddress, sender_address
from infra.mail.errors import (
    AddressInvalidError,
    MailError,
    MailNotConfiguredError,
    MailRefusedError,
    MailTooLargeError,
    MailUnavailableError,
)
from infra.mail.reply import Reply, bounded_text
from infra.mail.server import MailServer, tls_context
from infra.mail.session import Deadline, Session
from infra.settings import Settings

LARGEST_BYTES: Final = 262_144
"""Of an e-mail as it is sent; ours have no attachments."""
TOO_LARGE: Final = 552
ABOUT_US: Final = frozenset({530, 534, 535, 538})
"""Replies that speak of our authentication (RFC 4954), which people can mend, and not of the e-mail."""


class Mailer:
    """Hands e-mails to one mail server, one connection and one recipient each: there are no partial refusals."""

    def __init__(
        self,
        server: MailServer | None,
        *,
        sender: str,
        timeout: timedelta,
        total: timedelta = timedelta(seconds=60),
        tls: ssl.SSLContext | None = None,
        requires_tls: bool = True,
    ) -> None:
        """Say through whom, and how patiently.

        Args:
            server: None: each :meth:`send` says that there is none.
            sender: an RFC 5322 mailbox.
            timeout: for the connection and for each answer.
            total: for all of it; the answer to the e-mail itself may take what is left of it.
            tls: how certificates are checked; None: as :func:`infra.mail.server.tls_context` says.
            requires_tls: whether nothing is sent to another machine that offers no TLS.

        Raises:
            MailNotConfiguredError: ``sender`` is no mailbox.
        """
        self.sender = sender
        try:
            self._sender = sender_address(sender)
        except AddressInvalidError as error:
            raise MailNotConfiguredError(f"LEDGERQ_MAIL_FROM: {error}") from None
        self._server = server
        self._timeout = timeout.total_seconds()
        self._total = total.total_seconds()
        self._tls = tls or tls_context(server)
        self._requires_tls = requires_tls

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The mailer that the settings describe; without a server each :meth:`send` says so.

        Raises:
            MailNotConfiguredError: a setting has a value that cannot be used; the text names it.
        """
        url = settings.smtp_url
        try:
            server = MailServer.parse(url.get_secret_value()) if url else None
        except ValueError as error:
            raise MailNotConfiguredError(f"LEDGERQ_SMTP_URL: {error}") from None
        ca_file = None if settings.smtp_ca_file is None else str(settings.smtp_ca_file)
        try:
            tls = tls_context(server, ca_file)
        except OSError as error:  # SSLError is one
            raise MailNotConfiguredError(f"LEDGERQ_SMTP_CA_FILE: {ca_file} holds no certificates: {error}") from None
        return cls(
            server,
            sender=settings.mail_from,
            timeout=timedelta(seconds=settings.mail_timeout_seconds),
            total=timedelta(seconds=settings.mail_total_timeout_seconds),
            tls=tls,
            requires_tls=settings.smtp_tls == "required",
        )

    def send(self, message: EmailMessage) -> Reply:
        """Hand over ``message``; ``From`` is set here, ``To`` holds its one recipient.

        Returns:
            the server's answer: from here on the e-mail is its business.

        Raises:
            MailNotConfiguredError: there is no server.
            AddressInvalidError: ``To`` is not one address.
            MailUnavailableError: not now; try again.
            MailRefusedError: never.
        """
        if self._server is None:
            raise MailNotConfiguredError("LEDGERQ_SMTP_URL is not set")
        recipient = MailAddress.parse(_only_recipient(message))
        del message["From"], message["To"]
        message["From"], message["To"] = self.sender, recipient.text
        is_international = recipient.needs_smtputf8 or self._sender.needs_smtputf8
        content = message.as_bytes(policy=SMTP.clone(utf8=is_international))
        if len(content) > LARGEST_BYTES:
            raise MailTooLargeError(f"the e-mail has {len(content)} bytes, and {LARGEST_BYTES} is the most")
        with Deadline(self._total) as deadline:
            try:
                return self._send(self._server, recipient, content, deadline)
            except (smtplib.SMTPException, OSError, UnicodeError) as error:
                if deadline.has_passed:
                    told = f"the mail server was not done within {self._total:g} s"
                    raise MailUnavailableError(told) from error
                raise _as_mail_error(error) from error

    def _send(self, server: MailServer, recipient: MailAddress, content: bytes, deadline: Deadline) -> Reply:
        session = Session(server, timeout=self._timeout, deadline=deadline, tls=self._tls)
        try:
            self._introduce(session, server)
            self._address(session, recipient, size_bytes=len(content))
            session.wait_as_long_as_there_is()
            reply = _agreed(*session.data(content))
        except BaseException:
            session.close()
            raise
        session.hang_up()
        return reply

    def _introduce(self, session: Session, server: MailServer) -> None:
        session.ehlo_or_helo_if_needed()
        is_encrypted = server.tls_at_once
        if not is_encrypted and session.has_extn("starttls"):
            session.starttls(context=self._tls)
            session.ehlo()
            is_encrypted = True
        if not is_encrypted and not server.is_local:
            if server.user is not None:
                raise MailUnavailableError(f"{server.host} offers no TLS; the password is not sent in the clear")
            if self._requires_tls:
                raise MailUnavailableError(f"{server.host} offers no TLS, and LEDGERQ_SMTP_TLS requires it")
        if server.user is not None and server.password is not None:
            session.login(server.user, server.password)

    def _address(self, session: Session, recipient: MailAddress, *, size_bytes: int) -> None:
        """Name sender and recipient; the server may refuse either, or the e-mail's size before it is sent."""
        options = []
        if recipient.needs_smtputf8 or self._sender.needs_smtputf8:
            if not session.has_extn("smtputf8"):
                told = "the mail server takes no addresses with letters beyond ASCII (it does not offer SMTPUTF8)"
                raise MailRefusedError(told)
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        if session.has_extn("size"):
            _check_size(session.esmtp_features.get("size", ""), size_bytes)
            options.append(f"SIZE={size_bytes}")
        _agreed(*session.mail(self._sender.text, options))
        _agreed(*session.rcpt(recipient.text))


def _only_recipient(message: EmailMessage) -> str:
    """The one address in ``To``, as it stands there."""
    header = message["To"]
    addresses: Sequence[Address] = getattr(header, "addresses", ())
    if len(addresses) == 1 and not addresses[0].display_name:
        return str(addresses[0].addr_spec)
    return str(header or "")  # which is no address, and the check of it says so


def _check_size(most: str, size_bytes: int) -> None:
    """Whether the server takes so much, by what it says of itself (RFC 1870); 0 or nothing: it does not say."""
    if most.isdecimal() and 0 < int(most) < size_bytes:
        raise MailTooLargeError(f"the e-mail has {size_bytes} bytes, and the mail server takes {int(most)} at most")


def _agreed(code: int, text: bytes) -> Reply:
    """The server's reply, where it is a yes.

    Raises:
        MailTooLargeError: no, because of the size.
        MailRefusedError: no, for good.
        MailUnavailableError: not now, or not us.
    """
    reply = Reply.of(code, text)
    if reply.is_positive:
        return reply
    raise _no(reply)


def _no(reply: Reply) -> MailError:
    if reply.code == TOO_LARGE:
        return MailTooLargeError(str(reply), reply=reply)
    is_final = reply.is_permanent and reply.code not in ABOUT_US
    return (MailRefusedError if is_final else MailUnavailableError)(str(reply), reply=reply)


def _as_mail_error(error: smtplib.SMTPException | OSError | UnicodeError) -> MailError:
    """Tell a refusal for good from a fault that may pass; what is wrong between the server and us, people can mend."""
    if not isinstance(error, smtplib.SMTPResponseException):
        return MailUnavailableError(bounded_text(str(error)) or type(error).__name__)
    reply = Reply.of(error.smtp_code, error.smtp_error)
    return _no(reply) if isinstance(error, smtplib.SMTPDataError) else MailUnavailableError(str(reply), reply=reply)
