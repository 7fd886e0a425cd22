"""Does the topology stand as it should: exchanges, queues, bindings, what policies change, and who may do what?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from infra.broker.declarations import Exchange, Queue
from infra.broker.granting import ELSEWHERE
from infra.broker.topology import TASKS, TOPOLOGY
from infra.doctor.finding import Finding
from infra.doctor.patient import Patient

_APPLY: Final = "Run `ledgerq topology apply`"
_BY_HAND: Final = "Empty it, delete it, then run `ledgerq topology apply`"
HARMFUL: Final = frozenset(
    {
        *("max-length", "max-length-bytes", "message-ttl", "expires", "overflow"),
        *("dead-letter-exchange", "dead-letter-routing-key", "dead-letter-strategy", "delivery-limit"),
    }
)
"""Keys of a policy that decide where a message ends."""


def exchanges(patient: Patient) -> Iterator[Finding]:
    """Missing ones, and those of another kind or with other arguments."""
    for wanted in TOPOLOGY.exchanges:
        found, where = patient.exchanges.get(wanted.name), f"exchange {wanted.name}"
        if found is None:
            yield Finding(check="missing_exchange", where=where, what="does not exist", remedy=_APPLY)
            continue
        if found["type"] != wanted.kind:
            yield _of_another_kind(wanted, found["type"])
        yield from _differences(wanted.arguments, found, where, check="exchange_drifted")


def _of_another_kind(wanted: Exchange, kind: str) -> Finding:
    where, remedy = f"exchange {wanted.name}", f"Delete it, then {_APPLY[0].lower()}{_APPLY[1:]}"
    if kind == "direct" and (wanted.name == TASKS or wanted.name.startswith("delay")):
        what = "is direct, and delays need topic: what comes down the ladder has the ladder's key and matches nothing"
        return Finding(check="direct_exchange_with_delays", where=where, what=what, remedy=remedy)
    what = f"is of type {kind}, wanted is {wanted.kind}"
    return Finding(check="exchange_drifted", where=where, what=what, remedy=remedy)


def queues(patient: Patient) -> Iterator[Finding]:
    """Missing ones, and those with other arguments."""
    for wanted in TOPOLOGY.queues:
        found, where = patient.queues.get(wanted.name), f"queue {wanted.name}"
        if found is None:
            yield Finding(check="missing_queue", where=where, what="does not exist", remedy=_APPLY)
        else:
            yield from _differences(_arguments(wanted), found, where, check="queue_drifted")


def _arguments(queue: Queue) -> Mapping[str, Any]:
    return queue.arguments


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], where: str, *, check: str) -> Iterator[Finding]:
    """What differs of the arguments, and whether it outlives a restart."""
    standing = dict(found.get("arguments") or {})
    for name in sorted(wanted.keys() | standing.keys()):
        if wanted.get(name) != standing.get(name):
            what = f"has {name} {_said(standing.get(name))}, wanted is {_said(wanted.get(name))}"
            yield Finding(check=check, where=where, what=what, remedy=_BY_HAND)
    if not found.get("durable", True):
        yield Finding(check=check, where=where, what="is not durable: a restart deletes it", remedy=_BY_HAND)


def _said(value: object) -> str:
    return "not set" if value is None else str(value)


def bindings(patient: Patient) -> Iterator[Finding]:
    """Missing ones."""
    for wanted in TOPOLOGY.bindings:
        if (wanted.source, wanted.kind, wanted.destination, wanted.key) not in patient.bindings:
            where = f"binding {wanted.source} → {wanted.destination} ({wanted.key or 'no key'})"
            what = f"does not exist: {wanted.kind} {wanted.destination} gets nothing this way"
            yield Finding(check="missing_binding", where=where, what=what, remedy=_APPLY)


def policies(patient: Patient) -> Iterator[Finding]:
    """Policies, an operator's too, that change where messages of our queues end."""
    for wanted in TOPOLOGY.queues:
        found = patient.queues.get(wanted.name, {})
        definition = found.get("effective_policy_definition") or {}
        harmful = {name: definition[name] for name in sorted(HARMFUL & dict(definition).keys())}
        if harmful:
            names = " and ".join(filter(None, (found.get("policy"), found.get("operator_policy")))) or "?"
            what = f"policy {names} sets {', '.join(f'{name} {value}' for name, value in harmful.items())}"
            remedy = "Have the policy leave it out, or know that messages end there"
            yield Finding(check="policy_on_queue", where=f"queue {wanted.name}", what=what, remedy=remedy)


def roles(patient: Patient) -> Iterator[Finding]:
    """Users of the roles with other rights than their process needs, most of all with more; none need be there."""
    for standing in patient.roles:
        for difference in standing.differences:
            where, remedy = f"user {standing.user}", "Run `ledgerq topology apply --all`"
            if difference.startswith(ELSEWHERE):
                remedy = "Take them away: `rabbitmqctl clear_permissions -p VHOST USER`"
            yield Finding(check="role_rights", where=where, what=difference, remedy=remedy)
