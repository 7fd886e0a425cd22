"""Why an e-mail did not go out, told apart by whether another try can change it."""

from __future__ import annotations

from infra.mail.reply import Reply


class MailError(Exception):
    """An e-mail did not go out.

    Attributes:
        reply: what the server answered, where it did.
    """

    def __init__(self, text: str, *, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.reply = reply


class MailUnavailableError(MailError):
    """The mail server cannot be reached, says "later" (4xx), or is not set up for us; worth another try."""


class MailRefusedError(MailError):
    """The mail server refuses this e-mail, its sender or its recipient for good (5xx); trying again changes nothing."""


class MailTooLargeError(MailRefusedError):
    """The e-mail is larger than we send or the server takes."""


class MailNotConfiguredError(MailError):
    """The settings give us no way to send: LEDGERQ_SMTP_URL is not set, or what the text names cannot be used."""


class AddressInvalidError(MailError, ValueError):
    """What stands where an e-mail address should is none; the text shows it and says what is wrong."""
