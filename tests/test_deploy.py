"""The configurations of proxies on docs/deploy.md, as they stand there, in a real nginx and a real Caddy in front of a
real server."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.caddy import CADDY, caddy
from tests.live import Live, live_server
from tests.nginx import NGINX, Nginx, nginx

from flowtally.config import load_config
from flowtally.server import HEADER_READ_MS
from flowtally.web.access import MAX_HEAD_BYTES
from flowtally.web.operation import OPERATIONS

PAGE = (Path(__file__).parent.parent / "docs/deploy.md").read_text()
[CONFIGURATION] = re.findall(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[CADDYFILE] = re.findall(r"^```caddyfile\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[ENVIRONMENT] = re.findall(r"^```text\n(FLOWTALLY_.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
HOST = "usage.example.com"

needed = [
    pytest.mark.system,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]
caddy_needed = [
    pytest.mark.system,
    pytest.mark.skipif(CADDY is None, reason="caddy is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]


def said(name: str) -> str:
    """The value of a directive that stands once."""
    [found] = re.findall(rf"^\s*{name} (.*);$", CONFIGURATION, re.MULTILINE)
    return str(found)


def test_what_the_page_says_of_sizes_and_times_is_what_the_server_has() -> None:
    config = load_config({}, data="/nowhere")
    sizes = re.findall(r"client_max_body_size (\d+)([km]);", CONFIGURATION)
    most = [config.max_json_bytes, config.max_body_bytes]
    assert [int(size) * {"k": 1024, "m": 1024**2}[unit] for size, unit in sizes] == most
    sizes = re.findall(r"max_size (\d+)([KM])iB", CADDYFILE)
    assert [int(size) * {"K": 1024, "M": 1024**2}[unit] for size, unit in sizes] == most[::-1]
    assert f"read_header {HEADER_READ_MS // 1000}s" in CADDYFILE
    assert f"read_body {config.body_total_s // 60}m" in CADDYFILE
    assert f"max_header_size {MAX_HEAD_BYTES // 1024}KiB" in CADDYFILE
    buffers, each = said("large_client_header_buffers").split()
    assert int(buffers) * int(each.removesuffix("k")) * 1024 == MAX_HEAD_BYTES
    assert said("client_header_timeout") == f"{HEADER_READ_MS // 1000}s"
    assert said("send_timeout") == f"{config.send_idle_s}s"
    assert said("client_body_timeout") == f"{config.body_idle_s}s"
    assert int(re.findall(r"keepalive_timeout (\d+)s;\n    }", CONFIGURATION)[0]) < HEADER_READ_MS / 1000


def test_every_route_that_takes_large_bodies_may_have_them_in_both_proxies() -> None:
    large = {one.path for one in OPERATIONS if "max_body_bytes" in inspect.getsource(sys.modules[one.work.__module__])}
    large &= {one.path for one in OPERATIONS if one.raw_body}
    [nginx_says] = re.findall(r"location ~ (\S+) \{\n\s+client_max_body_size 64m", CONFIGURATION)
    [caddy_says] = re.findall(r"@large path_regexp (\S+)", CADDYFILE)
    for said_ in (nginx_says, caddy_says):
        assert {path for path in (one.path for one in OPERATIONS) if re.search(said_, path)} == large
    assert f"@small not path_regexp {caddy_says}\n" in CADDYFILE


def test_every_directive_of_weight_is_explained() -> None:
    table = PAGE.partition("### Line by line")[2]
    plain = {"worker_processes", "access_log", "server_tokens", "server_name", "return", "ssl_session_cache", "user"}
    plain |= {"pid", "limit_conn_zone", "limit_conn_status", "ssl_certificate", "ssl_certificate_key", "server"}
    plain |= {"ssl_protocols", "proxy_http_version", "proxy_connect_timeout", "proxy_pass", "keepalive", "add_header"}
    plain |= {"reset_timedout_connection", "proxy_set_header"}
    names = set(re.findall(r"^\s*([a-z_]+) .*;$", CONFIGURATION, re.MULTILINE))
    assert not [name for name in names - plain if name not in table]
    for header in re.findall(r"(?:proxy_set_header|add_header) (\S+)", CONFIGURATION):
        assert header == "Host" or header in table


class Front:
    """nginx in front of a live server, and how it is asked."""

    def __init__(self, live: Live, proxy: Nginx) -> None:
        self.live, self.proxy = live, proxy
        self.tls = ssl.create_default_context(cafile=str(proxy.certificate))

    def client(self, address: str = "127.0.0.9") -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.tls, local_address=address)
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.proxy.tls}",
            headers={"Host": HOST, "Authorization": f"Bearer {self.live.token}"},
            transport=_Named(transport),
            timeout=60,
        )

    def connect(self, address: str = "127.0.0.9") -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.proxy.tls), timeout=60, source_address=(address, 0))
        return self.tls.wrap_socket(plain, server_hostname=HOST)

    def begin(self, address: str) -> ssl.SSLSocket:
        """A request whose body does not come."""
        own = self.connect(address)
        head = f"POST /v1/events HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {self.live.token}\r\n"
        own.sendall((head + "Content-Length: 100\r\n\r\n[").encode())
        return own

    def line_of(self, request_id: str) -> dict[str, Any]:
        """The server's own line about this request."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            lines = Path(f"{self.live.data}.log").read_text().rpartition("\n")[0].splitlines()
            for line in (json.loads(one) for one in lines if one.startswith("{")):
                if line.get("request_id") == request_id:
                    return dict(line)
            time.sleep(0.05)
        raise AssertionError(f"no line of {request_id}")


