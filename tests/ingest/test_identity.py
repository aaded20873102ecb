"""Ledger, keys and usage that do not belong together are not opened, and nothing is lost by having tried."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import NOW, Clock
from tests.filling import copy_of
from tests.ingest.conftest import Death, named, run
from tests.test_start import seen

from flowtally.config import Config, load_config
from flowtally.core.errors import (
    Damage,
    KeysBroken,
    LedgerMissing,
    LedgerOlder,
    MissingAccounts,
    MissingRows,
    StoresDiffer,
)
from flowtally.ingest.identity import UNBOUND, FoundStores, decide
from flowtally.keys.store import Keys, peek
from flowtally.keys.values import Committed
from flowtally.ledger import installation
from flowtally.ledger.database import Ledger
from flowtally.ledger.installation import InstallationState, State
from flowtally.ledger.money import wallet
from flowtally.ledger.people import accounts, credentials
from flowtally.server import open_services
from flowtally.usage.journal import Journal
from flowtally.usage.journal import peek as peek_journal
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import Identity
from flowtally.web.services import Services

A, A_LATER, B = Identity("ins_a", "gen_1"), Identity("ins_a", "gen_2"), Identity("ins_b", "gen_3")
NEW: Any = None


def ledger(whose: Identity = UNBOUND, promises: int = 9, *, exists: bool = True, some: bool = True) -> State:
    return State(exists, some, InstallationState(whose.installation, whose.generation, promises, 0))


def keys(whose: Identity = UNBOUND, promise: int = 9, *, epoch: int = 3, rows: int = 5) -> Committed:
    return Committed(epoch, min(rows, 4), 0, 1, rows, 0, True, whose.installation, whose.generation, promise)


def found(
    of_ledger: State,
    of_keys: Committed | None,
    usage: Identity | None = UNBOUND,
    rows: int = 5,
    journal: Identity | None = None,
) -> FoundStores:
    return FoundStores("sqlite:///ledger.db", of_ledger, of_keys, usage, rows, journal)


NOTHING = State()
REBUILT = Identity("ins_a", "")


@pytest.mark.parametrize(
    ("stores", "wanted"),
    [
        # a first start, wherever it was cut short
        (found(NOTHING, None, rows=0), "new"),
        (found(NOTHING, keys(A, 0, epoch=0, rows=0), rows=0), A),
        (found(NOTHING, keys(A, 0, epoch=0, rows=0), A, rows=0), A),
        (found(ledger(promises=1, some=False), keys(A, 0, epoch=0, rows=0), A, rows=0), A),
        (found(ledger(A, 1, some=False), keys(A, 0, epoch=0, rows=0), A, rows=0), A),
        # a ledger that was filled before anything was metered
        (found(ledger(), None, rows=0), "new"),
        # an upgrade from what bound nothing, wherever it was cut short
        (found(ledger(promises=0), keys(promise=0)), "new"),
        (found(ledger(promises=0), keys(A, 0)), A),
        (found(ledger(promises=0), keys(A, 0), A), A),
        (found(ledger(A, 1), keys(A, 0), A), A),
        (found(ledger(promises=0, some=False), keys(promise=0, rows=0), rows=0), "new"),
        # every later start
        (found(ledger(A), keys(A), A), A),
        (found(ledger(A, 10), keys(A), A), A),
        (found(ledger(A), keys(A), usage=None), A),  # before the engine is open
        # a journal that a start made which was cut short, or that is bound as all are
        (found(ledger(A), keys(A), A, journal=UNBOUND), A),
        (found(ledger(A), keys(A), A, journal=A), A),
        (found(NOTHING, keys(A, 0, epoch=0, rows=0), A, rows=0, journal=A), A),
        (found(ledger(A), keys(REBUILT), A, journal=A), "later"),
        (found(ledger(A), keys(REBUILT), A_LATER, journal=A_LATER), "later"),
        # usage elsewhere, as long as nothing was stored
        (found(ledger(A), keys(A, rows=0), rows=0), A),
        # keys that were rebuilt: a new generation of the same installation
        (found(ledger(A), keys(REBUILT), A), "later"),
        (found(ledger(A), keys(REBUILT), A_LATER), "later"),
    ],
)
def test_stores_that_belong_together_open(stores: FoundStores, wanted: Identity | str) -> None:
    decided = decide(stores)
    if isinstance(wanted, Identity):
        assert decided == wanted
        return
    assert decided.installation == "ins_a" if wanted == "later" else decided.installation not in ("", "ins_a")
    assert decided.generation not in ("", "gen_1", "gen_2")
    assert decide(stores) != decided  # no two are the same


@pytest.mark.parametrize(
    ("stores", "refused", "said"),
    [
        (found(NOTHING, keys(A), A), LedgerMissing, "not there, but the keys know of 3 starts and there are 5"),
        (found(NOTHING, keys(A, rows=0), A, 0), LedgerMissing, "3 starts"),
        (found(NOTHING, keys(promise=0)), LedgerMissing, "Put the ledger back"),
        (found(NOTHING, keys(promise=0, rows=0), rows=0), LedgerMissing, "not there"),
        (found(NOTHING, None, A), LedgerMissing, "5 usage rows"),
        (found(ledger(some=False, promises=1), keys(A), A), LedgerMissing, "is empty"),
        (found(ledger(A, 8), keys(A), A), LedgerOlder, "holds 8 promises, the keys know that there were 9"),
        (found(ledger(A, 8), keys(REBUILT), A), LedgerOlder, "holds 8 promises"),
        (found(ledger(promises=0), keys(A), A), LedgerOlder, "of before the upgrade"),
        (found(ledger(B), keys(A), A), StoresDiffer, "ledger belongs to ins_b .*, keys belongs to ins_a"),
        (found(ledger(A), keys(A), B), StoresDiffer, "usage belongs to ins_b"),
        (found(ledger(A), keys(B), A), StoresDiffer, "keys belongs to ins_b"),
        (found(ledger(A), keys(A_LATER), A_LATER), StoresDiffer, "gen_1.*gen_2"),
        (found(ledger(A_LATER), keys(A_LATER), A), StoresDiffer, "gen_1"),
        (found(ledger(A), keys(), A), StoresDiffer, "keys belongs to none yet"),
        (found(ledger(A), keys(), usage=None), StoresDiffer, "keys belongs to none yet"),
        (found(ledger(A), keys(A), UNBOUND), StoresDiffer, "usage belongs to none yet"),
        (found(ledger(B), keys(REBUILT), A), StoresDiffer, "none yet .rebuilt"),
        (found(ledger(A), keys(A), A, journal=B), StoresDiffer, "journal belongs to ins_b"),
        (found(ledger(A_LATER), keys(A_LATER), A_LATER, journal=A), StoresDiffer, "journal belongs to ins_a .* gen_1"),
        (found(NOTHING, None, rows=0, journal=B), StoresDiffer, "journal belongs to ins_b"),
        (found(ledger(A), keys(REBUILT), A, journal=B), StoresDiffer, "journal belongs to ins_b"),
        (found(ledger(A), None, A), KeysBroken, "keys are new.*ins_a.*FLOWTALLY_REBUILD_KEYS=true"),
        (found(ledger(A), None, A, rows=0), KeysBroken, "Put the keys back"),
        (found(ledger(A), keys(A_LATER, 0, epoch=0), A), KeysBroken, "keys are new"),
        (found(ledger(A), None, B), StoresDiffer, "ins_b"),
    ],
)
def test_stores_that_do_not_belong_together_are_refused(stores: FoundStores, refused: type[Damage], said: str) -> None:
    with pytest.raises(refused, match=said):
        decide(stores)


@pytest.mark.parametrize("of_keys", [None, keys(A_LATER, 0, epoch=0)])
def test_a_rebuild_of_lost_keys_makes_a_generation(of_keys: Committed | None) -> None:
    decided = decide(found(ledger(A), of_keys, A), rebuild=True)
    assert decided.installation == "ins_a"
    assert decided.generation not in ("", "gen_1", "gen_2")


WHOSE = st.sampled_from([UNBOUND, A, A_LATER, B])


@given(WHOSE, WHOSE, WHOSE, st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_what_opens_is_one_installation_and_knows_every_promise(
    one: Identity, two: Identity, three: Identity, promises: int, promise: int, rebuild: bool
) -> None:
    """Keys that are in use, and rows: whatever else is bound must be the same, or nothing is bound."""
    stores = found(ledger(one, promises), keys(two, promise), three)
    try:
        decided = decide(stores, rebuild=rebuild)
    except Damage:
        assert len({one, two, three}) > 1 or promises < promise
    else:
        assert len({one, two, three}) == 1
        assert promises >= promise or two == UNBOUND
        assert two in (UNBOUND, decided)


# -- the real stores --------------------------------------------------------------------------------------------------


class Place:
    """An installation whose rows are in memory; each `open` is a start of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.usage = MemoryStore()
        self.clock = Clock()

    def copied(self, directory: Path) -> Place:
        """As it was left, in another place."""
        made = Place(directory)
        shutil.copytree(self.directory / "data", directory / "data")
        made.usage = copy_of(self.usage)
        return made

    @property
    def config(self) -> Config:
        return load_config({}, data=str(self.directory / "data"), usage_url="memory://", min_free_bytes=0)

    @property
    def ledger(self) -> Path:
        return self.directory / "data" / "ledger.db"

    def open(self, work: Callable[[Services], Any] = lambda services: None, **settings: Any) -> Any:
        config = msgspec.structs.replace(self.config, **settings)
        with open_services(config, usage=self.usage, clock=self.clock) as services:
            return work(services)

    def send(self, *ids: str) -> Any:
        def work(services: Services) -> Any:
            with services.ledger.begin() as tx:
                credential = credentials.issue(tx, "admin", None, "tests", NOW)[0]
            taking = services.ingest.take(
                msgspec.json.encode(named(*ids)), "application/json", None, credential, atomic=False, receipts_all=True
            )
            return run(taking)

        return self.open(work)

    def whose(self) -> set[tuple[str, str]]:
        """Of all four."""
        place, journal = (
            peek(self.directory / "data" / "keys.db"),
            peek_journal(self.directory / "data" / "journal.db"),
        )
        assert place is not None
        assert journal is not None
        opened = Ledger.open(self.config.ledger_url)
        with opened.read() as tx:
            held = installation.read_installation(tx)
        opened.close()
        mine = self.usage.identity()
        return {
            (place.installation, place.generation),
            (held.id, held.generation),
            (mine.installation, mine.generation),
            (journal.identity.installation, journal.identity.generation),
        }


