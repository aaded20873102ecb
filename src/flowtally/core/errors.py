"""Every error flowtally raises on purpose, as one tree: what a request is answered, and what ends a start or a command.

Each class says what happened, the usual cause (`Cause:`) and what to do (`Do:`), for people who never read this file:
docs/reference/errors.md and `/docs` are made from these docstrings, with the tree as the classes form it. The message
of an error carries the values. `code` is stable; texts may change. Leaves to its callers how an error is shown.
"""

from __future__ import annotations

from collections.abc import Mapping


class FlowtallyError(Exception):
    """Something failed inside the server that should not have. The server's log has it, with a trace, under
    `request_id`.

    Cause: A bug, or a library or a machine that failed under the server. The request is usually right.

    Do: Send `request_id` to whoever runs the server. If the request was a write, it can be sent again with the same
    `Idempotency-Key` or the same event ids: nothing is done twice.
    """

    status = 500
    code = "internal"
    title = "Internal error"

    def __init__(self, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra: Mapping[str, object] = extra


class BadRequest(FlowtallyError):
    """The server does not understand the path, a parameter, a header or the body. `detail` says what is wrong.
    `parameter` names the parameter, where it is one.

    Cause: A parameter that the route does not have (a misspelt one is refused, not ignored), one that is given twice or
    has another form, or a body where none is taken.

    Do: Correct the request. The same request always gets the same answer.
    """

    status = 400
    code = "bad_request"
    title = "Bad request"


class MalformedBody(BadRequest):
    """The server cannot read what was sent as JSON, or cannot unpack it. `detail` says why, with the place. Nothing of
    it was stored.

    Cause: The body is no JSON, it is empty or cut off, an object has a member twice, or it is not compressed as
    `Content-Encoding` says.

    Do: Correct the body, then send it again. `excerpt`, where it is there, shows the text at the place.
    """

    code = "malformed_body"
    title = "Malformed request body"


class UnknownZone(BadRequest):
    """The name is no time zone of the IANA database. `zone` repeats it.

    Cause: An abbreviation such as `CEST`, an offset such as `+02:00`, or a misspelt name.

    Do: Use a name such as `Europe/Berlin`, or `UTC`.
    """

    code = "unknown_zone"
    title = "Unknown time zone"


class BadRange(BadRequest):
    """The range or the instant cannot be answered. `detail` says why.

    Cause: The end is not after the beginning, an instant has no `Z` and no offset, the `+` of an offset was not sent as
    `%2B`, or the answer would have more rows than it may (`limit`).

    Do: Correct the instants. For fewer rows, ask for larger buckets, fewer groups or a shorter range.
    """

    code = "bad_range"
    title = "Invalid range"


class NotYet(BadRange):
    """The answer as of this moment could still change, so none is given. `retry_after_s` says in how many seconds it
    can be given, where that is known.

    Cause: `as_of` is later than the server's clock, or something that began before that instant is still being written.

    Do: Ask again after `retry_after_s` seconds, or leave out `as_of`. To get an earlier answer again, use the token
    that came with it.
    """

    code = "not_yet"
    title = "The time is in the future"


class Unauthenticated(FlowtallyError):
    """The request has no valid token, so the server does not know the caller. Nothing was done.

    Cause: There is no `Authorization: Bearer` header with a token, the token was revoked, or it belongs to another
    server.

    Do: Send the token of a credential of this server. An admin can make a new one with `flowtally key create`.
    """

    status = 401
    code = "unauthenticated"
    title = "Authentication required"


class TokenNotWhole(Unauthenticated):
    """The text looks like a token of flowtally, and its check sum is wrong. The ledger was not asked.

    Cause: The token was mistyped, or a part of it was not copied.

    Do: Copy the whole token again. It was shown only once: if it is lost, an admin rotates the credential (`flowtally
    key rotate`).
    """

    code = "token_not_whole"
    title = "Incomplete token"


class CredentialExpired(Unauthenticated):
    """The time of the credential is over. `detail` names it and the instant.

    Cause: It was made with an end (`expires_at`), or it was rotated and the time for which the old token still worked
    is over.

    Do: Use the token of the credential that replaced it, or ask an admin for a new one. Rotate credentials before they
    end.
    """

    code = "credential_expired"
    title = "The credential has expired"


class Forbidden(FlowtallyError):
    """The credential is known, and it may not do this. `detail` names the right that is missing, or the rule.

    Cause: The credential's scope does not have the right, the request is about the whole installation and the
    credential is one of an account, or it would give somebody more than it has itself.

    Do: Use another credential. An admin makes one with the rights that the program needs (`flowtally key create`).
    """

    status = 403
    code = "forbidden"
    title = "Permission denied"


class SourceNotYours(Forbidden):
    """A source belongs to one sender, and this one is not yours. Nothing of the request is stored.

    Cause: Another credential used this name first: a source belongs to the sender that used it first. Names that begin
    with `flowtally:` or `provider:` belong to the server.

    Do: Choose another name for your source. If it is yours, an admin hands it over to your sender (`flowtally source
    hand-over`).
    """

    code = "source_not_yours"
    title = "The source belongs to another sender"


class NotYourAccount(Forbidden):
    """A numbered event names another account than the one that the credential writes for. Nothing of the request is
    stored, and no number is used up. `index` is the event, `sequence` the source's mark.

    Cause: The account is misspelt, or one program sends for several accounts with the credential of one.

    Do: Correct the account, or send with a credential that is not bound to an account.
    """

    code = "not_your_account"
    title = "The credential writes for another account"


class AddressNotAllowed(Forbidden):
    """The credential may be used from certain addresses only, and the caller's `address` is none of them. Of a caller
    without a token: the address is on a whitelist of the account, but not on that of the product's pool.

    Cause: The program moved to another machine, or it calls through a proxy that the setting
    `FLOWTALLY_TRUSTED_PROXIES` does not name, so that its own address is not seen.

    Do: Call from an allowed address, or have an admin change the addresses (`flowtally key change`). If `address` is
    empty or that of a proxy, name the proxy in the setting.
    """

    code = "address_not_allowed"
    title = "Address not allowed"


class NotFound(FlowtallyError):
    """There is no such thing, or it belongs to another account: both look alike.

    Cause: An id or a path that is misspelt, or a credential of another account.

    Do: Look at the list of such things for the right id, and at the account of the credential.
    """

    status = 404
    code = "not_found"
    title = "Not found"


class UnknownAccount(NotFound):
    """There is no account with this id, or the credential belongs to another account.

    Cause: The id is misspelt, or nobody has made the account yet: usage does not make accounts.

    Do: Make the account with `POST /v1/accounts`, or use the id of the account that the credential belongs to.
    """

    code = "unknown_account"
    title = "Unknown account"


class UnknownUser(NotFound):
    """The account has no user with this id or present name.

    Cause: The name is misspelt, it is a name that the user had before it was renamed, or the user has not been made and
    has used nothing yet.

    Do: Look into `GET /v1/accounts/{account}/users`. Programs that keep the user's id need not care when its name
    changes.
    """

    code = "unknown_user"
    title = "Unknown user"


class MethodNotAllowed(FlowtallyError):
    """Something is served at this path, but not with this method.

    Cause: A `PUT` where the route takes `PATCH`, or a path that lacks its last part.

    Do: Use a method that the header `Allow` of the answer names.
    """

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class NotAcceptable(FlowtallyError):
    """The header `Accept` leaves out every form that the answer can have. `detail` lists these forms.

    Cause: A library sends an `Accept` of its own, such as `text/html`.

    Do: Send `Accept: application/json` or one of the forms in `detail`, or leave the header out.
    """

    status = 406
    code = "not_acceptable"
    title = "Not acceptable"


class SlowBody(FlowtallyError):
    """The server waited for the body of the request and gave up. Nothing was done.

    Cause: The connection is slow or was interrupted, or the program waits before it sends the body.

    Do: Send the request again, with less in it if the connection is slow. The times are the settings
    `FLOWTALLY_BODY_IDLE_S`, `FLOWTALLY_BODY_TOTAL_S` and `FLOWTALLY_BODY_MIN_BYTES_S`.
    """

    status = 408
    code = "slow_body"
    title = "Request timeout"


class Conflict(FlowtallyError):
    """The request is right, but the present state does not allow it. `detail` says what stands in the way. Nothing was
    changed.

    Cause: A thing with this id exists already, the account is closed, the user was deleted, the credential has ended,
    or another request does the same at this moment.

    Do: Read `detail`, look at the present state and decide again. Where `detail` says so, the same request can be sent
    again.
    """

    status = 409
    code = "conflict"
    title = "Conflict with the current state"


class AccountErased(Conflict):
    """All texts of the account were erased, for ever. Nothing about it can be changed any more. Its figures can be
    read, and its periods can be closed.

    Cause: Somebody closed the account and had it erased, and a program still works with it.

    Do: Stop sending such requests for this account. A customer who comes back gets a new account.
    """

    code = "account_erased"
    title = "The account was erased"


class AccountSuspended(Conflict):
    """Nothing of value leaves or reaches the account until it is active again. Its use is counted all the same.

    Cause: Whoever runs the server suspended the account, for example because something was not paid.

    Do: Set its status to `active` with `PATCH /v1/accounts/{account}`, then send the request again.
    """

    code = "account_suspended"
    title = "The account is suspended"


class NameTaken(Conflict):
    """Another user of the account has this name.

    Cause: Two programs make the same user, or a user is renamed to the name of another one.

    Do: Choose another name, or use the user that has it.
    """

    code = "name_taken"
    title = "The name is in use"


class NotCovered(Conflict):
    """More was asked for than there is. `left` says how much there is. Nothing was moved.

    Cause: Others used the balance in the meantime, or the amount was meant in another unit: amounts are bytes or
    requests.

    Do: Give the account a grant first, or ask for no more than `left`.
    """

    code = "not_covered"
    title = "Insufficient balance"


class InsufficientFunds(Conflict):
    """The wallet holds less than is needed, and a wallet is never overdrawn. `price_micros` is needed, `balance_micros`
    is there, both in millionths of `currency`.

    Cause: Nothing was paid in yet, or another purchase was quicker.

    Do: Pay in what is missing with `POST /v1/accounts/{account}/wallet/deposits`, then send the request again.
    """

    code = "insufficient_funds"
    title = "Insufficient funds"


class PlanRetired(Conflict):
    """The plan was retired. It is kept because it was bought before, and cannot be bought again.

    Cause: A shop shows a list of plans that is older than the day on which the plan was retired.

    Do: Read `GET /v1/plans` again and offer a plan that is sold.
    """

    code = "plan_retired"
    title = "The plan is no longer sold"


class OutOfStock(Conflict):
    """Fewer are free than were asked for. `free` says how many there are. Nothing was leased, and nothing was paid.

    Cause: Another buyer was quicker, or nothing in stock is of the kind, place and size that the plan is for.

    Do: Ask for fewer, for another place, or for another plan.
    """

    code = "out_of_stock"
    title = "Out of stock"


class StockHeld(Conflict):
    """Somebody holds it, or may still renew it: for that time it can be leased to nobody else. `stock` is its id.

    Cause: Two leases of one address at one instant were asked for, or an address was added to stock that is still
    leased to somebody under an entry that was retired.

    Do: Wait for the end of the lease that holds it, release that one, or take another address.
    """

    code = "stock_held"
    title = "Held by a lease"


class StockRetired(Conflict):
    """The address or the server was retired from stock. Leases of it run to their end; it cannot be leased again, nor
    can they be renewed or upgraded. `stock` is its id.

    Cause: The operator no longer has it, or has it no longer for this.

    Do: Lease another one.
    """

    code = "stock_retired"
    title = "Retired from stock"


class LeaseEnded(Conflict):
    """The lease cannot be changed any more, or not in this way: it was released, it is over, or it has no end.
    `lease` is its id.

    Cause: It was renewed after its end and the time that the operator grants after that, or an upgrade was asked for
    after its end. A lease without an end has nothing to renew.

    Do: Lease it again, if it is still free.
    """

    code = "lease_ended"
    title = "The lease has ended"


class ActionTaken(Conflict):
    """Another credential took the action and does it. `action` is its id.

    Cause: Several programs ask for what is to be done, and another one was quicker.

    Do: Leave it to that one, and ask for the next.
    """

    code = "action_taken"
    title = "Taken by another"


class ActionOver(Conflict):
    """The action is over: it was answered, it expired, or the lease ended. `status` says which it is. Nothing was
    changed.

    Cause: The work took longer than the request stood, the customer gave the server back meanwhile, or two answers
    contradict each other.

    Do: Do not touch the server for it any more: it may be leased to somebody else. What the customer still wants, it
    asks for again.
    """

    code = "action_over"
    title = "The action is over"


class LimitReached(Conflict):
    """There are as many things of this kind as there may be. `limit` says how many.

    Cause: Old users, unused vouchers or addresses were never removed, or a credential was rotated again and again and
    nobody used the new one.

    Do: Remove what is no longer needed, or have the setting raised that bounds it. In place of a credential that was
    rotated too often, issue another one.
    """

    code = "limit_reached"
    title = "Limit reached"


class VoucherEnded(Conflict):
    """The voucher can no longer be used: it was redeemed or revoked. `voucher_status` says which, `voucher` is its id.

    Cause: A customer redeems one code twice, or the issuer took it back.

    Do: Do not try again. If the customer got nothing for it, the issuer makes another voucher.
    """

    code = "voucher_ended"
    title = "The voucher was used or revoked"


class CheckInsOff(Conflict):
    """This server gives nothing for a check-in.

    Cause: The setting `FLOWTALLY_CHECK_IN_BYTES` is 0, which it is unless somebody sets it.

    Do: Do not offer check-ins, or set how much one gives.
    """

    code = "check_ins_off"
    title = "Check-ins are not offered"


class CheckedIn(Conflict):
    """The account has checked in already on this day of its own calendar. `next_at` says from when on it may again.

    Cause: The button was pressed twice, or a program checks in more than once a day.

    Do: Wait until `next_at`.
    """

    code = "checked_in"
    title = "Already checked in today"


class CheckInCapReached(Conflict):
    """The check-ins of this month gave the account all that they may. `next_at` says from when on they give more.

    Cause: The setting `FLOWTALLY_CHECK_IN_CAP_BYTES` bounds what check-ins give in a month.

    Do: Wait until `next_at`, or have the setting raised.
    """

    code = "check_in_cap_reached"
    title = "Monthly limit of check-ins reached"


class LastAdmin(Conflict):
    """This is the last admin credential without an end. Without it nobody could administer the server, so nothing was
    changed.

    Cause: Somebody revokes it, or gives it an end, before there is another one.

    Do: Issue another admin credential without an end first, or rotate this one.
    """

    code = "last_admin"
    title = "The last admin key cannot be removed"


class AlreadyRotated(Conflict):
    """The credential was rotated before, and the one that replaces it (`replaced_by`) is in use.

    Cause: Two programs rotate the same credential, or a list of credentials is old.

    Do: Rotate the credential `replaced_by` from now on.
    """

    code = "already_rotated"
    title = "The credential was rotated"


class PeriodOverlap(Conflict):
    """A closed period holds a part of this span. A span is closed once. `period` names the one that is there.

    Cause: A program closes the same month twice, or with another time zone than before.

    Do: Read the period that is there. Close only what comes after it: what arrives late is told as an adjustment.
    """

    code = "period_overlap"
    title = "Part of the period is already closed"


class IdempotencyMismatch(Conflict):
    """The key was used for another request: another method, path or body. Nothing was done.

    Cause: A program uses one key for several requests, or changes the body before it tries again. The bytes are
    compared, so another order of members is another body.

    Do: Send the very same bytes to repeat a request. Use a new key for a new request.
    """

    code = "idempotency_mismatch"
    title = "Idempotency-Key was used with another body"


class NotAsExpected(Conflict):
    """The correction says with `expects` what the event counts now, and it counts something else (`present`). Nothing
    of the request is stored.

    Cause: Somebody corrected the event since you looked at it.

    Do: Look at the event again, decide again, and send the correction with what it counts now.
    """

    code = "not_as_expected"
    title = "The event does not count what the correction expects"


class SequenceGap(Conflict):
    """The numbers of the events do not continue at the source's mark. `sequence` is the mark: the next number is one
    more. Nothing of the request is stored.

    Cause: An earlier request did not arrive, numbers were left out, or one request has numbered events of several
    sources.

    Do: Send the events again from the number after the mark on, in order and without holes, in requests of one source
    each.
    """

    code = "sequence_gap"
    title = "Numbers are missing"


class EventConflict(Conflict):
    """The id or number is that of an event with other content, which stays. This event is not stored. This code is for
    a body that is one event; in a list, the receipt alone says so.

    Cause: Two different uses got the same id, or a program changed the event before it sent it again.

    Do: Do not send it again. Give a new use an id of its own. If the stored event is wrong, send a correction.
    """

    code = "event_conflict"
    title = "The event is already stored with other content"


class SourceKindMismatch(Conflict):
    """A source has named events, numbered events or readings of counters; its first use decides which. This request has
    another kind. Nothing of it is stored.

    Cause: A program was changed from ids to numbers and kept the source's name, or one request mixes both kinds.

    Do: Send these to another source.
    """

    code = "source_kind_mismatch"
    title = "The source is of another kind"


class RowsCompacted(FlowtallyError):
    """The answer would need single rows that are now kept as sums by quarter hours only. None is given rather than one
    that is nearly right. `kept_since`, where it is there, says since when single rows are kept.

    Cause: The setting `FLOWTALLY_RETAIN_ROWS_DAYS` lets old rows be summed up, and the question asks for more than
    sums: finer edges, single events or an old moment.

    Do: Ask for a span after `kept_since`, or for whole quarter hours. To correct an old event, send an adjustment
    without `corrects`.
    """

    status = 410
    code = "rolled_up"
    title = "Old usage was compacted"


class CursorGone(FlowtallyError):
    """The cursor belongs to another state of the installation. What it has seen need not be what is here.

    Cause: The installation was restored from a backup or rebuilt after the cursor was made, or the cursor is of another
    server.

    Do: Begin the list again without the cursor. What was read before may be there once more: compare by id.
    """

    status = 410
    code = "cursor_gone"
    title = "The cursor is from before a restore"


class AsOfGone(CursorGone):
    """The token in `as_of` was made before the installation was restored. Its block and promise have other numbers
    since then.

    Cause: A program kept the token of an answer from before a restore.

    Do: Ask without `as_of`, and keep the token of the new answer.
    """

    code = "as_of_gone"
    title = "The moment is from before a restore"


class TooLarge(FlowtallyError):
    """The body, the list in it or one item of it is larger than may be. `limit` says how large. Nothing of it was
    stored.

    Cause: A whole file was sent as one request, or very many events in one list.

    Do: Send it in several requests.
    """

    status = 413
    code = "too_large"
    title = "Request too large"


class TooManyNew(TooLarge):
    """The request names more new users or sources (`what`) than one request may bring. Nothing of it is stored.

    Cause: A first import of many users, or a program that puts something that always differs, such as a session id, in
    the place of the name.

    Do: Look at the names. If they are right, send them in several requests.
    """

    code = "too_many_new"
    title = "Too many new names in one request"


class UnsupportedMedia(FlowtallyError):
    """The body has a media type or an encoding that is not taken here. `accepted` lists those that are, or `detail`
    does.

    Cause: `Content-Type` is missing, or it is what the tool sends by itself: curl says that each body is a form.

    Do: Send the right `Content-Type`, such as `application/json`, and the right `Content-Encoding` if the body is
    compressed.
    """

    status = 415
    code = "unsupported_media"
    title = "Unsupported media type or encoding"


class Unprocessable(FlowtallyError):
    """The request can be read, but a value in it cannot be taken. `detail` says which and why, and `field`, where it is
    there, names it. Nothing was changed.

    Cause: A number outside its bounds, a text that is too long or has characters that are not allowed, a member that is
    missing, or values that do not go together.

    Do: Correct the value, then send the request again.
    """

    status = 422
    code = "unprocessable"
    title = "Unprocessable content"


class LinesRefused(Unprocessable):
    """A file is taken as a whole or not at all, and some of its lines cannot be taken. `faults` names them, each with
    its `line` and what is wrong with it (`detail`); it lists no more than 100, and `count` says how many there are.
    Nothing was changed.

    Cause: A value that cannot be read or is out of its bounds, a column that is missing, or a line that is there twice.

    Do: Correct these lines, then send the whole file again.
    """

    code = "lines_refused"
    title = "Lines of the file cannot be taken"


class AtomicRefused(Unprocessable):
    """`?atomic=true` stores all events or none, and some of these cannot be stored. So nothing was stored. `receipts`
    names them and says why; it lists no more than 100.

    Cause: One event of the batch is wrong, names an account that does not exist, or has the id of another event.

    Do: Correct these events or take them out, and send the batch again. Without `atomic` the others would be stored.
    """

    code = "atomic_refused"
    title = "Nothing was stored, because some events were refused"


class EventRefused(Unprocessable):
    """A rule does not allow this event. The receipt says which one, and whether the event may be stored later
    (`retriable`). This code is for a body that is one event; in a list, the receipt alone says so.

    Cause: A field is wrong, the account does not exist, or the event's time is in the future.

    Do: Correct the event. If it is retriable, send the same event again when the reason has passed.
    """

    code = "event_refused"
    title = "The event was not stored"


class RateLimited(FlowtallyError):
    """The caller asked too often. Nothing was done.

    Cause: In the formats of other vendors, more requests than the vendor's own limit. In `/v1`, too many wrong voucher
    codes within an hour, or too many lists of endpoints within a minute.

    Do: Wait `Retry-After` seconds, then send the same request again.
    """

    status = 429
    code = "rate_limited"
    title = "Too many requests"


class NewTooOften(RateLimited):
    """The account, or the sender if it has no account, brought more new users or sources (`what`) within this hour than
    it may. Nothing of the request is stored.

    Cause: A large first import, or a program that puts something that always differs, such as a session id, in the
    place of the name.

    Do: Look at the names. If they are right, send the same request again after `Retry-After` seconds: in the next hour
    the count starts again.
    """

    code = "new_too_often"
    title = "Too many new names within an hour"


class TooManyAtOnce(RateLimited):
    """The credential, or all credentials of its account together, have as many requests in work as they may. What sends
    events is counted apart from what reads.

    Cause: A program opens many connections and asks on all of them at once.

    Do: Send the request again after `Retry-After` seconds, and fewer at a time.
    """

    code = "too_many_at_once"
    title = "Too many requests at once"


class BudgetUsed(RateLimited):
    """The requests of the account took more of the server's time than its share. Events are never refused for this
    reason.

    Cause: Large questions, such as long ranges in small buckets, that are asked again and again.

    Do: Wait `Retry-After` seconds. Ask less often, or for less. The share is the setting
    `FLOWTALLY_ACCOUNT_SHARE_PERCENT`.
    """

    code = "budget_used"
    title = "The account has used its share of the server"


class TooManyExports(RateLimited):
    """As many exports of this credential or account are under way as there may be (`limit`).

    Cause: An export that was begun before is still being read, or nobody reads it and its connection is open.

    Do: Read or close one that is under way, then ask again.
    """

    code = "too_many_exports"
    title = "Too many exports of this credential or account are under way"


class HeadTooLarge(FlowtallyError):
    """Path, query and headers together are larger than the server reads; `limit` is in bytes. A head that is far larger
    gets this status without a body.

    Cause: A query with a very long list, or cookies that something between adds to each request.

    Do: Ask for less at a time, and send fewer headers.
    """

    status = 431
    code = "head_too_large"
    title = "Request header fields too large"


class ClientGone(FlowtallyError):
    """The caller ended the connection before the request was whole, or did not read the answer. Nobody receives this
    answer: only the server's log has its status (nginx uses the same number).

    Cause: The caller's time-out is shorter than the answer takes, or its program ended.

    Do: Use a longer time-out. Whether a write was done is not known: send it again with the same `Idempotency-Key` or
    the same event ids.
    """

    status = 499
    code = "client_gone"
    title = "Client closed the request"


class StoreDamaged(FlowtallyError):
    """A database says that its own file is broken. Of usage, `part` and `file` say which one, where that is known. What
    does not need it is answered as usual.

    Cause: A disk that fails, or a file that something else than the server wrote to.

    Do: Do not try again. Whoever runs the server looks at its log, runs `flowtally verify`, and restores a backup if
    nothing else helps.
    """

    code = "store_damaged"
    title = "Stored data is damaged"


class Unavailable(FlowtallyError):
    """The server cannot do this now. Nothing that was acknowledged is affected.

    Cause: A database under the server is busy, short of memory or being restarted, or the server is stopping.

    Do: Send the same request again after `Retry-After` seconds, as often as needed. Where `detail` asks for a smaller
    range, ask for one.
    """

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 1, **extra: object) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The whole server has as many requests or exports in work as it may. Nothing was done of this one.

    Cause: Many callers at the same time, or slow ones that keep their places.

    Do: Send the same request again after `Retry-After` seconds, and wait longer each time.
    """

    code = "overloaded"
    title = "Too many requests in progress"


class QueueFull(Unavailable):
    """More is waiting to be written, or more bodies are in memory, than may be. Nothing of this request is stored.

    Cause: Events come faster than the disk takes them, or many large requests come at once.

    Do: Send the same request again after `Retry-After` seconds. Ids and numbers make that safe.
    """

    code = "queue_full"
    title = "The queue is full"


class StorageFull(Unavailable):
    """The disk has less free space than the server keeps free, or a database found no room. Nothing of this request is
    stored. Reading goes on.

    Cause: The disk of the data directory or of a database is full.

    Do: Whoever runs the server makes room on the disk. Then send the same request again: writing begins again by
    itself.
    """

    code = "storage_full"
    title = "Storage is full"


class FlushBehind(Unavailable):
    """As much as may be is stored in the journal alone and not yet in the usage table. Nothing of this request is
    stored. Reading goes on.

    Cause: The database engine of the usage table is slow, stands still, or refuses what it is given. `detail` says how
    much waits.

    Do: Send the same request again after `Retry-After` seconds: writing begins again by itself when some of it is in
    the table. Whoever runs the server sees in `/readyz` and in the log what keeps the engine.
    """

    code = "flush_behind"
    title = "The usage table is behind"


class HoldsFull(Unavailable):
    """A numbered event would have to be held, and there is no room for it. All events before it are stored: `sequence`
    is the source's mark. `reason` says why the event cannot be stored now, `bound` and `limit` what is full.

    Cause: Many events name an account or a user that nobody has made.

    Do: See `flowtally held list`. Make the account or the user, or drop what is wrong. Then send the events after the
    mark again.
    """

    code = "holds_full"
    title = "No more events can be held"


class LeaseLost(Unavailable):
    """The server lost its lease on the ledger in PostgreSQL. It writes nothing until it has the lease again, which it
    tries by itself. Reading goes on.

    Cause: The connection to PostgreSQL broke, or another server took the lease.

    Do: Send the same request again after `Retry-After` seconds. If that goes on, whoever runs the server looks whether
    two servers use one ledger.
    """

    code = "lease_lost"
    title = "This server may not write"


class Settling(Unavailable):
    """A write ended without an answer of the database, and the server is finding out whether it is there. Until then it
    writes nothing else.

    Cause: The usage store was stopped or cut off in the middle of a write.

    Do: Send the same request again after `Retry-After` seconds. What was stored after all is answered as a duplicate.
    """

    code = "settling"
    title = "A write is being confirmed"


class ClockJumped(Unavailable):
    """The machine's clock shows a time that cannot be right: `clock` is what it says, `expected` what it should be.
    Nothing is dated by it, so nothing is written. Reading goes on.

    Cause: Somebody, or a service that sets the time, moved the clock by a large amount.

    Do: Whoever runs the server sets the clock right, or waits until it has caught up. If it is right now, start the
    server again. Then send the same request again.
    """

    code = "clock_jumped"
    title = "The server's clock has jumped"


class ConfigError(Exception):
    """A setting or an option cannot be used. The message names it, with the value. Nothing was changed.

    Cause: A misspelt value, a file or an address that is not there, or two settings that do not go together.

    Do: Correct the setting, then start the command again. `docs/reference/settings.md` lists all settings.
    """


class LedgerTooNew(ConfigError):
    """The ledger was written by a later version of flowtally than this one. Nothing was changed.

    Cause: An earlier version was started after an upgrade.

    Do: Start the version that wrote the ledger, or a later one.
    """


class UsageTooNew(ConfigError):
    """The usage store was written by a later version of flowtally than this one. Nothing was changed.

    Cause: An earlier version was started over a data directory or a ClickHouse server that a later one has upgraded.

    Do: Start the version that wrote the usage store, or a later one.
    """


class BackupTooNew(ConfigError):
    """The backup was made by a later version of flowtally than this one. Nothing was restored.

    Cause: A machine on which backups are restored was not upgraded with the server.

    Do: Restore the backup with the version that made it, or a later one.
    """


class Damage(Exception):
    """The stored data is not what was acknowledged. The start refuses, and the message says what is wrong.

    Cause: A disk that failed, files that were removed or mixed up, or a restore by hand.

    Do: Change nothing. Read the message, keep a copy of the data directory, and restore a backup if nothing else helps.
    """


class MissingRows(Damage):
    """Rows of usage that were acknowledged are not there. The message says how many were, and how many are left.

    Cause: Files of the usage store were removed, or an older copy of them was put back without the rest.

    Do: Put the files back that belong to the event keys, or restore a backup. Nothing was changed.
    """


class DetachedParts(Damage):
    """The database engine put files of usage aside, so their rows would not be counted.

    Cause: The engine found them broken when it started, usually after a crash of the machine or a fault of the disk.

    Do: Look at the disk. Restore a backup; `flowtally verify` on the restored directory says whether all is there.
    """


class BrokenParts(Damage):
    """A file of usage is not what was written, or it cannot be read. The message names the part, and the file where
    that is known.

    Cause: A disk that returns wrong bytes, or a file that was changed by something else.

    Do: Look at the disk. Restore a backup, on another disk if this one fails.
    """


class TableChanged(Damage):
    """A table of the usage store is not the one that flowtally makes. The message names the table and what differs.
    Rows could be read wrongly or be lost in a crash.

    Cause: Somebody changed the table by hand, or a file of its definition is broken.

    Do: Undo the change, or restore a backup. Leave the tables of flowtally to flowtally.
    """


class LedgerBroken(Damage):
    """The file of the ledger is not whole.

    Cause: A disk that failed, or a copy that was made while a server was writing.

    Do: Restore a backup. To copy a running server, use `flowtally backup`.
    """


class KeysBroken(Damage):
    """The database of event keys is missing or cannot be read, though there are rows of usage.

    Cause: The file was removed, or the disk failed.

    Do: Put the file back, or start once with `FLOWTALLY_REBUILD_KEYS=true`: the keys are then made from the rows. The
    message says what is lost that only they held.
    """


class KeysTooNew(KeysBroken):
    """The database of event keys was written by a later version of flowtally. It is whole, so it must not be rebuilt.
    Nothing was changed.

    Cause: An earlier version was started over the keys of a later one.

    Do: Start the version that wrote the keys, or a later one.
    """


class JournalBroken(Damage):
    """The journal, which holds the newest blocks of usage, is missing, not whole, or not a journal at all. The message
    names the file, and the block where that is known.

    Cause: A disk that failed, or a file that was removed, changed or put in its place.

    Do: Look at the disk. Put the journal back that belongs to the keys beside it, or restore a backup. Without it the
    newest events would be lost, so no new one is made where rows are missing.
    """


class JournalTooNew(JournalBroken):
    """The journal was written by a later version of flowtally than this one. It is whole. Nothing was changed.

    Cause: An earlier version was started over a data directory after an upgrade.

    Do: Start the version that wrote the journal, or a later one.
    """


class StoresDiffer(Damage):
    """Ledger, event keys, usage and journal do not belong together. The message says what each of them is. Nothing was
    changed.

    Cause: One of them is another installation's, or a copy from before a restore, a rebuild or an upgrade.

    Do: Put those back that belong together: from one backup, or from before the change.
    """


class CopyDiffers(Damage):
    """The rows that were copied into another store are not those that were read. The copy was taken away again.

    Cause: Something else wrote to the target at the same time, or the target lost rows.

    Do: Copy again into a store that nothing else uses.
    """


class LedgerMissing(Damage):
    """The ledger is new or empty, though event keys or rows are there. Nothing was changed.

    Cause: The setting for the ledger names another place than before, or its file was moved.

    Do: Put the ledger back, or name its place. If it is lost, restore a backup.
    """


class LedgerOlder(Damage):
    """The ledger holds fewer promises than the event keys know of: it is an older copy. Nothing was changed.

    Cause: The ledger alone was put back from a backup, or PostgreSQL went back to an earlier state.

    Do: Put the newer ledger back, or restore ledger, keys and usage from one backup.
    """


class MissingAccounts(Damage):
    """Rows name accounts that the ledger does not have. Nothing was changed.

    Cause: The ledger is older than the rows, or it is that of another installation.

    Do: Put the ledger back that belongs to the rows.
    """


class BrokenRollup(Damage):
    """Sums that the usage store keeps beside its rows differ from the rows, and could not be rebuilt.

    Cause: A broken file beside sound rows, on a disk that takes no new files.

    Do: Look at the disk, make room on it, and start again. If that does not help, restore a backup.
    """


class DoubleCounted(Damage):
    """Rows of one event are there twice. The message names some of them.

    Cause: Files of usage were put back beside others that hold the same rows.

    Do: Take the files away that were added, or restore a backup.
    """


class FoldBroken(Damage):
    """Old rows that were summed up by quarter hours do not say what the rows say. They were not put in place: nothing
    was changed.

    Cause: A fault of flowtally, of the engine or of the machine's memory.

    Do: Run `flowtally verify`. If it finds nothing, try again; if this comes again, report it with the message.
    """


class BackupBroken(Damage):
    """The backup is not as it was written, or it was made of files that were damaged. Nothing was restored.

    Cause: A copy that was cut off, a disk that failed, or files in the backup that were changed.

    Do: Restore another backup, or fetch this one again from where it is kept.
    """


class WriterBusy(Damage):
    """Another process writes this installation. The message says which, where it is known.

    Cause: A server is running over the same data directory or ledger, or one has not ended yet.

    Do: Stop that process first, or name another place.
    """