def ended(own: ssl.SSLSocket) -> bool:
    """Closed without an answer."""
    try:
        return own.recv(1) == b""
    except ConnectionError:
        return True


class _Named(httpx.BaseTransport):
    """Asks for the certificate of the name, whatever address is connected to."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "sni_hostname": HOST}
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    settings = dict(line.split("=", 1) for line in ENVIRONMENT.splitlines())
    with (
        live_server(folder / "data", {**settings, "FLOWTALLY_LOG_FORMAT": "json"}) as live,
        nginx(CONFIGURATION, folder, live.url.removeprefix("http://")) as proxy,
    ):
        made = Front(live, proxy)
        with made.client() as client:
            client.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
        yield made


class TestFront:
    pytestmark = needed

    def test_a_request_goes_through_and_the_log_has_the_callers_address(self, front: Front) -> None:
        with front.client("127.0.0.9") as client:
            answer = client.get("/v1/accounts", headers={"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.2"})
        assert answer.json()["items"][0]["id"] == "acme"
        assert "max-age" in answer.headers["strict-transport-security"]
        assert front.line_of(answer.headers["x-request-id"])["client"] == "127.0.0.9"

    def test_events_and_an_export_go_through(self, front: Front) -> None:
        event = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}
        with front.client() as client:
            events = [{**event, "id": f"e{number}"} for number in range(2000)]
            assert client.post("/v1/events", json=events).json()["stored"] == 2000  # more than any other body may have
            export = client.get("/v1/accounts/acme/export?format=csv")
        assert export.headers["flowtally-rows"] == "2000"
        assert export.text.count("\n") == 2001

    def test_the_dialects_are_at_their_own_paths(self, front: Front) -> None:
        with front.client() as client:
            made = client.post("/v1/accounts/acme/credentials", json={"scope": "account", "name": "x"})
            answer = client.get("/api/account/traffic-balance", headers={"token": made.json()["token"]})
        assert answer.json()["code"] == 200

    def test_clear_text_is_sent_to_tls_and_http_2_is_offered(self, front: Front) -> None:
        moved = httpx.get(f"http://127.0.0.1:{front.proxy.clear}/v1/accounts?x=1", headers={"Host": HOST})
        assert (moved.status_code, moved.headers["location"]) == (301, f"https://{HOST}/v1/accounts?x=1")
        context = ssl.create_default_context(cafile=str(front.proxy.certificate))
        context.set_alpn_protocols(["h2", "http/1.1"])
        plain = socket.create_connection(("127.0.0.1", front.proxy.tls), timeout=20)
        with context.wrap_socket(plain, server_hostname=HOST) as own:
            assert own.selected_alpn_protocol() == "h2"

    def test_a_slow_body_is_refused_by_nginx_and_never_comes_here(self, front: Front) -> None:
        with front.begin("127.0.0.10") as own:
            assert ended(own)
        assert re.search(r"^127\.0\.0\.10 .* 408 ", front.proxy.logged, re.MULTILINE)
        assert "127.0.0.10" not in Path(f"{front.live.data}.log").read_text()

    def test_one_address_has_so_many_requests_and_others_are_answered(self, front: Front) -> None:
        limit = int(said("limit_conn").split()[1])
        with ExitStack() as closing:
            for _ in range(limit):
                closing.enter_context(front.begin("127.0.0.11"))
            with front.client("127.0.0.11") as greedy, front.client("127.0.0.12") as other:
                assert greedy.get("/v1/accounts").status_code == 429
                assert other.get("/v1/accounts").status_code == 200

    def test_heads_and_bodies_beyond_the_limits_are_refused_by_nginx(self, front: Front) -> None:
        with front.client() as client:
            pads = {f"X-Pad-{number}": "a" * 7000 for number in range(6)}
            assert client.get("/healthz", headers=pads).status_code == 400
            large = client.post("/v1/accounts", content=b" " * 70_000, headers={"Content-Type": "application/json"})
        assert (large.status_code, large.headers["content-type"]) == (413, "text/html")

    def test_no_secret_of_a_query_is_in_the_logs_of_nginx(self, front: Front) -> None:
        with front.client() as client:
            client.get("/api/account/traffic-balance?token=very-secret")
            client.get("/v1/accounts?cursor=very-secret", headers={"X-Pad": "a" * 9000})
        assert "/api/account/traffic-balance" in front.proxy.logged
        assert "very-secret" not in front.proxy.logged

    def test_the_numbers_are_not_told_to_the_outside(self, front: Front) -> None:
        with front.client() as client:
            assert client.get("/metrics").status_code == 404


@pytest.fixture(scope="module")
def behind_caddy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("caddy")
    settings = dict(line.split("=", 1) for line in ENVIRONMENT.splitlines())
    with (
        live_server(folder / "data", {**settings, "FLOWTALLY_LOG_FORMAT": "json"}) as live,
        caddy(CADDYFILE, folder, live.url.removeprefix("http://")) as proxy,
    ):
        made = Front(live, proxy)
        with made.client() as client:
            client.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
        yield made


class TestCaddy:
    pytestmark = caddy_needed

    def test_a_request_goes_through_and_the_log_has_the_callers_address(self, behind_caddy: Front) -> None:
        with behind_caddy.client("127.0.0.9") as client:
            answer = client.get("/v1/accounts", headers={"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.2"})
        assert answer.json()["items"][0]["id"] == "acme"
        assert "max-age" in answer.headers["strict-transport-security"]
        assert behind_caddy.line_of(answer.headers["x-request-id"])["client"] == "127.0.0.9"

    def test_events_and_an_export_go_through(self, behind_caddy: Front) -> None:
        event = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}
        with behind_caddy.client() as client:
            events = [{**event, "id": f"e{number}"} for number in range(2000)]
            assert client.post("/v1/events", json=events).json()["stored"] == 2000
            export = client.get("/v1/accounts/acme/export?format=csv")
        assert export.headers["flowtally-rows"] == "2000"
        assert export.text.count("\n") == 2001

    def test_heads_and_bodies_beyond_the_limits_are_refused(self, behind_caddy: Front) -> None:
        with behind_caddy.client() as client:
            pads = {f"X-Pad-{number}": "a" * 7000 for number in range(6)}
            assert client.get("/healthz", headers=pads).status_code == 431
            head = {"Content-Type": "application/json"}
            assert client.post("/v1/accounts", content=b" " * 70_000, headers=head).status_code == 413

    def test_clear_text_is_sent_to_tls_and_http_2_is_offered(self, behind_caddy: Front) -> None:
        moved = httpx.get(f"http://127.0.0.1:{behind_caddy.proxy.clear}/v1/accounts?x=1", headers={"Host": HOST})
        assert moved.status_code == 308
        assert moved.headers["location"].startswith(f"https://{HOST}")
        context = ssl.create_default_context(cafile=str(behind_caddy.proxy.certificate))
        context.set_alpn_protocols(["h2", "http/1.1"])
        plain = socket.create_connection(("127.0.0.1", behind_caddy.proxy.tls), timeout=20)
        with context.wrap_socket(plain, server_hostname=HOST) as own:
            assert own.selected_alpn_protocol() == "h2"

    def test_no_secret_of_a_query_or_of_a_header_is_in_the_logs(self, behind_caddy: Front) -> None:
        with behind_caddy.client() as client:
            client.get("/api/account/traffic-balance?token=very-secret", headers={"key": "very-secret"})
            client.get("/v1/accounts?cursor=very-secret", headers={"X-Pad": "very-secret" * 4000})
        end = time.monotonic() + 20
        while "/api/account/traffic-balance" not in behind_caddy.proxy.logged and time.monotonic() < end:
            time.sleep(0.05)
        assert "/api/account/traffic-balance" in behind_caddy.proxy.logged
        assert "very-secret" not in behind_caddy.proxy.logged

    def test_the_numbers_are_not_told_to_the_outside(self, behind_caddy: Front) -> None:
        with behind_caddy.client() as client:
            assert client.get("/metrics").status_code == 404


class TestCaddyAlone:
    pytestmark = caddy_needed

    def test_no_secret_is_in_the_logs_where_flowtally_does_not_answer(self, tmp_path: Path) -> None:
        with caddy(CADDYFILE, tmp_path, "127.0.0.1:9") as proxy:
            tls = ssl.create_default_context(cafile=str(proxy.certificate))
            with httpx.Client(transport=_Named(httpx.HTTPTransport(verify=tls)), timeout=60) as client:
                asked = f"https://127.0.0.1:{proxy.tls}/api/account/traffic-balance?token=very-secret"
                assert client.get(asked, headers={"Host": HOST, "key": "very-secret"}).status_code == 502
        assert "connection refused" in proxy.logged  # of the error, too
        assert "very-secret" not in proxy.logged


def test_every_directive_of_caddy_with_a_value_of_ours_is_explained() -> None:
    table = PAGE.partition("## Caddy")[2].partition("\n## ")[0].partition("```\n")[2]
    for name in (
        "max_header_size",
        "read_header",
        "read_body",
        "format filter",
        "max_size",
        "flush_interval",
        "keepalive",
    ):
        assert f"`{name}" in table
