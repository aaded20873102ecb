"""Made ids, and what stands for a name that was erased.

An id is a readable prefix and a UUIDv7 in hex, so that ids sort by when they were made and indexes stay cheap.
"""

from __future__ import annotations

from typing import Literal

import uuid_utils

Prefix = Literal[
    "acc_",
    "grn_",
    "usr_",
    "crd_",
    "alc_",
    "ret_",
    "per_",
    "trf_",
    "pln_",
    "ord_",
    "wip_",
    "vch_",
    "ins_",
    "gen_",
    "snd_",
    "prv_",
    "pul_",
    "rec_",
    "shd_",
    "stk_",
    "lpl_",
    "lse_",
    "gtw_",
    "act_",
    "whk_",
    "msg_",
    "dlv_",
]


def new_id(prefix: Prefix) -> str:
    """A new id like `grn_0199f2c4...`: the prefix says what it names wherever it turns up in a log."""
    return prefix + uuid_utils.uuid7().hex


def erased_name(user_id: str) -> str:
    """What a user is called whose name was erased. It is nowhere stored, so nobody is found by it."""
    return f"erased-{user_id}"
