"""The contract as documents: a JSON Schema per message type, and the table of types in the reference page.

``python -m infra.cloudevents.reference`` writes them where they belong; a test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from domain.messages import LIFECYCLE, MESSAGES
from infra.cloudevents.attributes import rule
from infra.cloudevents.event import CloudEvent
from infra.cloudevents.examples import EARLIER, EXAMPLES

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "reference"
PAGE: Final = "messages.md"
BEGIN: Final = "<!-- written by python -m infra.cloudevents.reference: begin -->"
END: Final = "<!-- written by python -m infra.cloudevents.reference: end -->"
ENVELOPE: Final = "cloudevent"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def data_schema(message_type: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the data of one message type, with an example.

    Raises:
        KeyError: there is no such type, or no example of it.
    """
    schema = _flat(msgspec.json.schema(MESSAGES[message_type]))
    return {
        "$schema": _DIALECT,
        **schema,
        "title": message_type,
        "description": _plain(schema["description"]),
        "examples": [EXAMPLES[message_type], *EARLIER.get(message_type, ())],
    }


def envelope_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an event in structured mode, its data left open."""
    attributes = [field for field in msgspec.structs.fields(CloudEvent) if field.name != "data"]
    shape = msgspec.defstruct(
        CloudEvent.__name__,
        [(field.name, field.type) if field.required else (field.name, field.type, None) for field in attributes],
    )
    schema = _flat(msgspec.json.schema(shape))
    described = {name: {**value, "description": rule(name)} for name, value in schema["properties"].items()}
    return {
        "$schema": _DIALECT,
        **schema,
        "description": "A CloudEvent 1.0 as exchange `events` takes it. Other attributes are allowed, and not kept.",
        "properties": {**described, "data": {"description": "as the schema of the type says"}},
    }


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by the name of its file, without ``.json``."""
    return {ENVELOPE: envelope_schema(), **{name: data_schema(name) for name in MESSAGES}}


def types_section() -> str:
    """All message types as Markdown: services' first, then the platform's own."""
    ours = [name for name in MESSAGES if name in LIFECYCLE or name.startswith("ingest.")]
    services = [name for name in MESSAGES if name not in ours]
    parts = ["### From services", *map(_type, services), "### From the platform itself", _OURS, *map(_type, ours)]
    return "\n\n".join(parts)


_OURS: Final = "Workers and ingest tell these; a service has no reason to. They are part of the contract all the same."


def _plain(docstring: str) -> str:
    """A docstring's text without the roles that only its own readers need."""
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", docstring).replace("``", "`")


def _type(name: str) -> str:
    schema = data_schema(name)
    rows = "\n".join(_rows(schema))
    example = json.dumps(EXAMPLES[name], indent=2, ensure_ascii=False)
    table = f"| field | | value |\n|---|---|---|\n{rows}" if rows else "No fields: `data` is `{}`."
    return (
        f"#### `{name}`\n\n{schema['description']} [Schema](schemas/{name}.json)\n\n{table}\n\n```json\n{example}\n```"
    )


def _rows(schema: dict[str, Any], *, inside: str = "") -> Iterator[str]:
    """A row for each field; those of an object in the data follow it."""
    required = schema.get("required", [])
    for field, value in schema["properties"].items():
        default = value.get("default")
        is_plain = default and "properties" not in value
        need = "required" if field in required else f"default {json.dumps(default)}" if is_plain else "optional"
        or_null = " or `null`" if field in required and {"type": "null"} in value.get("anyOf", ()) else ""
        yield f"| `{inside}{field}` | {need} | {_value(value)}{or_null} |"
        if "properties" in value:
            yield from _rows(value, inside=f"{inside}{field}.")


def _value(schema: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in schema:
        return " or ".join(_value(option) for option in schema["anyOf"] if option != {"type": "null"})
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    limits = [f"{words} {schema[key]}" for key, words in _LIMITS.items() if key in schema]
    name = schema.get("description") or schema.get("format") or schema.get("type", "any JSON")
    return ", ".join([name, *limits]) if "description" not in schema else name


_LIMITS: Final = {
    "minLength": "length from",
    "maxLength": "length to",
    "minimum": "from",
    "exclusiveMinimum": "more than",
    "maximum": "to",
    "pattern": "pattern",
}


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema in JSON's own types, the definition its root refers to taken for the root, the others put in place."""
    definitions = json.loads(json.dumps(schema["$defs"]))
    root: dict[str, Any] = definitions.pop(schema["$ref"].rpartition("/")[2])
    for name, definition in definitions.items():
        root = _inlined(root, f"#/$defs/{name}", definition)
    return root


def _inlined(node: Any, reference: str, definition: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if node.get("$ref") == reference:
            return {**definition, **{key: value for key, value in node.items() if key != "$ref"}}
        return {key: _inlined(value, reference, definition) for key, value in node.items()}
    return [_inlined(value, reference, definition) for value in node] if isinstance(node, list) else node


def main() -> None:
    """Write the schemas and the section of the page."""
    directory = DIRECTORY / "schemas"
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (directory / f"{name}.json").write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    page = DIRECTORY / PAGE
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{types_section()}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
