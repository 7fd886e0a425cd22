"""A process asked to stop finishes what it does; asked again, it ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from infra.stopping import StopRequest
from tests.waiting import eventually

STUBBORN = """
import time
from infra.stopping import StopRequest
with StopRequest() as stop:
    print("ready", flush=True)
    stop.wait(30)
    print("asked" if stop else "not asked", flush=True)
    time.sleep(30)
"""


def test_a_signal_ends_the_wait_at_once_and_is_remembered() -> None:
    began = time.monotonic()
    with StopRequest() as stop:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert stop.wait(20)
        assert stop
    assert time.monotonic() - began < 10


def test_without_a_signal_the_wait_is_as_long_as_asked_for() -> None:
    began = time.monotonic()
    with StopRequest() as stop:
        assert not stop.wait(0.05)
        assert not stop
    assert time.monotonic() - began >= 0.05


def test_the_former_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_ends_a_process_that_does_not_stop() -> None:
    with stubborn() as process:
        assert read_line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert read_line(process) == "asked"
        process.send_signal(signal.SIGTERM)
        assert eventually(process.poll, seconds=10) == -signal.SIGTERM


@contextmanager
def stubborn() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen((sys.executable, "-c", STUBBORN), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
