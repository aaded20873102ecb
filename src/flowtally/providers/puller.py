"""What a puller is: a vendor's API asked with the customer's own key, declared as values.

    PULLER = Puller(vendor="thordata", base_url="https://openapi.thordata.com/api", secrets=(...), check=..., pull=...)

`check` and `pull` are handed `ask`, the only way out: it owns the connection, time-outs, bounds, the pace, what is
retried, and which host the secrets go to (`asking`). They own the meaning of the answers: what is not as the vendor's
notes say is a ChangedShape with a sample, never a zero. `pull` yields one statement at a time, oldest spans first, so
that what was told is kept even where a later call fails; a pull that begins anew says the same again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, Protocol

import msgspec

from flowtally.core.reported import Paying, Statement
from flowtally.core.unshown import repr_without
from flowtally.core.words import PullOutcome, Unit
from flowtally.providers.hiding import hide_passwords

MAX_SAMPLE: Final = 500  # characters of an answer that an error shows
MAX_ANSWER: Final = 4 * 1024 * 1024  # bytes of one; as values it may take 20 times as much memory


class VendorFault(Exception):
    """Why asking a vendor brought nothing. `outcome`: what a pull comes to by it. `after_s`: when the vendor wants to
    be asked again, where it says so."""

    outcome: ClassVar[PullOutcome] = "late"
    after_s: float | None = None

    @property
    def told(self) -> str:
        """For people."""
        return str(self)


class Denied(VendorFault):
    """The vendor refuses the secrets, or what they may see. Nothing is asked again until somebody changes them."""

    outcome = "denied"


class Limited(VendorFault):
    """The vendor wants to be asked later."""

    def __init__(self, detail: str, after_s: float | None = None) -> None:
        super().__init__(detail)
        self.after_s = after_s


class Failed(VendorFault):
    """No answer, or one that says that the vendor failed: it may work later."""


class Declined(Failed):
    """An answer of the vendor that says no, with a code of its own and what it says to it."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"code {code}: {said}" if said else f"code {code}")
        self.code = code


class ChangedShape(VendorFault):
    """An answer that means nothing known: what is wrong, and the beginning of the answer, without secrets."""

    outcome = "changed_shape"

    def __init__(self, what: str, sample: str = "") -> None:
        super().__init__(what)
        self.sample = sample[:MAX_SAMPLE]

    @property
    def told(self) -> str:
        return f"{self}; it said: {self.sample}" if self.sample else str(self)


class VendorAnswer(msgspec.Struct, frozen=True):
    """What came back. Header names are in small letters. `clean` takes secrets out of a text."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    clean: Callable[[str], str] = str

    @property
    def text(self) -> str:
        """For people. What the answer means is read from `json`."""
        return self.shown(self.body.decode("utf-8", "replace"))

    def shown(self, said: str, most: int | None = None) -> str:
        """What it says, for people: without secrets and passwords, and cut only then to at most so many characters: a
        half of a secret would not be found any more."""
        return hide_passwords(self.clean(said))[:most]

    def json(self) -> Any:
        """The body as JSON, decimals exact. ChangedShape where it is none, such as a page for people."""
        try:
            return json.loads(self.body, parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, ArithmeticError, RecursionError) as error:
            told = self.headers.get("content-type", "no content type")
            raise ChangedShape(f"HTTP {self.status} ({told}) is no JSON: {error}", self.text) from None


class AskVendor(Protocol):
    """One call of the vendor. GETs, and what `safe` says may be done twice, are tried again where nothing came back or
    the vendor failed, with growing pauses. Raises Failed (no answer, HTTP 5xx to the end), Limited (429 to the end);
    every other status is returned, and so is what `again` said is to come later, if it stays so to the end. Redirects
    are not followed: they are ChangedShape."""

    def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
        form: Mapping[str, str] | None = None,
        safe: bool = False,
        again: Callable[[VendorAnswer], float | None] | None = None,
    ) -> VendorAnswer:
        """`path` is joined to the base URL. `again` sees each answer first: whether it means "later", as some vendors
        say it with HTTP 200: after how many seconds (0: as the pace says), or None: its status decides. It may raise,
        where a 429 means something else."""
        ...


class ProviderSetting(msgspec.Struct, frozen=True):
    """One thing that is said when a provider is added. `default` None: it must be given. `choices`: one of these.
    `fixed`: it stays as it was said first, because with another one the same use would stand under two keys."""

    name: str
    meaning: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    fixed: bool = False


class Pace(msgspec.Struct, frozen=True):
    """How often a vendor may be asked: seconds between the beginnings of two calls, the pauses before another try."""

    between_s: float
    pauses_s: tuple[float, ...] = (3.0, 6.0, 12.0)


class EarlierLooks(msgspec.Struct, frozen=True):
    """The looks at an account before this one, for vendors that tell no spans (`grain` pull): their use is what grants
    say more of from look to look.

    at: When the last of them ended: the end of its UseSaid.
    baseline: What had been used of each grant, by its id, when the account was looked at for the first time: that is no
        part of the series. A grant that is not in it came later, and all of its use is. It is made of the first
        GrantsSaid, which comes before the first UseSaid: whoever keeps both keeps them in this order, or at once.
    """

    at: int
    baseline: Mapping[str, int]


class ToPull(msgspec.Struct, frozen=True):
    """What a pull is to bring: usage from the instant `since` up to now. `secrets` and `settings` as they were given or
    by default. `looked`: None where no look came to an end."""

    secrets: Mapping[str, str]
    settings: Mapping[str, str]
    since: int
    now: int
    looked: EarlierLooks | None = None

    def __repr__(self) -> str:
        return repr_without(self, "secrets")


class Sight(msgspec.Struct, frozen=True):
    """What the secrets can see, in a sentence each for people: `works` and `cannot`."""

    works: tuple[str, ...]
    cannot: tuple[str, ...] = ()


class Puller(msgspec.Struct, frozen=True):
    """How one vendor is asked.

    vendor, title: Its name here and to people; base_url: where it lives.
    quantity: What it tells its use in, also where it tells of none.
    paying: Which of its balances its use takes from; None: it tells none.
    secrets: What is sealed and never shown; settings: what is shown.
    pace: Of all calls with one provider's secrets.
    every_s: How often a pull is worth it, at most.
    settle_days: Days back that the vendor may still change without a notice: they are asked again each time.
    keeps_days: How far back the vendor answers, None: it does not say.
    """

    vendor: str
    title: str
    base_url: str
    secrets: tuple[ProviderSetting, ...]
    settings: tuple[ProviderSetting, ...]
    pace: Pace
    every_s: int
    settle_days: int
    keeps_days: int | None
    quantity: Unit
    check: Callable[[AskVendor, ToPull], Sight]
    pull: Callable[[AskVendor, ToPull], Iterator[Statement]]
    paying: Paying | None = None


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
