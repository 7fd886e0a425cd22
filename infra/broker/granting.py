"""What only the management API can make: the roles' users with their rights, policies, a description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from infra.broker.management import ManagementApi
from infra.broker.roles import NOTHING, ROLES, Role, topic_permissions, user_of
from infra.broker.topology import POLICIES, VHOST_DESCRIPTION, VHOST_TAG

ELSEWHERE: Final = "has rights in other virtual hosts"
"""How the difference begins that :func:`grant` does not take away."""
_SAYS_NOTHING: Final = (None, "", "Default virtual host")
_EMPTY: Final = re.compile(r"\^?\$?")


class Standing(NamedTuple):
    """A role's user as it stands on the broker.

    Attributes:
        has_password: whether anybody can log in as it.
        differences: between its rights and those of the role, for people; also too many.
    """

    role: Role
    user: str
    exists: bool
    has_password: bool
    differences: tuple[str, ...]


def user_path(user: str) -> str:
    """Path of a user in the management API."""
    return f"users/{quote(user, safe='')}"


def describe(api: ManagementApi) -> None:
    """Say of the virtual host what it is, where nobody else has, and name every queue's part by a policy.

    Raises:
        BrokerUnreachableError: the management API does not answer.
        BrokerRefusedError: its user is no administrator.
    """
    found = api.get(api.of_vhost("vhosts")) or {}
    said = found.get("description")
    tags = sorted({VHOST_TAG, *(found.get("tags") or ())})
    description = VHOST_DESCRIPTION if said in _SAYS_NOTHING else said
    api.call("PUT", api.of_vhost("vhosts"), {"description": description, "tags": ",".join(tags)})
    for policy in POLICIES:
        api.call("PUT", api.of_vhost("policies", policy.name), policy.settings)


def grant(api: ManagementApi) -> None:
    """Give every role's user its rights and no others; users that are missing are made, and cannot log in yet.

    Passwords stay as they are. Raises as :func:`describe`.
    """
    for role in ROLES:
        user = user_of(role.name, vhost=api.vhost)
        found = api.get(user_path(user))
        if found is None or set(found["tags"]) != set(role.tags):
            _write_user(api, role, found or {})
        api.call("PUT", api.of_vhost("permissions", user), role.permission)
        _limit_keys(api, role, user)


def _write_user(api: ManagementApi, role: Role, found: dict[str, Any]) -> None:
    """Write a user with its tags; its password has to be written too, and one that is set meanwhile would be undone."""
    hashed = {"password_hash": found.get("password_hash", "")}
    if hashed["password_hash"]:
        hashed["hashing_algorithm"] = found["hashing_algorithm"]
    api.call("PUT", user_path(user_of(role.name, vhost=api.vhost)), {**hashed, "tags": ",".join(role.tags)})


def _limit_keys(api: ManagementApi, role: Role, user: str) -> None:
    standing = {permission["exchange"] for permission in _topic_permissions(api, user)}
    if standing - role.keys.keys():  # the broker takes only all of them away
        api.call("DELETE", api.of_vhost("topic-permissions", user))
    for permission in topic_permissions(role):
        api.call("PUT", api.of_vhost("topic-permissions", user), permission)


def standings(api: ManagementApi) -> Iterator[Standing]:
    """Every role's user beside what the role is to be. Raises as :func:`describe`."""
    for role in ROLES:
        user = user_of(role.name, vhost=api.vhost)
        found = api.get(user_path(user))
        if found is None:
            yield Standing(role, user, exists=False, has_password=False, differences=())
        else:
            differences = tuple(_differences(api, role, user, found))
            yield Standing(
                role, user, exists=True, has_password=bool(found.get("password_hash")), differences=differences
            )


def _differences(api: ManagementApi, role: Role, user: str, found: dict[str, Any]) -> Iterator[str]:
    if set(found["tags"]) != set(role.tags):
        yield f"has the tags {_listed(found['tags'])}, wanted {_listed(role.tags)}"
    standing = api.get(api.of_vhost("permissions", user))
    if standing is None:
        yield "may not enter the virtual host"
    for right, wanted in role.permission.items() if standing else ():
        given = standing[right]
        if _pattern(given) != wanted:
            yield f"may {right} {given}, wanted is {wanted}"
    keys = {permission["exchange"]: permission["write"] for permission in _topic_permissions(api, user)}
    for exchange in sorted(keys.keys() | role.keys.keys()):
        if keys.get(exchange) != role.keys.get(exchange):
            yield (
                f"may publish to {exchange} under {keys.get(exchange, 'any key')}, "
                f"wanted is {role.keys.get(exchange, 'any key')}"
            )
    elsewhere = sorted(permission["vhost"] for permission in api.get(f"{user_path(user)}/permissions") or ())
    if others := [vhost for vhost in elsewhere if vhost != api.vhost]:
        yield f"{ELSEWHERE}: {', '.join(others)}"


def _topic_permissions(api: ManagementApi, user: str) -> list[dict[str, str]]:
    found = api.get(api.of_vhost("topic-permissions", user))
    return list(found or ())


def _listed(tags: Any) -> str:
    return ", ".join(tags) or "none"


def _pattern(given: str) -> str:
    """The broker takes the empty pattern for one that matches nothing."""
    return NOTHING if _EMPTY.fullmatch(given) else given
