"""TLS of our own: what it takes to be served, what is refused before anything is opened, and clear text beyond here."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests import fork_server
from tests.live import live_server

from flowtally import server
from flowtally.client import Client
from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.server import run
from flowtally.tls import check_clear, is_loopback, read_tls

Files = tuple[Path, Path]


@pytest.fixture(autouse=True)
def _logs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` sets up the logs of its process, for good; this one is that of all tests."""
    monkeypatch.setattr(server, "set_up_logs", lambda config: None)


def certified(place: Path, name: str = "usage", passphrase: bytes = b"") -> Files:
    """A certificate for this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    made = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number(), now, now + WEEK)
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    kept = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    cert_file, key_file = place / f"{name}.pem", place / f"{name}.key"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, kept))
    return cert_file, key_file


WEEK = datetime.timedelta(days=7)


def settings(files: Files) -> dict[str, str]:
    return {"FLOWTALLY_TLS_CERT": str(files[0]), "FLOWTALLY_TLS_KEY": str(files[1])}


def test_what_is_served_with_tls_can_be_asked_by_the_client_and_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certified(tmp_path)
    with live_server(tmp_path / "data", settings(files)) as live:
        assert live.url.startswith("https://127.0.0.1:")
        with httpx.Client(base_url=live.url, verify=ssl.create_default_context(cafile=str(files[0]))) as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            answer = client.get("/v1/accounts", headers={"Authorization": f"Bearer {live.token}"})
            assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")
        trusting = live.environment | {"SSL_CERT_FILE": str(files[0])}
        for environment, code in ((trusting, 0), (live.environment, 4)):  # nobody vouches for it: nothing is sent
            done = fork_server.run("account", "list", env=environment)
            assert done.returncode == code, done.stderr
        assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
        assert "SSL_CERT_FILE" in done.stderr
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
        with Client(live.url, live.token) as asking:
            assert asking.ready()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_only_tls_1_2_and_later_is_spoken_and_who_says_nothing_is_let_go(tmp_path: Path) -> None:
    files = certified(tmp_path)
    with live_server(tmp_path / "data", settings(files)) as live:
        place = live.place
        silent = socket.create_connection(place)
        spoken = []
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=str(files[0]))
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            try:
                with (
                    socket.create_connection(place) as plain,
                    context.wrap_socket(plain, server_hostname="localhost") as one,
                ):
                    spoken.append(one.version())
            except (ssl.SSLError, OSError):
                spoken.append(None)
        assert spoken == [None, "TLSv1.2", "TLSv1.3"]
        with socket.create_connection(place) as clear:
            clear.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            clear.settimeout(30)
            assert not clear.recv(100).startswith(b"HTTP/1.1 200")
        with silent:
            silent.settimeout(30)
            assert silent.recv(1) == b""  # a handshake that never comes is bounded in time like a head


def _absent(files: Files) -> None:
    files[0].unlink()


def _readable(files: Files) -> None:
    files[1].chmod(0o644)


def _swapped(files: Files) -> None:
    text = files[0].read_bytes()
    files[0].write_bytes(files[1].read_bytes())
    files[1].write_bytes(text)


def _anothers(files: Files) -> None:
    files[1].write_bytes(certified(files[1].parent, "other")[1].read_bytes())


def _locked(files: Files) -> None:
    files[1].write_bytes(certified(files[1].parent, "locked", b"passphrase")[1].read_bytes())


def _empty(files: Files) -> None:
    files[0].write_bytes(b"")


UNUSABLE: dict[str, tuple[Callable[[Files], None], str]] = {
    "no certificate": (_absent, "tls_cert = .* cannot be read: No such file"),
    "a key that others read": (_readable, r"tls_key = .*others can read it \(mode 644\). `chmod"),
    "one in the place of the other": (_swapped, "they cannot be used"),
    "the key of another": (_anothers, "the key is not that of"),
    "a key with a passphrase": (_locked, "without a passphrase"),
    "an empty file": (_empty, "they cannot be used"),
}


@pytest.mark.parametrize("why", UNUSABLE)
def test_files_that_cannot_be_served_with_end_the_start_before_anything_is_opened(tmp_path: Path, why: str) -> None:
    files = certified(tmp_path)
    spoil, said = UNUSABLE[why]
    spoil(files)
    config = load_config(settings(files), data=str(tmp_path / "data"), port=0)
    with pytest.raises(ConfigError, match=said) as refused:
        run(config)
    assert "PRIVATE" not in str(refused.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("missing", ["tls_cert", "tls_key"])
def test_half_of_the_pair_is_refused_with_the_other_ones_name(tmp_path: Path, missing: str) -> None:
    given = {"tls_cert": str(tmp_path / "x"), "tls_key": str(tmp_path / "x"), missing: ""}
    with pytest.raises(ConfigError, match=f"{missing} is not set"):
        read_tls(load_config({}, **given))


def test_a_key_of_roots_may_be_read_by_a_group_that_was_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certified(tmp_path)
    files[1].chmod(0o640)
    stat = Path.stat

    def owned_by(uid: int) -> Callable[..., os.stat_result]:
        return lambda path, **more: os.stat_result((*(found := stat(path, **more))[:4], uid, *found[5:]))

    monkeypatch.setattr(Path, "stat", owned_by(0))
    assert read_tls(load_config(settings(files))) is not None
    monkeypatch.setattr(Path, "stat", owned_by(33))
    with pytest.raises(ConfigError, match="`chmod 600 /"):
        read_tls(load_config(settings(files)))


# -- in clear ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1", True), ("127.8.9.10", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("192.168.1.1", False), ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False), ("203.0.113.7", False),
    ],
)  # fmt: skip
def test_which_addresses_are_this_machine(address: str, here: bool) -> None:
    assert is_loopback(address) == here


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_to_listen_beyond_this_machine_in_clear_is_refused_and_makes_nothing(tmp_path: Path, host: str) -> None:
    config = load_config({}, data=str(tmp_path / "data"), host=host, port=0)
    with pytest.raises(ConfigError, match=r"beyond this machine.*tls_cert.*allow_clear_text"):
        run(config)
    assert list(tmp_path.iterdir()) == []


def test_with_allow_clear_text_it_is_done_and_the_log_warns() -> None:
    config = load_config({}, allow_clear_text=True)
    with structlog.testing.capture_logs() as logged:
        check_clear(config, "10.0.0.1")
        check_clear(config, "127.0.0.1")
    assert [(one["log_level"], one["event"], one["address"]) for one in logged] == [
        ("warning", "listening_in_clear", "10.0.0.1")
    ]


def test_a_client_over_clear_text_reads_no_authorities_and_trusts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "create_default_context", None)  # whoever would read them fails
    with Client("http://127.0.0.1:9") as asking:
        context = asking._wire.verify
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname, context.cert_store_stats()["x509"]) == (
        ssl.CERT_REQUIRED,
        True,
        0,
    )
    with pytest.raises(TypeError):
        Client("https://127.0.0.1:9")
