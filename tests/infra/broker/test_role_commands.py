from __future__ import annotations

import re
from collections.abc import Iterator

import pika
import pytest
from click.testing import CliRunner, Result

from infra.broker.commands import topology
from infra.broker.management import ManagementApi
from infra.broker.roles import NOTHING, ROLES, user_of
from infra.local.sandbox import Sandbox, create_sandbox
from infra.settings import Settings

GIVEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def own(servers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A virtual host of the module's own."""
    made = create_sandbox(servers.model_copy(update={"state_dir": tmp_path_factory.mktemp("own")}), label="commands")
    yield made
    made.drop()


@pytest.fixture(autouse=True)
def environment(own: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    management = own.administrator.management_url
    assert management is not None
    monkeypatch.setenv("LEDGERQ_BROKER_URL", own.broker_url)
    monkeypatch.setenv("LEDGERQ_MANAGEMENT_URL", management.get_secret_value())


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(topology, arguments, input=given)


def applied() -> None:
    done = run("apply", "--all")
    assert done.exit_code == 0, done.output
    assert f"{len(ROLES)} roles" in done.output


def lets_in(url: str) -> bool:
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except (pika.exceptions.ProbableAuthenticationError, pika.exceptions.AuthenticationError):
        return False
    return True


def urls(done: Result) -> dict[str, str]:
    assert done.exit_code == 0, done.output
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_users_are_named_with_what_they_may_and_whether_it_stands(own: Sandbox) -> None:
    applied()
    done = run("users")
    assert done.exit_code == 0, done.output
    for role in ROLES:
        assert user_of(role.name, vhost=own.vhost) in done.output
        assert role.write == NOTHING or role.write in done.output
    assert "has no password" in done.output

    api = ManagementApi(own.administrator.model_copy(update=own.settings_update()))
    rights = {"configure": ".*", "write": "", "read": ""}
    api.call("PUT", api.of_vhost("permissions", user_of("scheduler", vhost=own.vhost)), rights)
    done = run("users")
    assert done.exit_code == 1
    assert "may configure .*, wanted is ^$" in done.output
    assert "topology apply --all" in done.output
    applied()
    assert run("users").exit_code == 0


def test_a_new_password_is_printed_once_as_a_url_that_lets_in() -> None:
    applied()
    made = urls(run("password", "emitter", "worker"))
    assert set(made) == {"emitter", "worker"}
    assert all(map(lets_in, made.values()))

    again = urls(run("password", "worker"))

    assert not lets_in(made["worker"])
    assert lets_in(again["worker"])
    assert lets_in(made["emitter"])
    assert urls(run("password", "worker", "--if-none")) == {}
    assert lets_in(again["worker"])


def test_every_role_gets_a_password_at_once() -> None:
    applied()
    made = urls(run("password", "--every"))
    assert set(made) == {role.name for role in ROLES}
    applied()
    assert all(map(lets_in, made.values()))


def test_a_given_password_is_set_and_repeated_nowhere(own: Sandbox) -> None:
    applied()
    done = run("password", "--stdin", given=f"ingest {GIVEN}\n\ndispatch {GIVEN}-2\n")
    assert done.exit_code == 0, done.output
    assert GIVEN not in done.output
    assert "ingest: set" in done.output
    assert lets_in(re.sub(r"//.*@", f"//{user_of('ingest', vhost=own.vhost)}:{GIVEN}@", own.broker_url))
    assert "ingest: that is its password already" in run("password", "--stdin", given=f"ingest {GIVEN}").output


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ingest short", "line 1: the password of ingest has less than 12 characters"),
        (f"ingest {GIVEN}\nsomebody-secret-thing", "line 2: a line is ROLE PASSWORD; roles are emitter, client"),
    ],
)
def test_what_is_no_password_of_a_role_is_refused_without_repeating_it(given: str, told: str) -> None:
    done = run("password", "--stdin", given=given)
    assert done.exit_code == 1
    assert told in done.output
    assert given.rpartition(" ")[2].strip() not in done.output
    assert "somebody" not in done.output


@pytest.mark.parametrize("given", ["", "\n \n"])
def test_an_empty_standard_input_is_told_what_is_wanted(given: str) -> None:
    done = run("password", "--stdin", given=given)
    assert (done.exit_code, "wanted are lines ROLE PASSWORD" in done.output) == (2, True), done.output


@pytest.mark.parametrize("arguments", [[], ["worker", "--every"], ["worker", "--stdin"], ["nobody"]])
def test_it_has_to_be_said_whose_passwords(arguments: list[str]) -> None:
    done = run("password", *arguments)
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize("arguments", [["users"], ["password", "worker"], ["apply", "--all"]])
def test_without_the_management_api_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.delenv("LEDGERQ_MANAGEMENT_URL")
    done = run(*arguments)
    assert done.exit_code == 1
    assert "LEDGERQ_MANAGEMENT_URL" in done.output


def test_somebody_who_is_no_administrator_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    applied()
    monkeypatch.setenv("LEDGERQ_BROKER_URL", urls(run("password", "operator"))["operator"])
    done = run("password", "worker")
    assert done.exit_code == 1
    assert "refuses GET users/" in done.output
    assert "Traceback" not in done.output
