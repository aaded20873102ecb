"""The codes of what `verify` finds, by the comparison that finds them.

Owns what people are told of each. Leaves finding to the modules beside it; a test holds the lists to what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from flowtally.core.advice import Advice

_RESTORE: Final = "restore a backup: `docs/operations.md` says how"


class Comparison(msgspec.Struct, frozen=True):
    """What is compared, its codes with what each says, and what the codes of one comparison have in common."""

    meaning: str
    codes: Mapping[str, str]
    cause: str
    do: str

    def advice(self, code: str) -> Advice:
        return Advice(self.codes[code], self.cause, self.do)


COMPARISONS: Final[Mapping[str, Comparison]] = {
    "any": Comparison(
        "Any comparison can end so.",
        {"not_compared": "This could not be compared, because what it needs cannot be read."},
        "A file that another line of the report names is broken.",
        "Mend what the other lines say, then run `flowtally verify` again.",
    ),
    "parts": Comparison(
        "Each file of usage against its checksum.",
        {"broken_part": "A file is not what was written, or it cannot be read."},
        "A disk that returns wrong bytes, or a file that was changed by something else.",
        f"Look at the disk, then {_RESTORE}.",
    ),
    "rows": Comparison(
        "The rows of usage against what was acknowledged.",
        {
            "detached_part": "The engine put files aside, so their rows are not counted.",
            "uncommitted_block": "There are rows of a block that was never committed.",
            "burnt_block": "There are rows of a block whose number was given up.",
            "rows_total": "There are more or fewer rows than were acknowledged.",
            "keys_total": "There are more or fewer event keys than entries.",
            "last_block": "The last block that was committed has no rows.",
            "received_at": "A row was received after the last block was.",
            "impossible_row": "There are rows that the server never writes.",
            "torn_block": "The rows of one block were not received at one instant.",
        },
        "Files of usage were removed, added or put back by hand, or the disk lost writes that it had confirmed.",
        f"Stop the server and keep a copy of its directory, then {_RESTORE}. `flowtally doctor` says whether the disk "
        "keeps what it confirms.",
    ),
    "journal": Comparison(
        "The records of the newest blocks, which the journal has, against their rows.",
        {
            "block_set_aside": "The usage table refuses the rows of a block. They count, from memory and journal.",
            "record_without_rows": "A block that the journal has lacks rows, in the usage table and besides it.",
            "journal_file": "A record of the journal is broken.",
        },
        "A disk that failed, or rows that the database engine does not take: that is a fault of flowtally.",
        "Keep the journal. Report a block that was set aside. For what is missing or broken stop the server: the next "
        f"start takes the rows of the journal again, or names what is damaged. Then {_RESTORE}.",
    ),
    "roll-ups": Comparison(
        "The sums that are kept beside the rows against the rows.",
        {"roll_up": "The sums of a file differ from its rows, or are missing. The rows are right."},
        "A file of the sums is broken, beside rows that are whole.",
        "Stop the server and run `flowtally rebuild-roll-ups`: the sums are made again from the rows.",
    ),
    "keys": Comparison(
        "The event keys, by which a retry is recognised, against the rows.",
        {
            "keys_file": "SQLite says that the file of the keys is broken.",
            "keys": "The keys as a whole differ from the rows.",
            "key_of_no_source": "A key belongs to a source that is not registered.",
            "row_without_key": "A row has no key: the same event would be counted again.",
            "key_without_row": "A key has no row: the event is lost, and a retry is answered as a duplicate.",
            "two_keys": "One event has two keys with different content.",
            "foreign_digest": "Key and row of one event have different content.",
            "wrong_block": "Key and row of one event name different blocks.",
            "counted_twice": "One event has more than one row.",
        },
        "The file of the keys was put back from another time than the rows, or the disk failed.",
        "Where rows are right and keys are not, stop the server and start it once with `FLOWTALLY_REBUILD_KEYS=true`. "
        "Where rows are "
        f"missing or double, {_RESTORE}.",
    ),
    "numbers": Comparison(
        "The numbers of numbered sources against their rows, refusals and held events.",
        {
            "unknown_source": "Rows name a source that is not registered.",
            "source_kind": "A source has rows of another kind than it is.",
            "mark_behind": "A source has rows with numbers above its mark.",
            "position": "The position of a source differs from that of its last row.",
            "counted_twice": "A number has more than one row.",
            "missing_number": "A number below the mark has no row, no refusal and no held event.",
            "refused_and_stored": "A number was refused, and has a row.",
            "held_and_stored": "A number is held, and has a row.",
            "beyond_mark": "A row has a number above the mark of its source.",
        },
        "Rows and event keys are of different times: one of them was put back alone.",
        f"Put back the two that belong together, or {_RESTORE}.",
    ),
    "counters": Comparison(
        "What is known of each counter against the last row of it.",
        {
            "counter": "A counter stands at something else than its last row says.",
            "counter_of_no_source": "A counter belongs to a source that is not registered.",
            "counter_without_row": "The row that a counter was last written with is not there.",
            "counter_behind": "There are later rows of a counter than is known.",
        },
        "Rows and event keys are of different times: one of them was put back alone.",
        f"Put back the two that belong together, or {_RESTORE}.",
    ),
    "subjects": Comparison(
        "Accounts and users of all usage against the ledger.",
        {
            "unknown_subject": "An account or a user has usage and is not in the ledger.",
            "erased_user": "A user was erased, and rows of it still have labels or reasons.",
            "erased_account": "An account was erased, and rows of it still have labels or reasons.",
        },
        "The ledger is older than the rows, or rows of before an erasure were put back.",
        "Put back the ledger that belongs to the rows. For rows of an erased name, report it: an erasure has "
        "to be done "
        "again.",
    ),
    "ledger": Comparison(
        "Each row of the ledger against the ledger's own rules.",
        {
            "ledger_file": "SQLite says that the file of the ledger is broken.",
            "ledger_constraint": "A row breaks a rule of its table.",
            "ledger_twice": "Several rows have what only one may have.",
            "ledger_reference": "A row names another one that is not there.",
            "ledger_granted": "The grants of an account add up to more than can be kept.",
            "ledger_grant": "A grant is in a pool that charges nothing.",
            "ledger_returned": "More of an allocation was taken back than it was.",
            "ledger_voucher": "A voucher and what became of it do not go together.",
            "ledger_check_in": "A check-in and its grant do not go together.",
            "ledger_name": "Two users of an account have one name.",
            "ledger_answer": "The answer that is kept for an `Idempotency-Key` cannot be one.",
            "ledger_secret": "The answer that is kept for an `Idempotency-Key` holds a secret.",
            "ledger_erased": "Something of what was erased is still there.",
            "ledger_address": "An entry of a whitelist cannot be one.",
            "ledger_audit": "A record of the audit trail was changed, or one is missing.",
            "ledger_transfer": "The entries of a transfer of money do not sum to zero, or are in several currencies.",
            "ledger_overdrawn": "A wallet holds less than zero.",
            "ledger_lease": (
                "A lease is not what its terms made of it, it was not paid as they say, or an address is held by two "
                "at one instant."
            ),
            "ledger_stock": "An address in stock is free from another instant on than its leases say, or is misspelt.",
            "ledger_currency": "Money is kept in several currencies.",
            "ledger_purchase": "A purchase was not paid, or did not give what was bought.",
            "ledger_places": "The places of a product are not those it was given, or one is within none that is there.",
            "ledger_gateway": "Two gateways of a product offer the same port of a host.",
        },
        "Somebody changed the database of the ledger by hand, or its disk failed.",
        f"Find out who has access to the database. Undo the change, or {_RESTORE}.",
    ),
    "balances": Comparison(
        "Every balance, added up again from rows and grants.",
        {
            "balance": "A balance cannot be made.",
            "use_and_draws": "What was used and passed on is not what the grants paid and what is open.",
            "granted": "What was given is not what was spent, is left, expired or was taken back.",
            "draws_and_purses": "What an account passed on is not what its users and vouchers got.",
        },
        "Another line of the report is the cause: rows or the ledger are not what they were.",
        "Mend what the other lines say, then run `flowtally verify` again. If this line alone is there, report it.",
    ),
    "periods": Comparison(
        "Every closed period, made again from the rows of its time.",
        {
            "statement": "A statement cannot be read, or it says other usage than the rows do.",
            "statement_balance": "A statement says another balance than can be made again.",
            "statement_and_since": "A statement and what came later do not add up to what is used now.",
        },
        "Another line of the report is the cause: rows or the ledger are not what they were.",
        "Mend what the other lines say, then run `flowtally verify` again. If this line alone is there, report it.",
    ),
    "samples": Comparison(
        "Each chunk of samples of servers against what it says of itself.",
        {
            "samples_file": "SQLite says that the file of the samples is broken.",
            "samples_chunk": "The samples of a gauge in six hours cannot be read, or are of another time.",
        },
        "A disk that failed, or a file that something else than the server wrote to.",
        f"Look at the disk. Samples count for nothing, so all else is as it was: go on without them, or {_RESTORE}.",
    ),
}
