"""Every error flowtally raises on purpose, as one tree.

    FlowtallyError
    ├── BadRequest (400)            the request cannot be understood
    │   ├── MalformedBody           not JSON, not CloudEvents, a broken line; carries the position
    │   ├── UnknownZone             not an IANA time zone
    │   └── BadRange                reversed, absurd or too finely cut range
    │       └── NotYet              as_of a moment that is still to come
    ├── Unauthenticated (401)       no credential, or one we do not know
    │   ├── TokenNotWhole           a token that was mistyped or cut off
    │   └── CredentialExpired       a credential whose time is over
    ├── Forbidden (403)             a known credential that may not do this
    │   ├── SourceNotYours          the source belongs to another sender
    │   ├── NotYourAccount          a numbered event of an account this credential does not write for
    │   └── AddressNotAllowed       a credential that may not come from where it comes from
    ├── NotFound (404)
    │   ├── UnknownAccount
    │   └── UnknownUser             no such user in this account
    ├── MethodNotAllowed (405)
    ├── NotAcceptable (406)         nothing we can answer in is accepted
    ├── SlowBody (408)              the body stood still or took too long
    ├── Conflict (409)              the request is fine, the present state does not allow it
    │   ├── NameTaken               a user's name is borne by another one
    │   ├── AccountErased           the texts of the account were erased: nothing about it changes any more
    │   ├── AccountSuspended        value would leave or reach an account that is suspended
    │   ├── NotCovered              more than the balance holds: carries what is left
    │   ├── InsufficientFunds       more than the wallet holds: carries balance and price
    │   ├── PlanRetired             a plan that is no longer sold
    │   ├── LimitReached            as many of a thing as there may be: carries the limit
    │   ├── VoucherEnded            the voucher was used or revoked: carries which
    │   ├── CheckInsOff             the setting gives nothing for a check-in
    │   ├── CheckedIn               already, on this local day: carries when the next is possible
    │   ├── CheckInCapReached       the month's check-ins gave all they may: carries when the next is possible
    │   ├── LastAdmin               without this one nobody could administer
    │   ├── AlreadyRotated          the credential that replaces it is in use
    │   ├── PeriodOverlap           a closed period already holds part of the span
    │   ├── IdempotencyMismatch     same Idempotency-Key, other body
    │   ├── NotAsExpected           a correction's `expects` is not what the event stands at
    │   ├── SequenceGap             numbered events that do not continue at mark + 1
    │   ├── EventConflict           a body that is one event, stored before with other content: carries its receipt
    │   └── SourceKindMismatch      numbered events for a named source, readings for either, or the reverse
    ├── RolledUp (410)              old rows are kept by quarter hours: what asks for more; carries since when
    ├── CursorGone (410)            a cursor made before a restore or rebuild: begin again without it
    │   └── AsOfGone                an `as_of` token made before that
    ├── TooLarge (413)              body or batch beyond the limits
    │   └── TooManyNew              more sources or users that are new than a request may bring: carries the limit
    ├── UnsupportedMedia (415)
    ├── Unprocessable (422)         understood, and wrong: carries the field
    │   ├── AtomicRefused           ?atomic=true and at least one event refused or in conflict
    │   └── EventRefused            a body that is one event, which is refused: carries its receipt
    ├── RateLimited (429)           too often: carries retry_after_s
    │   ├── NewTooOften             more new sources or users than an account may bring within an hour
    │   ├── TooManyAtOnce           as many requests of the credential are in work as may be
    │   ├── BudgetUsed              the account used its share of the server's work
    │   └── TooManyExports          as many exports of one credential or account are under way as may be
    ├── HeadTooLarge (431)          the head of the request is beyond the limit
    ├── ClientGone (499)            the caller hung up: nobody hears this answer, the log has its status
    ├── StoreDamaged (500)          what is stored cannot be read: an operator is needed
    └── Unavailable (503)           try again later: carries retry_after_s
        ├── Overloaded              as many requests are in work as may be
        ├── QueueFull               more waiting than the bounded queue holds
        ├── StorageFull             no room on the disk; reads go on
        ├── HoldsFull               as many events are held as may be: carries how far the request was stored
        ├── LeaseLost               another server may write by now: this one writes nothing
        ├── Settling                a write is in doubt and is being settled
        └── ClockJumped             the machine's clock cannot be believed: nothing is dated; reads go on

    Damage (not an answer to a request: the start refuses)
    ├── MissingRows, DetachedParts, BrokenParts, KeysBroken, LedgerBroken, BrokenRollup, DoubleCounted, WriterBusy
    │   └── KeysTooNew (a KeysBroken) the keys were written by a later flowtally
    ├── TableChanged                the engine's text of a table is not what our migrations make
    ├── StoresDiffer                ledger, keys and usage are not of one installation and generation
    ├── CopyDiffers                 rows copied into another store are not those that were read
    ├── LedgerMissing, LedgerOlder, MissingAccounts  the ledger is not the one the rows were counted with
    ConfigError                     a setting that cannot be used
    └── LedgerTooNew, UsageTooNew, BackupTooNew  written by a later flowtally

The message carries the values. `code` is stable and documented; texts may change.
"""

