"""A small service that speaks hydraglot.v1 and serves web/, for tests of the page and the client.

It translates nothing: what it says comes from a table or is made up of the source's own words, at a
pace that the test sets, so what depends on time, loss and order can be had at will. It follows
docs/PROTOCOL.md: revisions, epochs of committed text, ends and batches, resume with replay.
"""
import asyncio
import http
import json
import pathlib
import re
import secrets
import threading
import time

import websockets

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"
TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
         "css": "text/css", "svg": "image/svg+xml", "json": "application/json",
         "png": "image/png", "webmanifest": "application/manifest+json"}
NAMES = {"de": ("German", "Deutsch"), "es": ("Spanish", "español"), "fr": ("French", "français"),
         "ja": ("Japanese", "日本語"), "nl": ("Dutch", "Nederlands"),
         "ru": ("Russian", "русский"), "sv": ("Swedish", "svenska"),
         "tr": ("Turkish", "Türkçe"), "zh-Hans": ("Simplified Chinese", "简体中文"),
         "ar": ("Arabic", "العربية"), "he": ("Hebrew", "עברית"), "fa": ("Persian", "فارسی")}
NINE = ("de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh-Hans")
CHARACTERS = ("ja", "zh-Hans")  # a piece is a character there, else a word or a mark
RIGHT_TO_LEFT = ("ar", "he", "fa")
READ = ("ru", "zh-Hans")  # in Latin letters


def pieces(text, language):
    pattern = r"\s*\S" if language in CHARACTERS else r"\s*\w+|\s*[^\w\s]"
    return re.findall(pattern, text)


class Session:
    def __init__(self):
        self.id, self.key = secrets.token_hex(4), secrets.token_hex(8)
        self.key_before = None
        self.seq, self.log, self.socket = 0, [], None
        self.revs, self.ended, self.running = {}, set(), {}


