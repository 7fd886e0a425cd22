"""Letters: e-mails composed from the plain template files in ``templates/``.

A letter ``<name>`` is two files. ``<name>.txt`` begins with ``Subject: …`` and an empty line; the rest is the text.
``<name>.html`` is the HTML part. Both use ``$name`` placeholders (:class:`string.Template`); every value that goes into
the HTML part is escaped on its way in, so that no template can forget it.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from string import Template
from typing import Final

from infra.mail import mail_address

TEMPLATES: Final = Path(__file__).parent / "templates"
SUBJECT: Final = "Subject: "


def compose(name: str, values: Mapping[str, str], *, to: str) -> EmailMessage:
    """The letter ``name`` with ``values`` filled in, without sender, date and id.

    Args:
        name: of the template files.
        values: one for each placeholder.
        to: address of the one recipient.

    Raises:
        AddressInvalidError: ``to`` is no address.
        KeyError: a placeholder has no value.
        ValueError: a value would break out of the subject line into other headers.
    """
    subject, _, text = _template(f"{name}.txt").partition("\n\n")
    if not subject.startswith(SUBJECT):
        raise ValueError(f"{name}.txt has to begin with {SUBJECT!r}")
    letter = EmailMessage()
    letter["To"] = mail_address(to)
    letter["Subject"] = Template(subject.removeprefix(SUBJECT)).substitute(values)
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply shall answer this
    letter.set_content(Template(text).substitute(values))
    escaped = {key: html.escape(value) for key, value in values.items()}
    letter.add_alternative(Template(_template(f"{name}.html")).substitute(escaped), subtype="html")
    return letter


def message_id(about: str, *, sender: str) -> str:
    """The ``Message-ID`` of the letter about ``about``: the same every time, so that a repeat can be recognized.

    Args:
        about: what the letter is about, unique among letters.
        sender: the mailbox it comes from; its domain makes the id unique in the world.
    """
    domain = parseaddr(sender)[1].rpartition("@")[2] or "ledgerq.invalid"
    return f"<{hashlib.sha256(about.encode()).hexdigest()[:32]}@{domain}>"


def _template(file: str) -> str:
    return (TEMPLATES / file).read_text(encoding="utf-8")
