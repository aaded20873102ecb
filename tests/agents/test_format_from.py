"""The format of a log out of its server's configuration: which one follows, or the formats are listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtally.agents.format_from import format_from
from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogFile
from flowtally.cli.declaring import declared
from flowtally.core.errors import ConfigError

SQUID = r"""
# logformat old %ts
http_port 3128
logformat billing %ts.%03tu %>a "%un" \
    %>st %<st   # of the line
include conf.d/*.conf
access_log stdio:/var/log/squid/billing.log logformat=billing all
access_log daemon:/var/log/squid/access.log squid !internal
access_log none internal
"""
NGINX = r"""
user www-data; # log_format not '$this';
http {
    log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                    '$status $body_bytes_sent "it''s"';
    log_format usage escape=json '{"at":$msec,"user":"$remote_user",'
        '"up":$request_length,"down":$bytes_sent}';
    include sites/*;
    server { location / { access_log /var/log/nginx/usage.log usage buffer=32k; } access_log off; }
}
"""
APACHE = r"""
Define LOGS /var/log/web
LogFormat "%h %l %u %t \"%r\" %>s %O" common
LogFormat "%v:%p %h %l %u %t \
\"%r\" %>s %I %O" both
<VirtualHost *:80>
    CustomLog ${LOGS}/access.log common env=!quiet
    CustomLog "${LOGS}/both.log" both
    CustomLog ${APACHE_LOG_DIR}/plain.log "%{sec}t %u %I %O"
    TransferLog logs/default.log
</VirtualHost>
"""


def file(tmp_path: Path, text: str, name: str = "server.conf") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_squids_formats_are_found_by_their_logs(tmp_path: Path) -> None:
    file(tmp_path, "logformat other %ts %>a\naccess_log /var/log/squid/other.log other\n", "conf.d/a.conf")
    path = file(tmp_path, SQUID)
    billing = Declared(squid_logformat='%ts.%03tu %>a "%un" %>st %<st   # of the line')
    assert format_from(str(path), "/var/log/squid/billing.log") == billing
    assert format_from(str(path), "/var/log/squid/billing.log.2.gz") == billing
    assert format_from(f"{path}#billing") == billing
    assert format_from(str(path), "/var/log/squid/access.log") == Declared(format="squid")
    assert format_from(str(path), "/var/log/squid/other.log") == Declared(squid_logformat="%ts %>a")
    with pytest.raises(ConfigError, match=r"more than one format: say which, .*#NAME: billing \(/var/log/squid/bill"):
        format_from(str(path), "/home/me/copy.log")


def test_squid_without_a_word_about_logs_writes_its_native_one(tmp_path: Path) -> None:
    assert format_from(str(file(tmp_path, "http_port 3128\n"))) == Declared(format="squid")
    with_headers = format_from(str(file(tmp_path, "http_port 3128\nlog_mime_hdrs on\n")))
    assert with_headers.squid_logformat.endswith("%mt [%>h] [%<h]")


def test_nginx_formats_are_put_together_of_their_pieces(tmp_path: Path) -> None:
    file(tmp_path, "server { access_log '/srv/site.log' main; access_log /srv/plain.log; }", "sites/one")
    path = file(tmp_path, NGINX)
    usage = format_from(str(path), "/var/log/nginx/usage.log").nginx_log_format
    assert usage == ("""escape=json '{"at":$msec,"user":"$remote_user",' '"up":$request_length,"down":$bytes_sent}'""")
    assert format_from(str(path), "/srv/site.log-20260310").nginx_log_format.startswith("'$remote_addr - $remote")
    assert format_from(str(path), "/srv/plain.log") == Declared(format="combined")


def test_apaches_nicknames_variables_and_own_strings_are_known(tmp_path: Path) -> None:
    path = file(tmp_path, APACHE)
    common = '%h %l %u %t "%r" %>s %O'
    assert format_from(str(path), "/var/log/web/access.log") == Declared(apache_log_format=common)
    assert format_from(str(path), "/var/log/web/both.log.1") == Declared(
        apache_log_format='%v:%p %h %l %u %t "%r" %>s %I %O'
    )
    assert format_from(str(path), "/var/log/apache2/plain.log") == Declared(apache_log_format="%{sec}t %u %I %O")
    assert format_from(str(path), "/etc/apache2/logs/default.log") == Declared(
        apache_log_format='%h %l %u %t "%r" %>s %b'
    )


def test_haproxy_formats_are_found_by_their_section(tmp_path: Path) -> None:
    path = file(tmp_path, 'defaults\n  option httplog\nfrontend web\n  log-format "%Ts.%ms %U %B"\n')
    assert format_from(f"{path}#frontend web") == Declared(haproxy_log_format="%Ts.%ms %U %B")


@pytest.mark.parametrize(
    ("text", "said", "why"),
    [
        ("nothing of use", "", "no log format of squid, nginx, Apache, HAProxy, Envoy is"),
        (SQUID, "#none", "has no format 'none': billing"),
        ("access_log /a.log logformat=gone\n", "", "'gone' is no format of this squid configuration"),
        ("logformat a %ts\nlogformat a %ts %>a\nhttp_port 1\n", "#a", "two formats of the name 'a'"),
        ("http_port 1\nlogformat a %ts\nlogformat b %ts %un\n", "", "more than one format"),
    ],
)
def test_what_does_not_follow_is_said(tmp_path: Path, text: str, said: str, why: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(ConfigError, match=why):
        format_from(f"{path}{said}")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        format_from(str(tmp_path / "none.conf"))
    with pytest.raises(ConfigError, match="Is a directory"):
        format_from(str(tmp_path))


def test_the_option_has_a_format_for_each_log_and_goes_with_a_zone(tmp_path: Path) -> None:
    path = str(file(tmp_path, APACHE))

    def of(name: str, **options: str) -> Declared:
        with Path(path).open("rb") as raw:
            return declared(LogFile(raw, name), Mapping(), path, **options)

    one = Declared(apache_log_format='%h %l %u %t "%r" %>s %O', zone="UTC")
    assert of("/var/log/web/access.log", zone="UTC") == of("/var/log/web/access.log.1", zone="UTC") == one
    assert of("/var/log/web/both.log", zone="UTC") != one
    with pytest.raises(ConfigError, match="say one of them"):
        of("/var/log/web/access.log", format="squid")