class Fake:
    """with Fake(...) as fake: fake.url; fields may be set while it runs.

    texts: {source: {language: translation}}; step_s: between two pieces of a language.
    """

    def __init__(self, languages=NINE, texts=None, step_s=0.01, resumes=True):
        self.languages, self.texts = languages, texts or {}
        self.step_s, self.resumes = step_s, resumes
        self.ahead = 1  # pieces of tentative text
        self.fails = set()  # texts that no language can say
        self.steps = []  # when each step began, by the clock that Chromium's trace has too
        self.sessions, self.accepted, self.resumed = {}, [], 0

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        started.wait()
        return self

    def __exit__(self, *exception):
        self.call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _close(self):
        await self._listen(False)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def call(self, coroutine):
        """Runs a coroutine of the test on the service's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    async def _kill(self):
        sockets = [s.socket for s in self.sessions.values() if s.socket]
        for socket in sockets:
            socket.transport.abort()
        return len(sockets)

    def kill(self):
        """All connections break, without a word. How many there were."""
        return self.call(self._kill())

    async def _listen(self, listening):
        if listening:
            self.server = await websockets.serve(
                self._talk, "127.0.0.1", getattr(self, "port", 0), subprotocols=["hydraglot.v1"],
                process_request=self._file, ping_interval=None)
            self.port = self.server.sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
        else:
            self.server.close()
            await self._kill()
            await self.server.wait_closed()

    def listen(self, listening):
        """Whether anybody answers at the address."""
        self.call(self._listen(listening))

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._listen(True))
        started.set()
        self.loop.run_forever()

    async def _file(self, path, headers):
        if path == "/v1/live":
            return None
        name = path.split("?")[0].lstrip("/") or "index.html"
        file = WEB / name
        if ".." in name or not file.is_file():
            return http.HTTPStatus.NOT_FOUND, [], b""
        return http.HTTPStatus.OK, [
            ("Content-Type", TYPES[file.suffix[1:]]), ("Cache-Control", "no-cache"),
            ("Content-Security-Policy", "default-src 'self'; base-uri 'none'")], file.read_bytes()

    def described(self):
        return [{"tag": tag, "name": NAMES[tag][0], "native": NAMES[tag][1], "sources": ["en"],
                 "direction": "rtl" if tag in RIGHT_TO_LEFT else "ltr", "plugin": tag,
                 "reading": tag in READ,
                 "generation": 1} for tag in self.languages]

    async def say(self, session, /, **event):
        session.seq += 1
        frame = {"seq": session.seq, **event}
        session.log.append(frame)
        await self.send(session, frame)

    async def send(self, session, frame):
        if session.socket:
            try:
                await session.socket.send(json.dumps(frame, ensure_ascii=False))
            except websockets.ConnectionClosed:
                session.socket = None

    async def _talk(self, socket, path):
        session = Session()
        session.socket = socket
        self.sessions[session.id] = session
        await self.say(
            session, type="session.ready", session=session.id, key=session.key,
            model={"name": "stand-in", "device": "no device"}, languages=self.described(),
            limits={"max_text": 2000, "max_targets": 32, "max_frame": 65536,
                    "lanes_per_minute": 0, "replay_bytes": 1 << 20,
                    "resume_grace_ms": 60000 if self.resumes else 0})
        try:
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] == "resume":
                    session = await self.resume(session, message)
                elif message["type"] == "ping":
                    await self.send(session, {"type": "pong", "t": message["t"]})
                elif message["type"] == "cancel":
                    await self.end(session, message["id"], "cancelled")
                elif message["type"] == "translate":
                    await self.translate(session, message)
        except websockets.ConnectionClosed:
            pass
        if session.socket is socket:
            session.socket = None

    async def resume(self, fresh, message):
        old = self.sessions.get(message["session"])
        if not old or message["key"] not in (old.key, old.key_before):
            await self.say(fresh, type="error", code="resume_gone", message="gone", retry=False)
            return fresh
        del self.sessions[fresh.id]
        old.key_before = message["key"]  # the answer with the new one may be lost
        old.key, old.socket = secrets.token_hex(8), fresh.socket
        self.resumed += 1
        missed = [e for e in old.log if e["seq"] > message["last_seq"]]
        await self.send(old, {"type": "session.resumed", "session": old.id, "key": old.key,
                              "from_seq": message["last_seq"] + 1})
        for event in missed:
            await self.send(old, event)
        return old

    async def translate(self, session, m):
        id, rev = m["id"], m["rev"]
        code = ("id_final" if id in session.ended
                else "stale_rev" if rev <= session.revs.get(id, 0) else None)
        if code:
            await self.say(session, type="error", code=code, message=code, retry=False, id=id,
                           rev=rev)
            return
        await self.end(session, id, "superseded")
        session.revs[id] = rev
        self.accepted.append((session.id, id, rev, m["text"]))
        task = asyncio.ensure_future(self.work(session, m))
        session.running[id] = task, m
        if m["text"] in self.fails:
            await self.end(session, id, "failed")

    async def end(self, session, id, status):
        task, m = session.running.pop(id, (None, None))
        if task:
            task.cancel()
            for language in m["targets"]:
                await self.done(session, m, language, status, "")
            await self.batch(session, m)

    async def done(self, session, m, language, status, text):
        wanted = m.get("options", {}).get("reading") and language in READ and status == "ok"
        reading = {"reading": f"reading of {text}"} if wanted else {}
        await self.say(session, type="translation.done", id=m["id"], rev=m["rev"], epoch=0,
                       language=language, status=status, text=text, plugin=language, generation=1,
                       **reading,
                       source="en", tokens=len(text.split()), stop="eos", first_ms=4.2,
                       total_ms=31.0)

    async def batch(self, session, m):
        await self.say(session, type="batch.done", id=m["id"], rev=m["rev"], batch=1,
                       lanes=len(m["targets"]), prefill_tokens=9, shared_tokens=64,
                       decode_tokens=90, drafted=0, accepted=0, queue_ms=0.1, prefill_ms=1.0,
                       first_ms=4.2, total_ms=31.0, tokens_per_s=2900.0)

    async def work(self, session, m):
        """Every language grows by a piece at each step: committed behind, tentative ahead."""
        texts = self.texts.get(m["text"], {})
        lanes = {tag: pieces(texts.get(tag, f"{tag} {m['text']}"), tag) for tag in m["targets"]}
        about = {"id": m["id"], "rev": m["rev"], "epoch": 0}
        for step in range(max(map(len, lanes.values()))):
            await asyncio.sleep(self.step_s)
            self.steps.append(time.monotonic())
            for language, parts in lanes.items():
                if step < len(parts) and m.get("final"):
                    await self.say(session, type="translation.committed", language=language,
                                   text=parts[step], **about)
                start, end = (step + 1 if m.get("final") else 0), step + 1 + self.ahead
                if start < len(parts) and self.ahead:
                    await self.say(session, type="translation.tentative", language=language,
                                   text="".join(parts[start:end]), **about)
        del session.running[m["id"]]
        if m.get("final"):
            session.ended.add(m["id"])
        for language, parts in lanes.items():
            await self.done(session, m, language, "ok", "".join(parts))
        await self.batch(session, m)
