"""Do ledger, keys, usage and journal belong together? Looked at by every start, before anything is written.

Each store carries an installation's id and a generation. A first start binds keys, usage, journal, then the ledger, so
one that was cut short is told from a ledger that was lost: nothing was started yet. A restore and a rebuild of the keys
make a new generation, because block numbers and cursors then mean other rows. The keys also remember how many promises
the ledger held when a block was last committed: an older copy of the ledger has fewer.

Owns the rules. Who has the stores open is `door`'s and `start`'s business.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from flowtally.core.errors import KeysBroken, LedgerMissing, LedgerOlder, MissingAccounts, StoresDiffer
from flowtally.keys.store import Keys
from flowtally.keys.values import Committed
from flowtally.ledger import installation
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.ids import new_id
from flowtally.ledger.people import lookup
from flowtally.usage.journal import Journal
from flowtally.usage.values import Identity
from flowtally.usage.verbs import Claims, Owned

UNBOUND: Final = Identity()
NAMED: Final = 5  # accounts in an error


class IdentityUsage(Owned, Claims, Protocol):
    """What is asked before stores are bound to one another: whose the rows are, and whether there are any."""


class FoundStores(msgspec.Struct, frozen=True):
    """The stores as they are. `usage` is None while it is not open yet, `journal` where there is none or nobody asks;
    `shown` is the ledger's place."""

    shown: str
    ledger: installation.State
    keys: Committed | None
    usage: Identity | None = None
    rows: int = 0
    journal: Identity | None = None

    @property
    def of_ledger(self) -> Identity:
        return Identity(self.ledger.installation.id, self.ledger.installation.generation)

    @property
    def of_keys(self) -> Identity:
        return UNBOUND if self.keys is None else Identity(self.keys.installation, self.keys.generation)


def look(
    ledger: Ledger, keys: Committed | None, usage: IdentityUsage | None = None, journal: Identity | None = None
) -> FoundStores:
    """Changes nothing."""
    if usage is None:
        return FoundStores(ledger.shown, ledger.look(), keys, journal=journal)
    return FoundStores(ledger.shown, ledger.look(), keys, usage.identity(), usage.totals().rows, journal)


def decide(found: FoundStores, *, rebuild: bool = False) -> Identity:
    """What all are, or are to be bound to. Damage says which does not belong to the others, and what to do."""
    decided = _decide(found, rebuild)
    # Of a start that was cut short it may have what others do not have yet, or have no more.
    if found.journal not in (None, UNBOUND, decided, found.of_keys, found.of_ledger, found.usage):
        raise _differ(found)
    return decided


def _decide(found: FoundStores, rebuild: bool) -> Identity:
    _check_there(found)
    keys = found.keys
    if keys is None or keys.epoch == 0:
        return _of_new_keys(found, rebuild)
    if keys.installation and not keys.generation:
        return _of_rebuilt_keys(found, keys)
    if found.of_keys == UNBOUND:  # of a version that bound nothing: then nothing else is bound either
        if {found.of_ledger, found.usage or UNBOUND} != {UNBOUND}:
            raise _differ(found)
        return make_identity()
    begun = found.of_ledger == UNBOUND and keys.promise == 0  # a first start after an upgrade, cut short
    if found.of_ledger == UNBOUND and not begun:
        raise LedgerOlder(
            f"The ledger {found.shown} is of before the upgrade, and the keys know {keys.promise} promises made since:"
            " it is an older copy. Put the ledger back that belongs to them"
        )
    empty = found.rows == 0  # rows that are missing are told by number, against what was acknowledged
    if not (begun or found.of_ledger == found.of_keys):
        raise _differ(found)
    if found.usage is not None and found.usage != found.of_keys and not (found.usage == UNBOUND and (begun or empty)):
        raise _differ(found)
    _check_promises(found, keys)
    return found.of_keys


def check_accounts(tx: Tx, usage: Owned, shown: str) -> None:
    """MissingAccounts where rows name accounts that the ledger lacks. The ledger is of the present version."""
    if lacking := lookup.missing(tx, usage.accounts()):
        some = ", ".join(repr(one) for one in lacking[:NAMED]) + (", ..." if len(lacking) > NAMED else "")
        raise MissingAccounts(
            f"{len(lacking)} accounts have usage and are not in the ledger {shown}: {some}. It is older than the rows,"
            " or another one: put the ledger back that belongs to them"
        )


