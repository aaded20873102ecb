"""Every setting, with its meaning: read once from the environment and the command line, then handed down.

Owns names, defaults and bounds. `FLOWTALLY_<NAME>` sets the field `<name>`; an argument wins over the environment.
A server knows its environment from here alone; the command line and the agent have a few variables of their own. The
documentation of settings is generated from `settings()`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.choices import choice, choices_of, listed
from flowtally.core.errors import ConfigError
from flowtally.core.reasons import in_words
from flowtally.core.words import ForwardedHeader
from flowtally.protocol import MAX_BODY_BYTES

PREFIX: Final = "FLOWTALLY_"
SECRET: Final = frozenset({"admin_token", "usage_url", "ledger_url", "keys_url"})  # values never shown
MIN_TOKEN_CHARS: Final = 20  # as `ledger.people.credentials` has it; a new one must be stronger, see `start`
MAX_TOKEN_CHARS: Final = 1024

Network = IPv4Network | IPv6Network
PositiveInt = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one server. Lengths in bytes, durations in seconds."""

    data: Annotated[str, Meta(description="Data directory. Default: the platform's place for user data.")]
    usage_url: Annotated[
        str, Meta(description="Where usage is kept: chdb:///DIR (in this process) or clickhouse://HOST/DATABASE.")
    ]
    ledger_url: Annotated[
        str,
        Meta(
            description="Where accounts, grants, money and keys are kept: sqlite:///FILE or "
            "postgresql+psycopg://HOST/DATABASE."
        ),
    ]
    keys_url: Annotated[
        str,
        Meta(
            description="Where it is kept which events are stored already, and where each source stands: "
            "sqlite:///FILE."
        ),
    ]
    host: Annotated[str, Meta(description="Address to listen at.", min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(description="Port to listen at; 0 takes a free one and reports it.", ge=0, le=65535)] = (
        8120
    )
    tls_cert: Annotated[
        str,
        Meta(
            description="PEM file of the certificate with its chain. With it the server speaks HTTPS, TLS 1.2 and"
            " later."
        ),
    ] = ""
    tls_key: Annotated[
        str,
        Meta(
            description="PEM file of the certificate's key, without a passphrase. Others must not be able to read"
            " it. Both files are read at a start."
        ),
    ] = ""
    allow_clear_text: Annotated[
        bool,
        Meta(
            description="Allow to listen beyond this machine without TLS. Everybody on the way can then read "
            "tokens and data: only for private networks."
        ),
    ] = False
    admin_token: Annotated[
        str | None,
        Meta(
            description="Token of the admin key that the first start makes, instead of a random one: at least 32 "
            "characters that nobody can guess (`openssl rand -hex 32`)."
        ),
    ] = None
    max_future_s: Annotated[
        int, Meta(description="Events that are dated further in the future than this are refused.", ge=0, le=31_536_000)
    ] = 300
    max_clock_jump_s: Annotated[
        int,
        Meta(
            description="How far this machine's clock may be from the time that has really passed, ahead or "
            "behind. Beyond it nothing is stored (503) until the clock is right again.",
            ge=1,
            le=315_360_000,
        ),
    ] = 300
    create_unknown_users: Annotated[
        bool,
        Meta(description="Make a user when its name is first seen in an event. `false`: such an event is refused."),
    ] = True
    max_unused_vouchers: Annotated[
        int,
        Meta(
            description="How many vouchers of one account may be unused. 0: any number.",
            ge=0,
            le=10_000_000,
        ),
    ] = 10_000
    lease_grace_s: Annotated[
        int,
        Meta(
            description="For how many seconds after its end a lease can be renewed. For so long nobody else can lease "
            "what it was of. It holds for leases that begin afterwards.",
            ge=0,
            le=366 * 86_400,
        ),
    ] = 0
    max_users: Annotated[
        int,
        Meta(
            description="How many users of one account may be managed (made by a request, or taken over). Users "
            "that were only seen in traffic do not count. 0: any number.",
            ge=0,
            le=2**53 - 1,
        ),
    ] = 0
    max_whitelist_ips: Annotated[
        int,
        Meta(description="How many addresses one whitelist may hold.", ge=1, le=1000),
    ] = 100
    endpoint_lists_per_minute: Annotated[
        int,
        Meta(
            description="How many lists of endpoints one caller (a key, or an address on a whitelist) gets in any "
            "minute. More are answered 429. 0: any number.",
            ge=0,
            le=100_000,
        ),
    ] = 60
    max_body_bytes: Annotated[
        PositiveInt,
        Meta(
            description="Size of a body of events, corrections or readings, also when it is decompressed. A "
            "larger one is answered 413."
        ),
    ] = MAX_BODY_BYTES
    max_json_bytes: Annotated[
        PositiveInt, Meta(description="Size of any other body. A larger one is answered 413.")
    ] = 64 * 1024
    body_idle_s: Annotated[
        PositiveInt, Meta(description="A body of which nothing comes for this long is answered 408.")
    ] = 10
    body_total_s: Annotated[
        PositiveInt, Meta(description="A body that is not complete after this long is answered 408.")
    ] = 300
    body_min_bytes_s: Annotated[
        PositiveInt,
        Meta(
            description="A body that comes at fewer bytes a second, on average after the first body_idle_s, is "
            "answered 408."
        ),
    ] = 1024
    max_connections: Annotated[
        int,
        Meta(
            description="How many connections may be open at a time. More wait until one ends. The process needs "
            "as many open files: it raises its own limit as far as it may.",
            ge=16,
            le=1_000_000,
        ),
    ] = 4096
    max_connections_per_address: Annotated[
        int,
        Meta(
            description="How many connections one address may have (of IPv6: one /64). The newest ones beyond it "
            "are closed within a second or two. Connections of this machine and of trusted_proxies "
            "are not counted. 0: any number.",
            ge=0,
            le=1_000_000,
        ),
    ] = 512
    max_requests: Annotated[
        int,
        Meta(
            description="How many requests may be in work at a time, from their head until their answer was read."
            " More are answered 503. /healthz, /readyz and /metrics are not counted. One account may "
            "have a quarter of them for reading and half for sending.",
            ge=1,
            le=1_000_000,
        ),
    ] = 1024
    max_exports: Annotated[
        int,
        Meta(
            description="How many exports may run at a time. More are answered 503. One account may have half of them.",
            ge=1,
            le=1000,
        ),
    ] = 8
    max_exports_per_credential: Annotated[
        int, Meta(description="How many exports of one key may run at a time. More are answered 429.", ge=1, le=1000)
    ] = 2
    send_idle_s: Annotated[
        PositiveInt,
        Meta(description="If a caller reads nothing of its answer for this long, the connection is closed."),
    ] = 60
    max_waiting_events: Annotated[
        PositiveInt,
        Meta(description="How many events may wait to be written; of one account half as many. Beyond it 503."),
    ] = 1_000_000
    max_waiting_bytes: Annotated[
        PositiveInt,
        Meta(
            description="How many bytes may wait to be written, with the bodies that are being read; of one "
            "account half as many. Beyond it 503."
        ),
    ] = 256 * 1024 * 1024
    max_new_sources_per_request: Annotated[
        int, Meta(description="How many new sources one request may have. Beyond it 413.", ge=1, le=100_000)
    ] = 1_000
    max_new_sources_per_hour: Annotated[
        int,
        Meta(
            description="How many new sources the senders of one account, or one sender of no account, may begin "
            "within an hour. Beyond it 429.",
            ge=1,
            le=10_000_000,
        ),
    ] = 10_000
    max_new_users_per_request: Annotated[
        int,
        Meta(
            description="How many users the events of one request may make. Beyond it 413. All requests that are "
            "written together make at most a tenth more; the others wait for the next block.",
            ge=1,
            le=100_000,
        ),
    ] = 10_000
    max_new_users_per_hour: Annotated[
        int,
        Meta(
            description="How many users of one account events may make within an hour. Beyond it 429.",
            ge=1,
            le=10_000_000,
        ),
    ] = 200_000
    max_counters_per_source: Annotated[
        int,
        Meta(
            description="How many counters of one source are known at a time. Readings of more are refused.",
            ge=1,
            le=10_000_000,
        ),
    ] = 100_000
    max_counters_per_account: Annotated[
        int,
        Meta(
            description="How many counters of one account are known at a time. Readings of more are refused.",
            ge=1,
            le=10_000_000,
        ),
    ] = 200_000
    counter_max_rate: Annotated[
        int,
        Meta(
            description="How many bytes a second a counter can count at most, where its readings do not say it. "
            "It decides whether a 32-bit counter that fell has wrapped or was reset.",
            ge=1,
            le=2**53 - 1,
        ),
    ] = 125_000_000
    max_held_per_source: Annotated[
        int,
        Meta(
            description="How many numbered events of one source may be held, because their account or user is "
            "unknown or they are dated in the future. Beyond it 503.",
            ge=0,
            le=10_000_000,
        ),
    ] = 10_000
    max_held_per_account: Annotated[
        int, Meta(description="How many events of one account may be held. Beyond it 503.", ge=0, le=10_000_000)
    ] = 100_000
    max_held_events: Annotated[
        int,
        Meta(
            description="How many events may be held in all. Beyond it 503. Erasing a user writes all of them "
            "again, and writing waits about a second for each 100,000.",
            ge=0,
            le=10_000_000,
        ),
    ] = 200_000
    max_held_bytes: Annotated[
        int, Meta(description="How many bytes all held events may have, as JSON. Beyond it 503.", ge=0, le=2**53 - 1)
    ] = 512 * 1024 * 1024
    block_rows: Annotated[
        int, Meta(description="How many rows one write to the usage store may have.", ge=1, le=200_000)
    ] = 200_000
    max_unflushed_rows: Annotated[
        int,
        Meta(
            description="How many rows may be stored in the journal alone, while the usage table is behind. Beyond it"
            " 503. Safe: 5 to 20 times `flush_rows`.",
            ge=1,
            le=50_000_000,
        ),
    ] = 1_000_000
    max_unflushed_bytes: Annotated[
        int,
        Meta(
            description="How many bytes of memory these rows may take. Beyond it 503. Safe: up to a tenth of the"
            " machine's memory.",
            ge=1,
            le=64 * 1024 * 1024 * 1024,
        ),
    ] = 192 * 1024 * 1024
    flush_rows: Annotated[
        int,
        Meta(
            description="From how many rows on they are written to the usage table at once. Safe: 10,000 to 300,000.",
            ge=1,
            le=1_000_000,
        ),
    ] = 100_000
    flush_after_s: Annotated[
        int,
        Meta(
            description="After how long fewer are written to the usage table too. Safe: 1 to 10.",
            ge=1,
            le=3600,
        ),
    ] = 1
    min_free_bytes: Annotated[
        int,
        Meta(
            description="Free space on the disk below which events are answered 503, so that what was begun can be"
            " finished.",
            ge=0,
        ),
    ] = 64 * 1024 * 1024
    backup_dir: Annotated[
        str,
        Meta(
            description="Directory of this machine in which backups are made. A request may name a backup, but no"
            " place. Empty: `backups` in the data directory."
        ),
    ] = ""
    retain_rows_days: Annotated[
        Annotated[int, Meta(ge=62, le=36_500)] | None,
        Meta(
            description="After how many days single events are compacted to sums of quarter hours, whole months "
            "at a time. Usage, balances, closed periods and event keys stay exactly as they are. It "
            "cannot be undone. Not set: single events are kept for ever."
        ),
    ] = None
    keep_samples_days: Annotated[
        int,
        Meta(
            description="For how many days samples of servers' gauges are kept. Older ones go, and are no longer"
            " taken.",
            ge=1,
            le=36_500,
        ),
    ] = 400
    pull_providers: Annotated[
        bool,
        Meta(
            description="Whether providers (accounts at vendors) are asked by the clock, and the calls of shadows. Off:"
            " only when somebody checks one; what they said before is answered all the same."
        ),
    ] = True
    deliver_webhooks: Annotated[
        bool,
        Meta(
            description="Whether messages are delivered to webhooks. Off: they wait, and a test of a webhook is still"
            " sent."
        ),
    ] = True
    webhook_networks: Annotated[
        str,
        Meta(
            description="Networks, by comma (`10.0.0.0/8, ::1`), in which webhooks of the operator may be, with http or"
            " https. Those of accounts go to public addresses with https alone. Empty: so do the operator's."
        ),
    ] = ""
    currency: Annotated[
        str,
        Meta(
            description="The currency of all wallets and prices, as an ISO 4217 code. It cannot change once there"
            " is money or a plan.",
            pattern=r"^[A-Z]{3}\Z",
        ),
    ] = "USD"
    rebuild_keys: Annotated[
        bool,
        Meta(
            description="Make the event keys again from the usage rows before serving. Set it once, after the keys"
            " database was lost."
        ),
    ] = False
    check_in_bytes: Annotated[
        int,
        Meta(
            description="How many bytes an account gets in the pool `traffic` when it checks in, once a day of "
            "its own time zone. 0: check-ins are refused.",
            ge=0,
            le=2**53 - 1,
        ),
    ] = 0
    check_in_days: Annotated[
        int, Meta(description="After how many times 24 hours the bytes of a check-in expire.", ge=1, le=36_500)
    ] = 30
    check_in_cap_bytes: Annotated[
        int,
        Meta(
            description="How many bytes check-ins give one account in a calendar month at most. 0: no limit.",
            ge=0,
            le=2**53 - 1,
        ),
    ] = 0
    max_engine_bytes: Annotated[
        int,
        Meta(
            description="Memory of the usage engine in this process. One question may take an eighth of it (also "
            "of a ClickHouse server). A question that needs more is answered 503.",
            ge=512 * 1024 * 1024,
            le=2**53 - 1,
        ),
    ] = 4 * 1024 * 1024 * 1024
    threads: Annotated[
        int,
        Meta(
            description="How many threads ask the databases. A quarter of them, at least one, are for large "
            "questions, the others for small ones.",
            ge=1,
            le=256,
        ),
    ] = 8
    max_requests_per_credential: Annotated[
        int,
        Meta(
            description="How many requests of one key may be in work at a time, with those that wait for a "
            "thread. More are answered 429. 0: any number.",
            ge=0,
            le=1_000_000,
        ),
    ] = 32
    max_sends_per_credential: Annotated[
        int,
        Meta(
            description="The same for requests that send events or corrections, or ask where a source stands. "
            "They are counted apart, so that reading never stops sending. 0: any number.",
            ge=0,
            le=1_000_000,
        ),
    ] = 256
    account_share_percent: Annotated[
        int,
        Meta(
            description="Which share of this machine's processors the requests of one account may use in the long"
            " run. Beyond it 429, until the time has come back. Events cost nothing. 0: no limit.",
            ge=0,
            le=100,
        ),
    ] = 25
    installation_share_percent: Annotated[
        int,
        Meta(description="The same for all keys of no account (scope admin) together.", ge=0, le=100),
    ] = 100
    budget_saved_s: Annotated[
        int,
        Meta(
            description="How many seconds of unused processor time an account can save up, and use at once.",
            ge=1,
            le=86_400,
        ),
    ] = 30
    metrics: Annotated[
        Literal["admin", "loopback", "open"],
        choice(
            "Who may read /metrics.",
            {
                "admin": "a key with the right metrics:read, as keys of scope admin are",
                "loopback": "callers of this machine without a key, too; only where no proxy runs on this machine, "
                "because what it passes on may look like a caller of this machine",
                "open": "everybody who can connect",
            },
        ),
    ] = "admin"
    trusted_proxies: Annotated[
        str,
        Meta(
            description="Networks of your own proxies, by comma (`10.0.0.0/8, ::1`). What they say of the "
            "caller's address is believed and logged. Empty: no proxy is believed."
        ),
    ] = ""
    forwarded_header: Annotated[
        ForwardedHeader,
        choice(
            "The header in which trusted proxies name the caller's address. The other one is never read.",
            {"x-forwarded-for": "one address after the other, as most proxies write", "forwarded": "as in RFC 7239"},
        ),
    ] = "x-forwarded-for"
    cors_origins: Annotated[
        str,
        Meta(
            description="Web pages that may call the API from a browser: their origins, by comma "
            "(`https://app.example.com, http://localhost:5173`), or `*` for all. Empty: no page of another origin."
        ),
    ] = ""
    log_format: Annotated[
        Literal["console", "json"],
        choice("How log lines look.", {"console": "for people", "json": "for programs, an object a line"}),
    ] = "console"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        choice(
            "Which lines are logged.",
            {
                "debug": "all, probes such as /healthz too",
                "info": "a line for each request, warnings and errors",
                "warning": "warnings and errors",
                "error": "errors alone",
            },
        ),
    ] = "info"

    vendors: Annotated[dict[str, Any], Meta(description="Settings of dialects, by vendor.")] = {}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={shown_value(name, getattr(self, name))!r}" for name in self.__struct_fields__)
        return f"Config({shown})"

    @property
    def data_dir(self) -> Path:
        return Path(self.data)

    @property
    def proxies(self) -> tuple[Network, ...]:
        return _networks(self.trusted_proxies)

    @property
    def opened(self) -> tuple[Network, ...]:
        """Where webhooks of the operator may be, beside the whole internet."""
        return _networks(self.webhook_networks)

    @property
    def origins(self) -> frozenset[str]:
        return _origins(self.cors_origins)

    @property
    def backups(self) -> Path:
        return Path(self.backup_dir).expanduser().absolute() if self.backup_dir else self.data_dir / "backups"


