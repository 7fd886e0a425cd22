"""Virtual hosts made and deleted through RabbitMQ's management HTTP API."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from infra.local.errors import SandboxError
from infra.settings import Settings

_TIMEOUT_SECONDS: Final = 20.0
_NOT_FOUND: Final = 404


class Management:
    """The management API of the settings' broker.

    Attributes:
        url: without credentials.
        user: the management URL's, or the broker URL's where that has none.

    Raises:
        SandboxError: the settings name no management API.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.management_url is None:
            raise SandboxError(
                "a virtual host of its own needs the broker's management API: "
                "set LEDGERQ_MANAGEMENT_URL (http://host:15672) beside LEDGERQ_BROKER_URL"
            )
        parts = urlsplit(settings.management_url.get_secret_value())
        login = parts if parts.username else urlsplit(settings.broker_url.get_secret_value())
        self.user = unquote(login.username or "guest")
        self.password = unquote(login.password or "guest")
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
        self.url = urlunsplit(bare)

    def create_vhost(self, name: str) -> None:
        """Make a virtual host and give our user every right in it.

        Raises:
            SandboxError: the API refuses or cannot be reached.
        """
        self._call("PUT", f"/api/vhosts/{quote(name, safe='')}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._call("PUT", f"/api/permissions/{quote(name, safe='')}/{quote(self.user, safe='')}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with its queues; nothing happens when there is none of that name.

        Raises:
            SandboxError: the API refuses or cannot be reached.
        """
        self._call("DELETE", f"/api/vhosts/{quote(name, safe='')}", absent_is_fine=True)

    def cluster_name(self) -> str:
        """The broker's own name for itself.

        Raises:
            SandboxError: the API refuses or cannot be reached.
        """
        name: str = self._call("GET", "/api/cluster-name")["name"]
        return name

    def _call(self, method: str, path: str, body: dict[str, str] | None = None, *, absent_is_fine: bool = False) -> Any:
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310  the operator's own URL
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                if absent_is_fine and error.code == _NOT_FOUND:
                    return None
                raise SandboxError(f"{self.url} refuses {method} {path}: {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SandboxError(f"LEDGERQ_MANAGEMENT_URL {self.url} gives no management API: {error}") from error
