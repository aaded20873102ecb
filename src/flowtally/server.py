"""One server process: builds stores, ingest and doors in order, serves them, and closes them in the reverse order.

Owns the process: the listening socket, the signals, who stands on what. How a start goes is in `start`.
One process serves an installation. The engine of usage is imported when a start opens it (`usage.open`) and not before,
because after a mere import of it a forked child hangs. Imported by nothing but `cli`.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import gc
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.net import SocketHolder
from granian.server.embed import Server
from litestar import Litestar

from flowtally.alerts.deliverer import Deliverer
from flowtally.alerts.sending import MessageSender
from flowtally.answers.moment import Moments
from flowtally.api.application import Lifespan, build_application
from flowtally.care.care import Care, CareSettings
from flowtally.care.renewing import Renewing
from flowtally.config import Config
from flowtally.core.clock import SteadyClock, elapsed_ms, now_ms
from flowtally.core.errors import ConfigError, Unavailable
from flowtally.core.times import MINUTE_MS
from flowtally.gate.book import PurseBook
from flowtally.host import heap
from flowtally.host.notify import Notify
from flowtally.host.time_mark import TimeMark
from flowtally.ledger.database import Ledger
from flowtally.ledger.installation import read_installation
from flowtally.ledger.people import credentials
from flowtally.providers.providers import Providers
from flowtally.providers.shadowing import Shadowing
from flowtally.samples.store import FILE as SAMPLES_FILE
from flowtally.samples.store import Samples
from flowtally.start import Clock, Tell, open_vault, started
from flowtally.tls import Tls, check_clear, read_tls
from flowtally.usage.store import UsageStore
from flowtally.vendors import PULLERS, SHADOWS, VENDORS
from flowtally.vendors.describing import describe_dialects
from flowtally.vendors.serving import elsewhere, enabled, handlers
from flowtally.web.auth import Doorkeeper
from flowtally.web.capacity.body_budget import BodyBudget
from flowtally.web.capacity.connection_limits import ConnectionLimits
from flowtally.web.capacity.exports import Exports
from flowtally.web.capacity.failed_attempts import FailedAttempts
from flowtally.web.capacity.lanes import Lanes
from flowtally.web.capacity.request_slots import RequestSlots
from flowtally.web.capacity.shares import Rule, Shares
from flowtally.web.capacity.throttle import Rate, Throttle
from flowtally.web.capacity.weights import Weights
from flowtally.web.logs import set_up_logs
from flowtally.web.metrics import Metrics
from flowtally.web.request_lines import RequestLines
from flowtally.web.services import EventsDoor, Services
from flowtally.web.waiting import Waiters

BACKLOG: Final = 1024  # connections the system keeps waiting
HEADER_READ_MS: Final = 10_000  # from accept, or from the answer before, until a head is whole
READ_BUFFER: Final = 64 * 1024  # of a connection: no head is larger than about twice this; smaller slows large bodies
OTHER_FILES: Final = 1024  # that the stores may have open beside the connections
STOP_S: Final = 30  # what requests under way may still take after a signal to stop
BEAT_S: Final = 1.0
AUTH_THREADS: Final = 2
# How long a thread that computes keeps the interpreter from the others. A small question needs it some twenty times, so
# with the usual 5 ms it would wait 100 ms beside one large answer that is being put into words.
SWITCH_S: Final = 0.001

log = structlog.get_logger("flowtally.server")


@contextmanager
def open_services(
    config: Config,
    *,
    clock: Clock = now_ms,
    elapsed: Clock | None = None,
    usage: UsageStore | None = None,
    ledger: Ledger | None = None,
    ingest: EventsDoor | None = None,
    tell: Tell | None = None,
    request_lines: RequestLines | None = None,
) -> Iterator[Services]:
    """Everything the API stands on. What is handed in stays open at the end; what is opened here is closed, writers
    first. With `ingest` handed in this process's right to write is its owner's business; else the start is `start`'s,
    which says what `tell` is. Damage and ConfigError end the start."""
    with ExitStack() as closing:
        steady = _steady(clock, elapsed, config)
        samples = Samples(
            config.data_dir / SAMPLES_FILE, keep_days=config.keep_samples_days, max_future_s=config.max_future_s
        )
        closing.callback(samples.close)
        samples.check()
        if ingest is None:
            begun = closing.enter_context(started(config, steady, usage=usage, ledger=ledger, tell=tell))
            ledger, usage, ingest, vault = begun
        else:
            assert ledger is not None, "who brings the writer brings its stores"
            assert usage is not None
            ledger.use_clock(steady)
            vault = open_vault(config, ledger)
        mark = TimeMark(config.data_dir)
        _go_on(steady, usage, ledger, mark)
        lanes, auth_pool = Lanes(config.threads), ThreadPoolExecutor(AUTH_THREADS, "auth")
        closing.callback(lanes.close)
        closing.callback(auth_pool.shutdown, wait=True, cancel_futures=True)
        waiting = Waiters()
        closing.callback(waiting.stop)
        care = Care(
            CareSettings(config.data_dir, config.backups, config.min_free_bytes, config.retain_rows_days),
            steady,
            usage,
            ledger,
            ingest.between_blocks,
            ingest.forget_names,
            ingest.forget_held,
            ingest.metrics,
            ingest.forget_held_of,
            ingest.flusher,
        )
        closing.callback(care.close)
        care.resume()
        care.begin_daily()
        renewing = Renewing(ledger, steady)
        closing.callback(renewing.close)
        renewing.begin()
        report = ingest.report
        providers = Providers(
            ledger,
            vault,
            lambda account, series, said: asyncio.run(report(account, series, said)),
            steady,
            PULLERS,
        )
        closing.callback(providers.close)
        shadowing = Shadowing(ledger, providers, steady, SHADOWS)
        closing.callback(shadowing.close)
        if config.pull_providers:
            providers.begin()
            shadowing.begin()
        deliverer = Deliverer(ledger, vault, steady, lambda stop: MessageSender(config.opened, stop=stop))
        closing.callback(deliverer.close)
        if config.deliver_webhooks:
            deliverer.begin()
        doorkeeper = Doorkeeper(ledger, steady)
        closing.callback(doorkeeper.uses.close)
        doorkeeper.uses.begin()
        ledger.when_regained(doorkeeper.begin_anew)
        ledger.when_regained(functools.partial(_go_on, steady, usage, ledger, mark))
        book = PurseBook(usage.shelf)
        ledger.when_regained(book.clear)
        exports = Exports(config)
        metrics = Metrics()
        metrics.watch("ingest", ingest.metrics)
        metrics.watch("exports", exports.measures)
        metrics.watch("ledger", lambda: ledger_measures(ledger))
        metrics.watch("renewals", renewing.measures)
        metrics.watch("balances", book.measures)
        metrics.watch("samples", samples.measures)
        metrics.watch("care", care.measures)
        metrics.watch("providers", providers.measures)
        metrics.watch("shadows", shadowing.measures)
        metrics.watch("webhooks", deliverer.measures)
        shares = Shares(Rule.of(config), metrics.refused)
        metrics.watch("shares", lambda: {**shares.measures(), **lanes.measures()})
        yield Services(
            config,
            steady,
            usage,
            ledger,
            ingest,
            doorkeeper,
            vault,
            metrics,
            lanes,
            auth_pool,
            BodyBudget(config.max_waiting_bytes),
            care,
            providers,
            shadowing,
            deliverer,
            FailedAttempts(steady),
            Moments(usage, ledger, steady, mark.keep),
            book,
            RequestSlots(config.max_requests),
            ConnectionLimits(config),
            shares,
            Weights(),
            exports,
            samples,
            Throttle(Rate(lists, MINUTE_MS)) if (lists := config.endpoint_lists_per_minute) else None,
            waiting,
            request_lines or RequestLines(),
        )


def _steady(clock: Clock, elapsed: Clock | None, config: Config) -> SteadyClock:
    """One for all that is dated: what is promised or stored later is never dated earlier. This machine's clock is held
    against the time that passes; one that is handed in only where that is too."""
    if isinstance(clock, SteadyClock):
        return clock
    return SteadyClock(clock, elapsed_ms if clock is now_ms else elapsed, config.max_clock_jump_s * 1000)


def _go_on(clock: SteadyClock, usage: UsageStore, ledger: Ledger, mark: TimeMark) -> None:
    """Nothing is dated before what the process before this one dated, or told."""
    with ledger.read() as tx:
        clock.not_before(read_installation(tx).last_at)
    clock.not_before(usage.published().received_at)
    clock.not_before(mark.kept + 1)


def ledger_measures(ledger: Ledger) -> dict[str, float]:
    """Whether the ledger answers, and how quickly; whether this server may write it."""
    started, lease = time.perf_counter(), float(not ledger.lost)
    try:
        with ledger.read() as tx:
            credentials.has_admin(tx)  # any question would do
    except Unavailable:
        return {"up": 0.0, "lease_held": lease}
    return {"up": 1.0, "lease_held": lease, "read_seconds": time.perf_counter() - started}


def create_app(
    config: Config,
    *,
    clock: Clock = now_ms,
    elapsed: Clock | None = None,
    usage: UsageStore | None = None,
    ledger: Ledger | None = None,
    ingest: EventsDoor | None = None,
) -> Litestar:
    """The application for an ASGI server or a test client: opens its services when it starts, closes them after."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        with open_services(config, clock=clock, elapsed=elapsed, usage=usage, ledger=ledger, ingest=ingest) as services:
            app.state.services = services
            yield

    return _application(config, [lifespan])