from __future__ import annotations

from collections.abc import Mapping


class FlowtallyError(Exception):
    """Something failed inside that should not have. The server's log has it under `request_id`. Nothing is known to be
    wrong with the request.

    The base of all answers that are errors. `extra` is added to the problem document.
    """

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra: Mapping[str, object] = extra


class BadRequest(FlowtallyError):
    """The request cannot be understood: a parameter, header or path that is unknown, or of a form that it cannot have.
    `detail` names it."""

    status = 400
    code = "bad_request"
    title = "Bad request"


class MalformedBody(BadRequest):
    """The body is no JSON, or no valid gzip or zstd. `detail` says where, `excerpt` shows the place."""

    code = "malformed_body"
    title = "The body cannot be read"


class UnknownZone(BadRequest):
    """Time zones have the names of the IANA database, such as `Europe/Berlin`."""

    code = "unknown_zone"
    title = "Unknown time zone"


class BadRange(BadRequest):
    """The range ends before it begins, or it makes more rows than may be answered: ask for larger buckets, fewer groups
    or a shorter range."""

    code = "bad_range"
    title = "The range cannot be answered"


class NotYet(BadRange):
    """An answer as of a moment that is still to come could change: none is given. `retry_after_s` where that passes."""

    code = "not_yet"
    title = "That moment is still to come"


class Unauthenticated(FlowtallyError):
    """There is no token, or none that is known: it was revoked, or belongs to another server. Send `Authorization:
    Bearer` and the token."""

    status = 401
    code = "unauthenticated"
    title = "Who is asking?"


class TokenNotWhole(Unauthenticated):
    """It looks like one of ours, and its check sum is wrong: mistyped, or cut off. The ledger was not asked."""

    code = "token_not_whole"
    title = "The token is not whole"


class CredentialExpired(Unauthenticated):
    """Refused from the instant `expires_at` on; one that was rotated ends so, too."""

    code = "credential_expired"
    title = "The credential has expired"


class Forbidden(FlowtallyError):
    """The credential is known, and lacks the right that this needs; `detail` names it. Use another credential, or have
    the right given to this one."""

    status = 403
    code = "forbidden"
    title = "Not allowed"


class SourceNotYours(Forbidden):
    """A source belongs to the sender that used it first. Choose another name, or have the source handed over to your
    sender."""

    code = "source_not_yours"
    title = "The source belongs to another sender"


class NotYourAccount(Forbidden):
    """The credential sends for one account, and a numbered event names another one. Nothing is stored."""

    code = "not_your_account"
    title = "The credential writes for another account"


class AddressNotAllowed(Forbidden):
    """The credential is bound to addresses, and the caller's (`address`) is none of them. Behind proxies it is the one
    that `trusted_proxies` say, and none where such a proxy is not trusted."""

    code = "address_not_allowed"
    title = "The credential may not come from there"


