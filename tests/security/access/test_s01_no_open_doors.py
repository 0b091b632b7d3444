"""S1: nothing is open off loopback, tokens do not travel in the clear, no installation has a known key."""

import os
import socket
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nas_service.api import auth
from nas_service.cli.main import run
from nas_service.errors import InvalidInput
from nas_service.server import Server, serving
from nas_service.settings import Settings

ELSEWHERE = ["0.0.0.0", "::", "192.0.2.7", "nas.lab", ""]


@pytest.mark.parametrize("host", ELSEWHERE)
def test_off_loopback_neither_tls_nor_a_proxy_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NAS_TLS_CERT"):
        Server(Settings(home=tmp_path, host=host))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_neither(host: str, tmp_path: Path) -> None:
    Server(Settings(home=tmp_path, host=host))


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("nas_service.server", []), ("nas_service.cli.main", ["up", "--host", "0.0.0.0", "--port", "1"])],
)
def test_the_process_ends_with_one_plain_line(tmp_path: Path, module: str, arguments: list[str]) -> None:
    code = f"import {module} as module; raise SystemExit(module.main())"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**inherited, "NAS_HOME": str(tmp_path), "NAS_HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "NAS_BEHIND_PROXY=1" in ended.stderr
    assert ended.stdout == ""


def test_nas_up_says_what_is_missing_of_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    monkeypatch.setenv("NAS_TLS_CERT", str(tmp_path / "none.pem"))
    assert run(["up"]) == 2
    assert "none.pem" in capsys.readouterr().err
    monkeypatch.setenv("NAS_TLS_CERT", __file__)
    assert run(["up"]) == 2
    assert "NAS_TLS_KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [{"host": "0.0.0.0", "behind_proxy": True}, {"behind_proxy": True}, {"allowed_hosts": "nas.lab"}],
)
def test_whoever_may_come_from_elsewhere_needs_a_token(changes: dict[str, object], tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0).model_copy(update=changes)
    with serving(settings) as address:
        local = address.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{local}/api/v1/studies", trust_env=False).status_code == 401
        assert httpx.get(f"{local}/healthz", trust_env=False).status_code == 200


def test_the_first_token_is_for_its_owner_alone(home: Path, http: httpx.Client) -> None:
    path = home / "token"
    token = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.startswith("nw_")
    # 256 bits in base 64.
    assert len(token) >= 43
    headers = {"Authorization": f"Bearer {token}"}
    assert http.get("/api/v1/tokens", headers=headers).json()["items"][-1]["role"] == "admin"


def test_two_installations_have_different_tokens(tmp_path: Path) -> None:
    assert auth.ensure_token(tmp_path / "a") != auth.ensure_token(tmp_path / "b")
    assert auth.ensure_token(tmp_path / "a") == auth.ensure_token(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["token"]


def test_a_server_with_a_certificate_speaks_https_off_loopback(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    settings = Settings(home=tmp_path / "home", port=0, host="0.0.0.0", tls_cert=certificate, tls_key=key)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with (
        serving(settings) as address,
        httpx.Client(base_url=address.replace("0.0.0.0", "localhost"), verify=trusted) as http,
    ):
        assert address.startswith("https://")
        assert http.get("/api/v1/studies").status_code == 401
        token = (settings.data_home / "token").read_text().strip()
        cookie = http.post("/login", data={"token": token}).headers["set-cookie"]
        # A name that no plain page, and no neighbour of the host, can set.
        assert cookie.startswith("__Host-nas_session=")
        assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert http.get("/studies").status_code == 200
        plain = {"Origin": str(http.base_url).replace("https", "http").rstrip("/")}
        assert http.post("/logout", headers=plain).status_code == 403


def test_what_a_client_says_of_its_address_counts_behind_a_trusted_proxy_alone(tmp_path: Path) -> None:
    said = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    addresses = []
    for changes in ({}, {"behind_proxy": True, "trusted_proxies": "10.0.0.1"}, {"behind_proxy": True}):
        settings = Settings(home=tmp_path, port=0).model_copy(update=changes)
        with serving(settings) as address, httpx.Client(base_url=address, trust_env=False) as http:
            token = (settings.data_home / "token").read_text().strip()
            bearer = {"Authorization": f"Bearer {token}"}
            is_secure = (
                "Secure" in http.post("/login", data={"token": token}, headers=said).headers["set-cookie"]
            )
            newest = http.get("/api/v1/audit", headers=bearer).json()["items"][0]
            addresses.append((newest["address"], is_secure))
    assert addresses == [("127.0.0.1", False), ("127.0.0.1", False), ("203.0.113.9", True)]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, socket.gethostname()[:60])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"
