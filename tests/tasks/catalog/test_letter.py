"""Letters are composed from plain files, and no value can break out of its place."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from uuid import uuid4

import pytest

from infra.mail import AddressInvalidError
from tasks.catalog.letter import TEMPLATES, LetterInvalidError, compose, message_id

LETTERS = sorted({file.stem for file in TEMPLATES.iterdir() if not file.name.startswith("_")})
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
ACCOUNT = {"service": "lic-1", "name": "Ada", "link": "https://example.org/x", "expires_at": "2026-03-01 01:00"}


def part(letter: EmailMessage, kind: str) -> str:
    found = letter.get_body((kind,))
    assert found is not None
    text: str = found.get_content()
    return text


@pytest.mark.parametrize("name", LETTERS)
def test_every_letter_has_a_subject_a_text_and_an_html_part(name: str) -> None:
    letter = compose(name, VALUES | ALERT | ACCOUNT, to="holder@example.org")
    assert "lic-1" in letter["Subject"]
    assert "lic-1" in part(letter, "plain")
    assert "<strong>lic-1</strong>" in part(letter, "html")
    assert "<title>" in part(letter, "html")
    assert "{{" not in part(letter, "plain") + part(letter, "html")


@pytest.mark.parametrize("name", LETTERS)
@pytest.mark.parametrize("value", sorted(VALUES | ALERT | ACCOUNT))
def test_markup_in_any_value_is_text_in_the_html_part(name: str, value: str) -> None:
    odd = "<script>alert('1')</script>\"><img src=x>"
    html = part(compose(name, VALUES | ALERT | ACCOUNT | {value: odd}, to="a@b.c"), "html")
    assert "<script" not in html
    assert "<img" not in html
    assert odd not in html


@pytest.mark.parametrize("name", LETTERS)
def test_template_syntax_in_a_value_is_text(name: str) -> None:
    letter = compose(name, dict.fromkeys(VALUES | ALERT | ACCOUNT, "{{ 7 * 7 }}"), to="a@b.c")
    assert "49" not in letter["Subject"]
    assert "{{ 7 * 7 }}" in part(letter, "plain")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("\r\nBcc: everyone@example.org", id="CR LF"),
        pytest.param("\nBcc: everyone@example.org", id="LF"),
        pytest.param("\rBcc: everyone@example.org", id="CR"),
        pytest.param("\n\nBcc: everyone@example.org", id="an empty line"),
        pytest.param("\u2028Bcc: e@example.org", id="a line separator"),
        pytest.param("\x0bBcc: e@example.org", id="a vertical tab"),
        pytest.param("\x00", id="a null"),
        pytest.param("\u202e", id="a turn of direction"),
    ],
)
def test_a_value_that_would_leave_the_subject_line_makes_no_letter(end: str) -> None:
    with pytest.raises(LetterInvalidError, match="one line"):
        compose("license_expired", VALUES | {"license_id": f"lic{end}"}, to="a@b.c")


def test_a_line_break_in_the_address_does_not_become_a_header() -> None:
    with pytest.raises(AddressInvalidError):
        compose("license_expired", VALUES, to="a@b.c\nBcc: everyone@example.org")


def test_a_long_subject_is_cut() -> None:
    letter = compose("license_expired", VALUES | {"license_id": "x" * 1000}, to="a@b.c")
    assert len(letter["Subject"]) == 150
    assert letter["Subject"].endswith("…")


@pytest.mark.parametrize("name", LETTERS)
def test_a_name_without_a_value_is_a_fault_and_no_letter(name: str) -> None:
    with pytest.raises(LetterInvalidError, match=f"letter {name}: UndefinedError: '[a-z_]+' is undefined"):
        compose(name, {}, to="a@b.c")


def test_a_letter_there_is_no_template_for_is_a_fault() -> None:
    with pytest.raises(LetterInvalidError, match=r"nothing\.txt"):
        compose("nothing", {}, to="a@b.c")


def test_letters_beyond_ascii_survive_the_way() -> None:
    letter = compose("welcome", ACCOUNT | {"service": "Bücherei 図書館", "link": None}, to="a@b.c")
    sent = letter.as_bytes(policy=policy.SMTP)
    assert sent.isascii()
    arrived = message_from_bytes(sent, policy=policy.default)
    assert arrived["Subject"] == "Welcome to Bücherei 図書館"
    assert isinstance(arrived, EmailMessage)
    assert "Bücherei 図書館" in part(arrived, "html")
    assert max(len(line) for line in sent.splitlines()) <= 998  # RFC 5322, section 2.1.1


def test_templates_of_ones_own_stand_in_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "welcome.txt").write_text("Subject: Moin\n\nMoin {{ name }}!\n")
    letter = compose("welcome", ACCOUNT, to="a@b.c", templates_dir=tmp_path)
    assert (letter["Subject"], part(letter, "plain")) == ("Moin", "Moin Ada!\n")
    assert "<strong>lic-1</strong>" in part(letter, "html")


@pytest.mark.parametrize("text", ["no subject\n\nHello", "Subject: {{ name\n\nHello", "Subject: {% if %}\n\nHello"])
def test_a_template_of_ones_own_that_is_broken_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "welcome.txt").write_text(text)
    with pytest.raises(LetterInvalidError, match="letter welcome"):
        compose("welcome", ACCOUNT, to="a@b.c", templates_dir=tmp_path)


def test_the_same_notice_has_the_same_id_and_another_one_another() -> None:
    sender, notice = "Ledgerq <ledgerq@example.com>", uuid4()
    assert message_id(notice, sender=sender) == message_id(notice, sender=sender) == f"<{notice.hex}@example.com>"
    assert message_id(notice, sender=sender) != message_id(uuid4(), sender=sender)
