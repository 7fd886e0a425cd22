"""RabbitMQ's management HTTP API, as far as commands of ours ask it (RabbitMQ documentation, "HTTP API")."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError, ManagementUnknownError
from infra.settings import Settings

_TIMEOUT_SECONDS: Final = 20.0
_NOT_FOUND: Final = 404


class ManagementApi:
    """The management API of the settings' broker.

    Attributes:
        url: without credentials.
        user: the management URL's, or the broker URL's where that has none.
        vhost: the virtual host of the broker URL.

    Args:
        settings: for the URLs.
        timeout_seconds: how long an answer may take.

    Raises:
        ManagementUnknownError: the settings name no management API.
    """

    def __init__(self, settings: Settings, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        if settings.management_url is None:
            raise ManagementUnknownError(
                "this needs the broker's management API: set LEDGERQ_MANAGEMENT_URL (http://host:15672) "
                "beside LEDGERQ_BROKER_URL"
            )
        parts = urlsplit(settings.management_url.get_secret_value())
        broker = urlsplit(settings.broker_url.get_secret_value())
        login = parts if parts.username else broker
        self.user = unquote(login.username or "guest")
        self.password = unquote(login.password or "guest")
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
        self.url = urlunsplit(bare)
        self.vhost = unquote(broker.path[1:]) or "/"

    def get(self, path: str) -> Any:
        """What stands at ``path``, decoded; None where there is nothing.

        Args:
            path: below ``/api/``, each part quoted (:meth:`of_vhost`).

        Raises:
            BrokerUnreachableError: nobody answers, or it is no management API.
            BrokerRefusedError: the API says no.
        """
        return self.call("GET", path, absent_is_fine=True)

    def clock(self) -> datetime:
        """The time by the broker's host, cut to a second: the ``Date`` of an answer (RFC 9110, section 6.6.1).

        Raises as :meth:`get`.
        """
        _, headers = self._ask("GET", "whoami")
        return parsedate_to_datetime(headers["Date"])

    def of_vhost(self, kind: str, *names: str) -> str:
        """Path of what is in the settings' virtual host: ``of_vhost("queues", "dead")``."""
        return "/".join([kind, *(quote(part, safe="") for part in (self.vhost, *names))])

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, absent_is_fine: bool = False
    ) -> Any:
        """One call; its answer, decoded.

        Args:
            method: of HTTP.
            path: below ``/api/``.
            body: sent as JSON.
            absent_is_fine: answer None to 404 instead of raising.

        Raises:
            BrokerUnreachableError: nobody answers, or it is no management API.
            BrokerRefusedError: the API says no.
        """
        answer, _ = self._ask(method, path, body, absent_is_fine=absent_is_fine)
        return answer

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, absent_is_fine: bool = False
    ) -> tuple[Any, Message]:
        """An answer, decoded, and its headers."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310  the operator's own URL
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_seconds) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null"), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _NOT_FOUND and not _is_the_apis(error):
                    raise BrokerUnreachableError(
                        f"LEDGERQ_MANAGEMENT_URL: no management API answers at {self.url}, but something else"
                    ) from error
                if absent_is_fine and error.code == _NOT_FOUND:
                    return None, error.headers
                raise BrokerRefusedError(f"{self.url} refuses {method} {path}: {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BrokerUnreachableError(
                f"LEDGERQ_MANAGEMENT_URL {self.url} gives no management API: {error}"
            ) from error


def _is_the_apis(answer: urllib.error.HTTPError) -> bool:
    """Whether it is the API that says no: it does so in JSON, with ``error`` and ``reason``."""
    try:
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return isinstance(said, dict) and said.keys() >= {"error", "reason"}
