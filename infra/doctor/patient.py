"""What the management API says of the broker and of our virtual host, asked when a check first wants it."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import quote

from infra.broker.granting import Standing, standings
from infra.broker.guarantees import Version, version_of
from infra.broker.management import ManagementApi
from infra.settings import Settings

Said = dict[str, Any]


class Patient:
    """The broker as it stands. Names of keys are the management API's.

    Every property raises :class:`infra.broker.errors.BrokerRefusedError` where the user may not ask for it, and
    :class:`infra.broker.errors.BrokerUnreachableError` where nobody answers.
    """

    def __init__(self, settings: Settings) -> None:
        self._api = ManagementApi(settings)
        self.vhost = self._api.vhost

    @cached_property
    def version(self) -> Version:
        """Major and minor version."""
        return version_of(self.overview["rabbitmq_version"])

    @cached_property
    def overview(self) -> Said:
        """The broker as a whole."""
        return dict(self._api.get("overview"))

    @cached_property
    def nodes(self) -> list[Said]:
        """The cluster's nodes with their alarms; wants the tag ``monitoring``."""
        return list(self._api.get("nodes"))

    @cached_property
    def users(self) -> list[Said]:
        """Everybody who may log in; wants the tag ``administrator``."""
        return list(self._api.get("users"))

    @cached_property
    def roles(self) -> list[Standing]:
        """Users of the roles beside what they should be; wants the tag ``administrator``."""
        return list(standings(self._api))

    @cached_property
    def feature_flags(self) -> dict[str, str]:
        """State of each feature flag; wants the tag ``administrator``."""
        return {flag["name"]: flag["state"] for flag in self._api.get("feature-flags") or []}

    @cached_property
    def exchanges(self) -> dict[str, Said]:
        """By name."""
        return self._named("exchanges")

    @cached_property
    def queues(self) -> dict[str, Said]:
        """By name."""
        return self._named("queues")

    @cached_property
    def bindings(self) -> set[tuple[str, str, str, str]]:
        """Source, kind of destination, destination, routing key."""
        found = self._api.get(self._api.of_vhost("bindings"))
        return {(b["source"], b["destination_type"], b["destination"], b["routing_key"]) for b in found}

    @cached_property
    def consumers(self) -> list[Said]:
        """Everybody who consumes and whose channel the broker can name.

        For a moment after it came, a consumer is listed with an empty list in place of its channel: the broker's
        statistics have not heard from the channel yet. Whose it is then nobody can say; the next look will.
        """
        found = self._api.get(self._api.of_vhost("consumers"))
        return [consumer for consumer in found if consumer["channel_details"]]

    @cached_property
    def connections(self) -> dict[str, Said]:
        """By the name the broker gives them (addresses and ports)."""
        return {found["name"]: found for found in self._api.get(f"vhosts/{quote(self.vhost, safe='')}/connections")}

    @cached_property
    def channels(self) -> list[Said]:
        """Every open channel whose connection the broker can name; see :attr:`consumers`."""
        found = self._api.get(f"vhosts/{quote(self.vhost, safe='')}/channels")
        return [channel for channel in found if channel["connection_details"]]

    def published_to(self, channel: str) -> set[str]:
        """The exchanges that an open channel has published to; ``""`` is the default exchange.

        Nothing is told where the broker counts roughly (``rates_mode`` basic, the default).
        """
        found = self._api.get(f"channels/{quote(channel, safe='')}") or {}
        return {publish["exchange"]["name"] for publish in found.get("publishes", ())}

    def who(self, connection: str) -> str:
        """A connection for people: what it calls itself, else its addresses."""
        told = self.connections.get(connection, {}).get("client_properties", {})
        return str(told.get("connection_name") or connection)

    def children(self, connection: str) -> int | None:
        """Pool children of the worker behind a connection, where it says (``ledgerq_children``)."""
        told = self.connections.get(connection, {}).get("client_properties", {}).get("ledgerq_children")
        return told if isinstance(told, int) else None

    def _named(self, kind: str) -> dict[str, Said]:
        return {found["name"]: found for found in self._api.get(self._api.of_vhost(kind))}
