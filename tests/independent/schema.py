"""The published JSON Schema, read as strictly as it can be."""

import copy
import json
import pathlib

import jsonschema

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"

# Where a schema describes one value inside of another: there nothing may be that it does not tell of.
VALUES_BY_NAME = ("properties",)
VALUE = ("items", "additionalProperties")
# A schema with one of these says what is in an object; one without takes whatever there is.
TELLS_OF_FIELDS = ("$ref", "properties", "oneOf", "anyOf", "allOf")


class NotInTheSchema(AssertionError):
    """A message that the published schema does not allow."""


class Schema:
    """Judges messages.

    The protocol lets both sides add fields, so that the schema as it is passes over what it does not know. Here the server
    and we ourselves are to say nothing but what is published: a field that it does not name is an error.
    """

    def __init__(self, path=DOCS / "protocol.schema.json"):
        published = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(published)
        self.version = published["x-protocol-version"]
        definitions = {name: closed_inside(definition) for name, definition in published["$defs"].items()}
        self._client = judges(definitions["ClientMessage"], definitions)
        self._server = judges(definitions["ServerMessage"], definitions)
        self._state = judge(definitions["RoomState"], definitions)

    def check_client(self, message):
        """What a client says."""
        check_message(self._client, message)

    def check_server(self, message):
        """What the server says."""
        check_message(self._server, message)

    def check_state(self, state):
        """A room as a client knows it."""
        check(self._state, state)


def judges(messages, definitions):
    """A judge for each type of message: to try all of them in turn takes long."""
    kinds = {part["properties"]["type"]["const"]: part for part in messages["oneOf"]}
    assert len(kinds) == len(messages["oneOf"]), "each type is told of once"
    return {kind: judge(part, definitions) for kind, part in kinds.items()}


def judge(schema, definitions):
    return jsonschema.Draft202012Validator({"$defs": definitions, **schema, "unevaluatedProperties": False})


def check_message(known, message):
    kind = message.get("type") if isinstance(message, dict) else None
    if kind not in known:
        raise NotInTheSchema(f"no message of this protocol: {json.dumps(message)[:2000]}")
    check(known[kind], message)


def check(judge, value):
    error = jsonschema.exceptions.best_match(judge.iter_errors(value))
    if error is not None:
        raise NotInTheSchema(f"{error.message} at {error.json_path}\n{json.dumps(value)[:2000]}")


def closed_inside(schema):
    """The same schema, in which every value within takes only the fields that are told of.

    The schema itself stays open: others may be put together with it, as `welcome` is with its `type`.
    """
    schema = copy.copy(schema)
    for word in VALUES_BY_NAME:
        if word in schema:
            schema[word] = {name: closed(value) for name, value in schema[word].items()}
    for word in VALUE:
        if isinstance(schema.get(word), dict):
            schema[word] = closed(schema[word])
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            schema[word] = [closed_inside(part) for part in schema[word]]
    return schema


def closed(schema):
    if not isinstance(schema, dict):
        return schema
    schema = closed_inside(schema)
    if any(word in schema for word in TELLS_OF_FIELDS) and "additionalProperties" not in schema:
        schema["unevaluatedProperties"] = False
    return schema
