"""What a dialect is: a vendor's wire format that we answer in, declared as values.

    ROUTES: Final[list[Route]] = []
    route = declaring(ROUTES)

    @route("GET", "/api/account/traffic-balance", may="balance:read", answer=TrafficBalance, summary="...", example=...)
    def traffic_balance(call: DialectCall, given: Nothing) -> TrafficBalance: ...

    THORDATA = Dialect(name="thordata", settings=Settings, identify=..., succeed=..., fail=..., routes=ROUTES, ...)

A route's work is called in a worker thread, in one ledger transaction that is committed when it returns and rolled back
when it raises; what it returns goes through `succeed`, what it raises through `fail`. Nothing else ever reaches the
caller. `serving` runs this, `describing` puts it into the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.errors import FlowtallyError, Unauthenticated
from flowtally.core.rights import Right
from flowtally.core.unshown import repr_without
from flowtally.core.words import Method
from flowtally.ledger.database import Tx
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import BalanceAnswer
from flowtally.usage.verbs import UsageReader
from flowtally.web.auth import require_on_list, require_right
from flowtally.web.call import Reply
from flowtally.web.capacity.throttle import Rate
from flowtally.web.services import Services
from flowtally.web.transaction import Effect

# All that a vendor takes of what serves it.
__all__ = [
    "METHODS", "Adapted", "Asked", "Dialect", "DialectCall", "Effect", "Fault", "Manner", "Method", "Nothing", "Place",
    "Rate", "Reply", "Route", "Secrets", "Settings", "WrongKey", "declaring", "faults_of",
]  # fmt: skip

METHODS: Final[tuple[Method, ...]] = ("GET", "POST", "PATCH", "PUT", "DELETE")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every dialect can be set to. `FLOWTALLY_<VENDOR>_<NAME>` sets a field, as with all settings."""

    enabled: Annotated[bool, Meta(description="Whether it is served; its paths are unknown otherwise.")] = True


Place = Literal["headers", "query", "form"]


class Asked(msgspec.Struct, frozen=True):
    """One request as the vendors' APIs see it: of parameters given twice the first, header names in lower case. `form`:
    the body's parameters, whether it is urlencoded, multipart or a JSON object (whose values stay what they are).
    `differing`: what is given twice in one place, and not the same."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    form: Mapping[str, Any]
    differing: Set[tuple[Place, str]] = frozenset()

    def __repr__(self) -> str:
        return repr_without(self, "query", "headers", "form")

    def secret(self, name: str, *places: Place, wrong: type[Unauthenticated] = Unauthenticated) -> str:
        """What stands under this name in these places, or in the headers alone; empty where nothing does. `wrong` is
        raised where two of them differ: nobody guesses which of two callers it is."""
        looked = places or ("headers",)
        given = [str(value) for one in looked if (value := getattr(self, one).get(name)) not in (None, "")]
        if len(set(given)) > 1 or any((one, name) in self.differing for one in looked):
            raise wrong(f"{name} is given more than once, and not the same.")
        return given[0] if given else ""

    def values(self, optional: Set[str] = frozenset()) -> dict[str, Any]:
        """All parameters; those of the body win. Of the optional ones, those that are not empty: whoever sends an empty
        one has nothing to say."""
        sent = [(name, value) for place in (self.query, self.form) for name, value in place.items()]
        return {name: value for name, value in sent if value != "" or name not in optional}

    def cookie(self, name: str) -> str | None:
        """Each cookie by itself, as browsers send them: what another one holds must not hide this one. Unauthenticated
        where two of this name differ."""
        cookies = (one.strip().partition("=") for one in self.headers.get("cookie", "").split(";"))
        found = {value.strip().strip('"') for key, _, value in cookies if key == name}
        if len(found) > 1:
            raise Unauthenticated(f"The cookie {name} is given more than once, and not the same.")
        return found.pop() if found else None


class Secrets(msgspec.Struct, frozen=True):
    """What the caller shows. `key`: the credential's second secret, checked where it is given; `id`: the credential's
    id, which must be its own where it is given. `account`: whose caller it says it is; without a token its address must
    be on a whitelist of that account."""

    token: str
    key: str | None = None
    id: str | None = None
    account: str = ""

    def __repr__(self) -> str:
        return repr_without(self, "token", "key")


class WrongKey(Unauthenticated):
    """The token is known, the second secret beside it is not its own."""


class DialectCall(msgspec.Struct, frozen=True):
    """One request on its way through a route: of whose account, as of when, with which settings. `usage`: all use up to
    one block, which was known before the ledger was looked at."""

    services: Services
    settings: Any
    credential: Credential
    account: str
    now: int
    asked: Asked
    usage: UsageReader
    _tx: Tx | None = None

    @property
    def tx(self) -> Tx:
        assert self._tx is not None, "the work of a route runs in a transaction"
        return self._tx

    def require(self, right: Right) -> None:
        """Forbidden where the caller lacks a right that the work needs beside the route's own."""
        require_right(self.credential, right)

    def balance(self) -> BalanceAnswer:
        """What the account has left now."""
        return self.services.balances.balance(self.tx, self.usage, self.account, self.now)

    def password(self, sealed: str | None) -> str:
        """In clear for whoever may read passwords, as natively; empty for others, and where there is none."""
        hidden = sealed is None or not self.credential.may("passwords:read")
        return "" if hidden else self.services.vault.reveal(str(sealed))

    def require_on_list(self, pool: str) -> None:
        """AddressNotAllowed for a caller that is known by its address alone, and not on the list of this pool."""
        require_on_list(self.tx, self.credential, pool)


