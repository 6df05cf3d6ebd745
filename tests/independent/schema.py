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

    The protocol lets both sides add fields, so that the schema as it is passes over what it does not know. Here the server and
    we ourselves are to say nothing but what is published: a field that it does not name is an error.
    """

    def __init__(self, path=DOCS / "protocol.schema.json"):
        published = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(published)
        self.version = published["x-protocol-version"]
        definitions = {name: closed_inside(definition) for name, definition in published["$defs"].items()}
        self._client = validator("ClientMessage", definitions)
        self._server = validator("ServerMessage", definitions)
        self._state = validator("RoomState", definitions)

    def check_client(self, message):
        """What a client says."""
        check(self._client, message)

    def check_server(self, message):
        """What the server says."""
        check(self._server, message)

    def check_state(self, state):
        """A room as a client knows it."""
        check(self._state, state)


def validator(name, definitions):
    whole = {"$defs": definitions, "$ref": f"#/$defs/{name}", "unevaluatedProperties": False}
    return jsonschema.Draft202012Validator(whole)


def check(judge, message):
    kind = message.get("type") if isinstance(message, dict) else None
    error = jsonschema.exceptions.best_match(judge.iter_errors(message))
    if error is not None:
        raise NotInTheSchema(f"{kind}: {error.message} at {error.json_path}\n{json.dumps(message)[:2000]}")


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
