"""Letters about people's accounts, which services ask for: verification, password reset, welcome."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec

from domain.message_data import Id
from infra.secret_link import LinkKeyInvalidError, LinkKeys, check_link
from tasks.app import task
from tasks.catalog.letter import LetterInvalidError, compose
from tasks.catalog.sending import NEVER_BETTER, SOFT_LIMIT_SECONDS, Errand, Notice, send_once
from tasks.wiring import Wiring, wiring
from tasks.worker.policies import E_MAIL

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
Address = Annotated[str, msgspec.Meta(min_length=3, max_length=254)]
Encrypted = Annotated[str, msgspec.Meta(min_length=1, max_length=6000)]
_LIKE_A_LINK: Final = re.compile(r"[/@:]|\w\.\w{2,}|www\.", re.IGNORECASE)
"""What mail readers make a link of. People enter their own names, and others get the letter."""


class AccountLetter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service says of a letter about an account.

    Attributes:
        to: the address, and nothing else.
        cause_id: what brought the letter about, in the service's words: for the same one there is one letter.
        service: what the account is for, as people know it.
        name: how the reader is called, if that is known.
    """

    to: Address
    cause_id: Id
    service: Label
    name: Label | None = None

    def notice(self, template: str) -> Notice:
        """The same as a notice like any other."""
        return Notice(template, f"{self.service}/{self.cause_id}", self.to)  # services need not know each other's

    def letter_values(self, wired: Wiring, *, now: datetime) -> dict[str, Any]:
        """What goes into the letter.

        Raises:
            LetterInvalidError: a value does not stay in its line.
        """
        del wired, now
        for field in ("service", "name"):
            if not (getattr(self, field) or "").isprintable():
                raise LetterInvalidError(f"{field}: wanted is one line of printable characters")
        return {"service": self.service, "name": _spoken(self.name)}


class LetterWithLink(AccountLetter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A letter with a link that only its reader may see.

    Attributes:
        encrypted_link: as :func:`infra.secret_link.encrypt_link` makes it.
    """

    encrypted_link: Encrypted

    def letter_values(self, wired: Wiring, *, now: datetime) -> dict[str, Any]:
        """What goes into the letter; here the link is readable for the first time.

        Raises:
            LetterInvalidError: a value does not stay in its line.
            LinkInvalidError: the link cannot be read, or is not for this letter.
            LinkExpiredError: it has ended.
        """
        secret = _keys(wired).open(self.encrypted_link).check(to=self.to, now=now)
        ends = secret.expires_at.astimezone(UTC)
        values = super().letter_values(wired, now=now)
        return {**values, "link": secret.link, "expires_at": f"{ends:%Y-%m-%d %H:%M}"}


class WelcomeLetter(AccountLetter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A welcome.

    Attributes:
        link: where to sign in, if the letter is to say so. No secret: it stands in the log as it is.
    """

    link: str | None = None

    def letter_values(self, wired: Wiring, *, now: datetime) -> dict[str, Any]:
        """What goes into the letter.

        Raises:
            LetterInvalidError: a value does not stay in its line.
            LinkInvalidError: the link is none that a letter may hold.
        """
        if self.link is not None:
            check_link(self.link)
        return {**super().letter_values(wired, now=now), "link": self.link}


AnyLetter = TypeVar("AnyLetter", bound=AccountLetter)
SHAPES: Final[dict[str, tuple[str, type[AccountLetter]]]] = {
    "send_verification": ("verification", LetterWithLink),
    "send_password_reset": ("password_reset", LetterWithLink),
    "send_welcome": ("welcome", WelcomeLetter),
}
"""By task: which template it sends, and what it takes."""
DECLARED: Final[dict[str, Any]] = {
    "bind": True,
    "retry_policy": E_MAIL,
    "no_retry_for": (*NEVER_BETTER, msgspec.ValidationError, LinkKeyInvalidError),
    "soft_time_limit": SOFT_LIMIT_SECONDS,
}


def send_account_letter(task_name: str, told: Mapping[str, Any], errand: Errand) -> str:
    """Send the letter that the task of that name was asked for, once for its cause.

    Returns:
        ``sent`` or ``sent before``.

    Raises:
        msgspec.ValidationError: ``told`` is not what the task takes; the text says what.
        MailError: it did not go out; and whatever else :func:`tasks.catalog.sending.send_once` raises.
    """
    template, shape = SHAPES[task_name]
    asked = msgspec.convert(dict(told), shape)
    wired = errand.wired
    return send_once(
        asked.notice(template),
        errand,
        lambda: compose(
            template,
            asked.letter_values(wired, now=errand.cause.at),
            to=asked.to,
            templates_dir=wired.settings.mail_templates_dir,
        ),
    )


def notice_of(task_name: str, kwargs: Mapping[str, Any]) -> Notice:
    """The notice that a run of that task with these arguments was to send."""
    template, shape = SHAPES[task_name]
    return msgspec.convert(dict(kwargs), shape).notice(template)


def _keys(wired: Wiring) -> LinkKeys:
    if wired.settings.link_key is None:
        raise LinkKeyInvalidError("LEDGERQ_LINK_KEY is not set (ledgerq notice new-key)")
    return LinkKeys(wired.settings.link_key.get_secret_value())


def _spoken(name: str | None) -> str | None:
    """The name, unless a mail reader would make a link of it: then nobody is called anything."""
    return None if name is None or _LIKE_A_LINK.search(name) else name


def _sent_by(self: Any, told: Mapping[str, Any]) -> dict[str, str]:
    return {"outcome": send_account_letter(self.name, told, Errand.of(self, wiring(), at=datetime.now(UTC)))}


@task("send_verification", **DECLARED)
def send_verification(self: Any, **told: Any) -> dict[str, str]:
    """Ask somebody to confirm an address; the arguments are a :class:`LetterWithLink`'s.

    Returns:
        ``outcome``: ``sent`` or ``sent before``.
    """
    return _sent_by(self, told)


@task("send_password_reset", **DECLARED)
def send_password_reset(self: Any, **told: Any) -> dict[str, str]:
    """Give somebody a link to set a new password; the arguments are a :class:`LetterWithLink`'s.

    Returns:
        ``outcome``: ``sent`` or ``sent before``.
    """
    return _sent_by(self, told)


@task("send_welcome", **DECLARED)
def send_welcome(self: Any, **told: Any) -> dict[str, str]:
    """Welcome somebody whose account is ready; the arguments are a :class:`WelcomeLetter`'s.

    Returns:
        ``outcome``: ``sent`` or ``sent before``.
    """
    return _sent_by(self, told)
