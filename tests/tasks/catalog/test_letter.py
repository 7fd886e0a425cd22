"""Letters are composed from plain files, and no value can break out of its place."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from infra.mail import AddressInvalidError
from tasks.catalog.letter import TEMPLATES, compose, message_id

VALUES = {
    "license_id": "lic-1",
    "day": "2026-03-01",
    "valid_until": "2026-03-01 00:00",
    "days": "7 days",
    "consequence": "It ended.",
}

ALERT = {
    "task": "lic-1",
    "ended": "failed",
    "error_type": "ValueError",
    "error": "no",
    "run_id": "R1",
    "worker": "w1",
    "failed_at": "2026-03-01 00:00:00",
    "window": "15 minutes",
    "unannounced": "none",
}


def part(letter: EmailMessage, kind: str) -> str:
    found = letter.get_body((kind,))
    assert found is not None
    text: str = found.get_content()
    return text


@pytest.mark.parametrize("name", sorted({file.stem for file in TEMPLATES.iterdir()}))
def test_every_letter_has_a_subject_a_text_and_an_html_part(name: str) -> None:
    letter = compose(name, VALUES | ALERT, to="holder@example.org")
    assert "lic-1" in letter["Subject"]
    assert "lic-1" in part(letter, "plain")
    assert "<strong>lic-1</strong>" in part(letter, "html")


def test_markup_in_a_value_is_text_in_the_html_part() -> None:
    letter = compose("license_expired", VALUES | {"license_id": "<script>alert('1')</script>"}, to="a@b.c")
    assert "<script>" not in part(letter, "html")
    assert "&lt;script&gt;" in part(letter, "html")
    assert "<script>" in part(letter, "plain")


def test_a_line_break_in_a_value_does_not_become_a_header() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        compose("license_expired", VALUES | {"license_id": "lic\r\nBcc: everyone@example.org"}, to="a@b.c")


def test_a_line_break_in_the_address_does_not_become_a_header() -> None:
    with pytest.raises(AddressInvalidError):
        compose("license_expired", VALUES, to="a@b.c\nBcc: everyone@example.org")


def test_a_placeholder_without_a_value_is_a_fault_and_no_letter() -> None:
    with pytest.raises(KeyError, match="valid_until"):
        compose("license_expired", {"license_id": "lic-1"}, to="a@b.c")


def test_the_same_letter_has_the_same_id_and_another_one_another() -> None:
    sender = "Ledgerq <ledgerq@example.com>"
    assert message_id("notice-1", sender=sender) == message_id("notice-1", sender=sender)
    assert message_id("notice-1", sender=sender) != message_id("notice-2", sender=sender)
    assert message_id("notice-1", sender=sender).endswith("@example.com>")
