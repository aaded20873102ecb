"""Dialects as routes of the framework: who asks, how often, what for, the work, the vendor's own answer.

The order is the same for all, and each step tells no more than those before: secrets, the body, throttle, the dialect's
own check, parameters, work. A body is read of who showed a token that is known; where a secret may stand in the body, a
little of it is read of anybody. Whatever goes wrong, here or below, becomes the vendor's answer: an envelope never
breaks, a trace is never shown.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

import msgspec
import structlog
from litestar import HttpMethod, Response
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope
from msgspec.structs import fields

from flowtally.config import Config
from flowtally.core.errors import (
    ClientGone,
    FlowtallyError,
    MethodNotAllowed,
    RateLimited,
    SlowBody,
    TooLarge,
    Unauthenticated,
)
from flowtally.ledger.people import credentials
from flowtally.ledger.people.accounts import require_not_erased
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.trail import Actor
from flowtally.providers.shadowing import AnsweredCall
from flowtally.vendors.base import METHODS, Adapted, Asked, Dialect, DialectCall, Route, Secrets, WrongKey
from flowtally.vendors.metering import SelfMeter
from flowtally.vendors.reading import given_of, read_asked
from flowtally.web.auth import Whitelisted, require_right
from flowtally.web.bodies import AnyRequest, has_body, read_body, read_unknown
from flowtally.web.call import Reply
from flowtally.web.capacity.throttle import Throttle
from flowtally.web.capacity.weights import SMALL, WRITE
from flowtally.web.heads import allowed, is_head, method_of
from flowtally.web.inputs import convert_values
from flowtally.web.operation import actor_of, options
from flowtally.web.problems import CREDENTIAL_ID, HELD, REQUEST_ID, note_store_failed
from flowtally.web.services import Services, address_of
from flowtally.web.transaction import Transaction, ask, write

log = structlog.get_logger("flowtally.vendors")


def handlers(dialects: Sequence[Dialect], config: Config) -> list[HTTPRouteHandler]:
    """The routes of those that are switched on."""
    return [handler for dialect in enabled(dialects, config) for handler in Served(dialect, config).handlers()]


def elsewhere(dialects: Sequence[Dialect], config: Config) -> Callable[[AnyRequest], Response[Any] | None]:
    """What is answered at a path that nobody serves, if it is the vendor's of one of these: as its own host does, for
    clients of theirs look for that. The longest beginning wins; of a dialect that is switched off no path is known."""
    told = [(one, one.unserved if settings_of(one, config).enabled else None) for one in dialects]
    own = [(beginning, reply) for one, reply in told for beginning in one.own_paths]
    own.sort(key=lambda each: len(each[0]), reverse=True)

    def answer(request: AnyRequest) -> Response[Any] | None:
        path = f"{request.scope['path']}/"
        reply = next((reply for beginning, reply in own if path.startswith(beginning)), None)
        return None if reply is None else _respond(reply)

    return answer


def enabled(dialects: Sequence[Dialect], config: Config) -> list[Dialect]:
    """Those that are switched on, each with the routes that its settings want."""
    return [_wanted(dialect, config) for dialect in dialects if settings_of(dialect, config).enabled]


def _wanted(dialect: Dialect, config: Config) -> Dialect:
    settings = settings_of(dialect, config)
    routes = [one for one in dialect.routes if one.manner is None or one.manner.served(settings)]
    return msgspec.structs.replace(dialect, routes=routes)


def settings_of(dialect: Dialect, config: Config) -> Any:
    return config.vendors.get(dialect.name) or dialect.settings()


class AdaptedReply(Reply, frozen=True):
    """One whose client reads another than the vendor's documents have, which is `documented`."""

    documented: bytes = b""