def check(
    usage: IdentityUsage,
    ledger: Ledger,
    keys: Committed | None,
    journal: Identity | None = None,
    *,
    rebuild: bool = False,
) -> Identity:
    """All of it, once the usage store is open."""
    found = look(ledger, keys, usage, journal)
    decided = decide(found, rebuild=rebuild)
    if found.rows:
        with ledger.read() as tx:
            check_accounts(tx, usage, ledger.shown)
    return decided


def make_identity(before: Identity = UNBOUND) -> Identity:
    """A new generation, of the same installation where there was one."""
    return Identity(before.installation or new_id("ins_"), new_id("gen_"))


def bind_first(identity: Identity, keys: Keys, usage: Owned, journal: Journal) -> None:
    """What comes before the ledger: keys, then usage and journal. Keys that were rebuilt come last (`bind_last`): as
    long as they have no generation, any that the others have is replaced."""
    place = keys.committed()
    if place.generation != identity.generation and (place.generation or not place.installation):
        keys.bind(identity.installation, identity.generation)
    if usage.identity() != identity:
        usage.bind(identity)
    if journal.identity() != identity:
        journal.bind(identity)


def bind_ledger(tx: Tx, identity: Identity) -> None:
    found = installation.read_installation(tx)
    if Identity(found.id, found.generation) != identity:
        installation.bind(tx, identity.installation, identity.generation)


def bind_last(identity: Identity, keys: Keys) -> None:
    """What comes after the ledger."""
    if keys.committed().generation != identity.generation:
        keys.bind(identity.installation, identity.generation)


def _check_there(found: FoundStores) -> None:
    """LedgerMissing where the ledger is new and the others are not."""
    keys, ledger = found.keys, found.ledger
    starts, rows = (0, found.rows) if keys is None else (keys.epoch, max(found.rows, keys.rows_total))
    if found.of_ledger != UNBOUND or ledger.accounts or not (starts or rows):
        return
    if ledger.exists and not rows and found.of_keys == UNBOUND:
        return  # an installation of before the upgrade that nobody has used yet
    raise LedgerMissing(
        f"The ledger {found.shown} is {'empty' if ledger.exists else 'not there'}, but the keys know of {starts} starts"
        f" and there are {rows} usage rows. Put the ledger back; nothing was changed"
    )


def _check_promises(found: FoundStores, keys: Committed) -> None:
    if found.ledger.installation.promises < keys.promise:
        raise LedgerOlder(
            f"The ledger {found.shown} holds {found.ledger.installation.promises} promises, the keys know that there"
            f" were {keys.promise}: it is an older copy. Put the newer one back; or restore ledger, keys and usage of"
            " one backup"
        )


def _of_rebuilt_keys(found: FoundStores, keys: Committed) -> Identity:
    """They know whose they are; the generation is to be a new one for all."""
    others = {found.of_ledger.installation}
    if found.usage is not None and (found.rows or found.usage != UNBOUND):
        others.add(found.usage.installation)
    if others != {keys.installation}:
        raise _differ(found)
    _check_promises(found, keys)
    return make_identity(found.of_keys)


def _of_new_keys(found: FoundStores, rebuild: bool) -> Identity:
    """Of a first start, also one that was cut short; else the keys are lost, and only a rebuild makes them anew."""
    mine, bound = found.of_keys, {found.of_ledger, found.usage or UNBOUND} - {UNBOUND}
    if bound <= {mine}:
        return mine if mine != UNBOUND else make_identity()
    if len({one.installation for one in bound}) > 1 or (found.of_ledger == UNBOUND and not found.ledger.accounts):
        raise _differ(found)
    if not rebuild:
        raise KeysBroken(
            f"The keys are new, but ledger or usage belong to the installation {next(iter(bound)).installation}. Put"
            " the keys back, or start once with FLOWTALLY_REBUILD_KEYS=true (what only they held is lost: owners of"
            " sources, reasons of refused numbered events)"
        )
    return make_identity(next(iter(bound)))


def _differ(found: FoundStores) -> StoresDiffer:
    stores = (("ledger", found.of_ledger), ("keys", found.of_keys), ("usage", found.usage), ("journal", found.journal))
    told = ", ".join(f"{name} {_told(identity)}" for name, identity in stores if identity is not None)
    return StoresDiffer(
        f"Ledger, keys, usage and journal do not belong together: {told}. One of them is another installation's, or a"
        " copy from before a restore, a rebuild or an upgrade: put those back that belong together"
    )


def _told(identity: Identity) -> str:
    if identity == UNBOUND:
        return "belongs to none yet"
    return f"belongs to {identity.installation} in generation {identity.generation or 'none yet (rebuilt)'}"
