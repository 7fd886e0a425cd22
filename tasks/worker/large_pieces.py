"""py-amqp, reading from its socket what there is instead of what it needs next."""

from __future__ import annotations

from typing import Any, Final

from amqp.transport import TCPTransport

PIECE_BYTES: Final = 65_536


def read_in_large_pieces(connection: Any) -> None:
    """Read whole bursts of messages of ``connection`` (py-amqp's) with one system call.

    As it comes, py-amqp makes nine for one message: header, payload and end octet of three frames. What it has read
    beyond them it keeps in its own buffer and takes from there first; Celery's loop reads until nothing is left. TLS is
    left alone: there the library below buffers.
    """
    transport = connection.transport
    if isinstance(transport, TCPTransport):
        receive = transport.sock.recv
        transport._quick_recv = lambda size: receive(max(size, PIECE_BYTES))  # noqa: SLF001  it offers no other way
