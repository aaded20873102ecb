"""Real programs, as ordinary processes on free ports, configured with the lines of their recipes.

Only places are others than a recipe says: paths and ports. Each asks for a user name and a password (`traffic.USERS`)
and passes requests on to an origin, or is a forward proxy.
"""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec
from tests.agents.programs.traffic import PASSWORD, USERS
from tests.nginx import free_port
from tests.squid import service

from flowtally.agents.recipes import RECIPES, Recipe, entry_text
from flowtally.agents.recipes.envoy import ACCESS_LOG

Measure = Literal["wire", "bodies", "haproxy"]
ROOT = os.geteuid() == 0


class Running(msgspec.Struct, frozen=True):
    """`entry` is its part of the agent's configuration; the account is the recipe's name. `reopen`: what logrotate runs
    after it renamed the log."""

    recipe: Recipe
    port: int
    folder: Path
    entry: str
    measure: Measure = "wire"
    proxy: bool = False
    reopen: str = ""
    log: Path = Path()


def program(name: str) -> str | None:
    """Where it is: beside this interpreter (wheels), on the path, or where Debian keeps servers."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def moved(recipe: Recipe, **keys: Any) -> str:
    """The entry for the agent with other places."""
    other = msgspec.structs.replace(recipe, entry={**recipe.entry, **keys})
    return entry_text(other).replace("ACCOUNT", recipe.name)


def lines_of(recipe: Recipe, log: Path) -> str:
    """The recipe's lines for the program, with another path of the log."""
    return recipe.lines.replace(recipe.entry["path"], str(log))


