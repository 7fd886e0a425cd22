"""A relay between a client and the broker, for what a real network does: withhold, cut, say something unexpected."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Lock, Thread
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from infra.settings import Settings


class Relay:
    def __init__(self, settings: Settings) -> None:
        url = urlsplit(settings.broker_url.get_secret_value())
        self._broker = (url.hostname or "", url.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        netloc = f"{url.username}:{url.password}@127.0.0.1:{port}"
        self.settings = settings.model_copy(update={"broker_url": SecretStr(urlunsplit(url._replace(netloc=netloc)))})
        self._answers = Event()
        self._answers.set()
        self._requests = Event()
        self._requests.set()
        self._lock = Lock()
        self._open: list[socket.socket] = []
        self._sent = bytearray()
        self._threads = [Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def sent(self) -> bytes:
        """Everything the client has sent so far."""
        with self._lock:
            return bytes(self._sent)

    def withhold_answers(self) -> None:
        """Let through what the client sends, and nothing of what the broker answers."""
        self._answers.clear()

    def release_answers(self) -> None:
        self._answers.set()

    def stop_reading(self) -> None:
        """Take nothing more from the client, as a broker does that has an alarm."""
        self._requests.clear()

    def say(self, frame: bytes) -> None:
        """Send the client something that the broker did not say."""
        with self._lock:
            self._open[-2].sendall(frame)

    def cut(self) -> None:
        """Break every connection there is; new ones are let through."""
        with self._lock:
            for end in self._open:
                _end(end)
            self._open.clear()

    def close(self) -> None:
        self._answers.set()
        self._requests.set()
        _end(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            broker = socket.create_connection(self._broker)
            with self._lock:
                self._open += [client, broker]
            self._start(client, broker, self._requests, self._sent)
            self._start(broker, client, self._answers, bytearray())

    def _start(self, source: socket.socket, target: socket.socket, gate: Event, log: bytearray) -> None:
        thread = Thread(target=self._pass_on, args=(source, target, gate, log), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, gate: Event, log: bytearray) -> None:
        with suppress(OSError):  # one end is gone; the other follows
            while gate.wait() and (content := source.recv(65536)):
                gate.wait()
                with self._lock:
                    log += content
                target.sendall(content)
        for end in (source, target):
            _end(end)


def _end(end: socket.socket) -> None:
    with suppress(OSError):  # not connected any more
        end.shutdown(socket.SHUT_RDWR)
    end.close()
