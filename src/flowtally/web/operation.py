"""Operation: one line of the API's contract. What it declares is what is enforced and what is documented.

    @operation("GET", "/v1/pools", may="pools:read", narrows=True, answer=Listed(PoolAnswer), summary="List pools")
    def list_pools(call: Call) -> list[PoolAnswer]: ...

The order is always the same, and each step tells no more than the ones before: who (401), may they (403), is it theirs
(404), is the query sound (400), is the body (408, 413, 415, 400, 422), then the work: in a worker thread and in one
ledger transaction, committed when the work returns and rolled back when it raises.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any, Final, Literal, cast

import msgspec
import structlog
from litestar import HttpMethod, Response
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from flowtally.config import Config
from flowtally.core.errors import AccountErased, BadRequest, FlowtallyError
from flowtally.core.rights import OF_ACCOUNTS, PRESETS, Right, Scope, scopes_with
from flowtally.core.words import Method
from flowtally.ingest.decompress import decompress
from flowtally.ledger.people.accounts import require_not_erased
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.trail import Actor
from flowtally.protocol import PlainEvent
from flowtally.web import auth
from flowtally.web.bodies import AnyRequest, read_body
from flowtally.web.call import Call, Reply, Streaming
from flowtally.web.capacity.weights import SMALL, WRITE, Weight
from flowtally.web.heads import allowed, is_head
from flowtally.web.idempotent import Key, Recall, is_known, once
from flowtally.web.inputs import NoQuery, check_known, parse_body, parse_query
from flowtally.web.paths import check_path, name_of
from flowtally.web.problems import CREDENTIAL_ID, HELD, REQUEST_ID
from flowtally.web.services import Services, address_of
from flowtally.web.transaction import Effect, Transaction, ask, write

log = structlog.get_logger("flowtally.api")

AS_OF_HEADER: Final = "Flowtally-As-Of"  # the token of the answer's moment, whatever form the answer has


class Listed(msgspec.Struct, frozen=True):
    """An answer that is one page of a list of `item`."""

    item: type


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """The declaration; `work` is the handler, its docstring the description."""

    method: Method
    path: str
    work: Callable[..., Any]
    may: Right | Literal["own", ""]  # own: of the credential itself. Empty: open to all; `work` is then asynchronous
    # and called with services and request
    summary: str
    answer: Any
    tag: str
    listed: type | None = None  # what it answers a page of, where its query names no single one
    status: int = 200
    query: type[Any] = NoQuery
    body: type[Any] | None = None
    errors: tuple[type[FlowtallyError], ...] = ()
    example: Any = None
    body_example: Any = None
    prepare: Callable[..., Any] | None = None  # long questions of a write, before its transaction: see `_prepared`
    effects: tuple[Effect, ...] = ()  # what others of this process must hear of it
    asks: Right | None = None  # the right that an open one asks for by itself, where a setting says so
    itself: bool = False  # whether any credential may ask it of itself
    or_sent: bool = False  # whether who may send events may ask it, of what its own sender sent
    or_whitelisted: bool = False  # whether who shows no token may ask it, from an address on the account's whitelist
    narrows: bool = False  # without an account in its path: whether it tells credentials of an account of that alone
    holds_password: bool = False  # or a code, in its body: no plain digest of it may be kept
    recall: Recall | None = None  # how it is answered again where the answer holds secrets that are kept elsewhere
    streams: bool = False  # an answer made while it is read, however long that takes: see `exports`
    of_erased: bool = False  # a write that is answered of an account that was erased, too: it brings no text
    also: tuple[str, ...] = ()  # other media types of the answer
    sends: bool = False  # what a gateway must be able to do whatever its account reads: bounded apart, without a budget
    weigh: Callable[[Any, int], Weight] | None = None  # a guess at its size, from its query and the time
    raw_body: Mapping[str, Any] = msgspec.field(default_factory=dict)  # media type -> example, where `work` reads it
    raw_json: Any = list[PlainEvent]  # what its JSON is

    @property
    def right(self) -> Right | None:
        """What its caller must have; None where every credential may ask it, or anybody."""
        return None if self.may in ("own", "") else cast(Right, self.may)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Those whose credentials may ask it, the smallest first."""
        if self.right is None:
            return tuple(scope for scope in PRESETS if scope != "custom")
        sent = scopes_with("events:write") if self.or_sent else ()
        have = dict.fromkeys((*sent, *scopes_with(self.right)))
        return tuple(one for one in have if not (self.of_all and one in OF_ACCOUNTS))

    @property
    def of_all(self) -> bool:
        """Whether it is about the whole installation, so that no credential of an account may ask it."""
        return "{account}" not in self.path and not self.narrows

    @property
    def tells_moment(self) -> bool:
        """Whether the answer is of a moment, its own or the one that was asked for."""
        return "as_of" in self.query.__struct_fields__

    @property
    def writes(self) -> bool:
        """Whether it changes the ledger (and so takes an Idempotency-Key)."""
        return self.method != "GET" and not self.raw_body and not is_asynchronous(self.work)