class Setting(msgspec.Struct, frozen=True):
    """A setting as documented: the field, its variable, what it does, what it is when not set, and the words that it
    takes where these are few, with their meanings."""

    name: str
    variable: str
    description: str
    default: object
    values: Mapping[str, str] = {}


Dialects = Mapping[str, type[msgspec.Struct]]  # what each vendor's dialect can be set to, by vendor


def load_config(environment: Mapping[str, str], dialects: Dialects | None = None, /, **arguments: object) -> Config:
    """Settings from `FLOWTALLY_*` and arguments (None: not given), or ConfigError naming setting and value. Those of a
    dialect are `FLOWTALLY_<VENDOR>_<NAME>`."""
    known = dialects or {}
    given: dict[str, object] = dict(_from_environment(environment, known))
    if known:
        given["vendors"] = {vendor: _of_vendor(environment, vendor, shape) for vendor, shape in known.items()}
    given.update({name: value for name, value in arguments.items() if value is not None})
    given["data"] = str(given.get("data") or default_data())
    data = Path(str(given["data"])).expanduser().absolute()
    values = {**default_urls(data), **given, "data": str(data)}
    for name, value in values.items():
        _check(name, value)
    config = msgspec.convert(values, Config, strict=False)
    _check_token(config.admin_token)
    _check_networks(config)
    _check_origins(config)
    return config


