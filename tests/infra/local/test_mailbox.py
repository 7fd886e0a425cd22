"""The mailbox is a real mail server: it keeps what it is handed and leaves nothing running behind."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local.mailbox import Mailbox, letters_in
from tests.waiting import eventually

OWNER = """
import signal, sys
from pathlib import Path
from infra.local.mailbox import Mailbox
print(Mailbox(Path(sys.argv[1])).url, flush=True)
signal.pause()
"""


def hand_in(url: str, subject: str) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "l@example.com", "holder@example.org", subject
    letter.set_content("It ends.")
    server = urlsplit(url)
    with smtplib.SMTP(server.hostname or "", server.port or 0, timeout=5) as session:
        session.send_message(letter)


def test_letters_are_kept_in_the_order_of_their_arrival_and_outlast_the_mailbox(tmp_path: Path) -> None:
    with Mailbox(tmp_path / "mail") as mailbox:
        for subject in ("first", "second", "third"):
            hand_in(mailbox.url, subject)
        assert [letter["Subject"] for letter in mailbox.letters()] == ["first", "second", "third"]
    assert [letter["Subject"] for letter in letters_in(tmp_path / "mail")] == ["first", "second", "third"]


def test_a_closed_mailbox_takes_nothing(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as mailbox:
        url = mailbox.url
    with pytest.raises(ConnectionRefusedError):
        hand_in(url, "too late")


def test_a_mailbox_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen((sys.executable, "-c", OWNER, str(tmp_path)), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        hand_in(url, "while it lives")
        os.kill(owner.pid, signal.SIGKILL)

    def takes_nothing() -> bool:
        try:
            hand_in(url, "is it still there?")
        except OSError:
            return True
        return False

    eventually(takes_nothing)