@contextmanager
def process(command: Sequence[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Until it answers at `port`, and ended afterwards."""
    with (folder / "out").open("wb") as out:
        one = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            assert one.poll() is None, f"{command[0]} did not start: {(folder / 'out').read_text(errors='replace')}"
            assert time.monotonic() < end, f"{command[0]} does not answer"
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield one
    finally:
        one.terminate()
        try:
            one.wait(30)
        except subprocess.TimeoutExpired:
            one.kill()
            one.wait()


def passwords(folder: Path) -> Path:
    """A file as htpasswd makes it."""
    command = ["openssl", "passwd", "-apr1", "-salt", "flowtaly", PASSWORD]
    hashed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    file = folder / "passwd"
    file.write_text("".join(f"{user}:{hashed}\n" for user in USERS))
    file.chmod(0o644)  # whatever umask this process has by now: servers that drop their rights read it
    return file


@contextmanager
def squid(folder: Path, origin: int) -> Iterator[Running]:
    recipe, port, log = RECIPES["squid"], free_port(), folder / "flowtally.log"
    config = folder / "squid.conf"
    config.write_text(f"""\
http_port 127.0.0.1:{port}
{lines_of(recipe, log)}
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_effective_user proxy
visible_hostname gateway.test
pinger_enable off
netdb_filename none
dns_nameservers 127.0.0.1
shutdown_lifetime 1 second
logfile_rotate 0
cache deny all
auth_param basic program /usr/lib/squid/basic_ncsa_auth {passwords(folder)}
auth_param basic children 2 startup=1
auth_param basic casesensitive on
acl known proxy_auth REQUIRED
http_access deny !known
http_access allow known
""")
    if ROOT:  # Squid drops to this user and must still write its log
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "proxy", "proxy")
    binary = program("squid") or ""
    with service(config) as arguments, process([binary, "--foreground", *arguments], port, folder):
        reopen = " ".join([binary, *arguments, "-k", "rotate"])
        yield Running(recipe, port, folder, moved(recipe, path=str(log)), proxy=True, reopen=reopen, log=log)


@contextmanager
def nginx(folder: Path, origin: int) -> Iterator[Running]:
    recipe, port, log = RECIPES["nginx"], free_port(), folder / "flowtally.log"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(f"""\
{"user root;" if ROOT else ""}
worker_processes 1;
pid {folder}/nginx.pid;
events {{}}
http {{
{temporary}
{lines_of(recipe, log)}
server {{
  listen 127.0.0.1:{port};
  auth_basic metered;
  auth_basic_user_file {passwords(folder)};
  location / {{ proxy_pass http://127.0.0.1:{origin}; }}
}}
}}
""")
    command = [program("nginx") or "", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with process([*command, "-g", "daemon off;"], port, folder):
        reopen = f"kill -USR1 $(cat {folder}/nginx.pid)"
        yield Running(recipe, port, folder, moved(recipe, path=str(log)), reopen=reopen, log=log)


def apache_head(folder: Path, port: int, modules: Sequence[str]) -> str:
    """Of the configuration of an Apache that is nobody's but this test's."""
    loaded = "".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so\n" for one in modules)
    return f"""\
ServerRoot {folder}
ServerName site.test
PidFile {folder}/apache.pid
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
{"User www-data" if ROOT else ""}
{"Group www-data" if ROOT else ""}
{loaded}
ErrorLog {folder}/error.log"""


@contextmanager
def apache(folder: Path, origin: int) -> Iterator[Running]:
    recipe, port, log = RECIPES["apache"], free_port(), folder / "flowtally.log"
    modules = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "proxy", "proxy_http")
    (folder / "logs").mkdir()
    config = folder / "apache.conf"
    config.write_text(f"""\
{apache_head(folder, port, modules)}
{lines_of(recipe, log)}
<VirtualHost *>
  CustomLog {folder}/own.log "%h"
  ProxyPass / http://127.0.0.1:{origin}/
  <Location "/">
    AuthType Basic
    AuthName metered
    AuthUserFile {passwords(folder)}
    Require valid-user
  </Location>
</VirtualHost>
""")
    command = [program("apache2") or "", "-f", str(config)]
    with process([*command, "-DFOREGROUND"], port, folder):
        reopen = " ".join([*command, "-k", "graceful"])
        yield Running(recipe, port, folder, moved(recipe, path=str(log)), reopen=reopen, log=log)


@contextmanager
def caddy(folder: Path, origin: int) -> Iterator[Running]:
    recipe, port, log = RECIPES["caddy"], free_port(), folder / "flowtally.log"
    command = program("caddy") or ""
    asked = [command, "hash-password", "--algorithm", "bcrypt", "--bcrypt-cost", "4", "--plaintext", PASSWORD]
    hashed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    users = "".join('"{}" {}\n'.format(user.replace('"', '\\"'), hashed) for user in USERS)
    config = folder / "Caddyfile"
    config.write_text(f"""\
{{
  admin off
  storage file_system {folder}
  auto_https off
  persist_config off
}}
http://:{port} {{
  bind 127.0.0.1
{lines_of(recipe, log).replace("roll_size 100MiB", "roll_size 1MiB")}
  basic_auth {{
{users}
  }}
  reverse_proxy 127.0.0.1:{origin}
}}
""")
    with process([command, "run", "--config", str(config), "--adapter", "caddyfile"], port, folder):
        rotated = [str(folder / "flowtally-*.log*")]
        yield Running(recipe, port, folder, moved(recipe, path=str(log), rotated=rotated), "bodies", log=log)


@contextmanager
def envoy(folder: Path, origin: int) -> Iterator[Running]:
    recipe, port, log = RECIPES["envoy"], free_port(), folder / "flowtally.log"
    sha = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    (folder / "passwd").write_text("".join(f"{user}:{{SHA}}{sha}\n" for user in USERS))
    access_log = json.loads(json.dumps(ACCESS_LOG).replace(recipe.entry["path"], str(log)))
    config = folder / "envoy.json"
    config.write_text(json.dumps(_envoy(port, origin, folder / "passwd", access_log)))
    # No hot restart, which keeps shared memory by a number that the machine's own Envoy has, and leaves it behind.
    flags = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")
    command = [program("envoy") or "", "-c", str(config), *flags, "--file-flush-interval-msec", "200"]
    with process(command, port, folder) as one:
        reopen = f"kill -USR1 {one.pid}"
        yield Running(recipe, port, folder, moved(recipe, path=str(log)), reopen=reopen, log=log)


def _envoy(port: int, origin: int, users: Path, access_log: Any) -> Any:
    extensions = "type.googleapis.com/envoy.extensions.filters"
    filters = [
        {
            "name": "envoy.filters.http.basic_auth",
            "typed_config": {
                "@type": f"{extensions}.http.basic_auth.v3.BasicAuth",
                "users": {"filename": str(users)},
                "forward_username_header": "x-user",
            },
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{extensions}.http.router.v3.Router"},
        },
    ]
    manager = {
        "@type": f"{extensions}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metered",
        "access_log": [access_log],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}],
                }
            ]
        },
        "http_filters": filters,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"endpoint": {"address": _address(origin)}}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {
        "static_resources": {
            "listeners": [{"address": _address(port), "filter_chains": [chain]}],
            "clusters": [cluster],
        }
    }


def _address(port: int) -> Any:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def traefik(folder: Path, origin: int) -> Iterator[Running]:
    recipe, port, log = RECIPES["traefik"], free_port(), folder / "flowtally.log"
    rules = {
        "http": {
            "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "origin", "middlewares": ["known"]}},
            "middlewares": {"known": {"basicAuth": {"usersFile": str(passwords(folder))}}},
            "services": {"origin": {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{origin}"}]}}},
        }
    }
    (folder / "rules.yml").write_text(json.dumps(rules))
    config = folder / "traefik.yml"
    config.write_text(f"""\
entryPoints:
  web:
    address: "127.0.0.1:{port}"
providers:
  file:
    filename: {folder}/rules.yml
global:
  checkNewVersion: false
  sendAnonymousUsage: false
{lines_of(recipe, log)}
""")
    with process([program("traefik") or "", f"--configFile={config}"], port, folder) as one:
        _wait_for_401(port)  # it answers 404, logged or not, before it has read its rules
        skipped = {"skip-status": [*recipe.entry["skip-status"], 404]}
        reopen = f"kill -USR1 {one.pid}"
        yield Running(recipe, port, folder, moved(recipe, path=str(log), **skipped), "bodies", reopen=reopen, log=log)


def _wait_for_401(port: int) -> None:
    end = time.monotonic() + 60
    while httpx.get(f"http://127.0.0.1:{port}/").status_code != 401:
        assert time.monotonic() < end, "it does not ask who it is"
        time.sleep(0.05)


@contextmanager
def haproxy(folder: Path, origin: int, devlog: Path | None = None) -> Iterator[list[Running]]:
    """Logging by both recipes at once: syslog over TCP and, where there is a `devlog`, journald."""
    port, listen = free_port(), free_port()
    by_syslog, by_journal = RECIPES["haproxy-syslog"], RECIPES["haproxy"]
    text = by_syslog.lines.replace(by_syslog.entry["listen"], f"127.0.0.1:{listen}")
    ring = text[text.index("ring flowtally") :].partition("\n\n")[0]
    logs = [line for line in text.splitlines() if line.startswith("    log ")]
    if devlog is not None:
        logs += [line for line in by_journal.lines.splitlines() if line.startswith("    log ")]
    frontend = [line for line in text.splitlines() if line.startswith(("    http-request", "    log-format"))]
    users = "\n".join(f"    user {_escaped(user)} insecure-password {_escaped(PASSWORD)}" for user in USERS)
    config = folder / "haproxy.cfg"
    config.write_text(
        "\n".join([
            ring,
            "global",
            *(line.replace("/dev/log", str(devlog)) for line in logs),
            "defaults",
            "    mode http",
            "    log global",
            *(f"    timeout {kind} 30s" for kind in ("client", "server", "connect")),
            "userlist known",
            users,
            "frontend web",
            f"    bind 127.0.0.1:{port}",
            "    http-request auth realm metered unless { http_auth(known) }",
            *frontend,
            "    default_backend origin",
            "backend origin",
            f"    server origin 127.0.0.1:{origin}",
            "",
        ])
    )  # fmt: skip
    with process([program("haproxy") or "", "-f", str(config), "-db"], port, folder):
        spool = str(folder / "spool")
        running = [
            Running(by_syslog, port, folder, moved(by_syslog, listen=f"127.0.0.1:{listen}", spool=spool), "haproxy")
        ]
        if devlog is not None:
            journal = {
                "directory": str(devlog.parents[2] / "log/journal"),
                "unit": "",
                "match": ["SYSLOG_IDENTIFIER=haproxy", *by_journal.entry["match"]],
            }
            running.append(Running(by_journal, port, folder, moved(by_journal, **journal), "haproxy"))
        yield running


def _escaped(text: str) -> str:
    return "".join("\\" + one if one in '\\ "' else one for one in text)


def rotate(one: Running) -> None:
    """With real logrotate and the recipe's own file; only its path, and how this program is told, are others."""
    command = next(line for line in one.recipe.rotate.splitlines() if line.startswith("        "))
    text = one.recipe.rotate.replace(one.recipe.entry["path"], str(one.log)).replace(command, f"        {one.reopen}")
    create = next(line for line in text.splitlines() if line.startswith("    create "))
    if not (ROOT and _are_here(*create.split()[-2:])):
        text = text.replace(create, "    create")
    file = one.folder / "logrotate.conf"
    file.write_text(text)
    file.chmod(0o644)
    command_line = [program("logrotate") or "", "--force", "--state", str(one.folder / "logrotate.state"), str(file)]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _are_here(user: str, group: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(user) and grp.getgrnam(group))
    return False


STARTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "squid": ("squid", squid),
    "nginx": ("nginx", nginx),
    "apache": ("apache2", apache),
    "caddy": ("caddy", caddy),
    "envoy": ("envoy", envoy),
    "traefik": ("traefik", traefik),
    "haproxy-syslog": ("haproxy", haproxy),
}
