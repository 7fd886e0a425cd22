from __future__ import annotations

import socket
from pathlib import Path

from infra.local.ports import choose_ports, is_free


def test_the_ports_of_the_last_time_are_taken_again(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = choose_ports(memory, "amqp", "management")
    assert len(set(first.values())) == 2
    assert choose_ports(memory, "amqp", "management") == first


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = choose_ports(memory, "amqp", "management")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["amqp"]))
        taken.listen()
        assert not is_free(first["amqp"])
        second = choose_ports(memory, "amqp", "management")
    assert second["amqp"] != first["amqp"]
    assert second["management"] == first["management"]


def test_a_memory_cut_short_is_no_obstacle(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    memory.write_text('{"amqp": 2')
    assert choose_ports(memory, "amqp")["amqp"] > 0
