"""Virtual hosts and their users, made and deleted through RabbitMQ's management HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from infra.broker.errors import BrokerError
from infra.broker.granting import describe, grant, user_path
from infra.broker.management import ManagementApi
from infra.broker.passwords import login_url, new_password, set_password
from infra.broker.roles import ROLES, user_of
from infra.local.errors import SandboxError
from infra.settings import Settings


class Management:
    """The management API of the settings' broker, for making and deleting virtual hosts and users.

    Every method raises :class:`SandboxError` where the API refuses or cannot be reached.

    Attributes:
        url: without credentials.
        user: who is given every right in what is made.

    Raises:
        SandboxError: the settings name no management API.
    """

    def __init__(self, settings: Settings) -> None:
        with _faults():
            self._api = ManagementApi(settings)
        self.url, self.user, self.password = self._api.url, self._api.user, self._api.password

    def has_vhost(self, name: str) -> bool:
        """Whether there is a virtual host of that name."""
        with _faults():
            return self._api.get(f"vhosts/{quote(name, safe='')}") is not None

    def create_vhost(self, name: str) -> None:
        """Make a virtual host and give our user every right in it."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        with _faults():
            self._api.call("PUT", f"vhosts/{quote(name, safe='')}", {})
            self._api.call("PUT", f"permissions/{quote(name, safe='')}/{quote(self.user, safe='')}", everything)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with its queues; nothing happens when there is none of that name."""
        with _faults():
            self._api.call("DELETE", f"vhosts/{quote(name, safe='')}", absent_is_fine=True)

    def make_logins(self, settings: Settings) -> dict[str, str]:
        """Give every role a user and a new password in the settings' virtual host; broker URLs by role."""
        with _faults():
            api = ManagementApi(settings)
            describe(api)
            grant(api)
            found = {}
            for role in ROLES:
                password = new_password()
                set_password(api, role.name, password)
                found[role.name] = login_url(settings, role.name, vhost=api.vhost, password=password)
            return found

    def delete_logins(self, vhost: str) -> None:
        """Delete the users of the roles in a virtual host; nothing happens where there are none."""
        with _faults():
            there = {user["name"] for user in self._api.get("users")}
            for user in there & {user_of(role.name, vhost=vhost) for role in ROLES}:
                self._api.call("DELETE", user_path(user), absent_is_fine=True)

    def cluster_name(self) -> str:
        """The broker's own name for itself."""
        with _faults():
            return str(self._api.call("GET", "cluster-name")["name"])


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except BrokerError as error:
        raise SandboxError(str(error)) from error