def default_data() -> str:
    """The platform's place for user data."""
    # Imported here: the library comes with the server, and the help of every command reads this module.
    import platformdirs  # noqa: PLC0415

    return platformdirs.user_data_dir("flowtally", appauthor=False)


def default_urls(data: Path) -> dict[str, object]:
    """The stores inside the data directory, used unless a URL is set."""
    return {
        "usage_url": f"chdb:///{data / 'usage'}",
        "ledger_url": f"sqlite:///{data / 'ledger.db'}",
        "keys_url": f"sqlite:///{data / 'keys.db'}",
    }


def settings(of: type[msgspec.Struct] = Config, vendor: str = "") -> Iterator[Setting]:
    """Every setting in order, for the documentation and the command line's help; or those of a vendor's dialect."""
    for field in msgspec.structs.fields(of):
        if field.name == "vendors":
            continue
        schema: dict[str, Any] = msgspec.json.schema(field.type)
        default = None if field.default is msgspec.NODEFAULT else field.default
        yield Setting(
            field.name, _variable(field.name, vendor), str(schema.get("description", "")), default, _words(field.type)
        )


def _words(kind: Any) -> dict[str, str]:
    """Not of a yes or no: its default says how it is written."""
    return {} if "true" in (found := choices_of(kind)) else found


