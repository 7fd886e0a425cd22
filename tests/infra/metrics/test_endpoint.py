from __future__ import annotations

import os
import socket
import time
from urllib.error import URLError

import pytest
from structlog.testing import capture_logs

from infra.local.ports import is_free
from infra.metrics import catalog
from infra.metrics.catalog import SHOWN, port_offset
from infra.metrics.endpoint import Endpoint
from infra.process_name import ProcessName
from infra.settings import Settings
from tests.infra.metrics.scraping import free_block, scrape


def settings(port: int) -> Settings:
    return Settings(metrics_port=port)


def test_what_was_counted_is_shown_at_the_port_of_the_process() -> None:
    port = free_block()
    with Endpoint(settings(port), ProcessName.DISPATCH) as endpoint:
        assert endpoint.instruments is not None
        endpoint.instruments.counter(catalog.DISPATCH_PUBLISHED, "high").inc(3)
        shown = scrape(port + port_offset(ProcessName.DISPATCH))
    assert shown.value("ledgerq_dispatch_published_total", tier="high") == 3
    assert shown.value("process_resident_memory_bytes") > 0


def test_one_of_each_process_fits_on_a_machine() -> None:
    assert len({port_offset(process) for process in SHOWN}) == len(SHOWN)
    assert all(port_offset(process) > 0 for process in SHOWN), "the port itself is the platform's"


def test_a_port_that_is_taken_is_said_once_and_the_process_goes_on() -> None:
    port = free_block()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of other tests linger
        taken.bind(("127.0.0.1", port + port_offset(ProcessName.INGEST)))
        taken.listen()
        with capture_logs() as told, Endpoint(settings(port), ProcessName.INGEST) as endpoint:
            assert endpoint.address is None
            assert endpoint.instruments is not None
            endpoint.instruments.counter(catalog.INGEST_OUTAGES, "broker").inc()
    assert [line["event"] for line in told] == ["metrics are not shown"]
    assert told[0]["port"] == port + port_offset(ProcessName.INGEST)


def test_a_host_that_is_not_this_one_is_said_and_the_process_goes_on() -> None:
    elsewhere = Settings(metrics_port=free_block(), metrics_host="203.0.113.7")
    with capture_logs() as told, Endpoint(elsewhere, ProcessName.INGEST) as endpoint:
        assert endpoint.address is None
    assert [line["event"] for line in told] == ["metrics are not shown"]


def test_with_port_0_nothing_is_counted_and_nobody_listens() -> None:
    with Endpoint(settings(0), ProcessName.INGEST) as endpoint:
        assert endpoint.instruments is None
        assert endpoint.address is None


def test_a_closed_endpoint_gives_its_port_back() -> None:
    port = free_block()
    with Endpoint(settings(port), ProcessName.SCHEDULER):
        pass
    assert is_free(port + port_offset(ProcessName.SCHEDULER))
    with pytest.raises(URLError):
        scrape(port + port_offset(ProcessName.SCHEDULER))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_does_not_keep_the_port() -> None:
    port = free_block()
    endpoint = Endpoint(settings(port), ProcessName.WORKER_LOW)
    endpoint.open()
    heard, tell = os.pipe()
    child = os.fork()
    if child == 0:  # waits until its parent has looked
        os.close(tell)
        os.read(heard, 1)
        os._exit(0)
    os.close(heard)
    try:
        endpoint.close()
        with Endpoint(settings(port), ProcessName.WORKER_LOW) as again:
            assert again.address is not None
    finally:
        os.close(tell)
        os.waitpid(child, 0)


def test_somebody_who_asks_and_does_not_read_keeps_nobody_from_looking() -> None:
    port = free_block()
    with Endpoint(settings(port), ProcessName.PROJECTOR), socket.create_connection(("127.0.0.1", port + 3)) as rude:
        rude.sendall(b"GET /metrics HT")
        began = time.monotonic()
        assert scrape(port + port_offset(ProcessName.PROJECTOR)).names
        assert time.monotonic() - began < 5
