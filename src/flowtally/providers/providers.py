"""The providers of one server: asked in turn, one at a time, on a thread of their own.

Owns the thread and the turns. A provider is asked when its time comes, or when somebody asks for it; one that takes
long makes the others late, never ingest or an answer. What was under way when the server stops is said again at the
next pull. With the setting `pull_providers` off nobody is asked by the clock.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, get_args

import msgspec
import structlog

from flowtally.core.errors import FlowtallyError, NotFound, Unprocessable
from flowtally.core.words import PullOutcome
from flowtally.ledger.database import Ledger
from flowtally.ledger.providers import connected, pulls
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.vault import Vault
from flowtally.providers.asking import Bounds, SharedPace, VendorClient, check_base_url
from flowtally.providers.checks import CHECK_S, Checks
from flowtally.providers.connecting import ServerStops
from flowtally.providers.puller import ProviderSetting, Puller, Sight
from flowtally.providers.pulling import WORK, Came, Pulling, Report, failed_inside
from flowtally.providers.schedule import pause_s

LOOK_S: Final = 30  # the longest that nobody looks whose turn it is: another process may have changed it
AFTER_FAULT_S: Final = 60
JOIN_S: Final = 20  # how long a stop waits for what is being kept; where a store hangs, it is left
MOST_DUE: Final = 1_000  # that are looked at: of who waits longest
PULL_S: Final = 4 * 3600  # the longest that one makes the others wait; the next pull goes on where it was

log = structlog.get_logger(__name__)

Connect = Callable[[Provider, Puller, Mapping[str, str], threading.Event, float, SharedPace], VendorClient]


def connect(
    provider: Provider,
    puller: Puller,
    secrets: Mapping[str, str],
    stop: threading.Event,
    whole_s: float,
    shared: SharedPace,
) -> VendorClient:
    """To the vendor's own address, or to the one that an administrator set: that may be anywhere. All calls together
    may take `whole_s`."""
    elsewhere = bool(provider.address)
    return VendorClient(
        provider.address or puller.base_url,
        puller.pace,
        list(secrets.values()),
        plain=elsewhere,
        private=elsewhere,
        bounds=Bounds(whole_s=whole_s),
        stop=stop,
        shared=shared,
    )


class Providers:
    """Built once; `begin` starts the thread. `pullers` by the name of the vendor."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        report: Report,
        clock: Callable[[], int],
        pullers: Mapping[str, Puller],
        *,
        connect: Connect = connect,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.pullers = pullers
        self.asked: str | None = None  # the id of the provider that is being pulled
        self._ledger = ledger
        self._vault = vault
        self._clock = clock
        self._pulling = Pulling(ledger, report, clock)
        self._connect = connect
        self._chance = chance
        self._checks = Checks()
        self._stop = threading.Event()
        self._look = threading.Event()
        self._thread: threading.Thread | None = None
        self._asked_last: dict[str, int] = {}  # by account, of those that wait: 1, 2, 3 ... as they were
        self._counts = dict.fromkeys(get_args(PullOutcome), 0)
        self._paces: dict[str, SharedPace] = {}  # by the provider's id

    def begin(self) -> None:
        """Ask whose turn it is, from now on."""
        self._thread = threading.Thread(target=self._run, name="providers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave what is being asked."""
        self._stop.set()
        self._look.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
        self._checks.close()

    def nudge(self) -> None:
        """Somebody's turn may have come."""
        self._look.set()

    def puller(self, vendor: str) -> Puller:
        """Unprocessable where there is no such vendor."""
        found = self.pullers.get(vendor)
        if found is None:
            known = ", ".join(sorted(self.pullers))
            raise Unprocessable(f"vendor {vendor[:80]!r}: one of {known}", field="vendor")
        return found

    def check(self, provider: Provider) -> Sight:
        """A test call: what the secrets can see. Raises what a puller raises, and ServerStops."""
        puller = self.puller(provider.vendor)
        secrets = self.secrets(provider)
        with self.line(provider, puller, secrets, self._stop, CHECK_S) as client:
            return client.check(puller, self._pulling.to_pull(provider, puller, secrets))

    def begin_check(self, provider: Provider) -> Future[Sight]:
        """The same on a thread for it. TooManyAtOnce, Overloaded."""
        return self._checks.begin(provider.account, partial(self.check, provider))

    def measures(self) -> dict[str, float]:
        with self._ledger.read() as tx:
            states = connected.count_states(tx, self._clock(), self.asked)
        pulls_made = {f"pulls_{outcome}": float(count) for outcome, count in self._counts.items()}
        return {f"state_{state}": float(count) for state, count in states.items()} | pulls_made

    def pull_due(self) -> bool:
        """Ask one; whether there was one. Accounts take turns; of one, the one that has waited longest is next."""
        with self._ledger.read() as tx:
            due = connected.due_providers(tx, self._clock(), MOST_DUE)
        if due:
            self.pull(self._next_of(due))
        return bool(due)

    def _next_of(self, due: Sequence[Provider]) -> Provider:
        last = max(self._asked_last.values(), default=0)
        self._asked_last = {one.account: self._asked_last.get(one.account, 0) for one in due}
        chosen = min(due, key=lambda one: self._asked_last[one.account])  # the first of them
        self._asked_last[chosen.account] = last + 1
        return chosen

    def pull(self, provider: Provider) -> Came:
        """Ask this one now, and keep what came of it. Raises ServerStops."""
        began_at = self._clock()
        puller = self.pullers.get(provider.vendor)
        if puller is None:
            came = Came("changed_shape", f"this version of flowtally does not know the vendor {provider.vendor!r}")
            every_s = LOOK_S
        else:
            self.asked = provider.id
            try:
                came = self._came(provider, puller)
            finally:
                self.asked = None
            every_s = provider.every_s or puller.every_s
        wait_s = pause_s(
            came.outcome, every_s=every_s, failures=provider.failures, after_s=came.after_s, chance=self._chance()
        )
        now = max(self._clock(), began_at)
        with self._ledger.begin(WORK) as tx:
            pulls.end_pull(
                tx,
                provider,
                came.outcome,
                began_at=began_at,
                next_at=now + int(wait_s * 1000),
                now=now,
                detail=came.detail,
                calls=came.calls,
                figures=came.figures,
                changed=came.changed,
            )
        self._counts[came.outcome] += 1
        told = msgspec.structs.asdict(came)
        if came.outcome == "ok":
            log.info("provider_pulled", provider=provider.name, **told)
        else:
            log.warning("provider_pull_failed", provider=provider.name, **told)
        return came

    def _came(self, provider: Provider, puller: Puller) -> Came:
        """Also where it cannot be asked at all: it has its next turn later, and the others theirs. Raises ServerStops
        and what the ledger raises."""
        try:
            return self._asked(provider, puller)
        except (ServerStops, FlowtallyError):
            raise
        except Exception as error:
            return failed_inside(provider, error)

    def _asked(self, provider: Provider, puller: Puller) -> Came:
        secrets = self.secrets(provider)
        with self.line(provider, puller, secrets, self._stop, PULL_S) as client:
            to_pull = self._pulling.to_pull(provider, puller, secrets)
            return self._pulling.run(provider, puller, client, to_pull)

    def line(
        self, provider: Provider, puller: Puller, secrets: Mapping[str, str], stop: threading.Event, whole_s: float
    ) -> VendorClient:
        """The way to its vendor, for `whole_s` at the most. All of them keep one pace together."""
        return self._connect(
            provider, puller, secrets, stop, whole_s, self._paces.setdefault(provider.id, SharedPace())
        )

    def secrets(self, provider: Provider) -> dict[str, str]:
        """What it is asked with, in clear."""
        with self._ledger.read() as tx:
            sealed = connected.sealed_secrets(tx, provider.id)
        return {name: self._vault.reveal(one) for name, one in sealed.items()}

    def _run(self) -> None:
        while not self._stop.is_set():
            wait_s: float = 0
            try:
                if not self.pull_due():
                    wait_s = self._until_next()
            except ServerStops:
                return
            except NotFound:
                pass  # it was there when its turn came
            except FlowtallyError as error:  # the ledger is away
                log.warning("providers_wait", error=error.detail)
                wait_s = AFTER_FAULT_S
            except Exception:
                log.exception("providers_failed")
                wait_s = AFTER_FAULT_S
            self._look.wait(wait_s)
            self._look.clear()

    def _until_next(self) -> float:
        with self._ledger.read() as tx:
            at = connected.next_due(tx)
        return LOOK_S if at is None else min(LOOK_S, max(0.0, (at - self._clock()) / 1000))


def check_given(
    puller: Puller, secrets: Mapping[str, str], settings: Mapping[str, str], was: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The settings with their defaults; `was`: as they were, where there were some. Unprocessable names what is
    missing, unknown, none of its choices, or fixed and another one."""
    _check_names("secret", puller.secrets, secrets)
    _check_names("setting", puller.settings, settings)
    found = {one.name: one.default for one in puller.settings if one.default is not None} | dict(settings)
    for one in puller.settings:
        if one.choices and found[one.name] not in one.choices:
            raise Unprocessable(
                f"setting {one.name} is {found[one.name][:80]!r}: one of {', '.join(one.choices)}",
                field=f"settings.{one.name}",
            )
        if one.fixed and was is not None and was.get(one.name, one.default) != found[one.name]:
            raise Unprocessable(
                f"setting {one.name} stays as it was said first: add another provider with {found[one.name][:80]!r}",
                field=f"settings.{one.name}",
            )
    return found


def check_address(address: str) -> str:
    """The address that an administrator sets. Unprocessable."""
    try:
        check_base_url(address, plain=True)
    except ValueError as error:
        raise Unprocessable(f"address: {error}", field="address") from None
    return address


def _check_names(kind: str, known: tuple[ProviderSetting, ...], given: Mapping[str, str]) -> None:
    names = {one.name for one in known}
    if unknown := sorted(given.keys() - names):
        which = "a name" if kind == "secret" else repr(unknown[0][:80])  # who mixes name and value up shows a secret
        raise Unprocessable(
            f"{kind}s: {which} is none of this vendor's: {', '.join(sorted(names)) or 'it has none'}",
            field=f"{kind}s",
        )
    for one in known:
        if one.default is None and not given.get(one.name):
            raise Unprocessable(f"{kind} {one.name} is missing: {one.meaning}", field=f"{kind}s.{one.name}")
