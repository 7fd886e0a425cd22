from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from pydantic import SecretStr

from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.broker.management import ManagementApi
from infra.settings import Settings


class Other(BaseHTTPRequestHandler):
    """Answers as our own monitor does to what it does not know; or as something that serves files does."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b'{"detail": "Not Found"}' if "users" in self.path else b"<html>no such file")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    """Where something else listens."""
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["users/nobody", "queues"])
def test_what_is_no_management_api_does_not_pass_for_one_where_nothing_stands(
    servers: Settings, other: str, path: str
) -> None:
    api = ManagementApi(servers.model_copy(update={"management_url": SecretStr(other)}))
    with pytest.raises(BrokerUnreachableError, match=f"no management API answers at {other}"):
        api.get(path)


def test_the_management_api_says_itself_that_something_is_absent(servers: Settings) -> None:
    api = ManagementApi(servers)
    assert api.get(api.of_vhost("queues", "nobodys")) is None
    with pytest.raises(BrokerRefusedError, match="404"):
        api.call("GET", api.of_vhost("queues", "nobodys"))
