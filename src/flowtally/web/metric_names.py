"""What the measured numbers are called in /metrics: their names, units, kinds and meanings.

Owns the list of what stores and workers measure, for `metrics`, which shows it, and for the documentation. Who measures
owns the numbers. A name ends in its unit; what only grows is a counter and ends in `_total`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args

import msgspec

from flowtally.core.words import MetricKind, ProviderState, PullOutcome, ShadowOutcome


class Figure(msgspec.Struct, frozen=True):
    """`name` as in a query, with `_total` where it is a counter. Figures of one name differ by `labels`."""

    name: str
    help: str
    labels: Mapping[str, str] = {}

    @property
    def kind(self) -> MetricKind:
        return "counter" if self.name.endswith("_total") else "gauge"


_LANES: Final = ("small", "large", "streamed", "read")
_BY_OUTCOME: Final = (
    "Events that the writer decided since the start, by outcome; those that were held count when decided."
)

# By who measures them, then by the name they measure under. `up` is made by `metrics`: whether they answered.
FIGURES: Final[Mapping[str, Mapping[str, Figure]]] = {
    "balances": {
        "up": Figure("flowtally_balances_up", "1 if the figures about balances in memory could be read, else 0."),
        "accounts": Figure("flowtally_balances_accounts", "Accounts whose balances are kept up to date in memory."),
        "answered": Figure("flowtally_balances_from_memory_total", "Balances of now that were answered from memory."),
        "burnt": Figure("flowtally_balances_computed_total", "Balances of now that were computed from all the use."),
        "shelf_blocks": Figure("flowtally_shelf_blocks", "Newest blocks that are kept in memory for balances."),
        "shelf_bytes": Figure("flowtally_shelf_bytes", "Memory that the rows of these blocks take."),
    },
    "renewals": {
        "up": Figure("flowtally_lease_renewals_up", "1 if the figures about renewals could be read, else 0."),
        "renewed": Figure("flowtally_leases_renewed_total", "Leases that were renewed by themselves, since the start."),
        "failed": Figure(
            "flowtally_lease_renewals_failed_total", "Tries to renew a lease by itself that failed, since the start."
        ),
        "waiting": Figure("flowtally_lease_renewals_waiting", "Leases whose renewal failed, and is tried again."),
    },
    "samples": {
        "up": Figure("flowtally_samples_up", "1 if the figures about samples could be read, else 0."),
        "bytes_on_disk": Figure("flowtally_samples_disk_bytes", "Size of the file of samples of servers."),
    },
    "ingest": {
        "up": Figure("flowtally_ingest_up", "1 if the figures about writing could be read, else 0."),
        "writing": Figure("flowtally_ingest_writing", "1 while events are taken and stored, else 0."),
        "waiting_events": Figure("flowtally_ingest_waiting_events", "Events that wait to be written."),
        "waiting_bytes": Figure("flowtally_ingest_waiting_bytes", "Size of the events that wait to be written."),
        "last_block": Figure("flowtally_ingest_last_block", "Number of the last block that was written."),
        "rows_acknowledged": Figure(
            "flowtally_ingest_rows_acknowledged_total", "Events and corrections stored since the installation was made."
        ),
        "starts": Figure("flowtally_ingest_starts_total", "Starts of the server since the installation was made."),
        "started_clean": Figure(
            "flowtally_ingest_started_clean", "1 if the last stop was a clean one, 0 after a crash."
        ),
        "held_events": Figure(
            "flowtally_ingest_held_events",
            "Numbered events that are held: they wait for an account, a user or their time.",
        ),
        "held_bytes": Figure("flowtally_ingest_held_bytes", "Size of the held events, as JSON."),
        "held_events_released": Figure(
            "flowtally_ingest_held_events_released_total", "Held events that were stored after all, since the start."
        ),
        "held_events_dropped": Figure(
            "flowtally_ingest_held_events_dropped_total",
            "Held events that were dropped by an operator, since the start.",
        ),
        **{
            f"events_{outcome}": Figure("flowtally_ingest_events_total", _BY_OUTCOME, {"outcome": outcome})
            for outcome in ("stored", "duplicate", "conflict", "refused")
        },
        "keys_bytes_on_disk": Figure("flowtally_keys_disk_bytes", "Size of the file with event keys and source marks."),
        "journal_bytes": Figure("flowtally_journal_disk_bytes", "Size of the journal's files."),
        "journal_record_bytes": Figure("flowtally_journal_bytes", "Size of the records in the journal."),
        "journal_records": Figure("flowtally_journal_records", "Blocks that the journal has."),
        "tail_blocks": Figure("flowtally_tail_blocks", "Blocks that are acknowledged and not in the usage table yet."),
        "tail_rows": Figure("flowtally_tail_rows", "Rows that are acknowledged and not in the usage table yet."),
        "tail_bytes": Figure("flowtally_tail_bytes", "Memory that these rows take."),
        "tail_oldest_seconds": Figure("flowtally_tail_oldest_seconds", "Age of the oldest of them; 0: there is none."),
        "flush_refused_blocks": Figure(
            "flowtally_flush_refused_blocks", "Blocks that the usage table refuses: they are set aside, and counted."
        ),
        "flush_failing": Figure(
            "flowtally_flush_failing", "1 while the last write into the usage table failed, else 0."
        ),
        "flushes": Figure("flowtally_flushes_total", "Writes into the usage table since the start."),
        "flush_failures": Figure("flowtally_flush_failures_total", "Of these, the ones that failed."),
        "flush_seconds": Figure("flowtally_flush_seconds_total", "Time that writes into the usage table took."),
        "usage_up": Figure("flowtally_usage_up", "1 if the usage store answers, else 0."),
        "usage_parts": Figure("flowtally_usage_parts", "Parts of the usage table: hundreds make questions slow."),
        "usage_rows": Figure("flowtally_usage_rows", "Rows in the usage table."),
        "usage_bytes_on_disk": Figure("flowtally_usage_disk_bytes", "Size of the usage table on the disk."),
    },
    "exports": {
        "up": Figure("flowtally_exports_up", "1 if the figures about exports could be read, else 0."),
        "under_way": Figure("flowtally_exports_under_way", "Exports under way."),
    },
    "ledger": {
        "up": Figure("flowtally_ledger_up", "1 if the ledger answers, else 0."),
        "lease_held": Figure("flowtally_ledger_lease_held", "1 while this server may write the ledger, else 0."),
        "read_seconds": Figure(
            "flowtally_ledger_read_seconds", "Time that one small question to the ledger took just now."
        ),
    },
    "providers": {
        "up": Figure("flowtally_providers_up", "1 if the figures about providers could be read, else 0."),
        **{
            f"state_{state}": Figure(
                "flowtally_providers", "Providers, by what the last pull came to.", {"state": state}
            )
            for state in get_args(ProviderState)
            if state != "removed"
        },
        **{
            f"pulls_{outcome}": Figure(
                "flowtally_provider_pulls_total", "Pulls since the start, by what they came to.", {"outcome": outcome}
            )
            for outcome in get_args(PullOutcome)
        },
    },
    "shadows": {
        "up": Figure("flowtally_shadows_up", "1 if the figures about shadows could be read, else 0."),
        "on": Figure("flowtally_shadows", "Accounts and dialects whose calls are asked of the vendor, too."),
        "waiting": Figure("flowtally_shadow_calls_waiting", "Answered calls that the vendor is still to be asked."),
        **{
            outcome: Figure(
                "flowtally_shadow_calls_total",
                "Answered calls since the start that the vendor was to be asked, too, by what came of it. `dropped`: "
                "it was not asked.",
                {"outcome": outcome},
            )
            for outcome in (*get_args(ShadowOutcome), "dropped")
        },
    },
    "webhooks": {
        "up": Figure("flowtally_webhooks_up", "1 if the figures about webhooks could be read, else 0."),
        **{
            f"state_{state}": Figure("flowtally_webhooks", "Webhooks, by what they are.", {"state": state})
            for state in ("active", "disabled")
        },
        **{
            f"attempts_{outcome}": Figure(
                "flowtally_webhook_attempts_total",
                "Attempts to deliver a message since the start, by what came of them.",
                {"outcome": outcome},
            )
            for outcome in ("good", "failed")
        },
        "waiting": Figure("flowtally_webhook_deliveries_waiting", "Deliveries that wait, for now or for another try."),
        "oldest": Figure("flowtally_webhook_oldest_waiting_seconds", "For how long the first of them has waited."),
        "under_way": Figure("flowtally_webhook_deliveries_under_way", "Deliveries under way."),
    },
    "shares": {
        "up": Figure("flowtally_shares_up", "1 if the figures about fair shares could be read, else 0."),
        "requests_in_work": Figure("flowtally_shares_requests_in_work", "Requests of known callers in work."),
        "accounts": Figure("flowtally_shares_accounts", "Accounts whose recent work is remembered."),
        "used_up": Figure(
            "flowtally_shares_exhausted", "Accounts that have used up their share: they get 429 until it comes back."
        ),
        **{
            f"{lane}_{what}": Figure(
                f"flowtally_questions_{what}", f"Questions to the databases that {doing}, by kind.", {"kind": lane}
            )
            for lane in _LANES
            for what, doing in (("running", "are answered now"), ("waiting", "wait for a thread"))
        },
    },
    "care": {
        "up": Figure("flowtally_care_up", "1 if the figures about this machine and its care could be read, else 0."),
        "clock_right": Figure(
            "flowtally_clock_right",
            "1 while this machine's clock is believed, 0 after it jumped: nothing is dated then.",
        ),
        "disk_free": Figure("flowtally_disk_free_bytes", "Free space on the disk of the data directory."),
        "disk_size": Figure("flowtally_disk_size_bytes", "Size of the disk of the data directory."),
        "disk_reserve": Figure(
            "flowtally_disk_reserve_bytes", "Free space below which events are refused (setting `min_free_bytes`)."
        ),
        "backups": Figure("flowtally_backups", "Whole backups in the server's place for backups."),
        "backup_at": Figure(
            "flowtally_backup_last_timestamp_seconds", "When the newest whole backup was made; 0: there is none."
        ),
        "backup_failed": Figure("flowtally_backup_failed", "1 if the last backup since the start failed, else 0."),
        "verify_at": Figure(
            "flowtally_verify_last_timestamp_seconds",
            "When the last check of everything was finished; 0: none since the start.",
        ),
        "verify_failed": Figure(
            "flowtally_verify_failed", "1 if the last check of everything could not be finished, else 0."
        ),
        "verify_found": Figure("flowtally_verify_findings", "What the last check of everything found to differ."),
    },
}


def figure_of(group: str, name: str) -> Figure:
    """What is listed; what is not is told all the same, and a test says that it is missing here."""
    listed = FIGURES.get(group, {}).get(name)
    return listed or Figure(f"flowtally_{group}_{name}", f"The measure {name} of {group}.")
