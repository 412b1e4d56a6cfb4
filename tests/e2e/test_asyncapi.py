"""docs/asyncapi.yaml is AsyncAPI 3.0 by its own schema, and true: every message of a session is as it
says, and a message is refused for a field exactly where it says that the field is bad."""
import asyncio
import copy
import functools
import json
import re
import subprocess

import jsonschema
import websockets
import yaml

from client import SUBPROTOCOL, connect, run
from conftest import ROOT

MISUSED = ("bad_field", "text_too_long", "too_many_targets", "unknown_type")


@functools.cache
def document():
    return yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())


def test_it_is_what_the_program_prints(request):
    binary = request.config.getoption("--binary")
    printed = subprocess.run([binary, "doctor", "--asyncapi"], capture_output=True, text=True)
    assert printed.returncode == 0
    committed = (ROOT / "docs" / "asyncapi.yaml").read_text()
    assert printed.stdout == committed, "docs/asyncapi.yaml is old; run docs/print_tables.py"


def official_schema():
    """AsyncAPI's own JSON schema, out of a bundle of its parser: an object that is made of variables."""
    bundle = (ROOT / "build" / "fixtures" / "asyncapi-parser.js").read_text()
    first = r"\w+=`http://asyncapi\.com/definitions/3\.0\.0/asyncapi\.json`"
    body = re.search(r"=s\(\(\(\)=>\{(" + first + r".*?)\}\)\)", bundle, re.S)[1]
    [name] = re.findall(r"(\w+)=\{\$id", body)
    program = f"{body}; process.stdout.write(JSON.stringify({name}))"
    found = subprocess.run(["node", "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def flatten(node, base="", at_root=True):
    """References by $id become references into `definitions`, which every validator follows. base:
    where the definition stands that node is a part of."""
    if isinstance(node, list):
        return [flatten(entry, base, False) for entry in node]
    if not isinstance(node, dict):
        return node

    def inside(name, value):
        if not at_root or name != "definitions":
            return flatten(value, base, False)
        return {id_: flatten(definition, place(id_), False) for id_, definition in value.items()}

    def place(id_):
        return "#/definitions/" + id_.replace("~", "~0").replace("/", "~1")

    flat = {name: inside(name, value) for name, value in node.items() if name != "$id"}
    reference = flat.get("$ref")
    if isinstance(reference, str):
        id_, _, rest = reference.partition("#")
        flat["$ref"] = (place(id_) if id_ else base or "#") + rest
    return flat


def test_it_is_asyncapi():
    schema = flatten(official_schema())
    assert len(schema["definitions"]) > 100 and "asyncapi" in schema["required"]
    validator = jsonschema.Draft7Validator(schema)
    validator.validate(document())
    broken = copy.deepcopy(document())
    broken["operations"]["send"]["action"] = "shout"
    assert not validator.is_valid(broken), "the schema judges nothing"


def follow(reference):
    found = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_its_references_lead_somewhere():
    seen = []

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                seen.append(follow(node["$ref"]))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document())
    assert len(seen) > 30


def payload(type_, closed):
    """The validator of a message; closed: members that are not described are wrong."""

    def close(node):
        if isinstance(node, list):
            return [close(entry) for entry in node]
        if not isinstance(node, dict):
            return node
        whole = {name: close(value) for name, value in node.items()}
        if closed and isinstance(node.get("properties"), dict) and "type" in node:
            whole["additionalProperties"] = False
        return whole

    schema = close(copy.deepcopy(document()["components"]["messages"][type_]["payload"]))
    schema["components"] = document()["components"]
    return jsonschema.Draft7Validator(schema)


@run
async def test_every_event_is_as_it_says(service):
    """One session with every kind of end."""
    async with connect(service) as client:
        await client.translate("a", 1, "Where is the train station?", ["de", "ja"], final=True)
        await client.translate("b", 1, "The same.", ["de", "en", "tlh", "plugin:nobody"], final=True)
        await client.translate("c", 1, "Ou est la gare?", ["de"], source="auto", final=True)
        await client.send(type="translate", id="d", rev=1, text="Some words " * 20, targets=["de"])
        await client.send(type="translate", id="d", rev=2, text="Others.", targets=["de"])
        await client.send(type="cancel", id="d")
        await client.finish("d", 2)
        await client.send(type="translate", id="d", rev=1, text="Old.", targets=["de"])
        await client.error()
        await client.send_raw("[")
        await client.error()
        await client.sync()
    for event in client.events:
        payload(event["type"], closed=True).validate(event)
    seen = {event["type"] for event in client.events}
    described = {name.rsplit("/", 1)[1] for name in (
        message["$ref"] for message in document()["operations"]["send"]["messages"])}
    assert seen <= described
    assert {"session.ready", "translation.committed", "translation.done", "batch.done", "error",
            "pong"} <= seen


GOOD = {
    "translate": {"id": "x", "rev": 0, "text": "", "targets": ["en"], "source": "en", "final": False,
                  "context": [], "options": {"stream": True, "deadline_ms": 0, "temperature": 0,
                                             "top_p": 1, "seed": 0, "max_tokens": 1}},
    "cancel": {"id": "x"},
    "session.update": {"source": "auto", "targets": ["de"], "glossary": {}},
    "resume": {"session": "s", "key": "k", "last_seq": 0},
    "ping": {"t": None},
}


def probes(schema):
    """Values at a field's bounds, just beyond, of other types, and absent (...)."""
    tried = [..., None, True, "a", "", 7, -1, 0.5, [], ["de"], {}, [7], {"a": "b"}]
    tried += ["ä" * (schema[bound] + step) for bound in ("minLength", "maxLength") if bound in schema
              for step in (-1, 0, 1) if schema[bound] + step >= 0]
    tried += [schema[bound] + step for bound in ("minimum", "maximum") if bound in schema
              for step in (-1, 0, 1)]
    tried += [["de"] * (schema[bound] + step) for bound in ("minItems", "maxItems")
              if bound in schema for step in (-1, 0, 1) if schema[bound] + step >= 0]
    if "items" in schema:
        tried += [["x" * length] for length in (0, 1, 71, 72)]
    return tried


def cases():
    """(type, field, message) with one field of a good message changed."""
    for type_, good in GOOD.items():
        properties = document()["components"]["messages"][type_]["payload"]["properties"]
        for name, schema in properties.items():
            inner = schema.get("properties", {})
            for within, field, of in [(None, name, schema), *((name, n, s) for n, s in inner.items())]:
                if field == "type":
                    continue
                for value in probes(of):
                    message = {"type": type_, **copy.deepcopy(good)}
                    place = message if within is None else message[within]
                    place.pop(field, None)
                    if value is not ...:
                        place[field] = value
                    yield type_, field, message


async def refusal(ws, message):
    """The code of the error that the message brings, or None."""
    await ws.send(json.dumps(message))
    await ws.send(json.dumps({"type": "ping", "t": "behind"}))
    code = None
    while True:
        event = json.loads(await asyncio.wait_for(ws.recv(), 60))
        if event["type"] == "error":
            code = event["code"]
        if event["type"] == "pong" and event.get("t") == "behind":
            return code


@run
async def test_it_says_what_is_refused(service):
    """Each sentence has an id of its own where the id is good. What is a tag, the service knows better
    than a schema."""
    tried = {True: 0, False: 0}
    async with websockets.connect(service.ws_url, subprotocols=[SUBPROTOCOL], max_size=None) as ws:
        for number, (type_, field, message) in enumerate(cases()):
            if type_ == "translate" and message.get("id") == "x":
                message["id"] = f"x{number}"
            valid = payload(type_, closed=False).is_valid(message)
            code = await refusal(ws, message)
            tag = valid and field in ("source", "targets")
            assert tag or valid == (code not in MISUSED), (message, code, valid)
            tried[valid] += 1
    assert tried[True] > 100 and tried[False] > 200, tried


def test_the_close_codes_are_those_of_the_protocol():
    listed = {str(row["code"]) for row in document()["x-close-codes"]}
    page = (ROOT / "docs" / "PROTOCOL.md").read_text()
    assert listed == set(re.findall(r"\b(?:1\d{3}|4\d{3})\b", re.search(
        r"\*\*Close codes\*\*: (.*?) Wrong or missing", page, re.S)[1]))
