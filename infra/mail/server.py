"""Where e-mails are handed in."""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

DEFAULT_PORTS: Final = {"smtp": 25, "smtps": 465}
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class MailServer(NamedTuple):
    """A mail server, and who we are to it."""

    host: str
    port: int
    tls_at_once: bool
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``smtp://[user:password@]host[:port]`` or ``smtps://…``.

        Raises:
            ValueError: another scheme, no host, no such port, or a user without a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or bool(parts.username) != bool(parts.password):
            raise ValueError("a mail server's URL is smtp://[user:password@]host[:port] or smtps://…")
        return cls(
            host=parts.hostname,
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            tls_at_once=parts.scheme == "smtps",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    @property
    def is_local(self) -> bool:
        """Whether it is this machine itself, which nothing on the way can pretend to be."""
        return self.host in LOOPBACK


def tls_context(server: MailServer | None, ca_file: str | None = None) -> ssl.SSLContext:
    """How the server's certificate is checked: by the system's authorities, or those in ``ca_file`` (PEM).

    That of this machine itself is not: a mail server fresh from the distribution has one that nobody signed.

    Raises:
        OSError: ``ca_file`` cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    if server and server.is_local:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
