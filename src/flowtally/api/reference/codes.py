"""The codes and what each means, why it comes and what to do: of problems in the order of their tree, and of receipts.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from flowtally.api.reference.html import NOTHING, Html, Links, prose, sentence, tag
from flowtally.core import errors
from flowtally.core.advice import Advice, advice_of
from flowtally.protocol.receipt_codes import OF_CORRECTIONS, OF_EVENTS, OF_READINGS, OF_SAMPLES

Error = type[errors.FlowtallyError]

TO_DO = (
    (
        "400, 405, 406, 413, 415, 422, 431",
        "The request is wrong. Change it: the same request gets the same answer.",
    ),
    ("401", "No token, or one that is not known or has ended. Nothing was done."),
    ("403", "The credential may not do this. Nothing was done."),
    ("404", "It does not exist, or it belongs to another account: both look alike."),
    ("408", "The body stood still on its way. Send it again."),
    ("409", "The request is fine, and the present state does not allow it. `detail` says what stands in the way."),
    ("410", "What the cursor or moment belonged to is gone. Begin again without it."),
    ("429", "Too much at once or too often. Wait `Retry-After` seconds, then send the same again."),
    ("500", "Something is broken inside. Sending again does not help: tell who runs the server the `request_id`."),
    ("503", "Not now. Wait `Retry-After` seconds, then send the same again, as often as needed."),
)

RECEIPTS: Final[Mapping[str, Mapping[str, Advice]]] = {
    "Codes in receipts of events": OF_EVENTS,
    "Codes in receipts of corrections": OF_CORRECTIONS,
    "Codes in receipts of readings": OF_READINGS,
    "Codes in receipts of samples": OF_SAMPLES,
}


def tree(error: Error = errors.FlowtallyError, depth: int = 0) -> Iterator[tuple[int, Error]]:
    """Every class with a code, and how deep it stands below those that have their first place below the root."""
    yield depth, error
    for below in error.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below, depth + 1 if error is not errors.FlowtallyError else 0)


def anchors() -> dict[str, str]:
    """What a code in a text leads to."""
    return {error.code: f"#error-{error.code}" for _, error in tree()}


def section(links: Links) -> Html:
    """What to do by status, and every code."""
    to_do = [tag("tr", tag("th", status, scope="row"), tag("td", sentence(text))) for status, text in TO_DO]
    return tag(
        "section",
        tag("h2", "Errors"),
        prose(
            "Every error of our own routes is a problem document (RFC 9457), `application/problem+json`. Programs look "
            "at `code`: codes are stable, texts may change. `detail` says what is wrong, with the values. `request_id` "
            "is in the server's log. Dialects answer in the words of their vendor."
        ),
        tag("table", tag("tbody", *to_do), class_="members"),
        tag("h3", "Codes"),
        prose("A code that is set in is a case of the one above it."),
        tag("table", tag("tbody", *(_row(depth, error, links) for depth, error in tree())), class_="members"),
        *(_receipts(name, codes, links) for name, codes in RECEIPTS.items()),
        id="errors",
    )


def _row(depth: int, error: Error, links: Links) -> Html:
    name, status = tag("code", error.code, class_="name"), tag("span", str(error.status), class_="status")
    title = tag("strong", f"{error.title}{'' if error.title.endswith('?') else '.'}")
    cells = (tag("th", name, status, scope="row"), tag("td", title, " ", *_told(advice_of(error), links)))
    return tag("tr", *cells, id=f"error-{error.code}", class_=f"depth{depth}")


def _receipts(name: str, codes: Mapping[str, Advice], links: Links) -> Html:
    rows = [
        tag("tr", tag("th", tag("code", code, class_="name"), scope="row"), tag("td", *_told(advice, links)))
        for code, advice in codes.items()
    ]
    return tag("div", tag("h3", name), tag("table", tag("tbody", *rows), class_="members"))


def _told(advice: Advice, links: Links) -> tuple[Html, ...]:
    named = (("Usual cause:", advice.cause), ("What to do:", advice.do))
    parts = (tag("p", tag("strong", name), " ", sentence(text, links)) if text else NOTHING for name, text in named)
    return (sentence(advice.meaning, links), *parts)
