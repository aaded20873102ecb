"""The schema refuses by itself what the commands refuse: the last line against our own mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, create_engine, insert, text
from sqlalchemy.exc import IntegrityError

from flowtally.ledger import tables
from flowtally.ledger.checks import schema
from flowtally.ledger.database import Ledger

BY_NAME = tables.metadata.tables
ROWS: dict[str, dict[str, object]] = {
    "accounts": {
        "id": "acme",
        "name": "",
        "timezone": "UTC",
        "status": "active",
        "carry_from": 0,
        "overage": "carry",
        "created_at": 0,
        "changed_at": 0,
    },
    "users": {"id": "usr_1", "account": "acme", "created_at": 0},
    "user_names": {"account": "acme", "name": "ann", "user_id": "usr_1", "valid_from": 0, "valid_to": None},
    "managed_users": {
        "user_id": "usr_1",
        "account": "acme",
        "name": "ann",
        "product": None,
        "status": "active",
        "funded": 0,
        "limit_amount": None,
        "limit_unit": None,
        "limit_window": None,
        "password": None,
        "changed_at": 0,
    },
    "pools": {"name": "gold", "charge": "bytes", "created_at": 0},
    "product_pools": {"product": "isp", "pool": "gold", "mapped_at": 0},
    "products_used": {"product": "isp", "first_used_at": 0},
    "grants": {
        "id": "grn_1",
        "account": "acme",
        "pool": "gold",
        "amount": 1,
        "source": "order",
        "reference": "",
        "priority": 100,
        "starts_at": 5,
        "expires_at": None,
        "created_at": 0,
    },
    "grant_voids": {"grant_id": "grn_1", "voided_at": 0, "reason": ""},
    "allocations": {
        "id": "alc_1",
        "account": "acme",
        "user_id": "usr_1",
        "pool": "gold",
        "amount": 1,
        "created_at": 0,
    },
    "allocation_returns": {"id": "ret_1", "allocation_id": "alc_1", "amount": 1, "returned_at": 0},
    "transfers": {
        "id": "trf_1",
        "kind": "deposit",
        "currency": "USD",
        "reference": "",
        "reason": "",
        "created_at": 0,
    },
    "transfer_entries": {"transfer_id": "trf_1", "book": "wallet", "account": "acme", "amount": 5},
    "plans": {
        "id": "small",
        "name": "Small",
        "pool": "gold",
        "amount": 1,
        "price": 1,
        "currency": "USD",
        "days": None,
        "created_at": 0,
        "retired_at": None,
    },
    "purchases": {
        "id": "ord_1",
        "account": "acme",
        "plan_id": "small",
        "name": "Small",
        "pool": "gold",
        "amount": 1,
        "price": 1,
        "currency": "USD",
        "days": None,
        "transfer_id": "trf_1",
        "grant_id": "grn_1",
        "created_at": 0,
    },
    "whitelist": {
        "id": "wip_1",
        "account": "acme",
        "user_id": None,
        "pool": "gold",
        "address": "192.0.2.1",
        "enabled": 1,
        "created_at": 0,
        "changed_at": 0,
    },
    "vouchers": {
        "id": "vch_1",
        "account": "acme",
        "pool": "gold",
        "amount": 1,
        "duration_s": 60,
        "digest": "e" * 64,
        "sealed": "x",
        "created_at": 0,
    },
    "voucher_ends": {"voucher_id": "vch_1", "ended_at": 5, "redeemed_by": "acme", "grant_id": "grn_1"},
    "check_ins": {
        "account": "acme",
        "day": "2026-03-01",
        "timezone": "UTC",
        "checked_in_at": 5,
        "grant_id": "grn_1",
    },
    "senders": {"id": "snd_1", "account": None, "name": "", "created_at": 0},
    "credentials": {
        "id": "crd_1",
        "sender": "snd_1",
        "scope": "ingest",
        "account": None,
        "name": "",
        "token_hash": "a" * 64,
        "key_hash": None,
        "created_at": 0,
        "revoked_at": None,
    },
    "periods": {
        "id": "per_1",
        "account": "acme",
        "number": 1,
        "starts_at": 5,
        "ends_at": 9,
        "timezone": "UTC",
        "block": 0,
        "closed_at": 9,
        "statement": "{}",
    },
    "idempotency": {
        "account": "",
        "key": "k",
        "digest": "d" * 64,
        "status": 201,
        "response": "{}",
        "created_at": 0,
    },
    "used_keys": {"account": "acme", "key": "k", "digest": "d" * 64, "used_at": 0},
    "providers": {
        "id": "prv_1",
        "account": "acme",
        "name": "thor",
        "vendor": "thordata",
        "address": "",
        "settings": "{}",
        "rules": "",
        "since": 0,
        "every_s": None,
        "paused": 0,
        "created_at": 0,
        "changed_at": 0,
        "removed_at": None,
        "state": "new",
        "state_since": 0,
        "detail": "",
        "failures": 0,
        "tried_at": None,
        "pulled_at": None,
        "next_at": 0,
    },
    "provider_secrets": {"id": "prv_1/token", "provider": "prv_1", "name": "token", "sealed": "x"},
    "provider_stretches": {
        "provider": "prv_1",
        "starts_at": 5,
        "ends_at": 9,
        "grain": "day",
        "zone": "UTC",
        "step": 1024,
        "asked_at": 9,
    },
    "provider_balances": {
        "provider": "prv_1",
        "label": "traffic",
        "seen_at": 9,
        "quantity": "bytes",
        "left": 5,
        "used": None,
        "total": None,
        "currency": "",
        "expires_at": None,
        "step": 1,
    },
    "provider_grants": {
        "provider": "prv_1",
        "id": "g",
        "said_order": "",
        "kind": "order",
        "quantity": "bytes",
        "amount": 9,
        "used": 5,
        "baseline": 0,
        "created_at": None,
        "expires_at": None,
        "standing": "active",
        "raw_created": "",
        "raw_expires": "",
        "first_at": 9,
        "gone_at": None,
    },
    "provider_sub_users": {
        "provider": "prv_1",
        "name": "bob",
        "enabled": 1,
        "limit_bytes": None,
        "used": None,
        "first_at": 9,
        "gone_at": None,
    },
    "provider_pulls": {
        "id": "pul_1",
        "provider": "prv_1",
        "began_at": 5,
        "ended_at": 9,
        "outcome": "ok",
        "detail": "",
        "calls": 1,
        "figures": 0,
        "changed": 0,
    },
    "provider_reconciliations": {
        "id": "rec_1",
        "provider": "prv_1",
        "starts_at": 5,
        "ends_at": 9,
        "block": 3,
        "kept_at": 9,
        "match": "beyond",
        "answer": "{}",
    },
    "shadows": {
        "account": "acme",
        "dialect": "thordata",
        "provider": "prv_1",
        "enabled": 1,
        "share": 100,
        "changed_at": 5,
        "detail": "",
        "detail_at": None,
    },
    "shadow_routes": {
        "account": "acme",
        "dialect": "thordata",
        "route": "GET /",
        "agreed": 1,
        "differed": 0,
        "failed": 0,
        "last_at": 5,
    },
    "shadow_differences": {
        "id": "shd_1",
        "account": "acme",
        "dialect": "thordata",
        "provider": "prv_1",
        "route": "GET /",
        "at": 5,
        "question": "{}",
        "ours": "1",
        "theirs": "2",
        "fields": "[]",
        "count": 1,
    },
    "stock": {
        "id": "stk_1",
        "kind": "isp",
        "address": "192.0.2.1",
        "port": 80,
        "username": "",
        "sealed": None,
        "name": "",
        "country": "",
        "state": "",
        "city": "",
        "region": "",
        "free_at": 9,
        "created_at": 0,
        "changed_at": 0,
        "retired_at": None,
    },
    "lease_plans": {
        "id": "lpl_1",
        "name": "ISP",
        "kind": "isp",
        "days": 30,
        "price": 5,
        "currency": "USD",
        "country": "",
        "state": "",
        "city": "",
        "region": "",
        "created_at": 0,
        "retired_at": None,
    },
    "leases": {
        "id": "lse_1",
        "account": "acme",
        "stock_id": "stk_1",
        "plan_id": None,
        "starts_at": 5,
        "ends_at": 9,
        "grace_ms": 0,
        "auto_renew": 0,
        "released_at": None,
        "created_at": 5,
    },
    "lease_terms": {
        "lease_id": "lse_1",
        "number": 1,
        "what": "given",
        "order_id": "ord_1",
        "plan_id": None,
        "starts_at": 5,
        "ends_at": 9,
        "price": 0,
        "currency": "",
        "transfer_id": None,
        "created_at": 5,
    },
}

LIMITED = {"user_id": "usr_2", "name": "bob", "limit_amount": 5, "limit_unit": "bytes", "limit_window": "day"}

OTHER: dict[str, object] = {"id": "o", "transfer_id": "trf_2", "grant_id": "grn_8"}  # a purchase that could be

BAD: list[tuple[str, dict[str, object]]] = [
    ("accounts", {}),  # the same row again
    ("accounts", {"id": ""}),
    ("accounts", {"id": "x" * 257}),
    ("accounts", {"id": "b", "status": "gone"}),
    ("accounts", {"id": "b", "overage": "maybe"}),
    ("accounts", {"id": "b", "carry_from": -1}),
    ("accounts", {"id": "b", "timezone": None}),
    ("users", {"id": "usr_2", "account": "nobody"}),
    ("user_names", {"valid_from": 7, "user_id": "usr_2"}),  # two bear the name at a time
    ("user_names", {"name": "bob"}),  # two names at a time
    ("user_names", {"name": "", "user_id": "usr_2"}),
    ("user_names", {"name": "bob", "user_id": "usr_2", "valid_from": 5, "valid_to": 5}),
    ("user_names", {"name": "bob", "user_id": "usr_2", "account": "beta"}),  # a name in another account
    ("pools", {"name": "x", "charge": "hours"}),
    ("pools", {"name": "x" * 65}),
    ("product_pools", {"product": "p", "pool": "nowhere"}),
    ("product_pools", {"pool": "traffic"}),
    ("products_used", {}),
    ("grants", {"id": "g", "amount": 0}),
    ("grants", {"id": "g", "amount": 2**53}),
    ("grants", {"id": "g", "source": ""}),
    ("grants", {"id": "g", "reference": "x" * 257}),
    ("grants", {"id": "g", "priority": 1_000_001}),
    ("grants", {"id": "g", "priority": -1}),
    ("grants", {"id": "g", "starts_at": -1}),
    ("grants", {"id": "g", "expires_at": 5}),
    ("grants", {"id": "g", "pool": "nowhere"}),
    ("grants", {"id": "g", "account": "nobody"}),
    ("grant_voids", {}),  # voided once
    ("grant_voids", {"grant_id": "grn_9"}),
    ("managed_users", {"user_id": "usr_2"}),  # the same name
    ("managed_users", {"user_id": "usr_2", "name": "bob", "account": "beta"}),
    ("managed_users", {"user_id": "usr_2", "name": "bob", "status": "deleted"}),
    ("managed_users", {"user_id": "usr_2", "name": None}),
    ("managed_users", {"user_id": "usr_2", "name": "bob", "status": "asleep"}),
    ("managed_users", {"user_id": "usr_2", "name": "bob", "funded": 2}),
    ("managed_users", {"user_id": "usr_2", "name": "bob", "limit_amount": 5}),
    ("managed_users", {"user_id": "usr_2", "name": "bob", "limit_unit": "bytes", "limit_window": "day"}),
    ("managed_users", LIMITED | {"limit_amount": -1}),
    ("managed_users", LIMITED | {"limit_window": "week"}),
    ("managed_users", LIMITED | {"limit_unit": "hours"}),
    ("allocations", {"id": "a", "amount": 0}),
    ("allocations", {"id": "a", "account": "beta"}),
    ("allocations", {"id": "a", "user_id": "usr_9"}),
    ("allocations", {"id": "a", "pool": "nowhere"}),
    ("allocations", {"id": "a", "expires_at": 0}),  # when it was made
    ("whitelist", {"id": "w"}),  # the same address again
    ("whitelist", {"id": "w", "address": "1"}),
    ("whitelist", {"id": "w", "address": "x" * 44}),
    ("whitelist", {"id": "w", "address": "::", "enabled": 2}),
    ("whitelist", {"id": "w", "address": "::", "pool": "nowhere"}),
    ("whitelist", {"id": "w", "address": "::", "account": "nobody"}),
    ("whitelist", {"id": "w", "account": "beta", "user_id": "usr_1"}),
    ("allocation_returns", {"id": "r", "amount": 0}),
    ("allocation_returns", {"id": "r", "allocation_id": "alc_9"}),
    ("transfers", {}),
    ("transfers", {"id": "t", "kind": "gift"}),
    ("transfers", {"id": "t", "currency": "DOLLARS"}),
    ("transfers", {"id": "t", "reference": "x" * 257}),
    ("transfer_entries", {}),  # the same book twice
    ("transfer_entries", {"book": "sales"}),  # the operator's, of an account
    ("transfer_entries", {"transfer_id": "trf_2", "account": None}),
    ("transfer_entries", {"book": "pockets", "account": None}),
    ("transfer_entries", {"book": "deposits", "account": None, "amount": 0}),
    ("transfer_entries", {"book": "deposits", "account": None, "amount": 2**53}),
    ("transfer_entries", {"book": "deposits", "account": None, "amount": -(2**53)}),
    ("transfer_entries", {"book": "deposits", "account": None, "transfer_id": "trf_9"}),
    ("plans", {}),
    ("plans", {"id": ""}),
    ("plans", {"id": "p", "name": ""}),
    ("plans", {"id": "p", "amount": 0}),
    ("plans", {"id": "p", "price": 0}),
    ("plans", {"id": "p", "days": 0}),
    ("plans", {"id": "p", "days": 36_501}),
    ("plans", {"id": "p", "currency": "DOLLARS"}),
    ("plans", {"id": "p", "pool": "nowhere"}),
    ("purchases", {"id": "o"}),  # the same transfer and grant
    ("purchases", {"id": "o", "transfer_id": "trf_2"}),  # the same grant
    ("purchases", {"id": "o", "grant_id": "grn_8"}),  # the same transfer
    ("purchases", OTHER | {"plan_id": "nothing"}),
    ("purchases", OTHER | {"account": "nobody"}),
    ("purchases", OTHER | {"price": 0}),
    ("purchases", OTHER | {"amount": 0}),
    ("purchases", OTHER | {"grant_id": "grn_9"}),
    ("purchases", OTHER | {"transfer_id": "trf_9"}),
    ("vouchers", {"id": "v"}),  # the same code
    ("vouchers", {"id": "v", "digest": "f" * 63}),
    ("vouchers", {"id": "v", "digest": "f" * 64, "amount": 0}),
    ("vouchers", {"id": "v", "digest": "f" * 64, "duration_s": 0}),
    ("vouchers", {"id": "v", "digest": "f" * 64, "account": "nobody"}),
    ("vouchers", {"id": "v", "digest": "f" * 64, "pool": "nowhere"}),
    ("voucher_ends", {"redeemed_by": None, "grant_id": None}),  # used, and revoked
    ("voucher_ends", {"voucher_id": "vch_2"}),  # the same grant
    ("voucher_ends", {"voucher_id": "vch_2", "grant_id": None}),
    ("voucher_ends", {"voucher_id": "vch_9", "redeemed_by": None, "grant_id": None}),
    ("check_ins", {"grant_id": "grn_2"}),  # the same day again
    ("check_ins", {"day": "2026-03-02"}),  # the same grant
    ("check_ins", {"day": "1 March", "grant_id": "grn_2"}),
    ("check_ins", {"day": "2026-03-02", "grant_id": "grn_9"}),
    ("senders", {}),
    ("senders", {"id": "s", "account": "nobody"}),
    ("credentials", {"id": "c"}),  # the same token
    ("credentials", {"id": "c", "token_hash": "b" * 64, "sender": "snd_9"}),
    ("credentials", {"id": "c", "token_hash": "b" * 64, "scope": "manage"}),
    ("credentials", {"id": "c", "token_hash": "b" * 63}),
    ("credentials", {"id": "c", "token_hash": "b" * 64, "key_hash": "plain"}),
    ("credentials", {"id": "c", "token_hash": "b" * 64, "scope": "root"}),
    ("credentials", {"id": "c", "token_hash": "b" * 64, "scope": "account"}),
    ("credentials", {"id": "c", "token_hash": "b" * 64, "scope": "admin", "account": "acme"}),
    ("credentials", {"id": "c", "token_hash": "b" * 64, "account": "nobody"}),
    ("periods", {"id": "per_2", "starts_at": 6}),  # the same number again
    ("periods", {"id": "per_2", "number": 2}),  # the same start again
    ("periods", {"id": "per_2", "number": 0, "starts_at": 6}),
    ("periods", {"id": "per_2", "number": 2, "starts_at": 9}),
    ("periods", {"id": "per_2", "number": 2, "starts_at": 6, "closed_at": 8}),  # not over yet
    ("periods", {"id": "per_2", "number": 2, "starts_at": 6, "block": -1}),
    ("periods", {"id": "per_2", "number": 2, "starts_at": 6, "account": "nobody"}),
    ("idempotency", {}),
    ("idempotency", {"key": ""}),
    ("idempotency", {"key": "x" * 256}),
    ("idempotency", {"key": "l", "digest": "short"}),
    ("idempotency", {"key": "l", "account": None}),
    ("used_keys", {}),
    ("used_keys", {"key": ""}),
    ("used_keys", {"key": "x" * 256}),
    ("used_keys", {"key": "l", "digest": "short"}),
    ("used_keys", {"key": "l", "account": "nobody"}),
    ("providers", {"id": "p"}),  # the same name, whoever had it
    ("providers", {"id": "p", "name": ""}),
    ("providers", {"id": "p", "name": "x" * 65}),
    ("providers", {"id": "p", "name": "x", "account": "nobody"}),
    ("providers", {"id": "p", "name": "x", "state": "well"}),
    ("providers", {"id": "p", "name": "x", "state": "removed"}),  # since when?
    ("providers", {"id": "p", "name": "x", "removed_at": 5}),
    ("providers", {"id": "p", "name": "x", "paused": 2}),
    ("providers", {"id": "p", "name": "x", "failures": -1}),
    ("provider_secrets", {"id": "s"}),  # the same secret again
    ("provider_secrets", {"id": "s", "name": "key", "provider": "prv_9"}),
    ("provider_stretches", {}),
    ("provider_stretches", {"starts_at": 9}),
    ("provider_stretches", {"starts_at": 6, "grain": "week"}),
    ("provider_stretches", {"starts_at": 6, "step": 0}),
    ("provider_stretches", {"provider": "prv_9"}),
    ("provider_balances", {}),
    ("provider_balances", {"label": "x", "quantity": "hours"}),
    ("provider_balances", {"provider": "prv_9"}),
    ("provider_grants", {}),
    ("provider_grants", {"id": "h", "quantity": "money"}),
    ("provider_grants", {"id": "h", "standing": "lost"}),
    ("provider_grants", {"provider": "prv_9"}),
    ("provider_sub_users", {}),
    ("provider_sub_users", {"name": "eve", "enabled": 2}),
    ("provider_sub_users", {"provider": "prv_9"}),
    ("provider_pulls", {}),
    ("provider_pulls", {"id": "p", "outcome": "new"}),
    ("provider_pulls", {"id": "p", "began_at": 10}),
    ("provider_pulls", {"id": "p", "provider": "prv_9"}),
    ("provider_reconciliations", {}),
    ("provider_reconciliations", {"id": "r", "match": "maybe"}),
    ("provider_reconciliations", {"id": "r", "starts_at": 9}),
    ("provider_reconciliations", {"id": "r", "provider": "prv_9"}),
    ("shadows", {}),
    ("shadows", {"dialect": "x", "enabled": 2}),
    ("shadows", {"dialect": "x", "share": 0}),
    ("shadows", {"dialect": "x", "share": 101}),
    ("shadows", {"dialect": "x", "account": "nobody"}),
    ("shadows", {"dialect": "x", "provider": "prv_9"}),
    ("shadow_routes", {}),
    ("shadow_routes", {"route": "x", "agreed": -1}),
    ("shadow_routes", {"route": "x", "differed": -1}),
    ("shadow_routes", {"route": "x", "failed": -1}),
    ("shadow_routes", {"route": "x", "account": "nobody"}),
    ("shadow_differences", {}),
    ("shadow_differences", {"id": "s", "count": 0}),
    ("shadow_differences", {"id": "s", "account": "nobody"}),
    ("shadow_differences", {"id": "s", "provider": "prv_9"}),
    ("stock", {}),
    ("stock", {"id": "stk_2"}),  # the same address and port
    ("stock", {"id": "stk_2", "kind": "datacenter"}),
    ("stock", {"id": "stk_2", "port": 81, "kind": ""}),
    ("stock", {"id": "stk_2", "port": 81, "kind": "x" * 65}),
    ("stock", {"id": "stk_2", "address": ""}),
    ("stock", {"id": "stk_2", "port": -1}),
    ("stock", {"id": "stk_2", "port": 65_536}),
    ("stock", {"id": "stk_2", "port": 81, "cpu_cores": 0}),
    ("stock", {"id": "stk_2", "port": 81, "memory_mib": 0}),
    ("lease_plans", {}),
    ("lease_plans", {"id": ""}),
    ("lease_plans", {"id": "l", "name": ""}),
    ("lease_plans", {"id": "l", "kind": ""}),
    ("lease_plans", {"id": "l", "days": 0}),
    ("lease_plans", {"id": "l", "days": 36_501}),
    ("lease_plans", {"id": "l", "price": 0}),
    ("lease_plans", {"id": "l", "currency": "US"}),
    ("lease_plans", {"id": "l", "bandwidth_mbps": 0}),
    ("leases", {}),
    ("leases", {"id": "l", "account": "nobody"}),
    ("leases", {"id": "l", "stock_id": "stk_9"}),
    ("leases", {"id": "l", "plan_id": "lpl_9"}),
    ("leases", {"id": "l", "starts_at": -1}),
    ("leases", {"id": "l", "ends_at": 5}),
    ("leases", {"id": "l", "grace_ms": -1}),
    ("leases", {"id": "l", "auto_renew": 2}),
    ("leases", {"id": "l", "released_at": 4}),
    ("leases", {"id": "l", "cpu_cores": 0}),
    ("lease_terms", {}),
    ("lease_terms", {"number": 0}),
    ("lease_terms", {"number": 2, "what": "lost"}),
    ("lease_terms", {"number": 2, "ends_at": 4}),
    ("lease_terms", {"number": 2, "price": -1}),
    ("lease_terms", {"number": 2, "transfer_id": "trf_1"}),  # what is given costs nothing
    ("lease_terms", {"number": 2, "what": "bought", "transfer_id": "trf_9"}),
    ("lease_terms", {"number": 2, "plan_id": "lpl_9"}),
    ("lease_terms", {"lease_id": "lse_9"}),
]


def insert_good(tx: Connection) -> None:
    for name, row in ROWS.items():
        tx.execute(insert(BY_NAME[name]).values(row))
    tx.execute(insert(tables.accounts).values(ROWS["accounts"] | {"id": "beta"}))
    tx.execute(insert(tables.users).values(ROWS["users"] | {"id": "usr_2"}))
    tx.execute(insert(tables.grants).values(ROWS["grants"] | {"id": "grn_8"}))
    tx.execute(insert(tables.transfers).values(ROWS["transfers"] | {"id": "trf_2"}))
    tx.execute(insert(tables.grants).values(ROWS["grants"] | {"id": "grn_2"}))
    tx.execute(insert(tables.vouchers).values(ROWS["vouchers"] | {"id": "vch_2", "digest": "0" * 64}))


def test_the_schema_refuses_what_cannot_be(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        insert_good(tx)
        for name, change in BAD:
            with tx.begin_nested() as savepoint:
                try:
                    tx.execute(insert(BY_NAME[name]).values(ROWS[name] | change))
                except IntegrityError:
                    savepoint.rollback()
                else:
                    pytest.fail(f"{name} took {change}")


def test_what_the_schema_refuses_is_found_where_it_is_there_all_the_same() -> None:
    """In tables of the same columns without a constraint."""
    bare = MetaData()
    for table in BY_NAME.values():
        Table(table.name, bare, *(Column(one.name, one.type, server_default=_default(one)) for one in table.columns))
    with create_engine("sqlite://").begin() as tx:
        bare.create_all(tx)
        counted = {"id": "", "generation": "", "promises": 0, "last_at": 0, "epoch": 0, "holder": ""}
        tx.execute(insert(tables.installation).values(one=1, **counted))
        insert_good(tx)
        assert list(schema.faults(tx)) == []
        for name, change in BAD:
            row = tx.execute(insert(BY_NAME[name]).values(ROWS[name] | change)).lastrowid
            assert list(schema.faults_of(tx, BY_NAME[name])), (name, change)
            tx.execute(text(f"DELETE FROM {name} WHERE rowid = {row}"))
        assert list(schema.faults(tx)) == []


def _default(column: Column[Any]) -> Any:
    return getattr(column.server_default, "arg", None)
