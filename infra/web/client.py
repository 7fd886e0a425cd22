"""Where a request comes from, as far as its limits are concerned."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.requests import Request

_LONGEST: Final = 64
_HOST_BITS: Final = 64
"""Of an IPv6 address: whoever has one such address has all of its network."""


def client_of(request: Request) -> str:
    """The address that the connection comes from; of IPv6 its network of 64 bits.

    What a proxy says of it is believed where the settings name the proxy (``web_trusted_proxies``), and nowhere else.
    """
    return counted(request.client.host if request.client else "")


def counted(host: str) -> str:
    """Under which name requests of an address are counted."""
    try:
        address = ip_address(host)
    except ValueError:
        return host[:_LONGEST]  # a socket without addresses
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/{_HOST_BITS}"
