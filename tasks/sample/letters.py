"""Letters that the sample fleet's accounts service asks for, their links encrypted as a service does it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from domain.tier import Tier
from infra.secret_link import LinkKeys, SecretLink, encrypt_link
from infra.settings import Settings
from tasks.sample.plan import Said

SERVICE: Final = "Example Desk"
_LINK_LIVES: Final = timedelta(hours=1)


def letters(settings: Settings, *, start: datetime, tag: str) -> Iterator[Said]:
    """A verification, a password reset, a welcome, and a welcome to an address that the mailbox refuses.

    Args:
        settings: with the key that links are encrypted to; without one there are no letters with links.
        start: when the run begins, UTC.
        tag: set into every cause, so that fleets can follow each other on one database.
    """
    ada = f"ada-{tag}@example.org"
    if settings.link_key is not None:
        keys = LinkKeys(settings.link_key.get_secret_value())
        for task, page in (("send_verification", "confirm"), ("send_password_reset", "reset")):
            link = f"https://desk.example.org/{page}?token=sample-{tag}"
            secret = SecretLink(link=link, to=ada, expires_at=start + _LINK_LIVES)
            encrypted = encrypt_link(secret, keys.public)
            yield _letter(3.0, task, to=ada, cause_id=f"{page}-{tag}", name="Ada", encrypted_link=encrypted)
    sign_in = "https://desk.example.org/sign-in"
    yield _letter(4.0, "send_welcome", to=ada, cause_id=f"account-{tag}-1", name="Ada", link=sign_in)
    yield _letter(4.0, "send_welcome", to=f"refused-{tag}@example.org", cause_id=f"account-{tag}-2")


def _letter(after_seconds: float, task: str, **kwargs: Any) -> Said:
    data = {"task": task, "tier": Tier.HIGH.value, "kwargs": {"service": SERVICE, **kwargs}}
    return Said(after_seconds, "task.requested", task, data)