class Served:
    """One dialect of one server."""

    def __init__(self, dialect: Dialect, config: Config) -> None:
        self._dialect = dialect
        self._settings = settings_of(dialect, config)
        self._rights = frozenset(route.may for route in dialect.routes)
        rate = dialect.rate(self._settings)
        self._throttle = None if rate is None else Throttle(rate)
        manners = {route.manner for route in dialect.routes if route.manner is not None}
        rates = {manner: manner.rate(self._settings) for manner in manners}
        self._of_addresses = {manner: Throttle(rate) for manner, rate in rates.items() if rate is not None}
        self._meter = SelfMeter(dialect.name) if dialect.metered(self._settings) else None

    def handlers(self) -> list[HTTPRouteHandler]:
        """A handler for each route, and one for the other methods of each path: they too answer as the vendor."""
        by_path: dict[str, list[Route]] = defaultdict(list)
        for route in self._dialect.routes:
            by_path[route.path].append(route)
        made = [options(path, [route.method for route in routes]) for path, routes in by_path.items()]
        made += [self._handler(route) for route in self._dialect.routes]
        return made + [self._others(path, routes) for path, routes in by_path.items()]

    def _handler(self, route: Route) -> HTTPRouteHandler:
        async def handle(request: AnyRequest) -> Response[Any]:
            self._check_host(route, request)
            if route.writes and is_head(request.scope):  # a vendor's GET may change something; HEAD never does
                error = MethodNotAllowed(f"HEAD changes nothing: {route.path} does.")
                return _respond(self._fail(error, request, route), {"Allow": route.method})
            return await self.answer(route, request)

        handle.__name__ = f"{self._dialect.name}_{route.work.__name__}"
        return HTTPRouteHandler(route.path, http_method=HttpMethod(route.method), status_code=200)(handle)

    def _others(self, path: str, routes: Sequence[Route]) -> HTTPRouteHandler:
        served = {route.method for route in routes}

        async def refuse(request: AnyRequest) -> Response[Any]:
            self._check_host(routes[0], request)
            error = MethodNotAllowed(f"{method_of(request.scope)} is not served at {path}.")
            return _respond(self._fail(error, request, routes[0]), {"Allow": allowed(served)})

        refuse.__name__ = f"{self._dialect.name}_{routes[0].work.__name__}_refuse"
        others = [HttpMethod(method) for method in METHODS if method not in served]
        return HTTPRouteHandler(path, http_method=others, status_code=405)(refuse)

    def _check_host(self, route: Route, request: AnyRequest) -> None:
        """At any other host than its own, where it has one, its path is unknown."""
        host = route.manner.host(self._settings) if route.manner is not None else ""
        if host and request.headers.get("host", "").partition(":")[0].lower() != host.lower():
            raise NotFoundException

    async def answer(self, route: Route, request: AnyRequest) -> Response[Any]:
        """Everything that happens between the door and the work."""
        services: Services = request.app.state.services
        credential = None
        try:
            held: ExitStack = request.scope[HELD]  # type: ignore[typeddict-item]
            held.enter_context(services.request_slots.take())
            asked, secrets, known, unread = await self._asked(services, route, request)
            # Looked up anew after a body was waited for: it may have ended meanwhile.
            shown = known or await self._who(services, secrets, request.scope)
            await self._check(services, shown, secrets, route)
            credential = shown
            if not isinstance(credential, Whitelisted):
                request.scope[CREDENTIAL_ID] = credential.id  # type: ignore[typeddict-unknown-key]
            self._let_in(credential, services.clock(), route)
            actor = actor_of(request, credential, services.config, f"{route.method} {route.path}")
            held.enter_context(services.shares.admit(credential))
            reply = await self._answered(services, route, credential, actor, asked, unread)
        except ClientGone:  # nobody hears an envelope
            raise
        except Exception as error:
            return self._after(_respond(self._fail(error, request, route), _ended(error)), services, credential)
        try:
            shadow = self._shadow(services, route, credential, asked, reply)
        except Exception as error:  # whatever it is: it changes no answer
            log.error("shadow_not_offered", dialect=self._dialect.name, kind=type(error).__name__)
            shadow = None
        return self._after(_respond(reply), services, credential, shadow)

    async def _asked(
        self, services: Services, route: Route, request: AnyRequest
    ) -> tuple[Asked, Secrets, Credential | None, FlowtallyError | None]:
        """The request and what its caller shows; a token in the head is known before the body is read. The credential
        where nothing was waited for since it was looked up."""
        identify, any_text = (route.manner or self._dialect).identify, route.any_text
        asked, unread = await read_asked(request, services.config, any_text=any_text)
        known: Credential | None = None
        try:
            secrets = identify(asked, self._settings)
        except Unauthenticated:
            if not self._dialect.secrets_in_body or not has_body(request):
                raise
        else:
            known = await self._who(services, secrets, request.scope)
        if has_body(request):
            with services.shares.admit(known) if known else self._unknown(services, request):  # may take its time
                read = read_body if known else read_unknown
                asked, unread = await read_asked(request, services.config, read, any_text)
            secrets, known = identify(asked, self._settings), None
        return asked, secrets, known, unread

    def _unknown(self, services: Services, request: AnyRequest) -> AbstractContextManager[None]:
        return services.request_slots.take_unknown(address_of(request.scope, services.config))

    async def _who(self, services: Services, secrets: Secrets, scope: HTTPScope) -> Credential:
        if secrets.token:
            return await self._of_account(services, secrets.token, scope)
        return await services.who_is_whitelisted(secrets.account, scope)

    async def _of_account(self, services: Services, token: str, scope: HTTPScope) -> Credential:
        """The credential behind the token. Of an account: nobody else has anything here."""
        credential = await services.who(f"Bearer {token}", scope)
        if credential.account is None or not any(map(credential.may, self._rights)):
            raise Unauthenticated(
                f"The credential {credential.id} is of no account, or may ask nothing here: its scope is"
                f" {credential.scope}."
            )
        return credential

    async def _check(self, services: Services, credential: Credential, secrets: Secrets, route: Route) -> None:
        """Whether all that was shown of the credential is true, and whether it may ask this."""
        if secrets.id is not None and not _same(secrets.id, credential.id):
            raise Unauthenticated("The id is not that of the token.")
        if secrets.account and secrets.account != credential.account:
            raise Unauthenticated("The account is not that of the token.")
        if secrets.key is not None:
            matches = partial(_key_matches, services, credential, secrets.key)
            if not await services.lanes.run(str(credential.account), matches):  # in its turn, not in everybody's
                raise WrongKey("The key is not that of the token.")
        require_right(credential, route.may)

    def _let_in(self, credential: Credential, now: int, route: Route) -> None:
        if self._throttle is not None:
            self._throttle.let_in(credential.id, now)
        if isinstance(credential, Whitelisted) and route.manner in self._of_addresses:
            self._of_addresses[route.manner].let_in(credential.id, now)

    async def _answered(
        self,
        services: Services,
        route: Route,
        credential: Credential,
        actor: Actor,
        asked: Asked,
        unread: FlowtallyError | None,
    ) -> Reply:
        operation = f"{self._dialect.name} {route.work.__name__}"
        work = partial(self._work, services, route, credential, actor, asked, unread)
        return await services.answered(credential, operation, work, WRITE if route.writes else SMALL)

    def _work(
        self,
        services: Services,
        route: Route,
        credential: Credential,
        actor: Actor,
        asked: Asked,
        unread: FlowtallyError | None,
    ) -> Reply:
        account = credential.account
        assert account is not None, "seen by `_of_account`"

        def work(inside: Transaction) -> Reply:
            if route.writes:
                require_not_erased(inside.tx, account)  # since the credential was looked at
            call = DialectCall(
                services, self._settings, credential, account, inside.now, asked, inside.usage, inside.tx
            )
            return self._reply(route, self._made(route, call, unread))

        if route.writes:
            return write(services, actor, work, account=account, effects=route.effects)
        return ask(services, work)

    def _made(self, route: Route, call: DialectCall, unread: FlowtallyError | None) -> Any:
        if self._dialect.check is not None:
            self._dialect.check(call)
        if unread is not None:
            raise unread
        return route.work(call, convert_values(given_of(call.asked, route.takes), route.takes))

    def _reply(self, route: Route, made: Any) -> Reply:
        succeed = (route.manner or self._dialect).succeed
        if not isinstance(made, Adapted):
            return succeed(made)
        shown, documented = succeed(made.shown), succeed(made.documented)
        return AdaptedReply(shown.content, shown.media_type, shown.status, shown.headers, documented.content)

    def _fail(self, error: Exception, request: AnyRequest, route: Route) -> Reply:
        request_id, fail = request.scope.get(REQUEST_ID), (route.manner or self._dialect).fail
        if isinstance(error, FlowtallyError):
            note_store_failed(error, request_id)
            return fail(error)
        log.error("dialect_failed", dialect=self._dialect.name, request_id=request_id, exc_info=error)
        return fail(FlowtallyError("Something failed inside."))

    def _shadow(
        self, services: Services, route: Route, credential: Credential, asked: Asked, reply: Reply
    ) -> BackgroundTask | None:
        """What has the vendor asked the same, where that is wanted: once the answer has gone out. Only what the route
        knows of what the caller asked is sent: so nothing that the caller showed."""
        if route.method != "GET" or route.writes or asked.form or credential.account is None:
            return None
        shadowing = services.shadowing
        if not shadowing.wants(credential.account, self._dialect.name, route.path):
            return None
        known = {one.encode_name for one in fields(route.takes)}
        query = tuple((name, value) for name, value in asked.query.items() if name in known)
        name, at = self._dialect.name, services.clock()
        body = reply.documented if isinstance(reply, AdaptedReply) else reply.content
        call = AnsweredCall(credential.account, name, route.path, query, reply.status, body, at)

        async def offer() -> None:
            shadowing.offer(call)

        return BackgroundTask(offer)

    def _after(
        self,
        response: Response[Any],
        services: Services,
        credential: Credential | None,
        shadow: BackgroundTask | None = None,
    ) -> Response[Any]:
        """What is done once the answer is on its way."""
        meter = None
        if self._meter is not None and credential is not None:
            meter = BackgroundTask(self._meter.count, services, credential)
        after = [task for task in (meter, shadow) if task is not None]
        if after:
            response.background = BackgroundTasks(after)
        return response


def _ended(error: Exception) -> dict[str, str]:
    """The rest of a body we gave up on is still on its way: the connection cannot carry another request. When to come
    back is said whatever the envelope has room for."""
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.extra.get("retry_after_s", 1))}
    return {"Connection": "close"} if isinstance(error, (SlowBody, TooLarge)) else {}


def _respond(reply: Reply, headers: dict[str, str] | None = None) -> Response[Any]:
    return Response(
        reply.content,
        status_code=reply.status,
        media_type=reply.media_type,
        headers={**reply.headers, **(headers or {})},
    )


def _same(shown: str, own: str) -> bool:
    return hmac.compare_digest(shown.encode(), own.encode())


def _key_matches(services: Services, credential: Credential, key: str) -> bool:
    with services.ledger.read() as tx:
        return credentials.key_matches(tx, credential.id, key)