def _variable(name: str, vendor: str = "") -> str:
    return PREFIX + (f"{vendor}_{name}" if vendor else name).upper()


def shown_value(name: str, value: object) -> object:
    """The value, or dots where it may hold a secret."""
    return "..." if name in SECRET and value is not None else value


# FLOWTALLY_URL and FLOWTALLY_TOKEN belong to the command line client, FLOWTALLY_TEST_* to the tests; the others are
# what Kubernetes sets in every pod beside a service called flowtally.
_NOT_OURS: Final = re.compile(r"url|token|test_.*|service_.*|port_.*")


def _from_environment(environment: Mapping[str, str], dialects: Dialects) -> Iterator[tuple[str, str]]:
    vendors = {_variable(name, vendor) for vendor, shape in dialects.items() for name in shape.__struct_fields__}
    for variable, value in environment.items():
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or _NOT_OURS.fullmatch(name) or variable in vendors:
            continue
        if name not in Config.__struct_fields__ or name == "vendors":
            raise ConfigError(f"{variable} is not a setting of flowtally.")
        if value != "":
            yield name, value


def _of_vendor(environment: Mapping[str, str], vendor: str, shape: type[msgspec.Struct]) -> msgspec.Struct:
    given: dict[str, str] = {}
    for field in msgspec.structs.fields(shape):
        variable = _variable(field.name, vendor)
        if value := environment.get(variable):
            _convert(variable, value, field.type)
            given[field.name] = value
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:  # what a dialect says of its settings together
        raise ConfigError(f"{PREFIX}{vendor.upper()}_...: {error}.") from None


