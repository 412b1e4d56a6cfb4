"""The front for OpenAI's clients: a model is a plugin, the last user message its source."""
import json

import pytest

PATH = "/v1/chat/completions"


def ask(service, **fields):
    """(status, headers, body as text)"""
    body = {"model": "de", "messages": [{"role": "user", "content": "Where is the station?"}], **fields}
    status, headers, answer = service.get(PATH, "POST", {"Content-Type": "application/json"},
                                          json.dumps(body))
    return status, headers, answer.decode()


def chunks(text):
    """The objects of a stream; it must end as OpenAI's do."""
    events = text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""] and all(e.startswith("data: ") for e in events[:-1])
    return [json.loads(e[6:]) for e in events[:-2]]


def test_models(service):
    models = json.loads(service.get("/v1/models")[2])
    assert models["object"] == "list"
    assert {m["id"] for m in models["data"]} >= {"de", "en", "zh"}


def test_completion(service):
    status, _, text = ask(service)
    answer = json.loads(text)
    assert status == 200 and answer["object"] == "chat.completion" and answer["model"] == "de"
    [choice] = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Wo ist der Bahnhof?"}
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["prompt_tokens"] > 0 and usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_the_last_user_message_counts(service):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello."},
                {"role": "assistant", "content": "Hallo."},
                {"role": "user", "content": [{"type": "text", "text": "Where is "},
                                             {"type": "text", "text": "the station?"}]}]
    status, _, text = ask(service, messages=messages)
    content = json.loads(text)["choices"][0]["message"]["content"]
    assert (status, content) == (200, "Wo ist der Bahnhof?")
    status, _, text = ask(service, model="en", messages=[{"role": "user", "content": "Wo ist der Bahnhof?"}])
    assert status == 200 and "station" in json.loads(text)["choices"][0]["message"]["content"]


def test_stream_is_the_same_text_piece_by_piece(service):
    """On a busy machine pieces may have come together, but not each time."""
    long = "Where is the station? I would like to go home now. Good morning, my friend."
    messages = [{"role": "user", "content": long}]
    whole = json.loads(ask(service, messages=messages)[2])["choices"][0]["message"]["content"]
    assert any(len(stream_pieces(service, messages, whole)) > 3 for _ in range(20))


def stream_pieces(service, messages, whole):
    status, headers, text = ask(service, messages=messages, stream=True)
    assert status == 200 and headers["content-type"] == "text/event-stream"
    found = chunks(text)
    assert len({c["id"] for c in found}) == 1 and all(c["object"] == "chat.completion.chunk" for c in found)
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    pieces = [c["choices"][0]["delta"].get("content", "") for c in found]
    assert "".join(pieces) == whole
    assert [c["choices"][0]["finish_reason"] for c in found] == [None] * (len(found) - 1) + ["stop"]
    return pieces


def test_length_is_told(service):
    status, _, text = ask(service, max_tokens=1)
    assert status == 200 and json.loads(text)["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("fields, status, says", [
    ({"model": "gpt-4"}, 404, "gpt-4"),
    ({"model": None}, 400, "model"),
    ({"messages": []}, 400, "messages"),
    ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, 400, "no text"),
    ({"messages": [{"role": "user", "content": 3}]}, 400, "no text"),
    ({"messages": "x"}, 400, "messages"),
    ({"temperature": 3}, 400, "temperature"),
    ({"temperature": "hot"}, 400, "temperature"),
    ({"max_tokens": 0}, 400, "max_tokens"),
    ({"model": "fr", "messages": [{"role": "user", "content": "Ich möchte nach Hause gehen."}]}, 400,
     "fr does not translate from de"),
])
def test_refused(service, fields, status, says):
    got, _, text = ask(service, **fields)
    assert got == status and says in json.loads(text)["error"]["message"]
