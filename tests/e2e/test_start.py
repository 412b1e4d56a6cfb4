"""What the service answers while its model is still being loaded. A pipe stands in for config.json:
loading waits at it for as long as the test wants."""

import asyncio
import json
import os
import time

import pytest
import websockets
from client import SUBPROTOCOL, TIMEOUT_S, run
from conftest import ROOT, Service


@pytest.fixture
def loading(request, tmp_path):
    """(service, pipe): a service that waits for its model's config.json."""
    model = tmp_path / "model"
    data = tmp_path / "data"
    model.mkdir()
    data.mkdir()
    for file in (ROOT / "models" / "hydra-tiny").iterdir():
        if file.name != "config.json":
            (model / file.name).symlink_to(file)
    os.mkfifo(model / "config.json")
    service = Service(request.config.getoption("--binary"), data, "--model", str(model))
    try:
        yield service, model / "config.json"
    finally:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


def wait_listening(service):
    for _ in range(500):
        assert service.process.poll() is None, service.log.read_text()
        try:
            return service.get("/healthz")
        except OSError:
            time.sleep(0.02)
    raise AssertionError("does not listen: " + service.log.read_text())


def test_answers_before_the_model_is_there(loading):
    service, _ = loading
    assert wait_listening(service)[0] == 200
    status, _, body = service.get("/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False})
    assert service.get("/")[0] == 200
    status, _, body = service.get("/metrics")
    assert status == 200 and b"hydraglot_ready 0" in body
    assert "is ready" not in service.log.read_text()


@run
async def test_websocket_is_told_to_come_again(loading):
    service, _ = loading
    wait_listening(service)
    for _ in range(3):
        ws = await websockets.connect(service.ws_url, subprotocols=[SUBPROTOCOL])
        event = json.loads(await asyncio.wait_for(ws.recv(), TIMEOUT_S))
        assert (event["type"], event["code"], event["retry"]) == ("error", "starting", True)
        assert event["retry_after_ms"] > 0
        await asyncio.wait_for(ws.wait_closed(), TIMEOUT_S)
        assert ws.close_code == 1013
    assert service.get("/healthz")[0] == 200
    assert service.metric("hydraglot_sessions") == 0


def test_a_model_that_cannot_be_read_ends_the_service(loading):
    service, pipe = loading
    wait_listening(service)
    os.close(os.open(pipe, os.O_WRONLY))  # loading goes on and finds that it is no file
    assert service.process.wait(30) == 1
    assert "config.json" in service.log.read_text()


def test_signal_ends_it_at_once(loading):
    service, _ = loading
    wait_listening(service)
    service.process.terminate()
    assert service.process.wait(10) == -15
