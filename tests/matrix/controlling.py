"""``rabbitmqctl`` on a node of our own."""

from __future__ import annotations

import subprocess

from infra.local.rabbitmq import RabbitMQNode


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