@pytest.fixture(autouse=True, scope="module")
def _no_power_cut() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("os.sync", lambda: None)
        yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """It was started twice, and closed; for tests that begin with a copy, for a first start takes long."""
    made = Place(tmp_path_factory.mktemp("begun"))
    made.open()
    made.send()
    return made


@pytest.fixture(scope="module")
def with_acme(begun: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same with an account."""
    made = begun.copied(tmp_path_factory.mktemp("with_acme"))

    def fill(services: Services) -> None:
        with services.ledger.begin() as tx:
            accounts.create_account(tx, "acme", now=NOW)

    made.open(fill)
    return made


@pytest.fixture
def place(with_acme: Place, tmp_path: Path) -> Place:
    return with_acme.copied(tmp_path)


def test_a_start_binds_all_four_and_later_ones_leave_them(place: Place) -> None:
    [(id, generation)] = place.whose()
    assert (id[:4], generation[:4]) == ("ins_", "gen_")
    assert place.send("1").stored == 1
    assert place.whose() == {(id, generation)}


def test_a_ledger_that_was_removed_and_put_back_costs_nothing(place: Place) -> None:
    """The fault that lost events for good: the start opened, and numbers were refused and consumed."""
    assert place.send("1", "2").stored == 2
    kept = place.directory / "kept.db"
    shutil.move(place.ledger, kept)
    before = seen(place.directory)
    for settings in ({}, {"admin_token": "chosen-m4Vq8xTzJw2kRb7nHc5pYd9sLf3g-2"}, {"rebuild_keys": True}):
        with pytest.raises(LedgerMissing, match="not there"):
            place.open(**settings)
        assert seen(place.directory) == before
    shutil.move(kept, place.ledger)
    assert place.send("2", "3").stored == 1
    assert len(place.usage.rows) == 3


def test_an_empty_ledger_in_its_place_is_refused_too(place: Place) -> None:
    place.send("1")
    shutil.move(place.ledger, place.directory / "kept.db")
    Ledger.open(place.config.ledger_url).close()
    with pytest.raises(LedgerMissing, match="is empty"):
        place.open()


def test_an_older_copy_of_the_ledger_is_refused_whatever_it_lacks(place: Place) -> None:
    older = shutil.copy(place.ledger, place.directory / "older.db")
    place.send("1")

    def promise(services: Services) -> None:
        with services.ledger.begin() as tx:
            wallet.deposit(tx, "acme", 5, currency="USD", now=NOW)

    place.open(promise)
    newer = shutil.copy(place.ledger, place.directory / "newer.db")
    shutil.copy(older, place.ledger)
    with pytest.raises(LedgerOlder, match="older copy"):
        place.open()
    shutil.copy(newer, place.ledger)
    place.open()


def test_a_promise_after_the_last_block_is_known_at_a_clean_stop(place: Place) -> None:
    place.send("1")

    def last(services: Services) -> None:
        services.care.close()
        with services.ledger.begin() as tx:
            wallet.deposit(tx, "acme", 5, currency="USD", now=NOW)

    place.open(last)
    held = peek(place.directory / "data" / "keys.db")
    opened = Ledger.open(place.config.ledger_url)
    assert held is not None
    assert held.promise == opened.promises()
    opened.close()


def test_rows_of_accounts_the_ledger_lacks_are_refused_and_named(place: Place, tmp_path: Path) -> None:
    """Another ledger, bound as this one: no id tells it apart."""
    place.send("1")
    for row in place.usage.rows:
        row["account"] = "beta"
    with pytest.raises(MissingAccounts, match=r"1 accounts have usage .*'beta'"):
        place.open()


def test_two_installations_cannot_be_mixed(place: Place, tmp_path: Path) -> None:
    place.send("1")
    other = Place(tmp_path / "other")
    other.open()
    for store in ("keys", "ledger"):
        with pytest.raises(StoresDiffer, match="do not belong together"):
            place.open(**{f"{store}_url": getattr(other.config, f"{store}_url")})
    journal = place.directory / "data" / "journal.db"
    shutil.copy(journal, tmp_path / "kept.db")
    shutil.copy(other.directory / "data" / "journal.db", journal)
    with pytest.raises(StoresDiffer, match="journal belongs to"):
        place.open()
    shutil.copy(tmp_path / "kept.db", journal)
    mine, place.usage = place.usage, other.usage
    with pytest.raises((StoresDiffer, MissingRows)):
        place.open()
    place.usage = mine
    assert place.send("1", "2").stored == 1


def test_lost_keys_are_rebuilt_with_a_new_generation_and_numbers_nobody_had(place: Place) -> None:
    place.send("1")
    [(id, generation)] = place.whose()
    (place.directory / "data" / "keys.db").unlink()
    with pytest.raises(KeysBroken, match="FLOWTALLY_REBUILD_KEYS=true"):
        place.open()
    place.open(rebuild_keys=True)
    [(same, later)] = place.whose()
    assert (same == id, later == generation) == (True, False)
    assert place.send("1", "2").stored == 1
    assert max(row["block"] for row in place.usage.rows) > NOW


@pytest.mark.parametrize("rebuild", [False, True])
@pytest.mark.parametrize("step", ["keys", "usage", "journal", "ledger", "last", "start"])
def test_a_start_that_is_cut_short_goes_on_at_the_next(
    begun: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, rebuild: bool
) -> None:
    made = begun.copied(tmp_path) if rebuild else Place(tmp_path)
    if rebuild:
        (tmp_path / "data" / "keys.db").unlink()

    def die(*_: Any, **__: Any) -> None:
        raise Death

    target, name = {
        "keys": (Keys, "bind"),
        "usage": (MemoryStore, "bind"),
        "journal": (Journal, "bind"),
        "ledger": (installation, "bind"),
        "last": (Keys, "start"),
        "start": (Keys, "mark_clean"),
    }[step]
    with monkeypatch.context() as broken:
        broken.setattr(target, name, die)
        with pytest.raises(Death):
            made.open(rebuild_keys=rebuild)
    made.open(rebuild_keys=rebuild)
    assert len(made.whose()) == 1
    made.open()