def _application(config: Config, lifespan: Sequence[Lifespan] = ()) -> Litestar:
    served = enabled(VENDORS, config)
    more = functools.partial(describe_dialects, served)
    return build_application(
        lifespan, dialects=handlers(served, config), more=more, elsewhere=elsewhere(VENDORS, config)
    )


def run(
    config: Config,
    on_ready: Callable[[str], None] | None = None,
    on_admin: Tell | None = None,
    notify: Notify | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way and close. `notify` tells systemd.

    `on_ready` gets the address, e.g. `http://127.0.0.1:8120`, once it can be connected to; `on_admin` the token of a
    first admin credential, as soon as there is one (without it none is made). Raises Damage or ConfigError before that
    if it must not start; then nothing has changed.
    """
    request_lines = set_up_logs(config)
    sys.setswitchinterval(SWITCH_S)
    heap.bound()
    tls = read_tls(config)
    with bind(config.host, config.port) as listener:
        if tls is None:
            check_clear(config, listener.getsockname()[0])
        with open_services(config, tell=on_admin, request_lines=request_lines) as services:
            app = _application(config)
            app.state.services = services
            gc.freeze()  # what a start made stays: the collector need not look at it again while requests wait
            services.connection_limits.most = room_for(config.max_connections)
            asyncio.run(
                _serve(
                    app,
                    listener,
                    on_ready,
                    services.connection_limits.most,
                    services.connection_limits,
                    tls,
                    notify,
                    services.waiting,
                )
            )


def bind(host: str, port: int) -> socket.socket:
    """A socket of our own, not listening yet: its port is known before anybody is told, and a port in use is an error
    (the server's own sockets would share it silently)."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        return made
    except (OSError, ValueError, TypeError) as error:  # what is no host name at all is not even looked up
        made.close()
        raise cannot_listen(host, port, error) from error


def cannot_listen(host: str, port: int, error: Exception) -> ConfigError:
    busy = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    more = " Another program listens there: end it, or choose another port (--port)." if busy else ""
    return ConfigError(f"Cannot listen at {host} port {port}: {getattr(error, 'strerror', None) or error}.{more}")


def address_of(listener: socket.socket, scheme: str = "http") -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Server(Server):  # type: ignore[misc]
    """Granian in this process, on a socket it is given. HTTP/1.1 alone: where it speaks HTTP/2 too it waits for a
    silent caller without end, and keeps heads of any size."""

    def __init__(self, app: Any, listener: socket.socket, connections: int, tls: Tls | None) -> None:
        super().__init__(
            app,
            interface=Interfaces.ASGINL,
            backlog=BACKLOG,
            backpressure=connections,
            http=HTTPModes.http1,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_MS, max_buffer_size=READ_BUFFER),
            log_enabled=False,
            **({"ssl_cert": tls.cert, "ssl_key": tls.key, "ssl_protocol_min": SSLProtocols.tls12} if tls else {}),
        )
        self.workers_kill_timeout = STOP_S
        self._listener = listener

    def _init_shared_socket(self) -> None:
        # The holder owns the socket from here on: it is closed, once, when the server stops accepting.
        self._ssp, self._shd = None, SocketHolder(self._listener.detach(), False, BACKLOG)


def room_for(connections: int) -> int:
    """How many connections there can be: each is an open file of this process, whose limit is raised as far as it may
    be. One that could not be opened would be tried again and again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
        if soft < wanted:
            connections = max(soft - OTHER_FILES, soft // 2)
            log.warning("connections_limited_by_open_files", connections=connections, open_files=soft)
    return connections


async def _sweep(connection_limits: ConnectionLimits, port: int) -> None:
    while True:
        await asyncio.sleep(connection_limits.pause_s)
        try:
            await asyncio.to_thread(connection_limits.sweep, port)
        except OSError as error:  # it may find no file free to look with
            log.warning("connections_not_checked", error=str(error))


async def _beat(notify: Notify, address: str) -> None:
    """systemd hears from the loop that answers requests: one that hangs is ended and started again."""
    notify.status(f"listening at {address}")
    while True:
        notify.alive(time.monotonic())
        await asyncio.sleep(BEAT_S)


async def _serve(
    app: Litestar,
    listener: socket.socket,
    on_ready: Callable[[str], None] | None,
    connections: int = BACKLOG,
    connection_limits: ConnectionLimits | None = None,
    tls: Tls | None = None,
    notify: Notify | None = None,
    waiting: Waiters | None = None,
) -> None:
    server, port = _Server(app, listener, connections, tls), listener.getsockname()[1]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if waiting is not None:
            waiting.stop()  # who waits for something is answered, and does not hold up the stop
        server.stop()

    for wanted in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(wanted, stop)
    address = address_of(listener, "https" if tls else "http")
    try:
        listener.listen(BACKLOG)  # only now: the start may have refused, and what is not open should not seem so
    except OSError as error:  # another process was bound to it too, and is quicker
        host, port = listener.getsockname()[:2]
        raise cannot_listen(host, port, error) from error
    log.info("listening", address=address)
    if on_ready is not None:
        server.on_startup(lambda: on_ready(address))
    beside = [] if connection_limits is None else [asyncio.create_task(_sweep(connection_limits, port))]
    if notify is not None:
        server.on_startup(notify.ready)
        beside.append(asyncio.create_task(_beat(notify, address)))
    try:
        await server.serve()
    except TimeoutError:
        log.warning("stopped_with_requests", after_s=STOP_S)
    finally:
        for task in beside:
            task.cancel()
        if notify is not None:
            notify.stopping()
    log.info("stopped", address=address)
