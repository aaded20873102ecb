"""The real Squid, nginx and Apache as ordinary processes, each writing every request into several logs at once.

`LOGS` has the logs of each server: how the server's configuration says the format, and how the log is declared. Whoever
names himself is let in, with any password.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.agents.programs.running import ROOT, apache_head, process, program
from tests.agents.programs.traffic import origin
from tests.nginx import free_port
from tests.squid import service

from flowtally.agents.formats import Declared


class Serving(msgspec.Struct, frozen=True):
    """`site` is what stands before the path in a request's line, `header` where its user names himself."""

    port: int
    folder: Path
    site: str = ""
    header: str = "Authorization"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


class Log(msgspec.Struct, frozen=True):
    """`string` as the configuration has it; `known`: the server has this format itself, by that name."""

    declared: Declared
    string: str = ""
    known: str = ""


def _squid(string: str) -> Log:
    return Log(Declared(squid_logformat=string), string)


_TAIL = " %>st %<st %03>Hs %ru"
_SQUID = {
    "native": Log(Declared(format="squid"), known="squid"),
    "common": Log(Declared(format="squid-common"), known="common"),
    "combined": Log(Declared(format="squid-combined"), known="combined"),
    "bracket-code": _squid("%ts.%03tu %[un" + _TAIL),
    "brackets": _squid("%ts.%03tu [%un]" + _TAIL),
    "quotes": _squid('%ts.%03tu %>a "%un"' + _TAIL),
    "quotes-at-the-end": _squid("%ts.%03tu" + _TAIL + ' "%un"'),
    "quote-code": _squid('%ts.%03tu %>a %"un' + _TAIL),
    "login": _squid('%ts.%03tu %>a "%ul"' + _TAIL),
    "url": _squid("%ts.%03tu %#un" + _TAIL),
    "shell": _squid("%ts.%03tu %/un" + _TAIL),
    "raw-code": _squid("%ts.%03tu %'un" + _TAIL),
    "raw": _squid("%ts.%03tu %un" + _TAIL),
    "raw-at-the-end": _squid("%ts.%03tu" + _TAIL + " %un"),
}


def _nginx(string: str) -> Log:
    return Log(Declared(nginx_log_format=string), string)


_MAIN = """'$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
    '"$http_user_agent" "$http_x_forwarded_for"'"""
_MEMBERS = ("msec", "remote_user", "request_length", "bytes_sent", "request_uri")
_JSON = "'{" + ",".join(f'"{one}":"${one}"' for one in _MEMBERS) + "}'"
_NGINX = {
    "combined": Log(Declared(format="combined"), known="combined"),
    "main": Log(Declared(format="nginx-main"), _MAIN),
    "bare": _nginx("'$msec $remote_user [$request_length] $bytes_sent $status $request_uri'"),
    "quotes": _nginx("""'$msec $remote_addr "$remote_user" $request_length $bytes_sent $status "$request"'"""),
    "json": _nginx("escape=json " + _JSON),
    "json-by-name": Log(Declared(format="nginx-json"), "escape=json " + _JSON),
    "json-by-fields": Log(Declared(json_fields="time=msec,user=remote_user,url=request_uri"), "escape=json " + _JSON),
    "none-inside": _nginx("""escape=none '$msec "$remote_user" $bytes_sent "$request_uri"'"""),
    "none-at-the-end": _nginx("""escape=none '$msec $bytes_sent "$request_uri" "$remote_user"'"""),
}


def _apache(string: str) -> Log:
    return Log(Declared(apache_log_format=string), string)


