from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from domain.messages import MESSAGES, MessageInvalid, decode_data
from infra.broker.topology import TOPOLOGY
from infra.cloudevents import CloudEvent, decode
from infra.cloudevents.event import NAMESPACE
from infra.cloudevents.examples import EARLIER, EXAMPLES
from infra.cloudevents.reference import BEGIN, DIRECTORY, END, PAGE, schemas, types_section
from tests.infra.cloudevents.examples import text

WRITE = "run: python -m infra.cloudevents.reference"
DOCUMENT: dict[str, Any] = yaml.safe_load((DIRECTORY / "asyncapi.yaml").read_text())
FILES = {path.stem: json.loads(path.read_text()) for path in (DIRECTORY / "schemas").glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"./schemas/{name}.json", Resource.from_contents(schema)) for name, schema in FILES.items()
)
FORMATS = Draft202012Validator.FORMAT_CHECKER


def test_the_schemas_are_those_of_the_code() -> None:
    assert schemas() == FILES, WRITE


def test_the_page_lists_the_types_of_the_code() -> None:
    section = (DIRECTORY / PAGE).read_text().partition(BEGIN)[2].partition(END)[0]

    assert section.strip() == types_section(), WRITE


def test_every_type_has_an_example() -> None:
    assert list(EXAMPLES) == list(MESSAGES)


@pytest.mark.parametrize("name", FILES)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(FILES[name])


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_fits_its_schema_and_is_taken_in(name: str) -> None:
    Draft202012Validator(FILES[name], format_checker=FORMATS).validate(EXAMPLES[name])
    decode_data(name, json.dumps(EXAMPLES[name]).encode())


@pytest.mark.parametrize("name", EARLIER)
def test_what_was_sent_before_a_shape_grew_still_fits_its_schema_and_is_taken_in(name: str) -> None:
    for earlier in EARLIER[name]:
        assert earlier in FILES[name]["examples"]
        Draft202012Validator(FILES[name], format_checker=FORMATS).validate(earlier)
        decode_data(name, json.dumps(earlier).encode())


@pytest.mark.parametrize("name", MESSAGES)
def test_schema_and_code_refuse_an_unknown_field_alike(name: str) -> None:
    wrong = {**EXAMPLES[name], "misspelt": 1}

    assert not Draft202012Validator(FILES[name]).is_valid(wrong)
    with pytest.raises(MessageInvalid):
        decode_data(name, json.dumps(wrong).encode())


@pytest.mark.parametrize("end", ["\n", " ", "\r", "\n\n", "\nx", "\u2028"])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("session.heartbeat", "session_id"),
        ("session.started", "license_id"),
        ("task.started", "run_id"),
        ("license.issued", "holder_email"),
    ],
)
def test_schema_and_code_refuse_a_line_or_space_after_an_id_alike(name: str, field: str, end: str) -> None:
    wrong = {**EXAMPLES[name], field: EXAMPLES[name][field] + end}

    assert not Draft202012Validator(FILES[name]).is_valid(wrong)
    with pytest.raises(MessageInvalid, match=field):
        decode_data(name, json.dumps(wrong).encode())


def test_the_envelopes_schema_takes_an_event_and_no_half_one() -> None:
    envelope = Draft202012Validator(FILES["cloudevent"], format_checker=FORMATS)

    envelope.validate(json.loads(text(subject=None, other="kept by nobody")))
    assert not envelope.is_valid(json.loads(text(time=...)))
    assert not envelope.is_valid(json.loads(text(specversion="0.3")))


def test_the_pages_amqp_examples_are_taken_in() -> None:
    found = [event for message in messages_of_page() for event in decode(*message)]

    assert [event.type for event in found if isinstance(event, CloudEvent)] == [
        "session.started",
        "session.heartbeat",
        "session.heartbeat",
        "session.ended",
    ]
    for event in found:
        assert isinstance(event, CloudEvent)
        decode_data(event.type, event.data)


def test_the_page_gives_the_namespace_of_unique_ids() -> None:
    assert str(NAMESPACE) in (DIRECTORY / PAGE).read_text()


def test_the_asyncapi_document_is_of_version_3_and_has_its_parts() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    assert {"servers", "channels", "operations", "components"} <= set(DOCUMENT)


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    found = list(references(DOCUMENT))

    assert found
    for reference in found:
        assert resolved(reference) is not None, reference


def test_the_asyncapi_document_lists_every_message_type() -> None:
    channel = [resolved(found["$ref"])["name"] for found in DOCUMENT["channels"]["events"]["messages"].values()]

    assert sorted(channel) == sorted([*MESSAGES, "batch"])


def test_the_asyncapi_documents_channels_stand_on_the_broker() -> None:
    exchanges = {exchange.name: exchange.kind for exchange in TOPOLOGY.exchanges}
    queues = {queue.name for queue in TOPOLOGY.queues}
    bound = [channel["bindings"]["amqp"] for channel in DOCUMENT["channels"].values()]

    assert [found["exchange"]["name"] for found in bound if found["is"] == "routingKey"] == ["events"]
    assert exchanges["events"] == bound[0]["exchange"]["type"]
    assert {found["queue"]["name"] for found in bound if found["is"] == "queue"} <= queues


@pytest.mark.parametrize("name", MESSAGES)
def test_a_payload_of_the_asyncapi_document_takes_its_type_and_no_other(name: str) -> None:
    [message] = [found for found in DOCUMENT["components"]["messages"].values() if found["name"] == name]
    payload = Draft202012Validator(message["payload"]["schema"], registry=REGISTRY, format_checker=FORMATS)

    payload.validate(json.loads(text(type=name, data=EXAMPLES[name])))
    assert not payload.is_valid(json.loads(text(type="other.type", data=EXAMPLES[name])))
    assert not payload.is_valid(json.loads(text(type=name, data={"misspelt": 1})))


def messages_of_page() -> Iterator[tuple[str, dict[str, str], bytes]]:
    """What each ``basic.publish`` of the page publishes: content type, headers, body."""
    for block in re.findall(r"```text\n(basic\.publish.*?)```", (DIRECTORY / PAGE).read_text(), re.DOTALL):
        head, _, body = block.partition("\nbody ")
        content_type = re.search(r"content-type +=+ (\S+)", head)
        assert content_type is not None
        yield content_type[1], dict(re.findall(r"(cloudEvents:\w+) += (\S+)", head)), body.strip().encode()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(reference: str) -> Any:
    """What a reference leads to, or None."""
    file, _, pointer = reference.partition("#")
    found: Any = json.loads((DIRECTORY / file).read_text()) if file else DOCUMENT
    for part in pointer.strip("/").split("/") if pointer else []:
        found = found.get(part, {})
    return found or None
