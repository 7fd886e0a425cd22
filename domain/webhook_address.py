"""Addresses that webhooks may have, as far as their text tells; where one leads is seen when it is connected to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LONGEST: Final = 2000
WEB_PORTS: Final = frozenset({80, 443})
FIRST_FREE_PORT: Final = 1024
"""Below it are the ports of other protocols (RFC 6335, "System Ports"), which nobody's webhook is at."""


def check_address(url: str, *, allows_http: bool) -> None:
    """See that ``url`` may be an endpoint's.

    Args:
        url: as people wrote it.
        allows_http: whether it may go without TLS.

    Raises:
        ValueError: it may not; the message says what is allowed.
    """
    schemes = ("https", "http") if allows_http else ("https",)
    allowed = f"allowed is {' or '.join(f'{each}://HOST[:PORT]/PATH' for each in schemes)}"
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError(f"an address has at most {LONGEST} printable ASCII characters without spaces; {allowed}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: {error}; {allowed}") from error
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"{parts.scheme or url!r} is no address of an endpoint; {allowed}")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError(f"an address has no user, password or fragment: they would be in the log; {allowed}")
    if port is not None and port not in WEB_PORTS and port < FIRST_FREE_PORT:
        raise ValueError(f"port {port} is another protocol's; allowed are 80, 443, and 1024 to 65535")
