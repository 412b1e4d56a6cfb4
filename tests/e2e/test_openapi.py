"""/openapi.json is OpenAPI 3.0 by its own schema, and true: what it says of each path happens."""
import json
import re

import jsonschema
from conftest import ROOT

GOOD = {
    "/translate": {"q": "Hi.", "source": "en", "target": "de"},
    "/detect": {"q": "Hi."},
    "/v1/chat/completions": {"model": "de", "messages": [{"role": "user", "content": "Hi."}]},
    "/v1/tokens": {},
}


def document(service):
    status, headers, body = service.get("/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    return json.loads(body)


def test_it_is_openapi(service):
    schema = json.loads((ROOT / "build" / "fixtures" / "openapi-3.0.json").read_text())
    found = document(service)
    jsonschema.validators.validator_for(schema)(schema).validate(found)
    for path in found["paths"].values():
        for route in path.values():
            for answer in route["responses"].values():
                for content in answer["content"].values():
                    reference = content["schema"].get("$ref", "#/components/schemas/error")
                    assert reference == "#/components/schemas/error"


def test_every_route_does_as_it_says(service):
    found = document(service)
    error = found["components"]["schemas"]["error"]
    token = re.search(r"shown this once: (\S{43})\n", service.log.read_text())[1]
    for path, methods in found["paths"].items():
        [(method, route)] = methods.items()
        body = json.dumps(GOOD[path]) if method == "post" else None
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        status, _, answer = service.get(path, method.upper(), headers, body)
        assert str(status) in route["responses"], (path, status)
        assert status == (426 if path == "/v1/live" else 200), (path, answer)
        [(type_, content)] = route["responses"][str(status)]["content"].items()
        if type_ == "application/json":
            schema = error if "$ref" in content["schema"] else content["schema"]
            jsonschema.validate(json.loads(answer), schema)
        if method == "post":
            status, _, answer = service.get(path, "POST", {"Content-Type": "application/json"}, b"[")
            assert str(status) in route["responses"] and status in (400, 401), (path, status)
            jsonschema.validate(json.loads(answer), error)


def test_no_route_is_left_out(service):
    """What the source calls a route is described."""
    source = (ROOT / "core" / "service" / "routes.c").read_text()
    paths = set(re.findall(r'\.path = "([^"]+)"', source)) | {"/v1/live"}
    assert set(document(service)["paths"]) == paths


def test_the_dashboard_asks_for_what_is_measured(service):
    """Every metric of docs/grafana.json is one of /metrics."""
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text())
    asked = {name for panel in dashboard["panels"] for target in panel["targets"]
             for name in re.findall(r"hydraglot_\w+", target["expr"])}
    families = set(re.findall(r"^# TYPE (\S+)", service.get("/metrics")[2].decode(), re.M))
    assert len(asked) > 20 and {re.sub("_bucket$", "", name) for name in asked} <= families