class NotFound(FlowtallyError):
    """There is no such thing, or it belongs to another account: both look alike."""

    status = 404
    code = "not_found"
    title = "Not found"


class UnknownAccount(NotFound):
    """There is no account with this id, or the credential belongs to another one. Accounts are made with `POST
    /v1/accounts`."""

    code = "unknown_account"
    title = "Unknown account"


class UnknownUser(NotFound):
    """The account has no user with this id or present name."""

    code = "unknown_user"
    title = "Unknown user"


class MethodNotAllowed(FlowtallyError):
    """The header `Allow` says what is served at this path."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class NotAcceptable(FlowtallyError):
    """The Accept header leaves out every form the answer can take."""

    status = 406
    code = "not_acceptable"
    title = "No accepted media type can be answered"


class SlowBody(FlowtallyError):
    """The body stood still, or took too long as a whole. Nothing was done: send the request again."""

    status = 408
    code = "slow_body"
    title = "The body did not arrive in time"


class Conflict(FlowtallyError):
    """The request is fine, and the present state does not allow it. `detail` says what stands in the way."""

    status = 409
    code = "conflict"
    title = "Conflict with the present state"


class AccountErased(Conflict):
    """All texts of the account were erased, for ever: nothing about it can be changed any more. Its figures can be
    read, and its periods can be closed."""

    code = "account_erased"
    title = "The account was erased"


class AccountSuspended(Conflict):
    """Nothing of value leaves or reaches a suspended account until it is active again. Its use is counted all the
    same."""

    code = "account_suspended"
    title = "The account is suspended"


class NameTaken(Conflict):
    """Another user of the account has this name. Choose another one."""

    code = "name_taken"
    title = "The name is in use"


class NotCovered(Conflict):
    """More was asked for than the balance holds; `left` says how much there is. Give a grant first, or ask for less."""

    code = "not_covered"
    title = "The balance does not cover it"


class InsufficientFunds(Conflict):
    """A wallet is never overdrawn: `price_micros` is more than its `balance_micros`; both are in millionths of
    `currency`."""

    code = "insufficient_funds"
    title = "The wallet does not hold that much"


class PlanRetired(Conflict):
    """It is kept for its purchases, and cannot be bought any more."""

    code = "plan_retired"
    title = "The plan is no longer sold"


class LimitReached(Conflict):
    """A setting says how many there may be, and there are as many; `limit` says it."""

    code = "limit_reached"
    title = "There may be no more of them"


class VoucherEnded(Conflict):
    """A voucher is used or revoked, once; its code is never said."""

    code = "voucher_ended"
    title = "The voucher was used or revoked"


class CheckInsOff(Conflict):
    """A setting of the server says what a check-in gives, and it is 0."""

    code = "check_ins_off"
    title = "Check-ins give nothing here"


class CheckedIn(Conflict):
    """An account checks in once a day of its own calendar; `next_at` says from when it may again."""

    code = "checked_in"
    title = "Checked in already today"


class CheckInCapReached(Conflict):
    """What check-ins may give in a month is bounded by a setting; `next_at` says from when there is more."""

    code = "check_in_cap_reached"
    title = "This month's check-ins gave all they may"


class LastAdmin(Conflict):
    """Of the admin credentials without an end one must be left. Rotating it, or issuing another first, goes."""

    code = "last_admin"
    title = "Nobody could administer any more"


class AlreadyRotated(Conflict):
    """The credential that replaces this one (`replaced_by`) has been used: that one is rotated from now on."""

    code = "already_rotated"
    title = "The credential was rotated"


class PeriodOverlap(Conflict):
    """A closed period holds part of the span already; a span is closed once."""

    code = "period_overlap"
    title = "Part of the span is closed already"


class IdempotencyMismatch(Conflict):
    """This key was used for another request: another body, method or path. Use a new key for a new request."""

    code = "idempotency_mismatch"
    title = "Idempotency-Key was used with another body"


class NotAsExpected(Conflict):
    """A correction says with `expects` what the event counts now, and it counts something else: somebody corrected it
    before. Nothing of the request is stored. Look at the event, then decide again."""

    code = "not_as_expected"
    title = "The event does not count what the correction expects"


class SequenceGap(Conflict):
    """Numbered events go on at the source's mark plus 1, without holes. `sequence` is the mark. Nothing is stored."""

    code = "sequence_gap"
    title = "The numbers do not continue at the mark"