_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Config)}


def _check(name: str, value: object) -> None:
    if name not in _TYPES:
        raise ConfigError(f"{name} is not a setting of flowtally.")
    _convert(name, value, _TYPES[name])


def _convert(name: str, value: object, into: Any) -> None:
    try:
        msgspec.convert(value, into, strict=False)
    except msgspec.ValidationError as error:
        values = choices_of(into)
        why = f"it takes {listed(values)}" if values else in_words(str(error))
        raise ConfigError(f"{name} = {shown_value(name, value)!r}: {why}.") from None


def _check_token(token: str | None) -> None:
    if token is None:
        return
    fits = MIN_TOKEN_CHARS <= len(token) <= MAX_TOKEN_CHARS and token.isascii() and token.isprintable()
    if not fits or " " in token:
        raise ConfigError(
            f"admin_token has {len(token)} characters: it needs {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS}, printable "
            "ASCII without spaces."
        )


def _check_networks(config: Config) -> None:
    for name in ("trusted_proxies", "webhook_networks"):
        given = getattr(config, name)
        try:
            _networks(given)
        except ValueError as error:
            raise ConfigError(f"{name} = {given!r}: {error}.") from None


@lru_cache(8)
def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_USUAL_PORTS: Final = {"http": "80", "https": "443"}


def _check_origins(config: Config) -> None:
    for one in (found := config.origins):
        if why := _no_origin(one) if one != "*" else "`*` stands for all, and alone" if len(found) > 1 else "":
            raise ConfigError(f"cors_origins = {config.cors_origins!r}: {one!r}: {why}.")


def _no_origin(text: str) -> str:
    """Why no browser calls itself so; empty for an origin."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return "an origin is scheme://host or scheme://host:port, in lower case and without a path or a last slash"
    if found["port"] is not None and _USUAL_PORTS.get(found["scheme"]) == found["port"]:
        return f"browsers leave out :{found['port']} with {found['scheme']}; leave it out, too"
    return "" if found["port"] is None or int(found["port"]) < 2**16 else "there is no such port"


@lru_cache(8)
def _origins(text: str) -> frozenset[str]:
    return frozenset(one.strip() for one in text.split(",") if one.strip())
