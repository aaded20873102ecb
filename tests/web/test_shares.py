"""What a credential may have in work and an account may use up: bounds, turns of the clock, and who is not hindered."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.config import load_config
from flowtally.core.errors import BudgetUsed, TooManyAtOnce
from flowtally.ledger.people.credentials import Credential
from flowtally.web.capacity import shares as module
from flowtally.web.capacity.shares import Rule, Shares

ADMIN = Credential("cred_admin", "admin", None, "", 0)
READER = Credential("cred_reader", "account", "acme", "", 0)
GATEWAY = Credential("cred_gateway", "ingest", "acme", "", 0)
OTHER = Credential("cred_other", "account", "other", "", 0)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rule(at_once: int = 2, sends: int = 3, account: float = 0.5, installation: float = 2.0, saved: float = 10) -> Rule:
    return Rule(at_once, sends, account, installation, saved)


def wait_of(shares: Shares, who: Credential) -> int:
    """How long it is told to wait; 0: it is let in."""
    try:
        with shares.admit(who):
            return 0
    except BudgetUsed as error:
        return int(str(error.extra["retry_after_s"]))


def test_a_credential_has_so_many_requests_in_work_and_others_do_not_count() -> None:
    shares = Shares(rule())
    with ExitStack() as open_:
        for _ in range(2):
            open_.enter_context(shares.admit(READER))
        with pytest.raises(TooManyAtOnce, match="cred_reader has 2 requests in work already; at most 2") as caught:
            open_.enter_context(shares.admit(READER))
        assert caught.value.extra == {"retry_after_s": 1}
        open_.enter_context(shares.admit(OTHER))
    with shares.admit(READER):
        pass
    assert shares.measures()["requests_in_work"] == 0


def test_what_sends_is_counted_apart_from_what_reads_of_the_same_credential() -> None:
    shares = Shares(rule())
    with ExitStack() as open_:
        for _ in range(2):
            open_.enter_context(shares.admit(ADMIN))
        for _ in range(3):
            open_.enter_context(shares.admit(ADMIN, sends=True))
        with pytest.raises(TooManyAtOnce, match="3 requests that send events"):
            open_.enter_context(shares.admit(ADMIN, sends=True))


def test_the_credentials_of_an_account_together_have_a_bound_in_work_and_those_of_none_have_not() -> None:
    shares = Shares(Rule(9, 9, 0, 0, 10, account_at_once=2, account_sends_at_once=3))
    more = Credential("cred_more", "account", "acme", "", 0)
    with ExitStack() as open_:
        open_.enter_context(shares.admit(READER))
        open_.enter_context(shares.admit(more))
        with pytest.raises(TooManyAtOnce, match="The account 'acme' has 2 requests in work already; at most 2"):
            open_.enter_context(shares.admit(READER))
        for _ in range(3):  # no dashboard keeps a gateway from storing
            open_.enter_context(shares.admit(GATEWAY, sends=True))
        with pytest.raises(TooManyAtOnce, match="'acme' has 3 requests that send events"):
            open_.enter_context(shares.admit(more, sends=True))
        for _ in range(4):
            open_.enter_context(shares.admit(ADMIN))
            open_.enter_context(shares.admit(ADMIN, sends=True))
        open_.enter_context(shares.admit(OTHER))
    with shares.admit(READER), shares.admit(more):
        pass
    assert shares.measures()["requests_in_work"] == 0


@pytest.mark.parametrize("places", [1, 4, 1024])
def test_one_account_never_has_all_places(places: int) -> None:
    own = Rule.of(load_config({}, max_requests=places))
    assert own.account_at_once >= 1
    assert own.account_sends_at_once >= 1
    assert places == 1 or own.account_at_once + own.account_sends_at_once < places


def test_an_account_without_budget_still_sends_events_and_others_still_read() -> None:
    shares = Shares(rule(), clock=Time())
    shares.charge("acme", 100)
    assert wait_of(shares, READER) > 0
    assert wait_of(shares, OTHER) == wait_of(shares, ADMIN) == 0
    with shares.admit(GATEWAY, sends=True):
        pass


def test_the_installation_has_a_share_of_its_own() -> None:
    shares = Shares(rule(), clock=Time())
    shares.charge(None, 30)
    with pytest.raises(
        BudgetUsed, match=r"The installation's own credentials used 20\.0 s .* 2 s a second; again in 11 s"
    ):
        shares.check_budget(ADMIN)
    assert wait_of(shares, READER) == 0


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 60)), min_size=1, max_size=20),
    st.sampled_from([0.25, 0.5, 1.0, 3.0]),
)
def test_who_comes_back_when_told_is_let_in_and_not_much_sooner(costs: list[tuple[float, float]], rate: float) -> None:
    time = Time()
    shares = Shares(rule(account=rate), clock=time)
    for cost, pause in costs:
        shares.charge("acme", cost)
        time.now += pause
    if wait_s := wait_of(shares, READER):
        time.now += wait_s - 1.001
        assert wait_of(shares, READER) in (0, 1, 2) if wait_s == 1 else wait_of(shares, READER) > 0
        time.now += 1.002
        assert wait_of(shares, READER) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 20)), max_size=30))
def test_nobody_uses_more_than_what_was_saved_and_came_back(costs: list[tuple[float, float]]) -> None:
    """Only the last request let in may go beyond it: what it takes is not known before."""
    time = Time()
    begun, used, last = time.now, 0.0, 0.0
    shares = Shares(rule(), clock=time)
    for cost, pause in costs:
        if wait_of(shares, READER) == 0:
            shares.charge("acme", cost)
            used, last = used + cost, cost
        assert used <= 10 + (time.now - begun) * 0.5 + last + 1e-6
        time.now += pause


def test_zero_means_no_bound() -> None:
    shares = Shares(rule(at_once=0, sends=0, account=0, installation=0), clock=Time())
    shares.charge("acme", 10**6)
    shares.charge(None, 10**6)
    with ExitStack() as open_:
        for _ in range(500):
            open_.enter_context(shares.admit(READER))
            open_.enter_context(shares.admit(ADMIN, sends=True))


def test_memory_is_bounded_and_who_was_touched_last_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 100)
    shares = Shares(rule(), clock=Time())
    shares.charge("acme", 100)
    for number in range(99):
        shares.charge(f"account{number}", 1)
    assert wait_of(shares, READER) > 0  # a refusal counts as a touch
    for number in range(99, 198):
        shares.charge(f"account{number}", 1)
    assert wait_of(shares, READER) > 0
    assert shares.measures() == {"requests_in_work": 0, "accounts": 100, "used_up": 1}


def test_refusals_are_told_by_their_code() -> None:
    told: list[str] = []
    shares = Shares(rule(at_once=1), told.append, Time())
    with shares.admit(READER), pytest.raises(TooManyAtOnce):
        shares.admit(READER).__enter__()
    shares.charge("acme", 100)
    with pytest.raises(BudgetUsed):
        shares.admit(READER).__enter__()
    assert told == ["too_many_at_once", "budget_used"]


def test_shares_are_of_the_processors_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "processors", lambda: 4)
    found = Rule.of(load_config({}, account_share_percent=25, installation_share_percent=100, budget_saved_s=30))
    assert (found.account_rate, found.installation_rate, found.saved_s) == (1.0, 4.0, 30)