class EventConflict(Conflict):
    """Of a body that is one event and no list: its id or number was stored before with other content, and that stays.
    Sending it again does not help."""

    code = "event_conflict"
    title = "The event was stored before with other content"


class SourceKindMismatch(Conflict):
    """A source is named, numbered, or of counters: its first use decides. Send this to another source."""

    code = "source_kind_mismatch"
    title = "A source keeps the kind of its first use"


class RolledUp(FlowtallyError):
    """The answer would need rows that were rolled up: none is given rather than one that is nearly right."""

    status = 410
    code = "rolled_up"
    title = "Old usage is kept by quarter hours"


class CursorGone(FlowtallyError):
    """A cursor of another generation: made before the installation was restored or rebuilt, or of another one. What it
    has seen need not be what is here."""

    status = 410
    code = "cursor_gone"
    title = "The cursor was made before a restore"


class AsOfGone(CursorGone):
    """An `as_of` token of another generation: its numbers mean other blocks and promises here."""

    code = "as_of_gone"
    title = "The moment was before a restore"


class TooLarge(FlowtallyError):
    """The body or the list is larger than may be; `limit` says how large. Send it in parts."""

    status = 413
    code = "too_large"
    title = "Too large"


class TooManyNew(TooLarge):
    """More `what` (sources, users) that are new than one request may bring. Nothing of it is stored; in parts it is."""

    code = "too_many_new"
    title = "Too many new names in one request"


class UnsupportedMedia(FlowtallyError):
    """`accepted` says which media types or encodings are taken here; say yours in `Content-Type`, or
    `Content-Encoding`."""

    status = 415
    code = "unsupported_media"
    title = "Unsupported media type or encoding"


class Unprocessable(FlowtallyError):
    """The request can be read, and a value in it cannot be taken. `detail` says which and why, `field` names it."""

    status = 422
    code = "unprocessable"
    title = "Understood, but wrong"


class AtomicRefused(Unprocessable):
    """`?atomic=true` stores all or nothing. `receipts` says which events cannot be stored, and why."""

    code = "atomic_refused"
    title = "Nothing was stored: some events cannot be"


class EventRefused(Unprocessable):
    """Of a body that is one event and no list. The receipt says why, and whether it may be stored another time."""

    code = "event_refused"
    title = "The event was not stored"


class RateLimited(FlowtallyError):
    """Wait `Retry-After` seconds, then send the same again."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"


class NewTooOften(RateLimited):
    """More `what` (sources, users) that are new than an account, or a sender of none, may bring within an hour. Nothing
    of the request is stored; `retry_after_s` until the next hour."""

    code = "new_too_often"
    title = "Too many new names within an hour"


class TooManyAtOnce(RateLimited):
    """Of one credential; what sends events is counted apart from what reads."""

    code = "too_many_at_once"
    title = "Too many requests at once"


class BudgetUsed(RateLimited):
    """What the account's requests took is more than its share of the server gives back meanwhile; `retry_after_s` is
    when it will have. Events are never refused for it."""

    code = "budget_used"
    title = "The account used its share of the server"


class TooManyExports(RateLimited):
    """Read or end one that is under way first; `limit` says how many there may be."""

    code = "too_many_exports"
    title = "Too many exports of this credential or account are under way"


class HeadTooLarge(FlowtallyError):
    """Path, query and headers together are more than is read of any request. A head that is far larger gets this status
    without a body."""

    status = 431
    code = "head_too_large"
    title = "The head of the request is too large"


class ClientGone(FlowtallyError):
    """The connection ended before the request was whole, or before its answer was ready. Nobody hears this; nginx made
    the status usual in logs."""

    status = 499
    code = "client_gone"
    title = "The caller hung up"


class StoreDamaged(FlowtallyError):
    """A database says that its own file is broken; of usage, `part` and `file` say which part it is, and which file of
    it where that is known. Trying again does not help; what does not need that part is answered as ever."""

    code = "store_damaged"
    title = "What is stored cannot be read"


class Unavailable(FlowtallyError):
    """Try again after `retry_after_s` seconds; nothing that was acknowledged is affected."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 1, **extra: object) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The whole server has as many requests in work as it may; nothing was done of this one."""

    code = "overloaded"
    title = "Too many requests are in work"


