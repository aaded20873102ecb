"""The error codes and what each means, in the order of their tree. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from flowtally.api.reference.html import Html, Links, prose, sentence, tag
from flowtally.core import errors

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


def tree(error: Error = errors.FlowtallyError, depth: int = 0) -> Iterator[tuple[int, Error]]:
    """Every class with a code, and how deep it stands below those that have their first place below the root."""
    yield depth, error
    for below in error.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below, depth + 1 if error is not errors.FlowtallyError else 0)


def meaning(error: Error) -> str:
    """The first paragraph of its own docstring."""
    return " ".join((error.__dict__.get("__doc__") or "").split("\n\n")[0].split())


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
        id="errors",
    )


def _row(depth: int, error: Error, links: Links) -> Html:
    name, status = tag("code", error.code, class_="name"), tag("span", str(error.status), class_="status")
    told: list[str] = [tag("strong", f"{error.title}{'' if error.title.endswith('?') else '.'}")]
    if said := meaning(error):
        told += [" ", sentence(said, links)]
    cells = (tag("th", name, status, scope="row"), tag("td", *told))
    return tag("tr", *cells, id=f"error-{error.code}", class_=f"depth{depth}")