_COMMON = r'"%h %l %u %t \"%r\" %>s %b'
_COMBINED = _COMMON + r" \"%{Referer}i\" \"%{User-Agent}i\""
_APACHE = {
    "common": Log(Declared(format="common"), _COMMON + '"'),
    "combined": Log(Declared(format="combined"), _COMBINED + '"'),
    "combinedio": Log(Declared(format="combinedio"), _COMBINED + ' %I %O"'),
    "vhost": Log(Declared(format="vhost_combined"), _COMBINED.replace('"%h', '"%v:%p %h') + '"'),
    "quotes": _apache(r'"%{end:usec}t %a \"%u\" %I %O %>s \"%r\""'),
    "json": _apache(r'"{\"t\":%{msec}t,\"u\":\"%u\",\"b\":%O,\"r\":\"%U\"}"'),
    "bare": _apache('"%{end:msec}t %u %O %>s %U"'),
    "bare-at-the-end": _apache(r'"%{end:msec}t %O %>s \"%r\" %u"'),
}

LOGS = {"squid": _SQUID, "nginx": _NGINX, "apache": _APACHE}
BINARIES = {"squid": "squid", "nginx": "nginx", "apache": "apache2"}


@contextmanager
def serving(server: str) -> Iterator[Serving]:
    # Not below pytest's directory, which is root's alone: servers that drop their rights read and write here.
    folder = Path(tempfile.mkdtemp(prefix="flowtally-names-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with _STARTS[server](folder, program(BINARIES[server]) or "") as one:
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serve_squid(folder: Path, binary: str) -> Iterator[Serving]:
    port, config, helper = free_port(), folder / "squid.conf", folder / "anybody"
    logs = ""
    for name, log in _SQUID.items():
        logs += f"logformat {name} {log.string}\n" if log.string else ""
        logs += f"access_log stdio:{folder}/{name}.log logformat={log.known or name}\n"
    config.write_text(f"""\
http_port 127.0.0.1:{port}
{logs}
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_effective_user proxy
visible_hostname gateway.test
pinger_enable off
netdb_filename none
dns_nameservers 127.0.0.1
shutdown_lifetime 1 second
cache deny all
auth_param basic program {helper}
auth_param basic children 1 startup=1
auth_param basic casesensitive on
acl known proxy_auth REQUIRED
http_access deny !known
http_access allow known
""")
    helper.write_text("#!/bin/sh\nwhile read -r _; do echo OK; done\n")
    helper.chmod(0o755)
    if ROOT:  # Squid drops to this user and must still write its logs
        shutil.chown(folder, "proxy", "proxy")
    with (
        origin() as site,
        service(config) as arguments,
        process([binary, "--foreground", *arguments], port, folder),
    ):
        yield Serving(port, folder, f"http://127.0.0.1:{site}", "Proxy-Authorization")


@contextmanager
def _serve_nginx(folder: Path, binary: str) -> Iterator[Serving]:
    port, config = free_port(), folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    logs = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    for name, log in _NGINX.items():
        logs += f"log_format f-{name} {log.string};\n" if log.string else ""
        logs += f"access_log {folder}/{name}.log {log.known or f'f-{name}'};\n"
    config.write_text(f"""\
{"user root;" if ROOT else ""}
worker_processes 1;
pid {folder}/nginx.pid;
events {{}}
http {{
{logs}
server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}
}}
""")
    command = [binary, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log"), "-g", "daemon off;"]
    with process(command, port, folder):
        yield Serving(port, folder)


@contextmanager
def _serve_apache(folder: Path, binary: str) -> Iterator[Serving]:
    port, config = free_port(), folder / "apache.conf"
    modules = ("mpm_event", "authn_core", "authn_anon", "authz_core", "authz_user", "auth_basic")
    logs = "".join(f"CustomLog {folder}/{name}.log {log.string}\n" for name, log in _APACHE.items())
    config.write_text(f"""\
{apache_head(folder, port, modules)}
{logs}
<Location "/">
  AuthType Basic
  AuthName metered
  AuthBasicProvider anon
  Anonymous "*"
  Anonymous_NoUserId On
  Anonymous_MustGiveEmail Off
  Require valid-user
</Location>
""")
    (folder / "logs").mkdir()
    with process([binary, "-f", str(config), "-DFOREGROUND"], port, folder):
        yield Serving(port, folder)


_STARTS = {"squid": _serve_squid, "nginx": _serve_nginx, "apache": _serve_apache}
