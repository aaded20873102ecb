"""Credentials of a restored backup: none that was revoked since lives again unseen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.ledger.conftest import NewUrl

from flowtally.core.errors import ConfigError
from flowtally.ledger import installation, migrations
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials, revived
from flowtally.ledger.people.revived import Before, End
from flowtally.ledger.recorded import Filter, list_records

NOW = 1_700_000_000_000
LONG = 10**6  # promises: more than any ledger here


def issue(tx: Connection, scope: Any = "ingest", **more: Any) -> str:
    return credentials.issue(tx, scope, None, scope, NOW - 100, **more)[0].id


def alive(tx: Connection) -> set[str]:
    return {one.id for one in credentials.live_credentials(tx, NOW)}


def test_what_the_ledger_of_before_ended_is_ended_and_nothing_else(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        admin, gone, rotated, later, same, unknown = issue(tx, "admin"), *(issue(tx) for _ in range(5))
        soon = issue(tx, expires_at=NOW + 5)
        ends = {
            admin: End(None, None),
            gone: End(NOW - 7, None),
            rotated: End(None, NOW - 1),
            later: End(None, NOW + 50),
            same: End(None, None),
            soon: End(None, NOW + 9),  # never later than here
            "crd_since": End(None, None),
        }
        assert revived.end_as_before(tx, Before("", LONG, ends), NOW) == (3, None)
        assert alive(tx) == {admin, later, same, soon, unknown}
        assert credentials.read_credential(tx, later).expires_at == NOW + 50
        assert credentials.read_credential(tx, soon).expires_at == NOW + 5
    with ledger.read() as tx:
        assert len(list_records(tx, Filter(action="credential.revoke")).items) == 1
        assert list(rules.faults(tx)) == []


@pytest.mark.parametrize(
    ("here", "there", "then"),
    [
        ("", "10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1 10.2.0.0/16", "10.0.0.1 10.2.0.0/16"),
        ("10.0.0.1", "", "10.0.0.1"),  # nobody may more than the backup says
        ("10.0.0.1", "10.0.0.0/8", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_what_the_ledger_of_before_bound_to_addresses_is_bound(
    ledger: Ledger, here: str, there: str, then: str
) -> None:
    with ledger.begin() as tx:
        bound, ends = issue(tx, addresses=here.split()), End(None, NOW + 9, there)
        admin = issue(tx, "admin")
        assert revived.end_as_before(tx, Before("", LONG, {bound: ends, admin: End(None, None)}), NOW) == (1, None)
        found = credentials.read_credential(tx, bound)
        assert (found.addresses, found.expires_at) == (then, NOW + 9)


def test_where_nobody_could_administer_there_is_a_new_one(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        admin = issue(tx, "admin")
        ended, token = revived.end_as_before(tx, Before("", LONG, {admin: End(1, None)}), NOW)
        assert ended == 1
        assert token is not None
        made = credentials.authenticate(tx, token)
        assert made is not None
        assert (made.scope, alive(tx)) == ("admin", {made.id})


def test_all_can_be_revoked_but_a_new_one(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for scope in ("admin", "ingest", "ingest"):
            issue(tx, scope)
        ended, token = revived.revoke_all(tx, NOW)
        assert (ended, len(alive(tx))) == (3, 1)
        assert token is not None
        assert credentials.authenticate(tx, token) is not None


@pytest.mark.parametrize(
    ("before", "said"),
    [(Before("ins_2", LONG, {}), "another installation"), (Before("ins_1", 0, {}), "older than the backup")],
)
def test_a_ledger_that_cannot_know_is_refused(ledger: Ledger, before: Before, said: str) -> None:
    with ledger.begin() as tx:
        installation.bind(tx, "ins_1", "g1")
    with ledger.begin():
        pass
    with pytest.raises(ConfigError, match=said), ledger.begin() as tx:
        revived.end_as_before(tx, before, NOW)


def test_a_ledger_of_any_version_tells_what_it_ended(new_url: NewUrl, tmp_path: Path) -> None:
    url = new_url()
    older = Ledger.reach(url)
    with older.begin() as tx:
        migrations.upgrade(tx, "0005")
        for id, revoked in (("crd_1", "NULL"), ("crd_2", "7")):
            hashed = id[-1] * 64
            row = f"('{id}', 'ingest', NULL, '', '{hashed}', NULL, 5, {revoked}, 0)"
            tx.execute(text(f"INSERT INTO credentials VALUES {row}"))
    older.close()
    assert revived.look_at(url) == Before("", 0, {"crd_1": End(None, None), "crd_2": End(7, None)})
    ledger = Ledger.open(url)
    with ledger.begin() as tx:
        installation.bind(tx, "ins_1", "g1")
        made = issue(tx, expires_at=NOW + 5, addresses=["10.0.0.1"])
    found, ends = revived.look_at(url), End(None, NOW + 5, "10.0.0.1")
    assert (found.installation, found.ends[made], found.ends["crd_2"]) == ("ins_1", ends, End(7, None))
    assert found.promises == ledger.promises()
    ledger.close()
    with pytest.raises(ConfigError, match="There is no ledger"):
        revived.look_at(f"sqlite:///{tmp_path}/nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()


def test_they_are_told_of_until_somebody_confirms_them(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert revived.unconfirmed(tx) is None
        assert revived.confirm(tx, now=NOW) is None
        revived.mark(tx, 70)
        assert revived.unconfirmed(tx) == 70
    with ledger.begin() as tx:
        assert revived.confirm(tx, now=NOW) == 70
        assert revived.unconfirmed(tx) is None
    with ledger.read() as tx:
        assert len(list_records(tx, Filter(action="credentials.confirm")).items) == 1
