"""A mail server is named by a URL."""

from __future__ import annotations

import pytest

from infra.mail import MailServer


@pytest.mark.parametrize("url", ["http://host", "smtp://", "host:25", "smtp://me@host", "smtp://:p@host"])
def test_a_url_of_something_else_is_no_mail_server(url: str) -> None:
    with pytest.raises(ValueError, match="smtp://"):
        MailServer.parse(url)


def test_user_and_password_of_the_url_are_unquoted() -> None:
    assert MailServer.parse("smtps://me%40here:p%2Fw@host") == MailServer("host", 465, True, "me@here", "p/w")
