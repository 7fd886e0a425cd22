"""A certificate authority for tests, and the certificates it signs: made by openssl, good for two days."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates of mail servers.

    Attributes:
        certificate: PEM file of its own certificate, for those who trust it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = directory / "authority-key.pem"
        self.certificate = directory / "authority.pem"
        _openssl(
            *("req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=test authority"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def server_context(self, host: str) -> ssl.SSLContext:
        """TLS as a server at the IP address ``host`` speaks it."""
        key, request, signed = (self._directory / f"{host}.{kind}" for kind in ("key", "csr", "pem"))
        extension = self._directory / f"{host}.ext"
        extension.write_text(f"subjectAltName=IP:{host}\n")
        _openssl("req", *_KEY, "-subj", f"/CN={host}", "-keyout", str(key), "-out", str(request))
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", "2", "-extfile", str(extension), "-out", str(signed)),
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(signed, key)
        return context

    def trusted(self) -> ssl.SSLContext:
        """TLS as a client speaks it who trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.certificate))


def _openssl(*arguments: str) -> None:
    subprocess.run(("openssl", *arguments), check=True, capture_output=True)
