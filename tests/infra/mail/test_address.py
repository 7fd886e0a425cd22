"""An address is exactly one, and stays where it is put."""

from __future__ import annotations

import pytest

from infra.mail import AddressInvalidError, MailAddress
from infra.mail.address import sender_address


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a@b.c\r\nBcc: everyone@example.org", id="a header behind it"),
        pytest.param("a@b.c\n", id="a line feed at its end"),
        pytest.param("a\x00@b.c", id="a null"),
        pytest.param("a\u2028b@b.c", id="a line separator"),
        pytest.param("a\u202eb@b.c", id="a turn of direction"),
        pytest.param("a@b.c\u0085", id="a next-line control"),
        pytest.param("a@b.c,d@e.f", id="two of them"),
        pytest.param("Name <a@b.c>", id="a name beside it"),
        pytest.param("a@b.c ", id="a blank behind it"),
        pytest.param('"a b"@b.c', id="quoted"),
        pytest.param("a@[127.0.0.1]", id="a number in the place of a name"),
        pytest.param("a@", id="no domain"),
        pytest.param("@b", id="no mailbox"),
        pytest.param("", id="nothing"),
        pytest.param("nobody", id="no @"),
        pytest.param("a@b@c", id="too many @"),
        pytest.param("a@-b.c", id="a domain that none may have"),
        pytest.param("a" * 65 + "@b.c", id="too long a mailbox"),
        pytest.param("a@" + "b." * 130 + "c", id="too long a domain"),
    ],
)
def test_what_is_more_or_less_than_one_address_is_refused(text: str) -> None:
    with pytest.raises(AddressInvalidError, match="is no e-mail address"):
        MailAddress.parse(text)


@pytest.mark.parametrize("text", ["a@b.c", "first.last+tag@example.org", "root@localhost", "o'hara@example.org"])
def test_an_address_is_taken_as_it_is(text: str) -> None:
    assert MailAddress.parse(text) == (text, False)


def test_a_domain_beyond_ascii_is_written_as_dns_knows_it() -> None:
    assert MailAddress.parse("info@bücher.example.org") == ("info@xn--bcher-kva.example.org", False)


def test_a_mailbox_beyond_ascii_needs_a_server_that_takes_it() -> None:
    assert MailAddress.parse("jörg@example.org") == ("jörg@example.org", True)


def test_an_error_does_not_repeat_a_long_text_whole() -> None:
    with pytest.raises(AddressInvalidError) as raised:
        MailAddress.parse("a" * 10_000)
    assert len(str(raised.value)) < 400


def test_the_sender_is_the_address_in_a_mailbox() -> None:
    assert sender_address("Ledgerq <l@example.com>").text == sender_address("l@example.com").text == "l@example.com"


@pytest.mark.parametrize("mailbox", ["Ledgerq", "", "Ledgerq\nBcc: e@example.org <l@example.com>", "a@b.c\r\n"])
def test_a_sender_without_an_address_or_with_a_header_behind_it_is_refused(mailbox: str) -> None:
    with pytest.raises(AddressInvalidError):
        sender_address(mailbox)
