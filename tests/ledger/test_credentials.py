"""Credentials: secrets are shown once, work until revoked, and are nowhere in the database."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from flowtally.core.errors import (
    AlreadyRotated,
    Conflict,
    LastAdmin,
    LimitReached,
    NotFound,
    UnknownAccount,
    Unprocessable,
)
from flowtally.ledger import recorded
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, credentials, rotation, senders
from flowtally.ledger.tables import credentials as credentials_table
from flowtally.protocol import Scope

ENV = "FLOWTALLY_ADMIN_TOKEN"
TOKEN = "operators-own-token-1"


@pytest.fixture(autouse=True)
def _accounts(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)


@pytest.mark.parametrize(
    ("scope", "account", "prefix"),
    [
        ("admin", None, "ft_adm_"),
        ("account", "acme", "ft_acc_"),
        ("manage", "acme", "ft_man_"),
        ("ingest", None, "ft_ing_"),
        ("ingest", "acme", "ft_"),
    ],
)
def test_a_token_tells_whose_it_is(ledger: Ledger, scope: Scope, account: str | None, prefix: str) -> None:
    with ledger.begin() as tx:
        made, token, key = credentials.issue(tx, scope, account, "edge 1", 5)
        assert token.startswith(prefix)
        assert credentials.authenticate(tx, token) == made
        assert (made.scope, made.account, made.name, made.created_at) == (scope, account, "edge 1", 5)
        assert credentials.key_matches(tx, made.id, key)
        assert not credentials.key_matches(tx, made.id, token)
        assert not credentials.key_matches(tx, "crd_unknown", key)


@pytest.mark.parametrize(("scope", "account"), [("admin", "acme"), ("account", None), ("manage", None)])
def test_scope_and_account_go_together(ledger: Ledger, scope: Scope, account: str | None) -> None:
    with pytest.raises(Unprocessable) as caught, ledger.begin() as tx:
        credentials.issue(tx, scope, account, "", 5)
    assert caught.value.extra["field"] == "account"


def test_a_credential_that_manages_is_told_as_one_wherever_it_is_read(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made, token, _ = credentials.issue(tx, "manage", "acme", "panel", 5)
        assert credentials.authenticate(tx, token) == made == credentials.read_credential(tx, made.id)
        assert credentials.list_credentials(tx, "acme").items == [made]
        assert credentials.revoke(tx, made.id, 9).scope == "manage"


def test_a_credential_needs_an_account_that_is_open(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        with pytest.raises(UnknownAccount):
            credentials.issue(tx, "account", "nobody", "", 5)
        accounts.change_account(tx, "beta", status="closed", now=5)
        with pytest.raises(Conflict, match="closed"):
            credentials.issue(tx, "account", "beta", "", 5)


def test_no_secret_is_in_the_database(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        _, token, key = credentials.issue(tx, "admin", None, "", 5)
        credentials.import_token(tx, TOKEN, name=ENV, now=5)
        kept = str(tx.execute(select(credentials_table)).all())
    for secret in (token, key, TOKEN):
        assert secret not in kept
        assert secret[-20:] not in kept


def test_secrets_are_256_bits_and_never_the_same(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = [credentials.issue(tx, "ingest", None, "", 5) for _ in range(20)]
    secrets = {secret for _, token, key in made for secret in (token, key)}
    assert len(secrets) == 40
    assert {len(secret) for secret in secrets} == {7 + 43 + 6}  # 43 digits of base 62 hold 32 bytes


@pytest.mark.parametrize("token", ["", "ft_adm_", "ft_adm_" + "x" * 43, "\x00", "\ud800", "ü" * 1000, "crd_", "a" * 64])
def test_a_token_of_nobody_is_nobody(ledger: Ledger, token: str) -> None:
    with ledger.begin() as tx:
        credentials.issue(tx, "admin", None, "", 5)
        assert credentials.authenticate(tx, token) is None


def test_the_hash_in_a_stolen_backup_is_no_token(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        credentials.issue(tx, "admin", None, "", 5)
        stolen = tx.execute(select(credentials_table.c.token_hash)).scalar_one()
        assert credentials.authenticate(tx, stolen) is None


def test_a_revoked_token_is_refused_and_revoking_again_changes_nothing(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made, token, _ = credentials.issue(tx, "account", "acme", "", 5)
        revoked = credentials.revoke(tx, made.id, 9, account="acme")
        assert revoked.revoked_at == 9
        assert credentials.revoke(tx, made.id, 12) == revoked == credentials.read_credential(tx, made.id)
        assert credentials.authenticate(tx, token) is None


def test_another_accounts_credential_is_not_found(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made, token, _ = credentials.issue(tx, "account", "acme", "", 5)
        for credential_id, account in ((made.id, "beta"), ("crd_unknown", None), ("\x00", None)):
            with pytest.raises(NotFound):
                credentials.read_credential(tx, credential_id, account=account)
            with pytest.raises(NotFound):
                credentials.revoke(tx, credential_id, 9, account=account)
        assert credentials.authenticate(tx, token) == made


def test_credentials_are_listed_by_account_revoked_ones_too(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = [credentials.issue(tx, "account", account, "", 5)[0] for account in ("acme", "beta", "acme")]
        admin, _, _ = credentials.issue(tx, "admin", None, "", 5)
        first = credentials.revoke(tx, made[0].id, 6)
        assert credentials.list_credentials(tx, "acme").items == [first, made[2]]
        page = credentials.list_credentials(tx, limit=3)
        assert page.items + credentials.list_credentials(tx, None, page.next).items == [first, *made[1:], admin]
        with pytest.raises(UnknownAccount):
            credentials.list_credentials(tx, "nobody")


def test_the_operators_token_is_imported_once(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert not credentials.has_admin(tx)
        made = credentials.import_token(tx, TOKEN, name=ENV, now=5)
        assert credentials.import_token(tx, TOKEN, name=ENV, now=6) == made == credentials.authenticate(tx, TOKEN)
        assert (made.scope, made.account) == ("admin", None)
        assert credentials.has_admin(tx)
        assert not credentials.key_matches(tx, made.id, "")


def test_another_token_in_the_setting_locks_out_the_one_before(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        issued, token, _ = credentials.issue(tx, "admin", None, ENV, 4)  # same name, but not imported
        credentials.import_token(tx, TOKEN, name=ENV, now=5)
        credentials.import_token(tx, "another-token-of-theirs", name=ENV, now=6)
        assert credentials.authenticate(tx, TOKEN) is None
        assert credentials.authenticate(tx, token) == issued
        with pytest.raises(Conflict, match="cannot be used"):
            credentials.import_token(tx, TOKEN, name=ENV, now=7)
        assert credentials.authenticate(tx, "another-token-of-theirs") is not None


def test_an_issued_token_of_another_scope_does_not_become_admin_by_import(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        _, token, _ = credentials.issue(tx, "account", "acme", ENV, 5)
        with pytest.raises(Conflict, match="cannot be used"):
            credentials.import_token(tx, token, name=ENV, now=6)


@pytest.mark.parametrize("token", ["", "x" * 19, "x" * 1025, "x" * 30 + " ", "x" * 30 + "\n", "ü" * 30])
def test_an_imported_token_must_be_long_and_fit_a_header(ledger: Ledger, token: str) -> None:
    with pytest.raises(Unprocessable), ledger.begin() as tx:
        credentials.import_token(tx, token, name=ENV, now=5)


@pytest.mark.parametrize("account", [None, "acme"])
def test_a_new_credential_goes_on_as_the_sender_it_is_issued_for(ledger: Ledger, account: str | None) -> None:
    with ledger.begin() as tx:
        old, *_ = credentials.issue(tx, "ingest", account, "gw", 5)
        new, token, _ = credentials.issue(tx, "ingest", account, "gw again", 6, sender=old.sender)
        other, *_ = credentials.issue(tx, "ingest", account, "gw", 7)
        assert credentials.authenticate(tx, token) == new
        assert old.sender == new.sender != other.sender
        credentials.revoke(tx, old.id, 8)
        assert credentials.authenticate(tx, token) == new
        assert [one.name for one in senders.list_senders(tx, account).items] == ["gw", "gw"]


@pytest.mark.parametrize("of", [None, "acme", "beta"])
@pytest.mark.parametrize(
    ("scope", "account"), [("ingest", None), ("ingest", "acme"), ("admin", None), ("account", "acme")]
)
def test_a_senders_credentials_are_bound_as_it_is(
    ledger: Ledger, of: str | None, scope: Scope, account: str | None
) -> None:
    with ledger.begin() as tx:
        sender = credentials.issue(tx, "ingest", of, "gw", 5)[0].sender
        if of == account and scope != "account":
            assert credentials.issue(tx, scope, account, "", 6, sender=sender)[0].sender == sender
            return
        with pytest.raises(Unprocessable) as caught:
            credentials.issue(tx, scope, account, "", 6, sender=sender)
    assert caught.value.extra["field"] == "sender"


@pytest.mark.parametrize("sender", ["snd_unknown", "", "\0"])
def test_a_credential_is_issued_for_a_sender_that_is_there(ledger: Ledger, sender: str) -> None:
    with pytest.raises(NotFound), ledger.begin() as tx:
        credentials.issue(tx, "ingest", None, "", 6, sender=sender)


def test_a_changed_token_of_the_operators_goes_on_as_the_sender_of_the_one_before(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        first = credentials.import_token(tx, TOKEN, name=ENV, now=5)
        second = credentials.import_token(tx, TOKEN + "x", name=ENV, now=6)
        assert (first.sender, first.id) == (second.sender, credentials.read_credential(tx, first.id).id)
        assert first.id != second.id


def test_a_sender_is_called_otherwise_and_stays_the_same(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made, *_ = credentials.issue(tx, "ingest", "acme", "gw", 5)
        assert made.sender is not None
        renamed = senders.rename_sender(tx, made.sender, "gateway 1", now=6)
        assert renamed == senders.Sender(made.sender, "acme", "gateway 1", 5) == senders.read_sender(tx, made.sender)
        with pytest.raises(NotFound):
            senders.rename_sender(tx, "snd_unknown", "x", now=6)
        with pytest.raises(UnknownAccount):
            senders.list_senders(tx, "nobody")


def issued(ledger: Ledger, **more: Any) -> tuple[credentials.Credential, str]:
    with ledger.begin() as tx:
        return credentials.issue(tx, "ingest", None, "gateway", 5, **more)[:2]


def test_a_rotated_credential_is_replaced_by_one_of_its_kind_and_ends_after_the_overlap(ledger: Ledger) -> None:
    old, token = issued(ledger, addresses=["10.0.0.0/8", "::ffff:192.0.2.1"], expires_at=90_000)
    with ledger.begin() as tx:
        new, new_token, key = rotation.rotate(tx, old.id, now=10, overlap_s=60)
        assert new == replace(old, id=new.id, created_at=10, replaces=old.id)
        assert (new.addresses, new.sender) == ("10.0.0.0/8 192.0.2.1", old.sender)
        assert credentials.authenticate(tx, token) == replace(old, expires_at=60_010)
        assert credentials.authenticate(tx, new_token) == new
        assert credentials.key_matches(tx, new.id, key)


@pytest.mark.parametrize(("expires_at", "overlap_s", "ends"), [(None, 0, 10), (None, 1, 1010), (500, 1, 500)])
def test_the_old_one_ends_after_the_overlap_and_never_later_than_it_would_have(
    ledger: Ledger, expires_at: int | None, overlap_s: int, ends: int
) -> None:
    old, _ = issued(ledger, expires_at=expires_at)
    with ledger.begin() as tx:
        new, *_ = rotation.rotate(tx, old.id, now=10, overlap_s=overlap_s)
        assert (credentials.read_credential(tx, old.id).expires_at, new.expires_at) == (ends, expires_at)


def test_a_replacement_that_nobody_used_is_replaced_and_one_that_is_used_stays(ledger: Ledger) -> None:
    old, _ = issued(ledger)
    with ledger.begin() as tx:
        lost, *_ = rotation.rotate(tx, old.id, now=10, overlap_s=60)
        again, *_ = rotation.rotate(tx, old.id, now=20, overlap_s=60)
        assert credentials.read_credential(tx, lost.id).revoked_at == 20
        assert credentials.read_credential(tx, old.id).expires_at == 60_010
        assert again.expires_at is None
        credentials.note_used(tx, {again.id: 60_000})
        with pytest.raises(AlreadyRotated) as caught:
            rotation.rotate(tx, old.id, now=30, overlap_s=60)
        assert caught.value.extra == {"replaced_by": again.id}
        credentials.revoke(tx, again.id, 40)
        assert rotation.rotate(tx, old.id, now=50, overlap_s=60)[0].expires_at is None


def test_what_was_changed_of_an_unused_replacement_holds_for_the_next_one(ledger: Ledger) -> None:
    old, _ = issued(ledger)
    with ledger.begin() as tx:
        lost, *_ = rotation.rotate(tx, old.id, now=10, overlap_s=60, extends=False)
        credentials.change_credential(tx, lost.id, now=20, name="bound", addresses=["192.0.2.1"], expires_at=90_000)
        again, *_ = rotation.rotate(tx, old.id, now=30, overlap_s=60, extends=False)
        assert (again.name, again.addresses, again.expires_at) == ("bound", "192.0.2.1", 90_000)
        assert (again.id != lost.id, again.replaces) == (True, old.id)


def test_whose_replacement_was_revoked_gets_none_by_itself_that_lives_longer(ledger: Ledger) -> None:
    old, _ = issued(ledger)
    with ledger.begin() as tx:
        lost, *_ = rotation.rotate(tx, old.id, now=10, overlap_s=60, extends=False)
        credentials.revoke(tx, lost.id, 20)
        again, *_ = rotation.rotate(tx, old.id, now=30, overlap_s=60, extends=False)
        assert again.expires_at == credentials.read_credential(tx, old.id).expires_at == 60_010


def test_nobody_fills_the_table_by_rotating(ledger: Ledger) -> None:
    old, _ = issued(ledger)
    with ledger.begin() as tx:
        for _ in range(rotation.MAX_UNUSED):
            last, *_ = rotation.rotate(tx, old.id, now=10, overlap_s=60)
        with pytest.raises(LimitReached):
            rotation.rotate(tx, old.id, now=10, overlap_s=60)
        assert not credentials.read_credential(tx, last.id).has_ended(11)


def test_whoever_rotates_itself_gives_itself_no_longer_life(ledger: Ledger) -> None:
    old, _ = issued(ledger, expires_at=100)
    with ledger.begin() as tx:
        with pytest.raises(Unprocessable):
            rotation.rotate(tx, old.id, now=10, overlap_s=0, expires_at=101, extends=False)
        assert rotation.rotate(tx, old.id, now=10, overlap_s=0, expires_at=99, extends=False)[0].expires_at == 99
    other, _ = issued(ledger, expires_at=100)
    with ledger.begin() as tx:
        assert rotation.rotate(tx, other.id, now=10, overlap_s=0, expires_at=101)[0].expires_at == 101


def test_what_has_ended_and_what_is_a_setting_is_not_rotated(ledger: Ledger) -> None:
    revoked, expired = issued(ledger)[0], issued(ledger, expires_at=9)[0]
    with ledger.begin() as tx:
        credentials.revoke(tx, revoked.id, 7)
        chosen = credentials.import_token(tx, TOKEN, name=ENV, now=5)
        with pytest.raises(Conflict, match="is a setting"):
            credentials.change_credential(tx, chosen.id, now=6, expires_at=9)
        for one, said in ((revoked, "has ended"), (expired, "has ended"), (chosen, "changing")):
            with pytest.raises(Conflict, match=said):
                rotation.rotate(tx, one.id, now=10, overlap_s=60)


def test_somebody_can_always_administer(ledger: Ledger) -> None:
    """Whatever is revoked, shortened or rotated: an admin credential without an end is left."""
    with ledger.begin() as tx:
        first = credentials.issue(tx, "admin", None, "", 5)[0]
        credentials.issue(tx, "admin", None, "for a day", 5, expires_at=86_400_000)
        for lose in (
            lambda: credentials.revoke(tx, first.id, 6),
            lambda: credentials.change_credential(tx, first.id, now=6, expires_at=9),
            lambda: rotation.rotate(tx, first.id, now=6, overlap_s=0, expires_at=9),
        ):
            with pytest.raises(LastAdmin), tx.begin_nested():
                lose()
        third, *_ = rotation.rotate(tx, first.id, now=6, overlap_s=0)
        assert credentials.has_admin(tx, 10)
        with pytest.raises(LastAdmin), tx.begin_nested():
            credentials.revoke(tx, third.id, 7)
        credentials.issue(tx, "admin", None, "another", 8)
        assert credentials.revoke(tx, third.id, 9).revoked_at == 9


def test_only_who_can_ask_now_administers(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        credentials.issue(tx, "admin", None, "for a day", 5, expires_at=50)
        assert credentials.has_admin(tx, 49)
        assert not credentials.has_admin(tx, 50)


def test_an_end_comes_earlier_never_later(ledger: Ledger) -> None:
    one, _ = issued(ledger, expires_at=50)
    with ledger.begin() as tx:
        for at in (51, 6, 5):
            with pytest.raises(Unprocessable):
                credentials.change_credential(tx, one.id, now=6, expires_at=at)
        changed = credentials.change_credential(tx, one.id, now=6, name="n", addresses=["::1", "::1"], expires_at=49)
        assert (changed.name, changed.addresses, changed.expires_at) == ("n", "::1", 49)
        assert changed == credentials.read_credential(tx, one.id)
        with pytest.raises(Conflict, match="has ended"):
            credentials.change_credential(tx, one.id, now=49, name="m")


def test_when_it_was_last_used_only_goes_on(ledger: Ledger) -> None:
    one, other = issued(ledger)[0], issued(ledger)[0]
    with ledger.begin() as tx:
        credentials.note_used(tx, {one.id: 120_000, other.id: 60_000})
        credentials.note_used(tx, {one.id: 60_000, "crd_unknown": 60_000})
        used = [credentials.read_credential(tx, id).last_used_at for id in (one.id, other.id)]
        assert used == [120_000, 60_000]
    with ledger.read() as tx:
        last = recorded.list_records(tx, recorded.Filter()).items[-1]
    assert (last.action, last.subject) == ("credential.issue", other.id), "the trail holds no uses"
