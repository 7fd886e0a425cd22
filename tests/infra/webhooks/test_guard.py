"""Nothing is sent to where an endpoint must not be, whatever its address looks like or its name resolves to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from infra.settings import Settings
from infra.webhooks.guard import is_allowed
from infra.webhooks.posting import post


class Listener:
    """Takes connections on a port of this machine; knows of each whether a byte came."""

    def __init__(self, family: socket.AddressFamily, host: str) -> None:
        self.socket = socket.create_server((host, 0), family=family)
        self.socket.settimeout(1)
        self.port = int(self.socket.getsockname()[1])

    def heard(self) -> bytes:
        """What the next caller sent until it hung up."""
        connection, _ = self.socket.accept()
        with connection:
            connection.settimeout(1)
            return connection.recv(100)


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener(socket.AF_INET, "0.0.0.0")  # noqa: S104  the table has addresses of this machine in several forms
    yield made
    made.socket.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",  # noqa: S104  reaches this machine
        "[::ffff:127.0.0.1]",
    ],
)
def test_no_form_of_this_machine_s_address_gets_a_byte(host: str, listener: Listener) -> None:
    posted = post(f"http://{host}:{listener.port}/", b"secret", {}, Settings())
    assert posted.error_type == "AddressForbidden", posted
    assert listener.heard() == b""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_elsewhere_when_it_is_connected_to_gets_no_byte(
    scheme: str, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["203.0.113.7", "127.0.0.1"])
    real = socket.getaddrinfo

    def rebinding(host: str, port: int, *rest: Any, **options: Any) -> Any:
        return real(next(answers) if host == "rebind.example.org" else host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert socket.getaddrinfo("rebind.example.org", 80)[0][4][0] == "203.0.113.7"  # who checks the name sees this
    posted = post(f"{scheme}://rebind.example.org:{listener.port}/", b"secret", {}, Settings())
    assert posted.error_type == "AddressForbidden", posted
    assert listener.heard() == b""


def test_a_proxy_of_the_environment_is_not_asked(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listener.port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{listener.port}")
    posted = post("http://127.0.0.1:9/", b"", {}, Settings())
    assert posted.error is not None
    listener.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listener.heard()


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "127.0.0.53",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)
def test_addresses_that_are_not_public_are_not_allowed(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address, ())


def test_what_an_operator_names_is_allowed_and_nothing_beside_it() -> None:
    networks = (ip_network("10.1.0.0/16"),)
    assert is_allowed("10.1.2.3", networks)
    assert is_allowed("::ffff:10.1.2.3", networks)
    assert not is_allowed("10.2.0.1", networks)