@cache
def is_asynchronous(work: Callable[..., Any]) -> bool:
    """Asked with every request."""
    return inspect.iscoroutinefunction(work)


OPERATIONS: Final[list[Operation]] = []  # in order of declaration: the contract, for the routes and for OpenAPI


def operation(method: Method, path: str, **declared: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated function as an operation. It is called with `call`, then `query`, `body` and the path's
    parameters by name, those it has."""

    def declare(work: Callable[..., Any]) -> Callable[..., Any]:
        declared.setdefault("tag", work.__module__.rpartition(".")[2])
        if method != "GET" and "{account}" in path and not declared.get("of_erased"):
            declared["errors"] = (*declared.get("errors", ()), AccountErased)
        OPERATIONS.append(Operation(method=method, path=path, work=work, **declared))
        return work

    return declare


def route(op: Operation) -> HTTPRouteHandler:
    """The operation as a route of the framework."""

    async def handle(request: AnyRequest) -> Response[Any]:
        return await answer(op, request)

    handle.__name__ = op.work.__name__
    path = op.path.replace("}", ":str}")
    status = 200 if op.status == 204 else op.status  # the framework wants 204 of a handler that returns nothing
    return HTTPRouteHandler(path, http_method=HttpMethod(op.method), status_code=status)(handle)


def options(path: str, methods: Iterable[str]) -> HTTPRouteHandler:
    """What may be asked at a path. The framework's own answer forgets what other handlers serve there."""
    answer = allowed(methods)

    async def handle() -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": answer})

    handle.__name__ = "options" + re.sub(r"\W+", "_", path)
    return HTTPRouteHandler(path.replace("}", ":str}"), http_method=HttpMethod.OPTIONS, status_code=204)(handle)


async def answer(op: Operation, request: AnyRequest) -> Response[Any]:
    """Everything that happens between the door and the work."""
    services: Services = request.app.state.services
    if not op.may:
        return respond(op, await op.work(services, request))
    held: ExitStack = request.scope[HELD]  # type: ignore[typeddict-item]
    held.enter_context(services.request_slots.take())
    if op.or_whitelisted and "authorization" not in request.headers:
        account = name_of(request.path_params["account"])
        credential: Credential = await services.who_is_whitelisted(account, request.scope)
    else:
        credential = await who_asks(services, request)
        request.scope[CREDENTIAL_ID] = credential.id  # type: ignore[typeddict-unknown-key]
    if not (op.itself and request.path_params.get("credential") == credential.id):
        _require(op, credential)
    given = _path(request)
    if "account" in given:
        auth.require_account(credential, given["account"])
    held.enter_context(services.shares.admit(credential, sends=op.sends))
    return await _admitted(op, request, services, credential, given)


async def who_asks(services: Services, request: AnyRequest) -> Credential:
    """The credential that the request shows. Unauthenticated, AddressNotAllowed."""
    return await services.who(auth.only_header(request.headers.getall("authorization", [])), request.scope)


def _require(op: Operation, credential: Credential) -> None:
    """Forbidden unless the credential may ask this at all."""
    if op.right is not None and not (op.or_sent and credential.may("events:write")):
        auth.require_right(credential, op.right)
    if op.of_all:
        auth.require_whole(credential)


async def _admitted(
    op: Operation, request: AnyRequest, services: Services, credential: Credential, given: dict[str, Any]
) -> Response[Any]:
    """The rest of it. The request is counted as in work until its answer was read: see `HELD`."""
    query = parse_query(request.scope["query_string"], op.query)
    if op.query is not NoQuery:
        given["query"] = query
    call = Call(
        services,
        credential,
        str(request.scope.get(REQUEST_ID, "")),
        services.clock(),
        _accept(request),
        actor_of(request, credential, services.config, f"{op.method} {op.path}"),
        is_head(request.scope),
        op.work.__name__,
    )
    if is_asynchronous(op.work) and op.body is None:
        return respond(op, await op.work(call, request, **given))
    raw = await _body(request, services.config) if op.method != "GET" else b""
    if op.body is not None:
        given["body"] = parse_body(raw, request.headers.get("content-type", ""), op.body)
    elif raw.strip() not in (b"", b"{}"):
        raise BadRequest("This takes no body.")
    if is_asynchronous(op.work):
        return respond(op, await op.work(call, request, **given))
    key = Key.of(request, raw) if op.writes else None
    if key is not None and op.holds_password:
        key = msgspec.structs.replace(key, digest=services.vault.blind(key.digest))
    if op.streams:
        request.scope[HELD].enter_context(services.exports.take(credential))  # type: ignore[typeddict-item]
    weight = op.weigh(query, call.now) if op.weigh is not None else WRITE if op.writes else SMALL
    return await call.answered(lambda: _in_transaction(op, call, given, key), weight)


async def _body(request: AnyRequest, config: Config) -> bytes:
    """As it was before its Content-Encoding, which is no larger than a plain one may be."""
    raw = await read_body(request, config.max_json_bytes, config)
    return decompress(raw, request.headers.get("content-encoding"), config.max_json_bytes)


def actor_of(request: AnyRequest, credential: Credential, config: Config, door: str) -> Actor:
    """Who asks, for the record of what the request changes."""
    request_id, address = str(request.scope.get(REQUEST_ID, "")), address_of(request.scope, config)
    return Actor(door, credential.id, credential.account or "", request_id, address)


def _in_transaction(op: Operation, call: Call, given: dict[str, Any], key: Key | None) -> Response[Any]:
    if op.prepare is not None:
        given["prepared"] = _prepared(op, call, given, key)

    def work(inside: Transaction) -> tuple[Any, Call]:
        own = call.inside(inside)
        if key is None:
            return _worked(op, own, given), own
        return once(own, key, op.status, lambda: _worked(op, own, given), op.recall, given), own

    if op.writes:
        account = given["body"].id if Effect.OPENING in op.effects and "account" not in given else given.get("account")
        made, own = write(call.services, call.actor, work, account=account, effects=op.effects)
    else:
        as_of = given["query"].as_of if op.tells_moment else None
        made, own = ask(call.services, work, as_of=as_of, tells_moment=op.tells_moment)
    response = stream(call, made) if isinstance(made, Streaming) else respond(op, made)
    if op.tells_moment:
        response.headers[AS_OF_HEADER] = own.moment.token
    return response


def _worked(op: Operation, call: Call, given: dict[str, Any]) -> Any:
    """AccountErased where it would change something of an account that was erased."""
    if op.writes and "account" in given and not op.of_erased:
        require_not_erased(call.tx, given["account"])
    return op.work(call, **given)


def _prepared(op: Operation, call: Call, given: dict[str, Any], key: Key | None) -> Any:
    """What `op.prepare` gives, in a read transaction of its own: the long questions of a write, because one writer at a
    time holds the ledger and others wait. A request that will be answered from memory needs no preparing."""

    def prepare(inside: Transaction) -> Any:
        own = call.inside(inside)
        if op.prepare is None or (key is not None and is_known(own, key)):
            return None
        return op.prepare(own, **given)

    return ask(call.services, prepare, tells_moment=True)


def respond(op: Operation, made: Any) -> Response[bytes]:
    """What the work gave, as a response; structs and lists become JSON."""
    reply = made if isinstance(made, Reply) else Reply(msgspec.json.encode(made), status=op.status)
    return Response(reply.content, status_code=reply.status, media_type=reply.media_type, headers=dict(reply.headers))


def stream(call: Call, made: Streaming) -> Stream:
    """The pieces as a response that is read while it is made; none are made for who asks for the head alone."""

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while not call.head and (piece := await call.exported(lambda: next(made.pieces, None))) is not None:
                yield piece
        except Exception as error:  # the head has gone out: nobody else can be told
            note_broken_off(error, call.request_id)
            raise

    return Stream(pieces(), media_type=made.media_type, headers=dict(made.headers))


def note_broken_off(error: Exception, request_id: str) -> None:
    """What is known needs no trace."""
    known = isinstance(error, FlowtallyError)
    log.error("answer_broken_off", request_id=request_id, **({"error": str(error)} if known else {"exc_info": error}))


def _path(request: AnyRequest) -> dict[str, Any]:
    if not request.path_params:
        return {}  # the path was one of ours to the letter, so there is nothing to read in it
    check_path(request.scope.get("raw_path"))
    check_known("The path", request.scope["path"])
    return {name: name_of(value) for name, value in request.path_params.items()}


def _accept(request: AnyRequest) -> str:
    return str(request.headers.get("accept", ""))
