"""Sending e-mail over SMTP (RFC 5321) with the standard library: addresses, the server, and what it answers."""

from infra.mail.address import MailAddress
from infra.mail.errors import (
    AddressInvalidError,
    MailError,
    MailNotConfiguredError,
    MailRefusedError,
    MailTooLargeError,
    MailUnavailableError,
)
from infra.mail.mailer import Mailer
from infra.mail.reply import Reply
from infra.mail.server import MailServer

__all__ = [
    "AddressInvalidError",
    "MailAddress",
    "MailError",
    "MailNotConfiguredError",
    "MailRefusedError",
    "MailServer",
    "MailTooLargeError",
    "MailUnavailableError",
    "Mailer",
    "Reply",
]
