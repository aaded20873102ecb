"""The codes of receipts: why an event, a correction or a reading was not stored, or by which rule it was counted.

Owns what people are told of each. Leaves the rules to `ingest` and `counters`; tests hold the lists to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowtally.core.advice import Advice

OF_EVENTS: Final[Mapping[str, Advice]] = {
    "invalid_event": Advice(
        "The event cannot be read, or a value in it cannot be taken. `detail` names the field.",
        "A field that is missing, misspelt, given twice or of another type, or a text with characters that are not "
        "allowed.",
        "Correct the program that makes the events. This event will never be stored as it is.",
    ),
    "no_id": Advice(
        "The event has neither an `id` nor a `sequence`.",
        "A program that does not give its events ids.",
        "Give each event an id that stays the same when it is sent again.",
    ),
    "bad_time": Advice(
        "`time` is no instant that can be taken, or there is none.",
        "An instant without `Z` or an offset, one before 1970, or no `time` where the id does not carry one, "
        "as a UUIDv7 "
        "and a ULID do.",
        "Send RFC 3339, such as `2026-03-10T10:00:00Z`.",
    ),
    "bad_labels": Advice(
        "The event has too many labels, or the name or value of one is too long or cannot be kept.",
        "A program that puts whole texts, such as addresses of pages, into labels.",
        "Send fewer and shorter labels. The limits are in `docs/events.md`.",
    ),
    "unknown_account": Advice(
        "There is no account with this id. The event may be stored later (`retriable`).",
        "The account was not made yet, or its id is misspelt.",
        "Make the account, then send the same event again. One with a number is held and counts by itself.",
    ),
    "unknown_user": Advice(
        "The account has no user with this name. The event may be stored later (`retriable`).",
        "The setting `FLOWTALLY_CREATE_UNKNOWN_USERS` is false, so usage does not make users, and nobody made "
        "this one.",
        "Make the user, then send the same event again. One with a number is held and counts by itself.",
    ),
    "time_in_future": Advice(
        "The event's time is later than the server's clock allows. The event may be stored later (`retriable`).",
        "The clock of the sender is ahead, or a local time was sent as UTC.",
        "Look at the sender's clock and time zone. The same event is taken when its time has come.",
    ),
    "account_closed": Advice(
        "The account is closed, for ever. It takes no more usage.",
        "A customer left, and a gateway still lets its users through.",
        "Stop the traffic of this customer. Usage that must count goes to another account.",
    ),
    "not_your_account": Advice(
        "The credential writes for one account, and the event names another one.",
        "A wrong account in the program, or the credential of one customer used for another one.",
        "Correct the account, or send with a credential that is not bound to an account.",
    ),
    "other_content": Advice(
        "This id or number was used before for other content. What was stored first stays. The status is `conflict`.",
        "Two different uses got the same id, or a program changed the event before it sent it again.",
        "Give the second use an id of its own. If what is stored is wrong, send a correction.",
    ),
    "erased": Advice(
        "The event was held, and its user or account was erased before it could count.",
        "Somebody had the user or the account erased.",
        "Nothing: it will never count.",
    ),
    "dropped": Advice(
        "The event was held, and somebody dropped it. `detail` is the reason that was given.",
        "It named an account or a user that will never exist.",
        "If it must count after all, send it under a new number or id, with the right names.",
    ),
}
OF_CORRECTIONS: Final[Mapping[str, Advice]] = {
    "unknown_event": Advice(
        "There is no event with this source and id, or it belongs to another sender.",
        "The source or the id is misspelt, or a numbered event is named by its id and not by its number.",
        "Look for the event with `GET /v1/events`, and name it as the answer does.",
    ),
    "refused_event": Advice(
        "The event has a number and was refused, or is still held. It counts for nothing, so there is nothing "
        "to correct.",
        "The event was wrong when it was sent, or its account or user does not exist yet.",
        "Send the usage as a new event. A held event that must not count can be dropped.",
    ),
    "rolled_up": Advice(
        "The event is old and was summed up with others, so it cannot be corrected alone.",
        "The setting `FLOWTALLY_RETAIN_ROWS_DAYS` lets old rows be summed up.",
        "Send an adjustment: a correction without `corrects`.",
    ),
    "of_a_provider": Advice(
        "This is no event but what a provider said of an account with it. It stands until the provider says otherwise.",
        "A figure of another series than `metered` was taken for an event.",
        "Have the vendor correct its figures; the next pull brings them. What was measured is corrected by itself.",
    ),
    "adjustment_needs_admin": Advice(
        "An adjustment without an event needs the right `sources:write`, which this credential does not have.",
        "A program that sends usage also tries to give or take usage freely.",
        "Use a credential with the right, or correct an event that this sender sent.",
    ),
    "already_void": Advice(
        "The event counted for nothing already. An entry of zero was stored.",
        "The same event was declared void twice, under two ids.",
        "Nothing. To repeat a correction safely, send it with the same id.",
    ),
    "no_change": Advice(
        "The event counts already what the correction says, or the counter stands where it stood. Nothing was added.",
        "A correction that was made before under another id, or a counter of a program that does nothing at "
        "the moment.",
        "Nothing.",
    ),
}
OF_READINGS: Final[Mapping[str, Advice]] = {
    "invalid_reading": Advice(
        "The reading cannot be read, or a value in it cannot be taken. `detail` names the field.",
        "A field that is missing, misspelt, given twice or of another type.",
        "Correct the program that sends the readings. The next reading that is taken counts what this one would have "
        "counted.",
    ),
    "too_many_counters": Advice(
        "The source or the account has as many counters as it may have.",
        "Names of counters that always differ, such as a session id where a user is meant.",
        "Look at the names. If they are right, have `FLOWTALLY_MAX_COUNTERS_PER_SOURCE` or "
        "`FLOWTALLY_MAX_COUNTERS_PER_ACCOUNT` raised.",
    ),
    "too_large": Advice(
        "With this reading the counter would stand higher than any counter may.",
        "A value that is no counter, such as a time in nanoseconds or a negative number read as an unsigned one.",
        "Look at what the program reads as a counter.",
    ),
    "baseline": Advice(
        "The first reading of the counter. It counts nothing, because what it held before is not known.",
        "A new counter, a new source name, or a device that was read for the first time.",
        "Nothing. Send `from_zero` where the beginning of the counter was seen.",
    ),
    "restarted": Advice(
        "The counter has another `epoch` than before. All that it stands at counts.",
        "The program or device that counts was started again.",
        "Nothing.",
    ),
    "clock_set": Advice(
        "The `epoch` moved, but it is the same run of the counter. The difference counts.",
        "The epoch was worked out from a clock (`epoch_derived`), and that clock was set.",
        "Nothing. If it comes often, look at the clock of the device.",
    ),
    "wrapped": Advice(
        "A counter of 32 bits went past its largest value. The difference, with 2^32 added, counts.",
        "More than 4 GiB went through a counter of which only the low 32 bits are read.",
        "Nothing. Read the counter of 64 bits if there is one.",
    ),
    "reset": Advice(
        "The counter fell. It began again at 0, and all that it stands at counts.",
        "The program or device was started again, and the readings do not say so with an `epoch`.",
        "Send an `epoch` if you can: then a start is never guessed.",
    ),
    "late": Advice(
        "The reading is older than one that is known. It counts only what the others did not know.",
        "Readings that overtook each other, or that were kept while the connection was down.",
        "Nothing.",
    ),
    "final_without_values": Advice(
        "The counter was closed by a last reading that has no values. What was read before it stays.",
        "A RADIUS Stop without counters, for example after the device lost power.",
        "Nothing. What was counted after the reading before it is not known.",
    ),
    "after_final": Advice(
        "The counter was closed, and another reading of it came. What is more than before counts.",
        "Two requests that overtook each other, or a device that goes on with a session that it ended.",
        "Nothing. Give a new session a new counter or another `epoch`.",
    ),
    "missing_stop": Advice(
        "The counter was closed without a last reading. What was read last stays.",
        "The device was started again (`closes`), or was silent for three intervals.",
        "Nothing. A later reading opens it again.",
    ),
    "reopened": Advice(
        "The counter was closed without a last reading, and goes on. The difference counts.",
        "The device could not be reached for a while.",
        "Nothing.",
    ),
    "moved": Advice(
        "The counter names another account, user or product than before. What is new counts for the new one.",
        "A session or a port was given to somebody else, or a name was corrected.",
        "If that is not meant, look at how the names of counters are made.",
    ),
}
OF_SAMPLES: Final[Mapping[str, Advice]] = {
    "invalid_sample": Advice(
        "The sample cannot be read, or a value in it cannot be taken. `detail` names the field.",
        "A field that is missing, misspelt, given twice or of another type, or a name with other characters.",
        "Correct the program that sends the samples.",
    ),
    "another_value": Advice(
        "The gauge has another value at this second. The first one stays. The status is `conflict`.",
        "Two programs measure the same gauge, or one sends more than a sample a second.",
        "Give each gauge one sender, and each of its samples a second of its own.",
    ),
    "too_old": Advice(
        "The sample is older than samples are kept.",
        "A wrong clock, or samples that were stored elsewhere for a long time.",
        "Nothing, or have `FLOWTALLY_KEEP_SAMPLES_DAYS` raised.",
    ),
    "too_many_series": Advice(
        "The server has as many gauges as it may have.",
        "Names of gauges that always differ, such as one for each process.",
        "Send the gauges that somebody reads, under names that stay.",
    ),
    "too_many_samples": Advice(
        "The gauge has as many samples in these six hours as it may have: one every ten seconds.",
        "A program that measures more often.",
        "Measure less often. A sample a minute is usual.",
    ),
}
RECEIPT_CODES: Final[Mapping[str, Advice]] = {**OF_EVENTS, **OF_CORRECTIONS, **OF_READINGS, **OF_SAMPLES}
