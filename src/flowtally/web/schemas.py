"""JSON schemas of messages, for the OpenAPI document: what msgspec makes of a struct, and what readers and generators
of clients need besides.

Owns where the description of a member comes from (its `Meta`, else the line `name: what it is.` in the docstring of its
struct, else `MEANINGS`), the formats of numbers, which members an answer always has, and the title, which is the
schema's own name. That a text is an instant or a date is said by its type (`edges.Instant`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.inspect import StructType, Type

from flowtally.protocol.meanings import MEANINGS

Document = dict[str, Any]

REF: Final = "#/components/schemas/{name}"
NULL: Final = {"type": "null"}
TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number"}
FORMATS: Final = {"integer": "int64", "number": "double"}
NOTHING_SENT: Final[tuple[Any, ...]] = (None, "", [], {})  # defaults that mean what leaving it out means
_LINE: Final = re.compile(r"^(\w+): (.*(?:\n +.*)*)$", re.MULTILINE)


def make_schemas(
    answers: Iterable[Any], requests: Iterable[Any], *, prefix: str = ""
) -> tuple[dict[Any, Document], dict[str, Document]]:
    """The schema of each of these types, and the components they refer to, whose names begin with `prefix`."""
    written, read = list(dict.fromkeys(answers)), list(dict.fromkeys(requests))
    types = list(dict.fromkeys([*written, *read]))
    found, named = msgspec.json.schema_components(types, ref_template=REF.format(name=prefix + "{name}"))
    known = dict(zip(types, msgspec.inspect.multi_type_info(types), strict=True))  # once: it takes most of the time
    structs = {one.cls.__name__: one for one in structs_of(known.values())}
    sent = {one.cls for one in structs_of(known[one] for one in read)}
    components = {
        prefix + name: _component(prefix + name, schema, structs[name], is_answer=structs[name].cls not in sent)
        for name, schema in named.items()
    }
    return dict(zip(types, map(formatted, found), strict=True)), components


def structs_of(types: Iterable[Type]) -> Iterator[StructType]:
    """The structs that these types are made of, however deep; each once."""
    waiting = list(types)
    seen: set[Any] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, StructType):
            if one.cls in seen:
                continue
            seen.add(one.cls)
            yield one
            waiting += [field.type for field in one.fields]
        elif isinstance(one, Type):
            for name in one.__struct_fields__:
                value = getattr(one, name)
                parts = value if isinstance(value, tuple) else (value,)
                waiting += [part for part in parts if isinstance(part, Type)]


def _component(name: str, schema: Document, struct: StructType, *, is_answer: bool) -> Document:
    made: Document = formatted(schema)
    made["title"] = name
    text, told = taken_apart(struct)
    made["description"] = text
    for field in struct.fields:
        member = made["properties"][field.encode_name]
        described = member.pop("description", None) or told.get(field.encode_name) or told.get(field.name)
        if described or field.encode_name in MEANINGS:
            member["description"] = described or MEANINGS[field.encode_name]
        if is_answer or member.get("default") in NOTHING_SENT:
            member.pop("default", None)
    if is_answer and not struct.cls.__struct_config__.omit_defaults:
        made["required"] = [one.encode_name for one in msgspec.structs.fields(struct.cls) if one.default is not UNSET]
    return made


def taken_apart(struct: StructType) -> tuple[str, dict[str, str]]:
    """The docstring of a struct, without the lines about its members; and these lines, those of its bases too."""
    told: dict[str, str] = {}
    for one in reversed(struct.cls.__mro__):
        if issubclass(one, msgspec.Struct) and "__doc__" in vars(one):
            told |= {name: " ".join(line.split()) for name, line in _LINE.findall(inspect.cleandoc(one.__doc__ or ""))}
    members = {name for one in struct.fields for name in (one.name, one.encode_name)}
    text = inspect.cleandoc(vars(struct.cls).get("__doc__") or "")
    kept = _LINE.sub(lambda match: "" if match[1] in members else match[0], text)
    paragraphs = [" ".join(one.split()) for one in kept.split("\n\n")]
    return "\n\n".join(one for one in paragraphs if one), {name: told[name] for name in told if name in members}


def formatted(schema: Any) -> Any:
    """The same with the formats of numbers, and in one form where there are several: an enum has a type and no null
    among its values, and what is said of the one thing that may also be null is said of both."""
    if isinstance(schema, list):
        return [formatted(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _part(name, one) for name, one in schema.items()}
    if made.get("format") == "decimal":  # printed as a number, always: what is text on the wire is a `str`
        made |= {"type": "number", "format": "double"}
    if "$ref" in made:
        return {name: one for name, one in made.items() if name in ("$ref", "description")}
    if "anyOf" in made:
        made = _of_several(made)
    if "enum" in made:
        return _enum(made)
    if made == {"type": "object"}:  # of any members: some generators read it as an object that has none
        made["additionalProperties"] = True
    if isinstance(made.get("type"), str) and made["type"] in FORMATS:
        made.setdefault("format", FORMATS[made["type"]])
    return made


def _part(name: str, value: Any) -> Any:
    if name == "properties":
        return {member: formatted(one) for member, one in value.items()}
    return value if name in ("examples", "example", "default", "enum", "required") else formatted(value)


def _enum(schema: Document) -> Document:
    values = [one for one in schema["enum"] if one is not None]
    kind = TYPES[type(values[0])]
    of_values: Document = {"type": kind, "enum": values}
    if kind in FORMATS:
        of_values["format"] = FORMATS[kind]
    if len(values) == len(schema["enum"]):
        return schema | of_values
    return without(schema, "enum", "type") | {"anyOf": [of_values, NULL]}


def _of_several(schema: Document) -> Document:
    """Where a type is said beside the options, only those of this type are meant."""
    kind = schema.pop("type", None)
    options = [one for one in schema["anyOf"] if kind in (None, one.get("type"))]
    for option in options:
        for name in ("description", "examples"):
            if name in option and name not in schema:
                schema[name] = option.pop(name)
    return schema | {"anyOf": options} if len(options) > 1 else options[0] | without(schema, "anyOf")


def without(schema: Mapping[str, Any], *names: str) -> Document:
    return {name: one for name, one in schema.items() if name not in names}


def without_null(schema: Mapping[str, Any]) -> Document:
    """A parameter is left out rather than null."""
    options = [option for option in schema.get("anyOf", []) if option != NULL]
    made = without(schema, "anyOf")
    if len(options) == 1:
        return {**options[0], **made}
    return made | ({"anyOf": options} if options else {})
