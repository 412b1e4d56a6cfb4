"""Malformed HTTP requests from a fixed seed: every answer begins with a status line, every refusal has
a message, and the service goes on. HYDRAGLOT_LONG=1 sends ten thousand."""
import json
import os
import random
import re
import socket

from client import resident_bytes

REQUESTS = 10_000 if os.environ.get("HYDRAGLOT_LONG") else 600
PATIENCE_S = 0.05
BODY = b'{"q":"Hi","source":"en","target":"de"}'
HEAD = b"Host: 127.0.0.1:%d\r\n"
PATHS = [b"/", b"/translate", b"/languages", b"/detect", b"/v1/live", b"/metrics", b"/healthz",
         b"/frontend/settings", b"/v1/tokens", b"/../x", b"/%00", b"/" + b"a" * 3000, b"*", b"x"]
METHODS = [b"GET"] * 6 + [b"POST"] * 12 + [b"HEAD", b"PUT", b"OPTIONS", b"get", b"BREW", b"", b"\x00"]
LINES = [b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 5, 6",
         b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Authorization: Bearer",
         b"Authorization: Basic \xff\xff", b"Content-Type: multipart/form-data; boundary=",
         b"Content-Type: application/json", b"Upgrade: websocket", b"Connection: upgrade",
         b"Sec-WebSocket-Key: x", b"Expect: 100-continue", b"Origin: null", b"Origin: http://evil",
         b": no name", b"no colon", b"X: " + b"y" * 5000, b"Host: evil", b"\xff\xfe: \x00",
         b"Sec-WebSocket-Protocol: hydraglot.v1", b"If-None-Match: \"", b"Cookie: a=b",
         b"X-Forwarded-For: 1", b"Range: bytes=0-"]


def request(noise, port):
    method = noise.choice(METHODS)
    version = noise.choice([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/9", b"", b"\xff"])
    lines = [HEAD % port] if noise.random() < 0.9 else []
    lines += [line + b"\r\n" for line in noise.sample(LINES, noise.randrange(4))]
    body = BODY[: noise.randrange(len(BODY) + 1)] if noise.random() < 0.5 else b""
    if body and noise.random() < 0.8:
        lines.append(b"Content-Length: %d\r\n" % (len(body) + noise.choice([0, 0, 0, -1, 3])))
    noise.shuffle(lines)
    raw = bytearray(b" ".join([method, noise.choice(PATHS), version]) + b"\r\n" + b"".join(lines)
                    + b"\r\n" + body)
    for _ in range(noise.choice([0, 0, 1, 4, 30])):
        raw[noise.randrange(len(raw))] = noise.randrange(256)
    if noise.random() < 0.2:
        del raw[noise.randrange(len(raw)) :]
    return bytes(raw)


def answer_to(port, raw):
    """All that comes back. A request that is not whole waits for more; then we say that there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        got = b""
        try:
            connection.sendall(raw)
            got = connection.recv(65536)
        except OSError:
            pass  # it waits for more, or hung up: what it said before is still there
        try:
            connection.settimeout(30)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                got += piece
        except OSError:
            pass
        return got


def check(raw, got):
    """The status of the first answer; 0: it was hung up."""
    if not got:
        return 0
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", got)
    assert status, (raw, got[:200])
    code = int(status[1])
    assert code in (101, 200, 204, 304) or 400 <= code < 600, (raw, got[:200])
    head, _, body = got.partition(b"\r\n\r\n")
    # An answer to HEAD has no body; behind it may come the next answer.
    if code >= 400 and b"application/json" in head and body and not body.startswith(b"HTTP/1."):
        length = int(re.search(rb"content-length: (\d+)", head)[1])
        assert json.loads(body[:length])["error"], (raw, got[:300])
    return code


def test_malformed_requests(service):
    noise = random.Random(7)
    seen = {}
    for number in range(REQUESTS):
        if number == REQUESTS // 4:
            resident = resident_bytes(service)
        raw = request(noise, service.port)
        code = check(raw, answer_to(service.port, raw))
        seen[code] = seen.get(code, 0) + 1
    print("answers by status, 0: hung up:", dict(sorted(seen.items())))
    assert {200, 400, 403, 405, 411} <= set(seen)
    assert resident_bytes(service) - resident < 8 << 20, "nothing leaks"
    assert service.get("/healthz")[0] == 200
    assert service.metric("hydraglot_sessions") == 0
