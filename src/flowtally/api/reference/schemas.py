"""A JSON schema as words and as a table of members. Pure.

Owns how types, limits, defaults and examples read. Shows every keyword that the document has: one that it does not
know is shown as it stands, so that nothing is lost where the document learns to say more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from flowtally.api.reference.html import NOTHING, Html, Links, code, join, prose, sentence, tag
from flowtally.web.schemas import NULL

Schema = Mapping[str, Any]

SHOWN: Final = frozenset(
    (
        *("$ref", "anyOf", "oneOf", "allOf", "type", "enum", "const", "format", "items", "properties", "required"),
        *("additionalProperties", "description", "title", "default", "example", "examples", "discriminator"),
        *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties"),
    )
)
COUNTED: Final = (("Length", "characters"), ("Items", "items"))


class SchemaMember(msgspec.Struct, frozen=True):
    """One line of the table: `name` is its place, such as `data.list[].day`."""

    name: str
    schema: Schema
    required: bool


def name_of(ref: str) -> str:
    return ref.rpartition("/")[2]


def compact(value: Any) -> str:
    """JSON on one line."""
    return msgspec.json.encode(value).decode()


def pretty(value: Any) -> str:
    """JSON for people; text as it is."""
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def kind(schema: Schema, links: Links) -> Html:
    """What it is, in a few words: `string`, `list of Receipt`, `integer (int64) or null`."""
    if "$ref" in schema:
        return code(name_of(schema["$ref"]), links)
    for any_of in ("anyOf", "oneOf", "allOf"):
        if any_of in schema:
            options = sorted(schema[any_of], key=lambda option: option == NULL)  # null last
            return join(list(dict.fromkeys(kind(option, links) for option in options)), " or ")
    if "const" in schema:
        return code(compact(schema["const"]))
    if "enum" in schema:
        return join([code(str(one) if one is not None else "null") for one in schema["enum"]], " | ")
    if isinstance(schema.get("type"), list):
        return join([kind({**schema, "type": one} if one != "null" else NULL, links) for one in schema["type"]], " or ")
    return _plain(schema, links)


def _plain(schema: Schema, links: Links) -> Html:
    said = schema.get("type")
    if said is None:
        return Html("anything")
    if said == "array":
        return join(["list of ", kind(schema.get("items", {}), links)])
    if said == "object" and isinstance(more := schema.get("additionalProperties"), Mapping) and more:
        return join(["object of ", kind(more, links), " by name"])
    return join([said, f" ({schema['format']})"]) if "format" in schema else join([said])


def limits(schema: Schema) -> Iterator[Html]:
    """What else is asked of a value, each as a few words."""
    if (span := _span(schema.get("minimum"), schema.get("maximum"))) is not None:
        yield join([span])
    for counted, what in COUNTED:
        if (span := _span(schema.get(f"min{counted}"), schema.get(f"max{counted}"))) is not None:
            yield join([f"{span} {what}" if not span.endswith(" 1") else f"{span} {what.removesuffix('s')}"])
    for name in schema.keys() - SHOWN:
        yield join([f"{name} ", code(compact(schema[name]))])
    for below in _below(schema):
        yield from limits(below)


def _span(least: Any, most: Any) -> str | None:
    if least is None and most is None:
        return None
    if most is None:
        return f"at least {least}"
    return f"at most {most}" if least is None else f"{least} to {most}"


def _below(schema: Schema) -> Iterator[Schema]:
    """What a value may be instead, or holds: their limits are the value's, too."""
    for any_of in ("anyOf", "oneOf", "allOf"):
        yield from schema.get(any_of, ())
    if isinstance(schema.get("items"), Mapping):
        yield schema["items"]


def members(schema: Schema, within: str = "") -> Iterator[SchemaMember]:
    """Those of an object, and of objects written out in it. What is referred to has a table of its own."""
    required = schema.get("required", ())
    for name, below in schema.get("properties", {}).items():
        place = f"{within}.{name}" if within else name
        yield SchemaMember(place, below, name in required)
        yield from members(below, place)
    if isinstance(schema.get("items"), Mapping):
        yield from members(schema["items"], f"{within}[]")
    for any_of in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(any_of, ()):
            yield from members(option, within)


def table(lines: list[SchemaMember], links: Links) -> Html:
    """The members of an object, or the parameters of a request."""
    if not lines:
        return NOTHING
    first: dict[str, SchemaMember] = {}  # alternatives often have members in common
    for one in lines:
        first.setdefault(one.name, one)
    return tag("table", tag("tbody", *(_row(one, links) for one in first.values())), class_="members")


def _row(one: SchemaMember, links: Links) -> Html:
    name = [tag("code", one.name, class_="name")]
    if one.required:
        name.append(tag("span", "required", class_="required"))
    name.append(tag("div", kind(one.schema, links), class_="kind"))
    return tag("tr", tag("th", *name, scope="row"), tag("td", told(one.schema, links)))


def told(schema: Schema, links: Links) -> Html:
    """Its description, then limits, default and example on a line of their own."""
    notes = [*limits(schema)]
    if schema.get("default") is not None and schema["default"] not in ("", [], {}):
        notes.append(join(["default ", code(_bare(schema["default"]))]))
    examples = schema.get("examples", [schema["example"]] if "example" in schema else [])
    if examples:
        notes.append(join(["for example ", join([code(_bare(one)) for one in examples], ", ")]))
    described = prose(schema["description"], links) if schema.get("description") else NOTHING
    return join([described, tag("p", join(dict.fromkeys(notes), "; "), class_="notes") if notes else NOTHING])


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else compact(value)


def section(name: str, schema: Schema, links: Links) -> Html:
    """A named schema: its heading can be linked."""
    head = tag("h3", link_to(f"schema-{name}", name))
    lines = [*members(schema)]
    shape = NOTHING if lines else tag("p", kind(schema, links), class_="kind")
    described = prose(schema.get("description", ""), links)
    others = schema.get("additionalProperties")
    more = tag("p", "Any other member is an error.", class_="notes") if lines and others is False else NOTHING
    if lines and isinstance(others, Mapping) and others:
        more = tag("p", sentence("Other members: "), kind(others, links), class_="notes")
    return tag("section", head, described, shape, table(lines, links), more, id=f"schema-{name}", class_="schema")


def link_to(anchor: str, text: str) -> Html:
    """A heading that links to itself, so that its address can be taken."""
    return tag("a", tag("code", text), href=f"#{anchor}", class_="self")
