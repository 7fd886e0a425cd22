"""Rights and passwords as they come to stand on the broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pika
import pytest
from pydantic import SecretStr

from infra.broker.definitions import definitions
from infra.broker.granting import Standing, describe, grant, standings, user_path
from infra.broker.management import ManagementApi
from infra.broker.passwords import UserMissingError, login_url, new_password, set_password
from infra.broker.roles import ROLES, user_of
from infra.broker.topology import POLICIES, TOPOLOGY
from infra.local.sandbox import Sandbox, create_sandbox
from infra.settings import Settings


@pytest.fixture
def own(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A virtual host of the test's own, without any role."""
    made = create_sandbox(servers.model_copy(update={"state_dir": tmp_path_factory.mktemp("own")}), label="roles")
    yield made
    made.drop()


@pytest.fixture
def api(own: Sandbox) -> ManagementApi:
    return ManagementApi(own.administrator.model_copy(update=own.settings_update()))


def standing(api: ManagementApi, role: str) -> Standing:
    return next(found for found in standings(api) if found.role.name == role)


def lets_in(own: Sandbox, role: str, password: str) -> bool:
    settings = own.administrator.model_copy(update={"broker_url": SecretStr(own.broker_url)})
    try:
        pika.BlockingConnection(
            pika.URLParameters(login_url(settings, role, vhost=own.vhost, password=password))
        ).close()
    except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.AuthenticationError):
        return False
    return True


def test_a_user_that_was_just_made_lets_nobody_in(own: Sandbox, api: ManagementApi) -> None:
    assert not any(found.exists for found in standings(api))
    grant(api)
    assert [(found.exists, found.has_password, found.differences) for found in standings(api)] == [
        (True, False, ())
    ] * len(ROLES)
    assert not lets_in(own, "ingest", "")
    assert not lets_in(own, "ingest", "guest")


def test_granting_again_takes_away_what_is_too_much_and_leaves_the_password(own: Sandbox, api: ManagementApi) -> None:
    grant(api)
    secret = new_password()
    set_password(api, "ingest", secret)
    user = user_of("ingest", vhost=own.vhost)
    api.call("PUT", api.of_vhost("permissions", user), {"configure": ".*", "write": ".*", "read": ".*"})
    api.call("PUT", api.of_vhost("topic-permissions", user), {"exchange": "events", "write": ".*", "read": ".*"})
    api.call("PUT", api.of_vhost("topic-permissions", user), {"exchange": "tasks", "write": ".*", "read": ".*"})
    found = api.get(user_path(user))
    hashed = {name: found[name] for name in ("password_hash", "hashing_algorithm")}
    api.call("PUT", user_path(user), {**hashed, "tags": "administrator"})
    told = "; ".join(standing(api, "ingest").differences)
    for part in ("tags administrator, wanted none", "may configure .*", "to events under .*,", "to tasks under .*,"):
        assert part in told

    grant(api)

    assert standing(api, "ingest").differences == ()
    assert lets_in(own, "ingest", secret)


def test_a_password_that_is_set_while_rights_are_granted_stays(
    own: Sandbox, api: ManagementApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(api)
    user, secret, get = user_of("ingest", vhost=own.vhost), new_password(), api.get

    def get_and_be_overtaken(path: str) -> Any:
        found = get(path)
        if path == user_path(user):
            monkeypatch.setattr(api, "get", get)
            set_password(api, "ingest", secret)
        return found

    monkeypatch.setattr(api, "get", get_and_be_overtaken)
    grant(api)
    assert lets_in(own, "ingest", secret)


def test_rights_elsewhere_and_a_closed_door_are_told_apart(own: Sandbox, api: ManagementApi) -> None:
    grant(api)
    user = user_of("emitter", vhost=own.vhost)
    rights = api.of_vhost("permissions", user)
    api.call("PUT", f"permissions/%2F/{user}", {"configure": "", "write": "", "read": ""})
    assert standing(api, "emitter").differences == ("has rights in other virtual hosts: /",)
    api.call("DELETE", f"permissions/%2F/{user}")
    api.call("DELETE", rights)
    assert standing(api, "emitter").differences == ("may not enter the virtual host",)


def test_a_new_password_ends_the_old_one_and_the_same_again_changes_nothing(own: Sandbox, api: ManagementApi) -> None:
    first, second = new_password(), new_password()
    with pytest.raises(UserMissingError, match="topology apply --all"):
        set_password(api, "worker", first)
    grant(api)
    assert set_password(api, "worker", first)
    assert lets_in(own, "worker", first)
    assert not set_password(api, "worker", first)
    assert set_password(api, "worker", second)
    assert not lets_in(own, "worker", first)
    assert lets_in(own, "worker", second)


def test_importing_the_definitions_file_grants_what_apply_grants(own: Sandbox, api: ManagementApi) -> None:
    api.call("POST", "definitions", definitions(vhost=own.vhost))
    assert [(found.exists, found.has_password, found.differences) for found in standings(api)] == [
        (True, False, ())
    ] * len(ROLES)
    imported = api.get(api.of_vhost("policies")), api.get(api.of_vhost("vhosts"))["description"]
    api.call("PUT", api.of_vhost("vhosts"), {"description": "", "tags": ""})
    for policy in POLICIES:
        api.call("DELETE", api.of_vhost("policies", policy.name))

    describe(api)

    assert (api.get(api.of_vhost("policies")), api.get(api.of_vhost("vhosts"))["description"]) == imported
    assert {queue["name"] for queue in api.get(api.of_vhost("queues"))} == {queue.name for queue in TOPOLOGY.queues}


def test_what_somebody_else_says_of_the_virtual_host_is_left_alone(api: ManagementApi) -> None:
    api.call("PUT", api.of_vhost("vhosts"), {"description": "of the billing team", "tags": "billing"})
    describe(api)
    found = api.get(api.of_vhost("vhosts"))
    assert (found["description"], set(found["tags"])) == ("of the billing team", {"billing", "ledgerq"})


def test_users_go_with_their_virtual_host(own: Sandbox) -> None:
    own.make_logins()
    api = ManagementApi(own.administrator)
    users = {user_of(role.name, vhost=own.vhost) for role in ROLES}
    assert users <= {user["name"] for user in api.get("users")}
    own.drop()
    assert not users & {user["name"] for user in api.get("users")}
