"""Mail servers in a thread of the test's process: one that speaks SMTP, and one that says what it is told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword


class Kept:
    """What a server was handed: envelopes, in order."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    @property
    def contents(self) -> list[bytes]:
        """The e-mails as they came."""
        return [envelope.original_content or b"" for envelope in self.envelopes]

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        """Take it."""
        self.envelopes.append(envelope)
        return "250 2.0.0 taken"


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me", b"secret")
    return AuthResult(success=is_right, handled=False)


@contextmanager
def serving(
    tls: ssl.SSLContext | None = None,
    *,
    host: str = "127.0.0.1",
    at_once: bool = False,
    kept: Kept | None = None,
    **options: Any,
) -> Iterator[tuple[int, Kept]]:
    """A mail server, with STARTTLS or (``at_once``) TLS where given a context; yields its port and what it was handed.

    ``options`` are aiosmtpd's: ``auth_required``, ``enable_SMTPUTF8``, ``data_size_limit`` …
    """
    kept = kept or Kept()
    given: dict[str, Any] = {"hostname": "localhost", "authenticator": _authenticate, **options}
    if tls and not at_once:
        given |= {"tls_context": tls, "require_starttls": True}

    async def serve(port: Future[int], stop: asyncio.Event, told_loop: Future[asyncio.AbstractEventLoop]) -> None:
        loop = asyncio.get_running_loop()
        told_loop.set_result(loop)
        made = lambda: SMTP(kept, loop=loop, **given)  # noqa: E731
        server = await loop.create_server(made, host, 0, ssl=tls if at_once else None)
        async with server:
            port.set_result(server.sockets[0].getsockname()[1])
            await stop.wait()

    port: Future[int] = Future()
    told_loop: Future[asyncio.AbstractEventLoop] = Future()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(port, stop, told_loop)))
    thread.start()
    try:
        yield port.result(5), kept
    finally:
        told_loop.result(5).call_soon_threadsafe(stop.set)
        thread.join()


@contextmanager
def saying(*replies: bytes) -> Iterator[int]:
    """A server that answers each line it is sent with the next reply, the first at once; yields its port.

    After the reply to DATA it answers the e-mail as a whole. When it has no more to say it hangs up.
    """

    def converse(connection: socket.socket) -> None:
        with connection.makefile("rb") as heard:
            for number, reply in enumerate(replies):
                if number and not _hear(heard, is_content=replies[number - 1].startswith(b"354")):
                    return
                connection.sendall(reply + b"\r\n")

    with _answering(converse) as port:
        yield port


@contextmanager
def silent_after_taking() -> Iterator[int]:
    """A server that takes one e-mail and then says nothing more, but stays; yields its port."""

    def converse(connection: socket.socket) -> None:
        with connection.makefile("rb") as heard:
            for reply in (b"220 here", b"250 hello", b"250 ok", b"250 ok", b"354 go", b"250 taken"):
                connection.sendall(reply + b"\r\n")
                _hear(heard, is_content=reply.startswith(b"354"))
            connection.settimeout(30)
            heard.read()

    with _answering(converse) as port:
        yield port


@contextmanager
def dripping(text: bytes, *, every_seconds: float) -> Iterator[int]:
    """A server that sends ``text`` again and again, a byte at a time, and hangs up after 10 s; yields its port."""

    def drip(connection: socket.socket) -> None:
        for number in range(int(10 / every_seconds)):
            place = number % len(text)
            connection.sendall(text[place : place + 1])
            time.sleep(every_seconds)

    with _answering(drip) as port:
        yield port


def _hear(heard: Any, *, is_content: bool) -> bool:
    """Whether a whole line came, or all of an e-mail."""
    return any(not is_content or line == b".\r\n" for line in iter(heard.readline, b""))


@contextmanager
def _answering(converse: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection at a time until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        done = threading.Event()

        def answer() -> None:
            while not done.is_set():
                with suppress(OSError):
                    connection, _ = listening.accept()
                    connection.settimeout(5)
                    with connection:
                        converse(connection)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            done.set()
            thread.join()
