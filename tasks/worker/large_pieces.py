"""py-amqp, reading from its socket what there is instead of what it needs next."""

from __future__ import annotations

from socket import socket
from typing import Any, Final

from amqp.transport import TCPTransport

PIECE_BYTES: Final = 65_536


def read_in_large_pieces(connection: Any) -> None:
    """Read whole bursts of messages of ``connection`` (py-amqp's) with one system call, where it does not block.

    As it comes, py-amqp makes nine for one message: header, payload and end octet of three frames. What it has read
    beyond them it keeps in its own buffer and takes from there first; Celery's loop, which does not block, reads until
    nothing is left. Whoever waits for an answer (``basic.qos-ok``) reads no further than that: messages that came right
    behind it have to stay in the socket, or the loop would not know of them before the next byte arrives. TLS is left
    alone: there the library below buffers.
    """
    transport = connection.transport
    if isinstance(transport, TCPTransport):
        sock: socket = transport.sock

        def receive(size: int) -> bytes:
            return sock.recv(max(size, PIECE_BYTES) if sock.gettimeout() == 0 else size)

        transport._quick_recv = receive  # noqa: SLF001  it offers no other way