class QueueFull(Unavailable):
    """The writer has as much to do as may wait for it. Nothing of this request is stored: send it again after
    `Retry-After` seconds."""

    code = "queue_full"
    title = "More is waiting than the queue holds"


class StorageFull(Unavailable):
    """The disk has less free space than the server keeps free. Nothing of this request is stored, reading goes on. Make
    room."""

    code = "storage_full"
    title = "No room to store usage"


class HoldsFull(Unavailable):
    """A numbered event would have to be held, and there is no room: the request was stored up to it. `sequence` is the
    source's mark, `reason` why the event cannot be stored, `bound` and `limit` what leaves no room."""

    code = "holds_full"
    title = "No more events can be held"


class LeaseLost(Unavailable):
    """This server lost the lease on its ledger in PostgreSQL: it writes neither promises nor usage until it has taken
    it again by itself. Reading goes on."""

    code = "lease_lost"
    title = "This server may not write now"


class Settling(Unavailable):
    """A commit ended without an answer, and the server is finding out whether it is there. Send the same again after
    `Retry-After` seconds."""

    code = "settling"
    title = "A write is being settled"


class ClockJumped(Unavailable):
    """The machine's clock says another time than what has passed since it was right, or than what was dated before."""

    code = "clock_jumped"
    title = "The clock of this machine has jumped"


class ConfigError(Exception):
    """A setting that cannot be used; the message names the setting and the value."""


class LedgerTooNew(ConfigError):
    """The ledger's schema has a version this code does not know; nothing was changed."""


class UsageTooNew(ConfigError):
    """The usage store has a schema this code does not know; nothing was changed."""


class BackupTooNew(ConfigError):
    """A backup holds what this code does not know; nothing was restored."""


class Damage(Exception):
    """The stored data is not what was acknowledged. The start refuses and says which (law 9)."""


class MissingRows(Damage):
    pass


class DetachedParts(Damage):
    pass


class BrokenParts(Damage):
    """A part is not what was written, or cannot be read: says which, and which file of it where that is known."""


class TableChanged(Damage):
    """What the engine takes a table for is not what flowtally makes: says which, and what differs. Rows would be read
    wrongly, or not be synced."""


class LedgerBroken(Damage):
    """The ledger's file is not whole."""


class KeysBroken(Damage):
    pass


class KeysTooNew(KeysBroken):
    """The keys database has a schema this code does not know; nothing was changed. It is whole: not to be rebuilt."""


class StoresDiffer(Damage):
    """Ledger, keys and usage carry different ids: they do not belong together. Nothing was changed."""


class CopyDiffers(Damage):
    """Rows that were copied into another store are not those that were read. The copy was taken away again."""


class LedgerMissing(Damage):
    """The ledger is new though keys or rows are not. Nothing was changed: putting it back is enough."""


class LedgerOlder(Damage):
    """The ledger holds fewer promises than the keys know of: it is an older copy. Nothing was changed."""


class MissingAccounts(Damage):
    """Rows name accounts that the ledger does not have. Nothing was changed."""


class BrokenRollup(Damage):
    pass


class DoubleCounted(Damage):
    """Rows of one event are there twice."""


class FoldBroken(Damage):
    """Rows that were rolled up are not what the rows say; they were not put in place."""


class BackupBroken(Damage):
    """A backup is not as it was written; nothing was restored."""


class WriterBusy(Damage):
    """Another process owns this installation's writing."""
