"""The words that several folders share: what may stand in a field, said once.

Owns the lists. Their meaning is told where a field is documented. A list that one module alone uses stays there.
"""

from __future__ import annotations

from typing import Literal

Unit = Literal["bytes", "requests"]  # what is counted or limited
Charge = Literal["bytes", "requests", "nothing"]  # what the grants of a pool pay for
Overage = Literal["carry", "forgive"]  # what happens to use that no grant pays
GrantState = Literal["pending", "active", "spent", "expired", "voided"]
UnpaidFate = Literal["open", "before_carry", "forgiven"]  # what became of use that no grant paid
UnpaidSince = Literal["grant", "account", "user"]  # what began too late to pay for earlier use
UnpaidWhy = Literal["no_grant", "not_covered"]  # why nothing will pay
AccountStatus = Literal["active", "suspended", "closed"]
UserStatus = Literal["active", "disabled", "deleted"]
SetUserStatus = Literal["active", "disabled"]  # of those, what a request may set
LimitWindow = Literal["lifetime", "day", "month"]
VoucherStatus = Literal["unused", "used", "revoked"]
TransferKind = Literal["deposit", "adjustment", "purchase"]  # what moved money
EntryKind = Literal["use", "correction", "adjustment"]  # what a row of usage is
SourceKind = Literal["named", "numbered", "counters"]  # how the events of a source are told apart
Bucket = Literal["15m", "hour", "day", "week", "month", "total"]  # what an answer is cut into
Fill = Literal["zero", "none"]  # whether spans without use have rows
ExportFormat = Literal["parquet", "csv"]
ListForm = Literal["json", "csv", "text"]  # of an answer that is for programs or for people
ReceiptsTold = Literal["notable", "all"]  # which receipts an answer lists
Logins = Literal["thordata", "ipfoxy"]  # whose gateways write logins so
JobState = Literal["never", "running", "done", "failed"]  # of the last job of its kind
Verdict = Literal["ok", "warn", "fail"]  # of one look of the doctor
RefuseOrAllow = Literal["refuse", "allow"]  # what follows where something may be wrong
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]  # in which header proxies tell whose request it is
MetricKind = Literal["counter", "gauge"]
Method = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]  # of an HTTP request that is served
Owned = Literal["bytes", "requests", "money"]  # what a vendor may say is left
PullOutcome = Literal["ok", "late", "denied", "changed_shape"]  # what asking a vendor came to
ProviderState = Literal["new", "ok", "late", "denied", "changed_shape", "removed"]
ShadowOutcome = Literal["agreed", "differed", "failed"]  # what asking a vendor the same call came to
WebhookState = Literal["active", "disabled", "removed"]
DeliveryState = Literal["waiting", "delivered", "dead"]  # `dead`: it is not tried again by itself
PlanStatus = Literal["active", "retired"]
LeaseState = Literal["active", "grace", "ended", "released"]  # `grace`: it has ended and can still be renewed
LeaseStep = Literal["given", "bought", "renewed", "upgraded", "released"]  # what happened to a lease
StockState = Literal["free", "leased", "kept", "retired"]  # `kept`: for the last holder, who may still renew
Aggregation = Literal["mean", "max", "min", "last", "sum"]  # how the samples of a period become one value
PlaceFormat = Literal["csv", "json"]  # of a file of places
PlaceKind = Literal["country", "state", "city", "asn"]  # asn: an autonomous system
ActionState = Literal["requested", "taken", "done", "failed", "expired"]  # of what a holder asks of its server
ActionOutcome = Literal["done", "failed"]  # of those, what whoever does it says
