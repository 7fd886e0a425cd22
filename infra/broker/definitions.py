"""Topology, policies and roles as one definitions file (RabbitMQ documentation, "Definition Export and Import")."""

from __future__ import annotations

from typing import Any

from infra.broker.declarations import definitions_of_topology
from infra.broker.roles import definitions_of_roles
from infra.broker.topology import POLICIES, TOPOLOGY, VHOST_DESCRIPTION, VHOST_TAG


def definitions(*, vhost: str = "/") -> dict[str, Any]:
    """All that has to stand in a virtual host. Nobody's password is in it: importing it takes the roles' away."""
    policies = [{"vhost": vhost, "name": policy.name, **policy.settings} for policy in POLICIES]
    return {
        "vhosts": [{"name": vhost, "description": VHOST_DESCRIPTION, "tags": [VHOST_TAG]}],
        **definitions_of_roles(vhost=vhost),
        "policies": policies,
        **definitions_of_topology(TOPOLOGY, vhost=vhost),
    }
