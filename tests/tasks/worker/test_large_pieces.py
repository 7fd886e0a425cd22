"""Bursts are read with one system call, and nothing of them is left where the loop does not look."""

import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.transport import TCPTransport

from tasks.worker.large_pieces import read_in_large_pieces

ANSWER, MESSAGE = (b"\x01\x00\x01\x00\x00\x00\x04" + text + b"\xce" for text in (b"qos!", b"work"))
"""Two frames: type, channel, size, payload, end octet (AMQP 0-9-1, section 2.3.5)."""


@pytest.fixture
def pair() -> Iterator[tuple[Any, socket.socket]]:
    ours, broker = socket.socketpair()
    transport = TCPTransport("nowhere")
    transport.sock = ours
    transport.connected = True
    transport._setup_transport()
    read_in_large_pieces(SimpleNamespace(transport=transport))
    with ours, broker:
        yield transport, broker
        transport.sock = None  # it would say goodbye to a broker


def read(transport: Any, timeout: float | None) -> bytes:
    with transport.having_timeout(timeout):
        payload: bytes = transport.read_frame()[2]
    return payload


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_message_that_comes_right_behind_an_awaited_answer_still_wakes_the_loop(
    pair: tuple[Any, socket.socket], timeout: float | None
) -> None:
    transport, broker = pair
    broker.sendall(ANSWER + MESSAGE)
    assert read(transport, timeout) == b"qos!"
    assert select.select([transport.sock], [], [], 0)[0] == [transport.sock]
    assert read(transport, 0) == b"work"


def test_the_loop_reads_a_burst_at_once(pair: tuple[Any, socket.socket]) -> None:
    transport, broker = pair
    broker.sendall(MESSAGE * 100)
    assert read(transport, 0) == b"work"
    assert select.select([transport.sock], [], [], 0)[0] == []
    assert [read(transport, 0) for _ in range(99)] == [b"work"] * 99
    with pytest.raises(TimeoutError):
        read(transport, 0)
