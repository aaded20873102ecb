# Made by scripts/sources.py from client/asynchronous.py: change that, then `make docs`.
"""Client: asking a flowtally server from ordinary code. Typed answers, retries, one error class.

Named events must have their own `id` from the caller to be safe to send again; `Meter` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx
import msgspec
import stamina

from flowtally.client import calls
from flowtally.client.call import ClientCall, Listing, as_method
from flowtally.client.per_process import PerProcess
from flowtally.client.wire import NO_ANSWER, REPLAYED, Wire, pause_s

T = TypeVar("T")
P = ParamSpec("P")


def _ask(call: Callable[P, ClientCall[T]]) -> Callable[Concatenate[Client, P], T]:
    def asked(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.do(call(*args, **kwargs))

    return as_method(asked, call, "{}")


def _list(listing: Callable[P, Listing[T]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    def listed(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.each(listing(*args, **kwargs))

    return as_method(listed, listing, "Iterator[{}]")


class Stream(msgspec.Struct, frozen=True):
    """An answer on its way; names of headers are in small letters."""

    headers: dict[str, str]
    pieces: Iterator[bytes]


class Client:
    """`retry_s` 0: every call is tried once. `transport` is the seam of httpx: a MockTransport, or the app itself.

    Threads may share it. A forked child gets connections of its own.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 30,
        retry_s: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._wire = Wire(url, token, retry_s)
        headers, verify = self._wire.headers, self._wire.verify
        self._http = PerProcess(
            lambda: httpx.Client(timeout=timeout_s, headers=headers, transport=transport, verify=verify)
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.mine().close()

    # ── the server

    def healthy(self) -> bool:
        """Whether the process answers; not retried."""
        return self._is_ok("/healthz")

    def ready(self) -> bool:
        """Whether it takes writes; not retried."""
        return self._is_ok("/readyz")

    # ── every call of `calls`, as a method

    # ── usage in

    send_events = _ask(calls.send_events)
    event = _ask(calls.event)
    source = _ask(calls.source)
    sources = _list(calls.sources)
    overlaps = _ask(calls.overlaps)
    taken_accounts = _ask(calls.taken_accounts)
    hand_over_source = _ask(calls.hand_over_source)
    held = _list(calls.held)
    retry_held = _ask(calls.retry_held)
    drop_held = _ask(calls.drop_held)
    send_corrections = _ask(calls.send_corrections)
    send_readings = _ask(calls.send_readings)
    send_samples = _ask(calls.send_samples)
    samples = _ask(calls.samples)
    send_accounting = _ask(calls.send_accounting)
    counters = _list(calls.counters)

    # ── questions

    audit = _list(calls.audit)
    account_audit = _list(calls.account_audit)
    usage = _ask(calls.usage)
    usage_csv = _ask(calls.usage_csv)
    usage_arrow = _ask(calls.usage_arrow)
    overall_usage = _ask(calls.overall_usage)
    overall_usage_csv = _ask(calls.overall_usage_csv)
    overall_usage_arrow = _ask(calls.overall_usage_arrow)
    balance = _ask(calls.balance)
    explain = _ask(calls.explain)
    changes = _ask(calls.changes)
    export = _ask(calls.export)

    # ── reconciliation

    reconciliation = _ask(calls.reconciliation)
    claim_sheet = _ask(calls.claim_sheet)
    keep_reconciliation = _ask(calls.keep_reconciliation)
    kept_reconciliations = _list(calls.kept_reconciliations)
    kept_reconciliation = _ask(calls.kept_reconciliation)
    reconciliation_rules = _ask(calls.reconciliation_rules)
    set_reconciliation_rules = _ask(calls.set_reconciliation_rules)

    # ── periods

    close_period = _ask(calls.close_period)
    periods = _list(calls.periods)
    period = _ask(calls.period)
    open_period = _ask(calls.open_period)

    # ── accounts, users, grants

    create_account = _ask(calls.create_account)
    account = _ask(calls.account)
    accounts = _list(calls.accounts)
    change_account = _ask(calls.change_account)
    users = _list(calls.users)
    create_user = _ask(calls.create_user)
    user = _ask(calls.user)
    user_password = _ask(calls.user_password)
    user_names = _list(calls.user_names)
    change_user = _ask(calls.change_user)
    delete_user = _ask(calls.delete_user)
    erase_user = _ask(calls.erase_user)
    erasure = _ask(calls.erasure)
    erase_account = _ask(calls.erase_account)
    account_erasure = _ask(calls.account_erasure)
    user_usage = _ask(calls.user_usage)
    user_balance = _ask(calls.user_balance)
    explain_user = _ask(calls.explain_user)
    allocate = _ask(calls.allocate)
    allocations = _list(calls.allocations)
    take_back = _ask(calls.take_back)
    whitelist = _list(calls.whitelist)
    replace_whitelist = _ask(calls.replace_whitelist)
    put_on_whitelist = _ask(calls.put_on_whitelist)
    remove_from_whitelist = _ask(calls.remove_from_whitelist)
    give_grant = _ask(calls.give_grant)
    grant = _ask(calls.grant)
    grants = _list(calls.grants)
    void_grant = _ask(calls.void_grant)

    # ── money: in whole millionths of the currency

    wallet = _ask(calls.wallet)
    wallet_entries = _list(calls.wallet_entries)
    deposit = _ask(calls.deposit)
    adjust_wallet = _ask(calls.adjust_wallet)
    plans = _list(calls.plans)
    plan = _ask(calls.plan)
    create_plan = _ask(calls.create_plan)
    retire_plan = _ask(calls.retire_plan)
    endpoints = _ask(calls.endpoints)
    gateways = _list(calls.gateways)
    gateway = _ask(calls.gateway)
    add_gateway = _ask(calls.add_gateway)
    remove_gateway = _ask(calls.remove_gateway)
    buy_plan = _ask(calls.buy_plan)
    purchases = _list(calls.purchases)
    purchase = _ask(calls.purchase)

    # ── stock and leases

    stock = _list(calls.stock)
    stock_entry = _ask(calls.stock_entry)
    add_stock = _ask(calls.add_stock)
    import_stock = _ask(calls.import_stock)
    change_stock = _ask(calls.change_stock)
    retire_stock = _ask(calls.retire_stock)
    holders = _list(calls.holders)
    lease_plans = _list(calls.lease_plans)
    lease_plan = _ask(calls.lease_plan)
    create_lease_plan = _ask(calls.create_lease_plan)
    retire_lease_plan = _ask(calls.retire_lease_plan)
    buy_lease = _ask(calls.buy_lease)
    give_lease = _ask(calls.give_lease)
    leases = _list(calls.leases)
    lease = _ask(calls.lease)
    lease_terms = _list(calls.lease_terms)
    lease_password = _ask(calls.lease_password)
    renew_lease = _ask(calls.renew_lease)
    upgrade_lease = _ask(calls.upgrade_lease)
    change_lease = _ask(calls.change_lease)
    release_lease = _ask(calls.release_lease)
    lease_order = _ask(calls.lease_order)

    # ── vouchers and check-ins

    create_vouchers = _ask(calls.create_vouchers)
    vouchers = _list(calls.vouchers)
    voucher = _ask(calls.voucher)
    revoke_voucher = _ask(calls.revoke_voucher)
    redeem_voucher = _ask(calls.redeem_voucher)
    check_in = _ask(calls.check_in)
    check_ins = _list(calls.check_ins)

    # ── credentials: of an account, or (account None) of the operator

    create_credential = _ask(calls.create_credential)
    credential = _ask(calls.credential)
    credentials = _list(calls.credentials)
    own_credential = _ask(calls.own_credential)
    change_credential = _ask(calls.change_credential)
    rotate_credential = _ask(calls.rotate_credential)
    revoke_credential = _ask(calls.revoke_credential)
    confirm_credentials = _ask(calls.confirm_credentials)

    # ── senders: who owns sources, whichever credential it has

    senders = _list(calls.senders)
    sender = _ask(calls.sender)
    rename_sender = _ask(calls.rename_sender)

    # ── servers that are leased: what is asked of them, who may use them, what they stand at

    request_action = _ask(calls.request_action)
    lease_actions = _list(calls.lease_actions)
    action = _ask(calls.action)
    actions = _list(calls.actions)
    wait_for_actions = _ask(calls.wait_for_actions)
    take_action = _ask(calls.take_action)
    answer_action = _ask(calls.answer_action)
    bound_users = _list(calls.bound_users)
    bind_user = _ask(calls.bind_user)
    unbind_user = _ask(calls.unbind_user)
    lease_samples = _ask(calls.lease_samples)

    # ── providers: accounts at vendors, and what they say

    vendors = _ask(calls.vendors)
    add_provider = _ask(calls.add_provider)
    providers = _list(calls.providers)
    find_provider = _ask(calls.find_provider)
    provider = _ask(calls.provider)
    change_provider = _ask(calls.change_provider)
    remove_provider = _ask(calls.remove_provider)
    pull_provider = _ask(calls.pull_provider)
    check_provider = _ask(calls.check_provider)
    provider_pulls = _list(calls.provider_pulls)
    provider_balance = _ask(calls.provider_balance)
    provider_grants = _list(calls.provider_grants)
    provider_sub_users = _list(calls.provider_sub_users)
    provider_stretches = _ask(calls.provider_stretches)
    shadow = _ask(calls.shadow)
    set_shadow = _ask(calls.set_shadow)
    shadow_differences = _list(calls.shadow_differences)

    # ── places

    place_catalogues = _list(calls.place_catalogues)
    places = _list(calls.places)
    replace_places = _ask(calls.replace_places)
    remove_places = _ask(calls.remove_places)

    # ── pools and products

    pools = _list(calls.pools)
    create_pool = _ask(calls.create_pool)
    products = _list(calls.products)
    map_product = _ask(calls.map_product)

    # ── care: checks and backups run on the server; ask again how they are doing

    start_verify = _ask(calls.start_verify)
    verify = _ask(calls.verify)
    start_retention = _ask(calls.start_retention)
    retention = _ask(calls.retention)
    start_backup = _ask(calls.start_backup)
    backups = _ask(calls.backups)
    doctor = _ask(calls.doctor)

    # ── webhooks: where messages go; without an account the operator's own

    add_webhook = _ask(calls.add_webhook)
    webhooks = _list(calls.webhooks)
    webhook = _ask(calls.webhook)
    change_webhook = _ask(calls.change_webhook)
    remove_webhook = _ask(calls.remove_webhook)
    rotate_webhook = _ask(calls.rotate_webhook)
    check_webhook = _ask(calls.check_webhook)
    webhook_deliveries = _list(calls.webhook_deliveries)
    replay_webhook = _ask(calls.replay_webhook)

    # ── how

    def do(self, call: ClientCall[T]) -> T:
        """Carry a call out, with retries."""
        answer, _ = self.do_counted(call)
        return answer

    def do_counted(self, call: ClientCall[T]) -> tuple[T, int]:
        """The answer, and how many attempts it took: after more than one, an earlier one may have been heard."""
        return self._with_retries(lambda: self._attempt(call))

    def told(self, call: ClientCall[T]) -> tuple[T, bool]:
        """The answer, and whether it is one that was given before, to another call with the same key."""
        (answer, replayed), attempts = self._with_retries(lambda: self._told(call))
        return answer, replayed and attempts == 1  # after more, the first of them may have been heard

    def once(self, call: ClientCall[T]) -> T:
        """Carry a call out, without retries."""
        try:
            return self._attempt(call)
        except NO_ANSWER as error:
            raise self._wire.unreachable(error) from None

    def each(self, listing: Listing[T]) -> Iterator[T]:
        """All items of a list, page by page."""
        cursor: str | None = None
        while True:
            got = self.do(listing.page(cursor))
            yield from got.items
            if got.next is None or got.next == cursor:
                return
            cursor = got.next

    @contextmanager
    def stream(self, call: ClientCall[bytes]) -> Iterator[Stream]:
        """Carry a call out and read its answer piece by piece, as it comes. Beginning is retried, going on is not:
        Unreachable from `pieces` means the answer is not whole."""
        response, _ = self._with_retries(lambda: self._open(call))
        try:
            yield Stream(dict(response.headers), self._pieces(response))
        finally:
            response.close()

    def _with_retries(self, send: Callable[[], T]) -> tuple[T, int]:
        try:
            for attempt in stamina.retry_context(on=pause_s, **self._wire.patience):
                with attempt:
                    return send(), attempt.num
        except NO_ANSWER as error:
            raise self._wire.unreachable(error) from None
        raise AssertionError("the last attempt returns or raises")

    def _open(self, call: ClientCall[bytes]) -> httpx.Response:
        response = self._send(call, stream=True)
        if not response.is_success:
            response.read()
        self._wire.check(response)
        return response

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except NO_ANSWER as error:
            raise self._wire.broken_off(error) from None

    def _attempt(self, call: ClientCall[T]) -> T:
        return self._wire.answer(call, self._send(call))

    def _told(self, call: ClientCall[T]) -> tuple[T, bool]:
        response = self._send(call)
        return self._wire.answer(call, response), REPLAYED in response.headers

    def _send(self, call: ClientCall[Any], *, stream: bool = False) -> httpx.Response:
        http = self._http.mine()
        return http.send(self._wire.request(http, call), stream=stream)

    def _is_ok(self, path: str) -> bool:
        try:
            response = self._http.mine().get(self._wire.base + path)
        except NO_ANSWER:
            return False
        return response.is_success
