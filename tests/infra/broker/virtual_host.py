"""A virtual host as a test sees it: through a plain client and the management API, not through our own code."""

from __future__ import annotations

import base64
import json
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pika

from infra.broker.topology import TOPOLOGY
from infra.settings import Settings
from tests.waiting import eventually


class Taken(NamedTuple):
    body: bytes
    properties: pika.BasicProperties
    routing_key: str
    exchange: str


class VirtualHost:
    def __init__(self, settings: Settings) -> None:
        self._url = settings.broker_url.get_secret_value()
        self._management = settings.management_url
        self._connection = pika.BlockingConnection(pika.URLParameters(self._url))
        self.channel = self._connection.channel()

    def close(self) -> None:
        self._connection.close()

    def purge(self) -> None:
        for queue in TOPOLOGY.queues:
            self.channel.queue_purge(queue.name)

    def take(self, queue: str) -> Taken:
        """The next message of a queue, acknowledged; waits for it."""
        method, properties, body = eventually(lambda: self._get(queue))
        self.channel.basic_ack(method.delivery_tag)
        return Taken(body, properties, method.routing_key, method.exchange)

    def reject(self, queue: str) -> None:
        """Reject the next message of a queue, not to be queued again."""
        method, _, _ = eventually(lambda: self._get(queue))
        self.channel.basic_reject(method.delivery_tag, requeue=False)

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def name(self) -> str:
        return pika.URLParameters(self._url).virtual_host

    def api(self, method: str, path: str, body: object = None) -> Any:
        """A call of the management API."""
        assert self._management is not None
        host, user = urlsplit(self._management.get_secret_value()), urlsplit(self._url)
        token = base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
        connection = HTTPConnection(host.hostname or "", host.port)
        headers = {"authorization": f"Basic {token}", "content-type": "application/json"}
        try:
            connection.request(method, f"/api/{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        assert response.status < 400, (response.status, content)
        return json.loads(content) if content else None

    def connection_named(self, part: str) -> str | None:
        """Path of the connection whose name has this part; the API learns of one within seconds."""
        for connection in self.api("GET", "connections"):
            if part in connection["client_properties"].get("connection_name", ""):
                return f"connections/{quote(connection['name'], safe='')}"
        return None

    def _get(self, queue: str) -> tuple[Any, pika.BasicProperties, bytes] | None:
        method, properties, body = self.channel.basic_get(queue)
        return None if method is None else (method, properties, body)
