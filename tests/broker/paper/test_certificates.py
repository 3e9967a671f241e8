"""The exchange's own certificate: who it is for, how long, and who may read its key."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from broker.paper.certificates import LIFE, RENEW_BEFORE, server_context, tls_files
from tests.broker.paper.helpers import AT


def names(path: Path) -> list[str]:
    found = x509.load_pem_x509_certificate(path.read_bytes())
    return [str(name.value) for name in found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_it_is_for_this_machine_and_its_key_for_its_owner(tmp_path: Path) -> None:
    files = tls_files(tmp_path / "tls", now=AT)
    assert names(files.server) == ["localhost", "127.0.0.1", "::1"]
    assert files.server.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE KEY" not in files.ca.read_bytes()
    assert sorted(path.name for path in files.ca.parent.iterdir()) == [".lock", "ca.pem", "server.pem"]
    assert isinstance(server_context(files), ssl.SSLContext)


def test_it_stays_until_it_is_nearly_over(tmp_path: Path) -> None:
    first = tls_files(tmp_path, now=AT).server.read_bytes()
    assert tls_files(tmp_path, now=AT + LIFE - RENEW_BEFORE - timedelta(days=1)).server.read_bytes() == first
    assert tls_files(tmp_path, now=AT + LIFE - RENEW_BEFORE + timedelta(days=1)).server.read_bytes() != first


@pytest.mark.parametrize("broken", ["ca.pem", "server.pem"])
def test_a_broken_pair_is_made_anew(tmp_path: Path, broken: str) -> None:
    files = tls_files(tmp_path, now=AT)
    (tmp_path / broken).write_text("nonsense")
    tls_files(tmp_path, now=AT)
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    x509.load_pem_x509_certificate(files.server.read_bytes()).verify_directly_issued_by(authority)


def test_another_host_is_another_certificate(tmp_path: Path) -> None:
    tls_files(tmp_path, now=AT)
    assert names(tls_files(tmp_path, now=AT, host="192.0.2.7").server)[-1] == "192.0.2.7"
    assert names(tls_files(tmp_path, now=AT, host="paper.example").server)[-1] == "paper.example"
