"""E-mail addresses: exactly one, checked, in the form that headers and the envelope take.

The `email-validator` library knows the syntax (RFC 5322 without its obsolete parts, RFC 6531 for letters beyond ASCII,
IDNA 2008 for domains); nothing is looked up.
"""

from __future__ import annotations

from email.utils import parseaddr
from typing import Final, NamedTuple, Self

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from infra.mail.errors import AddressInvalidError

SHOWN_CHARACTERS: Final = 100
"""How much of what is no address an error shows."""
PRIVATE: Final = frozenset({"local", "localhost", "test"})
"""Domains that the library refuses and mail servers of private networks serve."""
SPECIAL_USE_DOMAIN_NAMES[:] = [name for name in SPECIAL_USE_DOMAIN_NAMES if name not in PRIVATE]  # as its readme says


class MailAddress(NamedTuple):
    """One mailbox.

    Attributes:
        text: for headers and the envelope: its domain as DNS knows it (``xn--…``) where that makes it ASCII.
        needs_smtputf8: whether it is not ASCII all the same, so that a server has to offer SMTPUTF8 (RFC 6531).
    """

    text: str
    needs_smtputf8: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that ``text`` is, and nothing else: no name beside it, no second address, no line break.

        Raises:
            AddressInvalidError: it is none.
        """
        try:
            checked = validate_email(
                text,
                check_deliverability=False,
                globally_deliverable=False,  # a mail server of one's own takes root@localhost
                strict=True,
            )
        except EmailNotValidError as error:
            raise AddressInvalidError(f"{text[:SHOWN_CHARACTERS]!r} is no e-mail address: {error}") from None
        return cls(checked.ascii_email or checked.normalized, checked.ascii_email is None)


def sender_address(mailbox: str) -> MailAddress:
    """The address within an RFC 5322 mailbox such as ``Ledgerq <ledgerq@example.org>``.

    Raises:
        AddressInvalidError: there is none, or the text would leave its header line.
    """
    if not mailbox.isprintable():
        raise AddressInvalidError(f"{mailbox[:SHOWN_CHARACTERS]!r} is no mailbox: it does not stay in its line")
    return MailAddress.parse(parseaddr(mailbox)[1])
