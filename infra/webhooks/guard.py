"""The guard against addresses that are not public: it looks at who is connected, before a byte is sent.

A name is checked by nobody: what it resolves to may change between a check and the connection (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Timer
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6 ones (RFC 6052)."""


class AddressForbiddenError(Exception):
    """An endpoint's address led to {address}, which is not public; LEDGERQ_WEBHOOK_ALLOWED_NETWORKS may allow it."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(str(self.__doc__).format(address=address))


def is_allowed(address: str, networks: Sequence[Network]) -> bool:
    """Whether an endpoint may be at this address: public, or in the networks. IPv4 within IPv6 counts, too."""
    found = ip_address(address.partition("%")[0])
    inner = _within(found)
    if any(each in network for network in networks for each in (found, *inner) if each.version == network.version):
        return True
    return all(_is_public(each) for each in inner or [found])


class GuardedAdapter(HTTPAdapter):
    """Sends through connections whose other end may be there, and ends them when their time is over.

    Args:
        networks: that are allowed though they are not public.
        connect_seconds: how long one address may take to be connected to.
        total_seconds: after so long a connection is shut, whatever it is at: a server that sends a byte now and then
            never runs into a timeout of a single read.
    """

    def __init__(self, networks: Sequence[Network], *, connect_seconds: float, total_seconds: float) -> None:
        self._networks = networks
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        self._timers: list[tuple[Timer, socket.socket]] = []
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Have connections made by classes that look at who is connected."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self)

    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        """Send, each wait bounded."""
        options["timeout"] = (self._connect_seconds, self._total_seconds)
        return super().send(request, *args, **options)

    def close(self) -> None:
        """Shut everything."""
        for timer, end in self._timers:
            timer.cancel()
            end.close()
        super().close()

    def connected(self, sock: socket.socket) -> socket.socket:
        """The socket, if its other end may be there.

        Raises:
            AddressForbiddenError: it may not; nothing was sent.
        """
        address = str(sock.getpeername()[0])
        if not is_allowed(address, self._networks):
            sock.close()
            raise AddressForbiddenError(address)
        end = sock.dup()  # TLS takes the socket itself over
        timer = Timer(self._total_seconds, _shut, [end])
        timer.daemon = True
        timer.start()
        self._timers.append((timer, end))
        return sock


def _pools(guard: GuardedAdapter) -> dict[str, Any]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connected(super()._new_conn())

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connected(super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is shut already
        return


def _within(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 one stands for: mapped, 6to4, Teredo, NAT64."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [each for each in found if each is not None]


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.is_site_local:  # RFC 3879; it counts as global
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
