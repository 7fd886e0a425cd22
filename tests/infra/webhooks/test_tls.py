"""Over TLS a receiver has to show who it is before it gets anything."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.webhooks.posting import post
from tests.tasks.webhooks.receiver import Receiver

INSIDE = Settings(webhook_allowed_networks="127.0.0.0/8")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file with a key and the certificate of 127.0.0.1, by nobody's authority but its own."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run((*made, *subject, "-keyout", path, "-out", f"{path}.crt"), check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def receiver(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Receiver(context=context) as started:
        yield started


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_nothing(receiver: Receiver) -> None:
    posted = post(receiver.url, b"secret", {}, INSIDE)
    assert posted.error_type == "SSLError", posted
    assert receiver.received == []


def test_one_that_an_authority_of_ours_vouches_for_gets_it(receiver: Receiver, certificate: Path) -> None:
    posted = post(receiver.url, b"told", {}, INSIDE.model_copy(update={"webhook_ca_file": certificate}))
    assert (posted.status_code, posted.error) == (204, None), posted
    assert [got.body for got in receiver.received] == [b"told"]
