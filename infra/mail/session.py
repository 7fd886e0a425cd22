"""One SMTP session, and the end that it has however slowly the server speaks."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Final, Self

from infra.mail.server import MailServer

SHORTEST_SECONDS: Final = 0.001
GOODBYE_SECONDS: Final = 1.0
"""How long the answer to our goodbye is waited for. Until then nobody has recorded that the e-mail is gone."""


class Deadline:
    """Cuts a connection when its time is over.

    A timeout of a socket begins anew with every byte, so a server that sends one each second is never too late; this
    counts from the beginning. The connection is cut by way of a second descriptor, which stays good whatever TLS does
    with the first.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._twin: socket.socket | None = None
        self._lock = threading.Lock()

    @property
    def remaining_seconds(self) -> float:
        """Time left; never nothing, which a socket would take for "do not wait"."""
        return max(self._ends_at - time.monotonic(), SHORTEST_SECONDS)

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._ends_at

    def hold(self, connection: socket.socket) -> None:
        """Cut this connection when the time is over."""
        with self._lock:
            self._twin = connection.dup()
        if self.has_passed:
            self._cut()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._timer.cancel()
        with self._lock:
            if self._twin is not None:
                self._twin.close()
                self._twin = None

    def _cut(self) -> None:
        with self._lock, suppress(OSError):
            if self._twin is not None:
                self._twin.shutdown(socket.SHUT_RDWR)


class Session(smtplib.SMTP):
    """The standard library's client, with TLS from the first byte where asked for, under a :class:`Deadline`."""

    def __init__(self, server: MailServer, *, timeout: float, deadline: Deadline, tls: ssl.SSLContext) -> None:
        """Connect and hear the greeting.

        Raises:
            SMTPException: the greeting was none.
            OSError: no connection.
        """
        self._deadline = deadline
        self._tls_at_once = tls if server.tls_at_once else None
        super().__init__(server.host, server.port, timeout=min(timeout, deadline.remaining_seconds))

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        # The library's own seam for this: SMTP_SSL overrides it, too.
        connection = socket.create_connection((host, port), timeout)
        self._deadline.hold(connection)
        if self._tls_at_once is None:
            return connection
        try:
            return self._tls_at_once.wrap_socket(connection, server_hostname=host)
        except BaseException:
            connection.close()
            raise

    def wait_as_long_as_there_is(self) -> None:
        """From here on wait for each answer until the deadline: after the e-mail itself the server takes its time.

        Giving up there is what makes duplicates (RFC 5321, section 4.5.3.2.6).
        """
        if self.sock is not None:
            self.sock.settimeout(self._deadline.remaining_seconds)

    def hang_up(self) -> None:
        """Say goodbye; by now the server has the e-mail or has refused it, and a rude end changes neither."""
        try:
            if self.sock is not None:
                self.sock.settimeout(min(GOODBYE_SECONDS, self._deadline.remaining_seconds))
            self.quit()
        except (smtplib.SMTPException, OSError):
            self.close()
