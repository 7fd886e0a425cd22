"""Letters: e-mails composed from the plain template files in ``templates/``.

A letter ``<name>`` is two Jinja templates. ``<name>.txt`` begins with ``Subject: …`` and an empty line; the rest is the
text. ``<name>.html`` is the HTML part, in which every value is escaped on its way in: no template can forget it. A name
that has no value is a fault, and no empty place in a letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import parseaddr
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import jinja2

from infra.mail import MailAddress

TEMPLATES: Final = Path(__file__).parent / "templates"
SUBJECT: Final = "Subject: "
SUBJECT_CHARACTERS: Final = 150
"""Longest subject; what is longer is cut."""
_POLICY: Final = EmailPolicy(cte_type="7bit")  # bodies survive every mail server on the way


class LetterInvalidError(ValueError):
    """No letter can be made of the template and the values; the text says which template and why."""


def compose(name: str, values: Mapping[str, Any], *, to: str, templates_dir: Path | None = None) -> EmailMessage:
    """The letter ``name`` with ``values`` filled in, without sender, date and id.

    Args:
        name: of the template files.
        values: one for each name in them.
        to: address of the one recipient.
        templates_dir: files there stand in the place of ours of the same names.

    Raises:
        AddressInvalidError: ``to`` is no address.
        LetterInvalidError: a template is missing or broken, a name has no value, or a value would break out of the
            subject line into other headers.
    """
    letter = EmailMessage(policy=_POLICY)
    letter["To"] = MailAddress.parse(to).text
    try:
        subject, text = _text_parts(name, templates_dir, values)
        html = _environment(templates_dir).get_template(f"{name}.html").render(values)
    except (jinja2.TemplateError, OSError, UnicodeError, TypeError) as error:
        raise LetterInvalidError(f"letter {name}: {type(error).__name__}: {error}") from error
    letter["Subject"] = _in_one_line(name, subject)
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply shall answer this
    letter.set_content(text)
    letter.add_alternative(html, subtype="html")
    return letter


def message_id(notice: UUID, *, sender: str) -> str:
    """The ``Message-ID`` of a notice's letter: the same every time, so that a repeat can be recognized.

    Args:
        notice: the notice's id.
        sender: the mailbox it comes from; its domain makes the id unique in the world.
    """
    domain = parseaddr(sender)[1].rpartition("@")[2] or "ledgerq.invalid"
    return f"<{notice.hex}@{domain}>"


def _text_parts(name: str, templates_dir: Path | None, values: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text. They are told apart before values come in, which could hold an empty line."""
    environment = _environment(templates_dir)
    if environment.loader is None:  # it has one; this is for the type's sake
        raise jinja2.TemplateNotFound(name)
    source, _, _ = environment.loader.get_source(environment, f"{name}.txt")
    subject, _, text = source.partition("\n\n")
    if not subject.startswith(SUBJECT):
        raise jinja2.TemplateError(f"{name}.txt has to begin with {SUBJECT!r}")
    subject = subject.removeprefix(SUBJECT)
    return environment.from_string(subject).render(values), environment.from_string(text).render(values)


def _in_one_line(name: str, subject: str) -> str:
    if not subject.isprintable():
        raise LetterInvalidError(f"letter {name}: its subject does not stay in one line of printable characters")
    return subject if len(subject) <= SUBJECT_CHARACTERS else f"{subject[: SUBJECT_CHARACTERS - 1]}…"


@lru_cache
def _environment(templates_dir: Path | None) -> jinja2.Environment:
    places = [TEMPLATES] if templates_dir is None else [templates_dir, TEMPLATES]
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(places),
        autoescape=jinja2.select_autoescape(["html"], default_for_string=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