class Adapted(msgspec.Struct, frozen=True):
    """An answer as the client that asks reads it, and as the vendor's documents have it: that one is what a shadow
    compares with the vendor's own."""

    shown: Any
    documented: Any


class Nothing(msgspec.Struct, frozen=True):
    """A route without parameters."""


class Fault(msgspec.Struct, frozen=True):
    """A documented error: when, and the whole answer."""

    when: str
    reply: Reply


class Manner(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How some routes of a vendor differ from its others: those of another age, or of another host.

    `by_address`: whether an address on a whitelist is enough; `rate`: of callers that are known by it alone. `served`:
    whether the settings want these routes; `host`: the only one they are served at, empty for any."""

    identify: Callable[[Asked, Any], Secrets]
    succeed: Callable[[Any], Reply]
    fail: Callable[[FlowtallyError], Reply]
    security: Mapping[str, Mapping[str, str]]
    faults: Sequence[Fault]
    by_address: bool = False
    rate: Callable[[Any], Rate | None] = lambda settings: None
    served: Callable[[Any], bool] = lambda settings: True
    host: Callable[[Any], str] = lambda settings: ""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration of one endpoint; `work` is the handler, its docstring the description.

    `takes`: its parameters, from the query (GET) or from query and body; unknown ones are ignored, as vendors do.
    `may`: the right its caller needs; `answer`: what `work` returns; `writes`: it changes the ledger.
    """

    method: Method
    path: str
    work: Callable[[DialectCall, Any], Any]
    may: Right
    summary: str
    answer: Any
    takes: type[msgspec.Struct] = Nothing
    writes: bool = False
    effects: tuple[Effect, ...] = ()  # what others of this process must hear of it
    example: Any = None
    takes_example: Mapping[str, str] = msgspec.field(default_factory=dict)
    manner: Manner | None = None  # where it is not the dialect's
    any_text: Set[str] = frozenset()  # parameters that may hold what is no text, such as the end of a line
    also: tuple[str, ...] = ()  # other media types of the answer


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor. `identify` raises Unauthenticated where no secret is shown; `fail` is handed every error there is
    (FlowtallyError itself for what went wrong inside) and must know them all."""

    name: str
    title: str
    description: str
    settings: type[Settings]
    identify: Callable[[Asked, Any], Secrets]
    succeed: Callable[[Any], Reply]
    fail: Callable[[FlowtallyError], Reply]
    routes: Sequence[Route]
    # OpenAPI security schemes by name; all of them are needed. `x-holds`: which member of a credential, if not `token`.
    security: Mapping[str, Mapping[str, str]]
    faults: Sequence[Fault]
    # Of an answer's JSON schema; where errors are answered 200, too, it is theirs as well.
    envelope: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda schema: schema
    refusals: Sequence[type[msgspec.Struct]] = ()  # what errors look like that have a status of their own
    form: str = "application/x-www-form-urlencoded"  # what its own clients send a body as; all forms are taken
    rate: Callable[[Any], Rate | None] = lambda settings: None
    check: Callable[[DialectCall], None] | None = None  # after rate, before parameters; in the transaction
    secrets_in_body: bool = (
        False  # whether `identify` looks there too: else nobody's body is read before they are known
    )
    metered: Callable[[Any], bool] = lambda settings: False  # whether its own calls are use of the account
    # What all paths begin with that are the vendor's, and what its host answers to those that are not served.
    own_paths: tuple[str, ...] = ()
    unserved: Reply | None = None


def faults_of(dialect: Dialect) -> list[Fault]:
    """All that it declares, those of its other manners, too."""
    manners = dict.fromkeys(route.manner for route in dialect.routes if route.manner is not None)
    return [*dialect.faults, *(fault for manner in manners for fault in manner.faults)]


def declaring(
    routes: list[Route], under: str = ""
) -> Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """A decorator that declares routes into this list, each at its path `under` another."""

    def route(method: Method, path: str, **declared: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def declare(work: Callable[..., Any]) -> Callable[..., Any]:
            routes.append(Route(method=method, path=under + path, work=work, **declared))
            return work

        return declare

    return route
