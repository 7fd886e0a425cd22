"""``rabbitmqctl`` on a node of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.rabbitmq import RabbitMQNode
from tests.waiting import eventually


def control(node: RabbitMQNode, *arguments: str) -> str:
    """Have the node's own tool do something; what it says."""
    done = subprocess.run(
        [str(node.programs.control), "--quiet", *arguments],
        env=node.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def write_declarations(node: RabbitMQNode) -> None:
    """Put what was declared on disk: it reaches it a moment after it was answered (Mnesia's log)."""
    control(node, "eval", "mnesia:sync_log().")


@contextmanager
def memory_alarm(node: RabbitMQNode) -> Iterator[None]:
    """The broker has run out of memory, as far as it knows, and reads from no publisher."""
    control(node, "set_vm_memory_high_watermark", "0.00001")
    control(node, "eval", "vm_memory_monitor ! update.")
    try:
        eventually(lambda: "resource_limit" in control(node, "eval", "rabbit_alarm:get_alarms()."), seconds=30)
        yield
    finally:
        control(node, "set_vm_memory_high_watermark", "0.4")
        control(node, "eval", "vm_memory_monitor ! update.")
        eventually(lambda: "resource_limit" not in control(node, "eval", "rabbit_alarm:get_alarms()."), seconds=30)
