"""Secrets in log lines: every form of those that we know, and what looks like one.

The finished line is searched and not its parts: a secret may come in a field, a traceback, a library's message or a
value that only the renderer turns into text.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

import msgspec
from pydantic import SecretStr

from infra.settings import Settings

STARS: Final = "***"
SHORTEST: Final = 6
"""A shorter secret is hidden where a URL or a header gives it away and not wherever its letters occur."""

_NAMES: Final = r"(?:password|passwd|passphrase|secret|(?:api|access|private)[_-]?key|token)"
"""How names of secrets end: ``db_password``, ``AWS_SECRET_ACCESS_KEY``, ``X-Api-Key``."""
_NAMES_ONE: Final = re.compile(rf"{_NAMES}$|^(?:proxy-)?authorization$", re.IGNORECASE)
_NAMES_NONE: Final = "actor"
"""Who did it: ``token:NAME`` says which token it was, and is none."""
_LOOKS_LIKE_ONE: Final = re.compile(
    # All is bounded: a line may be of megabytes, and a search that begins anew everywhere must not go to its end.
    rf"""(?P<url>://[^\s:/@"'<>]{{0,256}}:)[^\s"'<>]{{1,512}}(?=@)"""  # URL with a password
    # A conninfo, a query, a header, a mapping, as Python or JSON write it, or JSON in JSON.
    rf"""|(?P<name>{_NAMES}(?P<quote>\\{{0,7}}["'])?\s{{0,4}}(?P<sign>[:=])\s{{0,4}})"""
    r"""(?:b?(?P<open>\\{0,7}["']).{0,1024}?(?P=open)(?=[\s,;:&}\])\\"']|$)"""
    r"""|\[[^\]]{0,1024}\]|[^\s"'\\,;&{}\[\]()]{1,1024})"""
    # The header Authorization, RFC 9110, section 11.6.2: a scheme and a token, or a scheme and parameters.
    r"""|(?P<header>\bauthorization\\{0,7}["']?\s{0,4}[:=]\s{0,4}\\{0,7}["']?(?:[a-z]{1,32}\s{1,4})?)"""
    r"""(?:(?:[\s,]{0,4}[a-z]{1,32}=(?:\\{0,7}"[^"\\]{0,512}\\{0,7}"|[^\s,"'\\]{1,512}))+|[a-z0-9._~+/=-]{1,4096})"""
    r"""|(?P<scheme>\bbearer\s{1,4})[a-z0-9._~+/=-]{16,4096}"""
    r"""|(?P<webhook>\bwhsec_)[a-z0-9+/]{8,256}={0,2}""",  # Standard Webhooks, "Signature scheme"
    re.IGNORECASE,
)


_HINTS: Final = ("://", "passw", "passphrase", "secret", "key", "token", "authorization", "bearer", "whsec_")
"""Without one of these nothing looks like a secret; asked first, for most lines have none and the search takes longer
than all else about them."""


class Redactor:
    """Hides secrets in text.

    Args:
        settings: whose secrets are hidden in whatever form they come.
    """

    def __init__(self, settings: Settings) -> None:
        known = {form for secret in _secrets(settings) for form in _forms(secret)}
        self._known = sorted(known, key=len, reverse=True)  # one may be part of another

    def __call__(self, text: str) -> str:
        """The text with stars in the place of every secret."""
        for form in self._known:
            if form in text:
                text = text.replace(form, STARS)
        lowered = text.lower()
        if any(hint in lowered for hint in _HINTS):
            text = _LOOKS_LIKE_ONE.sub(_starred, text)
        return text

    def value(self, value: Any) -> Any:
        """A value as JSON has it, with stars in the place of what is named like a secret and of secrets in texts."""
        return self._hidden(msgspec.to_builtins(value, str_keys=True, enc_hook=str))

    def _hidden(self, plain: Any) -> Any:
        match plain:
            case str():
                return self(plain)
            case Mapping():
                return {name: self._of_name(name, inner) for name, inner in plain.items()}
            case list() | tuple():
                return [self._hidden(each) for each in plain]
            case _:
                return plain

    def _of_name(self, name: str, value: Any) -> Any:
        if _NAMES_ONE.search(name) and not isinstance(value, bool | None):
            return STARS
        return value if name == _NAMES_NONE else self._hidden(value)


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does, and hides secrets in what comes out."""

    def __init__(self, formatter: logging.Formatter, redact: Redactor) -> None:
        super().__init__()
        self._formatter = formatter
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The finished line."""
        return self._redact(self._formatter.format(record))


def _starred(found: re.Match[str]) -> str:
    """What gave it away, and stars; where that is a key in quotation marks, what follows is in such, too."""
    if found["name"] is None:
        return (found["url"] or found["header"] or found["scheme"] or found["webhook"]) + STARS
    marks = found["open"] or (found["quote"] if found["sign"] == ":" else None) or ""
    return f"{found['name']}{marks}{STARS}{marks}"


def _secrets(settings: Settings) -> Iterator[str]:
    """Every secret of the settings as plain text; of a URL its password, unless that is no secret."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield from _parts(value.get_secret_value())


def _parts(secret: str) -> Iterator[str]:
    if "://" not in secret:
        yield secret
        yield from (part.strip() for part in secret.split(","))  # a list of keys
        return
    url = urlsplit(secret)
    if url.password and url.password not in {url.username, "guest"}:  # of a server that is no secret to anybody
        yield url.password


def _forms(secret: str) -> Iterator[str]:
    """How a secret may be written: as it is in a URL, decoded, encoded in other ways, as JSON and Python write it."""
    plain = unquote(secret)
    spoken: Iterable[str] = (
        secret,
        plain,
        quote(plain, safe=""),
        quote(plain),
        quote_plus(plain),
        plain.encode().decode("latin-1"),
    )
    for form in spoken:
        for said in (form, repr(form)[1:-1]):  # Python's errors quote what they complain of
            written = (said, json.dumps(said)[1:-1], json.dumps(said, ensure_ascii=False)[1:-1])
            yield from (each for each in written if len(each) >= SHORTEST)
